// SPDX-License-Identifier: AGPL-3.0-or-later
// Attachments up and down through three hops on loopback: nodes, file server and client are processes of their own.
// Seconds of the client's call, and CPU of each party (/proc/PID/stat; Linux).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
/** Of the kernel's clock of processes. */
const TICKS_PER_SECOND = 100;

interface Sample {
  readonly seconds: number;
  readonly client: number;
  readonly nodes: number;
  readonly server: number;
}

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-files-bench-'));
  const child = fork(join(import.meta.dirname, 'file-server-process.ts'), [folder]);
  try {
    await using net = await startProcessDevnet({
      ...{ nodes: 8, rateLimit: false },
      arguments: ['--relay-exempt-ranges', '127.0.0.0/8'],
    });
    const [at] = (await once(child, 'message')) as [{ url: string; ed25519Hex: string }];
    await using client = await openClient({
      ...{ account: Account.create(), seeds: [net.seed], fileServers: [at], receive: false },
    });
    await client.ready();
    const pids = net.nodes.map(({ pid }) => pid);
    const measure = measurer(pids, child.pid ?? 0);
    console.log(`median of ${RUNS}; CPU in seconds`);
    console.log('| what | seconds | MB/s | CPU client | CPU nodes | CPU server |');
    console.log('| --- | --- | --- | --- | --- | --- |');
    for (const size of SIZES) await measureSize(size, client, measure);
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureSize(
  size: number,
  client: Client,
  measure: ReturnType<typeof measurer>,
): Promise<void> {
  const ups: Sample[] = [];
  const downs: Sample[] = [];
  for (let i = 0; i <= RUNS; i++) {
    const data = randomBytes(size);
    let pointer: AttachmentPointer | undefined;
    const up = await measure(async () => {
      pointer = await client.files.upload(data);
    });
    let fetched: Uint8Array | undefined;
    const down = await measure(async () => {
      fetched = pointer && (await client.files.download(pointer));
    });
    if (fetched === undefined || Buffer.compare(fetched, data) !== 0) throw new Error('not the same file');
    if (i === 0) continue; // warms up
    ups.push(up);
    downs.push(down);
  }
  print(`${size / 1e6} MB up`, size, ups);
  print(`${size / 1e6} MB down`, size, downs);
}

function print(what: string, size: number, samples: readonly Sample[]): void {
  const median = (of: (sample: Sample) => number) =>
    [...samples].map(of).sort((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;
  const seconds = median((sample) => sample.seconds);
  const cpu = (['client', 'nodes', 'server'] as const).map((party) => median((s) => s[party]).toFixed(2));
  console.log(
    `| ${what} | ${seconds.toFixed(2)} | ${(size / 1e6 / seconds).toFixed(1)} | ${cpu.join(' | ')} |`,
  );
}

function measurer(nodes: readonly number[], server: number) {
  const sum = (pids: readonly number[]) => pids.reduce((total, pid) => total + cpuSeconds(pid), 0);
  return async (work: () => Promise<void>): Promise<Sample> => {
    const before = [sum([process.pid]), sum(nodes), sum([server])] as const;
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1000;
    const [client, ofNodes, ofServer] = [sum([process.pid]), sum(nodes), sum([server])];
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
