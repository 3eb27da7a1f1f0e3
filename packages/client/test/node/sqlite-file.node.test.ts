// SPDX-License-Identifier: MIT
import { execFile } from 'node:child_process';
import fs, {
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import type { AccountId } from '@allium/protocol/account-id';
import Database from 'better-sqlite3-multiple-ciphers';
import { afterAll, expect, test } from 'vitest';
import { SqliteStorage } from '../../src/node/sqlite.ts';
import { convertSqlite } from '../../src/node/sqlite-file.ts';
import type { StoredMessage } from '../../src/storage/storage.ts';
import { storageSuite } from '../storage/suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-encrypted-'));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const freshPath = () => join(mkdtempSync(join(folder, 'x')), `${count++}.sqlite`);
const key = new Uint8Array(32).fill(7);
const otherKey = new Uint8Array(32).fill(8);
const BOB = `05${'b'.repeat(64)}` as AccountId;
const SECRET = 'attack at dawn';

function message(timestamp: number): StoredMessage {
  const text = `${SECRET} ${timestamp}`;
  return { sender: BOB, timestamp, conversation: BOB, text, state: 'received', handled: true };
}

const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

/** Names of files beside `path` that hold the text. */
function telling(path: string): string[] {
  const beside = join(path, '..');
  return readdirSync(beside).filter((name) => readFileSync(join(beside, name)).includes(SECRET));
}

storageSuite('encrypted SQLite', async () => {
  const path = freshPath();
  let storage = new SqliteStorage(path, { key });
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = new SqliteStorage(path, { key });
      return storage;
    },
    remove: () => storage.close(),
  };
});

test('neither the file nor what stands beside it shows a message, and only its owner reads them', async () => {
  const path = freshPath();
  const storage = new SqliteStorage(path, { key });
  await storage.write({ messages: [message(1)], settings: { a: SECRET } });
  expect(existsSync(`${path}-wal`)).toBe(true);
  for (const suffix of ['', '-wal', '-shm']) expect(statSync(path + suffix).mode & 0o777).toBe(0o600);
  expect(telling(path)).toEqual([]);
  await storage.close();
  expect(telling(path)).toEqual([]);
});

test('a wrong key, no key and damage are told apart', async () => {
  const path = freshPath();
  const storage = new SqliteStorage(path, { key });
  await storage.write({ messages: Array.from({ length: 500 }, (_, index) => message(index)) });
  await storage.close();
  const open = (key?: Uint8Array) => thrownBy(() => new SqliteStorage(path, { ...(key && { key }) }));
  expect(open(otherKey)).toMatchObject({ name: 'StorageError', code: 'wrong_key' });
  expect(open()).toMatchObject({ code: 'wrong_key' });
  const file = openSync(path, 'r+');
  writeSync(file, 'damage', 100);
  expect(open(key)).toMatchObject({ code: 'damaged' });
  copyFileSync(path, `${path}.cut`);
  truncateSync(`${path}.cut`, 4096 * 2 + 17);
  expect(thrownBy(() => new SqliteStorage(`${path}.cut`, { key }))).toMatchObject({ code: 'damaged' });
});

test('damage far inside is an error of the call that meets it', async () => {
  const path = freshPath();
  const storage = new SqliteStorage(path, { key });
  await storage.write({ messages: Array.from({ length: 500 }, (_, index) => message(index)) });
  await storage.close();
  const file = openSync(path, 'r+');
  for (let at = 30 * 4096; at < statSync(path).size; at += 4096) writeSync(file, 'damage', at + 2000);
  const damaged = new SqliteStorage(path, { key });
  await expect(damaged.history(BOB, { limit: 500 })).rejects.toMatchObject({ code: 'damaged' });
  await damaged.close();
});

