// SPDX-License-Identifier: MIT
// Results of storage requests (spec/storage-server §2.7, §2.9): their shapes, and how clients and peers read them. The types
// have the names of the wire, and hold bytes (`data`, `signature`, tokens) as Uint8Array: JSON carries those as padded
// base64, bt-encoding raw. So a node fills a plain object and writes it in either form (response-writer.ts).
//
// Parsers accept what a node may send and drop unknown members; what a hostile node sends ends in a ParseError or in a
// value of the type.

import { fromBase64, fromUtf8, toBinary } from '../bytes.ts';
import type { BtDict, BtValue } from '../codec/bencode.ts';
import { ParseError } from '../errors.ts';
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
  /** Ours (§2.9.2): ms for which the answer was held. Absent: the node does not know `wait`. */
  readonly waited?: number | undefined;
}
export interface InfoResult extends Stamp {
  readonly version: readonly [number, number, number];
  readonly timestamp: number;
  /** Ours (§2.9.3): names of extensions; none from other implementations. */
  readonly capabilities: readonly string[];
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
/** One answer inside that of `batch`, `sequence` or `ifelse`. */
export interface Subresult {
  readonly code: number;
  /** A result object when `code` is 200, often a text otherwise. */
  readonly body: unknown;
}

/** Members of a result, from JSON of an entry node or bt-encoding of a peer. */
interface Members {
  get(name: string): unknown;
  /** 64 bytes. */
  signature(): Uint8Array;
  /** ASCII. */
  text(value: unknown): string | undefined;
  /** For people. */
  prose(value: unknown): string | undefined;
  /** Members of a member that is an object. */
  entries(value: unknown): [string, unknown][];
}

function malformed(what: string, options?: ErrorOptions): ParseError {
  return new ParseError('response', `malformed answer: ${what}`, options);
}

class JsonMembers implements Members {
  readonly members: Readonly<Record<string, unknown>>;

  constructor(members: Readonly<Record<string, unknown>>) {
    this.members = members;
  }

  get(name: string): unknown {
    return Object.hasOwn(this.members, name) ? (this.members[name] ?? undefined) : undefined;
  }

  signature(): Uint8Array {
    const signature = base64(this.get('signature'), 88, 'signature');
    if (signature.length !== 64) throw malformed('signature');
    return signature;
  }

  text(value: unknown): string | undefined {
    return typeof value === 'string' ? value : undefined;
  }

  prose(value: unknown): string | undefined {
    return this.text(value);
  }

  entries(value: unknown): [string, unknown][] {
    return Object.entries(object(value, 'an object of lists').members);
  }
}

class BtMembers implements Members {
  readonly members: BtDict;

  constructor(members: BtDict) {
    this.members = members;
  }

  get(name: string): unknown {
    return this.members.get(name);
  }

  signature(): Uint8Array {
    const signature = this.members.get('signature');
    if (signature instanceof Uint8Array && signature.length === 64) return signature;
    throw malformed('signature');
  }

  text(value: unknown): string | undefined {
    return value instanceof Uint8Array ? toBinary(value) : undefined;
  }

  prose(value: unknown): string | undefined {
    return value instanceof Uint8Array ? fromUtf8(value) : undefined;
  }

