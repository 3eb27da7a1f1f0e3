// SPDX-License-Identifier: MIT
// Requests of the storage RPC: what they hold, and how they are read from JSON and bt-encoding and written again
// (spec/storage-server §2.4, §2.5, §2.9; forwarded copies §5.6). One topic in one file although it is long: each
// method stands once as a type, once as a parser and once as an encoder.
//
// Both carriers are read by the same parsers through a reader of fields (`JsonFields`, `BtFields`) that knows what
// differs: text and base64 against raw bytes, and a few rules that JSON alone has. Every text below is exact: clients
// compare them.

import { fromBase64, fromHex, fromUtf8, toBase64, toBinary, toHex, utf8 } from '../bytes.ts';
import { type BtDict, type BtInput, type BtValue, decodeBtDict, encodeBt } from '../codec/bencode.ts';
import { checkJson, type Json, type JsonInput, parseJson, stringifyJson } from '../codec/json.ts';
import { AlliumError, ParseError } from '../errors.ts';
import { isOpenRetrieve } from './namespaces.ts';

// From the specification, spec/storage-server §2.9 and §7.
const MAX_DATA_LENGTH = 76_800;
const MAX_DATA_TEXT = 102_400;
const MAX_SUBREQUESTS = 20;
const MAX_REVOKED = 50;
const HASH_LENGTH = 43;
const TOKEN_LENGTH = 36;
/** §2.9.2: hops give up after 30 s. */
export const MAX_WAIT_MS = 25_000;
/** 10^6 seconds: a smaller number was meant as seconds. */
const MIN_JSON_TIMESTAMP = 1_000_000_000;

// Ours.
/** `ifelse` in `ifelse`: each level costs stack. */
const MAX_IFELSE_DEPTH = 16;
/** Foreign text in an answer is cut: otherwise 10 MiB of nonsense are sent back. */
const MAX_QUOTED = 200;

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

function invalid(text: string): RequestError {
  return new RequestError(`invalid request: ${text}`);
}

function invalidValue(name: string, expected: string): RequestError {
  return invalid(`Invalid value given for '${name}': expected ${expected}`);
}

function missing(name: string): RequestError {
  return invalid(`Required field '${name}' missing`);
}

function cut(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}

