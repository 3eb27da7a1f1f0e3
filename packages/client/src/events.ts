// SPDX-License-Identifier: MIT
// Typed events and the little that loops and waiters need: a signal that many can wait for.
import type { Cancel, Logger } from '@allium/protocol/env';

/** Listeners by name. A listener that throws is logged and harms nobody else. */
export class Events<Map extends object> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(value: never) => void>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  on<Name extends keyof Map>(name: Name, listener: (value: Map[Name]) => void): Cancel {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // A wrapper of its own, so that one function added twice is two subscriptions.
    const own = (value: Map[Name]) => listener(value);
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  emit<Name extends keyof Map>(name: Name, value: Map[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (value: Map[Name]) => void)(value);
      } catch (error) {
        this.#log.error({ event: String(name), error: String(error) }, 'a listener threw');
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}

/** Something changed: wakes all who wait. */
export class Signal {
  #waiters = new Set<() => void>();

  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Resolves at the next `notify`; rejects with the reason of `abort`. */
  wait(abort: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (abort.aborted) return reject(abort.reason);
      const onAbort = () => {
        this.#waiters.delete(wake);
        reject(abort.reason);
      };
      const wake = () => {
        abort.removeEventListener('abort', onAbort);
        resolve();
      };
      abort.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(wake);
    });
  }
}

/** Background work of something that can be stopped: `stop` aborts it and waits until nothing runs. */
export class Tasks {
  readonly #running = new Set<Promise<unknown>>();
  readonly #abort = new AbortController();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Starts `work`; its failure is logged unless it comes from stopping. */
  run(name: string, work: () => Promise<unknown>): void {
    const task = work()
      .catch((error: unknown) => {
        if (!this.signal.aborted)
          this.#log.warn({ task: name, error: String(error) }, 'background work failed');
      })
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** Waits until all that runs now, and what it starts, has ended. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async stop(reason: unknown): Promise<void> {
    this.#abort.abort(reason);
    await this.idle();
  }
}
