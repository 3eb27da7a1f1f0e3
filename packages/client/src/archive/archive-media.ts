// SPDX-License-Identifier: MIT
// The content of files in an archive: lines of pieces, one file after the other (docs/formats/archive.md). On this device they
// stand in encrypted segments (`../files/contents.ts`), and pass through the memory one segment at a time.
import { fromBase64, toBase64 } from '@allium/protocol/bytes';
import { type Contents, SEGMENT_BYTES, segmentCount } from '../files/contents.ts';
import { filesOf } from '../files/stored-attachment.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { contentName } from './media.ts';

// Ours.
const PIECE_BYTES = 384 * 1024;
/** More than any file of a message has; a bound for what an archive may claim. */
const MAX_FILE_BYTES = 1024 ** 4;

/** What is here of the files of a message, as lines without their ends. */
export async function* mediaLines(
  contents: Contents,
  message: StoredMessage,
): AsyncGenerator<{ readonly line: string; readonly isEnd: boolean }, void, void> {
  const { sender, timestamp } = message;
  for (const [index, file] of filesOf(message).entries()) {
    const name = contentName(contents, file);
    const content = name === undefined ? undefined : await contents.find(name);
    if (name === undefined || content?.isWhole !== true) continue;
    const { sizeBytes } = content;
    for (let segment = 0; segment < segmentCount(sizeBytes); segment++) {
      const bytes = await contents.segment(name, segment);
      // Removed or damaged meanwhile: who reads it notices that it ends early.
      if (bytes === undefined) break;
      for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
        const piece = bytes.subarray(from, from + PIECE_BYTES);
        const at = segment * SEGMENT_BYTES + from;
        const told = { sender, timestamp, index, sizeBytes, at, bytes: toBase64(piece) };
        yield { line: `media ${JSON.stringify(told)}`, isEnd: at + piece.length === sizeBytes };
      }
    }
  }
}

interface OpenFile {
  readonly key: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly owner: { readonly sender: StoredMessage['sender']; readonly timestamp: number };
  /** Bytes that came. */
  at: number;
  readonly segment: Uint8Array;
  filled: number;
}

/** Puts the files of an archive where the account keeps its own. */
export class MediaImport {
  readonly #contents: Contents;
  readonly #storage: Storage;
  #open: OpenFile | undefined;
  /** Files that came whole. */
  files = 0;

  constructor(contents: Contents, storage: Storage) {
    this.#contents = contents;
    this.#storage = storage;
  }

  /** A file began and has not ended. */
  get isInside(): boolean {
    return this.#open !== undefined;
  }

  /** The rest of a line. False: it is malformed. What belongs to no message, or is here already, is passed over. */
  async take(json: string): Promise<boolean> {
    const piece = readPiece(json);
    if (piece === undefined) return false;
    const { sender, timestamp, index, sizeBytes, at, bytes } = piece;
    const key = `${sender} ${timestamp} ${index}`;
    if (at === 0) this.#open = await this.#begin(key, sender, timestamp, index, sizeBytes);
    const file = this.#open;
    if (file?.key !== key || file.at !== at || at + bytes.length > file.sizeBytes) {
      if (at !== 0 && file?.key === key) this.#open = undefined;
      return true;
    }
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + SEGMENT_BYTES - file.filled);
      file.segment.set(part, file.filled);
      file.filled += part.length;
      file.at += part.length;
      from += part.length;
      if (file.filled === SEGMENT_BYTES || file.at === file.sizeBytes) {
        const number = Math.ceil(file.at / SEGMENT_BYTES) - 1;
        await this.#contents.putSegment(file.name, number, file.segment.subarray(0, file.filled));
        file.filled = 0;
      }
    }
    if (file.at === file.sizeBytes) await this.#end(file);
    return true;
  }

  async #begin(
    key: string,
    sender: StoredMessage['sender'],
    timestamp: number,
    index: number,
    sizeBytes: number,
  ): Promise<OpenFile | undefined> {
    const message = await this.#storage.message(sender, timestamp);
    const file = message && filesOf(message)[index];
    const name = file && contentName(this.#contents, file);
    if (name === undefined || (await this.#contents.find(name))?.isWhole === true) return undefined;
    const owner = { sender, timestamp };
    await this.#contents.begin(name, sizeBytes, owner);
    const segment = new Uint8Array(Math.min(SEGMENT_BYTES, sizeBytes));
    return { key, name, sizeBytes, owner, at: 0, segment, filled: 0 };
  }

  /** Never removed to make room: perhaps no server has it any more. */
  async #end({ name, sizeBytes, owner }: OpenFile): Promise<void> {
    this.#open = undefined;
    const begun = await this.#contents.find(name);
    if (begun === undefined) return;
    const content = { ...begun, sizeBytes, owner, isWhole: true, isPinned: true };
    await this.#storage.write({ records: [this.#contents.record(name, content)] });
    this.files++;
  }
}

function readPiece(json: string) {
  try {
    const { sender, timestamp, index, sizeBytes, at, bytes } = JSON.parse(json) as Record<string, unknown>;
    const isSound =
      typeof sender === 'string' &&
      Number.isSafeInteger(timestamp) &&
      Number.isSafeInteger(index) &&
      Number.isSafeInteger(at) &&
      typeof sizeBytes === 'number' &&
      Number.isSafeInteger(sizeBytes) &&
      sizeBytes > 0 &&
      sizeBytes <= MAX_FILE_BYTES &&
      typeof bytes === 'string';
    if (!isSound) return undefined;
    return {
      sender: sender as StoredMessage['sender'],
      timestamp: timestamp as number,
      index: index as number,
      at: at as number,
      sizeBytes,
      bytes: fromBase64(bytes),
    };
  } catch {
    return undefined;
  }
}
