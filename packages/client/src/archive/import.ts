// SPDX-License-Identifier: MIT
// Reading an archive into a storage, empty or used. Each chunk is one change of the storage, checked before it is written:
// whatever goes wrong, all that was written is right, and reading the archive again adds nothing twice.
//
// Not while a client has the storage open: it keeps contacts in memory.
import type { AccountId } from '@allium/protocol/account-id';
import { fromHex } from '@allium/protocol/bytes';
import type { Contents } from '../files/contents.ts';
import type { Changes, Storage, StoredMessage, StoredRecord } from '../storage/storage.ts';
import { JOURNAL } from '../sync/journal.ts';
import { ArchiveError } from './archive-error.ts';
import { MediaImport } from './archive-media.ts';
import { SumDigest } from './canonical.ts';
import { type ByteReader, type Chunk, openArchive, readChunks } from './container.ts';
import type { ExportSummary } from './export.ts';
import { mergeMessages, mergeRecords } from './merge.ts';
import { isExpired, readMessage, readRecord } from './records.ts';

// Ours.
/** A chunk of tiny records would otherwise be a change that takes minutes. */
const MAX_LINES = 50_000;
const SETTING = 'import';

export interface ArchiveAbout {
  readonly account: AccountId;
  /** By the clock of who wrote it, ms. */
  readonly exportedAt: number;
  /** It holds this conversation only. */
  readonly conversation?: AccountId;
  /** Seed of the account; secret. */
  readonly secret?: Uint8Array;
}

export interface ImportSummary {
  /** What the archive says of itself, and what was read agrees with it. */
  readonly archive: ExportSummary;
  /** Messages that were not there before, … */
  readonly added: number;
  /** … that changed, … */
  readonly merged: number;
  /** … that are there already, … */
  readonly known: number;
  /** … that disappeared since. */
  readonly expired: number;
  /** Records (contacts and the like) that were added or changed. */
  readonly records: number;
  /** Of messages, that were not here. */
  readonly files: number;
  /** Lines of kinds that this program does not know: left out. */
  readonly unknown: number;
  /** Malformed ones: left out. */
  readonly refused: number;
}

export interface ImportOptions {
  readonly account: AccountId;
  readonly passphrase: string;
  readonly source: ByteReader;
  /** Where files of messages go. Absent: those of the archive are left out. */
  readonly contents?: Contents;
  /** Local time in ms. */
  readonly now: number;
  /** Goes on where an import of the same archive ended early; what came before is not read again. */
  readonly resume?: boolean;
  readonly onProgress?: (counts: { readonly messages: number; readonly chunks: number }) => void;
  readonly signal?: AbortSignal;
}

/** What is kept with each change, so that it can go on. */
interface Point {
  readonly id: string;
  readonly next: number;
  readonly digest: string;
  readonly counts: Counts;
}

interface Counts {
  added: number;
  merged: number;
  known: number;
  expired: number;
  records: number;
  files: number;
  unknown: number;
  refused: number;
}

/** What an archive is, without reading more than its beginning. @throws ArchiveError */
export async function readAbout(source: ByteReader, passphrase: string): Promise<ArchiveAbout> {
  const archive = await openArchive(source, passphrase);
  for await (const { lines } of readChunks(archive, source)) return aboutOf(lines);
  throw new ArchiveError('truncated', 'the archive is empty');
}

/**
 * @throws ArchiveError `wrong_account`, and what `openArchive` and `readChunks` throw; StorageError; what the source throws.
 * What was written before is right and stays.
 */
export async function importArchive(storage: Storage, options: ImportOptions): Promise<ImportSummary> {
  const { account, passphrase, source, now, onProgress, signal } = options;
  const archive = await openArchive(source, passphrase);
  const point = options.resume === true ? readPoint(await storage.setting(SETTING), archive.id) : undefined;
  const digest = new SumDigest(point?.digest);
  const counts: Counts = point?.counts ?? {
    added: 0,
    merged: 0,
    known: 0,
    expired: 0,
    records: 0,
    files: 0,
    unknown: 0,
    refused: 0,
  };
  const media = options.contents && new MediaImport(options.contents, storage);
  const filesBefore = counts.files;
  let end: ExportSummary | undefined;
  for await (const chunk of readChunks(archive, source, point?.next ?? 0)) {
    signal?.throwIfAborted();
    if (chunk.number === 0 && aboutOf(chunk.lines).account !== account) {
      throw new ArchiveError('wrong_account', 'the archive is of another account');
    }
    const read = readLines(chunk, digest, counts, now);
    end = read.end;
    const changes = await changesOf(storage, read, counts, now);
    for (const json of media === undefined ? [] : read.media) {
      if (!(await media?.take(json))) counts.refused++;
    }
    counts.files = filesBefore + (media?.files ?? 0);
    const next: Point = { id: archive.id, next: chunk.number + 1, digest: digest.toString(), counts };
    const setting = chunk.isLast ? undefined : JSON.stringify(next);
    // Inside of a file it goes on from where that began.
    const isInside = media?.isInside === true && !chunk.isLast;
    if (!isInside) await storage.write({ ...changes, settings: { [SETTING]: setting } });
    else if (read.messages.length + read.records.length > 0) await storage.write(changes);
    onProgress?.({
      messages: counts.added + counts.merged + counts.known + counts.expired,
      chunks: chunk.number + 1,
    });
  }
  if (end === undefined) throw new ArchiveError('damaged', 'the archive does not tell its end');
  if (end.digest !== digest.toString()) {
    throw new ArchiveError('damaged', 'the archive does not hold what it says');
  }
  return { archive: end, ...counts };
}