/** Turns the ParseError of a decoder into an absent value, so that the caller finds the right text. */
function attempt(decode: (text: string) => Uint8Array, text: string): Uint8Array | undefined {
  try {
    return decode(text);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

// --- accounts -------------------------------------------------------------------------------------------------------

/** 66 hex digits of either case, or 33 raw bytes (spec/storage-server §2.1). @throws ParseError `account_id` */
export function parseAccountPubkey(value: string | Uint8Array): AccountPubkey {
  const account = accountPubkey(value);
  if (account === undefined) throw new ParseError('account_id', 'neither 66 hex digits nor 33 bytes');
  return account;
}

function accountPubkey(value: string | Uint8Array): AccountPubkey | undefined {
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

// --- fields of the two carriers -------------------------------------------------------------------------------------

/** Members of a request. An absent one is undefined; a wrong type throws the text of §2.5. */
interface Fields {
  has(name: string): boolean;
  text(name: string): string | undefined;
  flag(name: string): boolean;
  integer(name: string): number | undefined;
  /** `inMs`: refuse what looks like seconds; JSON only. */
  timestamp(name: string, inMs: boolean): number | undefined;
  /** `timestamp` and `ttl` of `store`: decimal text is allowed in JSON. */
  storeTime(name: string, expected: string): number | undefined;
  namespace(): number | undefined;
  namespaceOrAll(): number | 'all';
  texts(name: string): string[] | undefined;
  timestamps(name: string): number[] | undefined;
  integers(name: string, max: number): number[] | undefined;
  account(name: string): AccountPubkey | undefined;
  ed25519Key(): Uint8Array | undefined;
  signature(): Uint8Array | undefined;
  subaccount(): SubaccountAuth | undefined;
  tokens(name: string): Uint8Array[] | undefined;
  data(): Uint8Array | undefined;
  json(name: string): Json | undefined;
  subrequests(): SimpleRequest[];
  conditions(): Fields | undefined;
  branch(name: string, depth: number): StorageRequest | undefined;
}

const TIMESTAMP = 'integer timestamp (in milliseconds)';
const NO_SIGNATURE_JSON = 'expected base64 encoded Ed25519 signature';
const NO_SIGNATURE_BT = 'expected 64-byte Ed25519 signature';
const NO_ED25519_KEY = 'Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey';
const BAD_PUBKEY = 'Pubkey must be 66 hex digits (33 bytes) long';
const BAD_SWARM_PUBKEY = 'Pubkey must be 66 hex digits/33 bytes long';
const DATA_TOO_LONG = `Message body exceeds maximum allowed length of ${MAX_DATA_LENGTH} bytes`;

function isTimestamp(value: unknown): value is number {
  // Ours: times beyond 2^53 are refused (spec/storage-server §1.3 has none) rather than rounded.
  return typeof value === 'number' && value >= 0 && Number.isSafeInteger(value);
}

function checkedNamespace(value: number | bigint): number {
  if (value < -32768 || value > 32767) {
    throw invalid("Invalid value given for 'namespace': value out of range");
  }
  return Number(value);
}

/** 64 hex digits or 32 raw bytes, given as text. */
function ed25519KeyOfText(text: string): Uint8Array {
  if (text.length === 64) {
    const key = attempt(fromHex, text);
    if (key === undefined) throw invalid('invalid pubkey_ed25519: value is not hex');
    return key;
  }
  const raw = text.length <= 32 ? utf8(text) : undefined;
  if (raw?.length !== 32) throw invalid(NO_ED25519_KEY);
  return raw;
}

/** 86 characters, or 88 of which the last two are padding. */
function signatureOfText(text: string): Uint8Array | undefined {
  if (text.length !== 86 && !(text.length === 88 && text.endsWith('=='))) return undefined;
  const signature = attempt(fromBase64, text);
  return signature?.length === 64 ? signature : undefined;
}

/** 48 base64 characters or 72 hex digits. */
function tokenOfText(text: string): Uint8Array | undefined {
  const token =
    text.length === 48 ? attempt(fromBase64, text) : text.length === 72 ? attempt(fromHex, text) : undefined;
  return token?.length === TOKEN_LENGTH ? token : undefined;
}

type JsonParams = Readonly<Record<string, unknown>>;

class JsonFields implements Fields {
  readonly params: JsonParams;

  constructor(params: JsonParams) {
    this.params = params;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** null counts as absent. */
  get(name: string): unknown {
    return this.params[name] ?? undefined;
  }

  text(name: string): string | undefined {
    const value = this.get(name);
    if (value === undefined || typeof value === 'string') return value;
    throw invalidValue(name, 'string');
  }

  flag(name: string): boolean {
    const value = this.get(name);
    if (value === undefined) return false;
    if (typeof value === 'boolean') return value;
    throw invalidValue(name, 'boolean');
  }

  integer(name: string): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
    throw invalidValue(name, 'integer');
  }

  timestamp(name: string, inMs: boolean): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!isTimestamp(value)) throw invalidValue(name, TIMESTAMP);
    if (inMs && value < MIN_JSON_TIMESTAMP) {
      throw invalid(`Invalid timestamp for '${name}': timestamp must be in milliseconds`);
    }
    return value;
  }

  storeTime(name: string, expected: string): number | undefined {
    const value = this.get(name);
    if (typeof value === 'string') {
      const time = /^[0-9]{1,16}$/.test(value) ? Number(value) : -1;
      if (!isTimestamp(time)) throw invalid(`Invalid value given for '${name}': "${cut(value)}"`);
      return time;
    }
    if (value === undefined || isTimestamp(value)) return value;
    throw invalidValue(name, expected);
  }

  namespace(): number | undefined {
    const value = this.get('namespace');
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value))
      throw invalidValue('namespace', '16-bit integer');
    return checkedNamespace(value);
  }

  namespaceOrAll(): number | 'all' {
    const value = this.get('namespace');
    if (value === undefined) return 0;
    if (value === 'all') return 'all';
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw invalidValue('namespace', 'integer or "all"');
    }
    return checkedNamespace(value);
  }

  /** An array, or a scalar in place of an array of one. */
  list<T>(name: string, expected: string, isItem: (value: unknown) => value is T): T[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value)) {
      if (value.every(isItem)) return value;
    } else if (isItem(value)) return [value];
    throw invalidValue(name, expected);
  }

  texts(name: string): string[] | undefined {
    return this.list(name, 'string array', (value) => typeof value === 'string');
  }

  timestamps(name: string): number[] | undefined {
    return this.list(name, 'timestamp array', isTimestamp);
  }

  integers(name: string, max: number): number[] | undefined {
    const values = this.list(
      name,
      'integer array',
      Number.isSafeInteger as (value: unknown) => value is number,
    );
    if (values !== undefined && values.length > max) throw invalidValue(name, 'integer array');
    return values;
  }

  account(name: string): AccountPubkey | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : accountPubkey(text);
  }

  ed25519Key(): Uint8Array | undefined {
    const text = this.text('pubkey_ed25519');
    return text === undefined ? undefined : ed25519KeyOfText(text);
  }

  signature(): Uint8Array | undefined {
    const text = this.text('signature');
    if (text === undefined) return undefined;
    const signature = signatureOfText(text);
    if (signature === undefined) throw invalid(`invalid signature: ${NO_SIGNATURE_JSON}`);
    return signature;
  }

  subaccount(): SubaccountAuth | undefined {
    const text = this.text('subaccount');
    const signatureText = this.text('subaccount_sig');
    if (text === undefined || text === '') return undefined;
    if (signatureText === undefined) throw noSubaccountSignature();
    const token = tokenOfText(text);
    if (token === undefined) {
      throw invalid('invalid subaccount: expected base64 or hex-encoded subaccount token');
    }
    const signature = signatureOfText(signatureText);
    if (signature === undefined) throw invalid(`invalid subaccount signature: ${NO_SIGNATURE_JSON}`);
    return { token, signature };
  }

  tokens(name: string): Uint8Array[] | undefined {
    return this.texts(name)?.map((text) => {
      const token = tokenOfText(text);
      if (token === undefined) {
        throw invalid(`invalid ${name}: expected base64 or hex-encoded subaccount tag`);
      }
      return token;
    });
  }

  data(): Uint8Array | undefined {
    const text = this.text('data');
    if (text === undefined) return undefined;
    if (text.length > MAX_DATA_TEXT) throw invalid(DATA_TOO_LONG); // before it is decoded
    const data = attempt(fromBase64, text);
    if (data === undefined) throw invalid("Invalid 'data' value: not base64 encoded");
    return data;
  }

  json(name: string): Json | undefined {
    const value = this.get(name) as Json | undefined;
    if (value === undefined) return undefined;
    checkDepth(value);
    return value;
  }

  subrequests(): SimpleRequest[] {
    const requests = this.params.requests;
    if (!Array.isArray(requests) || requests.length === 0) throw noRequests();
    if (requests.length > MAX_SUBREQUESTS) throw tooManyRequests();
    return requests.map((request: unknown) => {
      if (!isObject(request)) throw invalid('Invalid batch request: requests must be objects');
      const { method, params } = request;
      if (typeof method !== 'string' || !isObject(params)) {
        throw invalid('Invalid batch request: subrequests must have method/params keys');
      }
      return subrequest(method, new JsonFields(params));
    });
  }

  conditions(): Fields | undefined {
    const value = this.get('if');
    return isObject(value) ? new JsonFields(value) : undefined;
  }

  branch(name: string, depth: number): StorageRequest | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw invalid(`Invalid ifelse request: ${name} must be an object`);
    const { method, params } = value;
    if (typeof method !== 'string' || !isObject(params)) throw noBranchKeys(name);
    return branchRequest(name, method, new JsonFields(params), depth);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

