// SPDX-License-Identifier: MIT
// Fuzz targets: bt-encoding, JSON, and all that nodes and clients of the storage RPC read from each other. A target
// throws only on a bug: something other than the typed error, or a result that does not survive being written again.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import vectors from '../../../vectors/storage-server.json' with { type: 'json' };
import { concat, equal, fromHex, toBase64, utf8 } from '../src/bytes.ts';
import { type BtInput, decodeBt, decodeBtDict, encodeBt } from '../src/codec/bencode.ts';
import { type Json, parseJson, stringifyJson } from '../src/codec/json.ts';
import { ParseError } from '../src/errors.ts';
import { decodeActiveNodes, encodeActiveNodes } from '../src/storage/active-nodes.ts';
import { decodeDataPush, encodeDataPush } from '../src/storage/data-push.ts';
import {
  decodeMessageNotification,
  decodeMonitorRequest,
  encodeMessageNotification,
  encodeMonitorReply,
  encodeMonitorRequest,
  isMonitorRefusal,
  type MonitorRefusal,
  type MonitorSubscription,
} from '../src/storage/monitor.ts';
import {
  decodeReconcileReply,
  decodeReconcileRequest,
  encodeReconcileRequest,
} from '../src/storage/reconcile.ts';
import { decodeForward, decodeJsonBody, decodeMethodBody } from '../src/storage/request-reader.ts';
import { encodeForward, encodeJsonBody } from '../src/storage/request-writer.ts';
import {
  METHOD_NAMES,
  RECURSIVE_METHODS,
  type RecursiveMethod,
  type RecursiveRequest,
  RequestError,
  type StorageRequest,
} from '../src/storage/requests.ts';
import { swarmEntry, toBtResult, toJsonResult } from '../src/storage/response-writer.ts';
import {
  parseBatchResult,
  parseGetExpiriesResult,
  parseInfoResult,
  parseNodeReply,
  parseRecursiveResult,
  parseRetrieveResult,
  parseRevokedSubaccountsResult,
  parseSwarm,
} from '../src/storage/responses.ts';
import {
  decodeJsonRpc,
  decodeJsonRpcAnswer,
  encodeSeedRequest,
  jsonRpcResult,
  parseServiceNodeList,
  parseServiceNodeQuery,
  serviceNodeListJson,
} from '../src/storage/service-node-list.ts';
import { nodeSignedText, signedText } from '../src/storage/signatures.ts';

const NOW = 1_700_000_000_123;
const HASH = 'D78g/cvw1LF8J4YhYGnbnn5TsowgT3HGlrMvb9xCRKU';
const PUBKEY = vectors.keys.account.session_id;
const SIGNATURE = fromHex('ab'.repeat(64));
const TOKEN = fromHex(`03030000${'cd'.repeat(32)}`);
const STAMP = { t: NOW, hf: [21, 2] };
const ALL_METHODS = [...METHOD_NAMES];
const ALL_RECURSIVE = [...RECURSIVE_METHODS] as RecursiveMethod[];

function sure(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Runs a reader; undefined when it refused with its typed error. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParseError || error instanceof RequestError) return undefined;
    throw error;
  }
}

const jsonAuth = {
  pubkey: PUBKEY,
  pubkey_ed25519: vectors.keys.account.pubkey_ed25519,
  signature: toBase64(SIGNATURE),
  subaccount: toBase64(TOKEN),
  subaccount_sig: toBase64(SIGNATURE),
};
const btAuth = {
  pubkey: fromHex(PUBKEY),
  pubkey_ed25519: fromHex(vectors.keys.account.pubkey_ed25519),
  signature: SIGNATURE,
  subaccount: TOKEN,
  subaccount_sig: SIGNATURE,
};
/** Parameters of each method besides the account and the signature. */
const params: Record<string, { [name: string]: Json }> = {
  info: {},
  store: { timestamp: NOW, ttl: 60_000, namespace: 11, sig_timestamp: NOW, data: 'aGVsbG8=' },
  retrieve: { namespace: -10, last_hash: HASH, max_count: 5, max_size: -8, wait: 20_000, timestamp: NOW },
  delete: { messages: [HASH, HASH], required: true },
  delete_all: { namespace: 'all', timestamp: NOW },
  delete_before: { namespace: -42, before: NOW },
  expire: { messages: [HASH, HASH], expiry: [NOW, NOW + 1], shorten: true },
  expire_all: { namespace: 0, expiry: NOW },
  get_expiries: { messages: [HASH, 'x'], timestamp: NOW },
  get_swarm: {},
  get_snodes_for_pubkey: {},
  revoke_subaccount: { revoke: [toBase64(TOKEN)], timestamp: NOW },
  unrevoke_subaccount: { unrevoke: toBase64(TOKEN), timestamp: NOW },
  revoked_subaccounts: { timestamp: NOW },
  active_nodes_bin: {},
  oxend_request: { endpoint: 'ons_resolve', params: { type: 0, name_hash: 'ab' } },
};
const withAuth = (method: string): { [name: string]: Json } => ({ ...jsonAuth, ...params[method] });
const subrequests = Object.keys(params)
  .slice(0, 4)
  .map((method) => ({ method, params: withAuth(method) }));
