// SPDX-License-Identifier: MIT
// (types first)

/** Where a key (32 bytes, without prefix) is on the ring. */
export declare function swarmPosition(key: Uint8Array): bigint;
/** Undefined when there is no swarm. `sortedIds` ascend. */
export declare function chooseSwarm(position: bigint, sortedIds: readonly bigint[]): bigint | undefined;
/** 16 lower-case hex digits. */
export declare function swarmIdHex(id: bigint): string;
/** @throws ParseError `node_list` unless 1 to 16 hex digits */
export declare function parseSwarmId(text: string): bigint;
