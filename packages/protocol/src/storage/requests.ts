// SPDX-License-Identifier: MIT
// Requests of the storage RPC as values (spec/storage-server §2.9): what each method takes, and the error of a request
// that cannot be understood. `request-reader.ts` reads them from JSON and bt-encoding, `request-writer.ts` writes them.
import { fromHex, toBinary, toHex, utf8 } from '../bytes.ts';
import type { Json } from '../codec/json.ts';
import { AlliumError, ParseError } from '../errors.ts';

/** An account as requests name it (spec/storage-server §2.1): a prefix byte and a 32-byte key. */
export interface AccountPubkey {
  /** 33 bytes. */
  readonly bytes: Uint8Array;
  /** 66 lower-case digits: the text in signatures. */
  readonly hex: string;
  readonly prefix: number;
  /** 32 bytes, a view into `bytes`. */
  readonly key: Uint8Array;
}

export interface SubaccountAuth {
  /** 36 bytes: prefix, flags, two reserved, Ed25519 key (§2.6). */
  readonly token: Uint8Array;
  /** By the account's key over the token. */
  readonly signature: Uint8Array;
}

export interface RequestAuth {
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** `pubkey_ed25519`: only with prefix 05. */
  readonly ed25519Key?: Uint8Array | undefined;
  readonly subaccount?: SubaccountAuth | undefined;
}

export interface InfoRequest {
  readonly method: 'info';
}
export interface StoreRequest {
  readonly method: 'store';
  readonly account: AccountPubkey;
  readonly namespace: number;
  readonly timestamp: number;
  /** Absolute; a `ttl` of the wire is already added to the timestamp. */
  readonly expiry: number;
  readonly data: Uint8Array;
  readonly auth?: RequestAuth | undefined;
  /** The signed time; present exactly when `auth` is. */
  readonly signatureTimestamp?: number | undefined;
}
export interface RetrieveRequest {
  readonly method: 'retrieve';
  readonly account: AccountPubkey;
  readonly namespace: number;
  readonly lastHash?: string | undefined;
  /** As sent; `retrieveLimits` interprets them. */
  readonly maxCount?: number | undefined;
  readonly maxSize?: number | undefined;
  /** Ours (§2.9.2): hold the answer so long, in ms, while there is nothing to tell. */
  readonly wait?: number | undefined;
  /** Present exactly when `auth` is. */
  readonly timestamp?: number | undefined;
  readonly auth?: RequestAuth | undefined;
}
export interface DeleteRequest {
  readonly method: 'delete';
  readonly account: AccountPubkey;
  readonly messages: readonly string[];
  /** Answer 404 when nothing was deleted anywhere. Not forwarded. */
  readonly required: boolean;
  readonly auth: RequestAuth;
}
export interface DeleteAllRequest {
  readonly method: 'delete_all';
  readonly account: AccountPubkey;
  readonly namespace: number | 'all';
  readonly timestamp: number;
  readonly auth: RequestAuth;
}
export interface DeleteBeforeRequest {
  readonly method: 'delete_before';
  readonly account: AccountPubkey;
  readonly namespace: number | 'all';
  readonly before: number;
  readonly auth: RequestAuth;
}
export interface ExpireRequest {
  readonly method: 'expire';
  readonly account: AccountPubkey;
  readonly messages: readonly string[];
  /** One value for all messages, or one per message. */
  readonly expiries: readonly number[];
  readonly shorten: boolean;
  readonly extend: boolean;
  readonly auth: RequestAuth;
}
export interface ExpireAllRequest {
  readonly method: 'expire_all';
  readonly account: AccountPubkey;
  readonly namespace: number | 'all';
  readonly expiry: number;
  readonly auth: RequestAuth;
}
export interface GetExpiriesRequest {
  readonly method: 'get_expiries';
  readonly account: AccountPubkey;
  /** Any strings, not only hashes. */
  readonly messages: readonly string[];
  readonly timestamp: number;
  readonly auth: RequestAuth;
}
export interface GetSwarmRequest {
  readonly method: 'get_swarm';
  readonly account: AccountPubkey;
}
/** Ours: the last two, which a client asks for to check a list (spec/chain §4.22). */
export const OXEND_ENDPOINTS = [
  'get_service_nodes',
  'ons_resolve',
  'get_membership_certificate',
  'get_static_list',
] as const;
export interface OxendRequest {
  readonly method: 'oxend_request';
  readonly endpoint: (typeof OXEND_ENDPOINTS)[number];
  readonly params?: Json | undefined;
}
export interface RevokeSubaccountRequest {
  readonly method: 'revoke_subaccount';
  readonly account: AccountPubkey;
  /** 36 bytes each. */
  readonly tokens: readonly Uint8Array[];
  readonly timestamp: number;
  readonly auth: RequestAuth;
}
export interface UnrevokeSubaccountRequest {
  readonly method: 'unrevoke_subaccount';
  readonly account: AccountPubkey;
  readonly tokens: readonly Uint8Array[];
  readonly timestamp: number;
  readonly auth: RequestAuth;
}
export interface RevokedSubaccountsRequest {
  readonly method: 'revoked_subaccounts';
  readonly account: AccountPubkey;
  readonly timestamp: number;
  readonly auth: RequestAuth;
}
export interface ActiveNodesBinRequest {
  readonly method: 'active_nodes_bin';
}
export interface BatchRequest {
  readonly method: 'batch' | 'sequence';
  readonly requests: readonly SimpleRequest[];
}
export interface IfElseConditions {
  readonly hfAtLeast?: readonly number[] | undefined;
  readonly hfBefore?: readonly number[] | undefined;
  readonly versionAtLeast?: readonly number[] | undefined;
  readonly versionBefore?: readonly number[] | undefined;
  readonly heightAtLeast?: number | undefined;
  readonly heightBefore?: number | undefined;
}
export interface IfElseRequest {
  readonly method: 'ifelse';
  readonly conditions: IfElseConditions;
  readonly then?: StorageRequest | undefined;
  readonly else?: StorageRequest | undefined;
}

