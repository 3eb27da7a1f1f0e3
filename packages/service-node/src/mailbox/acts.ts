// SPDX-License-Identifier: AGPL-3.0-or-later
// What must not be undone by a member that missed it (spec/storage-server §5.13): signed requests that delete, shorten or
// revoke, and what they deleted. All methods that change something run inside `Database.write`.
import { createHash } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';

// Ours.
/** Longer than a message lives after its last change (30 days). */
export const ACT_LIFE_MS = 31 * 86_400_000;
/** Larger requests take effect, but are not shown to other members. Those of `expire` are read again and again. */
const MAX_BODY_BYTES = 65_536;
const MAX_EXPIRE_BYTES = 8192;
/** Per account, revocations not counted; the oldest go first. */
const MAX_PER_ACCOUNT = 256;
/** Of the mailbox's limit, for the bodies of all accounts; as much again for revocations. */
const SHARE_OF_MAILBOX = 1 / 16;
/** Trimmed somewhat below the limit, so that not every round has to. */
const TRIMMED_TO = 0.9;
/** Marks that one request can leave, at about 50 bytes each. */
export const MAX_MARKS = 2048;
/** In the column of namespaces: all of them. */
const ALL = 99_999;

const REVOCATIONS: readonly string[] = ['revoke_subaccount', 'unrevoke_subaccount'];

/** A signed request as `sn.storage_cc` carries it. `time`: signed where the method has one, else that of its last arrival. */
export interface Act {
  readonly method: string;
  readonly body: Uint8Array;
  readonly time: number;
}

type Pool = 'changes' | 'revocations';

interface ActRow {
  readonly key: Uint8Array;
  readonly account: Uint8Array;
  readonly time: number;
}

/** 16 bytes that stand for a request. */
const actKey = ({ method, body }: Pick<Act, 'method' | 'body'>): Buffer =>
  createHash('sha256').update(method).update('\0').update(body).digest().subarray(0, 16);

/** A hash alone would let one account mark the messages of another. */
const markKey = (account: Uint8Array, hash: Uint8Array): Buffer =>
  createHash('sha256').update(account).update(hash).digest().subarray(0, 16);

export class Acts {
  readonly #sql: Record<keyof typeof STATEMENTS, StatementSync>;
  readonly #maxBytes: number;
  /** At least the bytes of all bodies; undefined until they are measured, for which the whole table is read. */
  #bytes: Record<Pool, number> | undefined;
  /** Pools that were too large and are not yet small enough. */
  readonly #trimmed = new Set<Pool>();
  /** Some revocations may be of accounts without messages. */
  #someAreIdle = true;

