// SPDX-License-Identifier: AGPL-3.0-or-later
// How long this node has watched without a break (spec/chain §4.18: a tester needs the validity time before it votes a
// failure). A machine that slept, a process that was stopped, or a clock that was set missed what others sent meanwhile;
// it would take their silence for theirs.
import type { ChainView } from '@allium/chain/chain-view';
import type { Cancel, Env } from '@allium/protocol/env';

// Ours.
const TICK_MS = 1_000;
/** A busy machine is late by less. */
const LATE_MS = 10_000;
/** A clock that is corrected by less breaks no test. */
const JUMP_MS = 30_000;

export class Vigil {
  readonly #env: Env;
  readonly #view: Pick<ChainView, 'isFresh'>;
  #since: number;
  #last: number;
  #shift: number;
  /** When the chain was last seen to stand still, monotonic ms. */
  #staleAt: number;
  #cancel: Cancel | undefined;

  constructor(view: Pick<ChainView, 'isFresh'>, env: Env) {
    this.#view = view;
    this.#env = env;
    this.#since = this.#last = this.#staleAt = env.clock.monotonic();
    this.#shift = env.clock.now() - this.#last;
  }

  /** Since the start or the last break. */
  get watchedMs(): number {
    this.#look();
    return this.#env.clock.monotonic() - this.#since;
  }

  /** How long the view of the chain has been fresh without a break: while it is not, nobody sends uptime proofs. */
  get freshMs(): number {
    this.#look();
    return this.#env.clock.monotonic() - this.#staleAt;
  }

  start(): void {
    const { clock } = this.#env;
    this.#since = this.#last = this.#staleAt = clock.monotonic();
    this.#shift = clock.now() - this.#last;
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
  }

  #schedule(): void {
    this.#cancel = this.#env.clock.after(TICK_MS, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { clock } = this.#env;
    const now = clock.monotonic();
    if (!this.#view.isFresh()) this.#staleAt = now;
    const shift = clock.now() - now;
    if (now - this.#last > TICK_MS + LATE_MS || Math.abs(shift - this.#shift) > JUMP_MS) {
      this.#since = now;
      this.#shift = shift;
      this.#env.log.info(
        {},
        'this node slept, or its clock was set: it judges others again after the validity time',
      );
    }
    this.#last = now;
  }
}
