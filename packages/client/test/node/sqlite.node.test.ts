// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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

test('a file that is no database is refused', () => {
  const path = freshPath();
  writeFileSync(path, 'not a database '.repeat(100));
  expect(() => new SqliteStorage(path)).toThrow(expect.objectContaining({ code: 'failed' }));
  expect(() => new SqliteStorage(join(folder, 'nowhere', 'x.sqlite'))).toThrow(
    expect.objectContaining({ code: 'failed' }),
  );
});
