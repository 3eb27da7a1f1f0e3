// SPDX-License-Identifier: AGPL-3.0-or-later
// The files themselves and what is known of them (spec/community-and-file-servers §2.3, §2.4).
//
//   files.sqlite   id, size, uploaded, expiry, pool, state       pools.json    folders for files, when there are several
//   pools/main/    Ab/AbC… (content ids), 042/…042 (numbers)      tmp/          uploads under way
//   uploads/       resumable uploads that are not complete
//
// A row is written before its file gets its name, and goes after it: whatever ends the process in between, the next
// start finds the row and removes what is half. An answer is given when both are on the disk.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import { CONTENT_ID_LENGTH, ContentIdHasher } from '@allium/protocol/files/content-id';

/**
 * - `size`: nothing, or more than is taken.
 * - `full`: no space on the disk, or the limit of all files is reached.
 * - `no_id`: no number was free in 25 attempts.
 * - `no_pool`: no folder takes new files.
 * - `broken`: the disk or the database failed.
 * - `in_use`, `unwritable`: the folder, at the start.
 */
export class FileStoreError extends AlliumError<
  'size' | 'full' | 'no_id' | 'no_pool' | 'broken' | 'in_use' | 'unwritable'
> {
  override readonly name = 'FileStoreError';
}

export interface FileStoreOptions {
  readonly folder: string;
  readonly maxFileBytes: number;
  /** Of all files together. */
  readonly maxTotalBytes: number;
  readonly defaultTtlSeconds: number;
  /** Ids are numbers instead of hashes of the content; for clients of old. */
  readonly numberIds?: boolean;
}

export interface StoredFile {
  readonly id: string;
  readonly sizeBytes: number;
  /** Seconds since the epoch, with fractions. */
  readonly uploaded: number;
  readonly expires: number;
}

interface Row {
  readonly id: string;
  readonly size: number;
  readonly uploaded: number;
  readonly expiry: number;
  readonly pool: string;
  readonly state: number;
}

interface Pool {
  readonly name: string;
  readonly folder: string;
  readonly active: boolean;
}

// From the specification.
const NUMBER_ATTEMPTS = 25;
const TICK_MS = 10_000;
// Ours.
const SCHEMA = 1;
const EXPIRED_AT_ONCE = 1000;
/** The clock may be set by so much between two looks; more, and nothing is removed by it for now. */
const CLOCK_JUMP_MS = 60 * 60_000;
/** After a start that seems to come so much later than the last run, nothing is removed for an hour. */
const LONG_ABSENCE_SECONDS = 7 * 86_400;
const GRACE_MS = 60 * 60_000;

/** Ending of a copy under way. */
const PART = '.part';

const State = { live: 0, arriving: 1, leaving: 2 } as const;

export const ID = /^[A-Za-z0-9_-]{1,44}$/;

/** Path within a pool (§2.3). */
export function pathOfId(id: string): string {
  const folder = id.length === CONTENT_ID_LENGTH ? id.slice(0, 2) : id.slice(-3).padStart(3, '0');
  return join(folder, id);
}

export class FileStore {
  readonly options: FileStoreOptions;
  /** For tables of neighbours: uploads, version statistics. */
  readonly db: DatabaseSync;
  readonly #env: Env;
  readonly #find;
  readonly #insert;
  readonly #renew;
  readonly #setState;
  readonly #remove;
  readonly #expired;
  #pools: readonly Pool[] = [];
  #nextPool = 0;
  #usedBytes: number;
  /** Of uploads under way. */
  #reservedBytes = 0;
  /** What is done to an id, so that the next one waits for it. */
  readonly #busy = new Map<string, Promise<unknown>>();
  #cancelTick: (() => void) | undefined;
  #ticking: Promise<void> | undefined;
  #lastLook: { wall: number; monotonic: number };
  #noRemovalUntil = 0;
  #stopped = false;

