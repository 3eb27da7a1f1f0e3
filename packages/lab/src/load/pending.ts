// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- pending`: what held requests (spec/storage-server §2.9.2 `wait`) cost the member that holds them and
// the guard that relays them, beside what the TLS connections cost.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Account } from '@allium/protocol/account';
import { fromHex, fromUtf8 } from '@allium/protocol/bytes';
import type { ReplyKey } from '@allium/protocol/onion/layer';
import { buildOnion, openFinalReply } from '@allium/protocol/onion/request';
import { MAX_WAIT_MS } from '@allium/protocol/storage/request-reader';
import { encodeJsonBody } from '@allium/protocol/storage/request-writer';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { signRequest } from '@allium/protocol/storage/signatures';
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from '../process-devnet.ts';
import { HonestClients } from './honest.ts';
import { KeptConnection } from './kept-connection.ts';

export interface PendingOptions {
  readonly count: number;
}

/** Ours: below the number of connections that a node takes from one address. */
const CONNECTIONS_PER_ADDRESS = 1_000;
const AT_ONCE = 64;
const HONEST_CLIENTS = 24;
const HONEST_SECONDS = 5;
/** A node closes idle connections after a minute. */
const IDLE_CLOSE_MS = 75_000;
const INFO = Buffer.from('{"method":"info","params":{}}');
/** A held request is one that came back no earlier. */
const HELD_MS = 1_000;
/** For what was sent to be held, and for memory to settle. */
const SETTLE_MS = 3_000;

export async function runPending(options: PendingOptions, print: (line: string) => void): Promise<void> {
  const { count } = options;
  print('| what | requests held | kB per TLS connection | kB per held request |');
  print('| --- | --- | --- | --- |');
  await using net = await startProcessDevnet({ swarms: [2], rateLimit: false });
  const [guard, member] = net.nodes as [ProcessNode, ProcessNode];
  const accounts = Array.from({ length: count }, () => Account.create());

  // First the guard: onions over it to the other node, which holds them and has no connection of the clients.
  const empty = rssKb(guard);
  const connections = await openAll(guard, count);
  const connected = await steady(guard);
  const ask = (waitMs: number) =>
    everywhere(guard, connections, (connection, i) => {
      const account = accounts[i]!;
      const { body, replyKey } = buildOnion({
        path: [keysOf(guard)],
        destination: { kind: 'node', ...keysOf(member) },
        payload: pollOf(account, waitMs),
        padded: true,
      });
      return { answer: connection.post('/onion_req/v2', body), read: (bytes) => openReply(bytes, replyKey) };
    });
  // The same requests, not held: what they leave behind is not what is asked for.
  await ask(0);
  const [guardBefore, memberBefore] = [await steady(guard), await steady(member)];
  const relayed = await ask(MAX_WAIT_MS);
  const [guardAfter, memberAfter] = [await steady(guard), await steady(member)];
  const held = await relayed.held();
  for (const connection of connections) connection.close();
  const row = (what: string, n: number, tls: string, kb: number) =>
    print(`| ${what} | ${n} | ${tls} | ${(kb / n).toFixed(1)} |`);
  row('guard', held, ((connected - empty) / count).toFixed(1), guardAfter - guardBefore);
  row('member, over onions', held, '-', memberAfter - memberBefore);

  await direct(net, accounts, row);
  print('');
  await idle(net, count, print);
}

/** Connections on which one request was answered and nothing comes any more: memory, and what others still get. */
async function idle(net: ProcessDevnet, count: number, print: (line: string) => void): Promise<void> {
  const [node] = net.nodes as [ProcessNode];
  await node.restart();
  await using honest = await HonestClients.start(node, HONEST_CLIENTS);
  const before = await honest.count(HONEST_SECONDS);
  const empty = rssKb(node);
  const connections: KeptConnection[] = [];
  while (connections.length < count) {
    const next = Array.from({ length: Math.min(AT_ONCE, count - connections.length) }, async (_, i) => {
      const connection = await open(node, connections.length + i);
      await connection.post('/storage_rpc/v1', INFO);
      return connection;
    });
    connections.push(...(await Promise.all(next)));
  }
  const isOpen = () => connections.filter((connection) => !connection.isClosed).length;
  const beside = await honest.count(HONEST_SECONDS);
  const held = isOpen();
  const kb = (rssKb(node) - empty) / held;
  const perCpu = ({ figures, cpu }: typeof before) => figures.perSecond / cpu;
  print('| idle connections | kB each | honest/s without | with | by node CPU | failed |');
  print('| --- | --- | --- | --- | --- | --- |');
  const [a, b] = [before.figures, beside.figures];
  print(
    `| ${held} | ${kb.toFixed(1)} | ${a.perSecond.toFixed(0)} | ${b.perSecond.toFixed(0)} | ` +
      `${(perCpu(beside) / perCpu(before)).toFixed(2)} | ${b.failed} |`,
  );
  const began = performance.now();
  while (isOpen() > 0 && performance.now() - began < IDLE_CLOSE_MS) await sleep(250);
  print(`left after ${((performance.now() - began) / 1000).toFixed(0)} s more: ${isOpen()}`);
  for (const connection of connections) connection.close();
}

