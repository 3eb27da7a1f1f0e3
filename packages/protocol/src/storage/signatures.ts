// SPDX-License-Identifier: MIT
// What is signed in storage requests and in the answers of nodes, and who may sign (spec/storage-server §2.6, §2.8).

import { ed25519PublicKeyToX25519, ed25519Verify } from '#crypto';
import { equal, utf8 } from '../bytes.ts';
import { parseSubaccountToken, SubaccountFlag, subaccountAllows } from '../identity/subaccount.ts';
import { messageHashText } from './message-hash.ts';
import { isPublicOutbox, isUnrevocable } from './namespaces.ts';
import type {
  AccountPubkey,
  DeleteAllRequest,
  DeleteBeforeRequest,
  DeleteRequest,
  ExpireAllRequest,
  ExpireRequest,
  GetExpiriesRequest,
  RecursiveRequest,
  RequestAuth,
  RetrieveRequest,
  RevokedSubaccountsRequest,
  RevokeSubaccountRequest,
  StoreRequest,
  UnrevokeSubaccountRequest,
} from './requests.ts';
import type {
  DeleteAllNodeResult,
  DeleteNodeResult,
  ExpireAllNodeResult,
  ExpireNodeResult,
  HashesByNamespace,
  NodeResultOf,
  StoreNodeResult,
} from './responses.ts';

/** Requests that can carry a signature. */
export type SignableRequest =
  | StoreRequest
  | RetrieveRequest
  | DeleteRequest
  | DeleteAllRequest
  | DeleteBeforeRequest
  | ExpireRequest
  | ExpireAllRequest
  | GetExpiriesRequest
  | RevokeSubaccountRequest
  | UnrevokeSubaccountRequest
  | RevokedSubaccountsRequest;

/** The same before it is signed. */
export type UnsignedRequest = Unsigned<SignableRequest>;
type Unsigned<R> = R extends unknown ? Omit<R, 'auth'> : never;

/** What the client signs (the table of spec/storage-server §2.8). */
export function signedText(request: UnsignedRequest): Uint8Array {
  switch (request.method) {
    case 'store':
      return utf8(`store${space(request.namespace)}${request.signatureTimestamp ?? request.timestamp}`);
    case 'retrieve':
      return utf8(`retrieve${space(request.namespace)}${request.timestamp ?? ''}`);
    case 'delete':
      return utf8(`delete${request.messages.join('')}`);
    case 'delete_all':
      return utf8(`delete_all${space(request.namespace)}${request.timestamp}`);
    case 'delete_before':
      return utf8(`delete_before${space(request.namespace)}${request.before}`);
    case 'expire': {
      const mode = request.shorten ? 'shorten' : request.extend ? 'extend' : '';
      return utf8(`expire${mode}${request.expiries.join('')}${request.messages.join('')}`);
    }
    case 'expire_all':
      return utf8(`expire_all${space(request.namespace)}${request.expiry}`);
    case 'get_expiries':
      return utf8(`get_expiries${request.timestamp}${request.messages.join('')}`);
    case 'revoke_subaccount':
    case 'unrevoke_subaccount':
      return withTokens(`${request.method}${request.timestamp}`, request.tokens);
    case 'revoked_subaccounts':
      return utf8(`revoked_subaccounts${request.timestamp}`);
  }
}

/** What a subscriber signs for `monitor` (spec/storage-server §5.8). Namespaces ascend. */
export function monitorSignedText(subscription: {
  readonly account: AccountPubkey;
  /** In seconds, unlike all other times. */
  readonly timestampSeconds: number;
  readonly wantsData: boolean;
  readonly namespaces: readonly number[];
}): Uint8Array {
  const { account, timestampSeconds, wantsData, namespaces } = subscription;
  return utf8(`MONITOR${account.hex}${timestampSeconds}${wantsData ? 1 : 0}${namespaces.join(',')}`);
}

/** Not `concat(…tokens)`: the tokens of a foreign request may be more than the stack has room for. */
function withTokens(head: string, tokens: readonly Uint8Array[]): Uint8Array {
  const start = utf8(head);
  const text = new Uint8Array(tokens.reduce((length, token) => length + token.length, start.length));
  text.set(start);
  let offset = start.length;
  for (const token of tokens) {
    text.set(token, offset);
    offset += token.length;
  }
  return text;
}

/** NS of the table: nothing for namespace 0. */
function space(namespace: number | 'all'): string {
  return namespace === 0 ? '' : String(namespace);
}

export interface VerifyOptions {
  /** Whether a subaccount token (36 bytes) stands on the account's revocation list. Absent: none does. */
  readonly isRevoked?: ((token: Uint8Array) => boolean) | undefined;
  /** A memoized `ed25519PublicKeyToX25519`, for callers who meet the same keys again and again. */
  readonly toX25519?: ((ed25519Key: Uint8Array) => Uint8Array | undefined) | undefined;
}

/**
 * Whether the request is signed by one who may make it, in the order of spec/storage-server §2.6. False when there is
 * no signature; whether one is needed is the caller's question. `expire` needs the write flag here, see `expireMode`.
 */
