// SPDX-License-Identifier: MIT
// Virtual time: while a test waits in `run`, timers fire one after the other as soon as nothing else is to be done.
import { type Cancel, type Clock, type Env, type Logger, seededRandom } from '@allium/protocol/env';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const START = 1_795_000_000_000;
/** Real time. */
const IDLE_LIMIT_MS = 60_000;

export class TestClock implements Clock {
  #ms = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  /** Added to `now`: the machine's clock is set wrong. */
  skew = 0;

  now(): number {
    return START + this.#ms + this.skew;
  }

  /** The time that is right. */
  trueNow(): number {
    return START + this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#ms + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass until `promise` settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (let idleSince: number | undefined; ; ) {
      await macrotask();
      if (isSettled) return promise;
      if (this.#fire()) {
        idleSince = undefined;
        continue;
      }
      // Files, databases and modules that are loaded take real time.
      idleSince ??= performance.now();
      if (performance.now() - idleSince > IDLE_LIMIT_MS) throw new Error('nothing will ever happen');
    }
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    await this.run(new Promise<void>((resolve) => this.after(ms, resolve)));
  }

  /** Lets time pass until `condition` holds. */
  async until(condition: () => boolean | Promise<boolean>, limitMs = 600_000): Promise<void> {
    const end = this.#ms + limitMs;
    while (!(await this.run(Promise.resolve(condition())))) {
      if (this.#ms > end) throw new Error(`not within ${limitMs} ms`);
      await this.pass(50);
    }
  }

  #fire(): boolean {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) {
        next = timer;
      }
    }
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.#ms = Math.max(this.#ms, next.at);
    next.run();
    return true;
  }
}

/** Ends when all microtasks that exist now, and those that they make, have run. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

/** Errors must not happen unseen. */
export function testEnv(clock: Clock, seed = 1): Env & { readonly errors: string[] } {
  const errors: string[] = [];
  const log: Logger = {
    ...silent,
    error: (fields, sentence) => errors.push(`${sentence} ${JSON.stringify(fields)}`),
    child: () => log,
  };
  return { clock, random: seededRandom(seed), log, errors };
}
