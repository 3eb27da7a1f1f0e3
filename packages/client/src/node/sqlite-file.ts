// SPDX-License-Identifier: MIT
// Opening the SQLite file of an account, plain or encrypted as a whole (SQLCipher 4: AES-256 and HMAC-SHA512 for each
// page, also in the -wal file; docs/decisions/0025-encrypted-databases.md). The first 16 bytes of an encrypted file
// follow from its key, so that a wrong key is told apart from damage.
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { equal, toHex, utf8 } from '@allium/protocol/bytes';
import { blake2b } from '@allium/protocol/crypto';
import Database from 'better-sqlite3-multiple-ciphers';
import { StorageError } from '../storage/storage.ts';
import { overwrite } from './wipe-file.ts';

export type SqliteDatabase = Database.Database;
/** Throws when the file must stay as it is. */
type Check = (database: SqliteDatabase) => void;
export type SqliteStatement = Database.Statement<unknown[], Record<string, unknown>>;

// Ours.
/** Another process of the same account may be writing. */
const BUSY_MS = 15_000;
const PAUSE_MS = 50;
export const CACHE_KIB = 8 * 1024;
/** A -wal file of 16 MiB. */
export const CHECKPOINT_PAGES = 4096;
const PLAIN_HEADER = utf8('SQLite format 3\0');
const HEADER_BYTES = 16;
const PAGE_BYTES = 4096;
/** An unfinished copy of a file that is being encrypted. */
const COPY_SUFFIX = '.converting';

/**
 * Opens or creates the file, readable by its owner only. `key`: 32 bytes, copied; a plain file is encrypted with it
 * first, unless `check` throws. Absent: the file is plain.
 * @throws StorageError `wrong_key` (also: encrypted, and no key given), `damaged`, `busy`, `full`, `failed`
 */
export function openSqlite(path: string, key?: Uint8Array, check?: Check): SqliteDatabase {
  if (path === ':memory:') return connect(path, undefined);
  const until = Date.now() + BUSY_MS;
  for (;;) {
    let inode: bigint | undefined;
    try {
      createPrivately(path);
      inode = inodeOf(path);
      if (key !== undefined) recoverPlain(path);
      const database = connect(path, key);
      // Somebody may have put an encrypted file in its place meanwhile, also between two looks at it.
      if (inodeOf(path) === inode) return database;
      database.close();
    } catch (error) {
      if (inode !== undefined && inodeOf(path) !== inode) continue;
      const reason = reasonOf(error, path, key);
      if (reason !== 'plain') throw reason;
      try {
        if (key !== undefined)
          convertSqlite(path, undefined, key, { busyMs: PAUSE_MS, ...(check && { check }) });
      } catch (cause) {
        if (!(cause instanceof StorageError && cause.code === 'busy') || Date.now() > until) throw cause;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS); // it is synchronous
      }
    }
  }
}

/**
 * Encrypts the file, gives it another key, or makes it plain (`to` absent). A crash leaves the old file or the whole
 * new one. Nobody else may have it open; it waits `busyMs` for that.
 * @throws StorageError as `openSqlite`
 */
export function convertSqlite(
  path: string,
  from: Uint8Array | undefined,
  to: Uint8Array | undefined,
  { busyMs = BUSY_MS, check }: { readonly busyMs?: number; readonly check?: Check } = {},
): void {
  const copy = `${path}${COPY_SUFFIX}`;
  let old: SqliteDatabase | undefined;
  let oldFile: number | undefined;
  // The copy is of who holds the whole old file, and of nobody else.
  let isOurs = false;
  try {
    const inode = inodeOf(path);
    old = new Database(path, { timeout: busyMs, fileMustExist: true });
    if (from !== undefined) unlock(old, from);
    // Takes the whole file, and keeps it until it is closed; fails while others have it open.
    old.pragma('locking_mode = EXCLUSIVE');
    // Nothing but the file itself from now on.
    old.pragma('journal_mode = TRUNCATE');
    old.exec('BEGIN EXCLUSIVE; COMMIT');
    if (inodeOf(path) !== inode) throw new StorageError('busy', 'the storage file was just replaced');
    isOurs = true;
    check?.(old);
    removeDatabase(copy);
    createPrivately(copy);
    old.prepare('VACUUM INTO ?').run(copy);
    const made = new Database(copy, { fileMustExist: true });
    try {
      if (from !== undefined) unlock(made, from);
      // A copy that is not finished is of no use anyway.
      made.pragma('journal_mode = OFF');
      made.pragma('synchronous = OFF');
      made.pragma("cipher = 'sqlcipher'");
      made.rekey(to === undefined ? Buffer.alloc(0) : keyText(to));
      made.pragma('journal_mode = WAL');
    } finally {
      made.close();
    }
    connect(copy, to).close();
    sync(copy);
    oldFile = openSync(path, 'r+');
    // Empty: a journal beside a file that it does not belong to would be rolled back into it.
    rmSync(`${path}-journal`, { force: true });
    renameSync(copy, path);
    sync(dirname(path));
    old.close();
    // As well as a file system can forget.
    if (to !== undefined) overwrite(oldFile);
  } catch (error) {
    if (isOurs) removeDatabase(copy);
    old?.close();
    const reason = reasonOf(error, path, from);
    throw reason === 'plain'
      ? new StorageError('failed', 'the storage file is plain', { cause: error })
      : reason;
  } finally {
    if (oldFile !== undefined) closeSync(oldFile);
  }
}

