// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- memory`: what a million messages cost one node in memory, on disk and at start.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Account } from '@allium/protocol/account';
import reference from '../../load/reference.json' with { type: 'json' };
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from '../process-devnet.ts';
import { newAgent, post } from './post.ts';
import { median } from './ssbench.ts';

export interface MemoryOptions {
  readonly messages: number;
  /** Restarts per state; the median is told. */
  readonly runs: number;
}

const MESSAGE_BYTES = 512;
const ACCOUNTS = 1_000;
/** From the specification: a batch holds at most 20 requests (spec/storage-server §2.9.15). */
const BATCH = 20;
const IN_FLIGHT = 8;
/** Ours: after this time a restarted node has done its first chores, and its memory is steady. */
const SETTLE_MS = 3_000;

interface State {
  readonly startMs: number;
  readonly rssMb: number;
}

export async function runMemory(options: MemoryOptions, print: (line: string) => void): Promise<void> {
  await using net = await startProcessDevnet({ nodes: 1, rateLimit: false });
  const node = net.nodes[0] as ProcessNode;
  const empty = await restarts(node, options.runs);
  print(`restarted empty: ${empty.rssMb.toFixed(1)} MB, first answer after ${empty.startMs.toFixed(0)} ms`);

  const began = performance.now();
  await fill(node, options.messages, print);
  const seconds = (performance.now() - began) / 1000;
  const loaded = rssMb(node.pid);
  const peak = rssMb(node.pid, 'VmHWM');
  const loadRate = options.messages / seconds;
  print(
    `loaded ${options.messages} messages in ${seconds.toFixed(0)} s (${loadRate.toFixed(0)}/s, batches of ${BATCH})`,
  );

  const full = await restarts(node, options.runs);
  await node.stop();
  const bytes = diskBytes(net, node);
  const ref = reference.memory;
  print('');
  print('| what | ours | reference |');
  print('| --- | --- | --- |');
  print(`| restarted empty, MB resident | ${empty.rssMb.toFixed(1)} | ${ref.restartedEmptyMb.toFixed(1)} |`);
  print(
    `| restarted with ${options.messages} messages | ${full.rssMb.toFixed(1)} | ${ref.restartedFullMb.toFixed(1)} |`,
  );
  const growth = full.rssMb - empty.rssMb;
  print(`| difference | ${growth.toFixed(1)} | ${(ref.restartedFullMb - ref.restartedEmptyMb).toFixed(1)} |`);
  print(`| after the load, not restarted | ${loaded.toFixed(1)} | 34.7 |`);
  print(`| peak during the load | ${peak.toFixed(1)} | ${ref.peakMb.toFixed(1)} |`);
  print(
    `| bytes on disk per ${MESSAGE_BYTES} B message | ${(bytes / options.messages).toFixed(0)} | ${ref.bytesPerMessage} |`,
  );
  print(`| start to first answer, empty, ms | ${empty.startMs.toFixed(0)} | ${ref.startEmptyMs} |`);
  print(`| start to first answer, full, ms | ${full.startMs.toFixed(0)} | ${ref.startFullMs} |`);
}

async function restarts(node: ProcessNode, runs: number): Promise<State> {
  const states: State[] = [];
  for (let i = 0; i < runs; i += 1) {
    await node.stop();
    const began = performance.now();
    await node.start();
    const startMs = performance.now() - began;
    await sleep(SETTLE_MS);
    states.push({ startMs, rssMb: rssMb(node.pid) });
  }
  return {
    startMs: median(states.map((state) => state.startMs)),
    rssMb: median(states.map((state) => state.rssMb)),
  };
}

async function fill(node: ProcessNode, messages: number, print: (line: string) => void): Promise<void> {
  const accounts = Array.from({ length: ACCOUNTS }, () => Account.create().id);
  const agent = newAgent(IN_FLIGHT);
  let begun = 0;
  let stored = 0;
  let shown = 0;
  const worker = async () => {
    while (begun < messages) {
      const first = begun;
      begun = Math.min(messages, begun + BATCH);
      const requests: unknown[] = [];
      for (let n = first; n < begun; n += 1) {
        const data = randomBytes(MESSAGE_BYTES).toString('base64');
        const params = { pubkey: accounts[n % ACCOUNTS], timestamp: Date.now(), ttl: 86_400_000, data };
        requests.push({ method: 'store', params });
      }
      const body = JSON.stringify({ method: 'batch', params: { requests } });
      const answer = await post(node, '/storage_rpc/v1', body, { agent });
      const results = JSON.parse(answer.body.toString()).results as { code: number }[] | undefined;
      if (
        answer.status !== 200 ||
        results?.length !== requests.length ||
        results.some(({ code }) => code !== 200)
      ) {
        throw new Error(`the node refused a batch: ${answer.status} ${answer.body.toString().slice(0, 200)}`);
      }
      stored += requests.length;
      if (stored - shown >= messages / 10) {
        shown = stored;
        print(`  ${stored} stored, ${rssMb(node.pid).toFixed(0)} MB`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  } finally {
    agent.destroy();
  }
}

function diskBytes(net: ProcessDevnet, node: ProcessNode): number {
  const folder = join(net.folder, 'nodes', node.name);
  return readdirSync(folder)
    .filter((name) => name.startsWith('mailbox.sqlite'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function rssMb(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) / 1024;
}
