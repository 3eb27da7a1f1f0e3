// SPDX-License-Identifier: MIT
// A file of a message into a folder of the user, and a file of the user into a message.
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import type { OpenFile } from '../files/downloads.ts';
import type { OutgoingAttachment } from '../files/uploads.ts';

// Ours.
const MAX_NUMBER = 10_000;
/** By extension: what people send; everything else is bytes. */
const TYPES: Readonly<Record<string, string>> = {
  ...{ jpg: 'image/jpeg', jpeg: 'image/jpeg', png: 'image/png', gif: 'image/gif', webp: 'image/webp' },
  ...{ avif: 'image/avif', heic: 'image/heic', bmp: 'image/bmp', svg: 'image/svg+xml' },
  ...{
    mp3: 'audio/mpeg',
    m4a: 'audio/mp4',
    aac: 'audio/aac',
    ogg: 'audio/ogg',
    opus: 'audio/ogg',
    wav: 'audio/wav',
  },
  ...{ mp4: 'video/mp4', mov: 'video/quicktime', webm: 'video/webm', mkv: 'video/x-matroska' },
  ...{
    pdf: 'application/pdf',
    txt: 'text/plain',
    md: 'text/markdown',
    csv: 'text/csv',
    json: 'application/json',
  },
  ...{ zip: 'application/zip', gz: 'application/gzip', tar: 'application/x-tar' },
};

/**
 * Writes it under its name, with a number where that is taken; its path. A file that is there is never changed. `fallback`: of what
 * has no name.
 * @throws FileTransferError `gone`; errors of the file system, nothing is left then
 */
export async function saveFile(file: OpenFile, folder: string, fallback = 'file'): Promise<string> {
  const { path, handle } = await create(folder, file.fileName ?? fallback);
  try {
    for await (const piece of file.stream()) await handle.writeFile(piece);
    await handle.close();
    return path;
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(path, { force: true });
    throw error;
  }
}

async function create(folder: string, name: string): Promise<{ path: string; handle: FileHandle }> {
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  for (let i = 0; ; i++) {
    const path = join(folder, i === 0 ? name : `${stem} (${i})${extension}`);
    try {
      return { path, handle: await open(path, 'wx', 0o600) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || i === MAX_NUMBER) throw error;
    }
  }
}

/** A file of this machine as an attachment; read when the message is sent. */
export function attachmentOf(path: string): OutgoingAttachment {
  const contentType = TYPES[extname(path).slice(1).toLowerCase()];
  return {
    // Opened when it is read.
    data: { [Symbol.asyncIterator]: () => createReadStream(path)[Symbol.asyncIterator]() },
    fileName: basename(path),
    ...(contentType !== undefined && { contentType }),
  };
}
