// SPDX-License-Identifier: MIT
// The outer form of an archive (docs/formats/archive.md): a header of 88 bytes and encrypted chunks of compressed lines.
//
//   header  magic (16) ‖ version (u16) ‖ 0 (u16) ‖ passes (u32) ‖ memory in KiB (u32) ‖ salt (16) ‖ id (16) ‖
//           check (16) ‖ checksum (12)                                             numbers are big-endian
//   chunk   last chunk (1 bit) and length (31 bits) ‖ nonce (24) ‖ XChaCha20-Poly1305(zstd(lines))
//
// Each chunk has a key of its own, which follows from its number and from whether it is the last: none can be left out,
// repeated, moved or cut off without being noticed, and writing can go on behind any whole chunk.
import { concat, equal, toHex, u32be, u64be, utf8 } from '@allium/protocol/bytes';
import {
  argon2id,
  blake2b,
  randomBytes,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '@allium/protocol/crypto';
import { zstdCompress, zstdDecompress } from '@allium/protocol/zstd';
import { ArchiveError } from './archive-error.ts';

// Ours.
const MAGIC = utf8('allium-archive\n\0');
const VERSION = 1;
const PARAMETERS_BYTES = 60;
const CHECK_BYTES = 16;
const CHECKSUM_BYTES = 12;
export const HEADER_BYTES = PARAMETERS_BYTES + CHECK_BYTES + CHECKSUM_BYTES;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const PREFIX_BYTES = 4;
const LAST = 0x8000_0000;
/** Plain bytes of a chunk at most; writers make them much smaller. */
export const MAX_LINES_BYTES = 4 * 1024 * 1024;
/** What zstd makes of bytes that cannot be compressed is hardly longer than they are. */
const MAX_CHUNK_BYTES = MAX_LINES_BYTES + 64 * 1024;
const KIB = 1024;
/** About a second on a small machine: an archive is opened rarely, and lies where many can copy it. */
const COST: ArchiveCost = { passes: 4, memoryBytes: 128 * KIB * KIB };
/** A file may ask for so much at most: it may come from anybody. */
const MAX_PASSES = 16;
const MAX_MEMORY_BYTES = 512 * KIB * KIB;
const MIN_MEMORY_BYTES = 8 * KIB;

export interface ArchiveCost {
  readonly passes: number;
  /** A multiple of 1024. */
  readonly memoryBytes: number;
}

/** What opens the chunks of one archive. */
export interface ArchiveKey {
  /** Hex; names the archive. */
  readonly id: string;
  readonly key: Uint8Array;
}

/** Bytes of a file or of a stream, from its beginning. */
export interface ByteReader {
  /** So many bytes; fewer only at the end. */
  read(length: number): Promise<Uint8Array>;
  /** Goes over so many bytes, or to the end. Absent: they are read. */
  skip?(length: number): Promise<void>;
}

export interface Chunk {
  readonly number: number;
  readonly isLast: boolean;
  readonly lines: string;
}

/** A new header and its key. @throws ArchiveError `empty_passphrase` */
export function newArchive(
  passphrase: string,
  cost: ArchiveCost = COST,
): ArchiveKey & { header: Uint8Array } {
  if (passphrase === '') throw new ArchiveError('empty_passphrase', 'the passphrase is empty');
  const id = randomBytes(16);
  const parameters = concat(
    MAGIC,
    u32be(VERSION * 0x1_0000),
    u32be(cost.passes),
    u32be(cost.memoryBytes / KIB),
    randomBytes(16),
    id,
  );
  const { key, check } = keysOf(parameters, passphrase);
  const begin = concat(parameters, check);
  return { id: toHex(id), key, header: concat(begin, blake2b(begin, CHECKSUM_BYTES)) };
}

/**
 * Reads the header; needs no passphrase.
 * @throws ArchiveError `not_an_archive`, `unsupported`, `damaged`, `truncated`
 */
export async function readHeader(source: ByteReader): Promise<Uint8Array> {
  const header = await source.read(HEADER_BYTES);
  if (!equal(header.subarray(0, MAGIC.length), MAGIC.subarray(0, header.length)) || header.length === 0) {
    throw new ArchiveError('not_an_archive', 'this is no archive of Allium');
  }
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (header.length >= 18 && view.getUint16(16) > VERSION) {
    throw new ArchiveError('unsupported', 'the archive was written by a newer version of this program');
  }
  if (header.length < HEADER_BYTES) throw new ArchiveError('truncated', 'the archive ends in its header');
  const begin = header.subarray(0, HEADER_BYTES - CHECKSUM_BYTES);
  if (!equal(blake2b(begin, CHECKSUM_BYTES), header.subarray(begin.length)) || view.getUint16(16) === 0) {
    throw new ArchiveError('damaged', 'the header of the archive is damaged');
  }
  const [passes, memoryBytes] = [view.getUint32(20), view.getUint32(24) * KIB];
  const isBounded =
    passes >= 1 && passes <= MAX_PASSES && memoryBytes >= MIN_MEMORY_BYTES && memoryBytes <= MAX_MEMORY_BYTES;
  if (!isBounded || view.getUint16(18) !== 0) {
    throw new ArchiveError('unsupported', 'the archive asks for a key derivation that is not supported');
  }
  return header;
}

/**
 * Reads the header and derives the key, which takes a second.
 * @throws ArchiveError as `readHeader`; `wrong_passphrase`
 */
export async function openArchive(source: ByteReader, passphrase: string): Promise<ArchiveKey> {
  const header = await readHeader(source);
  const { key, check } = keysOf(header.subarray(0, PARAMETERS_BYTES), passphrase);
  if (!equal(check, header.subarray(PARAMETERS_BYTES, HEADER_BYTES - CHECKSUM_BYTES))) {
    throw new ArchiveError('wrong_passphrase', 'the passphrase of the archive is wrong');
  }
  return { id: toHex(header.subarray(44, 60)), key };
}

/** @throws ArchiveError `too_large` */
export function sealChunk(archive: ArchiveKey, { number, isLast, lines }: Chunk): Uint8Array {
  const plain = utf8(lines);
  if (plain.length > MAX_LINES_BYTES) {
    throw new ArchiveError('too_large', `a chunk of ${plain.length} bytes does not fit into an archive`);
  }
  return sealFrame(archive, number, isLast, zstdCompress(plain));
}

/** A chunk of what is compressed already. */
export function sealFrame(
  { key }: ArchiveKey,
  number: number,
  isLast: boolean,
  frame: Uint8Array,
): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const sealed = xchacha20Poly1305Seal(chunkKey(key, number, isLast), nonce, frame);
  const length = NONCE_BYTES + sealed.length;
  return concat(u32be((length + (isLast ? LAST : 0)) >>> 0), nonce, sealed);
}

