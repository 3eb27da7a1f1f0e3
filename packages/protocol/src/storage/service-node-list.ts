// SPDX-License-Identifier: MIT
// The node list as JSON: `get_service_nodes` and its aliases, over `POST /json_rpc`, OMQ `rpc.get_service_nodes` and
// `oxend_request` (spec/storage-server §3.3, §3.4; field names spec/chain §1.15, their meaning for us §4.21, §4.23). And
// the little of JSON-RPC 2.0 that the bootstrap needs.

import { fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.ts';
import {
  isLightJson,
  type Json,
  type JsonInput,
  type JsonObject,
  parseJson,
  stringifyJson,
} from '../codec/json.ts';
import { type Random, sample } from '../env.ts';
import { ParseError } from '../errors.ts';
import { reasonCodes } from '../membership/reasons.ts';
import { encodeSignedProof, type SignedUptimeProof } from '../membership/uptime-proof.ts';
import { isUsableIpv4 } from './responses.ts';

/** Methods that answer with the list. */
export const SERVICE_NODE_METHODS: ReadonlySet<string> = new Set([
  'get_service_nodes',
  'get_n_service_nodes',
  'get_all_service_nodes',
]);

// From the specification, spec/chain §4.21.
const HARDFORK = 21;
const SNODE_REVISION = 2;

// From the specification, spec/chain §1.14, §1.15.
const ALL_PORTIONS = 2n ** 64n - 4n;
const MILLIONTHS_PER_BPS = 100;

/** Ours: longest list of nodes to look up, and longest list of fields. */
const MAX_PUBKEYS = 10_000;
const MAX_FIELDS = 200;
/** Longest name of an operator: an address of any chain. */
const MAX_OPERATOR_LENGTH = 128;
/** An uptime proof as base64, with room. */
const MAX_PROOF_TEXT = 2048;

/** What is known of a node; `Member` of a membership fits. */
export interface ListedNode {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  /** `0.0.0.0`: unknown. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
  readonly active: boolean;
  readonly version: readonly [number, number, number];
  /** Absent in networks without chain. */
  readonly registration?: ListedRegistration;
}

/** What the node that answers found out about another by testing it; unix seconds, 0: never since its start. */
export interface ListedTests {
  /** False: it fails for long. Also true before the first test. */
  readonly reachable: boolean;
  /** Since when it fails; 0: it did not at the last test. */
  readonly firstUnreachable: number;
  readonly lastUnreachable: number;
  readonly lastReachable: number;
  /** Of the newest questions for its time: answered, and not. */
  readonly answers: readonly [number, number];
  /** Of its newest answers: with a clock that agrees, and with another. */
  readonly clocks: readonly [number, number];
}

/** What the chain says of a node; heights count two minutes each, 0 for never (spec/chain §4.21). */
export interface ListedRegistration {
  readonly payable: boolean;
  readonly registrationHeight: number;
  readonly requestedUnlockHeight: number;
  /** Since when it is in its state. */
  readonly stateHeight: number;
  /** Credit, or what is left of it while decommissioned, in heights. */
  readonly earnedDowntimeBlocks: number;
  /** Bits of the newest state change that all, and that some, of its voters gave. */
  readonly reasonsAll: number;
  readonly reasonsAny: number;
  /** Of the operator, hundredths of a percent. */
  readonly feeBps: number;
  readonly operator: string;
  /** Atomic units. */
  readonly stake: bigint;
  readonly contributors: readonly {
    readonly staker: string;
    readonly beneficiary: string;
    readonly amount: bigint;
  }[];
  /** Absent until a proof came. */
  readonly proof?: {
    /** Unix seconds. */
    readonly receivedAt: number;
    readonly nodeVersion: readonly [number, number, number];
    readonly signed: Pick<SignedUptimeProof, 'bytes' | 'signature'>;
  };
}

export interface ListedNetwork {
  readonly height: number;
  /** 64 hex digits. */
  readonly blockHash: string;
  readonly members: readonly ListedNode[];
  /** Absent where nobody is tested. */
  readonly testsOf?: (ed25519Hex: string) => ListedTests;
}

export interface ServiceNodeQuery {
  readonly activeOnly: boolean;
  /** 0: all; n > 0: so many at random; n < 0: all, shuffled. */
  readonly limit: number;
  readonly pollBlockHash?: string | undefined;
  /** Only these nodes, keys in lower-case hex. */
  readonly pubkeys?: ReadonlySet<string> | undefined;
  readonly wants: (field: string) => boolean;
  /** Ours: `proof` is long, so it is given only to those who name it (spec/chain §4.22). */
  readonly wantsProofs: boolean;
}

/** Parameters of the request; absent ones mean all nodes with all fields. @throws ParseError `node_list` */
export function parseServiceNodeQuery(params: Json | undefined): ServiceNodeQuery {
  const given = params === undefined || params === null ? {} : object(params, 'params');
  const pubkeys = list(given.service_node_pubkeys, 'service_node_pubkeys', MAX_PUBKEYS);
  const limit = given.limit ?? 0;
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit)) throw malformed('limit');
  const activeOnly = given.active_only ?? false;
  if (typeof activeOnly !== 'boolean') throw malformed('active_only');
  const pollBlockHash = given.poll_block_hash ?? undefined;
  if (pollBlockHash !== undefined && typeof pollBlockHash !== 'string') throw malformed('poll_block_hash');
  return {
    activeOnly,
    limit,
    pollBlockHash,
    pubkeys: pubkeys && pubkeys.length > 0 ? new Set(pubkeys.map((key) => key.toLowerCase())) : undefined,
    wants: fieldFilter(given.fields),
    wantsProofs: namesField(given.fields, 'proof'),
  };
}

