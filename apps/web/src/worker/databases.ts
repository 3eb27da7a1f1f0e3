// SPDX-License-Identifier: AGPL-3.0-or-later
// The two databases of an account in this browser: messages, and files.

/** A new one each time the old one is set aside. */
export const databaseOf = (key: string, generation: number): string =>
  generation === 0 ? `allium-${key}` : `allium-${key}-${generation}`;

/** Where the files of a database are. */
export const filesOf = (database: string): string => `${database}-files`;

export async function eraseDatabase(key: string, generation: number): Promise<void> {
  const name = databaseOf(key, generation);
  // Like the client itself, only where an account is.
  const { IndexedDbStorage } = await import('@allium/client/storage/indexeddb');
  const { IndexedDbBlobs } = await import('@allium/client/storage/indexeddb-blobs');
  await IndexedDbStorage.delete(name);
  await IndexedDbBlobs.delete(filesOf(name));
}
