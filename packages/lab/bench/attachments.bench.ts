// SPDX-License-Identifier: AGPL-3.0-or-later
// Attachments up and down through three hops on loopback, as messages too, beside the same bytes by HTTPS without anything between:
// nodes, file server, HTTPS server and client are processes of their own. Seconds of the client's call, and CPU of each
// party (/proc/PID/stat; Linux).
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { randomBytes } from '@allium/protocol/crypto';
import type { AttachmentPointer } from '@allium/protocol/message/content';
import { startProcessDevnet } from '../src/process-devnet.ts';

const RUNS = 5;
const SIZES = [100_000, 1_000_000, 10_000_000];
const LARGEST = 10_000_000;
/** Of the kernel's clock of processes. */
const TICKS_PER_SECOND = 100;

interface Sample {
  readonly seconds: number;
  readonly client: number;
  readonly nodes: number;
  readonly server: number;
}

type Measure = (work: () => Promise<void>) => Promise<Sample>;

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-files-bench-'));
  const start = (program: string) => fork(join(import.meta.dirname, program), [folder]);
  const children = [start('file-server-process.ts'), start('https-process.ts')] as const;
  const [files, direct] = children;
  try {
    await using net = await startProcessDevnet({
      ...{ nodes: 8, rateLimit: false },
      arguments: ['--relay-exempt-ranges', '127.0.0.0/8'],
    });
    const [[at], [port]] = (await Promise.all(children.map((child) => once(child, 'message')))) as [
      [{ url: string; ed25519Hex: string }],
      [number],
    ];
    const open = (name: string, receive: boolean) =>
      openClient({
        ...{ account: Account.create(), seeds: [net.seed], fileServers: [at], receive },
        folder: join(folder, name),
      });
    await using alice = await open('alice', false);
    await using bob = await open('bob', true);
    await Promise.all([alice.ready(), bob.ready()]);
    const pids = net.nodes.map(({ pid }) => pid);
    const measure = measurer(pids, [files, direct]);
    console.log(`median of ${RUNS}; CPU in seconds`);
    console.log('| what | seconds | MB/s | CPU client | CPU nodes | CPU server |');
    console.log('| --- | --- | --- | --- | --- | --- |');
    for (const size of SIZES) await measureSize(size, alice, measure);
    const whole = await measureMessages(alice, bob, measure);
    const plain = await measureDirect(port, measure);
    const times = (a: number, b: number) => (a / b).toFixed(1);
    console.log(
      `\nup ${times(whole.up, plain.up)} times, down ${times(whole.down, plain.down)} times the seconds of HTTPS without hops`,
    );
  } finally {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As the last column but one: median seconds. */
interface Medians {
  readonly up: number;
  readonly down: number;
}

async function repeat(
  name: string,
  size: number,
  once: (data: Uint8Array) => Promise<readonly [Sample, Sample]>,
): Promise<Medians> {
  const ups: Sample[] = [];
  const downs: Sample[] = [];
  for (let i = 0; i <= RUNS; i++) {
    const [up, down] = await once(randomBytes(size));
    if (i === 0) continue; // warms up
    ups.push(up);
    downs.push(down);
  }
  return { up: print(`${name} up`, size, ups), down: print(`${name} down`, size, downs) };
}

function measureSize(size: number, client: Client, measure: Measure): Promise<Medians> {
  return repeat(`${size / 1e6} MB`, size, async (data) => {
    let pointer: AttachmentPointer | undefined;
    const up = await measure(async () => {
      pointer = await client.files.upload(data);
    });
    let fetched: Uint8Array | undefined;
    const down = await measure(async () => {
      fetched = pointer && (await client.files.download(pointer));
    });
    check(fetched, data);
    return [up, down];
  });
}

/** From `send` until the recipient's swarm has the message; then from opening until the bytes are there. */
function measureMessages(alice: Client, bob: Client, measure: Measure): Promise<Medians> {
  const messages = bob.messages();
  return repeat(`${LARGEST / 1e6} MB in a message`, LARGEST, async (data) => {
    const up = await measure(async () => {
      await alice.conversation(bob.id).send('', { attachments: [{ data }] });
    });
    const { value: message } = await messages.next();
    if (message === undefined) throw new Error('no message');
    let fetched: Uint8Array | undefined;
    const down = await measure(async () => {
      fetched = await (await bob.files.open(message, 0)).bytes();
    });
    check(fetched, data);
    return [up, down];
  });
}

/** Over one connection that is kept. */
async function measureDirect(port: number, measure: Measure): Promise<Medians> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const ask = (method: string, body?: Uint8Array) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, method, agent }, async (response) => {
        const parts: Buffer[] = [];
        for await (const part of response) parts.push(part as Buffer);
        resolve(Buffer.concat(parts));
      });
      asked.on('error', reject);
      asked.end(body);
    });
  try {
    return await repeat(`${LARGEST / 1e6} MB, HTTPS without hops,`, LARGEST, async (data) => {
      const up = await measure(async () => {
        await ask('POST', data);
      });
      let fetched: Uint8Array | undefined;
      const down = await measure(async () => {
        fetched = await ask('GET');
      });
      check(fetched, data);
      return [up, down];
    });
  } finally {
    agent.destroy();
  }
}

function check(fetched: Uint8Array | undefined, data: Uint8Array): void {
  if (fetched === undefined || Buffer.compare(fetched, data) !== 0) throw new Error('not the same file');
}

function print(what: string, size: number, samples: readonly Sample[]): number {
  const median = (of: (sample: Sample) => number) =>
    [...samples].map(of).sort((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;
  const seconds = median((sample) => sample.seconds);
  const cpu = (['client', 'nodes', 'server'] as const).map((party) => median((s) => s[party]).toFixed(2));
  console.log(
    `| ${what} | ${seconds.toFixed(2)} | ${(size / 1e6 / seconds).toFixed(1)} | ${cpu.join(' | ')} |`,
  );
  return seconds;
}

function measurer(nodes: readonly number[], servers: readonly ChildProcess[]): Measure {
  const sum = (pids: readonly number[]) => pids.reduce((total, pid) => total + cpuSeconds(pid), 0);
  const ofServers = servers.map(({ pid = 0 }) => pid);
  const all = () => [sum([process.pid]), sum(nodes), sum(ofServers)] as const;
  return async (work) => {
    const before = all();
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1000;
    const [client, ofNodes, ofServer] = all();
    return {
      ...{ seconds, client: client - before[0], nodes: ofNodes - before[1], server: ofServer - before[2] },
    };
  };
}

/** User and system time of a process. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
