// SPDX-License-Identifier: AGPL-3.0-or-later
// Digests over ranges of keys, and how two members use them to find what differs (spec/storage-server §5.13). Keys are
// hashes, so ranges by their first bytes are of equal size whatever accounts do.
import { createHash, type Hash } from 'node:crypto';
import { DIGEST_BYTES } from '@allium/protocol/storage/reconcile';

// Ours.
/** Rows read in one go: about two milliseconds. */
const STEP_ROWS = 250;
const LONGEST_KEY = 33;
const EMPTY = createHash('sha256').digest();

/** One entry as both sides see it when they agree. */
export interface Entry {
  readonly key: Uint8Array;
  readonly value: number;
}

/** Entries from `from` on and before `to`, in the order of their keys, at most `limit`; `next`: where to go on. */
export type Read = (
  from: Uint8Array,
  to: Uint8Array,
  limit: number,
) => { entries: Entry[]; next: Uint8Array | undefined };

/** The first key of the range, and the first one behind it. */
export function rangeOf(prefix: Uint8Array): { from: Uint8Array; to: Uint8Array } {
  const to = Buffer.from(prefix);
  for (let i = to.length - 1; i >= 0; i--) {
    if (to[i]! < 255) {
      to[i]!++;
      return { from: prefix, to: to.subarray(0, i + 1) };
    }
  }
  return { from: prefix, to: Buffer.alloc(LONGEST_KEY, 255) };
}

/** The smallest key that is greater. */
export const after = (key: Uint8Array): Uint8Array => Buffer.concat([key, Buffer.of(0)]);

export interface Digests {
  /** 20 bytes per range: digest and number of entries. */
  readonly bytes: Buffer;
  readonly entries: number;
}

/**
 * Digests of the ranges `prefix`‖`first` … ; stops early when more than `maxEntries` were read, but not before the first
 * is done. `pause` lets others have the event loop.
 */
export async function digestRanges(
  read: Read,
  prefix: Uint8Array,
  first: number,
  count: number,
  maxEntries: number,
  pause: () => Promise<void>,
): Promise<Digests> {
  const bytes = Buffer.alloc(count * DIGEST_BYTES);
  const { from } = rangeOf(Buffer.concat([prefix, Buffer.of(first)]));
  const { to } = rangeOf(Buffer.concat([prefix, Buffer.of(first + count - 1)]));
  const time = Buffer.alloc(6);
  let hash: Hash | undefined;
  let entries = 0;
  let total = 0;
  let range = 0;
  const finishUntil = (next: number) => {
    for (; range < next; range++) {
      (hash?.digest() ?? EMPTY).copy(bytes, range * DIGEST_BYTES, 0, 16);
      bytes.writeUInt32BE(entries, range * DIGEST_BYTES + 16);
      hash = undefined;
      entries = 0;
    }
  };
  let at: Uint8Array | undefined = from;
  while (at !== undefined) {
    const found = read(at, to, STEP_ROWS);
    for (const { key, value } of found.entries) {
      const place = key[prefix.length]! - first;
      if (place !== range) {
        finishUntil(place);
        if (total > maxEntries) return { bytes: bytes.subarray(0, place * DIGEST_BYTES), entries: total };
      }
      time.writeUIntBE(value, 0, 6);
      hash ??= createHash('sha256');
      hash.update(key).update(time);
      entries++;
      total++;
    }
    at = found.next;
    if (at !== undefined) await pause();
  }
  finishUntil(count);
  return { bytes, entries: total };
}

/** Entries of the range at a place. */
export const entriesAt = (digests: Buffer, index: number): number =>
  digests.readUInt32BE(index * DIGEST_BYTES + 16);

/** Places of the ranges that differ, with the greater number of entries of the two sides. */
export function differing(own: Buffer, theirs: Uint8Array): { index: number; entries: number }[] {
  const found = [];
  const other = Buffer.from(theirs.buffer, theirs.byteOffset, theirs.byteLength);
  for (let at = 0; at < Math.min(own.length, other.length); at += DIGEST_BYTES) {
    if (own.compare(other, at, at + DIGEST_BYTES, at, at + DIGEST_BYTES) === 0) continue;
    const entries = Math.max(own.readUInt32BE(at + 16), other.readUInt32BE(at + 16));
    found.push({ index: at / DIGEST_BYTES, entries });
  }
  return found;
}
