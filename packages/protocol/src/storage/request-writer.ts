// SPDX-License-Identifier: MIT
// Writes requests of the storage RPC: as JSON for nodes (spec/storage-server §2.4), as a bt dict for forwarded copies (§5.6).
import { toBase64, toHex, utf8 } from '../bytes.ts';
import { type BtInput, encodeBt } from '../codec/bencode.ts';
import { type JsonInput, stringifyJson } from '../codec/json.ts';
import type {
  AccountPubkey,
  RecursiveRequest,
  RequestAuth,
  StorageRequest,
  StoreRequest,
} from './requests.ts';

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
