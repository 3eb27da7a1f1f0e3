// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages of the accounts that map to this node: what each method does to the database, without
// any check of signatures or times (spec/storage-server §2.9 "Execution", §7).
import type { StatementSync } from 'node:sqlite';
import type { Clock } from '@allium/protocol/env';
import { isPublicOutbox } from '@allium/protocol/namespaces';
import type { AccountPubkey } from '@allium/protocol/storage/requests';
import { messageCost } from '@allium/protocol/storage/retrieve-limits';
import { AccountRows } from './account-rows.ts';
import { ACT_LIFE_MS, type Act, Acts, MAX_MARKS } from './acts.ts';
import type { Database } from './database.ts';
import { type ExpiryLimit, expiryLimits, shortened } from './expiry-limits.ts';
import {
  type Affected,
  type ExpiryMode,
  type Held,
  hashBytes,
  hashText,
  type NewMessage,
  Retrieved,
  type RetrievedRow,
  type Stored,
  type WholeMessage,
} from './messages.ts';
import { Revocations } from './revocations.ts';

const NO_BYTES = new Uint8Array(0);

type Row = Record<string, unknown>;

interface HeldRow extends Held {
  readonly id: number;
  /** Row number of the account. */
  readonly owner: number;
  readonly account: Uint8Array;
  readonly namespace: number;
}

