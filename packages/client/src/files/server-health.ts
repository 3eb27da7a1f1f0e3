// SPDX-License-Identifier: MIT
// Which file servers failed of late: they are asked last, and not at once again.
import type { Env } from '@allium/protocol/env';

// Ours: doubling from the first to the last, with up to a quarter more by chance.
const FIRST_PAUSE_MS = 30_000; // spec/client §5.6
const LONGEST_PAUSE_MS = 30 * 60_000;
/** Messages of strangers name servers: the oldest are forgotten. */
const MAX_REMEMBERED = 100;

export class ServerHealth {
  readonly #env: Env;
  readonly #failures = new Map<string, { count: number; until: number }>();

  constructor(env: Env) {
    this.#env = env;
  }

  worked(url: string): void {
    this.#failures.delete(url);
  }

  /** Ms until it makes sense to ask it again. */
  failed(url: string): number {
    const count = (this.#failures.get(url)?.count ?? 0) + 1;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (count - 1), LONGEST_PAUSE_MS);
    const pauseMs = Math.round(pause * (1 + this.#env.random.unit() / 4));
    this.#failures.delete(url);
    const oldest = this.#failures.keys().next();
    if (this.#failures.size >= MAX_REMEMBERED && !oldest.done) this.#failures.delete(oldest.value);
    this.#failures.set(url, { count, until: this.#env.clock.monotonic() + pauseMs });
    return pauseMs;
  }

  /** The same servers; those that failed of late at the end, the one to be asked soonest first. */
  order<T>(servers: readonly T[], urlOf: (server: T) => string): readonly T[] {
    const now = this.#env.clock.monotonic();
    const waits = (server: T) => Math.max(0, (this.#failures.get(urlOf(server))?.until ?? 0) - now);
    return [...servers].sort((a, b) => waits(a) - waits(b));
  }
}
