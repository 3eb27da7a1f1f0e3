// SPDX-License-Identifier: MIT
// The static registry of private networks (spec/chain §4.23): a file, signed by administrators, that says who is in the
// network and in which swarm. The file is its canonical form, JSON with sorted keys and without blanks:
//
//   {"admins":[pk…],"expires":s,"issued":s,"mode":"static","network":32 hex,
//    "nodes":[{"ip":…,"pk":64 hex,"shp":port,"sop":port,"swarm":16 hex}…],
//    "signatures":[{"pk":64 hex,"sig":128 hex}…],"threshold":k,"version":n}
//
// admins, nodes (by pk) and signatures (by pk) ascend without duplicates. Signed is "SN-STATIC-v1" ‖ SHA-256 of the
// form without `signatures`.
import { ed25519Sign, ed25519Verify, randomBytes, sha256 } from '#crypto';
import { concat, equal, fromHex, fromUtf8, toHex, utf8 } from '../bytes.ts';
import type { KeyPair } from '../crypto/provider.ts';
import { ParseError, quote } from '../errors.ts';
import { runAssignment, UNASSIGNED_SWARM } from '../swarm/assignment.ts';
import { isCanonicalIp } from './ip-address.ts';
import { buildMembership, type Membership, memberOf } from './membership.ts';

// From the specification (spec/chain §4.21, §4.23).
const SIGNATURE_DOMAIN = utf8('SN-STATIC-v1');
const SECONDS_PER_HEIGHT = 120;

// Ours: bounds on what a stranger can make us read.
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_NODES = 10_000;
const MAX_ADMINS = 64;
const MAX_VERSION = 0xffffffff; // It is hashed as u32.

