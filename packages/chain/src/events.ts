// SPDX-License-Identifier: MIT
// What the registry tells (spec/chain §4.15), as the fold takes it: only the events on which members, swarms, seeds and
// quorums depend.
import type { Contributor, Hex, NodeState, Version } from './chain-view.ts';
import type { ParameterChange } from './parameters.ts';

/** Where an event stands in the chain. */
export interface EventPlace {
  readonly block: number;
  readonly blockHash: Hex;
  /** Of its block, unix seconds. */
  readonly timestamp: number;
  readonly logIndex: number;
}

export type RegistryEvent =
  | {
      readonly type: 'registered';
      readonly nodeId: number;
      readonly operator: Hex;
      readonly ed25519Hex: string;
      /** 128 hex digits. */
      readonly signatureHex: string;
      readonly votingKey: Hex;
      readonly beaconAnchor: Hex;
      readonly feeBps: number;
      readonly stake: bigint;
      readonly contributors: readonly Contributor[];
    }
  | {
      readonly type: 'membership';
      readonly nodeId: number;
      readonly slot: number;
      readonly from: number;
      readonly until: number;
    }
  | {
      readonly type: 'state';
      readonly nodeId: number;
      readonly state: NodeState;
      readonly stateNonce: number;
      readonly reasonsAll: number;
      readonly reasonsAny: number;
    }
  | {
      readonly type: 'seed';
      readonly epoch: number;
      /** 0 on a chain whose seeds come from its blocks. */
      readonly nodeId: number;
      readonly preimage: Hex;
      readonly seed: Hex;
    }
  | { readonly type: 'votingKey'; readonly nodeId: number; readonly votingKey: Hex }
  | { readonly type: 'payable'; readonly nodeId: number; readonly payable: boolean }
  | { readonly type: 'exitRequested'; readonly nodeId: number; readonly unlockAt: number }
  | {
      readonly type: 'beneficiary';
      readonly nodeId: number;
      readonly index: number;
      readonly beneficiary: Hex;
    }
  | ({ readonly type: 'parameter' } & ParameterChange)
  | { readonly type: 'minimumVersion'; readonly version: Version };

export type ChainEvent = EventPlace & RegistryEvent;
