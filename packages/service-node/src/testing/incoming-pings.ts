// SPDX-License-Identifier: AGPL-3.0-or-later
// Whether others test this node (spec/storage-server §5.10): when nobody's test arrives any more, nobody reaches it, and
// its operator should know before the others say so.
import type { Cancel, Env } from '@allium/protocol/env';

const LISTENERS = ['https', 'omq'] as const;
export type PingListener = (typeof LISTENERS)[number];

export interface IncomingPingsParts {
  /** Silence after which the operator is told, ms. */
  readonly untestedMs: number;
  /** Whether others should be testing us: we are in the list, and not alone in it. */
  readonly isExpected: () => boolean;
}

export class IncomingPings {
  readonly #parts: IncomingPingsParts;
  readonly #env: Env;
  readonly #last: Record<PingListener, number | undefined> = { https: undefined, omq: undefined };
  readonly #silent = new Set<PingListener>();
  #since = 0;
  #cancel: Cancel | undefined;

  constructor(parts: IncomingPingsParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Unix ms of the newest test by another node. */
  lastAt(listener: PingListener): number | undefined {
    const { clock } = this.#env;
    const last = this.#last[listener];
    return last === undefined ? undefined : Math.round(last + clock.now() - clock.monotonic());
  }

  arrived(listener: PingListener): void {
    this.#last[listener] = this.#env.clock.monotonic();
    if (!this.#silent.delete(listener)) return;
    this.#env.log.info({ listener }, 'other nodes reach this node again');
  }

  start(): void {
    this.#since = this.#env.clock.monotonic();
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
  }

  #schedule(): void {
    this.#cancel = this.#env.clock.after(this.#parts.untestedMs, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const now = this.#env.clock.monotonic();
    if (!this.#parts.isExpected()) {
      this.#since = now;
      return;
    }
    for (const listener of LISTENERS) {
      const last = Math.max(this.#since, this.#last[listener] ?? 0);
      if (now - last < this.#parts.untestedMs) continue;
      this.#silent.add(listener);
      this.#env.log.warn(
        { listener, silentSeconds: Math.round((now - last) / 1000) },
        'no other node has tested this one for a while: they may not reach it. Check its ports and address with "allium node doctor"',
      );
    }
  }
}
