// SPDX-License-Identifier: MIT
// Names that stand for account ids (spec/client §9, spec/storage-server §3.3): what a node is asked, what it answers, and
// what that says to whoever knows the name. Nodes know the hash of a name and its encrypted value only.

import { argon2id, blake2b, secretboxOpen, xchacha20Poly1305Open, xchacha20Poly1305Seal } from '#crypto';
import { equal, fromHex, toBase64, toHex, utf8 } from '../bytes.ts';
import type { Json, JsonObject } from '../codec/json.ts';
import { ParseError } from '../errors.ts';
import { type AccountId, accountIdBytes, parseAccountId } from './account-id.ts';

// From the specification.
const HASH_BYTES = 32;
const NONCE_BYTES = 24;
/** 33 bytes of an account id and the tag. */
const VALUE_BYTES = 33 + 16;
/** Of the oldest registrations. */
const LEGACY = { passes: 3, memoryBytes: 268_435_456, length: 32 } as const;
const LEGACY_SALT = new Uint8Array(16);
const LEGACY_NONCE = new Uint8Array(NONCE_BYTES);
/** Names of accounts; others are of wallets and of another network. */
export const NAME_TYPE_ACCOUNT = 0;
// Ours.
/** The registry took no longer ones (spec/client §9 has no limit). */
const MAX_NAME = 64;

/** In lower case: ASCII letters, digits, `_`, and `-` in between. */
export type SessionName = string & { readonly brand: 'SessionName' };

/** What a node knows of a name. */
export interface NameValue {
  /** 49 bytes. */
  readonly encrypted: Uint8Array;
  /** 24 bytes; the oldest entries have none. */
  readonly nonce: Uint8Array | undefined;
}

/** Either case is accepted. @throws ParseError `session_name` */
export function parseSessionName(text: string): SessionName {
  // Before lower case: there are foreign letters whose lower case is ASCII.
  if (text.length > MAX_NAME || !/^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/.test(text)) {
    throw new ParseError(
      'session_name',
      `a name has up to ${MAX_NAME} letters a to z, digits, "_" and, inside, "-"`,
    );
  }
  return text.toLowerCase() as SessionName;
}

/** The name as nodes are asked for it: base64 of 32 bytes. */
export function nameHash(name: SessionName): string {
  return toBase64(hashOf(name));
}

/** Parameters of `ons_resolve`. */
export function nameQuestion(name: SessionName): JsonObject {
  return { type: NAME_TYPE_ACCOUNT, name_hash: nameHash(name) };
}

/**
 * The `result` of `ons_resolve`; undefined: nobody has registered the name.
 * @throws ParseError `response`
 */
export function parseNameAnswer(result: Json): NameValue | undefined {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) {
    throw new ParseError('response', 'an answer about a name that is no object');
  }
  const { encrypted_value: value, nonce } = result as JsonObject;
  if (value === undefined || value === null || value === '') return undefined;
  const text = (field: Json, bytes: number) => {
    if (typeof field === 'string' && field.length === 2 * bytes) return fromHex(field, bytes);
    throw new ParseError('response', `an answer about a name without ${bytes} bytes in hex`);
  };
  const hasNonce = nonce !== undefined && nonce !== null && nonce !== '';
  return {
    encrypted: text(value, VALUE_BYTES),
    nonce: hasNonce ? text(nonce, NONCE_BYTES) : undefined,
  };
}

/** Whether two nodes say the same; undefined: not registered. */
export function isSameValue(a: NameValue | undefined, b: NameValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const nonces = [a.nonce ?? new Uint8Array(0), b.nonce ?? new Uint8Array(0)] as const;
  return equal(a.encrypted, b.encrypted) && equal(...nonces);
}

/**
 * The account that the value says to whoever knows the name; undefined when it does not open or is no account. Without a
 * nonce it takes 256 MiB of memory for about a second: let several nodes agree on the value first.
 */
export function openNameValue(name: SessionName, { encrypted, nonce }: NameValue): AccountId | undefined {
  const plain =
    nonce === undefined
      ? secretboxOpen(argon2id(utf8(name), LEGACY_SALT, LEGACY), LEGACY_NONCE, encrypted)
      : xchacha20Poly1305Open(valueKey(name), nonce, encrypted);
  if (plain === undefined) return undefined;
  try {
    return parseAccountId(toHex(plain));
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/**
 * Of a registry that is not a chain: all nodes that have the same name for the same account give the same bytes, because
 * the nonce follows from both. It need not be random: one key encrypts nothing but accounts of one name.
 */
export function sealNameValue(name: SessionName, id: AccountId): NameValue & { readonly nonce: Uint8Array } {
  const plain = accountIdBytes(id);
  const nonce = blake2b(plain, NONCE_BYTES, { key: valueKey(name) });
  return { encrypted: xchacha20Poly1305Seal(valueKey(name), nonce, plain), nonce };
}

function hashOf(name: SessionName): Uint8Array {
  return blake2b(utf8(name), HASH_BYTES);
}

function valueKey(name: SessionName): Uint8Array {
  return blake2b(utf8(name), HASH_BYTES, { key: hashOf(name) });
}