class BtFields implements Fields {
  readonly params: BtDict;

  constructor(params: BtDict) {
    this.params = params;
  }

  has(name: string): boolean {
    return this.params.has(name);
  }

  bytes(name: string): Uint8Array | undefined {
    const value = this.params.get(name);
    if (value === undefined || value instanceof Uint8Array) return value;
    throw invalidValue(name, 'string');
  }

  text(name: string): string | undefined {
    const bytes = this.bytes(name);
    return bytes === undefined ? undefined : toBinary(bytes);
  }

  flag(name: string): boolean {
    const value = this.params.get(name);
    if (value === undefined) return false;
    if (value === 0 || value === 1) return value === 1;
    throw invalidValue(name, 'boolean');
  }

  integer(name: string): number | undefined {
    const value = this.params.get(name);
    if (value === undefined || typeof value === 'number') return value;
    throw invalidValue(name, 'integer');
  }

  timestamp(name: string): number | undefined {
    return this.storeTime(name, TIMESTAMP);
  }

  storeTime(name: string, expected: string): number | undefined {
    const value = this.params.get(name);
    if (value === undefined || isTimestamp(value)) return value;
    throw invalidValue(name, expected);
  }

  namespace(): number | undefined {
    const value = this.params.get('namespace');
    if (value === undefined) return undefined;
    if (typeof value !== 'number' && typeof value !== 'bigint')
      throw invalidValue('namespace', '16-bit integer');
    return checkedNamespace(value);
  }

  namespaceOrAll(): number | 'all' {
    const value = this.params.get('namespace');
    if (value === undefined) return 0;
    if (typeof value === 'number' || typeof value === 'bigint') return checkedNamespace(value);
    if (value instanceof Uint8Array && value.length === 3 && toBinary(value) === 'all') return 'all';
    throw invalidValue('namespace', 'integer or "all"');
  }

  list<T>(name: string, expected: string, item: (value: BtValue) => T | undefined): T[] | undefined {
    const value = this.params.get(name);
    if (value === undefined) return undefined;
    const items: T[] = [];
    for (const element of Array.isArray(value) ? value : [value]) {
      const parsed = item(element);
      if (parsed === undefined) throw invalidValue(name, expected);
      items.push(parsed);
    }
    return items;
  }

  texts(name: string): string[] | undefined {
    return this.list(name, 'string array', (v) => (v instanceof Uint8Array ? toBinary(v) : undefined));
  }

  timestamps(name: string): number[] | undefined {
    return this.list(name, 'timestamp array', (v) => (isTimestamp(v) ? v : undefined));
  }

  integers(name: string, max: number): number[] | undefined {
    const values = this.list(name, 'integer array', (v) => (typeof v === 'number' ? v : undefined));
    if (values !== undefined && values.length > max) throw invalidValue(name, 'integer array');
    return values;
  }

  account(name: string): AccountPubkey | undefined {
    const bytes = this.bytes(name);
    return bytes === undefined ? undefined : accountPubkey(bytes);
  }

