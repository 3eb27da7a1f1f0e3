// SPDX-License-Identifier: MIT
// Network time (spec/client §2.7): the local clock corrected by what service nodes say. When the local clock is set, or the
// machine slept, what they said counts no more: the monotonic clock tells.
import type { Clock } from '@allium/protocol/env';

// From the specification.
const SAMPLES = 10;
/** 2021-01-01: a node that says less has no clock. */
const EARLIEST = 1_609_459_200_000;
// Ours.
/** Nodes that must have spoken before the offset moves: one liar among three changes nothing. */
const QUORUM = 3;
const AGREEMENT_MS = 5_000;
/** The two clocks of a machine may part by so much between two answers. */
const JUMP_MS = 10_000;
/** Own timestamps remembered to keep them apart. */
const REMEMBERED = 1_000;

export class NetworkClock {
  readonly #clock: Clock;
  /** Newest offset (local − network) per node: one node, one vote. */
  readonly #samples = new Map<string, number>();
  #offset = 0;
  /** Local minus monotonic time when nodes spoke last. */
  #base: number;
  /** The last network time that was settled, and the monotonic time then. */
  #settled: { readonly time: number; readonly monotonic: number } | undefined;
  readonly #used = new Set<number>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#base = clock.now() - clock.monotonic();
  }

  /** Local time minus network time in ms. */
  get offset(): number {
    return this.#offset;
  }

  /** Enough nodes have spoken, or two agree with what we have. */
  get isSettled(): boolean {
    this.#lookForJump();
    const samples = [...this.#samples.values()];
    return (
      samples.length >= QUORUM ||
      samples.filter((sample) => Math.abs(sample - this.#offset) < AGREEMENT_MS).length >= 2
    );
  }

  now(): number {
    return Math.round(this.#clock.now() - this.#offset);
  }

  /**
   * The network time that has surely come, however the local clock was set since nodes spoke; undefined: they never did. It
   * lags behind by how long the machine slept.
   */
  atLeast(): number | undefined {
    if (this.#settled === undefined) return undefined;
    const { time, monotonic } = this.#settled;
    return Math.round(time + this.#clock.monotonic() - monotonic);
  }

  /**
   * A time, `around` or shortly after it, for a message of ours that no other message of ours has: (sender, timestamp) is a message's identity, and
   * others drop the second of two that share a millisecond (§2.7).
   */
  unique(around: number = this.now()): number {
    let time = around;
    while (this.#used.has(time)) time++;
    this.#used.add(time);
    for (const oldest of this.#used) {
      if (this.#used.size <= REMEMBERED) break;
      this.#used.delete(oldest);
    }
    return time;
  }

  /** A node said `time`; the request left at `sentAt`, the answer came at `receivedAt` (both local). */
  sample(node: string, time: number, sentAt: number, receivedAt: number): void {
    if (!Number.isFinite(time) || time <= EARLIEST) return;
    this.#lookForJump();
    this.#samples.delete(node);
    this.#samples.set(node, receivedAt - time - Math.max(0, receivedAt - sentAt) / 2);
    for (const oldest of this.#samples.keys()) {
      if (this.#samples.size <= SAMPLES) break;
      this.#samples.delete(oldest);
    }
    // Ours: the median, where the spec has a mean, so that a lying node cannot move our time.
    if (this.#samples.size >= QUORUM) this.#offset = median([...this.#samples.values()]);
    this.#base = this.#clock.now() - this.#clock.monotonic();
    if (this.isSettled) this.#settled = { time: this.now(), monotonic: this.#clock.monotonic() };
  }

  #lookForJump(): void {
    const base = this.#clock.now() - this.#clock.monotonic();
    if (Math.abs(base - this.#base) <= JUMP_MS) return;
    this.#base = base;
    this.reset();
  }

  /** Forget what was heard: the next samples alone decide. The offset stays until then. */
  reset(): void {
    this.#samples.clear();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
