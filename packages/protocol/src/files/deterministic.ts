// SPDX-License-Identifier: MIT
// The deterministic form of attachments and avatars (spec/client §5.3): equal files of one account give equal bytes, so
// that the server keeps them once. Key and header are a hash of the whole file; after that it goes chunk by chunk, both ways.
//
//   'S' ‖ header (24) ‖ secretstream chunks of up to 32 768 bytes + 17     plain: zeros ‖ 01 ‖ data

import { blake2bHasher, secretstream } from '#crypto';
import { concat, utf8 } from '../bytes.ts';
import type { Secretstream } from '../crypto/provider.ts';
import { FileError } from './file-error.ts';

// From the specification, §5.3.
export const FileDomain = { attachment: 'SessionAttachmnt', avatar: 'Session_Prof_Pic' } as const;
export type FileDomain = (typeof FileDomain)[keyof typeof FileDomain];
const MAGIC = 0x53; // S
const HEADER = 24;
const KEY = 32;
const CHUNK = 32_768;
const OVERHEAD = 17;
/** Plain bytes; greater ones only where the caller allows it. */
export const MAX_DETERMINISTIC_BYTES = 10_218_286;

export interface DeterministicKey {
  /** 32 bytes; secret. */
  readonly key: Uint8Array;
  /** 24 bytes; the beginning of the file. */
  readonly header: Uint8Array;
}

/** First pass: the hash of all data under the account's seed (32 bytes). */
export class DeterministicHasher {
  readonly #hasher: ReturnType<typeof blake2bHasher>;

  constructor(seed: Uint8Array, domain: FileDomain) {
    this.#hasher = blake2bHasher(HEADER + KEY, { key: seed, personal: utf8(domain) });
  }

  update(data: Uint8Array): void {
    this.#hasher.update(data);
  }

  digest(): DeterministicKey {
    const hash = this.#hasher.digest();
    return { header: hash.subarray(0, HEADER), key: hash.subarray(HEADER) };
  }
}

/** Bytes in front of `length` bytes of data, the 01 included. */
export function deterministicPadding(length: number): number {
  const chunks = Math.ceil(length / CHUNK);
  const encrypted = length + 26 + OVERHEAD * chunks;
  const step = 2 ** Math.floor(Math.log2(Math.max(encrypted, 131_072))) / 32;
  const target = Math.ceil(encrypted / step) * step;
  const padding = target - encrypted + 1;
  const perChunk = CHUNK + OVERHEAD;
  let extra = Math.floor(padding / perChunk) * OVERHEAD;
  if (padding % perChunk > chunks * CHUNK - length) extra += OVERHEAD;
  return padding - extra;
}

/** Length of the encrypted file. */
export function deterministicLength(length: number): number {
  const padded = deterministicPadding(length) + length;
  return 1 + HEADER + padded + OVERHEAD * Math.ceil(padded / CHUNK);
}

/** Second pass: takes the data, whose length is known, in pieces of any size and gives parts of the file. */
export class DeterministicSealer {
  readonly #stream: Secretstream;
  readonly #header: Uint8Array;
  readonly #buffer = new Uint8Array(CHUNK);
  #filled = 0;
  /** Padded bytes that are still to come. */
  #left: number;
  #begun = false;
  #padding: number;

  constructor(key: DeterministicKey, length: number) {
    this.#stream = secretstream(key.key, key.header);
    this.#header = key.header;
    this.#padding = deterministicPadding(length);
    this.#left = this.#padding + length;
  }

