// SPDX-License-Identifier: MIT
// Storage in one SQLite file (WAL), plain or encrypted (`sqlite-file.ts`). Tables: `sqlite-schema.ts`.
import type { AccountId } from '@allium/protocol/account-id';
import { type Marks, marked } from '../storage/marks.ts';
import { type FoundMessages, formatCursor, readQuery, type SearchQuery } from '../storage/search.ts';
import {
  type Changes,
  type ConversationSummary,
  checkUnchanged,
  type HistoryQuery,
  type LastHash,
  type PlacedMessage,
  type PoolNode,
  placeHash,
  placeTime,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
  type StoredSwarm,
  taken,
} from '../storage/storage.ts';
import {
  CACHE_KIB,
  CHECKPOINT_PAGES,
  openSqlite,
  type SqliteDatabase,
  type SqliteStatement,
  storageError,
} from './sqlite-file.ts';
import { COLUMNS, detailsOf, type MessageRow, type RecordRow, toMessage, toRecord } from './sqlite-rows.ts';
import { migrate } from './sqlite-schema.ts';
import { SqliteSearch, searchSql, searchValues } from './sqlite-search.ts';

const BACKWARDS = 'place_time DESC, place_hash DESC, sender DESC, timestamp DESC';

const SEARCH = searchSql(COLUMNS.replaceAll(/\w+/g, 'm.$&'));

// Ours.
const BULK_MESSAGES = 500;
const BULK_CACHE_KIB = 64 * 1024;
/** A -wal file of 128 MiB. */
const BULK_CHECKPOINT_PAGES = 32_768;

type SqlValue = string | number | null;

/** Synchronous underneath: each call ends before it returns its promise. */
export class SqliteStorage implements Storage {
  readonly #database: SqliteDatabase;
  readonly #search: SqliteSearch;
  readonly #statements = new Map<string, SqliteStatement>();
  #closed = false;
  #isBulk = false;

  /**
   * Opens or creates the file, readable by its owner only; `:memory:` works too. With a key of 32 bytes, which is
   * copied, it is encrypted; a plain file becomes an encrypted one first, unless it is of another account than
   * `account`.
   * @throws StorageError `newer_schema`, `wrong_key`, `damaged`, `busy`, `full`, `failed`
   */
  constructor(path: string, options: { readonly key?: Uint8Array; readonly account?: AccountId } = {}) {
    this.#database = openSqlite(path, options.key, (plain) => checkOwner(plain, options.account));
    try {
      this.#search = this.#transaction(() => {
        migrate(this.#database);
        const search = new SqliteSearch(this.#database);
        search.refresh();
        return search;
      });
    } catch (error) {
      this.#database.close();
      throw storageError(error, 'the storage file cannot be opened');
    }
  }

