// SPDX-License-Identifier: MIT
// Segments of files in a folder, each a file that its owner alone can read. A kill leaves whole ones and `.new` ones, which
// the next writer of that name replaces.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobPort } from '../storage/blobs.ts';
import { StorageError } from '../storage/storage.ts';

export class FolderBlobs implements BlobPort {
  readonly cacheBytes = 1024 * 1024 * 1024;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Made if needed. */
  static async open(folder: string): Promise<FolderBlobs> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new FolderBlobs(folder);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    try {
      const file = await open(`${path}.new`, 'w', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
    } catch (cause) {
      await rm(`${path}.new`, { force: true }).catch(() => undefined);
      const isFull = ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '');
      const why = isFull ? 'the disk is full: make room and try again' : 'a file could not be written';
      throw new StorageError(isFull ? 'full' : 'failed', why, { cause });
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(this.#path(name));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new StorageError('failed', 'a file could not be read', { cause });
    }
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) await rm(this.#path(name), { force: true });
  }

  async names(): Promise<readonly string[]> {
    return (await readdir(this.#folder)).filter((name) => /^[a-z0-9-]+$/.test(name));
  }

  async close(): Promise<void> {}

  #path(name: string): string {
    if (!/^[a-z0-9-]+$/.test(name)) throw new RangeError('not a name of a segment');
    return join(this.#folder, name);
  }
}
