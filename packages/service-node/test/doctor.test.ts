// SPDX-License-Identifier: AGPL-3.0-or-later
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { systemEnv } from '@allium/net/system-env';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import { changeStaticList, encodeStaticList, signStaticList } from '@allium/protocol/membership/static-list';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceNodeOptions } from '../src/config.ts';
import { examine } from '../src/doctor.ts';
import { TestNetwork, type TestNode } from './support/test-network.ts';

let net: TestNetwork;
let node: TestNode;
beforeEach(async () => {
  net = await TestNetwork.prepare({ swarms: [3] });
  node = net.node(0);
});
afterEach(() => net[Symbol.asyncDispose]());

async function examined(options: Partial<ServiceNodeOptions> = {}, env: Env = systemEnv()) {
  const findings = await examine({ ...node.options, ...options }, env);
  const todo = Object.fromEntries(findings.filter(({ ok }) => !ok).map(({ name, text }) => [name, text]));
  return { findings, todo };
}

/** A later list, as the file that the node was given. */
function configure(change: Parameters<typeof changeStaticList>[1], admin = net.admin): void {
  writeFileSync(net.networkFile, encodeStaticList(signStaticList(changeStaticList(net.list, change), admin)));
}

const DAY = 86_400;
const now = () => Math.floor(Date.now() / 1000);
const later = (days: number) => ({ issued: now(), expires: now() + days * DAY });

describe('a running node', () => {
  beforeEach(async () => {
    configure({ ...later(100), byHand: true });
    await Promise.all(net.nodes.map(({ service }) => service.start()));
  });

  test('with everything in order has nothing to do', async () => {
    const { findings, todo } = await examined();
    expect(todo).toEqual({});
    expect(findings.map(({ name }) => name)).toEqual([
      ...['version', 'data folder', 'key', 'certificate', 'database', 'open files', 'node', 'node list'],
      ...['membership', 'https port', 'omq port', 'clock'],
    ]);
    const text = (wanted: string) => findings.find(({ name }) => name === wanted)?.text;
    expect(text('node')).toMatch(/^running, answers within \d+ ms$/);
    expect(text('membership')).toMatch(/^in swarm [0-9a-f]+ with 2 others, at 127\.0\.0\.1$/);
    expect(text('https port')).toBe(`https://127.0.0.1:${node.httpsPort} answers`);
    expect(text('omq port')).toBe(`127.0.0.1:${node.omqPort} answers`);
    expect(text('clock')).toMatch(/ 2 other members$/);
  });

  test('with a clock that is ten minutes ahead is told to set it', async () => {
    const env = systemEnv();
    const clock = { ...env.clock, now: () => env.clock.now() + 600_000 };
    const { todo } = await examined({}, { ...env, clock });
    expect(todo).toEqual({
      clock: expect.stringMatching(/^10 minutes ahead of 2 other members: set the clock/),
    });
  });

  test('whose members are all away is told that nobody answers', async () => {
    await Promise.all(net.nodes.slice(1).map(({ service }) => service.stop()));
    expect((await examined()).todo.clock).toMatch(/none of 2 other members answers/);
  });

  test('at whose address another one answers is told so', async () => {
    const other = net.node(1);
    const self = { ed25519Hex: node.hex, host: '127.0.0.1' };
    const list = changeStaticList(net.list, {
      ...later(100),
      byHand: true,
      update: [{ ...self, httpsPort: other.httpsPort, omqPort: other.omqPort }],
    });
    writeFileSync(node.folder.file('network.json'), encodeStaticList(signStaticList(list, net.admin)));
    const { todo } = await examined();
    expect(todo.membership).toContain(
      `the list says HTTPS port ${other.httpsPort} and OMQ port ${other.omqPort}, but the configuration says ${node.httpsPort} and ${node.omqPort}: correct`,
    );
    expect(todo['https port']).toContain('something else answers at https://127.0.0.1');
    expect(todo['omq port']).toContain('does not answer as this node');
  });
});

describe('a node that does not run', () => {
  test('hears that it must be started, and what the first start will make', async () => {
    rmSync(node.folder.file('node.key'));
    const { findings, todo } = await examined();
    expect(Object.keys(todo)).toEqual(['key', 'node', 'node list', 'clock']);
    expect(todo.key).toContain('the first start of the node makes it');
    expect(todo['node list']).toMatch(/expires in (1 day|\d+ h): ask the admins/);
    expect(findings.find(({ name }) => name === 'https port')?.text).toBe(
      `127.0.0.1:${node.httpsPort} is free`,
    );
  });

  test('whose port is taken hears which', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(node.omqPort, '127.0.0.1', resolve));
    expect((await examined()).todo['omq port']).toContain(`another program listens on port ${node.omqPort}`);
    await new Promise((resolve) => server.close(resolve));
  });

  test('hears what is wrong with folder, key, certificate and mailbox', async () => {
    chmodSync(node.folder.path, 0o755);
    writeFileSync(node.folder.file('node.key'), 'nonsense', { mode: 0o600 });
    writeFileSync(node.folder.file('cert.pem'), 'nonsense');
    writeFileSync(node.folder.file('mailbox.sqlite'), 'x'.repeat(10_000));
    const { todo } = await examined();
    expect(todo['data folder']).toContain(`chmod 700 ${node.folder.path}`);
    expect(todo.key).toContain('allium node key restore');
    expect(todo.certificate).toContain('restart the node');
    expect(todo.database).toMatch(/mailbox\.sqlite is damaged .* Move it/);
    rmSync(node.folder.file('mailbox.sqlite'));
    const foreign = new DatabaseSync(node.folder.file('mailbox.sqlite'));
    foreign.exec('CREATE TABLE recipes (name TEXT)');
    foreign.close();
    expect((await examined()).todo.database).toContain('a database of another program');
  });

  test('hears what is wrong with the node list', async () => {
    expect((await examined({ networkFile: '' })).todo['node list']).toContain('--network-file');
    writeFileSync(net.networkFile, '{}');
    expect((await examined()).todo['node list']).toContain('is not a signed node list');
    const stranger = ed25519KeyPair(randomBytes(32));
    writeFileSync(node.folder.file('network.json'), encodeStaticList(net.list));
    configure({ ...later(100), byHand: true }, stranger);
    expect((await examined()).todo['node list']).toMatch(/expires in/);
    const env = systemEnv();
    const clock = { ...env.clock, now: () => env.clock.now() + 3 * DAY * 1000 };
    expect((await examined({}, { ...env, clock })).todo['node list']).toMatch(/expired 2 days ago/);
  });

  test('that is not in the list hears what to send to the admins', async () => {
    configure({ ...later(100), byHand: true, remove: [node.hex] });
    expect((await examined({ publicIp: '203.0.113.9' })).todo.membership).toContain(
      `add ${node.hex}@203.0.113.9:${node.httpsPort}:${node.omqPort}`,
    );
  });

  test('whose address changed hears where the two differ', async () => {
    expect((await examined({ publicIp: '203.0.113.9' })).todo.membership).toMatch(
      /the list says that this node is at 127\.0\.0\.1, the configuration \(--public-ip\) 203\.0\.113\.9/,
    );
  });
});
