// SPDX-License-Identifier: MIT
// Reads requests of the storage RPC from JSON and bt-encoding (spec/storage-server §2.4, §2.5, §2.9; forwarded copies §5.6).
// Both carriers go through the same parsers, over a reader of fields that knows what differs.
import { fromUtf8 } from '../bytes.ts';
import { type BtDict, decodeBtDict } from '../codec/bencode.ts';
import { isLightJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';
import { isOpenRetrieve } from './namespaces.ts';
import {
  BtFields,
  cut,
  type Fields,
  invalid,
  invalidValue,
  isObject,
  isTimestamp,
  JsonFields,
  type JsonParams,
  missing,
  TIMESTAMP,
} from './request-fields.ts';
import {
  type AccountPubkey,
  type DeleteAllRequest,
  type DeleteBeforeRequest,
  type DeleteRequest,
  type ExpireAllRequest,
  type ExpireRequest,
  type GetExpiriesRequest,
  type IfElseConditions,
  type IfElseRequest,
  METHOD_NAMES,
  OXEND_ENDPOINTS,
  type OxendRequest,
  RECURSIVE_METHODS,
  type RecursiveRequest,
  type RequestAuth,
  RequestError,
  type RetrieveRequest,
  type RevokedSubaccountsRequest,
  type SimpleRequest,
  type StorageRequest,
  type StoreRequest,
} from './requests.ts';

// From the specification, spec/storage-server §2.9 and §7.
const MAX_REVOKED = 50;
const HASH_LENGTH = 43;
/** §2.9.2: hops give up after 30 s. */
export const MAX_WAIT_MS = 25_000;
const BAD_PUBKEY = 'Pubkey must be 66 hex digits (33 bytes) long';
const BAD_SWARM_PUBKEY = 'Pubkey must be 66 hex digits/33 bytes long';

// Ours.
/** `ifelse` in `ifelse`: each level costs stack. */
const MAX_IFELSE_DEPTH = 16;
/** Each hash costs a node several look-ups in one transaction, at every member; clients name a few hundred at most. */
const MAX_MESSAGES = 10_000;

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
  if (messages.length > MAX_MESSAGES) {
    throw invalid(`messages contains more than ${MAX_MESSAGES} message hashes`);
  }
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
  const text = required(fields.text('endpoint'), 'endpoint');
  const endpoint = OXEND_ENDPOINTS.find((known) => known === text);
  if (endpoint === undefined) throw invalid(`Invalid oxend endpoint '${cut(text)}'`);
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
  const branch = (name: 'then' | 'else') =>
    fields.branch(name, (method, params) => branchRequest(name, method, params, depth));
  const then = branch('then');
  return { method: 'ifelse', conditions, then, else: branch('else') };
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
      return { method, requests: fields.subrequests(subrequest) };
    case 'ifelse':
      return parseIfElse(fields, depth);
    default:
      return undefined;
  }
}

function noMethod(method: string): RequestError {
  return new RequestError(`no method ${cut(method)}`);
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
    const text = fromUtf8(bytes);
    return isLightJson(text) ? { value: JSON.parse(text) } : undefined;
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