  constructor(database: Database) {
    this.#maxBytes = database.size().max * SHARE_OF_MAILBOX;
    this.#sql = Object.fromEntries(
      Object.entries(STATEMENTS).map(([name, sql]) => [name, database.prepare(sql)]),
    ) as Record<keyof typeof STATEMENTS, StatementSync>;
    database.onRollback(() => {
      this.#bytes = undefined;
      this.#trimmed.clear();
    });
  }

  /** `delete` has no time of its own: the same bytes may come again, and then the last time counts. */
  keep(account: Uint8Array, act: Act | undefined): void {
    if (act === undefined) return;
    if (act.body.length > (act.method === 'expire' ? MAX_EXPIRE_BYTES : MAX_BODY_BYTES)) return;
    this.#sql.keep.run(actKey(act), account, act.time, act.method, act.body);
    const pool: Pool = REVOCATIONS.includes(act.method) ? 'revocations' : 'changes';
    if (pool === 'revocations') this.#sql.dropSuperseded.run(account);
    else this.#sql.trim.run(account, account, MAX_PER_ACCOUNT);
    if (this.#bytes !== undefined) this.#bytes[pool] += act.body.length;
  }

  get(key: Uint8Array): Act | undefined {
    return this.#sql.get.get(key) as unknown as Act | undefined;
  }

  /** Keys from `from` on and before `to`, in order. */
  keys(from: Uint8Array, to: Uint8Array, limit: number): ActRow[] {
    return this.#sql.keys.all(from, to, limit) as unknown as ActRow[];
  }

  /** Changes of expiries that the account asked for, in the order of time. */
  shortenings(account: Uint8Array): Act[] {
    return this.#sql.shortenings.all(account) as unknown as Act[];
  }

  /** The message was deleted at `time`: copies with a timestamp up to that are not wanted. */
  mark(account: Uint8Array, hash: Uint8Array, time: number): void {
    this.#sql.mark.run(markKey(account, hash), time);
  }

  /** Everything with a timestamp up to `before` was deleted. */
  wipe(account: Uint8Array, namespace: number | 'all', before: number, now: number): void {
    this.#sql.wipe.run(account, namespace === 'all' ? ALL : namespace, before, now);
  }

  /** Up to which timestamp the message counts as deleted; -1 when it was not. */
  deletedUpTo(account: Uint8Array, namespace: number, hash: Uint8Array): number {
    const row = this.#sql.deletedUpTo.get(account, namespace, ALL, markKey(account, hash)) as { t: number };
    return row.t;
  }

  /**
   * Drops at most `limit` acts of a kind that has grown too large, the oldest first, revocations of accounts without messages
   * before others; returns how many. What they did stays done here: marks, wipes and revoked tokens are kept. Members that
   * missed them will not hear of them any more.
   */
  trim(limit: number): number {
    return Math.max(this.#trimPool('changes', limit), this.#trimPool('revocations', limit));
  }

  /** What is dropped is subtracted, not measured again: many steps may follow each other. */
  #trimPool(pool: Pool, limit: number): number {
    this.#bytes ??= this.#measure();
    const enough = this.#maxBytes * TRIMMED_TO;
    if (!this.#trimmed.has(pool)) {
      if (this.#bytes[pool] <= this.#maxBytes) return 0;
      this.#bytes = this.#measure();
      if (this.#bytes[pool] <= enough) return 0;
      this.#trimmed.add(pool);
      this.#someAreIdle = true;
    }
    let dropped = 0;
    for (const { id, n } of this.#oldest(pool, limit)) {
      if (this.#bytes[pool] <= enough) break;
      this.#sql.drop.run(id);
      this.#bytes[pool] -= n;
      dropped++;
    }
    if (this.#bytes[pool] <= enough || dropped === 0) this.#trimmed.delete(pool);
    return dropped;
  }

  #oldest(pool: Pool, limit: number): { id: number; n: number }[] {
    const rows = (sql: StatementSync, count: number) => sql.all(count) as { id: number; n: number }[];
    if (pool === 'changes') return rows(this.#sql.oldest, limit);
    // Looked for until there are no more: they stand anywhere among the others, so each look reads many.
    const idle = this.#someAreIdle ? rows(this.#sql.oldestIdleRevocations, limit) : [];
    this.#someAreIdle = idle.length === limit;
    if (this.#someAreIdle) return idle;
    const taken = new Set(idle.map(({ id }) => id));
    const others = rows(this.#sql.oldestRevocations, limit).filter(({ id }) => !taken.has(id));
    return [...idle, ...others].slice(0, limit);
  }

  #measure(): Record<Pool, number> {
    return this.#sql.bytes.get() as unknown as Record<Pool, number>;
  }

  /** Drops at most `limit` rows of each kind that are too old to matter; returns the most of any kind. */
  clean(now: number, limit: number): number {
    const before = now - ACT_LIFE_MS;
    return Math.max(
      ...[this.#sql.cleanActs, this.#sql.cleanMarks, this.#sql.cleanWipes].map((sql) =>
        Number(sql.run(before, limit).changes),
      ),
    );
  }
}

const STATEMENTS = {
  keep: `INSERT INTO acts (key, account, time, method, body) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET time = max(time, excluded.time)`,
  trim: `DELETE FROM acts WHERE account = ? AND id IN (SELECT id FROM acts WHERE account = ?
    AND method NOT IN ('revoke_subaccount', 'unrevoke_subaccount') ORDER BY time DESC, key LIMIT -1 OFFSET ?)`,
  // Of a token the last change counts: an act that is the last of none says nothing any more.
  dropSuperseded: `DELETE FROM acts WHERE account = ? AND method IN ('revoke_subaccount', 'unrevoke_subaccount')
    AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.account = acts.account AND r.time = acts.time)`,
  bytes: `SELECT total(length(body)) FILTER (WHERE method NOT IN ('revoke_subaccount', 'unrevoke_subaccount')) AS changes,
    total(length(body)) FILTER (WHERE method IN ('revoke_subaccount', 'unrevoke_subaccount')) AS revocations FROM acts`,
  oldest: `SELECT id, length(body) AS n FROM acts
    WHERE method NOT IN ('revoke_subaccount', 'unrevoke_subaccount') ORDER BY time LIMIT ?`,
  oldestIdleRevocations: `SELECT id, length(body) AS n FROM acts a
    WHERE method IN ('revoke_subaccount', 'unrevoke_subaccount')
      AND NOT EXISTS (SELECT 1 FROM accounts WHERE pubkey = a.account) ORDER BY time LIMIT ?`,
  oldestRevocations: `SELECT id, length(body) AS n FROM acts
    WHERE method IN ('revoke_subaccount', 'unrevoke_subaccount') ORDER BY time LIMIT ?`,
  drop: 'DELETE FROM acts WHERE id = ?',
  get: 'SELECT method, body, time FROM acts WHERE key = ?',
  shortenings: `SELECT method, body, time FROM acts WHERE account = ?
    AND method IN ('expire', 'expire_all') ORDER BY time`,
  keys: 'SELECT key, account, time FROM acts WHERE key >= ? AND key < ? ORDER BY key LIMIT ?',
  mark: `INSERT INTO marks (key, time) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET time = max(time, excluded.time)`,
  wipe: `INSERT INTO wipes (account, namespace, before, time) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, namespace) DO UPDATE SET before = max(before, excluded.before), time = excluded.time`,
  deletedUpTo: `SELECT max(coalesce((SELECT max(before) FROM wipes WHERE account = ? AND namespace IN (?, ?)), -1),
    coalesce((SELECT time FROM marks WHERE key = ?), -1)) AS t`,
  // The last change of a token stays as long as the token's row.
  cleanActs: `DELETE FROM acts WHERE id IN (SELECT id FROM acts a WHERE time < ?
    AND NOT (method IN ('revoke_subaccount', 'unrevoke_subaccount')
      AND EXISTS (SELECT 1 FROM revocations r WHERE r.account = a.account AND r.time = a.time)) LIMIT ?)`,
  cleanMarks: 'DELETE FROM marks WHERE key IN (SELECT key FROM marks WHERE time < ? LIMIT ?)',
  cleanWipes: `DELETE FROM wipes WHERE (account, namespace) IN
    (SELECT account, namespace FROM wipes WHERE time < ? LIMIT ?)`,
} as const;