/**
 * The chunks, checked, up to and with the last one. `from`: those before it are gone over without a look.
 * @throws ArchiveError `damaged`, `truncated`
 */
export async function* readChunks(
  archive: ArchiveKey,
  source: ByteReader,
  from = 0,
): AsyncGenerator<Chunk, void, void> {
  for (let number = 0; ; number++) {
    const prefix = await readPrefix(source);
    if (prefix === undefined) throw truncated();
    const { length, isLast } = prefix;
    if (number < from) {
      await skip(source, length);
      if (isLast) return;
      continue;
    }
    const sealed = await source.read(length);
    if (sealed.length < length) throw truncated();
    yield { number, isLast, lines: openChunk(archive, sealed, number, isLast) };
    if (isLast) {
      if ((await source.read(1)).length > 0) throw damaged('something follows its end');
      return;
    }
  }
}

/**
 * The last whole chunk of an archive that may not be finished, and where it ends in bytes; undefined when there is none.
 */
export async function lastChunk(
  archive: ArchiveKey,
  source: ByteReader,
): Promise<{ readonly chunk: Chunk; readonly end: number } | undefined> {
  let end = HEADER_BYTES;
  // Of the two last ones: a machine that lost its power may leave a chunk of the right length that was never written.
  const whole: { number: number; isLast: boolean; sealed: Uint8Array; end: number }[] = [];
  for (let number = 0; whole.at(-1)?.isLast !== true; number++) {
    const prefix = await readPrefix(source).catch(() => undefined);
    if (prefix === undefined) break;
    const sealed = await source.read(prefix.length);
    if (sealed.length < prefix.length) break;
    end += PREFIX_BYTES + prefix.length;
    whole.splice(0, whole.length - 1);
    whole.push({ number, isLast: prefix.isLast, sealed, end });
  }
  for (const { number, isLast, sealed, end } of whole.reverse()) {
    try {
      return { chunk: { number, isLast, lines: openChunk(archive, sealed, number, isLast) }, end };
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
    }
  }
  return undefined;
}

