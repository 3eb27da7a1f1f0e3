// SPDX-License-Identifier: MIT
// Membership certificates (spec/chain §4.22): the swarm map of one epoch, signed by the nodes that are in it, by which a
// client without chain access checks the node list that a stranger hands it. Bytes, a bt dict:
//
//   c chain id │ e epoch │ g signatures, 64 bytes each, by ascending position │ p bit map of the signers' positions
//   r registry 20 │ s seed of the epoch 32 │ m list, for each swarm by ascending id: [id u64 BE, keys, 32 bytes each, ascending]
//
// A position counts the keys of the map in that order; position i is bit 7 − i mod 8 of byte ⌊i/8⌋ of p. p has no byte
// more than the map needs.
import { ed25519Sign, ed25519Verify, sha256 } from '#crypto';
import { concat, equal, fromHex, toHex, u32be, u64be, utf8, wordOf } from '../bytes.ts';
import { type BtValue, btBytes, btInteger, btList, decodeBtDict, encodeBt } from '../codec/bencode.ts';
import { AlliumError, ParseError } from '../errors.ts';
import { swarmMapDigest } from '../swarm/assignment.ts';

// From the specification.
const SIGNATURE_DOMAIN = utf8('SNL-SIG-v1');
const DIGEST_DOMAIN = utf8('SNL-v1');
/** An epoch is certified when it is a multiple of this. */
export const CERTIFIED_EPOCHS = 24;
/** An older anchor is expired: whoever held its keys may have left long ago. */
export const ANCHOR_MAX_AGE_MS = 90 * 24 * 60 * 60_000;

// Ours: bounds on what a stranger can make us read.
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_NODES = 20_000;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** What a node signs. */
export interface MembershipStatement {
  readonly chainId: number;
  /** 20 bytes. */
  readonly registry: Uint8Array;
  readonly epoch: number;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  /** Node keys in lower-case hex by swarm id, in any order. */
  readonly swarms: ReadonlyMap<bigint, readonly string[]>;
}

export interface MembershipCertificate extends MembershipStatement {
  /** Signature (64 bytes) by node key, all of nodes in the map; not checked yet. */
  readonly signatures: ReadonlyMap<string, Uint8Array>;
}

/**
 * Why a certificate does not replace the trusted one. `other_network`: of another contract or chain; `stale`: not newer;
 * `future`: of an epoch that has not come; `too_few_signatures`: too few members of the trusted list vouch for it, so
 * one in between is needed; `anchor_expired`: the trusted one is too old to vouch for anything.
 */
export class CertificateError extends AlliumError<
  'other_network' | 'stale' | 'future' | 'too_few_signatures' | 'anchor_expired'
> {
  override readonly name = 'CertificateError';
}

/**
 * The 32 bytes D that stand for the statement.
 * @param swarmDigest 32 bytes, of the statement's map (spec/chain §3.9)
 */
export function statementDigest(
  statement: Omit<MembershipStatement, 'swarms'>,
  swarmDigest: Uint8Array,
): Uint8Array {
  const { chainId, registry, epoch, seed } = statement;
  return sha256(concat(DIGEST_DOMAIN, wordOf(chainId), registry, u32be(epoch), seed, swarmDigest));
}

/** What is signed. */
export function signedDigest(digest: Uint8Array): Uint8Array {
  return concat(SIGNATURE_DOMAIN, digest);
}

/** @param secretKey 64 bytes, of a node in the map */
export function signStatement(statement: MembershipStatement, secretKey: Uint8Array): Uint8Array {
  return ed25519Sign(signedBytes(statement), secretKey);
}

/** Whether the node of that key (32 bytes) signed the statement. */
export function verifyStatement(
  statement: MembershipStatement,
  key: Uint8Array,
  signature: Uint8Array,
): boolean {
  return ed25519Verify(signature, signedBytes(statement), key);
}

/** Signatures of nodes that the map does not name are left out. */
export function encodeCertificate(certificate: MembershipCertificate): Uint8Array {
  const map = orderedMap(certificate.swarms);
  const keys = map.flatMap(([, nodes]) => nodes);
  const positions = new Uint8Array(Math.ceil(keys.length / 8));
  const signatures: Uint8Array[] = [];
  for (const [position, key] of keys.entries()) {
    const signature = certificate.signatures.get(key);
    if (signature === undefined) continue;
    positions[position >> 3]! |= 0x80 >> (position & 7);
    signatures.push(signature);
  }
  return encodeBt({
    c: certificate.chainId,
    e: certificate.epoch,
    g: concat(...signatures),
    m: map.map(([id, nodes]) => [u64be(id), concat(...nodes.map((key) => fromHex(key, KEY_BYTES)))]),
    p: positions,
    r: certificate.registry,
    s: certificate.seed,
  });
}