export class Mailbox {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly acts: Acts;
  readonly revocations: Revocations;
  readonly #sql: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #accounts: AccountRows;
  readonly #forget: readonly StatementSync[];
  #onArrival: ((accountHex: string, namespace: number) => void) | undefined;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    this.acts = new Acts(database);
    this.#accounts = new AccountRows(database);
    this.revocations = new Revocations(database, this.acts, clock);
    this.#sql = Object.fromEntries(
      Object.entries(STATEMENTS).map(([name, sql]) => [name, database.prepare(sql)]),
    ) as Record<keyof typeof STATEMENTS, StatementSync>;
    this.#forget = TABLES.map((table) => database.prepare(`DELETE FROM ${table}`));
    // Cheaper than objects where a hundred rows are usual.
    this.#sql.select.setReturnArrays(true);
    this.#sql.bodies.setReturnArrays(true);
  }

  /**
   * Stores, or extends the expiry of the same message (§2.9.1). `onlyOne`: a public outbox, where every other message
   * of the namespace goes first. Data of a message that exists are never changed.
   */
  async store(message: NewMessage, onlyOne = false): Promise<Stored> {
    const stored = await this.#database.write(() => this.#store(message, onlyOne));
    if (!stored.already) this.#onArrival?.(message.account.hex, message.namespace);
    return stored;
  }

  /** Tells of every new message, whoever brought it, once it is committed. */
  onArrival(listener: (accountHex: string, namespace: number) => void): void {
    this.#onArrival = listener;
  }

  /** Stores what a peer hands over (§5.5): existing messages stay as they are. Returns how many were new. */
  async storeMany(messages: readonly NewMessage[]): Promise<number> {
    const added = await this.#database.write(() => {
      const added: NewMessage[] = [];
      for (const message of messages) {
        const { account, namespace, hash, timestamp } = message;
        const isOutbox = isPublicOutbox(namespace);
        if (isOutbox && (this.find(hash) !== undefined || this.#holdsNewer(message))) continue;
        // Nothing that was deleted comes back (§5.13).
        if (timestamp <= this.acts.deletedUpTo(account.bytes, namespace, hash)) continue;
        if (this.#add(message, isOutbox) !== undefined) added.push(message);
      }
      return added;
    });
    for (const { account, namespace } of added) this.#onArrival?.(account.hex, namespace);
    return added.length;
  }

  /** In a public outbox the newest message stands for all (§2.2): an older one handed over late is not wanted. */
  #holdsNewer(message: NewMessage): boolean {
    const account = this.#accounts.find(message.account);
    if (account === undefined) return false;
    const row = this.#sql.newest.get(account, message.namespace) as Row | undefined;
    if (row === undefined || Number(row.timestamp) < message.timestamp) return false;
    // Of two with the same time all members keep the same.
    return Number(row.timestamp) > message.timestamp || Buffer.compare(row.hash as Buffer, message.hash) > 0;
  }

  /**
   * What a client stores is wanted, also after it was deleted: its timestamp moves behind the deletion, so that all members
   * know it as the newer (§5.13).
   */
  #store(message: NewMessage, onlyOne: boolean): Stored {
    const { account, namespace, hash, timestamp } = message;
    const deleted = this.acts.deletedUpTo(account.bytes, namespace, hash);
    return this.#insert(deleted < timestamp ? message : { ...message, timestamp: deleted + 1 }, onlyOne);
  }

  /** Row number of a new message; undefined when it is there already. */
  #add(message: NewMessage, onlyOne: boolean): number | undefined {
    const account = this.#accounts.findOrAdd(message.account);
    const { namespace, timestamp, expiry, hash, data, changed = 0 } = message;
    if (onlyOne) this.#sql.deleteOthers.run(account, namespace, hash);
    const inserted = this.#sql.insert.run(account, namespace, timestamp, expiry, hash, data, changed);
    return inserted.changes === 1 ? Number(inserted.lastInsertRowid) : undefined;
  }

  #insert(message: NewMessage, onlyOne: boolean): Stored {
    const sql = this.#sql;
    const added = this.#add(message, onlyOne);
    if (added !== undefined) return { id: added, expiry: message.expiry, already: false };
    const row = sql.findMessage.get(message.hash) as Row;
    const id = Number(row.id);
    const expiry = Number(row.expiry);
    if (message.expiry <= expiry) return { id, expiry, already: true };
    sql.setExpiry.run(message.expiry, this.#clock.now(), id);
    return { id, expiry: message.expiry, already: true };
  }

  /**
   * Messages of one namespace in the order of their arrival, after `lastHash` when that is known, until `maxCount` or
   * `maxSize` (§2.9.2).
   */
  retrieve(
    account: Pick<AccountPubkey, 'hex' | 'bytes'>,
    namespace: number,
    lastHash: string | undefined,
    maxCount: number,
    maxSize: number,
  ): Retrieved {
    const id = this.#accounts.find(account);
    if (id === undefined) return new Retrieved([], NO_BYTES, NO_BYTES, false);
    let start = 0;
    if (lastHash !== undefined) {
      const bytes = hashBytes(lastHash);
      const row = bytes && (this.#sql.findIn.get(bytes, id, namespace) as Row | undefined);
      if (row !== undefined) start = Number(row.id);
    }
    const { rows, more } = this.#select(id, namespace, start, maxCount, maxSize);
    const last = rows[rows.length - 1];
    if (last === undefined) return new Retrieved(rows, NO_BYTES, NO_BYTES, more);
    const [hashes, data] = this.#sql.bodies.get(id, namespace, start, last[0]) as unknown as Uint8Array[];
    return new Retrieved(rows, hashes!, data!, more);
  }

  /** Which messages fit. Rows come in steps, so that neither a long mailbox nor a small limit reads what is not needed. */
  #select(account: number, namespace: number, start: number, maxCount: number, maxSize: number) {
    const rows: RetrievedRow[] = [];
    let after = start;
    let size = 0;
    let step = Math.min(maxCount + 1, 128);
    for (;;) {
      const next = this.#sql.select.all(account, namespace, after, step) as unknown as RetrievedRow[];
      for (const row of next) {
        if (rows.length === maxCount) return { rows, more: true };
        size += messageCost(row[1]);
        if (size > maxSize && rows.length > 0) return { rows, more: true };
        rows.push(row);
      }
      if (next.length < step) return { rows, more: false };
      after = rows[rows.length - 1]![0];
      step = Math.max(1, Math.min(1024, Math.ceil((maxSize - size) / (size / rows.length)) + 1));
    }
  }

  /**
   * Deletes messages of the account wherever they lie; returns the sorted hashes that existed (§2.9.4). `late`: at the time
   * of the act; what was stored since stays.
   */
  delete(account: AccountPubkey, hashes: readonly string[], act?: Act, late = false): Promise<string[]> {
    return this.#database.write(() => {
      const deleted: string[] = [];
      const id = this.#accounts.find(account);
      let time = act?.time ?? this.#clock.now();
      const known = hashes.map(hashBytes);
      for (const [i, hash] of known.entries()) {
        if (hash === undefined || id === undefined) continue;
        const before = late ? time : Number.MAX_SAFE_INTEGER;
        const row = this.#sql.deleteOne.get(hash, id, before) as { timestamp: number } | undefined;
        if (row === undefined) continue;
        deleted.push(hashes[i]!);
        time = Math.max(time, row.timestamp);
      }
      for (const hash of known.slice(0, MAX_MARKS)) {
        if (hash !== undefined) this.acts.mark(account.bytes, hash, time);
      }
      this.acts.keep(account.bytes, act && { ...act, time });
      if (id !== undefined) this.#accounts.dropIfEmpty(id, account.hex);
      return deleted.sort();
    });
  }

  /**
   * Deletes the messages with a timestamp of at most `before` (§2.9.5, §2.9.6). `wiped`: up to when copies that members
   * hand over count as deleted, when that is less.
   */
  deleteBefore(
    account: AccountPubkey,
    namespace: number | 'all',
    before: number,
    act?: Act,
    wiped = before,
  ): Promise<Affected> {
    return this.#database.write(() => {
      if (act !== undefined) {
        this.acts.wipe(account.bytes, namespace, wiped, this.#clock.now());
        if (act.time > this.#clock.now() - ACT_LIFE_MS) this.acts.keep(account.bytes, act);
      }
      const id = this.#accounts.find(account);
      if (id === undefined) return affected(namespace, []);
      const rows =
        namespace === 'all'
          ? this.#sql.deleteBeforeAll.all(id, before)
          : this.#sql.deleteBefore.all(id, namespace, before);
      this.#accounts.dropIfEmpty(id, account.hex);
      return affected(namespace, rows);
    });
  }

  /**
   * Sets expiries (§2.9.7). `updated` maps the hashes that were written to their new expiry, `unchanged` those that exist
   * and were not to their old one.
   */
  expire(
    account: AccountPubkey,
    hashes: readonly string[],
    expiries: readonly number[],
    mode: ExpiryMode,
    act?: Act,
    late = false,
  ): Promise<{ updated: Map<string, number>; unchanged: Map<string, number> }> {
    return this.#database.write(() => {
      const updated = new Map<string, number>();
      const unchanged = new Map<string, number>();
      const id = this.#accounts.find(account);
      const time = act?.time ?? this.#clock.now();
      // Extensions need no proof: members take the later expiry.
      let shortens = mode === 'shorten';
      if (id === undefined) {
        if (shortens) this.acts.keep(account.bytes, act);
        return { updated, unchanged };
      }
      for (let i = 0; i < hashes.length; i++) {
        const text = hashes[i]!;
        const hash = hashBytes(text);
        const row = hash && (this.#sql.findOf.get(hash, id) as Row | undefined);
        if (row === undefined) continue;
        const stored = Number(row.expiry);
        const expiry = expiries.length === 1 ? expiries[0]! : expiries[i]!;
        if (late && (expiry >= stored || Number(row.changed) > time)) continue;
        if (mode === 'set' || (mode === 'extend' ? stored < expiry : stored > expiry)) {
          this.#sql.setExpiry.run(expiry, time, row.id as number);
          updated.set(text, expiry);
          shortens ||= expiry < stored;
        } else if (!updated.has(text)) {
          unchanged.set(text, stored);
        }
      }
      if (shortens) this.acts.keep(account.bytes, act);
      return { updated, unchanged };
    });
  }

  /** Shortens every later expiry to `expiry` (§2.9.8). `late`: of messages as they were at the time of the act. */
  expireAll(
    account: AccountPubkey,
    namespace: number | 'all',
    expiry: number,
    act?: Act,
    late = false,
  ): Promise<Affected> {
    return this.#database.write(() => {
      this.acts.keep(account.bytes, act);
      const time = act?.time ?? this.#clock.now();
      const until = late ? time : Number.MAX_SAFE_INTEGER;
      const id = this.#accounts.find(account);
      if (id === undefined) return affected(namespace, []);
      return affected(
        namespace,
        namespace === 'all'
          ? this.#sql.expireAllNamespaces.all(expiry, time, id, expiry, until, until)
          : this.#sql.expireNamespace.all(expiry, time, id, namespace, expiry, until, until),
      );
    });
  }

  /** Expiries of those of the hashes that exist (§2.9.9). */
  expiries(account: AccountPubkey, hashes: readonly string[]): Map<string, number> {
    const found = new Map<string, number>();
    const id = this.#accounts.find(account);
    if (id === undefined) return found;
    for (const text of hashes) {
      const hash = hashBytes(text);
      const row = hash && (this.#sql.findOf.get(hash, id) as Row | undefined);
      if (row !== undefined) found.set(text, Number(row.expiry));
    }
    return found;
  }

  /** Messages from hash `from` on and before `to` that live beyond `cutoff`, in the order of their hashes. */
  held(from: Uint8Array, to: Uint8Array, cutoff: number, limit: number): (Held & { account: number })[] {
    return this.#sql.held.all(from, to, cutoff, limit) as unknown as (Held & { account: number })[];
  }

  /** The 33 bytes of an account by row number. */
  accountOf(id: number): Uint8Array | undefined {
    return this.#accounts.keyOf(id);
  }

  /** Whether there is such a message, and its expiry. */
  find(hash: Uint8Array): Held | undefined {
    return this.#sql.findMessage.get(hash) as unknown as Held | undefined;
  }

  /** The message with this hash, unless it is expired. */
  byHash(hash: Uint8Array): WholeMessage | undefined {
    const row = this.#sql.findMessage.get(hash) as Row | undefined;
    return row === undefined ? undefined : this.message(Number(row.id));
  }

  /**
   * Settles expiries that differ from those of a member (§5.13): the later one stands, after all that the account signed
   * to shorten it. Returns how many changed here.
   */
  adoptExpiries(list: readonly Held[]): Promise<number> {
    return this.#database.write(() => {
      let count = 0;
      const limits = new Map<number, readonly ExpiryLimit[]>();
      for (const theirs of list) {
        const row = this.#sql.findHeld.get(theirs.hash) as unknown as HeldRow | undefined;
        if (row === undefined) continue;
        const signed = limits.get(row.owner) ?? expiryLimits(this.acts.shortenings(row.account));
        limits.set(row.owner, signed);
        const best = [shortened(row, row.namespace, signed), shortened(theirs, row.namespace, signed)].sort(
          (one, other) => other.expiry - one.expiry || other.changed - one.changed,
        )[0]!;
        if (best.expiry === row.expiry) continue;
        this.#sql.setExpiry.run(best.expiry, best.changed, row.id);
        count++;
      }
      return count;
    });
  }

  /** One message by row number, unless it is gone or expired. */
  message(id: number): WholeMessage | undefined {
    const row = this.#sql.whole.get(id) as unknown as WholeMessage | undefined;
    return row !== undefined && row.expiry > this.#clock.now() ? row : undefined;
  }

  /** The next messages by row number, expired ones left out, for handing a whole mailbox over. */
  page(afterId: number, limit: number): WholeMessage[] {
    return this.#sql.page.all(afterId, this.#clock.now(), limit) as unknown as WholeMessage[];
  }

  /** Accounts with a message or an act, the next after `after`, in order. */
  accounts(after: Uint8Array, limit: number): Uint8Array[] {
    return this.#sql.accounts.all(after, after, limit).map((row) => row.pubkey as Uint8Array);
  }

  /** Nothing of it remains; row numbers go on where they were. */
  forgetAll(): Promise<void> {
    return this.#database.write(() => {
      for (const sql of this.#forget) sql.run();
      this.#accounts.forget();
    });
  }

  isEmpty(): boolean {
    return this.#sql.anyMessage.get() === undefined;
  }

  /** True when nothing was ever stored here (also not before a restart). */
  isVirgin(): boolean {
    return this.#sql.anySequence.get() === undefined;
  }

  /** Deletes at most `limit` expired messages and what hangs on them; returns how many. */
  clean(limit: number): Promise<number> {
    return this.#database.write(() => {
      const rows = this.#sql.clean.all(this.#clock.now(), limit) as { account: number }[];
      for (const account of new Set(rows.map((row) => row.account))) this.#accounts.dropIfEmpty(account);
      return rows.length;
    });
  }

  /** Drops at most `limit` acts of each kind that are too old to matter. */
  cleanActs(limit: number): Promise<number> {
    return this.#database.write(() => this.acts.clean(this.#clock.now(), limit));
  }

  /** Drops at most `limit` of the oldest acts when all together are too large; returns how many. */
  trimActs(limit: number): Promise<number> {
    return this.#database.write(() => this.acts.trim(limit));
  }

  /** Walks an index over all messages: for statistics asked by the operator, not for every scrape. */
  statistics(): { messages: number; counts: number[]; namespaces: Map<number, number> } {
    const counts = this.#sql.perAccount.all().map((row) => Number(row.n));
    const namespaces = new Map(
      this.#sql.perNamespace.all().map((row) => [Number(row.namespace), Number(row.n)]),
    );
    let messages = 0;
    for (const n of namespaces.values()) messages += n;
    return { messages, counts, namespaces };
  }
}

