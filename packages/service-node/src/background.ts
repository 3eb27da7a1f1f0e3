// SPDX-License-Identifier: AGPL-3.0-or-later
// Work of one part of a node that nobody waits for until the node stops.
import type { Env } from '@allium/protocol/env';

export class Background {
  readonly #running = new Set<Promise<void>>();
  readonly #failure: string;
  readonly #env: Env;
  readonly #isStopping: () => boolean;

  /**
   * @param failure what the log says of work that fails
   * @param isStopping failures are not told from then on; default: they always are
   */
  constructor(failure: string, env: Env, isStopping: () => boolean = () => false) {
    this.#failure = failure;
    this.#env = env;
    this.#isStopping = isStopping;
  }

  get size(): number {
    return this.#running.size;
  }

  run(work: Promise<void>): void {
    const run = work
      .catch((error: unknown) => {
        if (!this.#isStopping()) this.#env.log.error({ error: String(error) }, this.#failure);
      })
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Resolves when all that runs now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }
}
