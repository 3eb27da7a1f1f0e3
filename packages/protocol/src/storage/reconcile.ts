// SPDX-License-Identifier: MIT
// `sn.reconcile`, by which members of a swarm find out what the other one missed (spec/storage-server §5.13). One part
// each way, a bt dict:
//
//   q=digests  c k n p f     → d: n × (digest 16 │ count u32), of the ranges p‖f … p‖(f+n-1); fewer when it is too much
//   q=list     c k p         → l: all entries under the prefix
//   q=get      k h           → b: blob of `sn.data` (k=m), or a: acts (k=a); as many of h as fit, at least one
//   q=put      k l or a      → nothing: expiries (k=m) or acts (k=a) to take over
//
// k=m: messages, entries of 44 bytes: hash 32 │ expiry u48 │ time of its last change u48, big-endian.
// k=a: acts, entries of 22 bytes: key 16 │ time u48. An act is [method, time, body as in `sn.storage_cc`].

import { fromUtf8 } from '../bytes.ts';
import { type BtValue, btBytes, btInteger, btList, decodeBtDict, encodeBt } from '../codec/bencode.ts';
import { ParseError } from '../errors.ts';

export type ReconcileKind = 'm' | 'a';

// Ours.
export const DIGEST_BYTES = 20;
const ACT_KEY_BYTES = 16;
const TIME_BYTES = 6;
/** Entries of one list or one `get`: far below a megabyte. */
const MAX_ENTRIES = 4096;
const HASH_BYTES = 32;
const HELD_BYTES = HASH_BYTES + 2 * TIME_BYTES;
const ACT_BYTES = ACT_KEY_BYTES + TIME_BYTES;
const MAX_PREFIX = 8;
const MAX_ACTS = 256;

export interface HeldEntry {
  readonly hash: Uint8Array;
  readonly expiry: number;
  readonly changed: number;
}

export interface ActKey {
  /** 16 bytes. */
  readonly key: Uint8Array;
  readonly time: number;
}

export interface ActEntry {
  readonly method: string;
  readonly time: number;
  readonly body: Uint8Array;
}

export type ReconcileRequest =
  | {
      readonly ask: 'digests';
      readonly kind: ReconcileKind;
      readonly cutoff: number;
      readonly prefix: Uint8Array;
      readonly first: number;
      readonly count: number;
    }
  | {
      readonly ask: 'list';
      readonly kind: ReconcileKind;
      readonly cutoff: number;
      readonly prefix: Uint8Array;
    }
  | { readonly ask: 'get'; readonly kind: ReconcileKind; readonly keys: readonly Uint8Array[] }
  | { readonly ask: 'put'; readonly kind: 'm'; readonly held: readonly HeldEntry[] }
  | { readonly ask: 'put'; readonly kind: 'a'; readonly acts: readonly ActEntry[] };

export interface ReconcileReply {
  readonly digests?: Uint8Array;
  readonly list?: Uint8Array;
  readonly blob?: Uint8Array;
  readonly acts?: readonly ActEntry[];
}

export function encodeReconcileRequest(request: ReconcileRequest): Uint8Array {
  const { ask: q, kind: k } = request;
  // Names in ascending order, as encodeBt wants them.
  switch (request.ask) {
    case 'digests':
      return encodeBt({ c: request.cutoff, f: request.first, k, n: request.count, p: request.prefix, q });
    case 'list':
      return encodeBt({ c: request.cutoff, k, p: request.prefix, q });
    case 'get':
      return encodeBt({ h: join(request.keys, keyBytes(k)), k, q });
    case 'put':
      return request.kind === 'm'
        ? encodeBt({ k, l: encodeHeld(request.held), q })
        : encodeBt({ a: request.acts.map(actItem), k, q });
  }
}

/** @throws ParseError `reconcile` */
export function decodeReconcileRequest(bytes: Uint8Array): ReconcileRequest {
  const dict = decodeBtDict(bytes);
  const ask = fromUtf8(btBytes(dict, 'q') ?? new Uint8Array(0));
  const kind = fromUtf8(btBytes(dict, 'k') ?? new Uint8Array(0));
  if (kind !== 'm' && kind !== 'a') throw malformed('an unknown kind');
  const bytesOf = (name: string) => btBytes(dict, name) ?? new Uint8Array(0);
  switch (ask) {
    case 'digests':
    case 'list': {
      const cutoff = btInteger(dict, 'c');
      const prefix = bytesOf('p');
      if (typeof cutoff !== 'number' || cutoff < 0) throw malformed('no cutoff');
      if (prefix.length > MAX_PREFIX) throw malformed('a prefix that is too long');
      if (ask === 'list') return { ask, kind, cutoff, prefix };
      const first = Number(btInteger(dict, 'f') ?? 0);
      const count = Number(btInteger(dict, 'n') ?? 0);
      if (first < 0 || count < 1 || first + count > 256) throw malformed('ranges beyond a byte');
      return { ask, kind, cutoff, prefix, first, count };
    }
    case 'get':
      return { ask, kind, keys: splitKeys(bytesOf('h'), keyBytes(kind)) };
    case 'put':
      return kind === 'm'
        ? { ask, kind, held: decodeHeld(bytesOf('l')) }
        : { ask, kind, acts: decodeActs(btList(dict, 'a') ?? []) };
    default:
      throw malformed('an unknown question');
  }
}

