// SPDX-License-Identifier: MIT
// Subaccounts (spec/storage-server §2.6): tokens by which an account lets another key act for it, and how the members
// of a group come to theirs.
//
//   token, 36 bytes:       prefix 1 │ flags 1 │ reserved 2 │ Ed25519 key 32
//   auth data, 100 bytes:  03 │ flags 1 │ 00 00 │ factor k 32 │ the group's signature of the token 64
import {
  blake2b,
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  ed25519Sign,
  pointMultiply,
  pointMultiplyBase,
  scalarAdd,
  scalarMultiply,
  scalarNegate,
  scalarReduce,
  sha512,
} from '#crypto';
import { concat, fromBase64, fromHex, utf8 } from '../bytes.ts';
import { checkLength } from '../crypto/checks.ts';
import { ParseError } from '../errors.ts';
import { type AccountId, accountIdBytes, x25519KeyOf } from './account-id.ts';

// From the specification, spec/storage-server §2.6.
const TOKEN_LENGTH = 36;
const AUTH_DATA_LENGTH = 100;
const GROUP_PREFIX = 0x03;
const MASK_KEY = utf8('SessionGroupSubaccountMask');
const SIGNATURE_KEY = utf8('SubaccountSig');
const SEED_KEY = utf8('SubaccountSeed');

/** Bits of a token's flags. */
export const SubaccountFlag = { read: 1, write: 2, delete: 4, anyPrefix: 8 } as const;

export interface SubaccountToken {
  /** All 36 bytes as they came; signatures and revocations are over these. */
  readonly bytes: Uint8Array;
  /** Network prefix of the accounts that the token is good for. */
  readonly prefix: number;
  readonly flags: number;
  readonly ed25519Key: Uint8Array;
}

export function encodeSubaccountToken(prefix: number, flags: number, ed25519Key: Uint8Array): Uint8Array {
  checkLength('Ed25519 public key', ed25519Key, 32);
  return concat(Uint8Array.of(prefix, flags, 0, 0), ed25519Key);
}

/**
 * Raw bytes, 48 base64 characters or 72 hex digits. The reserved bytes are not checked (spec/storage-server §2.6).
 * @throws ParseError `subaccount`
 */
export function parseSubaccountToken(token: Uint8Array | string): SubaccountToken {
  const bytes = typeof token === 'string' ? tokenOfText(token) : token;
  if (bytes.length !== TOKEN_LENGTH) {
    throw new ParseError('subaccount', `a subaccount token of ${bytes.length} bytes, not ${TOKEN_LENGTH}`);
  }
  return { bytes, prefix: bytes[0]!, flags: bytes[1]!, ed25519Key: bytes.subarray(4) };
}

function tokenOfText(text: string): Uint8Array {
  try {
    if (text.length === 48) return fromBase64(text);
    if (text.length === 72) return fromHex(text);
  } catch (cause) {
    throw new ParseError('subaccount', 'a subaccount token that is neither hex nor base64', { cause });
  }
  throw new ParseError('subaccount', `a subaccount token of ${text.length} characters`);
}

/** Whether the token is good for accounts of this prefix and has all of these flags. Revocation is another matter. */
export function subaccountAllows(token: SubaccountToken, accountPrefix: number, flags: number): boolean {
  const isForPrefix = token.prefix === accountPrefix || (token.flags & SubaccountFlag.anyPrefix) !== 0;
  return isForPrefix && (token.flags & flags) === flags;
}

/** What a group's admin hands a member: the factor k of his key, and the group's signature of his token. */
export interface MemberGrant {
  readonly flags: number;
  readonly factor: Uint8Array;
  readonly tokenSignature: Uint8Array;
}

/**
 * Made by the admin of the group, who knows no secret of the member; always the same for the same member and flags.
 * @throws ParseError `subaccount` when the member's key is no usable point
 */
export function grantSubaccount(
  groupSeed: Uint8Array,
  member: AccountId,
  flags: number,
): { readonly grant: MemberGrant; readonly token: Uint8Array } {
  const group = ed25519KeyPair(groupSeed);
  const mask = blake2b(groupSeed, 32, { key: MASK_KEY });
  const context = [accountIdBytes(member), Uint8Array.of(GROUP_PREFIX), group.publicKey];
  const factor = scalarReduce(blake2b(context, 64, { key: mask }));
  const token = tokenOf(factor, flags, x25519KeyToEd25519(x25519KeyOf(member)));
  return { grant: { flags, factor, tokenSignature: ed25519Sign(token, group.secretKey) }, token };
}

