// SPDX-License-Identifier: MIT
// The fuzz runner finds what it is there to find.
import { expect, test } from 'vitest';
import { type FuzzJob, fuzz } from '../fuzz.ts';

const file = new URL('fixtures/fuzz-targets.ts', import.meta.url).href;
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
function job(name: string, options: Partial<FuzzJob> = {}): FuzzJob {
  return { file, name, seed: 1, runs: 20_000, seconds: 0, slowMs: 1000, ...options };
}

test('a sound target is run as often as asked', async () => {
  const report = await fuzz(job('sound', { runs: 3000 }));
  expect(report).toMatchObject({ runs: 3000 });
  expect(report.finding).toBeUndefined();
});

test('an untyped error is found with its input, and again with the same seed', async () => {
  const first = await fuzz(job('broken'));
  expect(first.finding).toMatchObject({ kind: 'error', text: expect.stringContaining('RangeError: four') });
  expect(text(first.finding?.input)).toContain('4:value');
  const second = await fuzz(job('broken'));
  expect(second.runs).toBe(first.runs);
  expect(second.finding?.input).toEqual(first.finding?.input);
  const other = await fuzz(job('broken', { seed: 2 }));
  expect(other.runs).not.toBe(first.runs);
});

test('one given input is run alone', async () => {
  const report = await fuzz(job('broken', { input: new TextEncoder().encode('4:value') }));
  expect(report).toMatchObject({ runs: 1, finding: { kind: 'error' } });
});

test('an input that never ends is named', async () => {
  const { finding } = await fuzz(job('endless', { slowMs: 30 }));
  expect(finding?.kind).toBe('hang');
  expect(text(finding?.input)).toMatch(/^d.{0,8}$/s);
});

test('an input that takes too long is named', async () => {
  const { finding, runs } = await fuzz(job('slow', { slowMs: 30 }));
  expect(finding).toMatchObject({ kind: 'slow' });
  expect(runs).toBe(1);
});

test('an input that ends the worker is named', async () => {
  const { finding, runs } = await fuzz(job('fatal'));
  expect(finding).toMatchObject({ kind: 'crash', text: 'the worker ended with code 3' });
  expect(text(finding?.input)).toBe('d3:key5:valuee');
  expect(runs).toBe(1);
});

test('a file without the target is an error of the caller', async () => {
  await expect(fuzz({ ...job('sound'), file: `${file}.missing` })).rejects.toThrow();
});
