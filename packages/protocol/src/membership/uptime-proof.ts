// SPDX-License-Identifier: MIT
// Uptime proofs (spec/chain §4.17): every node says, signed, at which address it is and what it sees of the chain.
// What is signed is a dict of bt-encoding; unknown keys are allowed and signed with the others, so the bytes are kept:
//
//   {a: registry 20, c: chain id, e: epoch, h: block number, hh: block hash 32, ip: dotted IPv4, pke: Ed25519 key 32,
//    shp: HTTPS port, sop: OMQ port, sv: [storage version], t: unix seconds, v: [node version]}
//
// Signature: Ed25519 over "SN-UPTIME-v1" ‖ those bytes. On the wire: the list [bytes, signature].
import { ed25519Verify } from '#crypto';
import { concat, fromHex, fromUtf8, toHex, utf8 } from '../bytes.ts';
import {
  type BtDict,
  btBytes,
  btInteger,
  btList,
  type DecodeBtOptions,
  decodeBt,
  decodeBtDict,
  encodeBt,
} from '../codec/bencode.ts';
import { ParseError } from '../errors.ts';
import { isIpv4 } from './ip-address.ts';

// From the specification (spec/chain §4.17).
const SIGNATURE_DOMAIN = utf8('SN-UPTIME-v1');

// Ours: bounds on what a stranger can make us read and keep.
/** The known keys take some 250 bytes; the rest is room for later ones. */
export const MAX_PROOF_BYTES = 1024;
const LIMITS: DecodeBtOptions = { maxDepth: 4, maxValues: 64 };
const MAX_EPOCH = 0xffffffff;
const MAX_VERSION = 0xffff;
const WRAPPING_BYTES = 80;

export type Version = readonly [number, number, number];

export interface UptimeProof {
  /** Address of the registry contract, lower case. */
  readonly registry: `0x${string}`;
  readonly chainId: number;
  readonly epoch: number;
  /** The newest block that the node regards as safe. */
  readonly blockNumber: number;
  /** 32 bytes, lower case. */
  readonly blockHash: `0x${string}`;
  /** Dotted IPv4; whether others can reach it is for the reader to judge. */
  readonly host: string;
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly storageVersion: Version;
  readonly nodeVersion: Version;
  /** Unix seconds at which it was signed. */
  readonly time: number;
}

/** A proof as it came: `bytes` are what was signed. */
export interface SignedUptimeProof {
  readonly proof: UptimeProof;
  readonly bytes: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export type UptimeFacts = Omit<UptimeProof, 'ed25519Key' | 'ed25519Hex'>;

/** The bytes to sign. @throws ParseError `uptime_proof` for what no proof may say */
export function encodeUptimeProof(facts: UptimeFacts & { readonly ed25519Key: Uint8Array }): Uint8Array {
  const bytes = encodeBt({
    a: hexBytes(facts.registry, 20, 'a'),
    c: facts.chainId,
    e: facts.epoch,
    h: facts.blockNumber,
    hh: hexBytes(facts.blockHash, 32, 'hh'),
    ip: facts.host,
    pke: facts.ed25519Key,
    shp: facts.httpsPort,
    sop: facts.omqPort,
    sv: facts.storageVersion,
    t: facts.time,
    v: facts.nodeVersion,
  });
  decodeUptimeProof(bytes);
  return bytes;
}

/** @param sign signs with the key of the node @throws ParseError `uptime_proof` */
export function signUptimeProof(
  facts: UptimeFacts,
  keys: { readonly ed25519Key: Uint8Array; sign(message: Uint8Array): Uint8Array },
): SignedUptimeProof {
  const bytes = encodeUptimeProof({ ...facts, ed25519Key: keys.ed25519Key });
  return { proof: decodeUptimeProof(bytes), bytes, signature: keys.sign(concat(SIGNATURE_DOMAIN, bytes)) };
}

/** What was signed, without its signature. @throws ParseError `uptime_proof`, `bencode` or `utf8` */
export function decodeUptimeProof(bytes: Uint8Array): UptimeProof {
  if (bytes.length > MAX_PROOF_BYTES) throw malformed(`${bytes.length} bytes`);
  const dict = decodeBtDict(bytes, LIMITS);
  const ed25519Key = Uint8Array.from(needed(btBytes(dict, 'pke', 32), 'pke'));
  const host = fromUtf8(needed(btBytes(dict, 'ip'), 'ip'));
  if (!isIpv4(host)) throw malformed('ip is no dotted IPv4 address');
  return {
    registry: `0x${toHex(needed(btBytes(dict, 'a', 20), 'a'))}`,
    chainId: whole(dict, 'c', 0, Number.MAX_SAFE_INTEGER),
    epoch: whole(dict, 'e', 0, MAX_EPOCH),
    blockNumber: whole(dict, 'h', 0, Number.MAX_SAFE_INTEGER),
    blockHash: `0x${toHex(needed(btBytes(dict, 'hh', 32), 'hh'))}`,
    host,
    ed25519Key,
    ed25519Hex: toHex(ed25519Key),
    httpsPort: whole(dict, 'shp', 1, 0xffff),
    omqPort: whole(dict, 'sop', 1, 0xffff),
    storageVersion: version(dict, 'sv'),
    nodeVersion: version(dict, 'v'),
    time: whole(dict, 't', 0, Number.MAX_SAFE_INTEGER),
  };
}

/** The wire form. */
export function encodeSignedProof({
  bytes,
  signature,
}: Pick<SignedUptimeProof, 'bytes' | 'signature'>): Uint8Array {
  return encodeBt([bytes, signature]);
}

/** Reads the wire form; does not verify. @throws ParseError `uptime_proof`, `bencode` or `utf8` */
export function decodeSignedProof(wire: Uint8Array): SignedUptimeProof {
  if (wire.length > MAX_PROOF_BYTES + WRAPPING_BYTES) throw malformed(`${wire.length} bytes`);
  const list = decodeBt(wire, { maxDepth: 1, maxValues: 3 });
  if (!Array.isArray(list) || list.length !== 2) throw malformed('not a list of two');
  const [bytes, signature] = list;
  if (!(bytes instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 64) {
    throw malformed('not a list of proof and signature');
  }
  // Copies: what came stands in a buffer that belongs to the carrier.
  const kept = Uint8Array.from(bytes);
  return { proof: decodeUptimeProof(kept), bytes: kept, signature: Uint8Array.from(signature) };
}

/** Whether the key that the proof names has signed it. */
export function verifyUptimeProof({ proof, bytes, signature }: SignedUptimeProof): boolean {
  return ed25519Verify(signature, concat(SIGNATURE_DOMAIN, bytes), proof.ed25519Key);
}

function whole(dict: BtDict, key: string, least: number, most: number): number {
  const value = needed(btInteger(dict, key), key);
  if (value < least || value > most) throw malformed(`${key} is ${value}`);
  return value;
}

function version(dict: BtDict, key: string): Version {
  const list = needed(btList(dict, key), key);
  const isPart = (part: unknown) => typeof part === 'number' && part >= 0 && part <= MAX_VERSION;
  if (list.length !== 3 || !list.every(isPart)) throw malformed(`${key} is no version`);
  return list as unknown as Version;
}

function hexBytes(text: `0x${string}`, length: number, key: string): Uint8Array {
  if (text.length !== 2 + 2 * length) throw malformed(`${key} has not ${length} bytes`);
  return fromHex(text.slice(2));
}

function needed<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw malformed(`no ${key}`);
  return value;
}

function malformed(what: string): ParseError {
  return new ParseError('uptime_proof', `malformed uptime proof: ${what}`);
}
