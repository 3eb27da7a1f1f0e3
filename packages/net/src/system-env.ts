// SPDX-License-Identifier: MIT
// The ports of @allium/protocol/env as the machine provides them: for programs, benches and tests with real sockets.
import { randomInt } from 'node:crypto';
import type { Cancel, Clock, Env, Logger, Random } from '@allium/protocol/env';

/** The longest delay that a Node timer holds; a longer one is made of several. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms: number, run: () => void): Cancel {
    let timer: NodeJS.Timeout;
    const arm = (left: number) => {
      timer =
        left <= MAX_TIMER_MS
          ? setTimeout(run, left)
          : setTimeout(() => arm(left - MAX_TIMER_MS), MAX_TIMER_MS);
    };
    // What is due already is no mistake: time passes between reckoning and asking.
    arm(Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  below: (below) => randomInt(below),
  unit: () => Math.random(),
};

export const silentLog: Logger = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  child: () => silentLog,
};

/** The machine's clock and chance; silent unless `log` is given. */
export function systemEnv(log: Logger = silentLog): Env {
  return { clock: systemClock, random: systemRandom, log };
}
