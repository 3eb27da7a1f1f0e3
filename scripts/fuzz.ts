// SPDX-License-Identifier: MIT
// `npm run fuzz -- NAME… [--runs 1000000] [--seconds N] [--seed N] [--input HEX]`: feeds decoders with broken input.
// NAME is a target, a file of targets, or `all`; without one the targets are listed. Targets stand in
// packages/*/fuzz/*.ts, each file exporting `targets`. Inputs depend on --seed alone, so a finding can be repeated;
// --input runs one given input. Exit code 1: something was found.
//
// A target runs in a worker, which writes down each input before it runs it: so an input that never ends, or ends the
// worker, can still be named.
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

/** What is fuzzed: `run` throws only on a bug. Typed errors of bad input are caught inside. */
export type FuzzTarget = {
  run(input: Uint8Array): void;
  /** Well-formed inputs, from which others are made. */
  readonly seeds: readonly Uint8Array[];
};

export interface FuzzJob {
  /** URL of the module that exports `targets`. */
  readonly file: string;
  readonly name: string;
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Longer than this for one input is a finding. */
  readonly slowMs: number;
  /** Run this input alone. */
  readonly input?: Uint8Array;
}

export interface FuzzFinding {
  readonly kind: 'error' | 'slow' | 'hang' | 'crash';
  readonly text: string;
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly runs: number;
  readonly ms: number;
  readonly finding?: FuzzFinding;
}

export const MAX_INPUT = 1 << 16;
/** Places of the memory shared with the worker: inputs begun, length of the current one. */
export const BEGUN = 0;
export const LENGTH = 1;
export const HEADER_BYTES = 8;

/** Runs one target to its end. A worker that makes no step for ten times `slowMs` counts as hanging. */
export async function fuzz(
  job: FuzzJob,
  onProgress?: (runs: number, ms: number) => void,
): Promise<FuzzReport> {
  const shared = new SharedArrayBuffer(HEADER_BYTES + MAX_INPUT);
  const header = new Int32Array(shared, 0, 2);
  const current = () => Uint8Array.from(new Uint8Array(shared, HEADER_BYTES, Atomics.load(header, LENGTH)));
  const started = performance.now();
  const worker = new Worker(new URL('fuzz-worker.ts', import.meta.url), { workerData: { job, shared } });
  const report = (finding?: FuzzFinding): FuzzReport => ({
    runs: Atomics.load(header, BEGUN),
    ms: performance.now() - started,
    ...(finding && { finding }),
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      let seen = 0;
      let seenAt = started;
      timer = setInterval(
        () => {
          const begun = Atomics.load(header, BEGUN);
          const now = performance.now();
          if (begun !== seen) {
            seen = begun;
            seenAt = now;
          } else if (begun > 0 && now - seenAt > 10 * job.slowMs) {
            const text = `no end after ${Math.round(now - seenAt)} ms`;
            resolve(report({ kind: 'hang', text, input: current() }));
          }
          onProgress?.(begun, now - started);
        },
        Math.min(3000, 5 * job.slowMs),
      );
      worker.on('message', (finding: FuzzFinding | 'done') => {
        resolve(report(finding === 'done' ? undefined : finding));
      });
      worker.on('error', (error) => {
        if (Atomics.load(header, BEGUN) === 0) return reject(error); // the module itself does not load
        resolve(report({ kind: 'crash', text: String(error), input: current() }));
      });
      worker.on('exit', (code) => {
        resolve(report({ kind: 'crash', text: `the worker ended with code ${code}`, input: current() }));
      });
    });
  } finally {
    clearInterval(timer);
    await worker.terminate();
  }
}

interface NamedTarget {
  readonly file: string;
  readonly name: string;
}

async function findTargets(): Promise<NamedTarget[]> {
  const root = join(import.meta.dirname, '..');
  const found: NamedTarget[] = [];
  for (const path of globSync('packages/*/fuzz/*.ts', { cwd: root }).sort()) {
    const file = pathToFileURL(join(root, path)).href;
    const { targets }: { targets?: Record<string, FuzzTarget> } = await import(file);
    if (targets === undefined) throw new Error(`${path} exports no targets`);
    for (const name of Object.keys(targets)) found.push({ file, name });
  }
  return found;
}

const count = new Intl.NumberFormat('en');

function rate(runs: number, ms: number): string {
  return `${count.format(runs)} inputs in ${(ms / 1000).toFixed(1)} s, ${count.format(Math.round((runs / ms) * 1000))}/s`;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '1000000' },
      seconds: { type: 'string', default: '0' },
      seed: { type: 'string', default: '1' },
      input: { type: 'string' },
    },
  });
  const [runs, seconds, seed] = [Number(values.runs), Number(values.seconds), Number(values.seed)];
  if (![runs, seconds, seed].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    console.error('--runs, --seconds and --seed take whole numbers');
    return 2;
  }
  const all = await findTargets();
  if (positionals.length === 0) {
    for (const { file, name } of all) console.log(`${name}  (${basename(file, '.ts')})`);
    return 0;
  }
  const matches = (wanted: string) =>
    all.filter(({ file, name }) => wanted === 'all' || wanted === name || wanted === basename(file, '.ts'));
  const unknown = positionals.find((wanted) => matches(wanted).length === 0);
  if (unknown !== undefined) {
    console.error(`no fuzz target is named ${unknown}; run without a name for a list`);
    return 2;
  }
  let found = 0;
  for (const { file, name } of new Set(positionals.flatMap(matches))) {
    const job = {
      file,
      name,
      seed,
      runs,
      seconds,
      slowMs: 1000,
      ...(values.input !== undefined && { input: Uint8Array.from(Buffer.from(values.input, 'hex')) }),
    };
    const { finding, ...done } = await fuzz(job, (n, ms) => console.log(`  ${name}: ${rate(n, ms)}`));
    console.log(
      `${name}: ${rate(done.runs, done.ms)}, seed ${seed}: ${finding ? finding.kind : 'nothing found'}`,
    );
    if (finding === undefined) continue;
    found++;
    console.log(`${finding.text}\ninput (hex): ${Buffer.from(finding.input).toString('hex')}`);
  }
  return found > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
