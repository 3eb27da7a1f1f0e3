// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node needs of its network, whoever says who belongs to it: the signed file (static-network.ts) or the chain
// (chain-network.ts).
import type { OmqContext, OmqEndpoint, OmqPart } from '@allium/net/omq/endpoint';
import type { Json } from '@allium/protocol/json';
import type { Member, MembershipSource } from '@allium/protocol/membership';
import type { ListedNetwork } from '@allium/protocol/storage/service-node-list';
import type { Metrics } from '../metrics.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { ChainAccess } from './chain-network.ts';
import type { ProofBook } from './proof-book.ts';

/** Answers a command between nodes; `member` is the caller when it is in the list. */
export type NetworkCommand = (
  member: Member | undefined,
  data: Uint8Array[],
  context: OmqContext,
) => readonly OmqPart[] | undefined | Promise<readonly OmqPart[] | undefined>;

/** What an operator is told about the place of this node, in the words of its network. */
export interface PlaceWords {
  readonly notListed: string;
  /** Undefined: not worth telling. */
  readonly noAddress: string | undefined;
  /** The list has another address than the one configured. */
  readonly otherAddress: string;
  /** What to do where it has other ports. Undefined: the list gets them from this node. */
  readonly otherPorts?: string;
  readonly right: string;
}

/** What a network gets once the node's parts are there. */
export interface NetworkParts {
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  /** Whether the mailbox answers. */
  readonly storageAnswers: () => boolean;
}

export interface NodeNetwork {
  readonly source: MembershipSource;
  readonly words: PlaceWords;
  /** Absent in networks without chain. */
  readonly chain?: ChainAccess & { readonly book: ProofBook };
  /** Of the list in force: grows when it changes in substance. */
  readonly version: number;
  /** Unix seconds; undefined: never. */
  readonly expires: number | undefined;
  /** spec/chain §4.21: one per two minutes. */
  height(): number;
  /** The list as clients ask for it. */
  listed(): ListedNetwork;
  /**
   * Further questions of clients by method, with which they check the list (spec/chain §4.22): parameters to JSON.
   * They throw ParseError for parameters that are none.
   */
  readonly questions: Readonly<Record<string, (params: Json | undefined) => string>>;
  /** A member has spoken to us: it is there. */
  heard?(ed25519Hex: string): void;
  /** Those of `commands` that anybody may call, not only members. */
  readonly openCommands?: ReadonlySet<string>;
  /** Commands of the category `sn`, without that name. Before `start`. */
  commands(parts: NetworkParts): Readonly<Record<string, NetworkCommand>>;
  /** Reads what is newer than what is held; changes are told from here on. */
  start(): Promise<void>;
  /** The node listens: exchanges with others begin. */
  open(ports: { readonly https: number; readonly omq: number }): void;
  /** Ends the exchanges; harmless before `open`. */
  close(): Promise<void>;
  stop(): Promise<void>;
}
