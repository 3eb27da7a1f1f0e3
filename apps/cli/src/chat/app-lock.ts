// SPDX-License-Identifier: AGPL-3.0-or-later
// When a chat locks itself: at once by a key, or after minutes without one. What locking does is the program's matter.

/** Ours: how often idleness is looked at. */
const LOOK_EVERY_MS = 5_000;

export interface AppLockOptions {
  /** Minutes without a key; undefined: only by hand. */
  readonly afterMinutes: number | undefined;
  /** Keeps what was chosen for the next start. */
  keep(afterMinutes: number | undefined): void;
  lock(): void;
  /** Readings in ms of clocks that go on alone. */
  clocks?(): readonly number[];
}

// The first goes on while the machine sleeps, the second cannot be set back.
const systemClocks = () => [Date.now(), performance.now()];

export class AppLock {
  readonly #options: AppLockOptions;
  readonly #clocks: () => readonly number[];
  #afterMinutes: number | undefined;
  #lastKey: readonly number[];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AppLockOptions) {
    this.#options = options;
    this.#clocks = options.clocks ?? systemClocks;
    this.#afterMinutes = options.afterMinutes;
    this.#lastKey = this.#clocks();
  }

  get afterMinutes(): number | undefined {
    return this.#afterMinutes;
  }

  start(): void {
    this.noteKey();
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Somebody is there. */
  noteKey(): void {
    this.#lastKey = this.#clocks();
  }

  /** Locks where nobody was there for long enough. */
  look(): void {
    if (this.#afterMinutes === undefined) return;
    const idleMs = Math.max(...this.#clocks().map((now, which) => now - (this.#lastKey[which] ?? now)));
    if (idleMs >= this.#afterMinutes * 60_000) this.lock();
  }

  lock(): void {
    this.#options.lock();
  }

  /** From now on, and at the next start. */
  changeAfter(minutes: number | undefined): void {
    this.#options.keep(minutes);
    this.#afterMinutes = minutes;
  }
}