  async write(changes: Changes): Promise<void> {
    this.#check();
    this.#prepareFor(changes.messages?.length ?? 0);
    this.#transaction(() => {
      for (const { sender, timestamp } of changes.fresh ?? []) {
        if (this.#messages('WHERE sender = ? AND timestamp = ?', sender, timestamp).length > 0) throw taken();
      }
      for (const record of changes.unchanged ?? []) {
        const { kind, key } = record;
        const row = this.#get('SELECT * FROM records WHERE kind = ? AND key = ?', kind, key);
        checkUnchanged(record, row && toRecord(row as unknown as RecordRow).value);
      }
      for (const { sender, timestamp } of changes.removed ?? []) {
        this.#run('DELETE FROM messages WHERE sender = ? AND timestamp = ?', sender, timestamp);
      }
      for (const message of changes.messages ?? []) {
        const [old] = this.#messages('WHERE sender = ? AND timestamp = ?', message.sender, message.timestamp);
        this.#writeMessage(marked(message, old?.marks));
      }
      for (const { sender, timestamp, marks } of changes.marked ?? []) {
        const [old] = this.#messages('WHERE sender = ? AND timestamp = ?', sender, timestamp);
        if (old !== undefined) this.#writeMessage(marked(old, marks));
      }
      for (const { kind, key, value, expiry } of changes.records ?? []) {
        if (value === undefined) this.#run('DELETE FROM records WHERE kind = ? AND key = ?', kind, key);
        else {
          this.#run(
            'INSERT OR REPLACE INTO records (kind, key, value, expiry) VALUES (?, ?, ?, ?)',
            kind,
            key,
            JSON.stringify(value),
            expiry ?? null,
          );
        }
      }
      for (const { sender, timestamp } of changes.handled ?? []) {
        this.#run('UPDATE messages SET handled = 1 WHERE sender = ? AND timestamp = ?', sender, timestamp);
      }
      for (const { sender, timestamp, hash, sortTimestamp } of changes.placed ?? []) {
        this.#run(
          'UPDATE messages SET hash = ?, sort_timestamp = ? WHERE sender = ? AND timestamp = ?',
          hash ?? null,
          sortTimestamp ?? null,
          sender,
          timestamp,
        );
      }
      for (const { hash, expiry } of changes.seen ?? []) {
        this.#run('INSERT OR REPLACE INTO seen (hash, expiry) VALUES (?, ?)', hash, expiry);
      }
      for (const last of changes.lastHashes ?? []) {
        this.#run(
          'INSERT OR REPLACE INTO last_hashes (node, account, namespace, hash, expiry) VALUES (?, ?, ?, ?, ?)',
          last.node,
          last.account,
          last.namespace,
          last.hash,
          last.expiry,
        );
      }
      for (const swarm of changes.swarms ?? []) {
        this.#run(
          'INSERT OR REPLACE INTO swarms (account, members, fetched_at) VALUES (?, ?, ?)',
          swarm.account,
          swarm.members.join(' '),
          swarm.fetchedAt,
        );
      }
      if (changes.nodes !== undefined) {
        this.#run('DELETE FROM nodes');
        changes.nodes.forEach((node, place) => {
          this.#run(
            'INSERT OR REPLACE INTO nodes (ed25519, x25519, host, https_port, operator, place) VALUES (?, ?, ?, ?, ?, ?)',
            node.ed25519Hex,
            node.x25519Hex,
            node.host,
            node.httpsPort,
            node.operator ?? null,
            place,
          );
        });
      }
      if (changes.guards !== undefined) {
        this.#run('DELETE FROM guards');
        changes.guards.forEach((guard, place) => {
          this.#run('INSERT INTO guards (place, ed25519) VALUES (?, ?)', place, guard);
        });
      }
      for (const [name, value] of Object.entries(changes.settings ?? {})) {
        if (value === undefined) this.#run('DELETE FROM settings WHERE name = ?', name);
        else this.#run('INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)', name, value);
      }
      this.#search.follow();
    });
    // What was removed is not to stay in the log of writes until it is full; while somebody else reads, it does.
    const isDeleted = ({ marks }: { readonly marks?: Marks }) => marks?.deletedAt !== undefined;
    const deletes = changes.marked?.some(isDeleted) === true || changes.messages?.some(isDeleted) === true;
    if (deletes || (changes.removed ?? []).length > 0) this.#emptyLog();
  }

  async message(sender: AccountId, timestamp: number): Promise<StoredMessage | undefined> {
    return this.#messages('WHERE sender = ? AND timestamp = ?', sender, timestamp)[0];
  }

  async history(conversation: AccountId, { limit, before }: HistoryQuery): Promise<readonly StoredMessage[]> {
    const newest =
      before === undefined
        ? this.#messages(`WHERE conversation = ? ORDER BY ${BACKWARDS} LIMIT ?`, conversation, limit)
        : this.#messages(
            `WHERE conversation = ? AND (place_time, place_hash, sender, timestamp) < (?, ?, ?, ?)
             ORDER BY ${BACKWARDS} LIMIT ?`,
            conversation,
            placeTime(before),
            placeHash(before),
            before.sender,
            before.timestamp,
            limit,
          );
    return newest.reverse();
  }

  async conversations(): Promise<readonly ConversationSummary[]> {
    const newest = this.#messages(
      `WHERE id IN (SELECT (SELECT id FROM messages m WHERE m.conversation = c.conversation
                            ORDER BY ${BACKWARDS} LIMIT 1)
                    FROM (SELECT DISTINCT conversation FROM messages) c)
       ORDER BY ${BACKWARDS}`,
    );
    return newest.map((last) => ({ id: last.conversation, last }));
  }

  async unhandled(limit: number): Promise<readonly StoredMessage[]> {
    return this.#messages('WHERE handled = 0 ORDER BY id LIMIT ?', limit);
  }

  async moved(hashes: readonly string[]): Promise<readonly StoredMessage[]> {
    return hashes.flatMap((hash) => this.#messages('WHERE hash = ? AND sort_timestamp IS NOT NULL', hash));
  }

  async unsent(): Promise<readonly StoredMessage[]> {
    return this.#messages(`WHERE state = 'sending' OR copy_pending = 1 ORDER BY timestamp, sender`);
  }

  async expiring(limit: number): Promise<readonly StoredMessage[]> {
    return this.#messages('WHERE expires_at IS NOT NULL ORDER BY expires_at LIMIT ?', limit);
  }

  async sentBy(sender: AccountId, from: number, to: number): Promise<readonly StoredMessage[]> {
    return this.#messages(
      'WHERE sender = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp',
      sender,
      from,
      to,
    );
  }

  async scan(after: number, limit: number): Promise<readonly PlacedMessage[]> {
    const rows = this.#all(
      `SELECT id, ${COLUMNS} FROM messages WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      Math.max(0, limit),
    );
    return rows.map((row) => ({
      place: row.id as number,
      message: toMessage(row as unknown as MessageRow),
    }));
  }

  async lastPlace(): Promise<number> {
    return this.#get('SELECT coalesce(max(id), 0) AS place FROM messages')?.place as number;
  }

  async search(query: SearchQuery): Promise<FoundMessages> {
    const wanted = readQuery(query);
    this.#check();
    if (wanted.isHopeless) return { messages: [] };
    const rows = this.#all(SEARCH, ...searchValues(wanted)) as unknown as (MessageRow & { id: number })[];
    const messages = rows.map(toMessage);
    if (rows.length < wanted.limit) return { messages };
    return { messages, next: formatCursor({ time: placeTime(messages.at(-1)!), id: rows.at(-1)!.id }) };
  }

  async seen(hashes: readonly string[]): Promise<ReadonlySet<string>> {
    this.#check();
    return new Set(
      hashes.filter((hash) => this.#get('SELECT 1 FROM seen WHERE hash = ?', hash) !== undefined),
    );
  }

  async lastHash(node: string, account: AccountId, namespace: number): Promise<LastHash | undefined> {
    const row = this.#get(
      'SELECT node, account, namespace, hash, expiry FROM last_hashes WHERE node = ? AND account = ? AND namespace = ?',
      node,
      account,
      namespace,
    );
    return row === undefined ? undefined : ({ ...row } as unknown as LastHash);
  }

  async swarm(account: AccountId): Promise<StoredSwarm | undefined> {
    const row = this.#get('SELECT members, fetched_at FROM swarms WHERE account = ?', account);
    if (row === undefined) return undefined;
    const members = (row.members as string).split(' ').filter((member) => member !== '');
    return { account, members, fetchedAt: row.fetched_at as number };
  }

  async nodes(): Promise<readonly PoolNode[]> {
    const rows = this.#all(
      'SELECT ed25519 AS ed25519Hex, x25519 AS x25519Hex, host, https_port AS httpsPort, operator FROM nodes ORDER BY place',
    );
    return rows.map(({ operator, ...row }) => {
      return { ...row, ...(operator !== null && { operator }) } as unknown as PoolNode;
    });
  }

  async guards(): Promise<readonly string[]> {
    return this.#all('SELECT ed25519 FROM guards ORDER BY place').map((row) => row.ed25519 as string);
  }

  async setting(name: string): Promise<string | undefined> {
    return this.#get('SELECT value FROM settings WHERE name = ?', name)?.value as string | undefined;
  }

  async record(kind: string, key: string): Promise<StoredRecord | undefined> {
    const row = this.#get('SELECT * FROM records WHERE kind = ? AND key = ?', kind, key);
    return row === undefined ? undefined : toRecord(row as unknown as RecordRow);
  }

  async records(kind: string): Promise<readonly StoredRecord[]> {
    const rows = this.#all('SELECT * FROM records WHERE kind = ? ORDER BY key', kind);
    return rows.map((row) => toRecord(row as unknown as RecordRow));
  }

  async prune(now: number): Promise<void> {
    this.#check();
    this.#transaction(() => {
      this.#run('DELETE FROM seen WHERE expiry < ?', now);
      this.#run('DELETE FROM last_hashes WHERE expiry < ?', now);
      this.#run('DELETE FROM records WHERE expiry < ?', now);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#statements.clear();
    this.#database.close();
  }

  /** As far as it can be: waits for nobody, and what was written is written anyway. */
  #emptyLog(): void {
    const patience = this.#database.pragma('busy_timeout', { simple: true }) as number;
    this.#database.pragma('busy_timeout = 0');
    try {
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // The next deletion tries again.
    } finally {
      this.#database.pragma(`busy_timeout = ${patience}`);
    }
  }

  #writeMessage(message: StoredMessage): void {
    const { sender, timestamp, conversation, text, state, hash, sortTimestamp, copyPending, handled, marks } =
      message;
    const details = detailsOf(message);
    this.#run(
      `INSERT INTO messages (sender, timestamp, conversation, text, state, hash, sort_timestamp, copy_pending, handled,
         details, marks)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (sender, timestamp) DO UPDATE SET conversation = excluded.conversation, text = excluded.text,
         state = excluded.state, hash = excluded.hash, sort_timestamp = excluded.sort_timestamp,
         copy_pending = excluded.copy_pending, handled = excluded.handled, details = excluded.details,
         marks = excluded.marks`,
      sender,
      timestamp,
      conversation,
      text,
      state,
      hash ?? null,
      sortTimestamp ?? null,
      copyPending === undefined ? null : Number(copyPending),
      Number(handled),
      details === undefined ? null : JSON.stringify(details),
      marks === undefined ? null : JSON.stringify(marks),
    );
  }

  #messages(rest: string, ...values: SqlValue[]): StoredMessage[] {
    const rows = this.#all(`SELECT ${COLUMNS} FROM messages ${rest}`, ...values);
    return (rows as unknown as MessageRow[]).map(toMessage);
  }

  /** For large changes, as an import makes them: pages that change again and again are written once. */
  #prepareFor(messages: number): void {
    const isBulk = messages >= BULK_MESSAGES;
    if (isBulk === this.#isBulk) return;
    this.#isBulk = isBulk;
    this.#database.pragma(`cache_size = ${isBulk ? -BULK_CACHE_KIB : -CACHE_KIB}`);
    this.#database.pragma(`wal_autocheckpoint = ${isBulk ? BULK_CHECKPOINT_PAGES : CHECKPOINT_PAGES}`);
  }

  #transaction<T>(work: () => T): T {
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      throw storageError(error, 'the change could not be written');
    }
  }

  #statement(sql: string): SqliteStatement {
    this.#check();
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql) as SqliteStatement;
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: SqlValue[]): void {
    this.#statement(sql).run(...values);
  }

  #get(sql: string, ...values: SqlValue[]) {
    try {
      return this.#statement(sql).get(...values);
    } catch (error) {
      throw storageError(error, 'the storage could not be read');
    }
  }

  #all(sql: string, ...values: SqlValue[]) {
    try {
      return this.#statement(sql).all(...values);
    } catch (error) {
      throw storageError(error, 'the storage could not be read');
    }
  }

  #check(): void {
    if (this.#closed) throw new StorageError('closed', 'this storage is closed');
  }
}

/** @throws StorageError `wrong_key` */
function checkOwner(database: SqliteDatabase, account: AccountId | undefined): void {
  const isOld = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'settings'").get() === undefined;
  if (isOld || account === undefined) return;
  const owner = database.prepare("SELECT value FROM settings WHERE name = 'account'").get()?.value;
  if (owner !== undefined && owner !== account) {
    throw new StorageError('wrong_key', 'the storage file belongs to another account');
  }
}