/** Requests that every swarm member executes (§2.7). */
export type RecursiveRequest =
  | StoreRequest
  | DeleteRequest
  | DeleteAllRequest
  | DeleteBeforeRequest
  | ExpireRequest
  | ExpireAllRequest
  | RevokeSubaccountRequest
  | UnrevokeSubaccountRequest;
/** All but the meta requests: what a batch may hold. */
export type SimpleRequest =
  | RecursiveRequest
  | InfoRequest
  | RetrieveRequest
  | GetExpiriesRequest
  | GetSwarmRequest
  | OxendRequest
  | RevokedSubaccountsRequest
  | ActiveNodesBinRequest;
export type StorageRequest = SimpleRequest | BatchRequest | IfElseRequest;
export type StorageMethod = StorageRequest['method'];
export type RecursiveMethod = RecursiveRequest['method'];
/** A request that cannot be understood: answered with status 400 and `text` as the exact body. */
export class RequestError extends AlliumError<'bad_request'> {
  override readonly name = 'RequestError';
  readonly status = 400;
  /** The whole body of the answer, its prefix `invalid request: ` included where the spec has it. */
  readonly text: string;

  constructor(text: string) {
    super('bad_request', text);
    this.text = text;
  }
}

/** 66 hex digits of either case, or 33 raw bytes (spec/storage-server §2.1). @throws ParseError `account_id` */
export function parseAccountPubkey(value: string | Uint8Array): AccountPubkey {
  const account = accountPubkey(value);
  if (account === undefined) throw new ParseError('account_id', 'neither 66 hex digits nor 33 bytes');
  return account;
}

export function accountPubkey(value: string | Uint8Array): AccountPubkey | undefined {
  let bytes: Uint8Array | undefined;
  let hex: string | undefined;
  if (typeof value !== 'string') {
    if (value.length === 66) return accountPubkey(toBinary(value));
    if (value.length === 33) bytes = value;
  } else if (value.length === 66) {
    bytes = attempt(fromHex, value);
    hex = value.toLowerCase();
  } else if (value.length <= 33) {
    const raw = utf8(value);
    if (raw.length === 33) bytes = raw;
  }
  if (bytes === undefined) return undefined;
  return { bytes, hex: hex ?? toHex(bytes), prefix: bytes[0]!, key: bytes.subarray(1) };
}
/** Names under which requests come, the alias of `get_swarm` included: the OMQ commands of category `storage`. */
export const METHOD_NAMES: readonly string[] = [
  'info',
  'store',
  'retrieve',
  'delete',
  'delete_all',
  'delete_before',
  'expire',
  'expire_all',
  'get_expiries',
  'get_swarm',
  'get_snodes_for_pubkey',
  'oxend_request',
  'revoke_subaccount',
  'unrevoke_subaccount',
  'revoked_subaccounts',
  'active_nodes_bin',
  'batch',
  'sequence',
  'ifelse',
];

/** Methods that the entry node forwards to its swarm (spec/storage-server §2.7). */
export const RECURSIVE_METHODS: ReadonlySet<string> = new Set([
  'store',
  'delete',
  'delete_all',
  'delete_before',
  'expire',
  'expire_all',
  'revoke_subaccount',
  'unrevoke_subaccount',
] satisfies RecursiveMethod[]);

export function isRecursive(request: StorageRequest): request is RecursiveRequest {
  return RECURSIVE_METHODS.has(request.method);
}

/** Whether all given conditions hold (spec/storage-server §2.9.16). */
export function conditionsHold(
  conditions: IfElseConditions,
  now: { readonly hf: readonly number[]; readonly version: readonly number[]; readonly height: number },
): boolean {
  const { hfAtLeast, hfBefore, versionAtLeast, versionBefore, heightAtLeast, heightBefore } = conditions;
  return (
    (hfAtLeast === undefined || compare(now.hf, hfAtLeast) >= 0) &&
    (hfBefore === undefined || compare(now.hf, hfBefore) < 0) &&
    (versionAtLeast === undefined || compare(now.version, versionAtLeast) >= 0) &&
    (versionBefore === undefined || compare(now.version, versionBefore) < 0) &&
    (heightAtLeast === undefined || now.height >= heightAtLeast) &&
    (heightBefore === undefined || now.height < heightBefore)
  );
}

/** Lexicographic; missing numbers are 0. */
function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Turns the ParseError of a decoder into an absent value, so that the caller finds the right text. */
export function attempt(decode: (text: string) => Uint8Array, text: string): Uint8Array | undefined {
  try {
    return decode(text);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
