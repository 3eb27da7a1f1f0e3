// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { after, differing, digestRanges, type Entry, type Read, rangeOf } from '../../src/swarm/digest.ts';

const hash = (n: number) => createHash('sha256').update(String(n)).digest();
const sorted = (entries: Entry[]) => entries.sort((a, b) => Buffer.compare(a.key, b.key));
const entries = (count: number) =>
  sorted(Array.from({ length: count }, (_, n) => ({ key: hash(n), value: n })));

/** `step`: fewer rows at once than are asked for, as when rows of others are left out. */
const reader =
  (all: readonly Entry[], step = Number.POSITIVE_INFINITY): Read =>
  (from, to, limit) => {
    const rest = all.filter(({ key }) => Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0);
    const found = rest.slice(0, Math.min(step, limit));
    return { entries: found, next: found.length === rest.length ? undefined : after(found.at(-1)!.key) };
  };
const none: Uint8Array = new Uint8Array(0);
const pause = async () => undefined;
const all = (read: Read, prefix: Uint8Array = none, max = Number.POSITIVE_INFINITY) =>
  digestRanges(read, prefix, 0, 256, max, pause);

describe('digests of ranges (spec/storage-server §5.13)', () => {
  test('are of 16 bytes and a count each, and do not depend on the steps', async () => {
    const held = entries(2000);
    const whole = await all(reader(held));
    expect(whole).toMatchObject({ entries: 2000, bytes: { length: 256 * 20 } });
    expect((await all(reader(held, 7))).bytes.equals(whole.bytes)).toBe(true);
    const first = held.filter(({ key }) => key[0] === 0);
    const text = first.map(({ key, value }) => {
      const time = Buffer.alloc(6);
      time.writeUIntBE(value, 0, 6);
      return Buffer.concat([key, time]);
    });
    const digest = createHash('sha256').update(Buffer.concat(text)).digest().subarray(0, 16);
    expect(whole.bytes.subarray(0, 16)).toEqual(digest);
    expect(whole.bytes.readUInt32BE(16)).toBe(first.length);
  });

  test('show where a key or a value differs, at every depth', async () => {
    const held = entries(500);
    const changed = held.map((entry, i) => (i === 77 ? { ...entry, value: 9999 } : entry));
    const shorter = changed.filter((_, i) => i !== 400);
    const own = await all(reader(held));
    const places = [held[77]!.key[0]!, held[400]!.key[0]!];
    const found = differing(own.bytes, (await all(reader(shorter))).bytes);
    expect(found.map(({ index }) => index)).toEqual(places);
    const prefix = held[400]!.key.subarray(0, 1);
    const deeper = differing(
      (await all(reader(held), prefix)).bytes,
      (await all(reader(shorter), prefix)).bytes,
    );
    expect(deeper).toEqual([{ index: held[400]!.key[1], entries: 1 }]);
    expect(differing(own.bytes, own.bytes)).toEqual([]);
  });

  test('stop when it is too much at once, and go on from there to the same', async () => {
    const read = reader(entries(3000));
    const whole = await all(read);
    let bytes = Buffer.alloc(0);
    let calls = 0;
    while (bytes.length < whole.bytes.length) {
      const at = bytes.length / 20;
      const part = await digestRanges(read, none, at, 256 - at, 500, pause);
      expect(part.bytes.length).toBeGreaterThan(0);
      bytes = Buffer.concat([bytes, part.bytes]);
      calls++;
    }
    expect(bytes.equals(whole.bytes)).toBe(true);
    expect(calls).toBeGreaterThan(3);
  });

  test('of nothing are those of nothing; the last range ends with the last key', async () => {
    const { bytes } = await all(reader([]));
    expect(bytes.subarray(0, 16)).toEqual(createHash('sha256').digest().subarray(0, 16));
    expect(rangeOf(Buffer.from('01ff', 'hex'))).toEqual({
      from: Buffer.from('01ff', 'hex'),
      to: Buffer.from('02', 'hex'),
    });
    const { to } = rangeOf(Buffer.from('ff', 'hex'));
    expect(Buffer.compare(Buffer.alloc(32, 255), to)).toBeLessThan(0);
  });
});
