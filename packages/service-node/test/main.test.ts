// SPDX-License-Identifier: AGPL-3.0-or-later
// The program as an operator runs it: a process of its own, signals, exit codes, what `kill -9` leaves behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePorts } from '@allium/net/free-ports';
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAccount } from './support/test-account.ts';
import { http, TestNetwork, type TestNode } from './support/test-network.ts';

const START = fileURLToPath(new URL('support/start-node.ts', import.meta.url));

class Program {
  readonly child: ChildProcess;
  output = '';
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], environment: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [START, ...args], { env: { ...process.env, ...environment } });
    this.child.stdout?.on('data', (part: Buffer) => {
      this.output += part.toString();
    });
    this.child.stderr?.on('data', (part: Buffer) => {
      this.output += part.toString();
    });
    this.ended = new Promise((resolve) => this.child.on('close', resolve));
  }

  up(): Promise<void> {
    const isUp = () => {
      if (this.child.exitCode !== null)
        throw new Error(`it ended with ${this.child.exitCode}: ${this.output}`);
      return this.output.includes('service node is up');
    };
    return until(isUp, 'the node to come up', { state: () => this.output });
  }
}

const argsOf = (net: TestNetwork, node: TestNode, more: readonly string[] = []) => [
  ...['--data-dir', node.folder.path, '--network-file', net.networkFile, '--bind-host', '127.0.0.1'],
  ...['--https-port', String(node.httpsPort), '--omq-port', String(node.omqPort)],
  ...more,
];

describe('a node as a process', () => {
  let net: TestNetwork;
  let node: TestNode;
  beforeAll(async () => {
    net = await TestNetwork.prepare({ swarms: [1] });
    node = net.node(0);
  });
  afterAll(() => net[Symbol.asyncDispose]());

  const retrieve = async (account: TestAccount) =>
    (await node.rpc('retrieve', account.retrieve({ max_size: -1 }))).json.messages.map(
      ({ hash }: { hash: string }) => hash,
    ) as string[];

  test('every message that was answered survives kill -9', async () => {
    const account = TestAccount.session();
    const first = new Program(argsOf(net, node));
    await first.up();
    const answered: string[] = [];
    let count = 0;
    const senders = Array.from({ length: 8 }, async () => {
      for (;;) {
        const answer = await node.rpc('store', account.store(`message ${count++}`)).catch(() => undefined);
        if (answer === undefined) return;
        expect(answer.status).toBe(200);
        answered.push(answer.json.hash);
        if (answered.length === 200) first.child.kill('SIGKILL');
      }
    });
    await Promise.all(senders);
    await first.ended;
    expect(answered.length).toBeGreaterThanOrEqual(200);

    const second = new Program(argsOf(net, node));
    await second.up();
    const held = new Set(await retrieve(account));
    expect(answered.filter((hash) => !held.has(hash))).toEqual([]);
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  });

  test('SIGTERM ends it cleanly; logs are JSON without addresses and accounts; metrics are served', async () => {
    const [metricsPort] = (await freePorts(1)) as [number];
    const program = new Program(argsOf(net, node, ['--metrics-port', String(metricsPort)]));
    await program.up();
    const account = TestAccount.session();
    await node.rpc('store', account.store('counted'));
    await node.rpc('retrieve', { pubkey: account.id });
    const zipped = await node.post('/storage_rpc/v1', '{}', { 'content-encoding': 'gzip' });
    expect(zipped.status).toBe(415);
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toContain('allium_requests_total{method="store",status="200"} 1');
    expect(metrics).toContain('allium_requests_total{method="retrieve",status="401"} 1');
    expect(metrics).toContain('allium_messages_stored_total 1');
    expect(metrics).toContain('allium_refusals_total{limit="content_encoding"} 1');
    expect(metrics).toContain('allium_refusals_total{limit="omq_queue"} 0');
    expect(metrics).toContain('allium_membership_version 1');
    expect(metrics).toMatch(/allium_database_size_bytes \d{4,}/);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/`)).status).toBe(404);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    for (const line of program.output.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg');
    expect(program.output).not.toContain(account.id);
    expect(program.output).not.toContain('127.0.0.1');
    await expect(http(node.httpsPort, 'GET', '/get_stats/v1')).rejects.toThrow();
  });

  test('a taken port is an error with exit code 1', async () => {
    const first = new Program(argsOf(net, node));
    await first.up();
    const second = new Program(argsOf(net, node, ['--data-dir', `${node.folder.path}/second`]));
    expect(await second.ended).toBe(1);
    expect(second.output).toMatch(/EADDRINUSE.*: another program listens there/);
    const third = new Program(argsOf(net, node));
    expect(await third.ended).toBe(1);
    expect(third.output).toContain('another node runs on the data folder');
    first.child.kill('SIGINT');
    expect(await first.ended).toBe(0);
  });

  test('a damaged mailbox is an error that says what to do', async () => {
    writeFileSync(node.folder.file('mailbox.sqlite'), 'x'.repeat(10_000));
    const program = new Program(argsOf(net, node));
    expect(await program.ended).toBe(1);
    expect(program.output).toMatch(/mailbox\.sqlite is damaged .* Move it/);
  });
});

describe('usage', () => {
  test.each([
    ['--help', 0, /--network-file PATH/],
    ['--version', 0, /^\d+\.\d+\.\d+\n$/],
    ['--print-config', 0, /"httpsPort": 22021/],
    ['--colour', 2, /unknown option --colour/],
  ])('%s', async (flag, code, output) => {
    const program = new Program([flag]);
    expect(await program.ended).toBe(code);
    expect(program.output).toMatch(output);
  });

  test('without a node list', async () => {
    await using net = await TestNetwork.prepare({ swarms: [1] });
    const program = new Program(['--data-dir', net.node(0).folder.path]);
    expect(await program.ended).toBe(1);
    expect(program.output).toContain('--network-file');
  });
});