export function verifyRequest(request: SignableRequest, options: VerifyOptions = {}): boolean {
  const { account, auth } = request;
  if (auth === undefined) return false;
  let key = account.key;
  if (auth.ed25519Key !== undefined) {
    if (account.prefix !== 0x05) return false;
    const converted = (options.toX25519 ?? ed25519PublicKeyToX25519)(auth.ed25519Key);
    if (converted === undefined || !equal(converted, account.key)) return false;
    key = auth.ed25519Key;
  }
  if (auth.subaccount !== undefined) {
    const flags = requiredFlags(request);
    if (flags === undefined) return false;
    const isExempt = request.method === 'retrieve' && isUnrevocable(request.namespace);
    if (!isExempt && options.isRevoked?.(auth.subaccount.token)) return false;
    const token = parseSubaccountToken(auth.subaccount.token);
    if (!subaccountAllows(token, account.prefix, flags)) return false;
    if (!ed25519Verify(auth.subaccount.signature, token.bytes, key)) return false;
    key = token.ed25519Key;
  }
  return ed25519Verify(auth.signature, signedText(request), key);
}

/** Undefined: for the master key only. */
function requiredFlags(request: SignableRequest): number | undefined {
  switch (request.method) {
    case 'store':
      return isPublicOutbox(request.namespace)
        ? SubaccountFlag.write | SubaccountFlag.delete
        : SubaccountFlag.write;
    case 'expire':
      return SubaccountFlag.write;
    case 'retrieve':
    case 'get_expiries':
      return SubaccountFlag.read;
    case 'delete':
    case 'delete_all':
    case 'delete_before':
    case 'expire_all':
      return SubaccountFlag.delete;
    default:
      return undefined;
  }
}

/**
 * What a verified `expire` may do (spec/storage-server §2.9.7): a subaccount without the delete flag only extends.
 * Undefined: it asked to shorten, to be answered with 400.
 */
export function expireMode(request: ExpireRequest): 'set' | 'shorten' | 'extend' | undefined {
  const { subaccount } = request.auth;
  const mayDelete =
    subaccount === undefined || (parseSubaccountToken(subaccount.token).flags & SubaccountFlag.delete) !== 0;
  if (request.shorten) return mayDelete ? 'shorten' : undefined;
  return request.extend || !mayDelete ? 'extend' : 'set';
}

/** Signs for an account or, with a token, for a subaccount. */
export interface RequestSigner {
  sign(message: Uint8Array): Uint8Array;
  /** For accounts of prefix 05: the account's Ed25519 key, sent as `pubkey_ed25519`. */
  readonly ed25519Key?: Uint8Array | undefined;
  readonly subaccount?: RequestAuth['subaccount'];
}

/** The request with its signature. */
export function signRequest<R extends UnsignedRequest>(
  request: R,
  signer: RequestSigner,
): R & { readonly auth: RequestAuth } {
  const signature = signer.sign(signedText(request));
  const { ed25519Key, subaccount } = signer;
  return { ...request, auth: { signature, ed25519Key, subaccount } };
}

/** A node's entry before it is signed. */
export type UnsignedNodeResult<R extends RecursiveRequest> = Omit<NodeResultOf<R['method']>, 'signature'>;

/** What a node signs in its entry of the answer (spec/storage-server §2.8). Lists of hashes are sorted here. */
export function nodeSignedText<R extends RecursiveRequest>(
  request: R,
  result: UnsignedNodeResult<R>,
): Uint8Array {
  return textOfNode(request, result);
}

function textOfNode(request: RecursiveRequest, result: object): Uint8Array {
  const { hex } = request.account;
  switch (request.method) {
    case 'store':
      return utf8((result as StoreNodeResult).hash);
    case 'delete': {
      const { deleted } = result as DeleteNodeResult;
      return utf8(hex + request.messages.join('') + joinSorted(deleted));
    }
    case 'delete_all':
      return utf8(`${hex}${request.timestamp}${joinSorted((result as DeleteAllNodeResult).deleted)}`);
    case 'delete_before':
      return utf8(`${hex}${request.before}${joinSorted((result as DeleteAllNodeResult).deleted)}`);
    case 'expire': {
      const { expiry, updated, unchanged = {} } = result as ExpireNodeResult;
      const expiries = typeof expiry === 'number' ? String(expiry) : expiry.join('');
      let text = hex + expiries + request.messages.join('') + joinSorted(updated);
      for (const hash of Object.keys(unchanged).sort()) text += hash + unchanged[hash];
      return utf8(text);
    }
    case 'expire_all':
      return utf8(`${hex}${request.expiry}${joinSorted((result as ExpireAllNodeResult).updated)}`);
    case 'revoke_subaccount':
    case 'unrevoke_subaccount':
      return withTokens(`${hex}${request.timestamp}`, request.tokens);
  }
}

/** Hashes are ASCII: code units sort like bytes. Those of all namespaces are sorted together. */
function joinSorted(hashes: readonly string[] | HashesByNamespace): string {
  const list = Array.isArray(hashes) ? [...hashes] : Object.values(hashes).flat();
  return list.sort().join('');
}

/**
 * Whether a node's entry is signed by that node and is about this request. A signature of `store` covers the hash
 * only: that it is the hash of the data is checked here, its `expiry` is the word of the entry node.
 */
export function verifyNodeResult<R extends RecursiveRequest>(
  request: R,
  nodeKey: Uint8Array,
  result: NodeResultOf<R['method']>,
): boolean {
  if (request.method === 'store') {
    if ((result as StoreNodeResult).hash !== hashOf(request)) return false;
  }
  return ed25519Verify(result.signature, textOfNode(request, result), nodeKey);
}

/** Every member of a swarm names the same one. */
const hashes = new WeakMap<StoreRequest, string>();

function hashOf(request: StoreRequest): string {
  let hash = hashes.get(request);
  if (hash === undefined) {
    hash = messageHashText(request.account.bytes, request.namespace, request.data);
    hashes.set(request, hash);
  }
  return hash;
}