/** Held by the node that the clients are connected to. */
async function direct(
  net: ProcessDevnet,
  accounts: readonly Account[],
  row: (what: string, n: number, tls: string, kb: number) => void,
): Promise<void> {
  const [, member] = net.nodes as [ProcessNode, ProcessNode];
  await member.restart();
  const empty = rssKb(member);
  const connections = await openAll(member, accounts.length);
  const connected = await steady(member);
  const ask = (waitMs: number) =>
    everywhere(member, connections, (connection, i) => ({
      answer: connection.post('/storage_rpc/v1', pollOf(accounts[i]!, waitMs)),
      read: (bytes) => firstOf(fromUtf8(bytes)),
    }));
  await ask(0);
  const before = await steady(member);
  const asked = await ask(MAX_WAIT_MS);
  const after = await steady(member);
  const held = await asked.held();
  for (const connection of connections) connection.close();
  row('member, over HTTPS', held, ((connected - empty) / accounts.length).toFixed(1), after - before);
}

interface Asked {
  readonly answer: Promise<Uint8Array>;
  read(bytes: Uint8Array): { readonly waited?: number };
}

/** Sends one request over each connection, a few in a row; those that are answered at once are waited for. */
async function everywhere(
  node: ProcessNode,
  connections: KeptConnection[],
  ask: (connection: KeptConnection, index: number) => Asked,
): Promise<{ held(): Promise<number> }> {
  const results: Promise<boolean>[] = [];
  for (let i = 0; i < connections.length; i += AT_ONCE) {
    // On a slow machine the node has closed some that were idle for too long.
    for (let j = i; j < Math.min(i + AT_ONCE, connections.length); j += 1) {
      if (connections[j]!.isClosed) connections[j] = await open(node, j);
    }
    const some = connections.slice(i, i + AT_ONCE).map((connection, j) => {
      const { answer, read } = ask(connection, i + j);
      return answer.then((bytes) => (read(bytes).waited ?? 0) >= HELD_MS);
    });
    results.push(...some);
    await Promise.race([Promise.all(some), sleep(AT_ONCE / 2)]);
  }
  return { held: async () => (await Promise.all(results)).filter(Boolean).length };
}

function pollOf(account: Account, wait: number): Uint8Array {
  const request = {
    method: 'retrieve',
    account: parseAccountPubkey(account.id),
    namespace: 0,
    maxSize: -2,
    wait,
    timestamp: Date.now(),
  } as const;
  return encodeJsonBody({ method: 'batch', requests: [signRequest(request, account)] });
}

function openReply(bytes: Uint8Array, replyKey: ReplyKey): { waited?: number } {
  return firstOf(openFinalReply(bytes, replyKey)?.body ?? '{}');
}

/** Of the results of a batch. */
function firstOf(json: string): { waited?: number } {
  const { results } = JSON.parse(json) as { results?: { body: { waited?: number } }[] };
  return results?.[0]?.body ?? {};
}

const keysOf = (node: ProcessNode) => ({
  ed25519Key: fromHex(node.ed25519, 32),
  x25519Key: fromHex(node.x25519, 32),
});

function open(node: ProcessNode, index: number): Promise<KeptConnection> {
  const n = 2 + Math.floor(index / CONNECTIONS_PER_ADDRESS);
  return KeptConnection.open(node, `127.9.${n >> 8}.${n & 255}`);
}

async function openAll(node: ProcessNode, count: number): Promise<KeptConnection[]> {
  const connections: KeptConnection[] = [];
  while (connections.length < count) {
    const next = Array.from({ length: Math.min(AT_ONCE, count - connections.length) }, (_, i) =>
      open(node, connections.length + i),
    );
    connections.push(...(await Promise.all(next)));
  }
  return connections;
}

/** Resident memory once it has settled. */
async function steady(node: ProcessNode): Promise<number> {
  await sleep(SETTLE_MS);
  return rssKb(node);
}

function rssKb(node: ProcessNode): number {
  const status = readFileSync(`/proc/${node.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN);
}