params.batch = { requests: subrequests };
params.sequence = { requests: subrequests };
params.ifelse = {
  if: { hf_at_least: [19, 1], v_before: 3, height_before: 9 },
  // biome-ignore lint/suspicious/noThenProperty: the name is that of the wire
  then: { method: 'batch', params: { requests: subrequests } },
  else: { method: 'info', params: {} },
};
const jsonBodies = Object.keys(params).map((method) =>
  utf8(stringifyJson({ method, params: withAuth(method) })),
);
const btParams = (method: string): BtInput => ({
  ...(params[method] as { readonly [key: string]: BtInput }),
  ...btAuth,
  ...(method === 'store' && { data: utf8('hello') }),
  ...(method.startsWith('revoke_') && { revoke: [TOKEN] }),
  ...(method.startsWith('unrevoke_') && { unrevoke: [TOKEN] }),
  ...(method === 'oxend_request' && { params: '{"type":0}' }),
});
/** A byte that chooses the method, then its parameters. */
const methodBodies = ALL_METHODS.flatMap((method, index) => [
  concat(Uint8Array.of(index), encodeBt(btParams(method))),
  concat(Uint8Array.of(index), utf8(stringifyJson(withAuth(method)))),
]);

const isSubscription = (entry: MonitorSubscription | MonitorRefusal): entry is MonitorSubscription =>
  !isMonitorRefusal(entry);

/** A request that was read can be signed, sent and forwarded. */
function checkRequest(request: StorageRequest): void {
  if ('auth' in request && request.auth !== undefined) signedText(request);
  // Times in seconds are refused in JSON alone.
  const again = attempt(() => decodeJsonBody(encodeJsonBody(request)));
  if (again !== undefined) sure(equal(encodeJsonBody(again), encodeJsonBody(request)), 'a request changed');
  if (ALL_RECURSIVE.includes(request.method as RecursiveMethod)) {
    const dict = encodeForward(request as RecursiveRequest);
    const copy = decodeForward(request.method, dict)!;
    sure(equal(encodeForward(copy), dict), 'a forwarded copy changed');
  }
}

