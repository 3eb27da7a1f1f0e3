// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blake2b } from '#crypto';
import { zstdCompress, zstdDecompress } from '#zstd';
import { concat, fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { outputBound } from '../../src/zstd/frame.ts';

const LIMIT = 1_000_000;
const TEXT = utf8('the same words, the same words, the same words and the same words again');

test('compresses to the same bytes in Node and in browsers', () => {
  // Both projects of the test runner hold their bytes against these, which Node 24 made.
  expect(toHex(zstdCompress(TEXT))).toBe(
    '28b52ffd20471d0100d07468652073616d6520776f7264732c2020616e6420616761696e02004675c4887309',
  );
  const rows = Array.from({ length: 3000 }, (_, i) =>
    concat(utf8('33:'), blake2b(utf8(`${i}`), 32), utf8(`d1:ji${i * 7919}e1:n5:name${i % 10}e`)),
  );
  expect(toHex(blake2b(zstdCompress(concat(...rows)), 32))).toBe(
    'a9f29af3120b31eed53ed9fb0c0c670a6418b080b6c5b9643126e54147a25cd5',
  );
});

test('what was compressed comes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(40), (bytes, repeats) => {
      const content = concat(...Array.from({ length: repeats }, () => bytes));
      const frame = zstdCompress(content);
      expect(outputBound(frame, LIMIT)).toBe(content.length);
      expect(zstdDecompress(frame, LIMIT)).toEqual(content);
    }),
    { numRuns: 30 },
  );
});

describe('refuses', () => {
  const frame = zstdCompress(TEXT);
  const bomb = zstdCompress(new Uint8Array(LIMIT + 1));

  test.each([
    ['no frame', utf8('not zstd at all')],
    ['nothing', new Uint8Array(0)],
    ['more output than allowed', bomb],
    ['bytes after the frame', concat(frame, new Uint8Array(1))],
    ['two frames', concat(frame, frame)],
    ['an announced size that is absurd', fromHex('28b52ffde0ffffffffffffff0f010000')],
    ['an announced size that is not so', Uint8Array.from(frame, (byte, i) => (i === 5 ? byte - 1 : byte))],
    // No announced size, a window of 512 MiB.
    ['a window that is absurd', fromHex('28b52ffd0098010000')],
    ['a dictionary', fromHex('28b52ffd210100010000')],
  ])('%s', (_, bytes) => {
    expect(zstdDecompress(bytes, LIMIT)).toBeUndefined();
  });

  test('every beginning of a frame', () => {
    for (let i = 0; i < frame.length; i++)
      expect(zstdDecompress(frame.subarray(0, i), LIMIT)).toBeUndefined();
  });
});

test('a frame that does not announce its size is bounded by its blocks', () => {
  // Window 1 kB, one RLE block of 1000 zeros.
  const frame = fromHex('28b52ffd0000431f0000');
  expect(outputBound(frame, LIMIT)).toBe(1000);
  expect(zstdDecompress(frame, LIMIT)).toEqual(new Uint8Array(1000));
  expect(zstdDecompress(frame, 999)).toBeUndefined();
});
