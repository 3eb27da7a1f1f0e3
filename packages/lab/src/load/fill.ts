// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- fill`: how fast a node that joins a swarm gets the messages of its accounts from the member that has them,
// beside what SQLite and a loopback connection do with the same rows and bytes.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { freePorts } from '@allium/net/free-ports';
import { Account } from '@allium/protocol/account';
import { fromHex } from '@allium/protocol/bytes';
import {
  changeStaticList,
  encodeStaticList,
  parseStaticList,
  type StaticList,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { messageHash } from '@allium/protocol/message-hash';
import { Database } from '@allium/service-node/database';
import { openLayout, readAdmin } from '../layout.ts';
import { ProcessNode } from '../process-devnet.ts';

export interface FillOptions {
  readonly messages: number;
  /** Members that have them all; default 1. */
  readonly members?: number;
}

const MAILBOX = 'mailbox.sqlite';
const MESSAGE_BYTES = 512;
const PER_ACCOUNT = 100;
const TTL_MS = 7 * 86_400_000;
/** Rows of one transaction where only SQLite is measured. */
const BULK_ROWS = 2_000;
/** Ours: a fill that takes longer has come to a halt. */
const LIMIT_MS = 600_000;
const POLL_MS = 100;
const SETTLE_MS = 3_000;
/** Of one write where only the connection is measured. */
const CHUNK_BYTES = 500_000;

export interface FillResult {
  readonly messages: number;
  readonly seconds: number;
  /** By all members that had them. */
  readonly bytes: number;
  readonly senderCpuMs: number;
  readonly receiverCpuMs: number;
  /** How long the receiver was ready to work and had no processor, because others had them. */
  readonly waitedSeconds: number;
  /** The same rows into the same tables, nothing else. */
  readonly sqliteSeconds: number;
  /** The same bytes through one connection, nothing else. */
  readonly tcpSeconds: number;
}

/** Real processes: one or more hold the messages, one joins. @throws Error when a message does not come */
export async function runFill(options: FillOptions, print: (line: string) => void): Promise<FillResult> {
  const { members = 1 } = options;
  const layout = await openLayout({ swarms: [members + 1] });
  const metricsPorts = await freePorts(members + 1, '127.0.0.1');
  const nodes = layout.nodes.map((node, i) => {
    const metrics = ['--metrics-port', String(metricsPorts[i])];
    return new ProcessNode(node, ['--network-file', layout.networkFile], {
      logLevel: 'error',
      arguments: metrics,
    });
  });
  const holders = nodes.slice(0, -1);
  const [holder, joiner] = [holders[0] as ProcessNode, nodes.at(-1) as ProcessNode];
  const joinerPort = metricsPorts.at(-1) as number;
  try {
    const both = parseStaticList(readFileSync(layout.networkFile));
    const change = (list: StaticList, what: 'add' | 'remove') => {
      const { ed25519, host, port: httpsPort, omqPort, swarm } = joiner;
      const node = { ed25519Hex: ed25519, host, httpsPort, omqPort, swarmId: BigInt(`0x${swarm}`) };
      const next = changeStaticList(list, {
        issued: Math.floor(Date.now() / 1000),
        expires: list.expires,
        byHand: true,
        ...(what === 'add' ? { add: [node] } : { remove: [ed25519] }),
      });
      return signStaticList(next, readAdmin(layout.folder));
    };
    const without = change(both, 'remove');
    writeFileSync(layout.networkFile, encodeStaticList(without));
    const sqliteSeconds = insertAll(join(holder.folder, MAILBOX), options.messages);
    for (const other of holders.slice(1))
      copyFileSync(join(holder.folder, MAILBOX), join(other.folder, MAILBOX));
    const where = members === 1 ? 'the mailbox of a node' : `the mailboxes of ${members} nodes`;
    print(`${options.messages} messages of ${MESSAGE_BYTES} B are in ${where}; another one joins`);
    await Promise.all(nodes.map((node) => node.start()));

    const handedOver = async () => {
      const ports = metricsPorts.slice(0, -1);
      const bytes = await Promise.all(ports.map((port) => metric(port, 'allium_handed_over_bytes_total')));
      return bytes.reduce((sum, one) => sum + one, 0);
    };
    const bytesBefore = await handedOver();
    const cpuBefore = nodes.map(({ pid }) => cpuSeconds(pid));
    const waitedBefore = waitedSeconds(joiner.pid);
    writeFileSync(join(holder.folder, 'network.json'), encodeStaticList(change(without, 'add')));
    const joined = (name: string) => metric(joinerPort, name);
    const began = await waitFor(async () => (await joined('allium_membership_version')) === 3);
    await waitFor(async () => (await joined('allium_messages_received_total')) >= options.messages);
    const seconds = (performance.now() - began) / 1000;
    const waited = waitedSeconds(joiner.pid) - waitedBefore;
    // What others send as well comes to its end.
    let bytes = 0;
    for (let now = await handedOver(); now !== bytes; now = await handedOver()) {
      bytes = now;
      await sleep(SETTLE_MS);
    }
    bytes -= bytesBefore;
    const cpuMs = nodes.map(({ pid }, i) => ((cpuSeconds(pid) - cpuBefore[i]!) * 1000) / options.messages);
    const receiverCpuMs = cpuMs.pop() as number;
    const senderCpuMs = cpuMs.reduce((sum, one) => sum + one, 0);
    const held = countOf(join(joiner.folder, MAILBOX));
    if (held !== options.messages)
      throw new Error(`${options.messages} messages were sent, ${held} are there`);
    const tcpSeconds = await sendThrough(bytes);
    return {
      messages: held,
      seconds,
      bytes,
      senderCpuMs,
      receiverCpuMs,
      waitedSeconds: waited,
      sqliteSeconds,
      tcpSeconds,
    };
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    layout.release();
  }
}

/** Random messages of accounts with a hundred each, in the mailbox of a node that is not running; the time it took. */
function insertAll(path: string, messages: number): number {
  const database = new Database({ path });
  const account = database.prepare('INSERT INTO accounts (pubkey) VALUES (?)');
  const message = database.prepare(
    `INSERT INTO messages (account, namespace, timestamp, expiry, hash, data) VALUES (?, 0, ?, ?, ?, ?)`,
  );
  const [begin, commit] = ['BEGIN IMMEDIATE', 'COMMIT'].map((sql) => database.prepare(sql));
  const timestamp = Date.now();
  let ms = 0;
  let id: number | bigint = 0;
  let pubkey: Uint8Array = new Uint8Array(0);
  for (let first = 0; first < messages; first += BULK_ROWS) {
    const made = Array.from({ length: Math.min(BULK_ROWS, messages - first) }, (_, i) => {
      const isNew = (first + i) % PER_ACCOUNT === 0;
      if (isNew) pubkey = fromHex(Account.create().id);
      const data = randomBytes(MESSAGE_BYTES);
      return { isNew, pubkey, data, hash: messageHash(pubkey, 0, data) };
    });
    const began = performance.now();
    begin!.run();
    for (const row of made) {
      if (row.isNew) id = account.run(row.pubkey).lastInsertRowid;
      message.run(id, timestamp, timestamp + TTL_MS, row.hash, row.data);
    }
    commit!.run();
    ms += performance.now() - began;
  }
  database.close();
  return ms / 1000;
}

function countOf(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  const row = db.prepare('SELECT count(*) AS n FROM messages').get();
  db.close();
  return Number(row?.n);
}

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** When the condition was met. */
async function waitFor(condition: () => Promise<boolean>): Promise<number> {
  const end = performance.now() + LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`the messages did not come within ${LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
  return performance.now();
}

/** CPU time of a process so far: fields 14 and 15 of its `stat`, in hundredths of a second. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** How long the main thread of a process was ready and had no processor: second field of `schedstat`, in ns. */
function waitedSeconds(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e9;
}

/** Seconds for so many bytes over loopback, read by another thread. */
async function sendThrough(bytes: number): Promise<number> {
  const reader = new Worker(new URL('./tcp-sink.ts', import.meta.url), { workerData: bytes });
  const [port] = (await once(reader, 'message')) as [number];
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const done = once(reader, 'message');
  const began = performance.now();
  const chunk = randomBytes(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (!socket.write(left < chunk.length ? chunk.subarray(0, left) : chunk)) await once(socket, 'drain');
  }
  await done;
  socket.destroy();
  await reader.terminate();
  return (performance.now() - began) / 1000;
}

export function describeFill(result: FillResult): string[] {
  const { messages, seconds, bytes, senderCpuMs, receiverCpuMs, sqliteSeconds, tcpSeconds } = result;
  const waited = result.waitedSeconds;
  const rate = (s: number) => Math.round(messages / s);
  const row = (what: string, s: number) =>
    `| ${what} | ${s.toFixed(2)} | ${rate(s)} | ${(s / seconds).toFixed(2)} |`;
  return [
    '',
    '| what | seconds | messages/s | time beside the fill |',
    '| --- | --- | --- | --- |',
    row(`a joining node gets ${messages} messages`, seconds),
    row('the same rows inserted into the same tables', sqliteSeconds),
    row('the same bytes through one loopback connection', tcpSeconds),
    '',
    `bytes sent per message of ${MESSAGE_BYTES} B: ${(bytes / messages).toFixed(0)}`,
    `the receiver had to wait ${waited.toFixed(2)} s for a processor that other programs used`,
    `CPU per message: sender ${senderCpuMs.toFixed(3)} ms, receiver ${receiverCpuMs.toFixed(3)} ms`,
  ];
}
