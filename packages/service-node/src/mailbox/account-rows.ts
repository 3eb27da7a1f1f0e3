// SPDX-License-Identifier: AGPL-3.0-or-later
// Row numbers of accounts, of which those used last are remembered. A row lives as long as the account has messages; all
// that changes something runs inside `Database.write`.
import type { StatementSync } from 'node:sqlite';
import type { AccountPubkey } from '@allium/protocol/storage/requests';
import type { Database } from './database.ts';

// Ours.
const CACHED_ACCOUNTS = 4096;

type Key = Pick<AccountPubkey, 'hex' | 'bytes'>;

export class AccountRows {
  readonly #find: StatementSync;
  readonly #keyOf: StatementSync;
  readonly #insert: StatementSync;
  readonly #drop: StatementSync;
  /** Account hex → row number, the oldest first. */
  readonly #known = new Map<string, number>();

  constructor(database: Database) {
    this.#find = database.prepare('SELECT id FROM accounts WHERE pubkey = ?');
    this.#keyOf = database.prepare('SELECT pubkey FROM accounts WHERE id = ?');
    this.#insert = database.prepare('INSERT INTO accounts (pubkey) VALUES (?)');
    this.#drop = database.prepare(`DELETE FROM accounts WHERE id = ?
      AND NOT EXISTS (SELECT 1 FROM messages WHERE account = ?) RETURNING pubkey`);
    database.onRollback(() => this.#known.clear());
  }

  /** Undefined: it has no messages. */
  find({ hex, bytes }: Key): number | undefined {
    const known = this.#known.get(hex);
    if (known !== undefined) return known;
    const row = this.#find.get(bytes);
    if (row === undefined) return undefined;
    this.#remember(hex, Number(row.id));
    return Number(row.id);
  }

  findOrAdd(account: Key): number {
    const known = this.find(account);
    if (known !== undefined) return known;
    const id = Number(this.#insert.run(account.bytes).lastInsertRowid);
    this.#remember(account.hex, id);
    return id;
  }

  /** The 33 bytes of an account. */
  keyOf(id: number): Uint8Array | undefined {
    return this.#keyOf.get(id)?.pubkey as Uint8Array | undefined;
  }

  /** After messages went. */
  dropIfEmpty(id: number, hex?: string): void {
    const row = this.#drop.get(id, id) as { pubkey: Uint8Array } | undefined;
    if (row !== undefined) this.#known.delete(hex ?? Buffer.from(row.pubkey).toString('hex'));
  }

  /** The table was emptied. */
  forget(): void {
    this.#known.clear();
  }

  #remember(hex: string, id: number): void {
    if (this.#known.size >= CACHED_ACCOUNTS) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(hex, id);
  }
}
