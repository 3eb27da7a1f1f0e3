// SPDX-License-Identifier: AGPL-3.0-or-later
// Files of messages: as words and as JSON, saved into a folder, and taken from paths.
import { access, constants, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import { FileTransferError } from '@allium/client/files/file-transfer-error';
import type { StoredAttachment } from '@allium/client/files/stored-attachment';
import type { OutgoingAttachment } from '@allium/client/files/uploads';
import { attachmentOf, saveFile } from '@allium/client/node/save-file';
import { StorageError, type StoredMessage } from '@allium/client/storage';
import { fileTrouble, usage } from './cli-error.ts';
import { harmlessLine, type Progress, print, styled } from './terminal.ts';

export interface SaveOptions {
  /** The folder. */
  readonly save?: string;
  readonly saveFrom?: 'contacts' | 'anyone';
  /** Bytes; larger files stay where they are. */
  readonly saveMax?: number;
}

// Ours.
const SAVE_MAX_BYTES = 100_000_000;

/** What became of a file that was to be saved. */
export interface SavedFile {
  readonly saved?: string;
  readonly notSaved?: string;
}

const megabytes = (bytes: number): string =>
  bytes < 1_000
    ? `${bytes} bytes`
    : bytes < 1e6
      ? `${(bytes / 1e3).toFixed(1)} kB`
      : `${(bytes / 1e6).toFixed(1)} MB`;

export function filesJson(
  { attachments = [], preview }: StoredMessage,
  saved: readonly SavedFile[] = [],
): Record<string, unknown> {
  const told = attachments.map((one, i) => ({
    ...(one.fileName !== undefined && { name: one.fileName }),
    type: one.contentType,
    bytes: one.sizeBytes,
    ...(one.width !== undefined && { width: one.width }),
    ...(one.height !== undefined && { height: one.height }),
    ...(one.caption !== undefined && { caption: one.caption }),
    ...(one.isVoice === true && { voice: true }),
    ...(one.durationMs !== undefined && { durationMs: one.durationMs }),
    ...(one.problem !== undefined && { problem: one.problem }),
    ...saved[i],
  }));
  return {
    ...(told.length > 0 && { attachments: told }),
    ...(preview !== undefined && { preview: { url: preview.url, title: preview.title } }),
  };
}

/** One line for each file, below its message. */
export function printFiles(
  { attachments = [], preview }: StoredMessage,
  saved: readonly SavedFile[] = [],
): void {
  const indent = ' '.repeat(10);
  attachments.forEach((one, i) => {
    const { saved: path, notSaved } = saved[i] ?? {};
    const end = path !== undefined ? ` → ${path}` : notSaved !== undefined ? `, not saved: ${notSaved}` : '';
    print(`${indent}${styled('dim', '[file]')} ${harmlessLine(describe(one))}${harmlessLine(end)}`);
  });
  if (preview !== undefined)
    print(`${indent}${styled('dim', '[link]')} ${harmlessLine(preview.title ?? preview.url)}`);
}

function describe({
  fileName,
  contentType,
  sizeBytes,
  isVoice,
  durationMs,
  caption,
  problem,
}: StoredAttachment): string {
  const seconds = durationMs === undefined ? '' : `${Math.round(durationMs / 1000)} s`;
  const kind = isVoice === true ? 'voice message' : (fileName ?? 'a file without name');
  const size = sizeBytes > 0 ? megabytes(sizeBytes) : 'size unknown';
  return [kind, seconds, contentType, size, caption, problem && 'cannot be opened']
    .filter((part) => part !== undefined && part !== '')
    .join(', ');
}

/** Saves what the options allow, and says of each file what became of it. Never ends a program. */
export async function saveFiles(
  client: Client,
  message: StoredMessage,
  { save, saveFrom = 'contacts', saveMax = SAVE_MAX_BYTES }: SaveOptions,
  signal: AbortSignal,
): Promise<readonly SavedFile[]> {
  const { attachments = [], sender } = message;
  if (save === undefined) return [];
  const isTrusted = sender === client.id || client.conversation(sender).contact.approved;
  const saved: SavedFile[] = [];
  for (const [index, { sizeBytes }] of attachments.entries()) {
    if (saveFrom === 'contacts' && !isTrusted) {
      saved.push({ notSaved: 'the sender has not been accepted (--save-from anyone)' });
    } else if (sizeBytes > saveMax) {
      saved.push({ notSaved: `larger than ${megabytes(saveMax)} (--save-max)` });
    } else {
      try {
        const file = await client.files.open(message, index, { signal });
        saved.push({ saved: resolve(await saveFile(file, save, `file-${message.timestamp}`)) });
      } catch (error) {
        signal.throwIfAborted();
        saved.push({ notSaved: troubleOf(error) });
      }
    }
  }
  return saved;
}

function troubleOf(error: unknown): string {
  const isKnown =
    error instanceof FileTransferError || error instanceof ClientError || error instanceof StorageError;
  if (isKnown) return error.message;
  if ((error as NodeJS.ErrnoException).code !== undefined) return (error as Error).message;
  throw error;
}

/** @throws CliError when files cannot be written there */
export async function checkSaveFolder(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  try {
    if (!(await stat(folder)).isDirectory()) throw usage(`${folder} (--save) is not a folder`);
    await access(folder, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw fileTrouble('cannot save into', folder, error);
  }
}

export interface FileOptions {
  readonly file?: readonly string[];
  readonly voice?: boolean;
  /** Seconds. */
  readonly duration?: number;
}

/** @throws CliError for what is no file that can be read */
export async function attachmentsOf({
  file = [],
  voice,
  duration,
}: FileOptions): Promise<OutgoingAttachment[]> {
  if (file.length === 0 && (voice === true || duration !== undefined)) {
    throw usage('--voice and --duration say something about a file: name it with --file');
  }
  for (const path of file) {
    try {
      if (!(await stat(path)).isFile()) throw usage(`${path} (--file) is not a file`);
      await access(path, constants.R_OK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      throw fileTrouble('cannot send', path, error);
    }
  }
  return file.map((path) => ({
    ...attachmentOf(path),
    ...(voice === true && { isVoice: true }),
    ...(duration !== undefined && { durationMs: duration * 1_000 }),
  }));
}

/** Shows how far the files of the message are that is being sent. */
export function showUploads(client: Client, line: Progress): () => void {
  const files = new Map<number | 'preview', readonly [number, number]>();
  return client.on('upload', ({ index, doneBytes, totalBytes }) => {
    files.set(index, [doneBytes, totalBytes]);
    const [done, total] = [...files.values()].reduce(([a, b], [c, d]) => [a + c, b + d] as const, [
      0, 0,
    ] as const);
    line.note(`${megabytes(done)} of ${megabytes(total)}`);
  });
}