/** A list of names, also `all` and `-name`, or an object of booleans. */
function fieldFilter(fields: Json | undefined): (name: string) => boolean {
  if (fields === undefined || fields === null) return () => true;
  const names = Array.isArray(fields)
    ? list(fields, 'fields', MAX_FIELDS)!
    : Object.entries(object(fields as Json, 'fields')).flatMap(([name, on]) => (on === true ? [name] : []));
  const wanted = new Set(names.filter((name) => !name.startsWith('-')));
  const refused = new Set(names.flatMap((name) => (name.startsWith('-') ? [name.slice(1)] : [])));
  const all = wanted.size === 0 || wanted.has('all');
  return (name) => (all || wanted.has(name)) && !refused.has(name);
}

const namesField = (fields: Json | undefined, name: string): boolean =>
  Array.isArray(fields) ? fields.includes(name) : (fields as JsonObject | null | undefined)?.[name] === true;

/**
 * The result object as JSON text.
 * @param random for `limit`
 */
export function serviceNodeListJson(
  network: ListedNetwork,
  query: ServiceNodeQuery,
  random: Pick<Random, 'below'>,
): string {
  const isPoll = query.pollBlockHash !== undefined && query.pollBlockHash !== '';
  if (isPoll && query.pollBlockHash === network.blockHash) {
    return stringifyJson({ unchanged: true, status: 'OK' });
  }
  const nodes = network.members.filter(
    (node) => (!query.activeOnly || node.active) && (query.pubkeys?.has(node.ed25519Hex) ?? true),
  );
  const { wants, limit } = query;
  const chosen = limit === 0 ? nodes : sample(nodes, limit > 0 ? limit : nodes.length, random);
  return stringifyJson({
    ...filtered(wants, {
      height: network.height,
      target_height: network.height,
      block_hash: network.blockHash,
      hardfork: HARDFORK,
      snode_revision: SNODE_REVISION,
    }),
    ...(isPoll ? { unchanged: false } : {}),
    service_node_states: chosen.map((node) => ({
      ...filtered(wants, nodeFields(node)),
      ...(network.testsOf && filtered(wants, testFields(network.testsOf(node.ed25519Hex)))),
      ...(query.wantsProofs && proofField(node)),
    })),
    status: 'OK',
  });
}

function filtered(wants: (name: string) => boolean, fields: Readonly<Record<string, JsonInput | undefined>>) {
  const kept: Record<string, JsonInput | undefined> = {};
  for (const name in fields) if (wants(name)) kept[name] = fields[name];
  return kept;
}

function nodeFields(node: ListedNode): Readonly<Record<string, JsonInput | undefined>> {
  const isKnown = node.host !== '0.0.0.0';
  return {
    service_node_pubkey: node.ed25519Hex,
    pubkey_ed25519: node.ed25519Hex,
    pubkey_x25519: node.x25519Hex,
    requested_unlock_height: node.registration?.requestedUnlockHeight ?? 0,
    active: node.active,
    funded: true,
    swarm_id: node.swarmId,
    swarm: node.swarmId.toString(16),
    // Left out until an address is known (spec/chain §1.15).
    storage_server_version: isKnown ? node.version : undefined,
    public_ip: isKnown ? node.host : undefined,
    storage_port: isKnown ? node.httpsPort : undefined,
    storage_lmq_port: isKnown ? node.omqPort : undefined,
    ...(node.registration !== undefined && registrationFields(node.registration)),
  };
}

/** spec/chain §1.15, §4.21. */
function testFields(tests: ListedTests): Readonly<Record<string, JsonInput>> {
  return {
    storage_server_reachable: tests.reachable,
    storage_server_first_unreachable: tests.firstUnreachable,
    storage_server_last_unreachable: tests.lastUnreachable,
    storage_server_last_reachable: tests.lastReachable,
    quorumnet_tests: tests.answers,
    timesync_tests: tests.clocks,
  };
}

