// SPDX-License-Identifier: MIT
// Configs that are too large for one message of the storage servers (spec/config-and-groups §2.7). Each piece, before
// its encryption:
//
//   "m"  l 32:hash of the whole  1:index  1:count  chunk e
import { blake2b } from '#crypto';
import { concat, equal, fromBinary, toBinary, utf8 } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import { BtReader } from './bt-reader.ts';
import { ConfigError } from './config-error.ts';
import { OVERHEAD_BYTES } from './encryption.ts';

// From the specification, spec/config-and-groups §2.7.
export const MAX_STORED_BYTES = 76_800;
const MAX_WHOLE_BYTES = 5_000_000;
const PIECE_OVERHEAD = 50;
const CHUNK = MAX_STORED_BYTES - PIECE_OVERHEAD - OVERHEAD_BYTES;
const HASH = 32;
const DAY = 86_400_000;
const UNFINISHED_MS = 7 * DAY;
const DONE_MS = 14 * DAY;

// Ours: what somebody with the account's keys could make us keep.
const MAX_HELD_BYTES = 4 * MAX_WHOLE_BYTES;
const MAX_SETS = 2000;

/** @throws ConfigError `too_large` when no client would take it */
export function splitConfig(whole: Uint8Array): { readonly id: string; readonly pieces: Uint8Array[] } {
  if (whole.length > MAX_WHOLE_BYTES) {
    throw new ConfigError('too_large', `a config of ${whole.length} bytes, of ${MAX_WHOLE_BYTES} at most`);
  }
  const hash = blake2b(whole, HASH);
  const count = Math.ceil(whole.length / CHUNK);
  const pieces = Array.from({ length: count }, (_, index) => {
    const chunk = whole.subarray(index * CHUNK, (index + 1) * CHUNK);
    // Its end stays NUL when the chunk's length has fewer than five digits.
    const piece = new Uint8Array(chunk.length + PIECE_OVERHEAD);
    const head = concat(
      utf8('ml32:'),
      hash,
      utf8('1:'),
      Uint8Array.of(index),
      utf8('1:'),
      Uint8Array.of(count),
      utf8(`${chunk.length}:`),
    );
    piece.set(head);
    piece.set(chunk, head.length);
    piece.set(utf8('e'), head.length + chunk.length);
    return piece;
  });
  return { id: toBinary(hash), pieces };
}

export interface Piece {
  /** Hash of the whole, as a binary string. */
  readonly id: string;
  readonly index: number;
  readonly count: number;
  readonly chunk: Uint8Array;
}

/** @throws ParseError `config` */
export function parsePiece(bytes: Uint8Array): Piece {
  if (bytes.length > MAX_STORED_BYTES) throw new ParseError('config', `a piece of ${bytes.length} bytes`);
  const reader = new BtReader(toBinary(bytes));
  reader.at = 1;
  if (!reader.isList()) throw reader.error('a piece without list');
  reader.step();
  const id = reader.string();
  const index = reader.string();
  const count = reader.string();
  const chunk = reader.string();
  const piece = { id, index: index.charCodeAt(0), count: count.charCodeAt(0), chunk: fromBinary(chunk) };
  const isSound =
    reader.isEnd() &&
    id.length === HASH &&
    index.length === 1 &&
    count.length === 1 &&
    piece.count > 1 &&
    piece.index < piece.count &&
    chunk.length > 0;
  if (!isSound) throw reader.error('a malformed piece');
  return piece;
}

/** One part that waits for the others. */
export interface HeldPiece {
  readonly index: number;
  /** Of the storage servers. */
  readonly storageHash: string;
  readonly chunk: Uint8Array;
}

export interface PieceSet {
  /** 0: done. */
  readonly count: number;
  /** Unix ms. */
  expiry: number;
  readonly pieces: HeldPiece[];
}

export type AddedPiece =
  /** Held, or of a config that was complete before. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'complete'; readonly whole: Uint8Array; readonly storageHashes: readonly string[] };

/** The pieces that came so far, and what is known as complete. */
export class PieceCollector {
  /** By hash of the whole. */
  readonly sets = new Map<string, PieceSet>();

  /** @throws ParseError `config` for a piece that does not fit, or when the whole is not what its hash says */
  add(piece: Piece, storageHash: string, now: number): AddedPiece {
    const { id, count, index, chunk } = piece;
    const set = this.sets.get(id) ?? { count, expiry: 0, pieces: [] };
    if (set.count === 0) return { kind: 'kept' };
    if (set.count !== count) throw new ParseError('config', 'a piece that counts its siblings differently');
    this.sets.delete(id);
    this.sets.set(id, set); // the newest last
    set.expiry = now + UNFINISHED_MS;
    if (!set.pieces.some((held) => held.index === index)) set.pieces.push({ index, storageHash, chunk });
    if (set.pieces.length < count) {
      this.#bound();
      return { kind: 'kept' };
    }
    this.sets.delete(id);
    const pieces = set.pieces.toSorted((a, b) => a.index - b.index);
    const whole = concat(...pieces.map((held) => held.chunk));
    if (!equal(blake2b(whole, HASH), fromBinary(id))) {
      throw new ParseError('config', 'pieces that are not what their hash says');
    }
    this.markDone(id, now);
    return { kind: 'complete', whole, storageHashes: pieces.map((held) => held.storageHash) };
  }

  /** Pieces of this whole are taken and ignored from now on. */
  markDone(id: string, now: number): void {
    this.sets.delete(id);
    this.sets.set(id, { count: 0, expiry: now + DONE_MS, pieces: [] });
    this.#bound();
  }

  /** Storage hashes of what is not complete. */
  storageHashes(now: number): string[] {
    return [...this.sets.values()].flatMap(({ expiry, pieces }) =>
      expiry > now ? pieces.map((piece) => piece.storageHash) : [],
    );
  }

  /** Whether anything went. */
  expire(now: number): boolean {
    const before = this.sets.size;
    for (const [id, { expiry }] of this.sets) if (expiry <= now) this.sets.delete(id);
    return this.sets.size < before;
  }

  #bound(): void {
    let held = 0;
    for (const { pieces } of this.sets.values()) for (const { chunk } of pieces) held += chunk.length;
    for (const [id, { pieces }] of this.sets) {
      if (held <= MAX_HELD_BYTES && this.sets.size <= MAX_SETS) return;
      for (const { chunk } of pieces) held -= chunk.length;
      this.sets.delete(id);
    }
  }
}
