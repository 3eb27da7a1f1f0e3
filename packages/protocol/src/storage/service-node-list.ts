// SPDX-License-Identifier: MIT
// (types first)
import type { Json } from '../codec/json.ts';

/** What the node knows of a listed node; a `Member` fits. */
export interface ListedNode {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
  readonly active: boolean;
  readonly version: readonly [number, number, number];
}
export interface ListedNetwork {
  readonly height: number;
  /** 64 hex digits. */
  readonly blockHash: string;
  readonly members: readonly ListedNode[];
}
export interface ServiceNodeQuery {
  readonly activeOnly: boolean;
  readonly limit: number;
  readonly pollBlockHash?: string | undefined;
  readonly pubkeys?: ReadonlySet<string> | undefined;
  /** Undefined: all fields. */
  readonly fields?: ((name: string) => boolean) | undefined;
}
/** Parameters of `get_service_nodes`. @throws ParseError */
export declare function parseServiceNodeQuery(params: Json | undefined): ServiceNodeQuery;
/** The result object as JSON text (§3.3, spec/chain §1.15, §4.21). `below(n)`: chance, for `limit`. */
export declare function serviceNodeListJson(
  network: ListedNetwork,
  query: ServiceNodeQuery,
  below: (n: number) => number,
): string;
export interface ServiceNodeState {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number | undefined;
  readonly swarmId: bigint | undefined;
  readonly requestedUnlockHeight: number;
  readonly version: readonly [number, number, number] | undefined;
}
export interface ServiceNodeList {
  readonly unchanged: boolean;
  readonly height: number | undefined;
  readonly blockHash: string | undefined;
  readonly nodes: readonly ServiceNodeState[];
}
/** The result object as a client reads it: entries without keys or address are dropped. @throws ParseError */
export declare function parseServiceNodeList(result: Json): ServiceNodeList;

/** One JSON-RPC 2.0 call of `POST /json_rpc`. */
export interface JsonRpcCall {
  readonly id: Json | undefined;
  readonly method: string;
  readonly params: Json | undefined;
}
export type JsonRpcErrorCode = -32700 | -32600 | -32601 | -32603 | -32003 | 403;
/** The call, or the complete answer to a body that is none. */
export declare function decodeJsonRpc(body: Uint8Array): JsonRpcCall | { readonly answer: string };
export declare function jsonRpcResult(id: Json | undefined, resultJson: string): string;
export declare function jsonRpcError(id: Json | undefined, code: JsonRpcErrorCode, message: string): string;
/** Body of a client's `get_n_service_nodes` to a seed. */
export declare function encodeSeedRequest(): Uint8Array;
/** Result of a JSON-RPC answer. @throws ParseError also for an error answer */
export declare function decodeJsonRpcAnswer(body: Uint8Array): Json;
