// SPDX-License-Identifier: AGPL-3.0-or-later
// This node's place in the network: its swarm, the other members, and which accounts are theirs
// (spec/storage-server §6.3, §5.12).
import type { Member, Membership, MembershipSource } from '@allium/protocol/membership';
import { swarmFor } from '@allium/protocol/membership';
import { swarmEntry } from '@allium/protocol/storage/response-writer';
import type { SwarmEntry, SwarmResult } from '@allium/protocol/storage/responses';
import { HARDFORK } from '../protocol-version.ts';

export class Swarm {
  readonly #source: MembershipSource;
  readonly #ownHex: string;
  #seen: Membership | undefined;
  #self: Member | undefined;
  #peers: readonly Member[] = [];
  readonly #entries = new Map<bigint, { readonly snodes: readonly SwarmEntry[]; readonly swarm: string }>();

  constructor(source: MembershipSource, ownHex: string) {
    this.#source = source;
    this.#ownHex = ownHex;
  }

  get membership(): Membership {
    return this.#source.current();
  }

  /** This node as the list has it; undefined when it is not listed. */
  get self(): Member | undefined {
    this.#refresh();
    return this.#self;
  }

  /** Id of our swarm; undefined when we are in none. */
  get id(): bigint | undefined {
    this.#refresh();
    return this.#self?.active === true ? this.#self.swarmId : undefined;
  }

  /** All other members of our swarm. */
  get peers(): readonly Member[] {
    this.#refresh();
    return this.#peers;
  }

  #refresh(): void {
    const membership = this.#source.current();
    if (membership === this.#seen) return;
    this.#seen = membership;
    this.#entries.clear();
    this.#self = membership.byEd25519.get(this.#ownHex);
    const members = this.#self?.active === true ? (membership.swarms.get(this.#self.swarmId) ?? []) : [];
    this.#peers = members.filter((member) => member.ed25519Hex !== this.#ownHex);
  }

  /**
   * Whether the account with these 32 key bytes maps to our swarm. For a while after a change of the swarms also by the
   * map before: clients and peers learn of it at different times (spec/chain §4.20).
   */
  serves(accountKey: Uint8Array): boolean {
    if (this.owns(accountKey)) return true;
    const before = this.#source.superseded?.();
    const self = before?.byEd25519.get(this.#ownHex);
    return before !== undefined && self?.active === true && isOf(before, accountKey, self.swarmId);
  }

  /** Whether the account maps to our swarm by the map in force. */
  owns(accountKey: Uint8Array): boolean {
    const own = this.id;
    return own !== undefined && isOf(this.membership, accountKey, own);
  }

  /** Whether the X25519 key is of a node that may speak as one: any of the list, in a swarm or not. */
  knows(x25519Hex: string): boolean {
    const source = this.#source;
    return (
      source.current().byX25519.has(x25519Hex) || source.superseded?.()?.byX25519.has(x25519Hex) === true
    );
  }

  /** The other nodes that keep the account's messages from now on. */
  keepers(accountKey: Uint8Array): readonly Member[] {
    return this.owns(accountKey) ? this.peers : (swarmFor(this.membership, accountKey)?.members ?? []);
  }

  /** The swarm object of `get_swarm` and of 421 (§2.7). */
  describe(accountKey: Uint8Array, now: number): SwarmResult {
    this.#refresh();
    const found = swarmFor(this.membership, accountKey);
    if (found === undefined)
      return { snodes: [], swarm: 'ffffffffffffffff', t: now, hf: HARDFORK as [number, number] };
    let entry = this.#entries.get(found.id);
    if (entry === undefined) {
      entry = { snodes: found.members.map(swarmEntry), swarm: found.id.toString(16) };
      this.#entries.set(found.id, entry);
    }
    return { ...entry, t: now, hf: HARDFORK as [number, number] };
  }
}

const isOf = (membership: Membership, accountKey: Uint8Array, swarmId: bigint): boolean =>
  swarmFor(membership, accountKey)?.id === swarmId;
