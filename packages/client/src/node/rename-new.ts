// SPDX-License-Identifier: MIT
// Giving a finished file its name, where nothing may be replaced.
import { link, open, rename, rm, unlink } from 'node:fs/promises';

/**
 * Of file systems without hard links (exFAT, FAT32, some network drives), as their drivers tell it, and of systems that allow
 * programs none (`EACCES` on Android).
 */
const NO_LINKS: ReadonlySet<string> = new Set([
  'EPERM',
  'EACCES',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
]);

/**
 * As `rename` within one folder, but fails with `EEXIST` where there is a file of the new name. The bytes under the new name are
 * the whole ones from the beginning; only where there are no hard links the name stands for an empty file first, which is what
 * a crash in that moment leaves beside the whole one.
 */
export async function renameNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    // `wx` takes the name or fails; from then on it is ours to replace.
    await (await open(to, 'wx', 0o600)).close();
    try {
      await rename(from, to);
    } catch (failure) {
      await rm(to, { force: true });
      throw failure;
    }
    return;
  }
  await unlink(from);
}
