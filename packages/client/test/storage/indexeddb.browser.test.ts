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

storageSuite('sealed IndexedDB', async () => {
  const name = freshName();
  const key = new Uint8Array(32).fill(7);
  let storage = await IndexedDbStorage.open(name, undefined, { key });
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await IndexedDbStorage.open(name, undefined, { key });
      return storage;
    },
    remove: async () => {
      await storage.close();
      await IndexedDbStorage.delete(name);
    },
  };
});

/** All that the browser keeps, as text. */
async function rawContent(name: string): Promise<string> {
  const database = await openDB(name);
  const rows: unknown[] = [];
  for (const store of database.objectStoreNames) {
    rows.push(await database.getAllKeys(store), await database.getAll(store));
  }
  database.close();
  return JSON.stringify(rows, (_key, value) =>
    value instanceof Uint8Array ? new TextDecoder('latin1').decode(value) : value,
  );
}

test('a plain database is sealed when it is opened with a key, and shows nothing then', async () => {
  const name = freshName();
  const [id, secret, hash] = [`05${'b'.repeat(64)}` as AccountId, 'onions at dawn', 'HASH-OF-THE-SWARM'];
  const message = {
    sender: id,
    conversation: id,
    text: secret,
    state: 'received',
    handled: false,
    hash,
  } as const;
  const content = {
    messages: [
      { ...message, timestamp: 1, sortTimestamp: 5 },
      { ...message, timestamp: 2, hash: 'other' },
    ],
    records: [{ kind: 'contact', key: id, value: { name: secret }, expiry: 9 }],
    seen: [{ hash, expiry: 10 }],
    lastHashes: [{ node: secret, account: id, namespace: 0, hash, expiry: 20 }],
    swarms: [{ account: id, members: [secret], fetchedAt: 1 }],
    nodes: [{ ed25519Hex: secret, x25519Hex: 'x', host: 'h', httpsPort: 1 }],
    guards: [secret],
    settings: { secret },
  };
  const plain = await IndexedDbStorage.open(name);
  await plain.write(content);
  const before = await plain.scan(0, 10);
  await plain.close();
  expect(await rawContent(name)).toContain(secret);
  const key = new Uint8Array(32).fill(7);
  for (let round = 0; round < 2; round++) {
    const sealed = await IndexedDbStorage.open(name, undefined, { key });
    expect(await sealed.scan(0, 10)).toEqual(before);
    expect(await sealed.moved([hash])).toHaveLength(1);
    expect(await sealed.records('contact')).toEqual(content.records);
    expect(await sealed.seen([hash, 'other'])).toEqual(new Set([hash]));
    expect(await sealed.lastHash(secret, id, 0)).toEqual(content.lastHashes[0]);
    expect(await sealed.swarm(id)).toEqual(content.swarms[0]);
    expect(await sealed.nodes()).toEqual(content.nodes);
    expect(await sealed.guards()).toEqual([secret]);
    expect(await sealed.setting('secret')).toBe(secret);
    expect((await sealed.search({ text: 'daw', limit: 9 })).messages).toHaveLength(2);
    expect((await sealed.search({ phrase: 'onions at dawn', person: id, limit: 9 })).messages).toHaveLength(
      2,
    );
    await sealed.close();
    const raw = await rawContent(name);
    for (const word of [secret, 'onions', 'dawn', 'bbbbbbbb', 'contact', hash])
      expect(raw).not.toContain(word);
  }
  const refused = { name: 'StorageError', code: 'wrong_key' };
  await expect(IndexedDbStorage.open(name)).rejects.toMatchObject(refused);
  const other = { key: new Uint8Array(32).fill(8) };
  await expect(IndexedDbStorage.open(name, undefined, other)).rejects.toMatchObject(refused);
  await IndexedDbStorage.delete(name);
});

test('a sealed row cannot take the place of another', async () => {
  const name = freshName();
  const options = { key: new Uint8Array(32).fill(7) };
  const sealed = await IndexedDbStorage.open(name, undefined, options);
  await sealed.write({ settings: { one: 'a', other: 'b' }, guards: ['x'] });
  await sealed.close();
  const database = await openDB(name);
  const keys = await database.getAllKeys('values');
  const values = await database.getAll('values');
  const from = keys.findIndex((key) => key !== 'seal');
  for (const key of keys)
    if (key !== 'seal' && key !== keys[from]) await database.put('values', values[from], key);
  database.close();
  const again = await IndexedDbStorage.open(name, undefined, options);
  const read = [again.setting('one'), again.setting('other'), again.guards()];
  const codes = (await Promise.allSettled(read)).map((one) =>
    one.status === 'rejected' ? one.reason.code : 'fine',
  );
  expect(codes.sort()).toEqual(['damaged', 'damaged', 'fine']);
  await again.close();
  await IndexedDbStorage.delete(name);
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

test('a browser that gives rows only one by one finds the same', async () => {
  const name = freshName();
  const storage = await IndexedDbStorage.open(name);
  const bob = `05${'b'.repeat(64)}` as AccountId;
  const messages = Array.from({ length: 200 }, (_, i) => ({
    sender: bob,
    timestamp: i + 1,
    conversation: bob,
    text: i % 5 === 0 ? 'lunch at five' : 'lunch',
    state: 'received' as const,
    handled: true,
  }));
  await storage.write({ messages });
  const found = async (text: string) =>
    (await storage.search({ text, limit: 1_000 })).messages.map(({ timestamp }) => timestamp);
  const both = [await found('lunch '), await found('five lunch ')];
  expect(both.map(({ length }) => length)).toEqual([200, 40]);
  const prototype = IDBIndex.prototype as { getAllRecords?: unknown };
  const { getAllRecords } = prototype;
  delete prototype.getAllRecords;
  try {
    expect([await found('lunch '), await found('five lunch ')]).toEqual(both);
  } finally {
    if (getAllRecords !== undefined) prototype.getAllRecords = getAllRecords;
  }
  await storage.close();
  await IndexedDbStorage.delete(name);
});