/** What the driver's error means. */
export function storageError(error: unknown, what: string): StorageError {
  if (error instanceof StorageError) return error;
  const code = error instanceof Database.SqliteError ? error.code : '';
  const options = { cause: error };
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new StorageError('busy', `${what}: another program holds the storage file`, options);
  }
  if (/^SQLITE_(FULL|IOERR_SHMSIZE)/.test(code)) {
    return new StorageError('full', `${what}: no space is left on the disk`, options);
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
    return new StorageError('damaged', `${what}: the storage file is damaged`, options);
  }
  return new StorageError('failed', what, options);
}

/** Removes the file and what SQLite keeps beside it. */
function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true });
}

function connect(path: string, key: Uint8Array | undefined): SqliteDatabase {
  const database = new Database(path, { timeout: BUSY_MS });
  try {
    if (key !== undefined) unlock(database, key);
    // Sorting must not write a plain temporary file.
    database.exec(
      `PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON`,
    );
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function unlock(database: SqliteDatabase, key: Uint8Array): void {
  const text = keyText(key);
  database.pragma("cipher = 'sqlcipher'");
  database.key(text);
  text.fill(0);
}

/** The form that is used as it is, without a key derivation: x'key and salt in hex'. */
function keyText(key: Uint8Array): Buffer {
  if (key.length !== 32) throw new RangeError('the key of a storage has 32 bytes');
  return Buffer.from(`x'${toHex(key)}${toHex(headerOf(key))}'`);
}

/** Stands where an encrypted file has its salt. */
function headerOf(key: Uint8Array): Uint8Array {
  return blake2b(utf8('allium storage header'), HEADER_BYTES, { key });
}

/**
 * `plain`: the file is not encrypted, and a key was given. The file is looked at only here: closing it takes the locks
 * of every other connection of this process.
 */
function reasonOf(error: unknown, path: string, key: Uint8Array | undefined): StorageError | 'plain' {
  const reason = storageError(error, 'the storage file cannot be opened');
  if (reason.code !== 'damaged') return reason;
  let header: Uint8Array;
  let size: number;
  try {
    ({ header, size } = readHeader(path));
  } catch {
    return reason;
  }
  if (equal(header, PLAIN_HEADER)) return key === undefined ? reason : 'plain';
  const isOurs = key !== undefined && equal(header, headerOf(key));
  if (isOurs || size % PAGE_BYTES !== 0) return reason;
  const message =
    key === undefined
      ? 'the storage file is encrypted and needs its key, or it is damaged'
      : 'the storage file belongs to another key, or its first bytes are damaged';
  return new StorageError('wrong_key', message, { cause: error });
}

function readHeader(path: string): { header: Uint8Array; size: number } {
  const file = openSync(path, 'r');
  try {
    const header = new Uint8Array(HEADER_BYTES);
    readSync(file, header, 0, HEADER_BYTES, 0);
    return { header, size: statSync(path).size };
  } finally {
    closeSync(file);
  }
}

/** A plain file that was left in the middle of a change is not to be taken for an encrypted one. */
function recoverPlain(path: string): void {
  if (existsSync(`${path}-journal`) && equal(readHeader(path).header, PLAIN_HEADER)) {
    connect(path, undefined).close();
  }
}

/** What SQLite makes beside it has the same permissions. */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  chmodSync(path, 0o600);
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
