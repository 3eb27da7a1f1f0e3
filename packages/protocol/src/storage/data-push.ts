// SPDX-License-Identifier: MIT
// Blobs of `sn.data`, by which a node gives messages to another (spec/storage-server §5.5):
//
//   01 │ list of messages, each [account 33, hash, timestamp, expiry, data, namespace]
//
// The namespace is missing in blobs of nodes before 2.11.3; then it reads as 0.

import { concat, fromBinary, toBinary } from '../bytes.ts';
import { type BtValue, decodeBt, encodeBt } from '../codec/bencode.ts';
import { ParseError } from '../errors.ts';

// From the specification, spec/storage-server §5.5.
const VERSION = 1;
const LIMIT_BYTES = 9_000_000;
/** Estimated size of a message besides its hash and data. */
const OVERHEAD = 79;
const EMPTY_BLOB = 2;

const LIST_START = Uint8Array.of(VERSION, 0x6c);
const LIST_END = Uint8Array.of(0x65);

/** Ours: the shortest message that peers send has 6 values in over 90 bytes; more of them is an attack on memory. */
const BYTES_PER_VALUE = 12;

export interface PushedMessage {
  /** 33 bytes. */
  readonly account: Uint8Array;
  /** One character per byte: peers may send what is no hash. */
  readonly hash: string;
  readonly timestamp: number;
  readonly expiry: number;
  readonly data: Uint8Array;
  readonly namespace: number;
}

/** Blobs of about `limitBytes`, one after the other. No messages yield one empty blob. */
export function* encodeDataPush(
  messages: Iterable<PushedMessage>,
  limitBytes: number = LIMIT_BYTES,
): Generator<Uint8Array> {
  let items: Uint8Array[] = [];
  let size = EMPTY_BLOB;
  for (const { account, hash, timestamp, expiry, data, namespace } of messages) {
    const cost = OVERHEAD + hash.length + data.length;
    if (items.length > 0 && size + cost > limitBytes) {
      yield concat(LIST_START, ...items, LIST_END);
      items = [];
      size = EMPTY_BLOB + 1;
    }
    size += cost;
    items.push(encodeBt([account, fromBinary(hash), timestamp, expiry, data, namespace]));
  }
  yield concat(LIST_START, ...items, LIST_END);
}

/**
 * Reads a blob. `account` and `data` share memory with it. Whether a message belongs here, and its hash to its data, is
 * for the caller to check (spec/storage-server §9.3).
 * @throws ParseError `data_push`: a blob that is wrong anywhere is dropped as a whole
 */
export function decodeDataPush(blob: Uint8Array): PushedMessage[] {
  if (blob[0] !== VERSION) throw malformed('an unknown version');
  const list = decode(blob.subarray(1));
  if (!Array.isArray(list)) throw malformed('no list');
  return list.map(message);
}

function decode(bytes: Uint8Array): BtValue {
  try {
    return decodeBt(bytes, { maxDepth: 2, maxValues: 16 + bytes.length / BYTES_PER_VALUE });
  } catch (cause) {
    throw malformed('no list of lists', { cause });
  }
}

function message(item: BtValue): PushedMessage {
  if (!Array.isArray(item) || item.length < 5) throw malformed('a message of fewer than five elements');
  const [account, hash, timestamp, expiry, data, namespace = 0] = item;
  if (!(account instanceof Uint8Array) || account.length !== 33)
    throw malformed('an account that has not 33 bytes');
  if (!(hash instanceof Uint8Array)) throw malformed('a hash that is no byte string');
  if (!isTime(timestamp) || !isTime(expiry)) throw malformed('a time that is none');
  if (!(data instanceof Uint8Array)) throw malformed('data that is no byte string');
  if (typeof namespace !== 'number' || namespace < -32768 || namespace > 32767)
    throw malformed('a namespace');
  return { account, hash: toBinary(hash), timestamp, expiry, data, namespace };
}

function isTime(value: BtValue | undefined): value is number {
  return typeof value === 'number' && value >= 0;
}

function malformed(what: string, options?: ErrorOptions): ParseError {
  return new ParseError('data_push', `malformed data push: ${what}`, options);
}