/** spec/chain §4.22: the entry proves itself. */
function proofField({ registration }: ListedNode): { readonly proof?: string } {
  const signed = registration?.proof?.signed;
  return signed === undefined ? {} : { proof: toBase64(encodeSignedProof(signed)) };
}

/** spec/chain §1.15. */
function registrationFields(facts: ListedRegistration): Readonly<Record<string, JsonInput | undefined>> {
  const { reasonsAll, reasonsAny, proof } = facts;
  const some = reasonCodes(reasonsAny & ~reasonsAll);
  return {
    payable: facts.payable,
    registration_height: facts.registrationHeight,
    state_height: facts.stateHeight,
    earned_downtime_blocks: facts.earnedDowntimeBlocks,
    last_decommission_reason_consensus_all: reasonsAll,
    last_decommission_reason_consensus_any: reasonsAny,
    last_decomm_reasons: reasonsAny === 0 ? undefined : { all: reasonCodes(reasonsAll), some },
    operator_address: facts.operator,
    operator_fee: facts.feeBps * MILLIONTHS_PER_BPS,
    portions_for_operator: (ALL_PORTIONS * BigInt(facts.feeBps)) / 10_000n,
    staking_requirement: facts.stake,
    total_contributed: facts.stake,
    contributors: facts.contributors.map(({ amount, staker, beneficiary }) => ({
      amount,
      address: staker,
      beneficiary,
    })),
    last_uptime_proof: proof?.receivedAt ?? 0,
    service_node_version: proof?.nodeVersion,
  };
}

/** A node as clients and peers read it from the list. */
export interface ServiceNodeState {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  /** Dotted IPv4. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number | undefined;
  /** Undefined when not asked for. 2^64 − 1: decommissioned. */
  readonly swarmId: bigint | undefined;
  /** 0: none requested. */
  readonly requestedUnlockHeight: number;
  /** Undefined when not asked for. */
  readonly active: boolean | undefined;
  readonly version: readonly [number, number, number] | undefined;
  /** Who runs it, in lower case. Undefined when not asked for, and in networks without chain. */
  readonly operator: string | undefined;
  /** Its uptime proof in the wire form, not checked. Undefined when not asked for, and in networks without chain. */
  readonly proof: Uint8Array | undefined;
}

export interface ServiceNodeList {
  /** Nothing new since the block of `poll_block_hash`: no nodes are given. */
  readonly unchanged: boolean;
  readonly height: number | undefined;
  readonly blockHash: string | undefined;
  readonly nodes: readonly ServiceNodeState[];
}

/**
 * The result object as a client reads it. Nodes without keys or usable address are left out (spec/storage-server §3.3).
 * Read it with `parseJson`: swarm ids exceed a double.
 * @throws ParseError `node_list`
 */
export function parseServiceNodeList(result: Json): ServiceNodeList {
  const given = object(result, 'result');
  const height = optionalNumber(given.height, 'height');
  const blockHash = given.block_hash ?? undefined;
  if (blockHash !== undefined && typeof blockHash !== 'string') throw malformed('block_hash');
  if (given.unchanged === true) return { unchanged: true, height, blockHash, nodes: [] };
  const states = given.service_node_states;
  if (!Array.isArray(states)) throw malformed('service_node_states');
  const nodes: ServiceNodeState[] = [];
  for (const state of states as readonly Json[]) {
    const node = nodeState(object(state, 'a node'));
    if (node !== undefined) nodes.push(node);
  }
  return { unchanged: false, height, blockHash, nodes };
}

const KEY = /^[0-9a-f]{64}$/;

function nodeState(state: JsonObject): ServiceNodeState | undefined {
  const { pubkey_ed25519, pubkey_x25519, public_ip, storage_port, storage_lmq_port, swarm_id } = state;
  if (typeof pubkey_ed25519 !== 'string' || !KEY.test(pubkey_ed25519)) return undefined;
  if (typeof pubkey_x25519 !== 'string' || !KEY.test(pubkey_x25519)) return undefined;
  if (typeof public_ip !== 'string' || !isUsableIpv4(public_ip) || !isPort(storage_port)) return undefined;
  const version = state.storage_server_version;
  return {
    ed25519Hex: pubkey_ed25519,
    x25519Hex: pubkey_x25519,
    host: public_ip,
    httpsPort: storage_port,
    omqPort: isPort(storage_lmq_port) ? storage_lmq_port : undefined,
    swarmId: swarmIdOf(swarm_id),
    requestedUnlockHeight: optionalNumber(state.requested_unlock_height, 'requested_unlock_height') ?? 0,
    active: typeof state.active === 'boolean' ? state.active : undefined,
    version: isVersion(version) ? version : undefined,
    operator: operatorOf(state.operator_address),
    proof: proofOf(state.proof),
  };
}

