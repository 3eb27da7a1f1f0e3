// SPDX-License-Identifier: MIT
// (types first; parsers follow)

import type { BtDict } from '../codec/bencode.ts';
import type { Json } from '../codec/json.ts';
import { AlliumError } from '../errors.ts';

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
export interface OxendRequest {
  readonly method: 'oxend_request';
  readonly endpoint: 'get_service_nodes' | 'ons_resolve';
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

/** Names under which requests come, the alias `get_snodes_for_pubkey` included. */
export declare const METHOD_NAMES: readonly string[];
export declare const RECURSIVE_METHODS: ReadonlySet<string>;
export declare function isRecursive(request: StorageRequest): request is RecursiveRequest;

/** 66 hex digits or 33 raw bytes. Undefined: neither. */
export declare function accountPubkey(value: string | Uint8Array): AccountPubkey | undefined;
/** @throws ParseError */
export declare function parseAccountPubkey(value: string | Uint8Array): AccountPubkey;

/** `params` already read from JSON. @throws RequestError */
export declare function parseJsonRequest(
  method: string,
  params: Readonly<Record<string, unknown>>,
): StorageRequest;
/** Byte strings of the result share memory with the dict. @throws RequestError */
export declare function parseBtRequest(method: string, params: BtDict): StorageRequest;
/** `{"method":…,"params":{…}}` (§2.4). @throws RequestError */
export declare function decodeJsonBody(body: Uint8Array): StorageRequest;
/** OMQ carrier: parameters of a named method, empty, JSON or a bt dict. @throws RequestError */
export declare function decodeMethodBody(
  method: string,
  body: Uint8Array,
): { readonly request: StorageRequest; readonly isBt: boolean };
/** The JSON body that a client sends. */
export declare function encodeJsonBody(request: StorageRequest): Uint8Array;
/** The dict of `sn.storage_cc` (§5.6). */
export declare function encodeForward(request: RecursiveRequest): Uint8Array;
/** The other side: @throws RequestError, also for methods that are not recursive */
export declare function decodeForward(method: string, dict: Uint8Array): RecursiveRequest;
/** All given conditions of an `ifelse` hold (§2.9.16). */
export declare function conditionsHold(
  conditions: IfElseConditions,
  now: { readonly hf: readonly number[]; readonly version: readonly number[]; readonly height: number },
): boolean;