/** Only the one form that `encodeCertificate` writes. Signatures are not checked. @throws ParseError `certificate` or `bencode` */
export function parseCertificate(bytes: Uint8Array): MembershipCertificate {
  if (bytes.length > MAX_BYTES) throw malformed(`${bytes.length} bytes`);
  const dict = decodeBtDict(bytes);
  const chainId = btInteger(dict, 'c') ?? -1;
  const epoch = btInteger(dict, 'e') ?? -1;
  const registry = btBytes(dict, 'r', 20);
  const seed = btBytes(dict, 's', 32);
  const positions = btBytes(dict, 'p');
  const joined = btBytes(dict, 'g');
  const list = btList(dict, 'm');
  if (registry === undefined || seed === undefined || !positions || !joined || !list)
    throw malformed('a field is missing');
  if (chainId < 0 || !Number.isSafeInteger(chainId)) throw malformed('chain id');
  if (epoch < 0 || epoch > 0xffffffff) throw malformed('epoch');
  const swarms = parseMap(list);
  const keys = [...swarms.values()].flat();
  if (positions.length !== Math.ceil(keys.length / 8)) throw malformed('bit map of signers');
  const signatures = new Map<string, Uint8Array>();
  for (let position = 0; position < positions.length * 8; position++) {
    if ((positions[position >> 3]! & (0x80 >> (position & 7))) === 0) continue;
    const key = keys[position];
    const start = signatures.size * SIGNATURE_BYTES;
    if (key === undefined || joined.length < start + SIGNATURE_BYTES) throw malformed('signers');
    signatures.set(key, joined.slice(start, start + SIGNATURE_BYTES));
  }
  if (joined.length !== signatures.size * SIGNATURE_BYTES) throw malformed('signatures');
  if (dict.size !== 7) throw malformed('unknown field');
  return { chainId, epoch, registry: registry.slice(), seed: seed.slice(), swarms, signatures };
}

export interface AcceptOptions {
  /** The epoch by the clock of whoever checks; a certificate may be one ahead of it. */
  readonly epochNow: number;
  /** Age of the trusted certificate, ms: since its epoch began. */
  readonly trustedAgeMs: number;
}

/**
 * Checks that the members of the trusted certificate vouch for the candidate: at least two thirds of them, rounded up.
 * Verifies no more signatures than are needed.
 * @throws CertificateError
 */
export function acceptCertificate(
  trusted: MembershipStatement,
  candidate: MembershipCertificate,
  options: AcceptOptions,
): void {
  if (candidate.chainId !== trusted.chainId || !equal(candidate.registry, trusted.registry)) {
    throw new CertificateError('other_network', 'the certificate is of another network');
  }
  if (candidate.epoch <= trusted.epoch) {
    throw new CertificateError(
      'stale',
      `certificate of epoch ${candidate.epoch}, trusted is ${trusted.epoch}`,
    );
  }
  if (candidate.epoch > options.epochNow + 1) {
    throw new CertificateError(
      'future',
      `certificate of epoch ${candidate.epoch}, it is ${options.epochNow} now`,
    );
  }
  if (options.trustedAgeMs > ANCHOR_MAX_AGE_MS) {
    throw new CertificateError('anchor_expired', 'the trusted certificate is more than 90 days old');
  }
  const members = [...trusted.swarms.values()].flat();
  const needed = Math.ceil((2 * members.length) / 3);
  const signed = signedBytes(candidate);
  let good = 0;
  for (const [index, key] of members.entries()) {
    if (good >= needed || good + members.length - index < needed) break;
    const signature = candidate.signatures.get(key);
    if (signature !== undefined && ed25519Verify(signature, signed, fromHex(key, KEY_BYTES))) good++;
  }
  if (members.length === 0 || good < needed) {
    throw new CertificateError(
      'too_few_signatures',
      `${needed} of ${members.length} trusted nodes must vouch for the certificate of epoch ${candidate.epoch}`,
    );
  }
}

const signedBytes = (statement: MembershipStatement) =>
  signedDigest(statementDigest(statement, swarmMapDigest(statement.swarms)));

function orderedMap(swarms: ReadonlyMap<bigint, readonly string[]>): [bigint, string[]][] {
  const ids = [...swarms.keys()].sort((a, b) => (a < b ? -1 : 1));
  return ids.map((id) => [id, [...(swarms.get(id) ?? [])].sort()]);
}

function parseMap(list: readonly BtValue[]): Map<bigint, string[]> {
  const swarms = new Map<bigint, string[]>();
  const seen = new Set<string>();
  let last = -1n;
  for (const item of list) {
    const [idBytes, joined, ...rest] = Array.isArray(item) ? item : [];
    if (
      !(idBytes instanceof Uint8Array) ||
      idBytes.length !== 8 ||
      !(joined instanceof Uint8Array) ||
      rest.length > 0
    ) {
      throw malformed('swarm');
    }
    const id = new DataView(idBytes.buffer, idBytes.byteOffset, 8).getBigUint64(0);
    if (id <= last) throw malformed('order of swarms');
    last = id;
    if (joined.length % KEY_BYTES !== 0 || seen.size + joined.length / KEY_BYTES > MAX_NODES)
      throw malformed('nodes');
    const nodes: string[] = [];
    for (let start = 0; start < joined.length; start += KEY_BYTES) {
      const key = toHex(joined.subarray(start, start + KEY_BYTES));
      if (key <= (nodes.at(-1) ?? '') || seen.has(key)) throw malformed('order of nodes');
      seen.add(key);
      nodes.push(key);
    }
    swarms.set(id, nodes);
  }
  return swarms;
}

const malformed = (what: string) =>
  new ParseError('certificate', `malformed membership certificate: ${what}`);
