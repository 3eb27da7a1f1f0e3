// SPDX-License-Identifier: MIT
// The worker of fuzz.ts: makes inputs out of a target's seeds and runs them.
import { parentPort, workerData } from 'node:worker_threads';
import {
  BEGUN,
  type FuzzFinding,
  type FuzzJob,
  type FuzzTarget,
  HEADER_BYTES,
  LENGTH,
  MAX_INPUT,
} from './fuzz.ts';

type Below = (below: number) => number;
type Bytes = Uint8Array<ArrayBuffer>;

const { job, shared }: { job: FuzzJob; shared: SharedArrayBuffer } = workerData;
const header = new Int32Array(shared, 0, 2);
const record = new Uint8Array(shared, HEADER_BYTES);

/** sfc32: the same inputs for the same seed and name everywhere. */
function generator(seed: number, name: string): Below {
  let [a, b, c, d] = [seed | 0, (seed / 2 ** 32) | 0, 0x9e3779b9 | 0, 1];
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return (t >>> 0) / 2 ** 32;
  };
  for (const letter of name) {
    c = (c ^ letter.charCodeAt(0)) | 0;
    next();
  }
  for (let i = 0; i < 15; i++) next();
  return (below) => Math.floor(next() * below);
}

/** Bytes that mean something to some decoder. */
const MEANINGFUL = new Uint8Array([
  ...new TextEncoder().encode('{}[]",:ilde0919-+.=/\\ AZaz\n'),
  0,
  1,
  127,
  128,
  255,
]);
const NUMBERS = [
  '0',
  '-1',
  '1',
  '00',
  '9007199254740992',
  '18446744073709551615',
  '18446744073709551616',
  '1e999',
];

/** A new input: a seed with one to four changes, or now and then noise. */
function makeInput(seeds: readonly Uint8Array[], below: Below): Uint8Array {
  if (seeds.length === 0 || below(50) === 0) return noise(below(200), below);
  let bytes = Uint8Array.from(seeds[below(seeds.length)]!);
  for (let left = 1 + below(4); left > 0; left--) bytes = changed(bytes, seeds, below);
  return bytes.subarray(0, MAX_INPUT);
}

function noise(length: number, below: Below): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => below(256));
}

function changed(bytes: Bytes, seeds: readonly Uint8Array[], below: Below): Bytes {
  const at = below(bytes.length + 1);
  const span = 1 + below(below(8) === 0 ? 64 : 4);
  const meaningful = MEANINGFUL[below(MEANINGFUL.length)]!;
  switch (below(10)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = meaningful;
      return bytes;
    case 2:
      return replaced(bytes, at, 0, noise(span, below));
    case 3:
      return replaced(bytes, at, 0, Uint8Array.of(meaningful));
    case 4:
      return replaced(bytes, at, span);
    case 5: // truncated
      return bytes.slice(0, at);
    case 6: // a part doubled, sometimes often: nesting
      return repeated(bytes, at, span, below(20) === 0 ? 200 : 1);
    case 7: {
      const other = seeds[below(seeds.length)]!;
      const from = below(other.length + 1);
      const part = other.subarray(from, from + below(other.length - from + 1));
      return replaced(bytes, at, below(bytes.length - at + 1), part);
    }
    case 8:
      return renumbered(bytes, at, below);
    default: // a part moved
      return replaced(bytes, at, 0, bytes.slice(below(bytes.length + 1)).subarray(0, span));
  }
}

function replaced(
  bytes: Bytes,
  at: number,
  removed: number,
  inserted: Uint8Array = new Uint8Array(0),
): Bytes {
  const tail = bytes.subarray(at + removed);
  const next = new Uint8Array(at + inserted.length + tail.length);
  next.set(bytes.subarray(0, at));
  next.set(inserted, at);
  next.set(tail, at + inserted.length);
  return next;
}

function repeated(bytes: Bytes, at: number, span: number, times: number): Bytes {
  const part = bytes.slice(at, at + span);
  const many = new Uint8Array(part.length * times);
  for (let i = 0; i < times; i++) many.set(part, i * part.length);
  return replaced(bytes, at, 0, many);
}

/** Lengths and numbers in text: the next run of digits becomes another. */
function renumbered(bytes: Bytes, from: number, below: Below): Bytes {
  const isDigit = (i: number) => bytes[i]! >= 0x30 && bytes[i]! <= 0x39;
  let start = from;
  while (start < bytes.length && !isDigit(start)) start++;
  let end = start;
  while (end < bytes.length && isDigit(end)) end++;
  if (start === end) return bytes;
  const old = Number(String.fromCharCode(...bytes.subarray(start, Math.min(end, start + 15))));
  const text = NUMBERS[below(2 * NUMBERS.length)] ?? String(Math.max(0, old + below(5) - 2));
  return replaced(bytes, start, end - start, new TextEncoder().encode(text));
}

function runOne(target: FuzzTarget, input: Uint8Array): FuzzFinding | undefined {
  record.set(input.subarray(0, MAX_INPUT));
  Atomics.store(header, LENGTH, Math.min(input.length, MAX_INPUT));
  Atomics.add(header, BEGUN, 1);
  const copy = Uint8Array.from(input);
  const started = performance.now();
  try {
    target.run(input);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
    return { kind: 'error', text, input: copy };
  }
  const ms = performance.now() - started;
  if (ms > job.slowMs) {
    // Once more: on a busy machine the first time may have been spent waiting.
    const again = performance.now();
    target.run(Uint8Array.from(copy));
    const secondMs = performance.now() - again;
    if (secondMs > job.slowMs) return { kind: 'slow', text: `${Math.round(secondMs)} ms`, input: copy };
  }
  return undefined;
}

function run(target: FuzzTarget): FuzzFinding | undefined {
  if (job.input !== undefined) return runOne(target, job.input);
  for (const seed of target.seeds) {
    const finding = runOne(target, Uint8Array.from(seed));
    if (finding !== undefined) return finding;
  }
  const below = generator(job.seed, job.name);
  const end = job.seconds > 0 ? performance.now() + 1000 * job.seconds : Number.POSITIVE_INFINITY;
  for (let n = target.seeds.length; n < job.runs; n++) {
    const finding = runOne(target, makeInput(target.seeds, below));
    if (finding !== undefined) return finding;
    if (n % 256 === 0 && performance.now() > end) break;
  }
  return undefined;
}

const { targets }: { targets: Record<string, FuzzTarget> } = await import(job.file);
parentPort!.postMessage(run(targets[job.name]!) ?? 'done');
