// SPDX-License-Identifier: AGPL-3.0-or-later
// What the explorer shows, in the form of its JSON. Keys are lower-case hex; token amounts are decimal strings of atomic
// units; times are Unix seconds.
import type { HistoryType } from '@allium/chain/history-types';

export type ExplorerNodeState = 'active' | 'decommissioned' | 'deregistered' | 'exited';

export interface ExplorerNode {
  /** Ed25519 key. */
  readonly pubkey_ed25519: string;
  readonly pubkey_x25519: string | null;
  readonly active: boolean;
  readonly state: ExplorerNodeState;
  /** 16 hex digits; null: serves no swarm. */
  readonly swarm: string | null;
  /** Null until it announced an address. */
  readonly public_ip: string | null;
  readonly storage_port: number | null;
  readonly version: string | null;
  /** Only of networks on a chain. */
  readonly chain: ExplorerChainNode | null;
}

export interface ExplorerChainNode {
  readonly node_id: number;
  readonly operator: string;
  readonly fee_percent: number;
  readonly stake: string;
  readonly contributors: readonly { readonly staker: string; readonly amount: string }[];
  readonly registered_at: number;
  readonly active_since: number;
  readonly decommissioned_at: number | null;
  readonly unlock_at: number | null;
  /** Its key is bound to the registration (spec/chain §4.5). */
  readonly valid: boolean;
  /** It earns rewards. */
  readonly earning: boolean;
}

export interface ExplorerRewards {
  /** What the reward pool holds, and how much of it belongs to nodes already. */
  readonly pool: string;
  readonly owed: string;
  readonly earning_nodes: number;
  /** At the present rate; 0 while nobody earns. */
  readonly per_day: string;
  readonly per_node_and_day: string;
}

export interface ExplorerEvent {
  readonly type: HistoryType;
  readonly time: number;
  readonly block: number;
  readonly transaction: string | null;
  readonly node_id: number;
  readonly pubkey_ed25519: string | null;
  /** Of votes: what all voters, and what any of them, gave as reason. */
  readonly reasons_all: readonly string[];
  readonly reasons_any: readonly string[];
  /** The latter in words. */
  readonly reason: string | null;
  /** Of withdrawals and claims. */
  readonly amount: string | null;
}

export interface ExplorerSwarm {
  /** 16 hex digits. */
  readonly swarm: string;
  readonly nodes: readonly string[];
}

export interface ExplorerNetwork {
  readonly mode: 'chain' | 'static';
  readonly height: number;
  readonly block_hash: string | null;
  readonly chain: {
    readonly chain_id: number;
    readonly registry: string;
    readonly epoch: number;
    readonly epoch_started_at: number;
    readonly epoch_seconds: number;
    readonly staking_requirement: string;
    /** Null until they were read. */
    readonly rewards: ExplorerRewards | null;
  } | null;
}

export interface ExplorerSnapshot {
  readonly network: ExplorerNetwork;
  readonly nodes: readonly ExplorerNode[];
  /** Newest first. */
  readonly events: readonly ExplorerEvent[];
  readonly taken_at: number;
}

/** Where the explorer's knowledge comes from. */
export interface ExplorerSource {
  /** The newest; undefined until there is one. */
  snapshot(): ExplorerSnapshot | undefined;
  /** Why the newest is not of now; undefined: all is well. */
  trouble(): string | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
}
