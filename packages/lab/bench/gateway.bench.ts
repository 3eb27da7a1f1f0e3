// SPDX-License-Identifier: AGPL-3.0-or-later
// What a gateway costs: envelopes per second to a guard directly, through the gateway by POST and over one WebSocket, all
// in one run; and its memory for each browser that holds a question open. Nodes and gateway are processes of their own
// (/proc; Linux); the generator is this one.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCertificate } from '@allium/net/certificate';
import { HttpsServer } from '@allium/net/https-server';
import { HttpsTransport } from '@allium/net/https-transport';
import { systemEnv } from '@allium/net/system-env';
import { fromHex, utf8 } from '@allium/protocol/bytes';
import {
  ENTRY_PROTOCOL,
  GATEWAY_ONION_PATH,
  GATEWAY_SOCKET_PATH,
  parseEntryFrame,
  requestFrames,
} from '@allium/protocol/onion/entry';
import { buildOnion } from '@allium/protocol/onion/request';
import { startProcessDevnet } from '../src/process-devnet.ts';

const RUNS = 9;
const SECONDS = 1;
const AT_ONCE = 16;
const BROWSERS = 2_000;
const TICKS_PER_SECOND = 100;

type Post = (body: Uint8Array) => Promise<unknown>;

export async function run(): Promise<void> {
  await throughput();
  await memory();
}

async function startGateway(...seeds: string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(join(import.meta.dirname, 'gateway-process.ts'), seeds);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url };
}

async function throughput(): Promise<void> {
  await using net = await startProcessDevnet({ nodes: 4, rateLimit: false });
  const { child, url } = await startGateway(net.seed);
  const guard = net.nodes[0]!;
  const keys = { ed25519Key: fromHex(guard.ed25519, 32), x25519Key: fromHex(guard.x25519, 32) };
  const { body } = buildOnion({
    ...{ path: [], direct: true, destination: { kind: 'node', ...keys }, padded: true },
    payload: utf8('{"method":"info","params":{}}'),
  });
  const transport = new HttpsTransport();
  const ask = (to: string) => async (envelope: Uint8Array) => {
    const { status } = await transport.request({ url: to, body: envelope, timeoutMs: 10_000 });
    if (status !== 200) throw new Error(`status ${status}`);
  };
  const link = await openSocket(url);
  const ways: [string, Post][] = [
    ['guard directly, HTTPS', ask(`${guard.url}/onion_req/v2`)],
    ['through the gateway, POST', ask(`${url}${GATEWAY_ONION_PATH}${guard.ed25519}`)],
    ['through the gateway, one WebSocket', (envelope) => link.send(guard.ed25519, envelope)],
  ];
  const rates = new Map<string, number[]>();
  const cpu = new Map<string, number[]>();
  for (const [, post] of ways) await measure(post, body, 0.5); // warms up
  for (let i = 0; i < RUNS; i++) {
    for (const [name, post] of ways) {
      const before = cpuSeconds(child);
      const count = await measure(post, body, SECONDS);
      rates.set(name, [...(rates.get(name) ?? []), count / SECONDS]);
      cpu.set(name, [...(cpu.get(name) ?? []), ((cpuSeconds(child) - before) * 1e6) / count]);
    }
  }
  const direct = median(rates.get(ways[0]![0])!);
  console.log(
    `envelopes of ${body.length} bytes, ${AT_ONCE} at once, median of ${RUNS} runs of ${SECONDS} s`,
  );
  console.log('| way | envelopes/s | of direct | CPU of the gateway, µs each |');
  console.log('| --- | --- | --- | --- |');
  for (const [name] of ways) {
    const rate = median(rates.get(name)!);
    const share = `${((100 * rate) / direct).toFixed(0)} %`;
    const used = name === ways[0]![0] ? '–' : median(cpu.get(name)!).toFixed(0);
    console.log(`| ${name} | ${rate.toFixed(0)} | ${share} | ${used} |`);
  }
  link.close();
  transport.close();
  child.kill();
}

async function measure(post: Post, body: Uint8Array, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  let count = 0;
  const loop = async () => {
    while (performance.now() < end) {
      await post(body);
      count++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  return count;
}

async function openSocket(url: string) {
  const ws = new WebSocket(`${url.replace('http', 'ws')}${GATEWAY_SOCKET_PATH}`, ENTRY_PROTOCOL);
  ws.binaryType = 'arraybuffer';
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  ws.onmessage = ({ data }) => {
    const frame = parseEntryFrame(new Uint8Array(data as ArrayBuffer));
    const one = waiting.get(frame.id);
    waiting.delete(frame.id);
    if (frame.kind === 'answer' && frame.status === 200) one?.resolve();
    else one?.reject(new Error(JSON.stringify(frame)));
  };
  await new Promise((resolve, reject) => {
    ws.onopen = resolve;
    ws.onerror = reject;
  });
  let id = 0;
  return {
    send: (node: string, envelope: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        waiting.set(++id, { resolve, reject });
        for (const frame of requestFrames(id, node, envelope)) ws.send(frame as Uint8Array<ArrayBuffer>);
      }),
    close: () => ws.close(),
  };
}

/** Nodes that hold everything, as swarms hold questions of clients who wait for messages. */
async function memory(): Promise<void> {
  const keys = [1, 2, 3, 4].map((n) => `0${n}`.repeat(32));
  const ports: number[] = [];
  const servers = await Promise.all(
    keys.map(async () => {
      const server = new HttpsServer(
        {
          ...{ host: '127.0.0.1', port: 0, ...createCertificate() },
          ...{ connectionBurst: 1e9, connectionsPerSecond: 1e6, allConnectionsPerSecond: 1e6 },
          handler: (request) => {
            if (request.path === '/json_rpc') return { status: 200, body: listOf(keys, ports) };
            request.hold();
            return new Promise(() => {});
          },
        },
        systemEnv(),
      );
      ports.push((await server.start()).port);
      return server;
    }),
  );
  const { child, url } = await startGateway(`https://127.0.0.1:${ports[0]}`);
  const envelope = new Uint8Array(2_048).fill(7);
  const links: Awaited<ReturnType<typeof openSocket>>[] = [];
  const empty = await steadyKb(child);
  for (let i = 0; i < BROWSERS; i++) links.push(await openSocket(url));
  const connected = await steadyKb(child);
  for (const [i, link] of links.entries()) {
    link.send(keys[i % keys.length]!, envelope).catch(() => undefined);
    if (i % 100 === 99) await sleep(100);
  }
  const held = await steadyKb(child);
  const each = (kb: number) => `${(kb / BROWSERS).toFixed(1)} kB`;
  console.log('');
  console.log(
    `memory of the gateway with ${BROWSERS} browsers (plain HTTP): ${each(connected - empty)} for each WebSocket, ` +
      `${each(held - connected)} for each question that its guard holds, TLS to the guard included`,
  );
  for (const link of links) link.close();
  child.kill();
  for (const server of servers) await server.stop();
}

function listOf(keys: readonly string[], ports: readonly number[]): string {
  const states = keys.map((key, i) => ({
    ...{ pubkey_ed25519: key, pubkey_x25519: key, public_ip: '127.0.0.1', storage_port: ports[i] ?? 1 },
    requested_unlock_height: 0,
  }));
  return JSON.stringify({ jsonrpc: '2.0', id: '0', result: { service_node_states: states, height: 1 } });
}

async function steadyKb({ pid }: ChildProcess): Promise<number> {
  const read = () =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN);
  await sleep(3_000);
  return read();
}

function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
