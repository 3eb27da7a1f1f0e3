// SPDX-License-Identifier: MIT
// Wiping an account from this machine. The key goes first: without the account file, or the phrase in it, the database and
// the files are noise (docs/decisions/0025-encrypted-databases.md), whatever a disk keeps of them.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { wipeFile } from './wipe-file.ts';

export interface Wiped {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Overwrites and removes the files in `first` (the account file, in any form), then everything in the folder, links as
 * links. Nobody may use the account meanwhile. An interrupted one is finished by another.
 * @throws what the file system throws, after all else was removed
 */
export function wipeAccountFolder(folder: string, first: readonly string[]): Wiped {
  let [files, bytes] = [0, 0];
  const failures: unknown[] = [];
  const wipe = (path: string) => {
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) return;
    try {
      wipeFile(path);
      files++;
      bytes += size;
    } catch (error) {
      failures.push(error);
    }
  };
  for (const path of first) wipe(path);
  for (const path of filesIn(folder)) wipe(path);
  rmSync(folder, { recursive: true, force: true });
  if (failures.length > 0) throw failures[0];
  return { files, bytes };
}

function filesIn(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    // What a link leads to is not ours to overwrite.
    if (entry.isDirectory()) found.push(...filesIn(path));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}
