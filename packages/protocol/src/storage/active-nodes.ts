// SPDX-License-Identifier: MIT
// (types first)
/** One record of `active_nodes_bin` (§2.9.14). */
export interface ActiveNode {
  readonly ed25519Key: Uint8Array;
  readonly swarmId: bigint;
  /** Dotted IPv4, `0.0.0.0` when unknown. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly version: readonly [number, number, number];
}
export declare function encodeActiveNodes(nodes: readonly ActiveNode[]): Uint8Array;
/** @throws ParseError */
export declare function decodeActiveNodes(bytes: Uint8Array): ActiveNode[];
