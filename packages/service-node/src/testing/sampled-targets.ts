// SPDX-License-Identifier: AGPL-3.0-or-later
// The nodes to look at closely where no quorums name them: in a network with a static list (spec/chain §4.23). Ours: as
// many as a quorum has members, drawn anew each epoch of the preset, so that in time everybody looks at everybody.
import type { Cancel, Env } from '@allium/protocol/env';
import type { Swarm } from '../swarm/swarm.ts';
import type { Target, Targets } from './testers.ts';

const TARGETS = 10;

export class SampledTargets implements Targets {
  readonly #swarm: Swarm;
  readonly #epochMs: number;
  readonly #env: Env;
  readonly #listeners = new Set<() => void>();
  #targets: readonly Target[] = [];
  #round = 0;
  #cancel: Cancel | undefined;

  constructor(parts: { swarm: Swarm; epochMs: number }, env: Env) {
    this.#swarm = parts.swarm;
    this.#epochMs = parts.epochMs;
    this.#env = env;
  }

  current(): readonly Target[] {
    return this.#targets;
  }

  onChange(listener: () => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#draw();
  }

  stop(): void {
    this.#cancel?.();
  }

  #draw(): void {
    const { membership, self } = this.#swarm;
    const left = membership.members.filter((member) => member !== self).map(({ ed25519Hex }) => ed25519Hex);
    const drawn: Target[] = [];
    this.#round++;
    while (drawn.length < TARGETS && left.length > 0) {
      const [key] = left.splice(this.#env.random.below(left.length), 1) as [string];
      drawn.push({ ed25519Hex: key, round: this.#round });
    }
    this.#targets = drawn;
    this.#cancel = this.#env.clock.after(this.#epochMs, () => this.#draw());
    for (const listener of [...this.#listeners]) listener();
  }
}
