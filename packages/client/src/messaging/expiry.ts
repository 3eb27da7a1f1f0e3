// SPDX-License-Identifier: MIT
// Removes messages whose time is over (spec/client §6.7), from the storage and its indexes; by network time, also those
// whose time ended while the program did not run or the machine slept. Nothing is removed because a clock was set.
import { delay, type Env } from '@allium/protocol/env';
import { ClientError } from '../errors.ts';
import { Signal, Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';

// Ours.
const AT_ONCE = 200;
/** After a sleep of the machine timers are late, and its clock may have been set. */
const LOOK_EVERY_MS = 60_000;
/** So long the network is asked for the time; after a start the machine's own clock must do then. */
const CLOCK_PATIENCE_MS = 60_000;
const AFTER_FAILURE_MS = 10_000;

interface ExpiryDeps {
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  /** It is in no storage any more. */
  readonly onRemoved: (message: StoredMessage) => void;
}

export class Expiry {
  readonly #deps: ExpiryDeps;
  readonly #tasks: Tasks;
  readonly #changed = new Signal();
  #changes = 0;
  /** What was believed after a start without a network, and the monotonic time then. */
  #believed: { readonly time: number; readonly monotonic: number } | undefined;

  constructor(deps: ExpiryDeps) {
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  start(): void {
    this.#tasks.run('disappearing messages', () => this.#work());
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /** There may be a message that ends earlier than those before. */
  look(): void {
    this.#changes++;
    this.#changed.notify();
  }

  async #work(): Promise<void> {
    const { env, network } = this.#deps;
    const { signal } = this.#tasks;
    for (;;) {
      signal.throwIfAborted();
      const changes = this.#changes;
      let next: number | undefined;
      try {
        next = await this.#removeDue();
      } catch (error) {
        signal.throwIfAborted();
        env.log.warn({ error: String(error) }, 'messages whose time is over could not be removed');
        await delay(env.clock, AFTER_FAILURE_MS, signal);
        continue;
      }
      if (changes !== this.#changes) continue;
      const woken = new AbortController();
      const end = AbortSignal.any([signal, woken.signal]);
      const waits = [this.#changed.wait(end).catch(() => undefined)];
      if (next !== undefined) {
        const pause = Math.max(1, Math.min(next - network.clock.now(), LOOK_EVERY_MS));
        waits.push(delay(env.clock, pause, end).catch(() => undefined));
      }
      await Promise.race(waits);
      woken.abort();
    }
  }

  /** When the next one ends; undefined while there is none. */
  async #removeDue(): Promise<number | undefined> {
    const { storage, onRemoved } = this.#deps;
    for (;;) {
      const first = await storage.expiring(AT_ONCE);
      if (first.length === 0) return undefined;
      const now = await this.#time();
      const due = first.filter(({ marks }) => marks!.expiresAt! <= now);
      if (due.length > 0) {
        await storage.write({ removed: due.map(({ sender, timestamp }) => ({ sender, timestamp })) });
        for (const message of due) onRemoved(message);
      }
      if (due.length < first.length) return first[due.length]!.marks!.expiresAt!;
    }
  }

  /**
   * By what messages are removed: network time. A machine whose clock is set wrong, before its start or later, must not lose
   * them: without a network only that time counts which the monotonic clock has seen go by.
   */
  async #time(): Promise<number> {
    const { clock } = this.#deps.network;
    if (!clock.isSettled) await this.#askForTime();
    if (clock.isSettled) return clock.now();
    const { clock: local } = this.#deps.env;
    this.#believed ??= { time: clock.now(), monotonic: local.monotonic() };
    const { time, monotonic: since } = this.#believed;
    return clock.atLeast() ?? time + local.monotonic() - since;
  }

  async #askForTime(): Promise<void> {
    const { network, env } = this.#deps;
    const { signal } = this.#tasks;
    const patience = new AbortController();
    const end = AbortSignal.any([signal, patience.signal]);
    await Promise.race([
      network.settleClock(end).catch(() => delay(env.clock, CLOCK_PATIENCE_MS, end).catch(() => undefined)),
      delay(env.clock, CLOCK_PATIENCE_MS, end).catch(() => undefined),
    ]);
    patience.abort();
    signal.throwIfAborted();
  }
}