  entries(value: unknown): [string, unknown][] {
    if (value instanceof Map) return [...(value as Map<string, BtValue>)];
    throw malformed('not a dict of lists');
  }
}

function object(value: unknown, what: string): JsonMembers {
  if (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  ) {
    return new JsonMembers(value as Record<string, unknown>);
  }
  throw malformed(`${what} expected`);
}

function base64(value: unknown, maxLength: number, what: string): Uint8Array {
  if (typeof value !== 'string' || value.length > maxLength) throw malformed(what);
  try {
    return fromBase64(value);
  } catch (cause) {
    throw malformed(what, { cause });
  }
}

/** A whole number that is not negative: times, counts, codes. */
function count(value: unknown, what: string): number {
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  throw malformed(what);
}

/** A boolean, which bt-encoding writes as 1 or 0 and entry nodes pass on like that (spec/storage-server §1.1). */
function flag(value: unknown, what: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  if (value === 0 || value === 1) return value === 1;
  throw malformed(what);
}

const HASH = /^[A-Za-z0-9+/]{43}$/;
const KEY = /^[0-9a-f]{64}$/;
const NAMESPACE = /^(?:0|-?[1-9][0-9]{0,4})$/;
/** Ours: a peer's reason reaches clients and logs. */
const MAX_REASON = 500;
/** Of the names in `info`. */
const MAX_CAPABILITIES = 32;
const MAX_CAPABILITY_LENGTH = 32;

function hash(members: Members, value: unknown): string {
  const text = members.text(value);
  if (text === undefined || !HASH.test(text)) throw malformed('a hash expected');
  return text;
}

function hashes(members: Members, value: unknown): string[] {
  if (!Array.isArray(value)) throw malformed('a list of hashes expected');
  return value.map((item) => hash(members, item));
}

function hashesByNamespace(members: Members, value: unknown): string[] | HashesByNamespace {
  if (Array.isArray(value)) return hashes(members, value);
  const lists: Record<string, readonly string[]> = {};
  for (const [namespace, list] of members.entries(value)) {
    if (!NAMESPACE.test(namespace)) throw malformed('a namespace expected');
    lists[namespace] = hashes(members, list);
  }
  return lists;
}

function timesByHash(members: Members, value: unknown): Record<string, number> {
  const times: Record<string, number> = {};
  for (const [name, time] of members.entries(value)) {
    if (!HASH.test(name)) throw malformed('a hash expected');
    times[name] = count(time, 'a time expected');
  }
  return times;
}

function reason(members: Members, name: string): string | undefined {
  const value = members.get(name);
  if (typeof value === 'number') return String(value);
  return members.prose(value)?.slice(0, MAX_REASON).toWellFormed();
}

function nodeResult(method: RecursiveMethod, members: Members): NodeResults[RecursiveMethod] | NodeFailure {
  if (flag(members.get('failed'), 'failed')) {
    return {
      failed: true,
      timeout: flag(members.get('timeout'), 'timeout'),
      code: reason(members, 'code'),
      reason: reason(members, 'reason'),
      bad_peer_response: flag(members.get('bad_peer_response'), 'bad_peer_response'),
      query_failure: flag(members.get('query_failure'), 'query_failure'),
    };
  }
  const signature = members.signature();
  switch (method) {
    case 'store':
      return {
        hash: hash(members, members.get('hash')),
        expiry: count(members.get('expiry'), 'expiry'),
        already: flag(members.get('already'), 'already'),
        signature,
      };
    case 'delete':
      return { deleted: hashes(members, members.get('deleted')), signature };
    case 'delete_all':
    case 'delete_before':
      return { deleted: hashesByNamespace(members, members.get('deleted')), signature };
    case 'expire': {
      const expiry = members.get('expiry');
      const unchanged = members.get('unchanged');
      return {
        expiry: Array.isArray(expiry) ? expiry.map((time) => count(time, 'expiry')) : count(expiry, 'expiry'),
        updated: hashes(members, members.get('updated')),
        unchanged: unchanged === undefined ? undefined : timesByHash(members, unchanged),
        signature,
      };
    }
    case 'expire_all':
      return { updated: hashesByNamespace(members, members.get('updated')), signature };
    case 'revoke_subaccount':
    case 'unrevoke_subaccount': {
      const removed = members.get('count');
      return { count: removed === undefined ? undefined : count(removed, 'count'), signature };
    }
  }
}

/** A peer's reply to a forwarded request: its bare entry (spec/storage-server §5.6). @throws ParseError */
export function parseNodeReply<M extends RecursiveMethod>(
  method: M,
  dict: BtDict,
): NodeResultOf<M> | NodeFailure {
  return nodeResult(method, new BtMembers(dict)) as NodeResultOf<M> | NodeFailure;
}

function stamp(members: JsonMembers): Stamp {
  const hf = members.get('hf');
  if (!Array.isArray(hf) || hf.length !== 2) throw malformed('hf');
  return { t: count(members.get('t'), 't'), hf: [count(hf[0], 'hf'), count(hf[1], 'hf')] };
}

/**
 * The answer of a recursive method. An entry that cannot be read becomes a failure with `bad_peer_response`: one
 * member of a swarm must not spoil the answers of the others. Signatures are not checked here (`verifyNodeResult`).
 * @throws ParseError
 */
export function parseRecursiveResult<M extends RecursiveMethod>(
  method: M,
  json: unknown,
): RecursiveResult<M> {
  const members = object(json, 'an object');
  const swarm: Record<string, NodeResultOf<M> | NodeFailure> = {};
  for (const [key, entry] of members.entries(members.get('swarm'))) {
    if (!KEY.test(key)) throw malformed('a node key expected');
    swarm[key] = nodeEntry(method, entry) as NodeResultOf<M> | NodeFailure;
  }
  const stored = method === 'store' ? members.get('hash') : undefined;
  return { swarm, hash: stored === undefined ? undefined : hash(members, stored), ...stamp(members) };
}

function nodeEntry(method: RecursiveMethod, entry: unknown): NodeResults[RecursiveMethod] | NodeFailure {
  try {
    return nodeResult(method, object(entry, 'an object'));
  } catch (error) {
    if (error instanceof ParseError) return { failed: true, bad_peer_response: true };
    throw error;
  }
}

/** @throws ParseError */
export function parseRetrieveResult(json: unknown): RetrieveResult {
  const members = object(json, 'an object');
  const list = members.get('messages');
  if (!Array.isArray(list)) throw malformed('a list of messages expected');
  const messages = list.map((item: unknown): RetrievedMessage => {
    const message = object(item, 'a message');
    const name = message.get('hash');
    // Not only hashes of ours: peers of older nodes stored what they were sent (spec/storage-server §5.5).
    if (typeof name !== 'string' || name.length === 0 || name.length > 128) throw malformed('hash');
    return {
      hash: name,
      timestamp: count(message.get('timestamp'), 'timestamp'),
      expiration: count(message.get('expiration'), 'expiration'),
      data: base64(message.get('data'), Number.POSITIVE_INFINITY, 'data'),
    };
  });
  const waited = members.get('waited');
  return {
    messages,
    more: flag(members.get('more'), 'more') ?? false,
    ...(waited !== undefined && waited !== null && { waited: count(waited, 'waited') }),
    ...stamp(members),
  };
}

/** @throws ParseError */
export function parseInfoResult(json: unknown): InfoResult {
  const members = object(json, 'an object');
  const version = members.get('version');
  if (!Array.isArray(version) || version.length !== 3) throw malformed('version');
  const [major, minor, patch] = version.map((number) => count(number, 'version'));
  return {
    version: [major!, minor!, patch!],
    timestamp: count(members.get('timestamp'), 'timestamp'),
    capabilities: capabilities(members.get('capabilities')),
    ...stamp(members),
  };
}

/** Whatever else it is counts as none: an extension of others may use the name. */
function capabilities(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_CAPABILITIES)
    .filter((name): name is string => typeof name === 'string' && name.length <= MAX_CAPABILITY_LENGTH);
}