  /** Opens the folder, made if needed, and removes what a killed process left. @throws FileStoreError */
  constructor(options: FileStoreOptions, env: Env) {
    this.options = options;
    this.#env = env;
    const { folder } = options;
    let db: DatabaseSync | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of ['tmp', 'uploads', 'pools']) mkdirSync(join(folder, name), { recursive: true });
      db = new DatabaseSync(join(folder, 'files.sqlite'));
      // One server per folder: the lock is held as long as it runs. FULL: what was answered survives a power cut.
      db.exec('PRAGMA busy_timeout = 500; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
      db.exec('PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT');
      createTables(db);
    } catch (cause) {
      db?.close();
      throw startError(folder, cause);
    }
    this.db = db;
    this.#find = db.prepare('SELECT * FROM files WHERE id = ?');
    this.#insert = db.prepare('INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)');
    this.#renew = db.prepare('UPDATE files SET uploaded = ?, expiry = ? WHERE id = ?');
    this.#setState = db.prepare('UPDATE files SET state = ? WHERE id = ?');
    this.#remove = db.prepare('DELETE FROM files WHERE id = ?');
    this.#expired = db.prepare('SELECT * FROM files WHERE expiry < ? AND state = 0 ORDER BY expiry LIMIT ?');
    this.#readPools();
    this.#tidy();
    const sum = db.prepare('SELECT coalesce(sum(size), 0) AS bytes FROM files').get();
    this.#usedBytes = Number(sum?.bytes);
    this.#lastLook = this.#look();
    this.#distrustLongAbsence();
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get files(): number {
    return Number(this.db.prepare('SELECT count(*) AS n FROM files WHERE state = 0').get()?.n);
  }

  /** Unix time in seconds. */
  now(): number {
    return this.#env.clock.now() / 1000;
  }

