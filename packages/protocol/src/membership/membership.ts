// SPDX-License-Identifier: MIT
// Who is in the network at one moment, and where that knowledge comes from (spec/chain §4.16, §4.23): the contract
// and the static file both end in a `Membership`, and nothing above knows which it was.
import { ed25519PublicKeyToX25519 } from '#crypto';
import { toHex } from '../bytes.ts';
import type { Cancel } from '../env.ts';
import { AlliumError } from '../errors.ts';
import { UNASSIGNED_SWARM } from '../swarm/assignment.ts';
import { chooseSwarm, swarmPosition } from '../swarm/position.ts';

/** `duplicate_key`: two members share an Ed25519 or X25519 key. */
export class MembershipError extends AlliumError<'duplicate_key'> {
  override readonly name = 'MembershipError';
}

export interface Member {
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly x25519Key: Uint8Array;
  readonly x25519Hex: string;
  /** IP address as text; `0.0.0.0`: unknown, the ports are 0 then. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  /** `UNASSIGNED_SWARM` for a member that serves no swarm. */
  readonly swarmId: bigint;
  readonly active: boolean;
  /** Of its storage server. */
  readonly version: readonly [number, number, number];
}

export interface Membership {
  /** Counts up with every change. */
  readonly epoch: number;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  readonly height: number;
  /** 64 hex digits; changes with every change of the list. */
  readonly blockHash: string;
  /** By ascending Ed25519 key. */
  readonly members: readonly Member[];
  readonly byEd25519: ReadonlyMap<string, Member>;
  readonly byX25519: ReadonlyMap<string, Member>;
  /** Of active members only, each by ascending Ed25519 key. */
  readonly swarms: ReadonlyMap<bigint, readonly Member[]>;
  /** Ascending. */
  readonly swarmIds: readonly bigint[];
}

export interface MembershipSource {
  current(): Membership;
  /** The one before, as long as requests that follow it are to be served (spec/chain §4.20). Absent: never. */
  superseded?(): Membership | undefined;
  /** The listener must not throw. */
  onChange(listener: (next: Membership, previous: Membership) => void): Cancel;
}

export interface MembershipFacts {
  readonly epoch: number;
  readonly seed: Uint8Array;
  readonly height: number;
  readonly blockHash: string;
  /** In any order. */
  readonly members: readonly Member[];
}

export interface Swarm {
  readonly id: bigint;
  readonly members: readonly Member[];
}

export interface MemberFacts {
  readonly ed25519Key: Uint8Array;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
  /** Default true. */
  readonly active?: boolean;
  /** Default: the oldest release that speaks all that we speak. */
  readonly version?: readonly [number, number, number];
}

const DEFAULT_VERSION = [2, 11, 0] as const; // spec/storage-server §9.1

/** Makes the indexes. @throws MembershipError `duplicate_key` */
export function buildMembership(facts: MembershipFacts): Membership {
  const members = [...facts.members].sort((a, b) => (a.ed25519Hex < b.ed25519Hex ? -1 : 1));
  const byEd25519 = new Map<string, Member>();
  const byX25519 = new Map<string, Member>();
  const swarms = new Map<bigint, Member[]>();
  for (const member of members) {
    byEd25519.set(member.ed25519Hex, member);
    byX25519.set(member.x25519Hex, member);
    // spec/storage-server §3.4: a decommissioned node is known and reachable, but in no swarm.
    if (!member.active || member.swarmId === UNASSIGNED_SWARM) continue;
    const swarm = swarms.get(member.swarmId);
    if (swarm === undefined) swarms.set(member.swarmId, [member]);
    else swarm.push(member);
  }
  if (byEd25519.size !== members.length || byX25519.size !== members.length) {
    throw new MembershipError('duplicate_key', 'two members share a key');
  }
  const swarmIds = [...swarms.keys()].sort((a, b) => (a < b ? -1 : 1));
  const { epoch, seed, height, blockHash } = facts;
  return { epoch, seed, height, blockHash, members, byEd25519, byX25519, swarms, swarmIds };
}

/** The swarm that serves an account key (32 bytes, without prefix); undefined when there is no swarm at all. */
export function swarmFor(membership: Membership, key: Uint8Array): Swarm | undefined {
  const id = chooseSwarm(swarmPosition(key), membership.swarmIds);
  return id === undefined ? undefined : { id, members: membership.swarms.get(id) ?? [] };
}

/**
 * Adds the X25519 key and the keys' hex forms; undefined when the key has no X25519 form.
 * @param x25519Key what the conversion of the Ed25519 key gives, for those who have it already
 */
export function memberOf(
  facts: MemberFacts,
  x25519Key: Uint8Array | undefined = ed25519PublicKeyToX25519(facts.ed25519Key),
): Member | undefined {
  if (x25519Key === undefined) return undefined;
  return {
    ed25519Key: facts.ed25519Key,
    ed25519Hex: toHex(facts.ed25519Key),
    x25519Key,
    x25519Hex: toHex(x25519Key),
    host: facts.host,
    httpsPort: facts.httpsPort,
    omqPort: facts.omqPort,
    swarmId: facts.swarmId,
    active: facts.active ?? true,
    version: facts.version ?? DEFAULT_VERSION,
  };
}

/** A source whose owner replaces the membership: the static file's reader, the chain's follower, a test. */
export class CurrentMembership implements MembershipSource {
  #current: Membership;
  readonly #listeners = new Set<(next: Membership, previous: Membership) => void>();

  constructor(initial: Membership) {
    this.#current = initial;
  }

  current(): Membership {
    return this.#current;
  }

  onChange(listener: (next: Membership, previous: Membership) => void): Cancel {
    // A wrapper of its own, so that one function can listen twice and each is cancelled alone.
    const own = (next: Membership, previous: Membership) => listener(next, previous);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** Tells all listeners, in the order in which they came. */
  replace(next: Membership): void {
    const previous = this.#current;
    this.#current = next;
    for (const listener of [...this.#listeners]) listener(next, previous);
  }
}