export function encodeReconcileReply(reply: ReconcileReply): Uint8Array {
  return encodeBt({ a: reply.acts?.map(actItem), b: reply.blob, d: reply.digests, l: reply.list });
}

/** @throws ParseError */
export function decodeReconcileReply(bytes: Uint8Array): ReconcileReply {
  const dict = decodeBtDict(bytes);
  const blob = btBytes(dict, 'b');
  const digests = btBytes(dict, 'd');
  const list = btBytes(dict, 'l');
  const acts = btList(dict, 'a');
  if (digests !== undefined && digests.length % DIGEST_BYTES !== 0) throw malformed('half a digest');
  return {
    ...(blob !== undefined && { blob }),
    ...(digests !== undefined && { digests }),
    ...(list !== undefined && { list }),
    ...(acts !== undefined && { acts: decodeActs(acts) }),
  };
}

export function encodeHeld(entries: readonly HeldEntry[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * HELD_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { hash, expiry, changed }] of entries.entries()) {
    const at = i * HELD_BYTES;
    bytes.set(hash, at);
    putU48(view, at + HASH_BYTES, expiry);
    putU48(view, at + HASH_BYTES + 6, changed);
  }
  return bytes;
}

/** @throws ParseError `reconcile` */
export function decodeHeld(bytes: Uint8Array): HeldEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return splitKeys(bytes, HELD_BYTES).map((entry, i) => ({
    hash: entry.subarray(0, HASH_BYTES),
    expiry: u48(view, i * HELD_BYTES + HASH_BYTES),
    changed: u48(view, i * HELD_BYTES + HASH_BYTES + 6),
  }));
}

export function encodeActKeys(entries: readonly ActKey[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * ACT_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { key, time }] of entries.entries()) {
    bytes.set(key, i * ACT_BYTES);
    putU48(view, i * ACT_BYTES + ACT_KEY_BYTES, time);
  }
  return bytes;
}

/** @throws ParseError `reconcile` */
export function decodeActKeys(bytes: Uint8Array): ActKey[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return splitKeys(bytes, ACT_BYTES).map((entry, i) => ({
    key: entry.subarray(0, ACT_KEY_BYTES),
    time: u48(view, i * ACT_BYTES + ACT_KEY_BYTES),
  }));
}

/** Entries of one length. @throws ParseError `reconcile` */
function splitKeys(bytes: Uint8Array, length: number): Uint8Array[] {
  if (bytes.length % length !== 0) throw malformed('half an entry');
  if (bytes.length / length > MAX_ENTRIES) throw malformed('too many entries');
  return Array.from({ length: bytes.length / length }, (_, i) =>
    bytes.subarray(i * length, (i + 1) * length),
  );
}

const keyBytes = (kind: ReconcileKind) => (kind === 'm' ? HASH_BYTES : ACT_KEY_BYTES);

function join(keys: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(keys.length * length);
  for (const [i, key] of keys.entries()) bytes.set(key, i * length);
  return bytes;
}

const actItem = ({ method, time, body }: ActEntry) => [method, time, body];

function decodeActs(list: readonly BtValue[]): ActEntry[] {
  if (list.length > MAX_ACTS) throw malformed('too many acts');
  return list.map((item) => {
    if (!Array.isArray(item)) throw malformed('an act that is no list');
    const [method, time, body] = item;
    if (!(method instanceof Uint8Array) || !(body instanceof Uint8Array)) throw malformed('an act');
    if (typeof time !== 'number' || time < 0) throw malformed('an act without a time');
    return { method: fromUtf8(method), time, body };
  });
}

function putU48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 2, value % 2 ** 32);
}

const u48 = (view: DataView, at: number): number => view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);

function malformed(what: string): ParseError {
  return new ParseError('reconcile', `malformed reconcile: ${what}`);
}
