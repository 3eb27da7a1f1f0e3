// SPDX-License-Identifier: MIT
// (types first)
import type { Cancel } from '../env.ts';

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
  readonly swarms: ReadonlyMap<bigint, readonly Member[]>;
  /** Ascending. */
  readonly swarmIds: readonly bigint[];
}

export interface MembershipSource {
  current(): Membership;
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

/** Makes the indexes. @throws MembershipError when two members share a key */
export declare function buildMembership(facts: MembershipFacts): Membership;
/** The swarm that serves an account key (32 bytes); undefined when there is none. */
export declare function swarmFor(membership: Membership, key: Uint8Array): Swarm | undefined;
/** Adds the keys' hex forms and, when absent, the X25519 key. */
export declare function memberOf(facts: {
  readonly ed25519Key: Uint8Array;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
  readonly active?: boolean;
  readonly version?: readonly [number, number, number];
}): Member | undefined;

/** A source whose owner replaces the membership. */
export declare class CurrentMembership implements MembershipSource {
  constructor(initial: Membership);
  current(): Membership;
  onChange(listener: (next: Membership, previous: Membership) => void): Cancel;
  /** Tells all listeners, in order. */
  replace(next: Membership): void;
}