  ed25519Key(): Uint8Array | undefined {
    const bytes = this.bytes('pubkey_ed25519');
    if (bytes === undefined || bytes.length === 32) return bytes;
    if (bytes.length !== 64) throw invalid(NO_ED25519_KEY);
    return ed25519KeyOfText(toBinary(bytes));
  }

  signature(): Uint8Array | undefined {
    const bytes = this.bytes('signature');
    if (bytes === undefined || bytes.length === 64) return bytes;
    throw invalid(`invalid signature: ${NO_SIGNATURE_BT}`);
  }

  subaccount(): SubaccountAuth | undefined {
    const token = this.bytes('subaccount');
    const signature = this.bytes('subaccount_sig');
    if (token === undefined || token.length === 0) return undefined;
    if (signature === undefined) throw noSubaccountSignature();
    if (token.length !== TOKEN_LENGTH) throw invalid('invalid subaccount token: invalid token length');
    if (signature.length !== 64) throw invalid(`invalid subaccount signature: ${NO_SIGNATURE_BT}`);
    return { token, signature };
  }

  tokens(name: string): Uint8Array[] | undefined {
    const tokens = this.list(name, 'string array', (v) => (v instanceof Uint8Array ? v : undefined));
    if (tokens?.some((token) => token.length !== TOKEN_LENGTH)) {
      throw invalid(`invalid ${name} subaccount: invalid subaccount tag length`);
    }
    return tokens;
  }

  data(): Uint8Array | undefined {
    const data = this.bytes('data');
    if (data !== undefined && data.length > MAX_DATA_LENGTH) throw invalid(DATA_TOO_LONG);
    return data;
  }

  json(name: string): Json | undefined {
    const bytes = this.bytes(name);
    if (bytes === undefined) return undefined;
    try {
      const value = parseJson(fromUtf8(bytes));
      return value === null ? undefined : value;
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      throw invalid('oxend_request params field does not contain valid json');
    }
  }

  subrequests(): SimpleRequest[] {
    const requests = this.params.get('requests');
    if (!Array.isArray(requests)) throw noRequests();
    if (requests.length === 0) throw invalid('Invalid batch request: empty "requests" list');
    if (requests.length > MAX_SUBREQUESTS) throw tooManyRequests();
    return requests.map((request) => {
      if (!(request instanceof Map)) throw invalid('Invalid batch request: requests must be dicts');
      const method = request.get('method');
      const params = request.get('params');
      if (!(method instanceof Uint8Array)) {
        throw invalid('Invalid batch request: subrequests must have a method');
      }
      if (!(params instanceof Map)) {
        throw invalid('Invalid batch request: subrequests must have a params dict');
      }
      return subrequest(toBinary(method), new BtFields(params));
    });
  }

  conditions(): Fields | undefined {
    const value = this.params.get('if');
    return value instanceof Map ? new BtFields(value) : undefined;
  }

  branch(name: string, depth: number): StorageRequest | undefined {
    const value = this.params.get(name);
    if (value === undefined) return undefined;
    if (!(value instanceof Map)) throw invalid(`Invalid ifelse request: ${name} must be an object`);
    const method = value.get('method');
    const params = value.get('params');
    if (!(method instanceof Uint8Array) || !(params instanceof Map)) throw noBranchKeys(name);
    return branchRequest(name, toBinary(method), new BtFields(params), depth);
  }
}

function noSubaccountSignature(): RequestError {
  return invalid('invalid subaccount: subaccount_sig is required when using subaccount');
}

function noRequests(): RequestError {
  return invalid('Invalid batch request: no valid "requests" field');
}

function tooManyRequests(): RequestError {
  return invalid('Invalid batch request: subrequest limit exceeded');
}

function noBranchKeys(name: string): RequestError {
  return invalid(`Invalid ifelse request: ${name} must have method/params keys`);
}

function checkDepth(value: Json): void {
  try {
    checkJson(value);
  } catch {
    throw invalidValue('params', 'JSON that nests less deeply');
  }
}

// --- parsers of the methods -----------------------------------------------------------------------------------------

/** `pubkey`, where `aliased` also under its old name `pubKey`. */
function requiredAccount(fields: Fields, aliased: boolean, text = BAD_PUBKEY): AccountPubkey {
  let name = 'pubkey';
  if (aliased && fields.has('pubKey')) {
    if (fields.has('pubkey')) throw invalid("Cannot specify both 'pubkey' and 'pubKey'");
    name = 'pubKey';
  }
  const account = fields.account(name);
  if (account !== undefined) return account;
  throw fields.has(name) ? invalid(text) : missing('pubkey');
}

function ed25519KeyFor(fields: Fields, account: AccountPubkey): Uint8Array | undefined {
  if (account.prefix !== 0x05 && fields.has('pubkey_ed25519')) {
    throw invalid('pubkey_ed25519 is only permitted for 05[...] pubkeys');
  }
  return fields.ed25519Key();
}

function requiredAuth(fields: Fields, account: AccountPubkey, allowsSubaccount: boolean): RequestAuth {
  const ed25519Key = ed25519KeyFor(fields, account);
  const signature = fields.signature();
  if (signature === undefined) throw missing('signature');
  return { signature, ed25519Key, subaccount: allowsSubaccount ? fields.subaccount() : undefined };
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw missing(name);
  return value;
}

