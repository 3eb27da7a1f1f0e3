// SPDX-License-Identifier: AGPL-3.0-or-later
// The one SQLite file of a node: schema, pragmas, and writes grouped per turn of the event loop
// (spec/storage-server §7 "Storage").
//
// Layout, sized so that a 512-byte message costs about 690 bytes on disk:
//   accounts     id → 33-byte account id; a row lives as long as the account has messages
//   messages     ascending id = order of retrieval; hash is the raw 32 bytes, unique over everything
//   revocations  last change of each subaccount token; independent of messages (§9.3.1)
//   acts         signed deletions, shortenings and revocations, shown to members that missed them (§5.13)
//   marks, wipes what acts deleted: single messages (16 bytes that stand for account and hash), and all up to a time
//   forwards     what peers still have to get (§5.6): a request, or a reference to a message of ours
//   state        small named values that must survive a restart
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { AlliumError } from '@allium/protocol/errors';

// From the specification (§7).
const MAX_BYTES = 3584 * 1024 * 1024;
const BUSY_TIMEOUT_MS = 15_000;

// Ours.
const PAGE_BYTES = 4096;
/** Small, because the operating system caches the file anyway and resident memory must not grow with the mailbox. */
const CACHE_KIB = 8192;
/** Pages of the journal (16 MB) before they move to the file: each time costs two waits for the disk. */
const CHECKPOINT_PAGES = 4000;
const SCHEMA_VERSION = 2;
/** "allm": tells our file from another program's. */
const APPLICATION_ID = 0x616c6c6d;

