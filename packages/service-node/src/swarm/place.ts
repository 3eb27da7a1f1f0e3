// SPDX-License-Identifier: AGPL-3.0-or-later
// Whether the node list has this node where it is. Others reach it at the address of the list, whatever is configured here;
// so a changed address is told to the operator, and the node goes on serving those who still reach it.
import type { Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import type { PlaceWords } from '../membership/node-network.ts';
import { hasAddress } from '../peers.ts';
import type { Swarm } from './swarm.ts';

/** Where a node says it is reached; an empty address and ports of 0 say nothing. */
export interface ConfiguredPlace {
  readonly publicIp: string;
  readonly httpsPort: number;
  readonly omqPort: number;
}

export class Place {
  readonly #swarm: Swarm;
  readonly #configured: ConfiguredPlace;
  readonly #words: PlaceWords;
  readonly #env: Env;
  #last: string | undefined;

  constructor(swarm: Swarm, configured: ConfiguredPlace, words: PlaceWords, env: Env) {
    this.#swarm = swarm;
    this.#configured = configured;
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
    const { publicIp } = this.#configured;
    if (publicIp !== '' && publicIp !== self.host) return this.#words.otherAddress;
    const { otherPorts } = this.#words;
    const differing = otherPorts && differingPorts(self, this.#configured);
    return differing && `${differing}: ${otherPorts}`;
  }
}

/** Which ports the list has otherwise than the configuration, in words. */
export function differingPorts(
  self: Pick<Member, 'httpsPort' | 'omqPort'>,
  { httpsPort, omqPort }: Pick<ConfiguredPlace, 'httpsPort' | 'omqPort'>,
): string | undefined {
  const differing = [
    { name: 'HTTPS', listed: self.httpsPort, configured: httpsPort },
    { name: 'OMQ', listed: self.omqPort, configured: omqPort },
  ].filter(({ listed, configured }) => configured !== 0 && listed !== configured);
  if (differing.length === 0) return undefined;
  const listed = differing.map((port) => `${port.name} port ${port.listed}`).join(' and ');
  return `the list says ${listed}, but the configuration says ${differing.map((port) => port.configured).join(' and ')}`;
}

/** Where a member is, for its operator. */
export function swarmPlace(self: Member, membership: Membership): string {
  const others = (membership.swarms.get(self.swarmId)?.length ?? 1) - 1;
  const company = others === 0 ? 'alone' : others === 1 ? 'with one other' : `with ${others} others`;
  return `in swarm ${self.swarmId.toString(16)} ${company}, at ${self.host}`;
}
