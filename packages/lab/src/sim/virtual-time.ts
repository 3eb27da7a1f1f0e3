// SPDX-License-Identifier: AGPL-3.0-or-later
// Virtual time: events happen one after the other, and the clock stands still while what they set going (promises,
// microtasks) is at work. Nothing in a simulation may wait for the machine: no timers, sockets or asynchronous files.
import { type Cancel, type Clock, type Random, seededRandom } from '@allium/protocol/env';

interface Event {
  readonly at: number;
  /** Events of one moment keep their order. */
  readonly order: number;
  run: (() => void) | undefined;
}

/** Where simulations begin: Unix time in ms. */
const START = 1_795_000_000_000;
/** Virtual time that nothing is to happen for; see `until`. */
const LOOK_EVERY_MS = 50;

export class VirtualTime {
  #ms = 0;
  #order = 0;
  #events = 0;
  /** Binary heap by time, then order. */
  readonly #heap: Event[] = [];
  #pump: Promise<void> | undefined;
  #isStopping = false;
  #onEvent: (() => void) | undefined;

  /** Ms since the start. */
  get ms(): number {
    return this.#ms;
  }

  /** How many events have happened: the same number for the same seed and story. */
  get events(): number {
    return this.#events;
  }

  /** A machine's clock, wrong by what `skewMs` says at that moment. */
  clock(skewMs: () => number = () => 0): Clock {
    return {
      now: () => START + Math.floor(this.#ms) + skewMs(),
      monotonic: () => this.#ms,
      after: (ms, run) => this.after(ms, run),
    };
  }

  after(ms: number, run: () => void): Cancel {
    const event: Event = { at: this.#ms + Math.max(0, ms), order: this.#order++, run };
    this.#push(event);
    this.#onEvent?.();
    return () => {
      event.run = undefined;
    };
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** @throws Error when `condition` does not hold within `limitMs` of virtual time */
  async until(condition: () => boolean | Promise<boolean>, limitMs: number): Promise<void> {
    const end = this.#ms + limitMs;
    while (!(await condition())) {
      if (this.#ms > end) throw new Error(`condition not met within ${limitMs} ms`);
      await this.pass(LOOK_EVERY_MS);
    }
  }

  /** Time begins to run: as fast as the machine can. */
  start(): void {
    this.#isStopping = false;
    this.#pump ??= this.#run();
  }

  /** Stops time; what was to happen never happens. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#onEvent?.();
    await this.#pump;
    this.#pump = undefined;
    this.#heap.length = 0;
  }

  async #run(): Promise<void> {
    for (;;) {
      // A turn of the real event loop begins only when no microtask is left.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#isStopping) return;
      const event = this.#pop();
      if (event === undefined) {
        await new Promise<void>((resolve) => {
          this.#onEvent = resolve;
        });
        this.#onEvent = undefined;
        continue;
      }
      this.#ms = event.at;
      this.#events++;
      event.run?.();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  /** The next event that was not cancelled. */
  #pop(): Event | undefined {
    const heap = this.#heap;
    for (;;) {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (heap.length > 0) this.#sink(last);
      if (first.run !== undefined) return first;
    }
  }

  #sink(event: Event): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, event)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = event;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** Chance that a seed determines. */
export class SeededRandom implements Random {
  readonly unit: () => number;
  readonly below: (below: number) => number;

  constructor(seed: number) {
    ({ unit: this.unit, below: this.below } = seededRandom(seed));
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** `count` different ones of `all`, in random order. */
  pick<T>(all: readonly T[], count: number): T[] {
    const rest = [...all];
    const picked: T[] = [];
    while (picked.length < count && rest.length > 0) picked.push(...rest.splice(this.below(rest.length), 1));
    return picked;
  }

  /** Another one whose numbers do not depend on how many are drawn here. */
  fork(): SeededRandom {
    return new SeededRandom(this.below(4_294_967_296));
  }
}