function affected(namespace: number | 'all', rows: Row[]): Affected {
  if (namespace !== 'all') return { one: rows.map((row) => hashText(row.hash as Uint8Array)).sort() };
  const all = new Map<number, string[]>();
  for (const row of rows) {
    const list = all.get(row.namespace as number);
    const text = hashText(row.hash as Uint8Array);
    if (list === undefined) all.set(row.namespace as number, [text]);
    else list.push(text);
  }
  for (const list of all.values()) list.sort();
  return { all };
}

const TABLES = ['messages', 'accounts', 'revocations', 'acts', 'marks', 'wipes'];

const STATEMENTS = {
  accounts: `SELECT pubkey FROM accounts WHERE pubkey > ?
    UNION SELECT account FROM acts WHERE account > ? ORDER BY 1 LIMIT ?`,
  insert: `INSERT INTO messages (account, namespace, timestamp, expiry, hash, data, changed) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (hash) DO NOTHING`,
  findMessage: 'SELECT id, hash, expiry, max(changed, timestamp) AS changed FROM messages WHERE hash = ?',
  findOf: 'SELECT id, expiry, changed FROM messages WHERE hash = ? AND account = ?',
  findIn: 'SELECT id FROM messages WHERE hash = ? AND account = ? AND namespace = ?',
  newest:
    'SELECT timestamp, hash FROM messages WHERE account = ? AND namespace = ? ORDER BY timestamp DESC, hash DESC LIMIT 1',
  setExpiry: 'UPDATE messages SET expiry = ?, changed = ? WHERE id = ?',
  deleteOthers: 'DELETE FROM messages WHERE account = ? AND namespace = ? AND hash <> ?',
  select: `SELECT id, length(data), timestamp, expiry FROM messages
    WHERE account = ? AND namespace = ? AND id > ? ORDER BY id LIMIT ?`,
  // The inner LIMIT keeps the order of the index scan; group_concat joins blobs byte by byte.
  bodies: `SELECT CAST(group_concat(hash, '') AS BLOB), CAST(group_concat(data, '') AS BLOB) FROM
    (SELECT hash, data FROM messages WHERE account = ? AND namespace = ? AND id > ? AND id <= ? ORDER BY id LIMIT -1)`,
  deleteOne: 'DELETE FROM messages WHERE hash = ? AND account = ? AND timestamp <= ? RETURNING timestamp',
  deleteBefore: 'DELETE FROM messages WHERE account = ? AND namespace = ? AND timestamp <= ? RETURNING hash',
  deleteBeforeAll: 'DELETE FROM messages WHERE account = ? AND timestamp <= ? RETURNING hash, namespace',
  expireNamespace: `UPDATE messages SET expiry = ?, changed = ? WHERE account = ? AND namespace = ? AND expiry > ?
    AND changed <= ? AND timestamp <= ? RETURNING hash`,
  expireAllNamespaces: `UPDATE messages SET expiry = ?, changed = ? WHERE account = ? AND expiry > ?
    AND changed <= ? AND timestamp <= ? RETURNING hash, namespace`,
  held: `SELECT hash, expiry, max(changed, timestamp) AS changed, account FROM messages WHERE hash >= ? AND hash < ? AND expiry > ?
    ORDER BY hash LIMIT ?`,
  findHeld: `SELECT m.id, m.hash, m.expiry, max(m.changed, m.timestamp) AS changed, a.id AS owner,
    a.pubkey AS account, m.namespace FROM messages m JOIN accounts a ON a.id = m.account WHERE m.hash = ?`,
  whole: `SELECT m.id, a.pubkey AS account, m.namespace, m.timestamp, m.expiry, m.hash, m.data
    FROM messages m JOIN accounts a ON a.id = m.account WHERE m.id = ?`,
  page: `SELECT m.id, a.pubkey AS account, m.namespace, m.timestamp, m.expiry, m.hash, m.data
    FROM messages m JOIN accounts a ON a.id = m.account WHERE m.id > ? AND m.expiry > ? ORDER BY m.id LIMIT ?`,
  anyMessage: 'SELECT 1 FROM messages LIMIT 1',
  anySequence: `SELECT 1 FROM sqlite_sequence WHERE name = 'messages'`,
  clean: `DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE expiry <= ? LIMIT ?) RETURNING account`,
  perAccount: 'SELECT count(*) AS n FROM messages GROUP BY account HAVING n >= 2 ORDER BY n',
  perNamespace: 'SELECT namespace, count(*) AS n FROM messages GROUP BY namespace',
} as const;