const nodeResults: Record<string, BtInput> = {
  store: { hash: HASH, expiry: NOW, already: true, signature: SIGNATURE },
  delete: { deleted: [HASH], signature: SIGNATURE },
  delete_all: { deleted: { '0': [HASH], '-42': [HASH] }, signature: SIGNATURE },
  delete_before: { deleted: [HASH], signature: SIGNATURE },
  expire: { expiry: [NOW, NOW], updated: [HASH, HASH], unchanged: { [HASH]: NOW }, signature: SIGNATURE },
  expire_all: { updated: { '3': [HASH] }, signature: SIGNATURE },
  revoke_subaccount: { signature: SIGNATURE },
  unrevoke_subaccount: { count: 5, signature: SIGNATURE },
};
const failed = { failed: true, code: '401', reason: 'text', timeout: true, query_failure: true };
const nodeKey = vectors.keys.nodes[0]!.pubkey_ed25519;
const entry = swarmEntry({
  ed25519Key: fromHex(nodeKey),
  ed25519Hex: nodeKey,
  x25519Hex: vectors.keys.nodes[0]!.pubkey_x25519,
  host: '203.0.113.7',
  httpsPort: 22021,
  omqPort: 22020,
});
const message = { hash: HASH, timestamp: NOW, expiration: NOW, data: utf8('hello') };
const results: object[] = [
  { messages: [message, message], more: true, ...STAMP },
  { version: [2, 11, 0], timestamp: NOW, ...STAMP },
  { expiries: { [HASH]: NOW } },
  { revoked_subaccounts: [TOKEN], ...STAMP },
  { snodes: [entry, entry], swarm: 'fedcba9876543210', ...STAMP },
  {
    results: [
      { code: 200, body: { ...STAMP } },
      { code: 401, body: 'text' },
    ],
  },
  ...Object.values(nodeResults).map((result) => ({
    swarm: { [nodeKey]: result, [nodeKey.replace('6', '7')]: failed },
    hash: HASH,
    ...STAMP,
  })),
];
const parsers: ((json: unknown) => object)[] = [
  parseRetrieveResult,
  parseInfoResult,
  parseGetExpiriesResult,
  parseRevokedSubaccountsResult,
  parseSwarm,
  (json) => parseBatchResult(json, 20),
  ...ALL_RECURSIVE.map((method) => (json: unknown) => parseRecursiveResult(method, json)),
];
/** A request of each recursive method, for the text that nodes sign. */
const recursiveRequests = ALL_RECURSIVE.map((method) => decodeForward(method, encodeBt(btParams(method)))!);

const network = {
  height: 123,
  blockHash: 'ab'.repeat(32),
  members: [1n, 2n ** 64n - 1n].map((swarmId) => ({
    ed25519Hex: nodeKey,
    x25519Hex: entry.pubkey_x25519,
    host: '203.0.113.7',
    httpsPort: 22021,
    omqPort: 22020,
    swarmId,
    active: true,
    version: [2, 11, 0] as const,
  })),
};
const first = { below: () => 0 };
const listJson = serviceNodeListJson(network, parseServiceNodeQuery({}), first);