function parseStore(fields: Fields): StoreRequest {
  const account = requiredAccount(fields, true);
  const timestamp = required(fields.storeTime('timestamp', TIMESTAMP), 'timestamp');
  const ttl = fields.storeTime('ttl', 'positive integer');
  let expiry = fields.timestamp('expiry', true);
  if (expiry === undefined) {
    if (ttl === undefined) throw invalid("Required field 'expiry' or 'ttl' missing");
    expiry = timestamp + ttl;
    if (!isTimestamp(expiry)) throw invalidValue('ttl', 'positive integer');
  } else if (ttl !== undefined) throw invalid("Cannot specify both 'expiry' and 'ttl'");
  const data = required(fields.data(), 'data');
  const namespace = fields.namespace() ?? 0;
  const ed25519Key = ed25519KeyFor(fields, account);
  const signature = fields.signature();
  if (signature === undefined) {
    return {
      method: 'store',
      account,
      namespace,
      timestamp,
      expiry,
      data,
      auth: undefined,
      signatureTimestamp: undefined,
    };
  }
  const auth = { signature, ed25519Key, subaccount: fields.subaccount() };
  const signatureTimestamp = fields.timestamp('sig_timestamp', true) ?? timestamp;
  return { method: 'store', account, namespace, timestamp, expiry, data, auth, signatureTimestamp };
}

function parseRetrieve(fields: Fields): RetrieveRequest {
  const account = requiredAccount(fields, true);
  const explicitNamespace = fields.namespace();
  const namespace = explicitNamespace ?? 0;
  let lastHash = fields.text('last_hash');
  const oldName = fields.text('lastHash');
  if (oldName !== undefined) {
    if (lastHash !== undefined) throw invalid("Cannot specify both 'last_hash' and 'lastHash'");
    lastHash = oldName;
  }
  if (lastHash === '') lastHash = undefined;
  if (lastHash !== undefined) {
    if (lastHash.length !== HASH_LENGTH) throw invalid('Invalid last_hash: expected base64 (43 chars)');
    if (!isHash(lastHash)) throw invalid('Invalid last_hash: not base64');
  }
  const maxCount = fields.integer('max_count');
  const maxSize = fields.integer('max_size');
  const wait = fields.integer('wait');
  if (wait !== undefined && (wait < 0 || wait > MAX_WAIT_MS)) {
    throw invalid("Invalid value given for 'wait': value out of range");
  }
  let timestamp: number | undefined;
  let auth: RequestAuth | undefined;
  if (
    fields.has('pubkey_ed25519') ||
    fields.has('signature') ||
    fields.has('timestamp') ||
    (explicitNamespace !== undefined && !isOpenRetrieve(explicitNamespace))
  ) {
    auth = requiredAuth(fields, account, true);
    // Ours (spec/storage-server §2.9.2): undefined behaviour upstream.
    timestamp = required(fields.timestamp('timestamp', true), 'timestamp');
  }
  return { method: 'retrieve', account, namespace, lastHash, maxCount, maxSize, wait, timestamp, auth };
}

function isHash(text: string): boolean {
  return text.length === HASH_LENGTH && /^[A-Za-z0-9+/]*$/.test(text);
}

function requiredMessages(fields: Fields): string[] {
  const messages = required(fields.texts('messages'), 'messages');
  if (messages.length === 0) throw invalid('messages does not contain any message hashes');
  return messages;
}

function requiredHashes(fields: Fields): string[] {
  const messages = requiredMessages(fields);
  for (const message of messages)
    if (!isHash(message)) throw invalid(`invalid message hash: ${cut(message)}`);
  return messages;
}

function parseDelete(fields: Fields): DeleteRequest {
  const account = requiredAccount(fields, false);
  const messages = requiredHashes(fields);
  const auth = requiredAuth(fields, account, true);
  return { method: 'delete', account, messages, required: fields.flag('required'), auth };
}

function parseDeleteAll(fields: Fields): DeleteAllRequest {
  const account = requiredAccount(fields, false);
  const namespace = fields.namespaceOrAll();
  const timestamp = required(fields.timestamp('timestamp', true), 'timestamp');
  return { method: 'delete_all', account, namespace, timestamp, auth: requiredAuth(fields, account, true) };
}

function parseDeleteBefore(fields: Fields): DeleteBeforeRequest {
  const account = requiredAccount(fields, false);
  const namespace = fields.namespaceOrAll();
  const before = required(fields.timestamp('before', true), 'before');
  return { method: 'delete_before', account, namespace, before, auth: requiredAuth(fields, account, true) };
}

function parseExpire(fields: Fields): ExpireRequest {
  const account = requiredAccount(fields, false);
  const messages = requiredHashes(fields);
  const expiries = required(fields.timestamps('expiry'), 'expiry');
  if (expiries.length === 0) throw invalid("'expiry' does not contain any expiration timestamps");
  const shorten = fields.flag('shorten');
  const extend = fields.flag('extend');
  if (shorten && extend) throw invalid("cannot specify both 'shorten' and 'extend'");
  if (expiries.length > 1 && expiries.length !== messages.length) {
    throw invalid("'expiry' must be a single expiry, or the same length as 'messages'");
  }
  const auth = requiredAuth(fields, account, true);
  return { method: 'expire', account, messages, expiries, shorten, extend, auth };
}

