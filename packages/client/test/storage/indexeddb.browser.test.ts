// SPDX-License-Identifier: MIT
import { openDB } from 'idb';
import { expect, test } from 'vitest';
import { IndexedDbStorage } from '../../src/storage/indexeddb.ts';
import { STORAGE_SCHEMA } from '../../src/storage/storage.ts';
import { storageSuite } from './suite.ts';

let count = 0;
const freshName = () => `suite-${Date.now()}-${count++}`;

storageSuite('IndexedDB', async () => {
  const name = freshName();
  let storage = await IndexedDbStorage.open(name);
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await IndexedDbStorage.open(name);
      return storage;
    },
    remove: async () => {
      await storage.close();
      await IndexedDbStorage.delete(name);
    },
  };
});

test('a database of a newer program is refused and stays as it is', async () => {
  const name = freshName();
  (await openDB(name, STORAGE_SCHEMA + 1)).close();
  await expect(IndexedDbStorage.open(name)).rejects.toMatchObject({
    name: 'StorageError',
    code: 'newer_schema',
  });
  const untouched = await openDB(name);
  expect(untouched.version).toBe(STORAGE_SCHEMA + 1);
  untouched.close();
  await IndexedDbStorage.delete(name);
});
