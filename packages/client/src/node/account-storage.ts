// SPDX-License-Identifier: MIT
// Where an account keeps what it knows: `client.sqlite` in a folder, encrypted with a key that follows from its seed.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Account } from '@allium/protocol/account';
import { ClientError } from '../errors.ts';
import { StorageError } from '../storage/storage.ts';
import { SqliteStorage } from './sqlite.ts';

export const DATABASE_FILE = 'client.sqlite';
/** Beside it: the content of files, encrypted with a key that is in the database. */
export const FILES_FOLDER = 'files';

/**
 * Opens or creates it, and encrypts a plain one of an earlier version.
 * @throws ClientError `wrong_account`; StorageError as `SqliteStorage`
 */
export function openAccountStorage(folder: string, account: Account): SqliteStorage {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = account.deriveKey('storage');
  try {
    return new SqliteStorage(join(folder, DATABASE_FILE), { key, account: account.id });
  } catch (cause) {
    if (!(cause instanceof StorageError && cause.code === 'wrong_key')) throw cause;
    throw new ClientError('wrong_account', 'this storage belongs to another account', { cause });
  } finally {
    key.fill(0);
  }
}
