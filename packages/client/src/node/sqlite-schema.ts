// SPDX-License-Identifier: MIT
// The tables of an account's SQLite file, and what leads from the schema of each earlier version to the next one.
// `PRAGMA user_version` holds the schema.
import { STORAGE_SCHEMA, StorageError } from '../storage/storage.ts';
import type { SqliteDatabase } from './sqlite-file.ts';
import { SEARCH_SCHEMA } from './sqlite-search.ts';

const SCHEMA_1 = `
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sender TEXT NOT NULL, timestamp INTEGER NOT NULL, conversation TEXT NOT NULL, text TEXT NOT NULL,
    state TEXT NOT NULL, hash TEXT, copy_pending INTEGER, handled INTEGER NOT NULL,
    UNIQUE (sender, timestamp)
  ) STRICT;
  CREATE INDEX messages_unhandled ON messages (id) WHERE handled = 0;
  CREATE INDEX messages_unsent ON messages (timestamp) WHERE state = 'sending' OR copy_pending = 1;
  CREATE TABLE seen (hash TEXT PRIMARY KEY, expiry INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX seen_expiry ON seen (expiry);
  CREATE TABLE last_hashes (
    node TEXT NOT NULL, account TEXT NOT NULL, namespace INTEGER NOT NULL, hash TEXT NOT NULL, expiry INTEGER NOT NULL,
    PRIMARY KEY (node, account, namespace)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE swarms (account TEXT PRIMARY KEY, members TEXT NOT NULL, fetched_at INTEGER NOT NULL) STRICT;
  CREATE TABLE nodes (
    ed25519 TEXT PRIMARY KEY, x25519 TEXT NOT NULL, host TEXT NOT NULL, https_port INTEGER NOT NULL, place INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE guards (place INTEGER PRIMARY KEY, ed25519 TEXT NOT NULL) STRICT;
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`;

/**
 * What leads from each schema to the next one. 2: the order of messages no longer depends on their timestamps only.
 * 3: what happens to a message after it was written, contacts and other records. 4: who runs
 * a node. 5: messages that disappear, the index of words.
 */
const MIGRATIONS = [
  SCHEMA_1,
  `
  DROP INDEX IF EXISTS messages_of_conversation;
  ALTER TABLE messages ADD COLUMN sort_timestamp INTEGER;
  ALTER TABLE messages ADD COLUMN place_time INTEGER AS (coalesce(sort_timestamp, timestamp)) VIRTUAL;
  ALTER TABLE messages ADD COLUMN place_hash TEXT AS (coalesce(hash, '~')) VIRTUAL;
  CREATE INDEX messages_in_order ON messages (conversation, place_time, place_hash, sender, timestamp);
  CREATE INDEX messages_moved ON messages (hash) WHERE sort_timestamp IS NOT NULL;
`,
  `
  ALTER TABLE messages ADD COLUMN details TEXT;
  ALTER TABLE messages ADD COLUMN marks TEXT;
  CREATE TABLE records (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expiry INTEGER,
    PRIMARY KEY (kind, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX records_expiry ON records (expiry) WHERE expiry IS NOT NULL;
`,
  'ALTER TABLE nodes ADD COLUMN operator TEXT;',
  `
  ALTER TABLE messages ADD COLUMN expires_at INTEGER AS (json_extract(marks, '$.expiresAt')) VIRTUAL;
  CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL;
  ${SEARCH_SCHEMA}
`,
];

/**
 * Brings the file to the newest schema; to be called in a transaction. Nothing is written without need: on a full disk
 * it can be read.
 * @throws StorageError `newer_schema`
 */
export function migrate(database: SqliteDatabase): void {
  const version = database.pragma('user_version', { simple: true }) as number;
  if (version > STORAGE_SCHEMA) {
    throw new StorageError(
      'newer_schema',
      `storage of schema ${version}, this program knows ${STORAGE_SCHEMA}`,
    );
  }
  if (version === STORAGE_SCHEMA) return;
  for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
  database.exec(`PRAGMA user_version = ${STORAGE_SCHEMA}`);
}