  /** Begins to remove expired files from time to time; `also` runs each time as well. */
  start(also?: () => void | Promise<void>): void {
    const next = () => {
      this.#cancelTick = this.#env.clock.after(TICK_MS, () => {
        this.#ticking = this.tick(also)
          .catch((error: unknown) => this.#env.log.error({ error: String(error) }, 'clean-up failed'))
          .then(() => {
            if (!this.#stopped) next();
          });
      });
    };
    next();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTick?.();
    await this.#ticking;
    await Promise.allSettled(this.#busy.values());
    this.db.close();
  }

  /** A live file; undefined when there is none or it has expired. */
  find(id: string): StoredFile | undefined {
    const row = this.#find.get(id) as Row | undefined;
    if (row === undefined || row.state !== State.live || row.expiry <= this.now()) return undefined;
    return { id, sizeBytes: row.size, uploaded: row.uploaded, expires: row.expiry };
  }

  /** The open file, closed by the caller; undefined when the disk does not have it although it should. */
  async read(id: string): Promise<FileHandle | undefined> {
    const row = this.#find.get(id) as Row | undefined;
    if (row === undefined) return undefined;
    try {
      return await open(this.#pathOf(row));
    } catch (error) {
      this.#env.log.error({ file: id.slice(0, 8), error: String(error) }, 'a stored file cannot be read');
      return undefined;
    }
  }

  /** Later of what it was and now + ttl. */
  extend(id: string, ttlSeconds: number): StoredFile | undefined {
    const file = this.find(id);
    if (file === undefined) return undefined;
    const expires = Math.max(file.expires, this.now() + ttlSeconds);
    this.#renew.run(file.uploaded, expires, id);
    return { ...file, expires };
  }

  /** Sets bytes aside for an upload. @throws FileStoreError `full` */
  reserve(bytes: number): Disposable {
    if (this.#usedBytes + this.#reservedBytes + bytes > this.options.maxTotalBytes) {
      throw new FileStoreError('full', 'the limit of all files together is reached');
    }
    this.#reservedBytes += bytes;
    let held = bytes;
    return {
      [Symbol.dispose]: () => {
        this.#reservedBytes -= held;
        held = 0;
      },
    };
  }

  /** Takes a file as it comes. @throws FileStoreError; whatever the body throws */
  async add(body: AsyncIterable<Uint8Array>, sizeBytes: number | undefined, ttlSeconds: number) {
    const { maxFileBytes, folder } = this.options;
    using _space = this.reserve(sizeBytes ?? maxFileBytes);
    const path = join(folder, 'tmp', randomBytes(16).toString('hex'));
    try {
      const hasher = new ContentIdHasher();
      let size = 0;
      const file = await open(path, 'wx', 0o600);
      try {
        for await (const part of body) {
          size += part.length;
          if (size > maxFileBytes) throw new FileStoreError('size', `more than ${maxFileBytes} bytes`);
          hasher.update(part);
          await writeAll(file, part);
        }
        if (size === 0) throw new FileStoreError('size', 'an empty file');
        await file.datasync();
      } finally {
        await file.close();
      }
      return await this.adopt(path, size, hasher.digest(), ttlSeconds);
    } catch (error) {
      throw storageError(error);
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Takes a complete, synced file of the same disk into the store; its path is free afterwards. @throws FileStoreError */
  async adopt(path: string, sizeBytes: number, contentId: string, ttlSeconds: number): Promise<StoredFile> {
    if (this.options.numberIds !== true) {
      return this.#alone(contentId, () => this.#place(path, sizeBytes, contentId, ttlSeconds));
    }
    for (let attempt = 0; attempt < NUMBER_ATTEMPTS; attempt++) {
      const id = String(randomBytes(8).readBigUInt64LE() >> 11n);
      if (this.#find.get(id) === undefined && !this.#busy.has(id)) {
        return this.#alone(id, () => this.#place(path, sizeBytes, id, ttlSeconds));
      }
    }
    throw new FileStoreError('no_id', 'no number is free');
  }

  async #place(path: string, sizeBytes: number, id: string, ttlSeconds: number): Promise<StoredFile> {
    const uploaded = this.now();
    const known = this.#find.get(id) as Row | undefined;
    if (known !== undefined) {
      if (known.state === State.live && (await isThere(this.#pathOf(known), known.size))) {
        // §2.2: the same content once more. Also one that has just expired lives again.
        const expires = Math.max(known.expiry, uploaded + ttlSeconds);
        this.#renew.run(uploaded, expires, id);
        await rm(path, { force: true });
        return { id, sizeBytes: known.size, uploaded, expires };
      }
      this.#forget(known);
    }
    const pool = this.#takePool();
    const expires = uploaded + ttlSeconds;
    const row: Row = {
      ...{ id, size: sizeBytes, uploaded, expiry: expires, pool: pool.name, state: State.arriving },
    };
    this.#insert.run(row.id, row.size, row.uploaded, row.expiry, row.pool, row.state);
    this.#usedBytes += sizeBytes;
    try {
      const target = this.#pathOf(row);
      await mkdir(dirname(target), { recursive: true });
      await move(path, target);
      await syncFolder(dirname(target));
      this.#setState.run(State.live, id);
    } catch (error) {
      await rm(this.#pathOf(row), { force: true }).catch(() => undefined);
      this.#forget(row);
      throw error;
    }
    return { id, sizeBytes, uploaded, expires };
  }

  /** Removes expired files and looks at the pools again. */
  async tick(also?: () => void | Promise<void>): Promise<void> {
    this.#readPools();
    await also?.();
    if (!this.#clockIsTrusted()) return;
    this.db.prepare("INSERT OR REPLACE INTO facts VALUES ('last_seen', ?)").run(this.now());
    for (;;) {
      const rows = this.#expired.all(this.now(), EXPIRED_AT_ONCE) as unknown as Row[];
      for (const { id } of rows) await this.#alone(id, () => this.#expire(id));
      if (rows.length > 0) this.#env.log.info({ files: rows.length }, 'removed expired files');
      if (rows.length < EXPIRED_AT_ONCE || this.#stopped) return;
    }
  }

  async #expire(id: string): Promise<void> {
    // It may have been uploaded again while this waited.
    const row = this.#find.get(id) as Row | undefined;
    if (row === undefined || row.expiry > this.now()) return;
    this.#setState.run(State.leaving, id);
    await rm(this.#pathOf(row), { force: true });
    this.#forget(row);
  }

  #forget(row: Row): void {
    if (this.#remove.run(row.id).changes > 0) this.#usedBytes -= row.size;
  }

  /** One thing at a time with one id. */
  async #alone<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(id);
    const run = (async () => {
      await before?.catch(() => undefined);
      return work();
    })();
    this.#busy.set(id, run);
    try {
      return await run;
    } finally {
      if (this.#busy.get(id) === run) this.#busy.delete(id);
    }
  }

  #pathOf(row: Row): string {
    const folder = this.#pools.find((pool) => pool.name === row.pool)?.folder;
    return join(folder ?? join(this.options.folder, 'pools', row.pool), pathOfId(row.id));
  }

  #takePool(): Pool {
    const active = this.#pools.filter((pool) => pool.active);
    const pool = active[this.#nextPool++ % Math.max(1, active.length)];
    if (pool === undefined) throw new FileStoreError('no_pool', 'no folder takes new files (pools.json)');
    return pool;
  }

  #readPools(): void {
    const { folder } = this.options;
    const path = join(folder, 'pools.json');
    try {
      this.#pools = parsePools(readFileSync(path, 'utf8'));
    } catch (error) {
      const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isAbsent) this.#env.log.error({ error: String(error) }, 'pools.json cannot be used');
      if (this.#pools.length > 0) return;
      this.#pools = [{ name: 'main', folder: join(folder, 'pools', 'main'), active: true }];
    }
  }

  /** What a killed process left half done. */
  #tidy(): void {
    const { folder } = this.options;
    for (const name of readdirSync(join(folder, 'tmp'))) rmSync(join(folder, 'tmp', name), { force: true });
    const half = this.db.prepare('SELECT * FROM files WHERE state <> 0').all() as unknown as Row[];
    for (const row of half) {
      rmSync(this.#pathOf(row), { force: true });
      rmSync(`${this.#pathOf(row)}${PART}`, { force: true });
      this.#remove.run(row.id);
    }
    if (half.length > 0) this.#env.log.warn({ files: half.length }, 'removed what was half done');
  }

  #look() {
    return { wall: this.#env.clock.now(), monotonic: this.#env.clock.monotonic() };
  }

  /** A clock that leaps must not take files along: they would be gone for good. */
  #clockIsTrusted(): boolean {
    const look = this.#look();
    const leap = look.wall - this.#lastLook.wall - (look.monotonic - this.#lastLook.monotonic);
    this.#lastLook = look;
    if (leap > CLOCK_JUMP_MS) {
      this.#noRemovalUntil = look.monotonic + GRACE_MS;
      this.#env.log.error(
        { minutes: Math.round(leap / 60_000) },
        'the clock of this machine was set forward: no file is removed for an hour; stop the server if the clock is wrong',
      );
    } else if (leap < -CLOCK_JUMP_MS) {
      this.#noRemovalUntil = 0;
      this.#env.log.warn({ minutes: Math.round(-leap / 60_000) }, 'the clock of this machine was set back');
    }
    return look.monotonic >= this.#noRemovalUntil;
  }

  #distrustLongAbsence(): void {
    const last = this.db.prepare("SELECT value FROM facts WHERE name = 'last_seen'").get()?.value;
    const away = typeof last === 'number' ? this.now() - last : 0;
    if (away > LONG_ABSENCE_SECONDS) {
      this.#noRemovalUntil = this.#env.clock.monotonic() + GRACE_MS;
      this.#env.log.warn(
        { days: Math.round(away / 86_400) },
        'the last run was long ago: no file is removed for an hour; stop the server if the clock is wrong',
      );
    } else if (away < -CLOCK_JUMP_MS / 1000) {
      this.#env.log.warn({ minutes: Math.round(-away / 60) }, 'the clock is behind that of the last run');
    }
  }
}

function createTables(db: DatabaseSync): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.user_version);
  if (version > SCHEMA) throw new Error(`the files are of a newer version (${version}) of this program`);
  db.exec(`
    CREATE TABLE IF NOT EXISTS files (
      id TEXT PRIMARY KEY, size INTEGER NOT NULL, uploaded REAL NOT NULL, expiry REAL NOT NULL,
      pool TEXT NOT NULL, state INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS files_expiry ON files (expiry);
    CREATE INDEX IF NOT EXISTS files_state ON files (state) WHERE state <> 0;
    CREATE TABLE IF NOT EXISTS uploads (
      token TEXT PRIMARY KEY, size INTEGER NOT NULL, ttl REAL NOT NULL, touched REAL NOT NULL,
      id TEXT, expires REAL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS version_users (
      id TEXT NOT NULL, platform TEXT NOT NULL, channel TEXT NOT NULL, time REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
    PRAGMA user_version = ${SCHEMA};`);
}

