// SPDX-License-Identifier: MIT
// Token bucket per client address (spec/storage-server §7 "Rate limiter").
//
// Costs one map look-up per request and no timer.
import type { Clock } from '@allium/protocol/env';
import { clientOf } from './address.ts';

export interface RateLimiterOptions {
  /** Tokens of a full bucket. */
  readonly capacity?: number;
  /** Time in which one token comes back. */
  readonly refillMicroseconds?: number;
  readonly maxBuckets?: number;
}

// From the specification, spec/storage-server §7.
const CAPACITY = 600;
const REFILL_MICROSECONDS = 3333;
const MAX_BUCKETS = 10_000;
const CLEANUP_MS = 10_000;

interface Bucket {
  tokens: number;
  /** Monotonic ms of the latest token taken. */
  markMs: number;
}

export class RateLimiter {
  readonly #capacity: number;
  readonly #refillMs: number;
  readonly #maxBuckets: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  #cleanedMs: number;

  constructor(options: RateLimiterOptions, clock: Clock) {
    this.#capacity = options.capacity ?? CAPACITY;
    this.#refillMs = (options.refillMicroseconds ?? REFILL_MICROSECONDS) / 1000;
    this.#maxBuckets = options.maxBuckets ?? MAX_BUCKETS;
    this.#clock = clock;
    this.#cleanedMs = clock.monotonic();
  }

  /**
   * Takes a token for one request of the client, or more for a large one. False: the client is limited, and nothing taken.
   * Text that is no IP address is always limited.
   */
  take(remoteAddress: string, count = 1): boolean {
    const wanted = Math.min(count, this.#capacity);
    const now = this.#clock.monotonic();
    if (now - this.#cleanedMs >= CLEANUP_MS) this.#discardFull(now);
    // IPv4 text is its own key: a client that is known need not be parsed again.
    let bucket = this.#buckets.get(remoteAddress);
    if (bucket === undefined) {
      const client = clientOf(remoteAddress);
      if (client === undefined) return false;
      bucket = this.#buckets.get(client);
      if (bucket === undefined) return this.#admit(client, now, wanted);
    }
    const tokens = this.#tokensAt(bucket, now);
    // The mark stays, so that fractions add up while the client is limited.
    if (tokens === 0 || tokens < wanted) return false;
    bucket.tokens = tokens - wanted;
    bucket.markMs = now;
    return true;
  }

  #admit(client: string, now: number, wanted: number): boolean {
    if (this.#buckets.size >= this.#maxBuckets) this.#discardFull(now);
    if (this.#buckets.size >= this.#maxBuckets || this.#capacity === 0) return false;
    this.#buckets.set(client, { tokens: this.#capacity - wanted, markMs: now });
    return true;
  }

  /** Clients remembered at present. */
  get size(): number {
    return this.#buckets.size;
  }

  #tokensAt(bucket: Bucket, now: number): number {
    return Math.min(this.#capacity, bucket.tokens + Math.floor((now - bucket.markMs) / this.#refillMs));
  }

  #discardFull(now: number): void {
    this.#cleanedMs = now;
    for (const [client, bucket] of this.#buckets) {
      if (this.#tokensAt(bucket, now) >= this.#capacity) this.#buckets.delete(client);
    }
  }
}
