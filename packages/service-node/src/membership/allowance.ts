// SPDX-License-Identifier: AGPL-3.0-or-later
// How much one peer may make us do: a token bucket per key. Peers are counted by key, not by address, since many nodes may
// stand at one address.
import type { Clock } from '@allium/protocol/env';

/** Ours: more nodes than any network has; beyond it all are forgotten, which gives each a full bucket again. */
const MAX_PEERS = 50_000;

export class Allowance {
  readonly #capacity: number;
  readonly #perMs: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(capacity: number, perSecond: number, clock: Clock) {
    this.#capacity = capacity;
    this.#perMs = perSecond / 1000;
    this.#clock = clock;
  }

  /** False: the peer has to wait. */
  take(key: string): boolean {
    const now = this.#clock.monotonic();
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_PEERS) this.#buckets.clear();
      bucket = { tokens: this.#capacity, at: now };
      this.#buckets.set(key, bucket);
    }
    bucket.tokens = Math.min(this.#capacity, bucket.tokens + (now - bucket.at) * this.#perMs);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
