// SPDX-License-Identifier: MIT
// A wall clock that stands where it is put; waiting takes no time, but lets others go on.
import type { Cancel, Clock, Env, LogFields, Logger } from '@allium/protocol/env';

export class FrozenClock implements Clock {
  /** Unix seconds. */
  seconds: number;
  #waiting = new Set<() => void>();

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  now(): number {
    return this.seconds * 1000;
  }

  monotonic(): number {
    return this.seconds * 1000;
  }

  /** Runs at the next `tick`, whenever it was to be. */
  after(_ms: number, run: () => void): Cancel {
    this.#waiting.add(run);
    return () => this.#waiting.delete(run);
  }

  get isWaitedFor(): boolean {
    return this.#waiting.size > 0;
  }

  tick(): void {
    const due = [...this.#waiting];
    this.#waiting.clear();
    for (const run of due) run();
  }
}

/** For what waits on a chain that runs in another process. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly fields: LogFields;
  readonly sentence: string;
}

export function testEnv(clock: Clock): { env: Env; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const write = (level: LogLine['level']) => (fields: LogFields, sentence: string) => {
    lines.push({ level, fields, sentence });
  };
  const log: Logger = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    child: () => log,
  };
  return { env: { clock, log, random: { below: () => 0, unit: () => 0 } }, lines };
}
