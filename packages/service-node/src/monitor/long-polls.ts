// SPDX-License-Identifier: AGPL-3.0-or-later
// Answers that are held until there is something to tell (spec/storage-server §2.9.2 `wait`, §9.3.16). A held request
// is one small object in two tables: by account, for messages that arrive, and in the wheel of deadlines, one timer for
// all.
import { Deadlines, type Expiring } from '@allium/net/deadlines';
import type { Env } from '@allium/protocol/env';
import type { AccountPubkey } from '@allium/protocol/storage/requests';
import type { Metrics } from '../metrics.ts';
import type { Swarm } from '../swarm/swarm.ts';

// Ours.
/** An account has few devices; what is left of connections that broke off ends by itself within seconds. */
const MAX_PER_ACCOUNT = 64;

/** The request that an answer is owed to. */
export interface Carrier {
  /** From now on the request only waits; `onGone`: nobody waits for the answer any more. */
  hold(onGone?: () => void): void;
}

/** One namespace of one account. */
export interface Watch {
  readonly account: AccountPubkey;
  readonly namespace: number;
}

/** Why a held request goes on: something arrived or changed, or it is to be answered as it is. */
export type Woken = 'news' | 'over';

class Held implements Expiring {
  bucket = -1;
  readonly watches: readonly Watch[];
  readonly #end: (held: Held, woken: Woken) => void;
  readonly resolve: (woken: Woken) => void;

  constructor(
    watches: readonly Watch[],
    end: (held: Held, woken: Woken) => void,
    resolve: (woken: Woken) => void,
  ) {
    this.watches = watches;
    this.#end = end;
    this.resolve = resolve;
  }

  expire(): void {
    this.#end(this, 'over');
  }
}

export interface LongPollsParts {
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  /** In all; further ones are answered at once. */
  readonly max: number;
}

export class LongPolls {
  readonly #parts: LongPollsParts;
  readonly #deadlines: Deadlines;
  readonly #ofAccount = new Map<string, Set<Held>>();
  #size = 0;
  #arrivals = 0;
  #isStopping = false;

  constructor(parts: LongPollsParts, env: Env) {
    this.#parts = parts;
    this.#deadlines = new Deadlines(env.clock);
  }

  get size(): number {
    return this.#size;
  }

  /** Grows with every message that is stored. */
  get arrivals(): number {
    return this.#arrivals;
  }

  /** Answers all that is held, and holds no more. */
  stop(): void {
    this.#isStopping = true;
    for (const all of [...this.#ofAccount.values()]) for (const held of [...all]) this.#end(held, 'over');
    this.#deadlines.clear();
  }

  /** Undefined: it cannot be held, and is to be answered at once. Must be called in the turn in which nothing was found. */
  hold(watches: readonly Watch[], ms: number, carrier: Carrier): Promise<Woken> | undefined {
    const { metrics, max } = this.#parts;
    if (this.#isStopping || ms <= 0) return undefined;
    const limit =
      this.#size >= max
        ? 'long_polls'
        : watches.some(({ account }) => this.#isFull(account.hex))
          ? 'long_polls_per_account'
          : undefined;
    if (limit !== undefined) {
      metrics.refused(limit);
      return undefined;
    }
    metrics.pollsHeld++;
    return new Promise((resolve) => {
      const held = new Held(watches, this.#end, resolve);
      for (const { account } of watches) {
        const others = this.#ofAccount.get(account.hex);
        if (others === undefined) this.#ofAccount.set(account.hex, new Set([held]));
        else others.add(held);
      }
      this.#size++;
      this.#deadlines.add(held, ms);
      carrier.hold(() => this.#end(held, 'over'));
    });
  }

  #isFull(accountHex: string): boolean {
    return (this.#ofAccount.get(accountHex)?.size ?? 0) >= MAX_PER_ACCOUNT;
  }

  /** A message is stored, whoever brought it. */
  arrived(accountHex: string, namespace: number): void {
    this.#arrivals++;
    const all = this.#ofAccount.get(accountHex);
    if (all === undefined) return;
    for (const held of [...all]) {
      const isWatched = held.watches.some(
        (watch) => watch.namespace === namespace && watch.account.hex === accountHex,
      );
      if (isWatched) this.#end(held, 'news');
    }
  }

  /** After a change of the node list: who waits in the wrong place is told. */
  swarmChanged(): void {
    for (const all of [...this.#ofAccount.values()]) {
      for (const held of [...all]) {
        const { swarm } = this.#parts;
        if (held.watches.some(({ account }) => !swarm.serves(account.key))) this.#end(held, 'news');
      }
    }
  }

  readonly #end = (held: Held, woken: Woken): void => {
    let wasHeld = false;
    for (const { account } of held.watches) {
      const all = this.#ofAccount.get(account.hex);
      if (all?.delete(held)) wasHeld = true;
      if (all?.size === 0) this.#ofAccount.delete(account.hex);
    }
    if (!wasHeld) return;
    this.#size--;
    this.#deadlines.remove(held);
    held.resolve(woken);
  };
}
