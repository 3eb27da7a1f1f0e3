// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { concat, fromHex, toHex } from '../../src/bytes.ts';
import { CryptoError } from '../../src/crypto/provider.ts';
import { ParseError } from '../../src/errors.ts';
import {
  accountIdBytes,
  accountIdOf,
  parseAccountId,
  shortId,
  x25519KeyOf,
} from '../../src/identity/account-id.ts';

const { account } = vectors.keys;
const texts = vectors.pubkey_parsing.filter((v) => v.input_ascii !== undefined && v.network === 'mainnet');

test.each(texts)('vector $input_ascii: $accept', (vector) => {
  // Here only what a person may type as an account: prefix 05 as text.
  if (vector.accept && vector.type === 5) {
    expect(parseAccountId(vector.input_ascii!)).toBe(vector.canonical ?? vector.input_ascii);
  } else {
    expect(() => parseAccountId(vector.input_ascii!)).toThrow(ParseError);
  }
});

test('ids, bytes and keys convert into each other', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      const id = accountIdOf(key);
      expect(id).toBe(`05${toHex(key)}`);
      expect(parseAccountId(id.toUpperCase())).toBe(id);
      expect(accountIdBytes(id)).toEqual(concat(Uint8Array.of(5), key));
      expect(x25519KeyOf(id)).toEqual(key);
    }),
  );
  expect(accountIdOf(fromHex(account.pubkey_x25519))).toBe(account.session_id);
  expect(shortId(parseAccountId(account.session_id))).toMatch(/^057a[0-9a-f]{4}…6668$/);
  expect(() => accountIdOf(new Uint8Array(33))).toThrow(CryptoError);
});

test('anything else is refused, and not repeated', () => {
  const hex = account.session_id;
  for (const text of [
    '',
    ` ${hex}`,
    `${hex}\n`,
    `03${hex.slice(2)}`,
    `0x${hex}`,
    `${hex.slice(0, -1)}ſ`,
    `${hex}0`,
  ]) {
    expect(() => parseAccountId(text)).toThrow(
      expect.objectContaining({ name: 'ParseError', code: 'account_id' }),
    );
    expect(() => parseAccountId(text)).not.toThrow(hex.slice(2, 60));
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => parseAccountId(text)).toThrow(ParseError);
    }),
  );
});