export const targets: Record<string, FuzzTarget> = {
  bencode: {
    seeds: [
      ...vectors.bt_encoding.encode.map(({ encoded_hex }) => fromHex(encoded_hex)),
      ...ALL_METHODS.map((method) => encodeBt(btParams(method))),
    ],
    run(input) {
      const value = attempt(() => decodeBt(input));
      if (value !== undefined) sure(equal(encodeBt(value), input), 'another encoding');
    },
  },
  json: {
    seeds: [...jsonBodies, utf8(listJson)],
    run(input) {
      const text = String.fromCharCode(...input.subarray(0, 20_000));
      const value = attempt(() => parseJson(text));
      if (value !== undefined)
        sure(stringifyJson(parseJson(stringifyJson(value))) === stringifyJson(value), 'changed');
    },
  },
  storageBody: {
    seeds: jsonBodies,
    run(input) {
      const request = attempt(() => decodeJsonBody(input));
      if (request !== undefined) checkRequest(request);
    },
  },
  storageMethod: {
    seeds: methodBodies,
    run(input) {
      const method = ALL_METHODS[(input[0] ?? 0) % ALL_METHODS.length]!;
      const decoded = attempt(() => decodeMethodBody(method, input.subarray(1)));
      if (decoded !== undefined) checkRequest(decoded.request);
    },
  },
  storageForward: {
    seeds: ALL_RECURSIVE.map((method, index) => concat(Uint8Array.of(index), encodeBt(btParams(method)))),
    run(input) {
      const method = ALL_RECURSIVE[(input[0] ?? 0) % ALL_RECURSIVE.length]!;
      const request = attempt(() => decodeForward(method, input.subarray(1)));
      if (request !== undefined) checkRequest(request);
    },
  },
  storageNodeReply: {
    seeds: ALL_RECURSIVE.flatMap((method, index) =>
      [nodeResults[method]!, failed].map((result) => concat(Uint8Array.of(index), encodeBt(result))),
    ),
    run(input) {
      const index = (input[0] ?? 0) % ALL_RECURSIVE.length;
      const method = ALL_RECURSIVE[index]!;
      const result = attempt(() => parseNodeReply(method, decodeBtDict(input.subarray(1))));
      if (result === undefined) return;
      const written = toBtResult(result);
      sure(equal(toBtResult(parseNodeReply(method, decodeBtDict(written))), written), 'a reply changed');
      if (!('failed' in result)) nodeSignedText(recursiveRequests[index]!, result as never);
    },
  },
  storageResult: {
    seeds: results.map((result, index) => concat(Uint8Array.of(index), utf8(toJsonResult(result)))),
    run(input) {
      const parse = parsers[(input[0] ?? 0) % parsers.length]!;
      const json = attempt(() => parseJson(String.fromCharCode(...input.subarray(1, 20_000))));
      const result = json === undefined ? undefined : attempt(() => parse(json));
      if (result !== undefined) toJsonResult(result);
    },
  },
  dataPush: {
    seeds: vectors.data_push.map(({ blob }) => fromHex(blob)),
    run(input) {
      const messages = attempt(() => decodeDataPush(input));
      if (messages === undefined) return;
      const [blob] = [...encodeDataPush(messages)];
      sure(equal([...encodeDataPush(decodeDataPush(blob!))][0]!, blob!), 'a blob changed');
    },
  },
  reconcile: {
    seeds: [
      encodeReconcileRequest({ ask: 'list', kind: 'a', cutoff: 17, prefix: new Uint8Array(2) }),
      encodeReconcileRequest({ ask: 'get', kind: 'm', keys: [new Uint8Array(32)] }),
      encodeReconcileRequest({
        ask: 'put',
        kind: 'a',
        acts: [{ method: 'delete', time: 1, body: new Uint8Array(3) }],
      }),
    ],
    run(input) {
      attempt(() => decodeReconcileReply(input));
      const request = attempt(() => decodeReconcileRequest(input));
      if (request === undefined) return;
      const written = encodeReconcileRequest(request);
      sure(equal(encodeReconcileRequest(decodeReconcileRequest(written)), written), 'a question changed');
    },
  },
  monitor: {
    seeds: vectors.omq_messages
      .filter(({ name }) => name.startsWith('monitor') || name.startsWith('notification'))
      .map(({ parts }) => fromHex(parts.at(-1)!)),
    run(input) {
      const { isList, entries } = decodeMonitorRequest(input);
      encodeMonitorReply(
        entries.map((entry) => (isMonitorRefusal(entry) ? entry : 'success')),
        isList,
      );
      const good = entries.filter(isSubscription);
      const written = encodeMonitorRequest(good, true);
      const again = decodeMonitorRequest(written).entries.filter(isSubscription);
      sure(equal(encodeMonitorRequest(again, true), written), 'a subscription changed');
      const notification = attempt(() => decodeMessageNotification(input));
      if (notification === undefined) return;
      const bytes = encodeMessageNotification(notification);
      sure(
        equal(encodeMessageNotification(decodeMessageNotification(bytes)), bytes),
        'a notification changed',
      );
    },
  },
  activeNodes: {
    seeds: [fromHex(vectors.active_nodes_bin.blob)],
    run(input) {
      const nodes = attempt(() => decodeActiveNodes(input));
      if (nodes !== undefined) sure(equal(encodeActiveNodes(nodes), input), 'another encoding');
    },
  },
  serviceNodeList: {
    seeds: [utf8(jsonRpcResult('0', listJson)), utf8(jsonRpcResult(1, '{"unchanged":true}'))],
    run(input) {
      attempt(() => parseServiceNodeList(decodeJsonRpcAnswer(input)));
    },
  },
  jsonRpc: {
    seeds: [
      encodeSeedRequest(),
      utf8(
        '{"method":"get_service_nodes","params":{"fields":["all","-height"],"limit":-1,"poll_block_hash":"ab"}}',
      ),
      utf8(
        `{"method":"get_service_nodes","params":{"service_node_pubkeys":["${nodeKey}"],"active_only":true}}`,
      ),
    ],
    run(input) {
      const call = decodeJsonRpc(input);
      if ('error' in call) return;
      const query = attempt(() => parseServiceNodeQuery(call.params));
      if (query !== undefined) JSON.parse(jsonRpcResult(call.id, serviceNodeListJson(network, query, first)));
    },
  },
};