/** Reads from pieces of any size; holds no more than was asked for and one piece. */
export function readerOf(pieces: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = pieces[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return {
    async read(length) {
      const parts: Uint8Array[] = [];
      let missing = length;
      for (;;) {
        const part = rest.subarray(0, missing);
        rest = rest.subarray(part.length);
        missing -= part.length;
        if (part.length > 0) parts.push(part);
        if (missing === 0) break;
        const next = await iterator.next();
        if (next.done === true) break;
        rest = next.value;
      }
      return parts.length === 1 ? parts[0]! : concat(...parts);
    },
  };
}

/** @throws ArchiveError `damaged` */
export function openChunk({ key }: ArchiveKey, sealed: Uint8Array, number: number, isLast: boolean): string {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw damaged(`chunk ${number} is too short`);
  const compressed = xchacha20Poly1305Open(
    chunkKey(key, number, isLast),
    sealed.subarray(0, NONCE_BYTES),
    sealed.subarray(NONCE_BYTES),
  );
  if (compressed === undefined) throw damaged(`chunk ${number} is not what was written`);
  const plain = zstdDecompress(compressed, MAX_LINES_BYTES);
  if (plain === undefined) throw damaged(`chunk ${number} is too large or badly compressed`);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain);
  } catch (cause) {
    throw damaged(`chunk ${number} is no text`, cause);
  }
}

async function readPrefix(
  source: ByteReader,
): Promise<{ readonly length: number; readonly isLast: boolean } | undefined> {
  const bytes = await source.read(PREFIX_BYTES);
  if (bytes.length < PREFIX_BYTES) return undefined;
  const word = new DataView(bytes.buffer, bytes.byteOffset, PREFIX_BYTES).getUint32(0);
  const length = word % LAST;
  if (length < NONCE_BYTES + TAG_BYTES || length > MAX_CHUNK_BYTES)
    throw damaged('a chunk has no sound length');
  return { length, isLast: word >= LAST };
}

async function skip(source: ByteReader, length: number): Promise<void> {
  if (source.skip === undefined) await source.read(length);
  else await source.skip(length);
}

function keysOf(parameters: Uint8Array, passphrase: string): { key: Uint8Array; check: Uint8Array } {
  const view = new DataView(parameters.buffer, parameters.byteOffset);
  const master = argon2id(utf8(passphrase.normalize('NFKC')), parameters.slice(28, 44), {
    passes: view.getUint32(20),
    memoryBytes: view.getUint32(24) * KIB,
    length: 32,
  });
  const key = blake2b([utf8('allium archive key'), parameters], 32, { key: master });
  const check = blake2b([utf8('allium archive check'), parameters], CHECK_BYTES, { key: master });
  master.fill(0);
  return { key, check };
}

function chunkKey(key: Uint8Array, number: number, isLast: boolean): Uint8Array {
  return blake2b([u64be(BigInt(number)), Uint8Array.of(isLast ? 1 : 0)], 32, { key });
}

function damaged(what: string, cause?: unknown): ArchiveError {
  return new ArchiveError('damaged', `the archive is damaged: ${what}`, { cause });
}

function truncated(): ArchiveError {
  return new ArchiveError('truncated', 'the archive ends too early: its last part is missing');
}
