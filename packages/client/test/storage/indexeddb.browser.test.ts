// SPDX-License-Identifier: MIT
import type { AccountId } from '@allium/protocol/account-id';
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

test('a database of schema 1 is taken over with its messages', async () => {
  const name = freshName();
  const old = await openDB(name, 1, {
    upgrade(upgraded) {
      const messages = upgraded.createObjectStore('messages', { keyPath: 'id', autoIncrement: true });
      messages.createIndex('identity', ['sender', 'timestamp'], { unique: true });
      messages.createIndex('conversation', ['conversation', 'timestamp', 'sender']);
      messages.createIndex('unhandled', 'isUnhandled');
      messages.createIndex('unsent', 'isUnsent');
      upgraded.createObjectStore('seen', { keyPath: 'hash' }).createIndex('expiry', 'expiry');
      upgraded
        .createObjectStore('lastHashes', { keyPath: ['node', 'account', 'namespace'] })
        .createIndex('expiry', 'expiry');
      upgraded.createObjectStore('swarms', { keyPath: 'account' });
      upgraded.createObjectStore('values');
    },
  });
  const two = {
    sender: '05b',
    timestamp: 2,
    conversation: '05b',
    text: 'two',
    state: 'received',
    hash: 'h',
    handled: false,
  };
  await old.add('messages', { ...two, isUnhandled: 1 });
  await old.add('messages', { ...two, timestamp: 1, text: 'one', handled: true });
  old.close();
  const storage = await IndexedDbStorage.open(name);
  expect((await storage.history('05b' as AccountId, { limit: 10 })).map(({ text }) => text)).toEqual([
    'one',
    'two',
  ]);
  expect(await storage.unhandled(10)).toEqual([two]);
  await storage.write({ records: [{ kind: 'k', key: 'x', value: {} }] });
  expect(await storage.records('k')).toHaveLength(1);
  await storage.close();
  await IndexedDbStorage.delete(name);
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
