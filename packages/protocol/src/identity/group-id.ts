// SPDX-License-Identifier: MIT
// Ids of closed groups (spec/config-and-groups §1).
import { fromHex, toHex } from '../bytes.ts';
import { checkLength } from '../crypto/checks.ts';
import { ParseError } from '../errors.ts';

/** 66 lower-case hex digits: prefix 03, then the group's Ed25519 public key. */
export type GroupId = string & { readonly brand: 'GroupId' };

/**
 * Either case is accepted.
 * @throws ParseError `account_id`
 */
export function parseGroupId(text: string): GroupId {
  if (!/^03[0-9a-f]{64}$/i.test(text)) {
    throw new ParseError('account_id', 'a group id is 66 hex digits that begin with 03');
  }
  return text.toLowerCase() as GroupId;
}

/** @throws CryptoError `bad_length` when the key has not 32 bytes */
export function groupIdOf(ed25519Key: Uint8Array): GroupId {
  checkLength('Ed25519 public key', ed25519Key, 32);
  return `03${toHex(ed25519Key)}` as GroupId;
}

export function ed25519KeyOf(id: GroupId): Uint8Array {
  return fromHex(id.slice(2), 32);
}
