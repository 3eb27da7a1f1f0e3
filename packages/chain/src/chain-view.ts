// SPDX-License-Identifier: MIT
// What a program sees of a chain network, whoever reads the chain for it: members, swarms, seeds, quorums
// (spec/chain §4.8–§4.20). Nothing here loads the chain library, so that programs without a chain may import it.
// Times of the chain are unix seconds; epochs count from the deployment of the registry.
import type { Cancel } from '@allium/protocol/env';
import type { SwarmMap } from '@allium/protocol/swarm/assignment';
import type { ContractParams, PresetName } from './presets.ts';

/** Lower case. Addresses have 20 bytes, hashes and seeds 32. */
export type Hex = `0x${string}`;

/** `until` of a membership without an end (spec/chain §4.4). */
export const INFINITE_EPOCH = 2 ** 32 - 1;

/** States of a node as the registry numbers them (spec/chain §4.4). */
export const STATE_NUMBERS = { active: 2, decommissioned: 3, deregistered: 4, exited: 5 } as const;
export type NodeState = keyof typeof STATE_NUMBERS;

/** What a quorum can decide (spec/chain §4.10). */
export const StateAction = { decommission: 1, recommission: 2, deregister: 3 } as const;
export type StateAction = (typeof StateAction)[keyof typeof StateAction];

/** Of the node software: major, minor, patch. */
export type Version = readonly [number, number, number];

export interface Contributor {
  readonly staker: Hex;
  readonly beneficiary: Hex;
  /** Atomic units of the token. */
  readonly amount: bigint;
}

/** One registration and what became of it. Never changed: a change makes a new record. */
export interface NodeRecord {
  /** Counts up from 1, never reused. */
  readonly nodeId: number;
  readonly operator: Hex;
  readonly votingKey: Hex;
  /** 64 hex digits without 0x. */
  readonly ed25519Hex: string;
  /** Newest link of its beacon chain that the chain knows; all zero: the node takes no part. */
  readonly beaconAnchor: Hex;
  readonly feeBps: number;
  readonly stake: bigint;
  /** Index 0 is the operator's. */
  readonly contributors: readonly Contributor[];
  readonly state: NodeState;
  readonly stateNonce: number;
  /** spec/chain §4.5, judged at the registration and never again. An invalid node is in no swarm. */
  readonly valid: boolean;
  readonly slot: number;
  /** Its slot is eligible at epoch e ⇔ `from` ≤ e < `until`. */
  readonly from: number;
  readonly until: number;
  readonly registeredAt: number;
  /** Of the registration, or the newest recommission. */
  readonly activeSince: number;
  /** Of the newest decommission; 0: never. */
  readonly decommissionedAt: number;
  /** Credit in seconds: at `activeSince` while active, at `decommissionedAt` afterwards (spec/chain §4.11). */
  readonly credit: number;
  /** It earns rewards. */
  readonly payable: boolean;
  /** When a requested exit is due; 0: none was requested. */
  readonly unlockAt: number;
  /** Reasons that all, and that any, of the voters of the newest state change gave. */
  readonly reasonsAll: number;
  readonly reasonsAny: number;
  /** Turns as proposer without a reveal, in a row, since it became active (spec/chain §4.18, reason 0x0800). */
  readonly missedTurns: number;
}

/** A seat in the draws. A node that came back has an old one beside its own until it is reused. */
export interface Slot {
  readonly nodeId: number;
  /** Its votes in this seat are asked for under this key. */
  readonly votingKey: Hex;
  readonly from: number;
  readonly until: number;
}

/** What is fixed about an epoch from start(e) + R on. Never changed. */
export interface EpochView {
  readonly epoch: number;
  /** Start of the epoch, unix seconds. */
  readonly startsAt: number;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  /** S(e): the draw looks at the first so many slots. */
  readonly slotCount: number;
  readonly slots: readonly Slot[];
  /** Of its quorums. */
  readonly quorumSize: number;
  readonly minVoters: number;
  /** W_e; keys are Ed25519 keys in hex. */
  readonly swarms: SwarmMap;
  /** M_e, ascending. */
  readonly memberIds: readonly number[];
  /** The node whose turn it was to reveal; undefined when nobody was eligible. */
  readonly proposerId: number | undefined;
  readonly revealed: boolean;
}

export interface QuorumMember {
  /** Place in the draw: the `index` of its votes. */
  readonly index: number;
  readonly nodeId: number;
  /** The one that the registry asks for, as of the newest block read. */
  readonly votingKey: Hex;
}

