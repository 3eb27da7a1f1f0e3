// SPDX-License-Identifier: MIT
// bt-encoding, the project's dialect of bencode (spec/storage-server §1.1):
//
//   integer      i<decimal>e           −2^63 … 2^64−1
//   byte string  <length>:<bytes>
//   list         l<items>e
//   dict         d<key string><value>…e   keys unique, ascending by bytes
//
// Dict keys are "binary strings" here: one character per byte (latin1). Byte strings of a decoded value share the
// memory of the input.

import { ParseError } from '../errors.ts';

/** What can be encoded. Strings as UTF-8, booleans as 1 and 0, members that are undefined are left out. */
export type BtInput =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly BtInput[]
  | ReadonlyMap<string, BtInput>
  | { readonly [key: string]: BtInput | undefined };

/** A decoded value: an integer is a number when it is a safe integer, else a bigint. */
export type BtValue = number | bigint | Uint8Array | BtValue[] | BtDict;
export type BtDict = Map<string, BtValue>;

export declare function encodeBt(value: BtInput): Uint8Array;
/** @throws ParseError unless the whole input is one value */
export declare function decodeBt(bytes: Uint8Array, options?: { readonly maxDepth?: number }): BtValue;
/** @throws ParseError unless the whole input is one dict */
export declare function decodeBtDict(bytes: Uint8Array): BtDict;
/** A safe integer. @throws ParseError for another type or a greater integer */
export declare function btInteger(dict: BtDict, key: string): number | undefined;
/** @throws ParseError for another type or length */
export declare function btBytes(dict: BtDict, key: string, length?: number): Uint8Array | undefined;
export declare function btList(dict: BtDict, key: string): BtValue[] | undefined;
export declare function btDict(dict: BtDict, key: string): BtDict | undefined;
void ParseError;
