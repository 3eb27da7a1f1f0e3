// SPDX-License-Identifier: MIT
// The content of files on this device: what waits to be uploaded, and what was downloaded, as long as there is room for it. It
// lies in the blob port in encrypted segments of 8 MiB; the storage has the key and what is known of each content. So a
// storage that is encrypted, or erased, takes the files with it (docs/decisions/0028).
//
//   segment `NAME-i`   nonce (24) ‖ XChaCha20-Poly1305(plain)   key: BLAKE2b-256 of `NAME-i` under the storage's key
import { concat, fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import {
  blake2b,
  blake2bHasher,
  loadFastHash,
  randomBytes,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '@allium/protocol/crypto';
import type { Clock } from '@allium/protocol/env';
import { PART_BYTES } from '@allium/protocol/files/parts';
import type { BlobPort } from '../storage/blobs.ts';
import type { MessageIdentity, Storage, StoredRecord } from '../storage/storage.ts';
import { FileTransferError } from './file-transfer-error.ts';

const KIND = 'content';
const KEY_SETTING = 'files_key';
// Ours.
/** As the parts of large files, so that these are written and sent as they come. */
export const SEGMENT_BYTES = PART_BYTES;
const NONCE = 24;
/** What no message owns is removed after this time: it may be just being written. */
const ORPHAN_MS = 24 * 3_600_000;
/** The same of what was fetched in part. */
const PARTIAL_MS = 7 * 24 * 3_600_000;
/** How exactly it is known when a content was used. */
const USE_MS = 3_600_000;

export interface ContentRecord {
  readonly sizeBytes: number;
  /** All segments are there. */
  readonly isWhole: boolean;
  /** BLAKE2b-256 in hex, of what was put here from this device. */
  readonly digest?: string;
  /** It is the only one that there is: never removed to make room. */
  readonly isPinned: boolean;
  /** Local time in ms. */
  readonly usedAt: number;
  /** The message that shows it; absent: a picture of a profile. */
  readonly owner?: MessageIdentity;
}

/** Bytes of a file, as the caller has them. */
export type FileSource = Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

export const segmentCount = (sizeBytes: number): number => Math.ceil(sizeBytes / SEGMENT_BYTES);

export class Contents {
  readonly #port: BlobPort;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  /** Plain bytes of all contents that are not pinned. */
  #cached = 0;
  #limit: number;

  private constructor(port: BlobPort, storage: Storage, clock: Clock, key: Uint8Array) {
    this.#port = port;
    this.#storage = storage;
    this.#clock = clock;
    this.#key = key;
    this.#limit = port.cacheBytes;
  }

  /** Removes what no message owns any more. */
  static async open(port: BlobPort, storage: Storage, clock: Clock): Promise<Contents> {
    let key = await storage.setting(KEY_SETTING);
    if (key === undefined) {
      key = toHex(randomBytes(32));
      await storage.write({ settings: { [KEY_SETTING]: key } });
    }
    const contents = new Contents(port, storage, clock, fromHex(key, 32));
    await contents.#sweep();
    return contents;
  }

  /** Bytes of what could be fetched again; the least recently used goes first when there are more. */
  set limitBytes(limit: number) {
    this.#limit = Math.min(limit, this.#port.cacheBytes);
  }

  get cachedBytes(): number {
    return this.#cached;
  }

  /** A name that nobody can guess. */
  newName(): string {
    return toHex(randomBytes(16));
  }

  /** The name of the content that is at an address; it tells nothing to whoever lacks the key. */
  nameOf(url: string, fileKey: string): string {
    return toHex(blake2b(utf8(`${url} ${fileKey}`), 16, { key: this.#key }));
  }

  async find(name: string): Promise<ContentRecord | undefined> {
    return (await this.#storage.record(KIND, name))?.value as ContentRecord | undefined;
  }

  /** Of a whole one that is used now. */
  async use(name: string): Promise<ContentRecord | undefined> {
    const content = await this.find(name);
    if (content?.isWhole !== true) return undefined;
    const now = this.#clock.now();
    if (now - content.usedAt > USE_MS) {
      await this.#storage.write({ records: [this.record(name, { ...content, usedAt: now })] });
    }
    return content;
  }

  record(name: string, value: ContentRecord | undefined): StoredRecord {
    return { kind: KIND, key: name, value };
  }

  /**
   * Writes a file under a new name. The record that is returned is to be written with whatever needs it; should that not
   * happen, the bytes are removed after a while.
   * @throws FileTransferError `empty`, `too_large`: more than `limit` bytes; StorageError; what the source throws
   */
  async put(
    name: string,
    source: FileSource,
    options: {
      readonly limit: number;
      readonly owner?: MessageIdentity;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly content: ContentRecord; readonly record: StoredRecord }> {
    const { limit, owner, signal } = options;
    const base = { isPinned: true, usedAt: this.#clock.now(), ...(owner !== undefined && { owner }) };
    await loadFastHash();
    const hasher = blake2bHasher(32);
    let sizeBytes = 0;
    let segments = 0;
    const begun = this.record(name, { ...base, sizeBytes, isWhole: false });
    await this.#storage.write({ records: [begun] });
    try {
      const known =
        source instanceof Uint8Array ? source.length : source instanceof Blob ? source.size : limit;
      const segment = new Uint8Array(Math.max(1, Math.min(SEGMENT_BYTES, known)));
      let filled = 0;
      const flush = async () => {
        await this.putSegment(name, segments++, segment.subarray(0, filled));
        filled = 0;
      };
      for await (const piece of piecesOf(source)) {
        signal?.throwIfAborted();
        sizeBytes += piece.length;
        if (sizeBytes > limit)
          throw new FileTransferError('too_large', `more than ${limit} bytes cannot be sent`);
        hasher.update(piece);
        for (let at = 0; at < piece.length; ) {
          const part = piece.subarray(at, at + segment.length - filled);
          segment.set(part, filled);
          filled += part.length;
          at += part.length;
          if (filled === segment.length) await flush();
        }
      }
      if (sizeBytes === 0) throw new FileTransferError('empty', 'the file is empty');
      if (filled > 0) await flush();
    } catch (error) {
      await this.#remove(name, segments + 1).catch(() => undefined);
      throw error;
    }
    const content = { ...base, sizeBytes, isWhole: true, digest: toHex(hasher.digest()) };
    return { content, record: this.record(name, content) };
  }

  /** What was fetched: it may be removed when room is needed. */
  async keep(name: string, bytes: Uint8Array, owner: MessageIdentity | undefined): Promise<void> {
    await this.begin(name, bytes.length, owner);
    for (let i = 0; i < segmentCount(bytes.length); i++) {
      await this.putSegment(name, i, bytes.subarray(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES));
    }
    await this.finish(name);
  }

  /** What is fetched in segments. */
  async begin(name: string, sizeBytes: number, owner: MessageIdentity | undefined): Promise<void> {
    const content = {
      ...{ sizeBytes, isWhole: false, isPinned: false, usedAt: this.#clock.now() },
      ...(owner !== undefined && { owner }),
    };
    await this.#storage.write({ records: [this.record(name, content)] });
  }

  async putSegment(name: string, index: number, bytes: Uint8Array): Promise<void> {
    const segment = `${name}-${index}`;
    const nonce = randomBytes(NONCE);
    await this.#port.put(segment, concat(nonce, xchacha20Poly1305Seal(this.#keyOf(segment), nonce, bytes)));
  }

  /** All segments are there. Makes room. */
  async finish(name: string): Promise<void> {
    const content = await this.find(name);
    if (content === undefined) return;
    await this.#storage.write({ records: [this.record(name, { ...content, isWhole: true })] });
    this.#cached += content.sizeBytes;
    await this.#makeRoom(name);
  }

  /** It can be fetched again from now on; the record is to be written. */
  unpinned(name: string, content: ContentRecord): StoredRecord {
    if (content.isPinned) this.#cached += content.sizeBytes;
    return this.record(name, { ...content, isPinned: false, usedAt: this.#clock.now() });
  }

  /** Undefined when it is gone or was changed by somebody. */
  async segment(name: string, index: number): Promise<Uint8Array | undefined> {
    const segment = `${name}-${index}`;
    const sealed = await this.#port.get(segment);
    if (sealed === undefined || sealed.length < NONCE) return undefined;
    return xchacha20Poly1305Open(this.#keyOf(segment), sealed.subarray(0, NONCE), sealed.subarray(NONCE));
  }

  /** The whole; undefined when it is not here. */
  async bytes(name: string): Promise<Uint8Array | undefined> {
    const content = await this.use(name);
    if (content === undefined) return undefined;
    const parts: Uint8Array[] = [];
    for (let i = 0; i < segmentCount(content.sizeBytes); i++) {
      const part = await this.segment(name, i);
      if (part === undefined) return undefined;
      parts.push(part);
    }
    return parts.length === 1 ? parts[0] : concat(...parts);
  }

  async remove(name: string): Promise<void> {
    const content = await this.find(name);
    if (content === undefined) return;
    await this.#remove(name, segmentCount(content.sizeBytes));
    if (content.isWhole && !content.isPinned) this.#cached -= content.sizeBytes;
  }

  /** All that a message owns. */
  async removeOf({ sender, timestamp }: MessageIdentity): Promise<void> {
    for (const { key, value } of await this.#storage.records(KIND)) {
      const { owner } = value as ContentRecord;
      if (owner?.sender === sender && owner.timestamp === timestamp) await this.remove(key);
    }
  }

  /** All that can be fetched again. */
  async clear(): Promise<void> {
    for (const { key, value } of await this.#storage.records(KIND)) {
      const { isPinned, isWhole } = value as ContentRecord;
      if (!isPinned && isWhole) await this.remove(key);
    }
  }

  async close(): Promise<void> {
    await this.#port.close();
  }

  /** The bytes first: a record without them is found at the next start, bytes without a record never. */
  async #remove(name: string, segments: number): Promise<void> {
    await this.#port.remove(Array.from({ length: segments }, (_, i) => `${name}-${i}`));
    await this.#storage.write({ records: [this.record(name, undefined)] });
  }

  async #makeRoom(newest: string): Promise<void> {
    if (this.#cached <= this.#limit) return;
    const all = (await this.#storage.records(KIND))
      .map(({ key, value }) => ({ key, ...(value as ContentRecord) }))
      .filter(({ key, isPinned, isWhole }) => !isPinned && isWhole && key !== newest)
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const { key } of all) {
      if (this.#cached <= this.#limit) return;
      await this.remove(key);
    }
  }

  async #sweep(): Promise<void> {
    const now = this.#clock.now();
    for (const { key, value } of await this.#storage.records(KIND)) {
      const { owner, usedAt, sizeBytes, isWhole, isPinned } = value as ContentRecord;
      const message = owner && (await this.#storage.message(owner.sender, owner.timestamp));
      const isOwned =
        owner === undefined || (message !== undefined && message.marks?.deletedAt === undefined);
      const patienceMs = isOwned ? PARTIAL_MS : message === undefined ? ORPHAN_MS : 0;
      if ((!isOwned || !isWhole) && now - usedAt > patienceMs) {
        // What was never written to its end does not tell how many segments it has.
        await this.#remove(key, Math.max(segmentCount(sizeBytes), isWhole ? 0 : await this.#segmentsOf(key)));
      } else if (isWhole && !isPinned) this.#cached += sizeBytes;
    }
  }

  async #segmentsOf(name: string): Promise<number> {
    return (await this.#port.names()).filter((segment) => segment.startsWith(`${name}-`)).length;
  }

  #keyOf(segment: string): Uint8Array {
    return blake2b(utf8(segment), 32, { key: this.#key });
  }
}

async function* piecesOf(source: FileSource): AsyncIterable<Uint8Array> {
  if (source instanceof Uint8Array) yield source;
  else if (source instanceof Blob) yield* readerOf(source.stream());
  else if ('getReader' in source) yield* readerOf(source);
  else yield* source;
}

/** Not all browsers iterate over streams. */
async function* readerOf(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  let isDone = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      isDone = done;
      if (value === undefined) return;
      yield value;
    }
  } finally {
    if (!isDone) await reader.cancel().catch(() => undefined);
  }
}
