// SPDX-License-Identifier: MIT
// Writing an archive from a storage, whatever kind it is: page by page, so that memory does not grow with the history.
import type { AccountId } from '@allium/protocol/account-id';
import { toHex } from '@allium/protocol/bytes';
import type { Contents } from '../files/contents.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { ArchiveError } from './archive-error.ts';
import { mediaLines } from './archive-media.ts';
import { SumDigest } from './canonical.ts';
import { type ArchiveCost, type ArchiveKey, type Chunk, newArchive, sealChunk } from './container.ts';
import { isExpired, messageLine, RECORD_KINDS, recordLine } from './records.ts';

// Ours.
const MESSAGES_AT_ONCE = 500;
/** Of a chunk, in characters: what a reader needs as memory, and what a kill may cost. */
const CHUNK_TARGET = 1024 * 1024;

export interface ArchiveCounts {
  readonly messages: number;
  readonly records: number;
  /** Files of messages; absent when there are none. */
  readonly files?: number;
}

export interface ExportSummary extends ArchiveCounts {
  /** Of all that the archive carries but files, whatever its order; 64 hex digits. */
  readonly digest: string;
}

/** How far an archive is, as its last chunk tells. */
export interface ExportPoint extends ExportSummary {
  /** Number of the next chunk. */
  readonly next: number;
  /** Of the last message, in the storage, … */
  readonly place: number;
  /** … or of the last one whose files are complete. */
  readonly isInFiles?: boolean;
}

export interface ExportProgress extends ArchiveCounts {
  /** 0 to 1. */
  readonly share: number;
}

export interface ExportOptions {
  readonly account: AccountId;
  /** 16 or 32 bytes: whoever opens the archive has the account too. Absent: it is not in it. */
  readonly secret?: Uint8Array;
  readonly passphrase: string;
  /** Only this conversation, and its contact. */
  readonly conversation?: AccountId;
  /** Files that are on this device go along. */
  readonly contents?: Contents;
  /** Local time in ms. */
  readonly now: number;
  /** Takes the bytes one after the other. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly onProgress?: (progress: ExportProgress) => void;
  readonly signal?: AbortSignal;
  /** Goes on behind this point of an archive that was not finished; nothing before it is written again. */
  readonly from?: { readonly archive: ArchiveKey; readonly point: ExportPoint };
  /** For tests: the cost of the key derivation. */
  readonly cost?: ArchiveCost;
  /** For tests: characters of a chunk. */
  readonly chunkTarget?: number;
}

/** @throws ArchiveError `empty_passphrase`, `too_large`; StorageError; what `write` throws */
export async function exportArchive(storage: Storage, options: ExportOptions): Promise<ExportSummary> {
  const { account, secret, conversation, contents, now, write, onProgress, signal, from } = options;
  const { chunkTarget = CHUNK_TARGET } = options;
  let archive: ArchiveKey;
  if (from === undefined) {
    const made = newArchive(options.passphrase, options.cost);
    await write(made.header);
    archive = made;
  } else archive = from.archive;
  const digest = new SumDigest(from?.point.digest);
  let { messages, records, place, next } = from?.point ?? { messages: 0, records: 0, place: 0, next: 0 };
  let { files = 0, isInFiles = false } = from?.point ?? {};
  const summary = (): ExportSummary => ({
    messages,
    records,
    ...(files > 0 && { files }),
    digest: digest.toString(),
  });
  let lines = '';
  const flush = async (end?: string) => {
    signal?.throwIfAborted();
    // The place comes last: a reader that stops here knows all that it must to go on.
    lines += end ?? `at ${JSON.stringify({ ...summary(), place, ...(isInFiles && { isInFiles }) })}\n`;
    await write(sealChunk(archive, { number: next++, isLast: end !== undefined, lines }));
    lines = '';
  };
  const carry = (line: string) => {
    digest.add(line);
    lines += `${line}\n`;
  };

  if (next === 0) {
    const about = { account, exportedAt: now, ...(conversation !== undefined && { conversation }) };
    lines += `about ${JSON.stringify({ ...about, ...(secret !== undefined && { secret: toHex(secret) }) })}\n`;
    for (const kind of RECORD_KINDS) {
      for (const record of await storage.records(kind)) {
        if (conversation !== undefined && record.key !== conversation) continue;
        if (record.expiry !== undefined && record.expiry <= now) continue;
        carry(recordLine(record));
        records++;
        if (lines.length >= chunkTarget) await flush();
      }
    }
    await flush();
  }
  const isWanted = (message: StoredMessage) =>
    (conversation === undefined || message.conversation === conversation) && !isExpired(message, now);
  const last = await storage.lastPlace();
  while (!isInFiles) {
    const page = await storage.scan(place, MESSAGES_AT_ONCE);
    for (const { place: at, message } of page) {
      place = at;
      if (!isWanted(message)) continue;
      carry(messageLine(message));
      messages++;
      if (lines.length >= chunkTarget) await flush();
    }
    onProgress?.({ messages, records, share: last === 0 ? 1 : Math.min(1, place / last) });
    if (page.length > 0) continue;
    if (contents === undefined) break;
    isInFiles = true;
    place = 0;
    // Whoever reads it has all messages before their files come.
    await flush();
  }
  while (contents !== undefined) {
    const page = await storage.scan(place, MESSAGES_AT_ONCE);
    if (page.length === 0) break;
    for (const { place: at, message } of page) {
      let whole = 0;
      if (isWanted(message)) {
        for await (const { line, isEnd } of mediaLines(contents, message)) {
          lines += `${line}\n`;
          if (isEnd) whole++;
          if (lines.length >= chunkTarget) await flush();
        }
      }
      files += whole;
      place = at;
    }
  }
  await flush(`end ${JSON.stringify(summary())}\n`);
  return summary();
}

/** Where an archive that is not finished goes on. @throws ArchiveError `cannot_resume` */
export function exportPoint(chunk: Chunk): ExportPoint {
  const line = chunk.lines.trimEnd().split('\n').at(-1) ?? '';
  if (chunk.isLast || !line.startsWith('at '))
    throw new ArchiveError('cannot_resume', 'the archive is finished');
  return { ...(JSON.parse(line.slice(3)) as ExportPoint), next: chunk.number + 1 };
}

/** The same digest of what is in a storage now. */
export async function storageDigest(
  storage: Storage,
  { now, conversation, signal }: { now: number; conversation?: AccountId; signal?: AbortSignal },
): Promise<ExportSummary> {
  const digest = new SumDigest();
  let [messages, records] = [0, 0];
  for (const kind of RECORD_KINDS) {
    for (const record of await storage.records(kind)) {
      if (conversation !== undefined && record.key !== conversation) continue;
      if (record.expiry !== undefined && record.expiry <= now) continue;
      digest.add(recordLine(record));
      records++;
    }
  }
  for (let place = 0; ; ) {
    signal?.throwIfAborted();
    const page = await storage.scan(place, MESSAGES_AT_ONCE);
    if (page.length === 0) break;
    for (const { place: at, message } of page) {
      place = at;
      if (isExpired(message, now) || (conversation !== undefined && message.conversation !== conversation))
        continue;
      digest.add(messageLine(message));
      messages++;
    }
  }
  return { messages, records, digest: digest.toString() };
}
