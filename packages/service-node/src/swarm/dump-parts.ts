// SPDX-License-Identifier: AGPL-3.0-or-later
// Who of a swarm gives a newcomer which accounts (docs/decisions/0036): each member finds the same, without a word between
// them. Rendezvous hashing, so that members who disagree about one of them agree about all accounts that are not his.
import { createHash } from 'node:crypto';

/** Accounts whose giver is remembered: rows of one account lie scattered. */
const REMEMBERED = 50_000;

export class DumpParts {
  readonly #ownHex: string;
  /** Ed25519 hex of all who give, this node included. */
  readonly #givers: readonly string[];
  #isOurs = new Map<string, boolean>();

  constructor(ownHex: string, givers: Iterable<string>) {
    this.#ownHex = ownHex;
    this.#givers = [...new Set([...givers, ownHex])];
  }

  get isShared(): boolean {
    return this.#givers.length > 1;
  }

  /** Whether this node gives the account with these 33 bytes. */
  has(account: Uint8Array): boolean {
    if (!this.isShared) return true;
    const key = Buffer.from(account.buffer, account.byteOffset, account.byteLength).toString('latin1');
    let isOurs = this.#isOurs.get(key);
    if (isOurs === undefined) {
      isOurs = ranked(this.#givers, account)[0] === this.#ownHex;
      if (this.#isOurs.size >= REMEMBERED) this.#isOurs = new Map();
      this.#isOurs.set(key, isOurs);
    }
    return isOurs;
  }

  /** Who looks first, second … whether the newcomer has all: place of this node. */
  placeFor(newcomerHex: string): number {
    return ranked(this.#givers, Buffer.from(newcomerHex, 'hex')).indexOf(this.#ownHex);
  }
}

/** In the order of SHA-256(key of the member ‖ what is shared out). */
function ranked(members: readonly string[], shared: Uint8Array): string[] {
  return members
    .map((hex) => ({ hex, weight: createHash('sha256').update(hex, 'hex').update(shared).digest() }))
    .sort((a, b) => Buffer.compare(a.weight, b.weight))
    .map(({ hex }) => hex);
}
