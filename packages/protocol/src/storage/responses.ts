// SPDX-License-Identifier: MIT
// Results of storage requests in the shape of the wire, bytes as Uint8Array (types first; bodies follow).
import type { BtDict } from '../codec/bencode.ts';
import type { RecursiveMethod } from './requests.ts';

/** `t`: the node's clock in ms; `hf`: hardfork and softfork (§2.7). */
export interface Stamp {
  readonly t: number;
  readonly hf: readonly [number, number];
}

// Entries of one node in the answer of a recursive method: objects with exactly these members.
export interface StoreNodeResult {
  readonly hash: string;
  readonly expiry: number;
  /** Only when the hash was there before. */
  readonly already?: boolean | undefined;
  readonly signature: Uint8Array;
  /** Only in the entry node's own entry. */
  readonly t?: number | undefined;
}
export interface DeleteNodeResult {
  /** Sorted. */
  readonly deleted: readonly string[];
  readonly signature: Uint8Array;
}
export type HashesByNamespace = Readonly<Record<string, readonly string[]>>;
export interface DeleteAllNodeResult {
  /** A list for one namespace, by namespace for `all`. */
  readonly deleted: readonly string[] | HashesByNamespace;
  readonly signature: Uint8Array;
}
export interface ExpireNodeResult {
  readonly expiry: number | readonly number[];
  readonly updated: readonly string[];
  /** Only with `shorten` or `extend`: hash → expiry in force. */
  readonly unchanged?: Readonly<Record<string, number>> | undefined;
  readonly signature: Uint8Array;
}
export interface ExpireAllNodeResult {
  readonly updated: readonly string[] | HashesByNamespace;
  readonly signature: Uint8Array;
}
export interface RevokeNodeResult {
  /** Only `unrevoke_subaccount`: entries really removed. */
  readonly count?: number | undefined;
  readonly signature: Uint8Array;
}
export interface NodeResults {
  store: StoreNodeResult;
  delete: DeleteNodeResult;
  delete_all: DeleteAllNodeResult;
  delete_before: DeleteAllNodeResult;
  expire: ExpireNodeResult;
  expire_all: ExpireAllNodeResult;
  revoke_subaccount: RevokeNodeResult;
  unrevoke_subaccount: RevokeNodeResult;
}
export type NodeResultOf<M extends RecursiveMethod> = NodeResults[M];

/** Entry of a node that did not do it (§2.7). */
export interface NodeFailure {
  readonly failed: true;
  readonly timeout?: boolean | undefined;
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly bad_peer_response?: boolean | undefined;
  readonly query_failure?: boolean | undefined;
}

/** Answer of a recursive method; keys are Ed25519 keys in hex. */
export interface RecursiveResult<M extends RecursiveMethod = RecursiveMethod> extends Stamp {
  readonly swarm: Readonly<Record<string, NodeResultOf<M> | NodeFailure>>;
  /** Only `store`. */
  readonly hash?: string | undefined;
}

export interface RetrievedMessage {
  readonly hash: string;
  readonly timestamp: number;
  readonly expiration: number;
  readonly data: Uint8Array;
}
export interface RetrieveResult extends Stamp {
  readonly messages: readonly RetrievedMessage[];
  readonly more: boolean;
}
export interface InfoResult extends Stamp {
  readonly version: readonly [number, number, number];
  readonly timestamp: number;
}
export interface GetExpiriesResult {
  readonly expiries: Readonly<Record<string, number>>;
}
export interface RevokedSubaccountsResult extends Stamp {
  readonly revoked_subaccounts: readonly Uint8Array[];
}
/** A swarm member as written into answers (§2.7). */
export interface SwarmEntry {
  readonly address: string;
  readonly pubkey_legacy: string;
  readonly pubkey_x25519: string;
  readonly pubkey_ed25519: string;
  readonly port: string;
  readonly port_https: number;
  readonly port_omq: number;
  readonly port_quic: number;
  readonly ip: string;
}
export interface SwarmResult extends Stamp {
  readonly snodes: readonly SwarmEntry[];
  /** Lower-case hex without padding. */
  readonly swarm: string;
}
export interface Subresult {
  readonly code: number;
  readonly body: unknown;
}

/** Any result on its way out; a plain tree in wire names. */
export type PlainResult =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly PlainResult[]
  | { readonly [key: string]: PlainResult | undefined };

/** JSON text, bytes as padded base64. Takes every result type above. */
export declare function toJsonResult(result: object): string;
/** bt-encoding, bytes raw. */
export declare function toBtResult(result: object): Uint8Array;
/** The entry of a member in a swarm object. */
export declare function swarmEntry(member: {
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
}): SwarmEntry;

/** A peer's reply to a forwarded request: its bare entry. @throws ParseError */
export declare function parseNodeReply<M extends RecursiveMethod>(
  method: M,
  dict: BtDict,
): NodeResultOf<M> | NodeFailure;

// What clients read. All throw ParseError for anything but a well-formed answer.
export declare function parseRecursiveResult<M extends RecursiveMethod>(
  method: M,
  json: unknown,
): RecursiveResult<M>;
export declare function parseRetrieveResult(json: unknown): RetrieveResult;
export declare function parseInfoResult(json: unknown): InfoResult;
export declare function parseGetExpiriesResult(json: unknown): GetExpiriesResult;
export declare function parseRevokedSubaccountsResult(json: unknown): RevokedSubaccountsResult;
/** A swarm member as clients use it. */
export interface SwarmMember {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  /** `0.0.0.0` when unknown: not to be contacted. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
}
/** `get_swarm` and the body of 421. */
export declare function parseSwarm(json: unknown): {
  readonly swarmId: bigint;
  readonly members: readonly SwarmMember[];
  readonly t: number | undefined;
};
/** Outer object of `batch` and `sequence`: at most `expected` results. */
export declare function parseBatchResult(json: unknown, expected: number): readonly Subresult[];