function parsePools(text: string): Pool[] {
  const list = JSON.parse(text) as Pool[];
  if (!Array.isArray(list) || list.length === 0) throw new Error('not a list of pools');
  for (const { name, folder, active } of list) {
    if (!/^[a-z0-9-]{1,32}$/.test(name) || typeof folder !== 'string' || typeof active !== 'boolean') {
      throw new Error('a pool needs name (a-z, 0-9, -), folder and active (true or false)');
    }
  }
  return list;
}

export async function writeAll(file: FileHandle, data: Uint8Array): Promise<void> {
  for (let offset = 0; offset < data.length; ) {
    offset += (await file.write(data, offset)).bytesWritten;
  }
}

/** Into another pool's disk as well; a name means a whole file in any case. */
async function move(path: string, target: string): Promise<void> {
  try {
    await rename(path, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const part = `${target}${PART}`;
    try {
      await copyFile(path, part);
      const copy = await open(part);
      try {
        await copy.datasync();
      } finally {
        await copy.close();
      }
      await rename(part, target);
    } finally {
      await rm(part, { force: true });
    }
  }
}

async function isThere(path: string, size: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.size === size;
}

/** So that the name survives a power cut as well. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Errors of disk and database as our own; others as they are. */
export function storageError(error: unknown): unknown {
  if (error instanceof FileStoreError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || /disk is full/.test(message)) {
    return new FileStoreError('full', 'the disk is full', { cause: error });
  }
  if (code?.startsWith('E') === true && (error as NodeJS.ErrnoException).syscall !== undefined) {
    return new FileStoreError('broken', `the disk failed: ${code}`, { cause: error });
  }
  if (code === 'ERR_SQLITE_ERROR') return new FileStoreError('broken', message, { cause: error });
  return error;
}

function startError(folder: string, cause: unknown): FileStoreError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (/locked|busy/.test(message)) {
    return new FileStoreError(
      'in_use',
      `another file server runs on ${folder}: stop that one first, or choose another --folder`,
      { cause },
    );
  }
  const why =
    code === 'ENOSPC' || /disk is full/.test(message)
      ? 'the disk is full: free some space'
      : code === 'EACCES' || code === 'EPERM'
        ? 'it belongs to another user: change its owner, or choose another --folder'
        : code === 'ENOTDIR' || code === 'EEXIST'
          ? 'there is a file of that name: choose another --folder'
          : message;
  return new FileStoreError('unwritable', `cannot use ${folder}: ${why}`, { cause });
}
