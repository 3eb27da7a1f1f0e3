// SPDX-License-Identifier: MIT
// The ports of @allium/protocol/env as a page or worker provides them.
import type { Cancel, Clock, Env, Logger, Random } from '@allium/protocol/env';

/** The longest delay that a timer holds; a longer one is made of several. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms: number, run: () => void): Cancel {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (left: number) => {
      timer =
        left <= MAX_TIMER_MS
          ? setTimeout(run, left)
          : setTimeout(() => arm(left - MAX_TIMER_MS), MAX_TIMER_MS);
    };
    arm(Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};

const random: Random = {
  below(below) {
    const word = new Uint32Array(1);
    // Ours: numbers beyond the last multiple are drawn again, or small results would be likelier.
    const limit = 2 ** 32 - (2 ** 32 % below);
    do crypto.getRandomValues(word);
    while (word[0]! >= limit);
    return word[0]! % below;
  },
  unit: () => Math.random(),
};

const silentLog: Logger = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  child: () => silentLog,
};

/** The browser's clock and chance; silent unless `log` is given. */
export function browserEnv(log: Logger = silentLog): Env {
  return { clock, random, log };
}
