// SPDX-License-Identifier: AGPL-3.0-or-later
// Which subaccount tokens are revoked (spec/storage-server §2.9.12, §9.3.1): kept by account id, whether the account has
// messages or not.
import type { StatementSync } from 'node:sqlite';
import type { Clock } from '@allium/protocol/env';
import type { AccountPubkey } from '@allium/protocol/storage/requests';
import type { Act, Acts } from './acts.ts';
import type { Database } from './database.ts';

// From the specification.
/** §2.9.12: the 50 most recent revocations of an account are kept. */
const MAX_REVOCATIONS = 50;

// Ours.
/** Rows of tokens per account, those that are valid again and those beyond the limit included. */
const MAX_TOKENS = 200;
/** Revocations of accounts without any message are dropped after this time, or they would pile up for ever. */
const ORPHAN_REVOCATION_MS = 90 * 86_400_000;

export class Revocations {
  readonly #database: Database;
  readonly #acts: Acts;
  readonly #clock: Clock;
  readonly #sql: Record<keyof typeof STATEMENTS, StatementSync>;

  constructor(database: Database, acts: Acts, clock: Clock) {
    this.#database = database;
    this.#acts = acts;
    this.#clock = clock;
    this.#sql = Object.fromEntries(
      Object.entries(STATEMENTS).map(([name, sql]) => [name, database.prepare(sql)]),
    ) as Record<keyof typeof STATEMENTS, StatementSync>;
  }

  /**
   * Adds or refreshes revocations; the oldest beyond 50 count as valid (§2.9.12). `time`: when the owner signed; a change
   * that was signed later stays.
   */
  revoke(account: AccountPubkey, tokens: readonly Uint8Array[], time: number, act?: Act): Promise<void> {
    return this.#database.write(() => {
      for (const token of tokens) {
        // Replaced, not updated: of one request the row numbers are the order of revoking.
        this.#sql.forgetToken.run(account.bytes, token, time);
        this.#sql.revoke.run(account.bytes, token, time);
      }
      this.#sql.trimTokens.run(account.bytes, account.bytes, MAX_TOKENS);
      this.#acts.keep(account.bytes, act);
    });
  }

  /** Removes revocations that were signed before `time`; returns how many were in force. */
  unrevoke(account: AccountPubkey, tokens: readonly Uint8Array[], time: number, act?: Act): Promise<number> {
    return this.#database.write(() => {
      // Before any change, or others would come into force again.
      const inForce = tokens.map((token) => this.isRevoked(account, token));
      let count = 0;
      for (const [i, token] of tokens.entries()) {
        const { changes } = this.#sql.unrevoke.run(account.bytes, token, time);
        if (inForce[i] && changes === 1) count++;
      }
      this.#sql.trimTokens.run(account.bytes, account.bytes, MAX_TOKENS);
      this.#acts.keep(account.bytes, act);
      return count;
    });
  }

  isRevoked(account: Pick<AccountPubkey, 'bytes'>, token: Uint8Array): boolean {
    const row = this.#sql.findRevocation.get(account.bytes, token) as { newer: number } | undefined;
    return row !== undefined && row.newer < MAX_REVOCATIONS;
  }

  revoked(account: AccountPubkey): Uint8Array[] {
    const rows = this.#sql.revocations.all(account.bytes, MAX_REVOCATIONS);
    return rows.map((row) => row.token as Uint8Array).reverse();
  }

  /** Drops at most `limit` old revocations of accounts without messages; returns how many. */
  clean(limit: number): Promise<number> {
    return this.#database.write(() =>
      Number(this.#sql.clean.run(this.#clock.now() - ORPHAN_REVOCATION_MS, limit).changes),
    );
  }
}

const STATEMENTS = {
  // Of two changes signed in the same millisecond the token is valid.
  forgetToken: 'DELETE FROM revocations WHERE account = ? AND token = ? AND time < ?',
  revoke: 'INSERT OR IGNORE INTO revocations (account, token, time, revoked) VALUES (?, ?, ?, 1)',
  unrevoke: `INSERT INTO revocations (account, token, time, revoked) VALUES (?, ?, ?, 0)
    ON CONFLICT (account, token) DO UPDATE SET time = excluded.time, revoked = 0 WHERE time <= excluded.time`,
  trimTokens: `DELETE FROM revocations WHERE account = ? AND id IN (SELECT id FROM revocations WHERE account = ?
    ORDER BY time DESC, id DESC LIMIT -1 OFFSET ?)`,
  findRevocation: `SELECT (SELECT count(*) FROM revocations n WHERE n.account = r.account AND n.revoked = 1
    AND (n.time, n.id) > (r.time, r.id)) AS newer
    FROM revocations r WHERE account = ? AND token = ? AND revoked = 1`,
  revocations: `SELECT token FROM revocations WHERE account = ? AND revoked = 1
    ORDER BY time DESC, id DESC LIMIT ?`,
  clean: `DELETE FROM revocations WHERE id IN (SELECT id FROM revocations r WHERE time < ?
    AND NOT EXISTS (SELECT 1 FROM accounts WHERE pubkey = r.account) ORDER BY id LIMIT ?)`,
} as const;
