// SPDX-License-Identifier: MIT
// (types first)
import type { KeyPair } from '../crypto/provider.ts';
import type { Membership } from './membership.ts';

export interface StaticNode {
  readonly ed25519Hex: string;
  /** IPv4 or IPv6 address in its canonical text form. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
}

/** A node as the admin names it; without swarm the algorithm finds one. */
export type StaticNodeInput = Omit<StaticNode, 'swarmId'> & { readonly swarmId?: bigint };

export interface StaticList {
  /** 32 hex digits. */
  readonly network: string;
  readonly version: number;
  /** Unix seconds. */
  readonly issued: number;
  readonly expires: number;
  /** By ascending key. */
  readonly nodes: readonly StaticNode[];
  /** Ed25519 keys, lower-case hex, ascending. */
  readonly admins: readonly string[];
  readonly threshold: number;
  /** By ascending admin. */
  readonly signatures: readonly { readonly admin: string; readonly signature: string }[];
}

export interface NewStaticList {
  readonly network?: string;
  readonly admins: readonly string[];
  readonly threshold: number;
  readonly nodes: readonly StaticNodeInput[];
  readonly issued: number;
  readonly expires: number;
}

export interface Validity {
  readonly issued: number;
  readonly expires: number;
}

export interface StaticListChange extends Validity {
  readonly add?: readonly StaticNodeInput[];
  /** Ed25519 keys, hex. */
  readonly remove?: readonly string[];
  readonly admins?: readonly string[];
  readonly threshold?: number;
}

export type StaticListVerdict =
  | { readonly accepted: true }
  | {
      readonly accepted: false;
      /** `same`: equal to the one held. `conflict`: equal version, other content. */
      readonly reason:
        | 'other_network'
        | 'older'
        | 'same'
        | 'conflict'
        | 'expired'
        | 'too_few_signatures'
        | 'bad_node_key';
    };

/** @throws ParseError `static_list` */
export declare function parseStaticList(bytes: Uint8Array): StaticList;
/** The canonical form, signatures included. */
export declare function encodeStaticList(list: StaticList): Uint8Array;
/** SHA-256 of the canonical form without signatures. */
export declare function staticListDigest(list: StaticList): Uint8Array;
/** @throws ParseError `static_list` for facts that no file may hold */
export declare function createStaticList(facts: NewStaticList): StaticList;
/** The next version, unsigned. Nodes without swarm are placed by the algorithm. @throws ParseError */
export declare function changeStaticList(list: StaticList, change: StaticListChange): StaticList;
export declare function addNodes(
  list: StaticList,
  nodes: readonly StaticNodeInput[],
  validity: Validity,
): StaticList;
export declare function removeNodes(
  list: StaticList,
  ed25519Hexes: readonly string[],
  validity: Validity,
): StaticList;
/** A copy with this admin's signature. */
export declare function signStaticList(list: StaticList, admin: KeyPair): StaticList;
/** Whether `candidate` replaces `trusted` (spec/chain §4.23). */
export declare function acceptStaticList(
  candidate: StaticList,
  trusted: StaticList,
  nowSeconds: number,
): StaticListVerdict;
/** @throws ParseError `static_list` for a node key that has no X25519 form */
export declare function membershipOf(list: StaticList): Membership;