/** The 100 bytes of "auth data". */
export function encodeMemberGrant(grant: MemberGrant): Uint8Array {
  checkLength('scalar', grant.factor, 32);
  checkLength('Ed25519 signature', grant.tokenSignature, 64);
  return concat(Uint8Array.of(GROUP_PREFIX, grant.flags, 0, 0), grant.factor, grant.tokenSignature);
}

/** @throws ParseError `subaccount` */
export function parseMemberGrant(authData: Uint8Array): MemberGrant {
  if (authData.length !== AUTH_DATA_LENGTH) {
    throw new ParseError('subaccount', `auth data of ${authData.length} bytes, not ${AUTH_DATA_LENGTH}`);
  }
  if (authData[0] !== GROUP_PREFIX || authData[2] !== 0 || authData[3] !== 0) {
    throw new ParseError('subaccount', 'auth data of another kind');
  }
  return { flags: authData[1]!, factor: authData.slice(4, 36), tokenSignature: authData.slice(36) };
}

/** Acts for a group by a grant. */
export interface MemberSigner {
  readonly token: Uint8Array;
  readonly tokenSignature: Uint8Array;
  /** An ordinary Ed25519 signature of the token's key. */
  sign(message: Uint8Array): Uint8Array;
}

/**
 * @param seed the member's 32-byte Ed25519 seed (a 16-byte account seed followed by zeros)
 * @throws ParseError `subaccount` when the grant yields no key
 */
export function memberSigner(grant: MemberGrant, seed: Uint8Array): MemberSigner {
  const { publicKey, secretKey } = ed25519KeyPair(seed);
  const isNegative = (publicKey[31]! & 0x80) !== 0;
  const point = publicKey.slice();
  point[31]! &= 0x7f;
  const token = tokenOf(grant.factor, grant.flags, point);
  const tokenKey = token.subarray(4);
  const scalar = ed25519SecretKeyToX25519(secretKey);
  const tokenScalar = scalarMultiply(grant.factor, isNegative ? scalarNegate(scalar) : scalar);
  const nonceSeed = blake2b(seed, 32, { key: SEED_KEY });
  return {
    token,
    tokenSignature: grant.tokenSignature,
    sign(message) {
      const r = scalarReduce(blake2b([nonceSeed, tokenKey, message], 64, { key: SIGNATURE_KEY }));
      const R = pointMultiplyBase(r);
      const challenge = scalarReduce(sha512([R, tokenKey, message]));
      return concat(R, scalarAdd(r, scalarMultiply(challenge, tokenScalar)));
    },
  };
}

function tokenOf(factor: Uint8Array, flags: number, point: Uint8Array | undefined): Uint8Array {
  const isZero = scalarAdd(factor, new Uint8Array(32)).every((byte) => byte === 0);
  const tokenKey = point === undefined || isZero ? undefined : pointMultiply(factor, point);
  if (tokenKey === undefined) throw new ParseError('subaccount', 'a grant or member that yields no key');
  return encodeSubaccountToken(GROUP_PREFIX, flags, tokenKey);
}

const P = 2n ** 255n - 19n;

/**
 * The Edwards point of sign bit 0 with this Montgomery u: y = (u − 1)/(u + 1) (spec/client §1.1). Undefined for
 * u = −1. Whether the result is on the curve is found out by the function that uses it.
 */
export function x25519KeyToEd25519(x25519Key: Uint8Array): Uint8Array | undefined {
  checkLength('X25519 public key', x25519Key, 32);
  let u = 0n;
  for (let i = 31; i >= 0; i--) u = (u << 8n) | BigInt(i === 31 ? x25519Key[i]! & 0x7f : x25519Key[i]!);
  u %= P;
  if (u === P - 1n) return undefined;
  let y = ((u - 1n + P) * power(u + 1n, P - 2n)) % P;
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) {
    out[i] = Number(y & 0xffn);
    y >>= 8n;
  }
  return out;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base % P, rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}
