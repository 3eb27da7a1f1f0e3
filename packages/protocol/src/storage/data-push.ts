// SPDX-License-Identifier: MIT
// (types first)
/** One message of an `sn.data` blob (§5.5). */
export interface PushedMessage {
  /** 33 bytes. */
  readonly account: Uint8Array;
  readonly hash: string;
  readonly timestamp: number;
  readonly expiry: number;
  readonly data: Uint8Array;
  readonly namespace: number;
}
/** Blobs of about 9 MB at most. An empty set yields one blob. */
export declare function encodeDataPush(
  messages: Iterable<PushedMessage>,
  limitBytes?: number,
): Generator<Uint8Array>;
/** `data` and `account` share memory with the blob. Does not check hashes. @throws ParseError */
export declare function decodeDataPush(blob: Uint8Array): PushedMessage[];