  /** The part of the file that these bytes complete; may be empty. More bytes than announced throw RangeError. */
  push(data: Uint8Array): Uint8Array {
    const out: Uint8Array[] = [];
    if (!this.#begun) {
      this.#begun = true;
      out.push(Uint8Array.of(MAGIC), this.#header);
      const zeros = new Uint8Array(this.#padding);
      zeros[this.#padding - 1] = 1;
      this.#take(zeros, out);
    }
    if (data.length > this.#left) throw new RangeError('more data than announced');
    this.#take(data, out);
    return concat(...out);
  }

  #take(data: Uint8Array, out: Uint8Array[]): void {
    let offset = 0;
    while (offset < data.length) {
      const part = data.subarray(offset, offset + CHUNK - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      this.#left -= part.length;
      offset += part.length;
      if (this.#filled < CHUNK && this.#left > 0) continue;
      out.push(this.#stream.push(this.#buffer.subarray(0, this.#filled), this.#left === 0));
      this.#filled = 0;
    }
  }
}

/** Takes a file in pieces of any size and gives the data that they prove. */
export class DeterministicOpener {
  readonly #key: Uint8Array;
  #stream: Secretstream | undefined;
  #pending = new Uint8Array(0);
  #inPadding = true;
  #ended = false;

  /** @throws FileError `bad_key` */
  constructor(key: Uint8Array) {
    if (key.length !== KEY) throw new FileError('bad_key', `a key of ${key.length} bytes`);
    this.#key = key;
  }

  /** @throws FileError `bad_file` */
  push(piece: Uint8Array): Uint8Array {
    return this.#read(piece, false);
  }

  /** The rest; the file must be complete. @throws FileError `bad_file` */
  finish(): Uint8Array {
    const rest = this.#read(new Uint8Array(0), true);
    if (!this.#ended || this.#inPadding) throw new FileError('bad_file', 'the file ends too early');
    return rest;
  }

  #read(piece: Uint8Array, isEnd: boolean): Uint8Array {
    let input = this.#pending.length === 0 ? piece : concat(this.#pending, piece);
    const out: Uint8Array[] = [];
    if (this.#stream === undefined) {
      if (input.length > 0 && input[0] !== MAGIC) throw new FileError('bad_file', 'not of this form');
      if (input.length < 1 + HEADER) {
        this.#pending = input.slice();
        return new Uint8Array(0);
      }
      this.#stream = secretstream(this.#key, input.subarray(1, 1 + HEADER));
      input = input.subarray(1 + HEADER);
    }
    // A chunk of full size may be the last one: what is shorter is known to be it only at the end.
    while (input.length >= CHUNK + OVERHEAD || (isEnd && input.length > 0)) {
      this.#chunk(input.subarray(0, CHUNK + OVERHEAD), out);
      input = input.subarray(Math.min(input.length, CHUNK + OVERHEAD));
    }
    this.#pending = input.slice();
    return out.length === 1 ? (out[0] as Uint8Array) : concat(...out);
  }

  #chunk(chunk: Uint8Array, out: Uint8Array[]): void {
    if (this.#ended) throw new FileError('bad_file', 'bytes after the last chunk');
    const pulled = this.#stream?.pull(chunk);
    if (pulled === undefined) throw new FileError('bad_file', 'a chunk does not verify');
    this.#ended = pulled.isLast;
    let { plaintext } = pulled;
    if (this.#inPadding) {
      const first = plaintext.findIndex((byte) => byte !== 0);
      if (first < 0) return;
      if (plaintext[first] !== 1) throw new FileError('bad_file', 'the padding is malformed');
      this.#inPadding = false;
      plaintext = plaintext.subarray(first + 1);
    }
    out.push(plaintext);
  }
}

export interface SealedDeterministic {
  readonly body: Uint8Array;
  /** 32 bytes; secret. */
  readonly key: Uint8Array;
  readonly sizeBytes: number;
}

/** The whole at once. @throws FileError `too_large` */
export function sealDeterministic(
  data: Uint8Array,
  seed: Uint8Array,
  domain: FileDomain = FileDomain.attachment,
): SealedDeterministic {
  if (data.length > MAX_DETERMINISTIC_BYTES) {
    throw new FileError('too_large', `${data.length} bytes; at most ${MAX_DETERMINISTIC_BYTES} can be sent`);
  }
  const hasher = new DeterministicHasher(seed, domain);
  hasher.update(data);
  const keys = hasher.digest();
  const body = new DeterministicSealer(keys, data.length).push(data);
  return { body, key: keys.key, sizeBytes: data.length };
}

/** The whole at once. @throws FileError `bad_key`, `bad_file` */
export function openDeterministic(body: Uint8Array, key: Uint8Array): Uint8Array {
  const opener = new DeterministicOpener(key);
  return concat(opener.push(body), opener.finish());
}