export interface Quorum {
  /** The target. */
  readonly nodeId: number;
  readonly epoch: number;
  readonly members: readonly QuorumMember[];
  /** Votes that decide; undefined: too few members, the quorum can decide nothing. */
  readonly threshold: number | undefined;
}

export interface ChainBlock {
  readonly number: bigint;
  readonly hash: Hex;
  readonly timestamp: number;
}

/** What never changes about a network. */
export interface ChainNetwork {
  readonly chainId: number;
  readonly registry: Hex;
  readonly deploymentBlock: bigint;
  /** Time of deployment, unix seconds. */
  readonly t0: number;
  /** L, in seconds. */
  readonly epochSeconds: number;
  /** R, in seconds. */
  readonly revealSeconds: number;
  /** Chooses the timings off chain. */
  readonly preset: PresetName;
}

/** Parameters of the registry (spec/chain §4.3). Seconds, basis points, atomic units. */
export type ChainParameters = Readonly<ContractParams>;

/** A program's window on the chain. All reads answer at once, from memory. */
export interface ChainView {
  readonly network: ChainNetwork;
  /** The epoch in force: the newest e with start(e) + R + confirm passed. Undefined until the chain was read. */
  epochView(): EpochView | undefined;
  previousEpochView(): EpochView | undefined;
  /** All registrations ever, at the newest block read. */
  nodes(): ReadonlyMap<number, NodeRecord>;
  /** The valid node with this key that is neither deregistered nor exited; there is at most one. */
  nodeByEd25519(ed25519Hex: string): NodeRecord | undefined;
  /** Those in force now; the size of an epoch's quorums stands in its view. */
  parameters(): ChainParameters;
  /** Of the node software, as governance announced it last (spec/chain §4.14). Undefined: any. */
  minimumVersion(): Version | undefined;
  /** Of a target, in the epoch in force or one of the 47 before it. */
  quorumOf(nodeId: number, epoch: number): Quorum | undefined;
  /** Whose turn it is to reveal, also for the epoch after the one in force. */
  proposerOf(epoch: number): NodeRecord | undefined;
  /** Newest block read. */
  head(): ChainBlock | undefined;
  /** A block at least `confirm` older than the head (spec/chain §4.3), by what is known the newest. Undefined until one is known. */
  safeHead(): ChainBlock | undefined;
  /** False while the chain stands still or is ahead of our clock, no endpoint answers, or endpoints contradict each other: then do not vote. */
  isFresh(): boolean;
  /** Undefined for a block that the chain does not have (any more), or when no endpoint answers. */
  blockAt(number: bigint): Promise<ChainBlock | undefined>;
  /** A new epoch came into force, or a reorganisation changed the one in force. The listener must not throw. */
  onEpoch(listener: (next: EpochView, previous: EpochView | undefined) => void): Cancel;
  /** Some record changed. The listener must not throw. */
  onNodes(listener: () => void): Cancel;
  /** Resolves when the chain was read up to its head for the first time. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Vote {
  /** Of the voter in the quorum. */
  readonly index: number;
  readonly reasons: number;
  /** 64 bytes, r ‖ vs (EIP-2098). */
  readonly signature: Uint8Array;
}

export interface StateChange {
  readonly nodeId: number;
  readonly action: StateAction;
  readonly epoch: number;
  readonly stateNonce: number;
  /** Ascending by index. */
  readonly votes: readonly Vote[];
}

/**
 * How a transaction ended. `done`: mined. `already`: somebody else's did it. `refused`: the registry would revert, for
 * `reason`; sending it again is useless. `failed`: no endpoint took it, no money for gas, or it was not mined in time.
 */
export type Submission =
  | { readonly outcome: 'done'; readonly hash: Hex; readonly gasUsed: bigint }
  | { readonly outcome: 'already' }
  | { readonly outcome: 'refused' | 'failed'; readonly reason: string };

/** The transactions of a voting key (spec/chain §4.19). One at a time; further ones wait. */
export interface ChainWriter {
  readonly address: Hex;
  submitStateChange(change: StateChange, signal?: AbortSignal): Promise<Submission>;
  reveal(preimage: Hex, signal?: AbortSignal): Promise<Submission>;
  /** Works off at most `max` due entries of the queues (spec/chain §4.12). */
  poke(max: number, signal?: AbortSignal): Promise<Submission>;
  /** In wei. */
  balance(): Promise<bigint>;
  stop(): Promise<void>;
}

/** The epoch at a time, unix seconds; below 0 before the deployment. */
export function epochAt(network: ChainNetwork, seconds: number): number {
  return Math.floor((seconds - network.t0) / network.epochSeconds);
}

export function epochStart(network: ChainNetwork, epoch: number): number {
  return network.t0 + epoch * network.epochSeconds;
}