function parseExpireAll(fields: Fields): ExpireAllRequest {
  const account = requiredAccount(fields, false);
  const namespace = fields.namespaceOrAll();
  const expiry = required(fields.timestamp('expiry', true), 'expiry');
  return { method: 'expire_all', account, namespace, expiry, auth: requiredAuth(fields, account, true) };
}

function parseGetExpiries(fields: Fields): GetExpiriesRequest {
  const account = requiredAccount(fields, false);
  const messages = requiredMessages(fields);
  const timestamp = required(fields.timestamp('timestamp', true), 'timestamp');
  return { method: 'get_expiries', account, messages, timestamp, auth: requiredAuth(fields, account, true) };
}

function parseOxend(fields: Fields): OxendRequest {
  const endpoint = required(fields.text('endpoint'), 'endpoint');
  if (endpoint !== 'get_service_nodes' && endpoint !== 'ons_resolve') {
    throw invalid(`Invalid oxend endpoint '${cut(endpoint)}'`);
  }
  return { method: 'oxend_request', endpoint, params: fields.json('params') };
}

function parseRevoke<M extends 'revoke_subaccount' | 'unrevoke_subaccount'>(
  method: M,
  name: string,
  fields: Fields,
): {
  method: M;
  account: AccountPubkey;
  tokens: Uint8Array[];
  timestamp: number;
  auth: RequestAuth;
} {
  const account = requiredAccount(fields, false);
  const tokens = required(fields.tokens(name), name);
  if (method === 'revoke_subaccount' && tokens.length > MAX_REVOKED) {
    throw invalid(`invalid revoke: cannot revoke more than ${MAX_REVOKED} subaccounts at once`);
  }
  const timestamp = required(fields.timestamp('timestamp', true), 'timestamp');
  return { method, account, tokens, timestamp, auth: requiredAuth(fields, account, false) };
}

function parseRevoked(fields: Fields): RevokedSubaccountsRequest {
  const account = requiredAccount(fields, false);
  const timestamp = required(fields.timestamp('timestamp', true), 'timestamp');
  return { method: 'revoked_subaccounts', account, timestamp, auth: requiredAuth(fields, account, false) };
}

function subrequest(method: string, fields: Fields): SimpleRequest {
  if (method === 'batch' || method === 'sequence' || method === 'ifelse') {
    throw invalid('Invalid batch subrequest: subrequests may not contain meta-requests');
  }
  const request = parse(method, fields, 0);
  if (request === undefined) throw invalid(`Invalid batch subrequest: invalid method "${cut(method)}"`);
  return request as SimpleRequest;
}

function branchRequest(name: string, method: string, fields: Fields, depth: number): StorageRequest {
  if (depth >= MAX_IFELSE_DEPTH) throw invalid('Invalid ifelse request: nested too deeply');
  const request = parse(method, fields, depth + 1);
  // (sic): upstream names the branch, not the method.
  if (request === undefined) throw invalid(`Invalid ifelse request method "${name}"`);
  return request;
}

function parseIfElse(fields: Fields, depth: number): IfElseRequest {
  const given = fields.conditions();
  if (given === undefined) throw invalid('Invalid ifelse request: no valid "if" field');
  const conditions: IfElseConditions = {
    hfAtLeast: given.integers('hf_at_least', 2),
    hfBefore: given.integers('hf_before', 2),
    versionAtLeast: given.integers('v_at_least', 3),
    versionBefore: given.integers('v_before', 3),
    heightAtLeast: given.integer('height_at_least'),
    heightBefore: given.integer('height_before'),
  };
  if (Object.values(conditions).every((condition) => condition === undefined)) {
    throw invalid('Invalid ifelse request: must specify at least one "if" condition');
  }
  if (!fields.has('then') && !fields.has('else')) {
    throw invalid('Invalid ifelse request: at least one of "then"/"else" required');
  }
  const then = fields.branch('then', depth);
  return { method: 'ifelse', conditions, then, else: fields.branch('else', depth) };
}

/** Undefined: no such method. */
function parse(method: string, fields: Fields, depth: number): StorageRequest | undefined {
  switch (method) {
    case 'store':
      return parseStore(fields);
    case 'retrieve':
      return parseRetrieve(fields);
    case 'info':
      return { method: 'info' };
    case 'delete':
      return parseDelete(fields);
    case 'delete_all':
      return parseDeleteAll(fields);
    case 'delete_before':
      return parseDeleteBefore(fields);
    case 'expire':
      return parseExpire(fields);
    case 'expire_all':
      return parseExpireAll(fields);
    case 'get_expiries':
      return parseGetExpiries(fields);
    case 'get_swarm':
    case 'get_snodes_for_pubkey':
      return { method: 'get_swarm', account: requiredAccount(fields, true, BAD_SWARM_PUBKEY) };
    case 'oxend_request':
      return parseOxend(fields);
    case 'revoke_subaccount':
      return parseRevoke(method, 'revoke', fields);
    case 'unrevoke_subaccount':
      return parseRevoke(method, 'unrevoke', fields);
    case 'revoked_subaccounts':
      return parseRevoked(fields);
    case 'active_nodes_bin':
      return { method: 'active_nodes_bin' };
    case 'batch':
    case 'sequence':
      return { method, requests: fields.subrequests() };
    case 'ifelse':
      return parseIfElse(fields, depth);
    default:
      return undefined;
  }
}

