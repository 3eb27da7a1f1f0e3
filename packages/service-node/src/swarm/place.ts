// SPDX-License-Identifier: AGPL-3.0-or-later
// Whether the node list has this node where it is. Others reach it at the address of the list, whatever is configured here;
// so a changed address is told to the operator, and the node goes on serving those who still reach it.
import type { Env } from '@allium/protocol/env';
import { hasAddress } from './replication.ts';
import type { Swarm } from './swarm.ts';

export class Place {
  readonly #swarm: Swarm;
  readonly #publicIp: string;
  readonly #env: Env;
  #last: string | undefined;

  /** `publicIp`: as configured, or empty. */
  constructor(swarm: Swarm, publicIp: string, env: Env) {
    this.#swarm = swarm;
    this.#publicIp = publicIp;
    this.#env = env;
  }

  /** Logs what is wrong, and that it is right again, once each. */
  check(): void {
    const fault = this.#fault();
    if (fault === this.#last) return;
    if (fault === undefined) this.#env.log.info({}, 'the node list now has this node at its address');
    else this.#env.log.warn({}, fault);
    this.#last = fault;
  }

  #fault(): string | undefined {
    const { self } = this.#swarm;
    if (self === undefined) return 'this node is not in the node list: it serves no accounts';
    if (!hasAddress(self)) {
      return 'the node list has no address of this node: others cannot reach it. Ask the admins for a list with its address';
    }
    if (this.#publicIp === '' || this.#publicIp === self.host) return undefined;
    return (
      'the node list has another address of this node than --public-ip: others look for it at the old one. Ask the admins ' +
      'for a list with its new address, or correct --public-ip'
    );
  }
}
