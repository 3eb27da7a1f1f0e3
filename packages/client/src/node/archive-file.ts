// SPDX-License-Identifier: MIT
// Archives as files. While one is written it is called NAME.part; it gets its name when it is whole and on the disk.
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AlliumError } from '@allium/protocol/errors';
import { type ByteReader, HEADER_BYTES, lastChunk, openArchive, readHeader } from '../archive/container.ts';
import { type ExportOptions, type ExportSummary, exportArchive, exportPoint } from '../archive/export.ts';
import { type ImportOptions, type ImportSummary, importArchive } from '../archive/import.ts';
import type { Storage } from '../storage/storage.ts';
import { renameNew } from './rename-new.ts';

/** `exists`: not overwritten. `missing`, `unreadable`, `unwritable`, `full`: as the file system says. */
export class ArchiveFileError extends AlliumError<
  'exists' | 'missing' | 'unreadable' | 'unwritable' | 'full'
> {
  override readonly name = 'ArchiveFileError';
}

/** Bytes that may be lost when the power fails; a resumed export writes them again. */
const SYNC_BYTES = 8 * 1024 * 1024;

export interface ExportFileOptions extends Omit<ExportOptions, 'write' | 'from'> {
  /** Goes on with NAME.part where it is; begins where it is not. Its other options must be the same as before. */
  readonly resume?: boolean;
  readonly overwrite?: boolean;
}

/** @throws ArchiveFileError; ArchiveError; StorageError */
export async function exportArchiveFile(
  storage: Storage,
  path: string,
  options: ExportFileOptions,
): Promise<ExportSummary & { readonly sizeBytes: number; readonly resumed: boolean }> {
  const { resume = false, overwrite = false, ...rest } = options;
  if (!overwrite && (await stat(path).catch(() => undefined)) !== undefined) {
    throw new ArchiveFileError('exists', 'there is a file of this name already');
  }
  const part = `${path}.part`;
  const file = await writing(open(part, resume ? 'a+' : 'w+', 0o600));
  try {
    const found = resume ? await findPoint(file, options.passphrase) : undefined;
    let at = found?.end ?? 0;
    let unsynced = 0;
    await writing(file.truncate(at));
    const summary = await exportArchive(storage, {
      ...rest,
      ...(found !== undefined && { from: found.from }),
      write: async (bytes) => {
        await writing(writeAll(file, bytes));
        at += bytes.length;
        unsynced += bytes.length;
        if (unsynced < SYNC_BYTES) return;
        await writing(file.sync());
        unsynced = 0;
      },
    });
    await writing(file.sync());
    await writing(finish(part, path, overwrite));
    return { ...summary, sizeBytes: at, resumed: found !== undefined };
  } finally {
    await file.close();
  }
}

export interface ImportFileOptions extends Omit<ImportOptions, 'source' | 'onProgress'> {
  readonly onProgress?: (progress: { readonly messages: number; readonly share: number }) => void;
}

/** @throws ArchiveFileError; ArchiveError; StorageError */
export async function importArchiveFile(
  storage: Storage,
  path: string,
  { onProgress, ...options }: ImportFileOptions,
): Promise<ImportSummary> {
  await using source = await openArchiveFile(path);
  return await importArchive(storage, {
    ...options,
    source,
    onProgress: ({ messages }) => onProgress?.({ messages, share: source.position() / source.sizeBytes }),
  });
}

/**
 * Whether it is an archive that this version can read, before a passphrase is asked for.
 * @throws ArchiveFileError as `openArchiveFile`; ArchiveError `not_an_archive`, `unsupported`, `damaged`, `truncated`
 */
export async function checkArchiveFile(path: string): Promise<void> {
  await using source = await openArchiveFile(path);
  await readHeader(source);
}

/** A reader from the beginning of the file. @throws ArchiveFileError `missing`, `unreadable` */
export async function openArchiveFile(
  path: string,
): Promise<ByteReader & AsyncDisposable & { readonly sizeBytes: number; position(): number }> {
  let file: FileHandle;
  let sizeBytes: number;
  try {
    file = await open(path, 'r');
    sizeBytes = (await file.stat()).size;
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code === 'ENOENT'
      ? new ArchiveFileError('missing', 'there is no such file', { cause })
      : new ArchiveFileError('unreadable', 'the file cannot be read', { cause });
  }
  const reader = fileReader(file);
  return { ...reader, sizeBytes, [Symbol.asyncDispose]: () => file.close() };
}

function fileReader(file: FileHandle): ByteReader & { position(): number } {
  let at = 0;
  return {
    position: () => at,
    async read(length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, at + filled).catch((cause) => {
          throw new ArchiveFileError('unreadable', 'the file cannot be read', { cause });
        });
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      at += filled;
      return bytes.subarray(0, filled);
    },
    async skip(length) {
      at += length;
    },
  };
}

/** Undefined: nothing of use is there yet. @throws ArchiveError as `openArchive`; `cannot_resume` */
async function findPoint(file: FileHandle, passphrase: string) {
  if ((await file.stat()).size < HEADER_BYTES) return undefined;
  const reader = fileReader(file);
  const archive = await openArchive(reader, passphrase);
  const last = await lastChunk(archive, reader);
  if (last === undefined) return undefined;
  return { end: last.end, from: { archive, point: exportPoint(last.chunk) } };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at, null)).bytesWritten;
  }
}

async function finish(part: string, path: string, overwrite: boolean): Promise<void> {
  if (overwrite) await rename(part, path);
  else await renameNew(part, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw new ArchiveFileError('exists', 'there is a file of this name already', { cause });
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new ArchiveFileError('full', 'no space is left on the disk', { cause });
    }
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new ArchiveFileError('unwritable', 'there is no such folder', { cause });
    throw new ArchiveFileError('unwritable', 'the file cannot be written', { cause });
  }
}
