// SPDX-License-Identifier: AGPL-3.0-or-later
// Whether the node list has this node where it is. Others reach it at the address of the list, whatever is configured here;
// so a changed address is told to the operator, and the node goes on serving those who still reach it.
import type { Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import type { PlaceWords } from '../membership/node-network.ts';
import { hasAddress } from '../peers.ts';
import type { Swarm } from './swarm.ts';

export class Place {
  readonly #swarm: Swarm;
  readonly #publicIp: string;
  readonly #words: PlaceWords;
  readonly #env: Env;
  #last: string | undefined;

  /** `publicIp`: as configured, or empty. */
  constructor(swarm: Swarm, publicIp: string, words: PlaceWords, env: Env) {
    this.#swarm = swarm;
    this.#publicIp = publicIp;
    this.#words = words;
    this.#env = env;
  }

  /** Logs what is wrong, and that it is right again, once each. */
  check(): void {
    const fault = this.#fault();
    if (fault === this.#last) return;
    if (fault === undefined) this.#env.log.info({}, this.#words.right);
    else this.#env.log.warn({}, fault);
    this.#last = fault;
  }

  #fault(): string | undefined {
    const { self } = this.#swarm;
    if (self === undefined) return this.#words.notListed;
    if (!hasAddress(self)) return this.#words.noAddress;
    if (this.#publicIp === '' || this.#publicIp === self.host) return undefined;
    return this.#words.otherAddress;
  }
}

/** Where a member is, for its operator. */
export function swarmPlace(self: Member, membership: Membership): string {
  const others = (membership.swarms.get(self.swarmId)?.length ?? 1) - 1;
  const company = others === 0 ? 'alone' : others === 1 ? 'with one other' : `with ${others} others`;
  return `in swarm ${self.swarmId.toString(16)} ${company}, at ${self.host}`;
}