test('a plain file is encrypted when it is opened with a key, and can be made plain again', async () => {
  const path = freshPath();
  const plain = new SqliteStorage(path);
  await plain.write({ messages: Array.from({ length: 300 }, (_, index) => message(index)) });
  await plain.write({ removed: [{ sender: BOB, timestamp: 0 }] });
  const all = await plain.history(BOB, { limit: 1000 });
  await plain.close();
  expect(telling(path)).toHaveLength(1);
  writeFileSync(`${path}.converting`, `left behind: ${SECRET}`);
  const encrypted = new SqliteStorage(path, { key });
  expect(await encrypted.history(BOB, { limit: 1000 })).toEqual(all);
  expect(telling(path)).toEqual([]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(thrownBy(() => convertSqlite(path, key, otherKey, { busyMs: 20 }))).toMatchObject({ code: 'busy' });
  await encrypted.write({ messages: [message(1000)] });
  await encrypted.close();
  convertSqlite(path, key, otherKey);
  expect(thrownBy(() => new SqliteStorage(path, { key }))).toMatchObject({ code: 'wrong_key' });
  convertSqlite(path, otherKey, undefined);
  const database = new DatabaseSync(path, { readOnly: true });
  expect(database.prepare('SELECT count(*) AS n FROM messages').get()).toEqual({ n: 300 });
  database.close();
  expect(readdirSync(join(path, '..')).filter((name) => name.includes('converting'))).toEqual([]);
});

test('the plain file of another account is not encrypted', async () => {
  const path = freshPath();
  const plain = new SqliteStorage(path);
  await plain.write({ settings: { account: BOB } });
  await plain.close();
  const before = readFileSync(path);
  const other = `05${'a'.repeat(64)}` as AccountId;
  expect(thrownBy(() => new SqliteStorage(path, { key, account: other }))).toMatchObject({
    code: 'wrong_key',
  });
  expect(readFileSync(path).subarray(0, 16)).toEqual(before.subarray(0, 16));
  const ours = new SqliteStorage(path, { key, account: BOB });
  expect(await ours.setting('account')).toBe(BOB);
  await ours.close();
});

test('a file that another process encrypts between two looks at it is opened as what it is then', async () => {
  const path = freshPath();
  const plain = new SqliteStorage(path);
  await plain.write({ messages: [message(1)] });
  await plain.close();
  const encrypted = freshPath();
  copyFileSync(path, encrypted);
  convertSqlite(encrypted, undefined, key);
  writeFileSync(`${path}-journal`, ''); // as the other one has it while it converts
  const { readSync } = fs;
  fs.readSync = ((...args: Parameters<typeof readSync>) => {
    const count = readSync(...args);
    if (existsSync(encrypted)) {
      rmSync(`${path}-journal`);
      renameSync(encrypted, path);
    }
    return count;
  }) as typeof readSync;
  syncBuiltinESMExports();
  try {
    const storage = new SqliteStorage(path, { key });
    expect(await storage.history(BOB, { limit: 10 })).toHaveLength(1);
    await storage.close();
  } finally {
    fs.readSync = readSync;
    syncBuiltinESMExports();
  }
  expect(existsSync(encrypted)).toBe(false);
});

test('who finds the file held by another leaves the unfinished copy of the other alone', async () => {
  const path = freshPath();
  const plain = new SqliteStorage(path);
  await plain.write({ messages: [message(1)] });
  await plain.close();
  const other = new Database(path);
  other.exec('BEGIN EXCLUSIVE');
  writeFileSync(`${path}.converting`, 'half of it');
  expect(thrownBy(() => convertSqlite(path, undefined, key, { busyMs: 1 }))).toMatchObject({ code: 'busy' });
  expect(readFileSync(`${path}.converting`, 'utf8')).toBe('half of it');
  other.close();
  convertSqlite(path, undefined, key);
  const storage = new SqliteStorage(path, { key });
  expect(await storage.history(BOB, { limit: 10 })).toHaveLength(1);
  await storage.close();
  expect(readdirSync(join(path, '..'))).toHaveLength(1);
});

test('of many processes that open a plain file at once one encrypts it, and nothing is lost', async () => {
  const path = freshPath();
  const plain = new SqliteStorage(path);
  await plain.write({ messages: [message(1_000_000)] });
  await plain.close();
  const program = `
    import { SqliteStorage } from '${new URL('../../src/node/sqlite.ts', import.meta.url).href}';
    const storage = new SqliteStorage(process.argv[1], { key: new Uint8Array(32).fill(7) });
    for (let n = 0; n < 20; n++) {
      await storage.write({ messages: [{ sender: '${BOB}', timestamp: process.argv[2] * 100 + n, conversation: '${BOB}',
        text: '', state: 'received', handled: true }] });
    }
    await storage.close();`;
  const run = (number: number) =>
    promisify(execFile)(process.execPath, [
      '--conditions=node',
      '--input-type=module',
      '-e',
      program,
      '--',
      path,
      String(number),
    ]);
  await Promise.all([1, 2, 3, 4].map(run));
  const storage = new SqliteStorage(path, { key });
  expect(await storage.history(BOB, { limit: 1000 })).toHaveLength(81);
  expect(telling(path)).toEqual([]);
  await storage.close();
  // No journal of the old file beside the new one.
  expect(readdirSync(join(path, '..'))).toHaveLength(1);
});