function noMethod(method: string): RequestError {
  return new RequestError(`no method ${cut(method)}`);
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

/**
 * A request whose parameters were read by `JSON.parse`.
 * @throws RequestError
 */
export function parseJsonRequest(method: string, params: JsonParams): StorageRequest {
  const request = parse(method, new JsonFields(params), 0);
  if (request === undefined) throw noMethod(method);
  return request;
}

/**
 * A request whose parameters are a bt dict. Byte strings of the result share memory with the dict.
 * @throws RequestError
 */
export function parseBtRequest(method: string, params: BtDict): StorageRequest {
  const request = parse(method, new BtFields(params), 0);
  if (request === undefined) throw noMethod(method);
  return request;
}

/**
 * The body of `/storage_rpc/v1` and of a final onion hop: `{"method":…,"params":{…}}` (spec/storage-server §2.4).
 * @throws RequestError
 */
export function decodeJsonBody(body: Uint8Array): StorageRequest {
  const call = plainJson(body);
  if (call === undefined) throw new RequestError('invalid json');
  const { method, params } = (isObject(call.value) ? call.value : {}) as Record<string, unknown>;
  if (typeof method !== 'string') throw new RequestError('invalid json: no `method` field');
  if (!isObject(params)) throw new RequestError('invalid json: no `params` field');
  return parseJsonRequest(method, params);
}

/** `JSON.parse` without exact big integers: no parameter needs them, and this is the path of every request. */
function plainJson(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(fromUtf8(bytes)) };
  } catch {
    return undefined;
  }
}

/**
 * The body part of OMQ: parameters of a named method as nothing, a bt dict, or JSON. A bt request wants a bt answer.
 * @throws RequestError
 */
export function decodeMethodBody(
  method: string,
  body: Uint8Array,
): { readonly request: StorageRequest; readonly isBt: boolean } {
  if (body.length === 0) return { request: parseJsonRequest(method, {}), isBt: false };
  if (body[0] === 0x64) {
    const params = attemptDict(body);
    if (params === undefined) throw notABody();
    return { request: parseBtRequest(method, params), isBt: true };
  }
  const params = plainJson(body)?.value;
  if (!isObject(params)) throw notABody();
  return { request: parseJsonRequest(method, params), isBt: false };
}

function notABody(): RequestError {
  return new RequestError('invalid body: expected json or bt_dict');
}