interface Read {
  readonly messages: readonly StoredMessage[];
  readonly records: readonly StoredRecord[];
  readonly media: readonly string[];
  readonly end: ExportSummary | undefined;
}

/** What a chunk brings; the digest and the counts grow. @throws ArchiveError `damaged` */
export function readLines({ lines, isLast }: Chunk, digest: SumDigest, counts: Counts, now: number): Read {
  // The last of several counts, as it would in several chunks.
  const messages = new Map<string, StoredMessage>();
  const records = new Map<string, StoredRecord>();
  const media: string[] = [];
  let end: ExportSummary | undefined;
  let left = MAX_LINES;
  for (let from = 0; from < lines.length; ) {
    const until = lines.indexOf('\n', from);
    if (until < 0 || left-- === 0) throw new ArchiveError('damaged', 'the archive is damaged: bad lines');
    const line = lines.slice(from, until);
    from = until + 1;
    const space = line.indexOf(' ');
    const json = line.slice(space + 1);
    switch (line.slice(0, space)) {
      case 'message': {
        digest.add(line);
        const message = readMessage(json);
        if (message === undefined) counts.refused++;
        else if (isExpired(message, now)) counts.expired++;
        else {
          const key = `${message.sender} ${message.timestamp}`;
          const before = messages.get(key);
          messages.set(key, before === undefined ? message : (mergeMessages(before, message) ?? before));
        }
        break;
      }
      case 'record': {
        digest.add(line);
        const record = readRecord(json);
        if (record === 'unknown') counts.unknown++;
        else if (record === undefined) counts.refused++;
        else if (record.expiry === undefined || record.expiry > now)
          records.set(`${record.kind} ${record.key}`, record);
        break;
      }
      case 'media':
        media.push(json);
        break;
      case 'end':
        end = readEnd(json);
        break;
      case 'about':
      case 'at':
        break;
      default:
        counts.unknown++;
    }
  }
  if (isLast && end === undefined) throw new ArchiveError('damaged', 'the archive does not tell its end');
  return { messages: [...messages.values()], records: [...records.values()], media, end };
}

async function changesOf(storage: Storage, read: Read, counts: Counts, now: number): Promise<Changes> {
  const messages: StoredMessage[] = [];
  for (const theirs of read.messages) {
    const ours = await storage.message(theirs.sender, theirs.timestamp);
    const merged = ours === undefined ? theirs : mergeMessages(ours, theirs);
    if (merged === undefined) counts.known++;
    else {
      messages.push(merged);
      if (ours === undefined) counts.added++;
      else counts.merged++;
    }
  }
  const records: StoredRecord[] = [];
  for (const theirs of read.records) {
    const ours = await storage.record(theirs.kind, theirs.key);
    const merged = ours === undefined ? theirs : mergeRecords(ours, theirs);
    if (merged !== undefined) records.push(merged);
  }
  counts.records += records.length;
  // Our other devices learn of it as of what any process without configs changed.
  const noted = records.map(({ kind, key }) => ({
    kind: JOURNAL,
    key: `${kind} ${key}`,
    value: { at: now },
  }));
  return { messages, records: [...records, ...noted] };
}

/** The first line of the first chunk. @throws ArchiveError `damaged` */
function aboutOf(lines: string): ArchiveAbout {
  const damaged = () => new ArchiveError('damaged', 'the archive does not tell whose it is');
  const line = lines.slice(0, lines.indexOf('\n'));
  if (!line.startsWith('about ')) throw damaged();
  try {
    const given = JSON.parse(line.slice(6)) as Record<string, unknown>;
    const { account, exportedAt, conversation, secret } = given;
    if (typeof account !== 'string' || typeof exportedAt !== 'number') throw damaged();
    return {
      account: account as AccountId,
      exportedAt,
      ...(typeof conversation === 'string' && { conversation: conversation as AccountId }),
      ...(typeof secret === 'string' && { secret: fromHex(secret) }),
    };
  } catch {
    throw damaged();
  }
}

function readEnd(json: string): ExportSummary | undefined {
  try {
    const { messages, records, files, digest } = JSON.parse(json) as Record<string, unknown>;
    if (typeof messages !== 'number' || typeof records !== 'number' || typeof digest !== 'string')
      return undefined;
    return { messages, records, ...(typeof files === 'number' && { files }), digest };
  } catch {
    return undefined;
  }
}

/** What we wrote ourselves, of this archive. */
function readPoint(text: string | undefined, id: string): Point | undefined {
  if (text === undefined) return undefined;
  const point = JSON.parse(text) as Point;
  return point.id === id ? point : undefined;
}
