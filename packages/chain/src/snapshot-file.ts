// SPDX-License-Identifier: MIT
// The snapshot of the chain as a file of the program's data folder; written beside and renamed, so that a crash leaves
// the old or the new one.
import { open, readFile, rename } from 'node:fs/promises';
import type { SnapshotStore } from './snapshot-keeper.ts';

export function snapshotFile(path: string): SnapshotStore {
  return {
    async load() {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async save(text) {
      const handle = await open(`${path}.new`, 'w', 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.new`, path);
    },
  };
}