function attemptDict(bytes: Uint8Array): BtDict | undefined {
  try {
    return decodeBtDict(bytes);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/**
 * A forwarded copy as it comes in `sn.storage_cc` (spec/storage-server §5.6). Undefined: unknown method, no reply.
 * @throws RequestError
 */
export function decodeForward(method: string, dict: Uint8Array): RecursiveRequest | undefined {
  if (!RECURSIVE_METHODS.has(method)) {
    if (!METHOD_NAMES.includes(method)) return undefined;
    throw invalid('received invalid forwarded non-forwardable request');
  }
  const params = attemptDict(dict);
  if (params === undefined) throw notABody();
  return parseBtRequest(method, params) as RecursiveRequest;
}

// --- encoders -------------------------------------------------------------------------------------------------------

/** The dict of `sn.storage_cc` (spec/storage-server §5.6). */
export function encodeForward(request: RecursiveRequest): Uint8Array {
  return encodeBt(forwardDict(request));
}

function forwardDict(request: RecursiveRequest): { readonly [key: string]: BtInput | undefined } {
  const { auth } = request;
  // Names in ascending order, as encodeBt wants them.
  switch (request.method) {
    case 'store':
      return {
        data: request.data,
        expiry: request.expiry,
        namespace: request.namespace === 0 ? undefined : request.namespace,
        pubkey: request.account.bytes,
        pubkey_ed25519: auth?.ed25519Key,
        sig_timestamp: auth === undefined ? undefined : request.signatureTimestamp,
        signature: auth?.signature,
        subaccount: auth?.subaccount?.token,
        subaccount_sig: auth?.subaccount?.signature,
        timestamp: request.timestamp,
      };
    case 'delete':
      return { messages: request.messages, ...signedMembers(request) };
    case 'delete_all':
      return { namespace: request.namespace, ...signedMembers(request), timestamp: request.timestamp };
    case 'delete_before':
      return { before: request.before, namespace: request.namespace, ...signedMembers(request) };
    case 'expire':
      return {
        expiry: request.expiries.length === 1 ? request.expiries[0] : request.expiries,
        extend: request.extend || undefined,
        messages: request.messages,
        shorten: request.shorten || undefined,
        ...signedMembers(request),
      };
    case 'expire_all':
      return { expiry: request.expiry, namespace: request.namespace, ...signedMembers(request) };
    case 'revoke_subaccount':
      return { ...signedMembers(request), revoke: request.tokens, timestamp: request.timestamp };
    case 'unrevoke_subaccount':
      return { ...signedMembers(request), timestamp: request.timestamp, unrevoke: request.tokens };
  }
}

function signedMembers({
  account,
  auth,
}: {
  readonly account: AccountPubkey;
  readonly auth?: RequestAuth | undefined;
}) {
  return {
    pubkey: account.bytes,
    pubkey_ed25519: auth?.ed25519Key,
    signature: auth?.signature,
    subaccount: auth?.subaccount?.token,
    subaccount_sig: auth?.subaccount?.signature,
  };
}

/** The JSON body that a client sends. */
export function encodeJsonBody(request: StorageRequest): Uint8Array {
  return utf8(stringifyJson(jsonCall(request)));
}

function jsonCall(request: StorageRequest): { readonly method: string; readonly params: JsonInput } {
  return { method: request.method, params: jsonParams(request) };
}

function jsonParams(request: StorageRequest): { readonly [name: string]: JsonInput | undefined } {
  switch (request.method) {
    case 'info':
    case 'active_nodes_bin':
      return {};
    case 'store':
      return {
        ...jsonSigned(request),
        namespace: request.namespace === 0 ? undefined : request.namespace,
        timestamp: request.timestamp,
        ...storeLifetime(request),
        sig_timestamp:
          request.signatureTimestamp === request.timestamp ? undefined : request.signatureTimestamp,
        data: toBase64(request.data),
      };
    case 'retrieve':
      return {
        ...jsonSigned(request),
        namespace: request.namespace === 0 ? undefined : request.namespace,
        last_hash: request.lastHash,
        max_count: request.maxCount,
        max_size: request.maxSize,
        wait: request.wait,
        timestamp: request.timestamp,
      };
    case 'delete':
      return {
        ...jsonSigned(request),
        messages: request.messages,
        required: request.required || undefined,
      };
    case 'delete_all':
      return { ...jsonSigned(request), namespace: request.namespace, timestamp: request.timestamp };
    case 'delete_before':
      return { ...jsonSigned(request), namespace: request.namespace, before: request.before };
    case 'expire':
      return {
        ...jsonSigned(request),
        messages: request.messages,
        expiry: request.expiries.length === 1 ? request.expiries[0] : request.expiries,
        shorten: request.shorten || undefined,
        extend: request.extend || undefined,
      };
    case 'expire_all':
      return { ...jsonSigned(request), namespace: request.namespace, expiry: request.expiry };
    case 'get_expiries':
      return { ...jsonSigned(request), messages: request.messages, timestamp: request.timestamp };
    case 'get_swarm':
      return { pubkey: request.account.hex };
    case 'oxend_request':
      return { endpoint: request.endpoint, params: request.params };
    case 'revoke_subaccount':
      return { ...jsonSigned(request), revoke: request.tokens.map(toBase64), timestamp: request.timestamp };
    case 'unrevoke_subaccount':
      return { ...jsonSigned(request), unrevoke: request.tokens.map(toBase64), timestamp: request.timestamp };
    case 'revoked_subaccounts':
      return { ...jsonSigned(request), timestamp: request.timestamp };
    case 'batch':
    case 'sequence':
      return { requests: request.requests.map(jsonCall) };
    case 'ifelse': {
      const { conditions } = request;
      return {
        if: {
          hf_at_least: conditions.hfAtLeast,
          hf_before: conditions.hfBefore,
          v_at_least: conditions.versionAtLeast,
          v_before: conditions.versionBefore,
          height_at_least: conditions.heightAtLeast,
          height_before: conditions.heightBefore,
        },
        // biome-ignore lint/suspicious/noThenProperty: the name is that of the wire
        then: request.then && jsonCall(request.then),
        else: request.else && jsonCall(request.else),
      };
    }
  }
}

/** `ttl` is what clients send (spec/client §2.10); it cannot say that a message is past. */
function storeLifetime({
  timestamp,
  expiry,
}: StoreRequest): { readonly ttl: number } | { readonly expiry: number } {
  return expiry >= timestamp ? { ttl: expiry - timestamp } : { expiry };
}

function jsonSigned({
  account,
  auth,
}: {
  readonly account: AccountPubkey;
  readonly auth?: RequestAuth | undefined;
}) {
  return {
    pubkey: account.hex,
    pubkey_ed25519: auth?.ed25519Key && toHex(auth.ed25519Key),
    signature: auth && toBase64(auth.signature),
    subaccount: auth?.subaccount && toBase64(auth.subaccount.token),
    subaccount_sig: auth?.subaccount && toBase64(auth.subaccount.signature),
  };
}

// --- conditions of `ifelse` -----------------------------------------------------------------------------------------

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
