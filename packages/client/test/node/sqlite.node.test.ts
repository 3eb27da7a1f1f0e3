// SPDX-License-Identifier: MIT
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AccountId } from '@allium/protocol/account-id';
import { afterAll, expect, test } from 'vitest';
import { SqliteStorage } from '../../src/node/sqlite.ts';
import { STORAGE_SCHEMA } from '../../src/storage/storage.ts';
import { storageSuite } from '../storage/suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-sqlite-'));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const freshPath = () => join(folder, `${count++}.sqlite`);

storageSuite('SQLite', async () => {
  const path = freshPath();
  let storage = new SqliteStorage(path);
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = new SqliteStorage(path);
      return storage;
    },
    remove: () => storage.close(),
  };
});

test('the file is readable by its owner only', async () => {
  const path = freshPath();
  const storage = new SqliteStorage(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await storage.close();
});

test('a file of a newer program is refused and stays as it is', () => {
  const path = freshPath();
  const newer = new DatabaseSync(path);
  newer.exec(`PRAGMA user_version = ${STORAGE_SCHEMA + 1}`);
  newer.close();
  expect(() => new SqliteStorage(path)).toThrow(expect.objectContaining({ code: 'newer_schema' }));
  const untouched = new DatabaseSync(path);
  expect(untouched.prepare('PRAGMA user_version').get()).toEqual({ user_version: STORAGE_SCHEMA + 1 });
  untouched.close();
});

test('a file of schema 1 is taken over with its messages', async () => {
  const path = freshPath();
  const old = new DatabaseSync(path);
  old.exec(`
    CREATE TABLE messages (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      sender TEXT NOT NULL, timestamp INTEGER NOT NULL, conversation TEXT NOT NULL, text TEXT NOT NULL,
      state TEXT NOT NULL, hash TEXT, copy_pending INTEGER, handled INTEGER NOT NULL,
      UNIQUE (sender, timestamp)
    ) STRICT;
    CREATE INDEX messages_of_conversation ON messages (conversation, timestamp, sender);
    INSERT INTO messages (sender, timestamp, conversation, text, state, hash, handled)
      VALUES ('05b', 2, '05b', 'two', 'received', 'h', 0), ('05a', 1, '05b', 'one', 'sent', NULL, 1);
    CREATE TABLE nodes (ed25519 TEXT PRIMARY KEY);
    PRAGMA user_version = 1`);
  old.close();
  for (let opened = 0; opened < 2; opened++) {
    const storage = new SqliteStorage(path);
    const history = await storage.history('05b' as AccountId, { limit: 10 });
    expect(history.map(({ text }) => text)).toEqual(['one', 'two']);
    expect(history[1]).toEqual({
      sender: '05b',
      timestamp: 2,
      conversation: '05b',
      text: 'two',
      state: 'received',
      hash: 'h',
      handled: false,
      ...(opened > 0 && { marks: { readAt: 5 } }),
    });
    await storage.write({
      marked: [{ sender: '05b' as AccountId, timestamp: 2, marks: { readAt: 5 } }],
      records: [{ kind: 'k', key: 'x', value: {} }],
    });
    expect(await storage.records('k')).toHaveLength(1);
    await storage.close();
  }
});

test('a file that is no database is refused', () => {
  const path = freshPath();
  writeFileSync(path, 'not a database '.repeat(100));
  expect(() => new SqliteStorage(path)).toThrow(expect.objectContaining({ code: 'damaged' }));
  expect(() => new SqliteStorage(join(folder, 'nowhere', 'x.sqlite'))).toThrow(
    expect.objectContaining({ code: 'failed' }),
  );
});

test('what was removed is in the file no more, nor in its index of words', async () => {
  const path = freshPath();
  const storage = new SqliteStorage(path);
  const sender = `05${'b'.repeat(64)}` as AccountId;
  const message = (timestamp: number, text: string) => ({
    ...{ sender, timestamp, conversation: sender, text },
    ...{ state: 'received' as const, handled: true },
  });
  const others = Array.from({ length: 300 }, (_, i) => message(i + 10, `something else ${i}`));
  await storage.write({ messages: [message(1, 'xylophonesecret'), message(2, 'zitherhidden'), ...others] });
  const holds = (word: string) =>
    ['', '-wal'].some((suffix) => existsSync(path + suffix) && readFileSync(path + suffix).includes(word));
  expect([holds('xylophone'), holds('zither')]).toEqual([true, true]);
  await storage.write({ removed: [{ sender, timestamp: 1 }] });
  expect([holds('xylophone'), holds('zither')]).toEqual([false, true]);
  expect((await storage.search({ text: 'xylophonesecret', limit: 1 })).messages).toEqual([]);
  await storage.write({ marked: [{ sender, timestamp: 2, marks: { deletedAt: 9 } }] });
  expect(holds('zither')).toBe(false);
  await storage.close();
});

test('the index of words is built anew where words were cut in another way', async () => {
  const path = freshPath();
  const first = new SqliteStorage(path);
  const sender = `05${'b'.repeat(64)}` as AccountId;
  const kept = {
    sender,
    timestamp: 1,
    conversation: sender,
    text: 'onion',
    state: 'received',
    handled: true,
  } as const;
  await first.write({ messages: [kept] });
  await first.close();
  const database = new DatabaseSync(path);
  database.exec(
    `UPDATE search_version SET version = 'another'; INSERT INTO search (search) VALUES ('delete-all')`,
  );
  database.close();
  const second = new SqliteStorage(path);
  expect((await second.search({ text: 'onion', limit: 1 })).messages).toEqual([kept]);
  await second.write({ removed: [kept] });
  expect((await second.search({ text: 'onion', limit: 1 })).messages).toEqual([]);
  await second.close();
});