function operatorOf(value: Json | undefined): string | undefined {
  const isName = typeof value === 'string' && value !== '' && value.length <= MAX_OPERATOR_LENGTH;
  return isName ? value.toLowerCase() : undefined;
}

function proofOf(value: Json | undefined): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' || value.length > MAX_PROOF_TEXT) throw malformed('proof');
  return fromBase64(value);
}

function swarmIdOf(value: Json | undefined): bigint | undefined {
  if (value === undefined || value === null) return undefined;
  const isInteger = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
  if (!isInteger || value < 0 || value >= 2n ** 64n) throw malformed('swarm_id');
  return BigInt(value);
}

function isVersion(value: Json | undefined): value is [number, number, number] {
  return (
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((number) => typeof number === 'number' && Number.isInteger(number) && number >= 0)
  );
}

function isPort(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff;
}

function optionalNumber(value: Json | undefined, what: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  throw malformed(what);
}

function object(value: Json, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw malformed(`${what} is not an object`);
}

function list(value: Json | undefined, what: string, max: number): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length > max || !value.every((item) => typeof item === 'string')) {
    throw malformed(what);
  }
  return value as readonly string[];
}

function malformed(what: string): ParseError {
  return new ParseError('node_list', `malformed node list: ${what}`);
}

// --- JSON-RPC 2.0 (spec/storage-server §3.3) ------------------------------------------------------------------------

export interface JsonRpcCall {
  /** Undefined: none was given. */
  readonly id: string | number | null | undefined;
  readonly method: string;
  readonly params: Json | undefined;
}

/** From the specification: parse error, invalid request, method not found, internal, busy, restricted. */
export type JsonRpcErrorCode = -32700 | -32600 | -32601 | -32603 | -32003 | 403;

/** The call in a body, or the code to answer with `jsonRpcError`. */
export function decodeJsonRpc(body: Uint8Array): JsonRpcCall | { readonly error: JsonRpcErrorCode } {
  let value: Json;
  try {
    const text = fromUtf8(body);
    if (!isLightJson(text)) return { error: -32700 };
    value = parseJson(text);
  } catch (error) {
    if (error instanceof ParseError) return { error: -32700 };
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { error: -32600 };
  const { id, method, params } = value as JsonObject;
  if (typeof method !== 'string') return { error: -32600 };
  const isId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number';
  return isId ? { id, method, params } : { error: -32600 };
}

/** @param resultJson the result as JSON text */
export function jsonRpcResult(id: JsonRpcCall['id'], resultJson: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id ?? null)},"result":${resultJson}}`;
}

const JSON_RPC_MESSAGES: Readonly<Record<JsonRpcErrorCode, string>> = {
  [-32700]: 'Parse error',
  [-32600]: 'Invalid Request',
  [-32601]: 'Method not found',
  [-32603]: 'Internal error',
  [-32003]: 'Server busy',
  403: 'Command not available in restricted mode',
};

export function jsonRpcError(
  id: JsonRpcCall['id'],
  code: JsonRpcErrorCode,
  message = JSON_RPC_MESSAGES[code],
): string {
  return stringifyJson({ jsonrpc: '2.0', id: id ?? null, error: { code, message } });
}

/** The fields of a node that clients use (spec/chain §1.15). */
export const CLIENT_LIST_FIELDS: Readonly<Record<string, boolean>> = {
  public_ip: true,
  storage_port: true,
  pubkey_x25519: true,
  pubkey_ed25519: true,
  requested_unlock_height: true,
  height: true,
  operator_address: true,
};

/** What clients ask a seed for, as the body of `POST /json_rpc`; with `proofs` of every node's address. */
export function encodeSeedRequest({ proofs = false }: { readonly proofs?: boolean } = {}): Uint8Array {
  const fields = { ...CLIENT_LIST_FIELDS, ...(proofs && { proof: true }) };
  return utf8(
    stringifyJson({
      jsonrpc: '2.0',
      id: '0',
      method: 'get_n_service_nodes',
      params: { active_only: true, fields },
    }),
  );
}

/** A call of any method, as the body of `POST /json_rpc`. */
export function encodeJsonRpc(method: string, params: JsonInput): Uint8Array {
  return utf8(stringifyJson({ jsonrpc: '2.0', id: '0', method, params }));
}

/** The result of an answer. @throws ParseError also when the answer is an error */
export function decodeJsonRpcAnswer(body: Uint8Array): Json {
  const answer = object(parseJson(fromUtf8(body)), 'an answer');
  if (answer.result === undefined || answer.result === null) throw malformed('no result');
  return answer.result;
}
