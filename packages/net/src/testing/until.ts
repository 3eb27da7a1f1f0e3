// SPDX-License-Identifier: MIT
// How tests wait for what real sockets, processes and files bring about: for a condition, never for a time.
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

export interface UntilOptions {
  /** Ends a wait in vain; default 90 s, beyond what a slow and busy machine takes, below the limit of a test. */
  readonly limitMs?: number;
  /** What the error shows of the world when the wait was in vain. */
  readonly state?: () => unknown;
}

/**
 * Waits until `condition` holds; what it throws goes through.
 * @param what for the error; default the source text of the condition
 * @throws Error after `limitMs`, with `what` and the last state
 */
export async function until(
  condition: () => unknown,
  what = String(condition),
  { limitMs = 90_000, state }: UntilOptions = {},
): Promise<void> {
  const end = performance.now() + limitMs;
  for (let pauseMs = 2; !(await condition()); pauseMs = Math.min(2 * pauseMs, 50)) {
    if (performance.now() > end) {
      const last = state === undefined ? '' : `\nlast state: ${inspect(state())}`;
      throw new Error(`waited ${limitMs / 1000} s in vain for: ${what}${last}`);
    }
    await sleep(pauseMs);
  }
}