export interface StaticNode {
  /** Lower-case hex. */
  readonly ed25519Hex: string;
  /** IPv4 or IPv6 address in its canonical text form; `0.0.0.0` with ports 0: unknown. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
}

/** A node as the admin names it: of all nodes or of none the swarm. */
export type StaticNodeInput = Omit<StaticNode, 'swarmId'> & { readonly swarmId?: bigint };

export interface StaticSignature {
  /** Ed25519 key, lower-case hex. */
  readonly admin: string;
  /** Lower-case hex. */
  readonly signature: string;
}

export interface StaticList {
  /** 32 hex digits, fixed at creation. */
  readonly network: string;
  readonly version: number;
  /** Unix seconds. */
  readonly issued: number;
  readonly expires: number;
  /** By ascending key. */
  readonly nodes: readonly StaticNode[];
  /** Ed25519 keys, lower-case hex, ascending. */
  readonly admins: readonly string[];
  /** How many admins must sign the next list. */
  readonly threshold: number;
  /** By ascending admin. */
  readonly signatures: readonly StaticSignature[];
}

export interface Validity {
  /** Unix seconds. */
  readonly issued: number;
  readonly expires: number;
}

export interface NewStaticList extends Validity {
  /** Default: random. */
  readonly network?: string;
  readonly admins: readonly string[];
  readonly threshold: number;
  /** In any order. */
  readonly nodes: readonly StaticNodeInput[];
}

export interface StaticListChange extends Validity {
  readonly add?: readonly StaticNodeInput[];
  /** Ed25519 keys, hex. */
  readonly remove?: readonly string[];
  /** Other addresses for nodes that stay. */
  readonly update?: readonly Omit<StaticNode, 'swarmId'>[];
  readonly admins?: readonly string[];
  readonly threshold?: number;
  /** Leave all nodes in their swarms. Implied when the added nodes name theirs. */
  readonly byHand?: boolean;
}

export type StaticListVerdict =
  | { readonly accepted: true }
  | {
      readonly accepted: false;
      /** `same`: equal to the one held. `conflict`: equal version, other content; log both digests. */
      readonly reason:
        | 'other_network'
        | 'older'
        | 'same'
        | 'conflict'
        | 'expired'
        | 'too_few_signatures'
        | 'bad_node_key';
    };

/** Only the canonical form, a line end behind it at most. @throws ParseError `static_list` or `utf8` */
export function parseStaticList(bytes: Uint8Array): StaticList {
  if (bytes.length > MAX_BYTES) throw malformed(`${bytes.length} bytes`);
  const text = fromUtf8(bytes).replace(/\n$/, '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ParseError('static_list', 'malformed static list: no JSON', { cause });
  }
  const members = object(value);
  if (members.mode !== 'static') throw malformed('mode is not "static"');
  const list: StaticList = {
    network: string(members.network),
    version: number(members.version),
    issued: number(members.issued),
    expires: number(members.expires),
    nodes: array(members.nodes, MAX_NODES).map((entry) => {
      const { pk, ip, shp, sop, swarm } = object(entry);
      return {
        ed25519Hex: string(pk),
        host: string(ip),
        httpsPort: number(shp),
        omqPort: number(sop),
        swarmId: BigInt(`0x${hex(string(swarm), 8, 'swarm')}`),
      };
    }),
    admins: array(members.admins, MAX_ADMINS).map(string),
    threshold: number(members.threshold),
    signatures: array(members.signatures, MAX_ADMINS).map((entry) => {
      const { pk, sig } = object(entry);
      return { admin: string(pk), signature: string(sig) };
    }),
  };
  check(list);
  // Refuses at once: unknown and repeated members, blanks, other orders, other spellings of numbers and text.
  if (canonicalText(list, true) !== text) throw malformed('not in canonical form');
  return list;
}

/** The canonical form, signatures included: the file. */
export function encodeStaticList(list: StaticList): Uint8Array {
  return utf8(canonicalText(list, true));
}

/** SHA-256 of the canonical form without signatures. It names the list's content. */
export function staticListDigest(list: StaticList): Uint8Array {
  return sha256(utf8(canonicalText(list, false)));
}

/** Version 1, unsigned. @throws ParseError `static_list` for what no file may say */
export function createStaticList(facts: NewStaticList): StaticList {
  const version = 1;
  const nodes = facts.nodes.map(normalized);
  const list: StaticList = {
    network: facts.network ?? toHex(randomBytes(16)),
    version,
    issued: facts.issued,
    expires: facts.expires,
    nodes: placed([], nodes, version, false),
    admins: sortedKeys(facts.admins),
    threshold: facts.threshold,
    signatures: [],
  };
  check(list);
  return list;
}

/**
 * The next version, unsigned. Swarms go on from those of `list` (spec/chain §4.23).
 * @throws ParseError `static_list` for unknown or repeated nodes, and for what no file may say
 */
export function changeStaticList(list: StaticList, change: StaticListChange): StaticList {
  const version = list.version + 1;
  const remove = new Set(change.remove?.map((key) => key.toLowerCase()));
  const update = new Map(change.update?.map((node) => [node.ed25519Hex.toLowerCase(), node]));
  const kept: StaticNode[] = [];
  for (const node of list.nodes) {
    if (remove.delete(node.ed25519Hex)) continue;
    const { host, httpsPort, omqPort } = update.get(node.ed25519Hex) ?? node;
    update.delete(node.ed25519Hex);
    kept.push({ ...node, host, httpsPort, omqPort });
  }
  const [unknown] = [...remove, ...update.keys()];
  if (unknown !== undefined) throw malformed(`no node ${quote(unknown)} to change`);
  const add = (change.add ?? []).map(normalized);
  const isSameSet = add.length === 0 && kept.length === list.nodes.length;
  const next: StaticList = {
    network: list.network,
    version,
    issued: change.issued,
    expires: change.expires,
    // spec/chain §4.20: no run when the members are the same.
    nodes: placed(kept, add, version, isSameSet || change.byHand === true),
    admins: change.admins === undefined ? list.admins : sortedKeys(change.admins),
    threshold: change.threshold ?? list.threshold,
    signatures: [],
  };
  check(next);
  return next;
}

/** See `changeStaticList`. */
export function addNodes(
  list: StaticList,
  nodes: readonly StaticNodeInput[],
  validity: Validity,
): StaticList {
  return changeStaticList(list, { ...validity, add: nodes });
}

/** See `changeStaticList`. */
export function removeNodes(
  list: StaticList,
  ed25519Hexes: readonly string[],
  validity: Validity,
): StaticList {
  return changeStaticList(list, { ...validity, remove: ed25519Hexes });
}

/** A copy with this signature. Whether the key is an admin's is known to those who hold the previous list. */
export function signStaticList(list: StaticList, admin: KeyPair): StaticList {
  const key = toHex(admin.publicKey);
  const signature = toHex(ed25519Sign(signedBytes(list), admin.secretKey));
  const others = list.signatures.filter((other) => other.admin !== key);
  return { ...list, signatures: [...others, { admin: key, signature }].sort(byAdmin) };
}

/**
 * Whether `candidate` replaces `trusted` (spec/chain §4.23). The first list is trusted by configuration; one that
 * expires while in force stays in force.
 */
export function acceptStaticList(
  candidate: StaticList,
  trusted: StaticList,
  nowSeconds: number,
): StaticListVerdict {
  if (candidate.network !== trusted.network) return { accepted: false, reason: 'other_network' };
  if (candidate.version < trusted.version) return { accepted: false, reason: 'older' };
  if (candidate.version === trusted.version) {
    const isSame = equal(staticListDigest(candidate), staticListDigest(trusted));
    return { accepted: false, reason: isSame ? 'same' : 'conflict' };
  }
  if (candidate.expires <= nowSeconds) return { accepted: false, reason: 'expired' };
  // By the admins of the list held, never those that the candidate names.
  if (countSignatures(candidate, trusted.admins) < trusted.threshold) {
    return { accepted: false, reason: 'too_few_signatures' };
  }
  // Last, because it costs the most and only admins can cause it.
  if (!candidate.nodes.every((node) => memberOfNode(node) !== undefined)) {
    return { accepted: false, reason: 'bad_node_key' };
  }
  return { accepted: true };
}

/** How many of `admins` signed the list. */
export function countSignatures(list: StaticList, admins: readonly string[]): number {
  const signed = signedBytes(list);
  const isValid = ({ admin, signature }: StaticSignature) =>
    admins.includes(admin) && ed25519Verify(fromHex(signature, 64), signed, fromHex(admin, 32));
  return list.signatures.filter(isValid).length;
}

/** Height of the network at a time (spec/chain §4.23): it grows with time alone. */
export function staticHeight(nowSeconds: number): number {
  return Math.floor(nowSeconds / SECONDS_PER_HEIGHT);
}

/**
 * What the list says, for those who need not know that it is a list. `height` is that of the time of issue.
 * @throws ParseError `static_list` for a node key that has no X25519 form
 */
export function membershipOf(list: StaticList): Membership {
  return buildMembership({
    epoch: list.version,
    seed: swarmSeed(list.nodes, list.version),
    height: staticHeight(list.issued),
    blockHash: toHex(staticListDigest(list)),
    members: list.nodes.map((node) => {
      const member = memberOfNode(node);
      if (member === undefined) throw malformed(`node key ${node.ed25519Hex} is no point of the curve`);
      return member;
    }),
  });
}

function memberOfNode(node: StaticNode): ReturnType<typeof memberOf> {
  return memberOf({ ...node, ed25519Key: fromHex(node.ed25519Hex, 32) });
}

/** SHA-256 of the node keys in order ‖ version; its first eight bytes seed the run (spec/chain §4.23). */
function swarmSeed(nodes: readonly { readonly ed25519Hex: string }[], version: number): Uint8Array {
  const versionBytes = new Uint8Array(4);
  new DataView(versionBytes.buffer).setUint32(0, version);
  return sha256([...nodes.map((node) => fromHex(node.ed25519Hex, 32)), versionBytes]);
}

/** All nodes in their swarms, by ascending key. */
function placed(
  kept: readonly StaticNode[],
  added: readonly StaticNodeInput[],
  version: number,
  byHand: boolean,
): StaticNode[] {
  const all = [...kept, ...added].sort(byKey);
  const hasSwarm = (node: StaticNodeInput): node is StaticNode => node.swarmId !== undefined;
  if (byHand || (added.length > 0 && added.every(hasSwarm))) {
    if (!all.every(hasSwarm)) throw malformed('a node without swarm in a list made by hand');
    return all;
  }
  if (added.some(hasSwarm)) throw malformed('some of the added nodes name a swarm and some do not');
  const current = new Map<bigint, string[]>();
  for (const { swarmId, ed25519Hex } of kept) {
    current.set(swarmId, [...(current.get(swarmId) ?? []), ed25519Hex]);
  }
  const seed = swarmSeed(all, version);
  const seedNumber = new DataView(seed.buffer, seed.byteOffset).getBigUint64(0, true);
  const { swarms } = runAssignment(
    current,
    added.map((node) => node.ed25519Hex),
    seedNumber,
  );
  const swarmOf = new Map([...swarms].flatMap(([id, keys]) => keys.map((key) => [key, id] as const)));
  return all.map((node) => ({ ...node, swarmId: swarmOf.get(node.ed25519Hex) as bigint }));
}

function canonicalText(list: StaticList, withSignatures: boolean): string {
  // Members in the order of their names; JSON.stringify keeps it.
  return JSON.stringify({
    admins: list.admins,
    expires: list.expires,
    issued: list.issued,
    mode: 'static',
    network: list.network,
    nodes: list.nodes.map((node) => ({
      ip: node.host,
      pk: node.ed25519Hex,
      shp: node.httpsPort,
      sop: node.omqPort,
      swarm: node.swarmId.toString(16).padStart(16, '0'),
    })),
    ...(withSignatures && {
      signatures: list.signatures.map(({ admin, signature }) => ({ pk: admin, sig: signature })),
    }),
    threshold: list.threshold,
    version: list.version,
  });
}

function signedBytes(list: StaticList): Uint8Array {
  return concat(SIGNATURE_DOMAIN, staticListDigest(list));
}

/** All that a list must be, its canonical form aside. */
function check(list: StaticList): void {
  hex(list.network, 16, 'network');
  whole(list.version, 1, MAX_VERSION, 'version');
  whole(list.issued, 0, Number.MAX_SAFE_INTEGER, 'issued');
  whole(list.expires, list.issued + 1, Number.MAX_SAFE_INTEGER, 'expires');
  if (list.nodes.length === 0 || list.nodes.length > MAX_NODES) throw malformed(`${list.nodes.length} nodes`);
  for (const node of list.nodes) checkNode(node);
  ascending(list.nodes.map((node) => hex(node.ed25519Hex, 32, 'pk')));
  whole(list.admins.length, 1, MAX_ADMINS, 'number of admins');
  ascending(list.admins.map((admin) => hex(admin, 32, 'admin')));
  if (!Number.isSafeInteger(list.threshold) || list.threshold < 1 || list.threshold > list.admins.length) {
    throw malformed(
      `the threshold is ${list.threshold}, with ${list.admins.length} admins it is between 1 and ${list.admins.length}`,
    );
  }
  if (list.signatures.length > MAX_ADMINS) throw malformed(`${list.signatures.length} signatures`);
  ascending(list.signatures.map(({ admin }) => hex(admin, 32, 'pk')));
  for (const { signature } of list.signatures) hex(signature, 64, 'sig');
}

function checkNode(node: StaticNode): void {
  if (!isCanonicalIp(node.host)) throw malformed(`${quote(node.host)} is no IP address`);
  const least = node.host === '0.0.0.0' ? 0 : 1;
  const most = node.host === '0.0.0.0' ? 0 : 0xffff;
  whole(node.httpsPort, least, most, 'shp');
  whole(node.omqPort, least, most, 'sop');
  if (node.swarmId < 0n || node.swarmId >= UNASSIGNED_SWARM) throw malformed('a node in no swarm');
}

function normalized(node: StaticNodeInput): StaticNodeInput {
  return { ...node, ed25519Hex: hex(node.ed25519Hex.toLowerCase(), 32, 'pk') };
}

function sortedKeys(keys: readonly string[]): string[] {
  return keys.map((key) => key.toLowerCase()).sort();
}

function byKey(a: StaticNodeInput, b: StaticNodeInput): number {
  return a.ed25519Hex < b.ed25519Hex ? -1 : a.ed25519Hex > b.ed25519Hex ? 1 : 0;
}

function byAdmin(a: StaticSignature, b: StaticSignature): number {
  return a.admin < b.admin ? -1 : 1;
}

function ascending(keys: readonly string[]): void {
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i - 1] as string) >= (keys[i] as string)) {
      throw malformed(`key ${quote(keys[i] as string)} is repeated or out of order`);
    }
  }
}

function hex(text: string, lengthBytes: number, name: string): string {
  if (text.length !== 2 * lengthBytes || !/^[0-9a-f]+$/.test(text)) {
    throw malformed(`${name} is not ${2 * lengthBytes} lower-case hex digits`);
  }
  return text;
}

function whole(value: number, least: number, most: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw malformed(`${name} is ${value}`);
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('not an object');
  return value as Readonly<Record<string, unknown>>;
}

function array(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed('not a list');
  if (value.length > most) throw malformed(`a list of ${value.length}`);
  return value;
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw malformed('not text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw malformed('not a number');
  return value;
}

function malformed(what: string): ParseError {
  return new ParseError('static_list', `malformed static list: ${what}`);
}
