// SPDX-License-Identifier: AGPL-3.0-or-later
// Removes expired messages every 10 s in small steps, so that no step holds up requests (spec/storage-server §7).
import type { Cancel, Env } from '@allium/protocol/env';
import type { Mailbox } from './mailbox.ts';

// From the specification (§7).
const INTERVAL_MS = 10_000;

// Ours.
/** A step of this size takes a few ms. */
const STEP = 500;
const REVOCATION_INTERVAL_MS = 6 * 3_600_000;

export class Cleaner {
  readonly #mailbox: Mailbox;
  readonly #env: Env;
  #cancel: Cancel | undefined;
  #running: Promise<void> | undefined;
  #nextRevocations: number;
  #stopped = true;

  constructor(mailbox: Mailbox, env: Env) {
    this.#mailbox = mailbox;
    this.#env = env;
    this.#nextRevocations = env.clock.monotonic() + REVOCATION_INTERVAL_MS;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#running;
  }

  #schedule(): void {
    this.#cancel = this.#env.clock.after(INTERVAL_MS, () => {
      this.#running = this.run()
        .catch((error: unknown) =>
          this.#env.log.error({ error: String(error) }, 'removing expired messages failed'),
        )
        .then(() => {
          this.#running = undefined;
          if (!this.#stopped) this.#schedule();
        });
    });
  }

  /** One round; resolves with the number of messages removed. */
  async run(): Promise<number> {
    let removed = 0;
    for (;;) {
      const step = await this.#mailbox.clean(STEP);
      removed += step;
      if (step < STEP) break;
    }
    while ((await this.#mailbox.trimActs(STEP)) === STEP);
    if (this.#env.clock.monotonic() >= this.#nextRevocations) {
      this.#nextRevocations = this.#env.clock.monotonic() + REVOCATION_INTERVAL_MS;
      while ((await this.#mailbox.revocations.clean(STEP)) === STEP);
      while ((await this.#mailbox.cleanActs(STEP)) === STEP);
    }
    if (removed > 0) this.#env.log.debug({ removed }, 'expired messages removed');
    return removed;
  }
}
