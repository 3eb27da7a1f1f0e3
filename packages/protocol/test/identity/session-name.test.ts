// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { argon2id, blake2b, xchacha20Poly1305Seal } from '#crypto';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import nodeVectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, toHex, utf8 } from '../../src/bytes.ts';
import type { Json } from '../../src/codec/json.ts';
import { ParseError } from '../../src/errors.ts';
import { type AccountId, accountIdOf } from '../../src/identity/account-id.ts';
import {
  isSameValue,
  nameHash,
  nameQuestion,
  openNameValue,
  parseNameAnswer,
  parseSessionName,
  sealNameValue,
} from '../../src/identity/session-name.ts';

const ID = accountIdOf(new Uint8Array(32).fill(7));
const NAME = parseSessionName('alice');

describe('vectors', () => {
  test.each(vectors.ons.current)(
    '$name',
    ({ name, name_hash_base64, nonce, encrypted_value, account_id }) => {
      const parsed = parseSessionName(name.toUpperCase());
      expect(nameHash(parsed)).toBe(name_hash_base64);
      const value = parseNameAnswer({ encrypted_value, nonce });
      expect(value && openNameValue(parsed, value)).toBe(account_id);
      expect(openNameValue(parseSessionName('someone-else'), value!)).toBeUndefined();
    },
  );

  test.each(nodeVectors.ons_resolve)('$name, as nodes document it', (vector) => {
    const name = parseSessionName(vector.name);
    expect(nameQuestion(name)).toEqual({ type: vector.type, name_hash: vector.name_hash_base64 });
    const { encrypted_value, nonce } = vector;
    expect(openNameValue(name, parseNameAnswer({ encrypted_value, nonce })!)).toBe(vector.value);
  });

  test('the oldest entries, without a nonce', () => {
    const { name, key, encrypted_value, account_id, ...cost } = vectors.ons.legacy_argon2;
    const options = {
      passes: cost.argon2id_opslimit,
      memoryBytes: cost.argon2id_memlimit_bytes,
      length: 32,
    };
    expect(toHex(argon2id(utf8(name), fromHex(cost.salt_hex), options))).toBe(key);
    for (const nonce of [undefined, null, '']) {
      const value = parseNameAnswer({ encrypted_value, ...(nonce !== undefined && { nonce }) });
      expect(value).toMatchObject({ nonce: undefined });
      if (nonce === undefined) expect(openNameValue(parseSessionName(name), value!)).toBe(account_id);
    }
  });

  test('the question', () => {
    expect(nameQuestion(parseSessionName('TEST'))).toEqual(vectors.ons.request.params);
  });
});

describe('names', () => {
  test.each(['a', '_', '0', 'a-b', 'a--b', 'A_9', 'x'.repeat(64)])('%j is one', (text) => {
    expect(parseSessionName(text)).toBe(text.toLowerCase());
  });

  test.each([
    '',
    '-',
    '-a',
    'a-',
    'a b',
    'a.b',
    'ä',
    'al\u0131ce',
    '\u212aarl',
    'a\n',
    '\ta',
    'x'.repeat(65),
    'a\0',
  ])('%j is none', (text) => {
    expect(() => parseSessionName(text)).toThrow(ParseError);
  });

  test('any text is one or refused, and names of either case are the same', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'aZ9_-.é') })), (text) => {
        try {
          const name = parseSessionName(text);
          expect(parseSessionName(name)).toBe(name);
          expect(parseSessionName(text.toUpperCase())).toBe(name);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
    );
  });
});

describe('answers', () => {
  const encrypted_value = '00'.repeat(49);

  test.each([{}, { nonce: '00' }, { encrypted_value: null }, { encrypted_value: '' }])(
    '%j: not registered',
    (answer) => {
      expect(parseNameAnswer(answer as Json)).toBeUndefined();
    },
  );

  test.each([
    null,
    [],
    'x',
    7,
    { encrypted_value: 7 },
    { encrypted_value: 'zz'.repeat(49), nonce: '00'.repeat(24) },
    { encrypted_value: '00'.repeat(48) },
    { encrypted_value: '00'.repeat(100_000) },
    { encrypted_value, nonce: '00'.repeat(23) },
    { encrypted_value, nonce: 24 },
    { encrypted_value, nonce: 'zz'.repeat(24) },
  ])('%j is refused', (answer) => {
    expect(() => parseNameAnswer(answer as Json)).toThrow(ParseError);
  });

  test('a value that holds no account opens to nothing', () => {
    const hash = blake2b(utf8(NAME), 32);
    const nonce = new Uint8Array(24);
    const encrypted = xchacha20Poly1305Seal(
      blake2b(utf8(NAME), 32, { key: hash }),
      nonce,
      new Uint8Array(33).fill(3),
    );
    expect(openNameValue(NAME, { encrypted, nonce })).toBeUndefined();
    expect(openNameValue(NAME, { encrypted: new Uint8Array(49), nonce })).toBeUndefined();
  });

  test('sealed and opened; the same for all who seal it', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9_]([a-z0-9_-]{0,62}[a-z0-9_])?$/), accounts, (text, id) => {
        const name = parseSessionName(text);
        const value = sealNameValue(name, id);
        expect(openNameValue(name, value)).toBe(id);
        expect(isSameValue(value, sealNameValue(name, id))).toBe(true);
        expect(
          parseNameAnswer({ encrypted_value: toHex(value.encrypted), nonce: toHex(value.nonce) }),
        ).toEqual(value);
      }),
      { numRuns: 30 },
    );
  });

  test('values are the same in all their bytes or not at all', () => {
    const value = sealNameValue(NAME, ID);
    expect(isSameValue(undefined, undefined)).toBe(true);
    expect(isSameValue(value, undefined)).toBe(false);
    expect(isSameValue(value, { ...value, nonce: undefined })).toBe(false);
    expect(isSameValue(value, { ...value, nonce: new Uint8Array(24) })).toBe(false);
    expect(isSameValue(value, { ...value, encrypted: new Uint8Array(49) })).toBe(false);
  });
});

const accounts: fc.Arbitrary<AccountId> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((key) => accountIdOf(key));