/** `changed`: when the expiry was changed last, 0 for never; `revoked`: 0 when the token is valid again. */
const SCHEMA = `
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pubkey BLOB NOT NULL UNIQUE
) STRICT;
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  namespace INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  expiry INTEGER NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  data BLOB NOT NULL,
  changed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX messages_by_account ON messages (account, namespace);
CREATE INDEX messages_by_expiry ON messages (expiry);
CREATE TABLE revocations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account BLOB NOT NULL,
  token BLOB NOT NULL,
  time INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account, token)
) STRICT;
CREATE TABLE forwards (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  peer BLOB NOT NULL,
  created INTEGER NOT NULL,
  message INTEGER,
  method TEXT,
  body BLOB
) STRICT;
CREATE INDEX forwards_by_peer ON forwards (peer);
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE acts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB NOT NULL UNIQUE,
  account BLOB NOT NULL,
  time INTEGER NOT NULL,
  method TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX acts_by_account ON acts (account, time);
CREATE INDEX acts_by_time ON acts (time);
CREATE TABLE marks (
  key BLOB PRIMARY KEY,
  time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_by_time ON marks (time);
CREATE TABLE wipes (
  account BLOB NOT NULL,
  namespace INTEGER NOT NULL,
  before INTEGER NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (account, namespace)
) STRICT, WITHOUT ROWID;
CREATE INDEX wipes_by_time ON wipes (time);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * `corrupt`, `foreign`, `newer`: the file cannot be used; `locked`: another program has it; `full`: the page limit or the
 * end of the disk is reached; `closed`: after `close`.
 */
export class DatabaseError extends AlliumError<
  'corrupt' | 'foreign' | 'newer' | 'locked' | 'unreadable' | 'full' | 'closed' | 'failed'
> {
  override readonly name = 'DatabaseError';
}

export interface DatabaseOptions {
  /** Path of the file; `:memory:` in tests. */
  readonly path: string;
  /** Limit of the file's pages in bytes; beyond it inserts fail with `full`. */
  readonly maxBytes?: number;
  /** How long to wait for another program that holds the file; default 15 s. */
  readonly busyTimeoutMs?: number;
  /** Runs the commit of all writes made before it; default `setImmediate`, a simulation has its own time. */
  readonly defer?: (commit: () => void) => void;
}

interface Job {
  run: () => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

export class Database {
  readonly #db: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #rolledBack: (() => void)[] = [];
  #jobs: Job[] = [];
  readonly #defer: (commit: () => void) => void;
  #scheduled = false;
  #closed = false;

  /** @throws DatabaseError when the file is not ours or cannot be read; its message says what to do */
  constructor(options: DatabaseOptions) {
    const { path, busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
      db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA busy_timeout = ${busyTimeoutMs};`);
      const isNew = checkOurs(db, path);
      db.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = NORMAL;
        PRAGMA cache_size = -${CACHE_KIB};
        PRAGMA temp_store = MEMORY;
        PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
        PRAGMA journal_size_limit = ${CHECKPOINT_PAGES * PAGE_BYTES};
        PRAGMA max_page_count = ${Math.floor((options.maxBytes ?? MAX_BYTES) / PAGE_BYTES)};
      `);
      if (isNew) db.exec(`BEGIN; ${SCHEMA} COMMIT;`);
      touchRoots(db);
    } catch (error) {
      db?.close();
      throw openingFailed(path, error);
    }
    this.#db = db;
    this.#defer = options.defer ?? setImmediate;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
  }

  /** A statement, prepared once by its owner and kept. */
  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /** `forget` is called whenever a transaction was undone: caches made inside it are void. */
  onRollback(forget: () => void): void {
    this.#rolledBack.push(forget);
  }

  /**
   * Runs `run` together with all other writes of this turn of the event loop in one transaction; resolves after the
   * commit, so that an answer sent then survives the death of the process. When one of them fails, each is run
   * again alone: `run` must change nothing but the database.
   */
  write<T>(run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new DatabaseError('closed', 'the database is closed'));
        return;
      }
      this.#jobs.push({ run, resolve: resolve as (value: unknown) => void, reject });
      if (!this.#scheduled) {
        this.#scheduled = true;
        this.#defer(this.#flush);
      }
    });
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const jobs = this.#jobs;
    if (jobs.length === 0) return;
    this.#jobs = [];
    const results: unknown[] = new Array(jobs.length);
    try {
      this.#begin.run();
      for (let i = 0; i < jobs.length; i++) results[i] = jobs[i]!.run();
      this.#commit.run();
    } catch (error) {
      const stuck = this.#undo();
      if (stuck !== undefined) for (const job of jobs) job.reject(stuck);
      else if (jobs.length === 1) jobs[0]!.reject(wrap(error));
      else for (const job of jobs) this.#alone(job);
      return;
    }
    for (let i = 0; i < jobs.length; i++) jobs[i]!.resolve(results[i]);
  };

  #alone(job: Job): void {
    try {
      this.#begin.run();
      const result = job.run();
      this.#commit.run();
      job.resolve(result);
    } catch (error) {
      job.reject(this.#undo() ?? wrap(error));
    }
  }

  /**
   * Never throws, since nobody could catch it: an error when the transaction could not be undone. It then stays open until
   * the next write, whose BEGIN fails, tries to undo it again.
   */
  #undo(): DatabaseError | undefined {
    let stuck: DatabaseError | undefined;
    try {
      // SQLite has already rolled back by itself after some errors (a full disk).
      if (this.#db.isTransaction) this.#rollback.run();
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      stuck = new DatabaseError('failed', `database: a change could not be undone: ${text}`, { cause });
    }
    for (const forget of this.#rolledBack) forget();
    return stuck;
  }

  /** Bytes in use, bytes of the file, bytes allowed. */
  size(): { used: number; total: number; max: number } {
    const pragma = (name: string) => Number(Object.values(this.#db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    const total = pragma('page_count');
    return {
      used: (total - pragma('freelist_count')) * PAGE_BYTES,
      total: total * PAGE_BYTES,
      max: pragma('max_page_count') * PAGE_BYTES,
    };
  }

  /** Commits what waits and closes the file. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#db.close();
  }
}

/** True for a file without tables. @throws DatabaseError for another program's or a newer release's */
function checkOurs(db: DatabaseSync, path: string): boolean {
  const applicationId = Number(db.prepare('PRAGMA application_id').get()?.application_id);
  const version = schemaOf(db);
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n);
  if (tables > 0 && applicationId !== APPLICATION_ID) {
    throw new DatabaseError(
      'foreign',
      `${path} is a database of another program: choose another data folder`,
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new DatabaseError(
      'newer',
      `${path} was written by a newer release (schema ${version}): update this program`,
    );
  }
  if (tables > 0 && version < SCHEMA_VERSION) {
    throw new DatabaseError('foreign', `${path} is of before the first release: choose another data folder`);
  }
  return tables === 0;
}

const schemaOf = (db: DatabaseSync) => Number(db.prepare('PRAGMA user_version').get()?.user_version);

/** A damaged file shows itself here, a large one costs nothing. */
function touchRoots(db: DatabaseSync): void {
  for (const table of ['accounts', 'messages', 'revocations', 'forwards']) {
    db.prepare(`SELECT max(id) AS n FROM ${table}`).get();
  }
}

/** Bytes of data in a mailbox, of which a node may be at work. Changes nothing. @throws DatabaseError */
export function inspectDatabase(path: string): { usedBytes: number } {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};`);
    if (!checkOurs(db, path)) touchRoots(db);
    const row = db
      .prepare('SELECT page_count - freelist_count AS n FROM pragma_page_count, pragma_freelist_count')
      .get();
    return { usedBytes: Number(row?.n) * PAGE_BYTES };
  } catch (error) {
    throw openingFailed(path, error);
  } finally {
    db?.close();
  }
}

/** The error in an operator's words. */
function openingFailed(path: string, error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  switch (primaryCode(error)) {
    case 11:
    case 26:
      return new DatabaseError(
        'corrupt',
        `${path} is damaged (${detail}). Move it and its -wal and -shm files away and start again: the node then ` +
          'begins with an empty mailbox and gets the messages from the other members of its swarm.',
        { cause: error },
      );
    case 5:
    case 6:
      return new DatabaseError(
        'locked',
        `${path} is locked by another program (${detail}): end what has it open, such as a backup or a database shell.`,
        { cause: error },
      );
    case 13:
      return new DatabaseError('full', `${path} cannot be opened: the disk is full. Free some space.`, {
        cause: error,
      });
    default:
      return new DatabaseError(
        'unreadable',
        `${path} cannot be opened (${detail}): check that the folder exists, belongs to this user, and has space.`,
        { cause: error },
      );
  }
}

/** SQLite's primary result code: the low byte. 5 BUSY, 6 LOCKED, 11 CORRUPT, 13 FULL, 26 NOTADB. */
function primaryCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
}

function wrap(error: unknown): unknown {
  const code = primaryCode(error);
  if (code === undefined) return error;
  const kind =
    code === 13 ? 'full' : code === 11 || code === 26 ? 'corrupt' : code === 5 ? 'locked' : 'failed';
  return new DatabaseError(kind, `database: ${(error as Error).message}`, { cause: error });
}
