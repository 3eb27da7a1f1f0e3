// SPDX-License-Identifier: MIT
// Account ids as people see them (spec/client §1.1, §1.2). What storage servers accept as `pubkey`, any prefix
// included, is in `storage/requests.ts`.
import { fromHex, toHex } from '../bytes.ts';
import { checkLength } from '../crypto/checks.ts';
import { ParseError } from '../errors.ts';

/** 66 lower-case hex digits: prefix 05, then an X25519 public key (spec/client §1.2). */
export type AccountId = string & { readonly brand: 'AccountId' };

/**
 * Either case is accepted.
 * @throws ParseError `account_id`; its message does not hold the text
 */
export function parseAccountId(text: string): AccountId {
  if (!/^05[0-9a-f]{64}$/i.test(text)) {
    throw new ParseError('account_id', 'an account id is 66 hex digits that begin with 05');
  }
  return text.toLowerCase() as AccountId;
}

/** @throws CryptoError `bad_length` when the key has not 32 bytes */
export function accountIdOf(x25519Key: Uint8Array): AccountId {
  checkLength('X25519 public key', x25519Key, 32);
  return `05${toHex(x25519Key)}` as AccountId;
}

/** The 33 bytes, prefix included. */
export function accountIdBytes(id: AccountId): Uint8Array {
  return fromHex(id, 33);
}

export function x25519KeyOf(id: AccountId): Uint8Array {
  return fromHex(id.slice(2), 32);
}

/** For display and logs: the first eight and the last four digits (spec/client §1.4). */
export function shortId(id: string): string {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}