/** @throws ParseError */
export function parseGetExpiriesResult(json: unknown): GetExpiriesResult {
  const members = object(json, 'an object');
  return { expiries: timesByHash(members, members.get('expiries')) };
}

/** @throws ParseError */
export function parseRevokedSubaccountsResult(json: unknown): RevokedSubaccountsResult {
  const members = object(json, 'an object');
  const tokens = members.get('revoked_subaccounts');
  if (!Array.isArray(tokens)) throw malformed('a list of tokens expected');
  const revoked = tokens.map((text: unknown) => {
    const token = base64(text, 48, 'token');
    if (token.length !== 36) throw malformed('token');
    return token;
  });
  return { revoked_subaccounts: revoked, ...stamp(members) };
}

/** A swarm member as clients use it. */
export interface SwarmMember {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  /** Dotted IPv4. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
}

export interface Swarm {
  /** 2^64 − 1: the node knows no swarm. */
  readonly swarmId: bigint;
  /** Those that can be reached: members without keys, address or port are left out. */
  readonly members: readonly SwarmMember[];
  /** The node's clock. */
  readonly t: number | undefined;
}

/** The answer of `get_swarm` and the body of 421 (spec/storage-server §2.7). @throws ParseError */
export function parseSwarm(json: unknown): Swarm {
  const members = object(json, 'an object');
  const list = members.get('snodes');
  if (!Array.isArray(list)) throw malformed('a list of nodes expected');
  const swarm = members.get('swarm');
  if (typeof swarm !== 'string' || !/^[0-9a-f]{1,16}$/.test(swarm)) throw malformed('swarm');
  const reachable: SwarmMember[] = [];
  for (const item of list as unknown[]) {
    const member = swarmMember(object(item, 'a node'));
    if (member !== undefined) reachable.push(member);
  }
  const t = members.get('t');
  return {
    swarmId: BigInt(`0x${swarm}`),
    members: reachable,
    t: t === undefined ? undefined : count(t, 't'),
  };
}

function swarmMember(node: JsonMembers): SwarmMember | undefined {
  const ed25519Hex = node.get('pubkey_ed25519');
  const x25519Hex = node.get('pubkey_x25519');
  const host = node.get('ip');
  // Compat(2.8): `port` as text is the older form of `port_https`.
  const httpsPort = node.get('port_https') ?? portOfText(node.get('port'));
  const omqPort = node.get('port_omq');
  if (typeof ed25519Hex !== 'string' || !KEY.test(ed25519Hex)) return undefined;
  if (typeof x25519Hex !== 'string' || !KEY.test(x25519Hex)) return undefined;
  if (typeof host !== 'string' || !isUsableIpv4(host) || !isPort(httpsPort)) return undefined;
  return { ed25519Hex, x25519Hex, host, httpsPort, omqPort: isPort(omqPort) ? omqPort : 0 };
}

function portOfText(value: unknown): number | undefined {
  return typeof value === 'string' && /^[0-9]{1,5}$/.test(value) ? Number(value) : undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff;
}

/** A dotted IPv4 address, but not the two that stand for "unknown" (spec/storage-server §3.3). */
export function isUsableIpv4(text: string): boolean {
  return isIpv4(text) && text !== '0.0.0.0' && text !== '255.255.255.255';
}

export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(?:\.(?!$)|$)){4}$/;

/** Results of `batch` and `sequence`, one per request; `sequence` may end early. @throws ParseError */
export function parseBatchResult(json: unknown, requests: number): readonly Subresult[] {
  const list = object(json, 'an object').get('results');
  if (!Array.isArray(list) || list.length > requests) throw malformed('a list of results expected');
  return list.map((item: unknown) => {
    const result = object(item, 'a result');
    return { code: count(result.get('code'), 'code'), body: result.get('body') };
  });
}
