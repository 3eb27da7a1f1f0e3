// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ed25519KeyPair, ed25519Verify, pointMultiply } from '#crypto';
import clientVectors from '../../../../vectors/client.json' with { type: 'json' };
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../../src/bytes.ts';
import { CryptoError } from '../../src/crypto/provider.ts';
import { ParseError } from '../../src/errors.ts';
import { Account } from '../../src/identity/account.ts';
import { type AccountId, parseAccountId } from '../../src/identity/account-id.ts';
import {
  encodeMemberGrant,
  encodeSubaccountToken,
  grantSubaccount,
  memberSigner,
  parseMemberGrant,
  parseSubaccountToken,
  SubaccountFlag,
  subaccountAllows,
  x25519KeyToEd25519,
} from '../../src/identity/subaccount.ts';

const members = vectors.subaccounts.filter((vector) => vector.kind === 'group member derivation');
const plain = vectors.subaccounts.filter((vector) => vector.kind === undefined);

describe('vectors', () => {
  test('cover both kinds', () => {
    expect([members.length, plain.length]).toEqual([3, 1]);
  });

  test.each(plain)('token $token_hex', (vector) => {
    const token = parseSubaccountToken(vector.token_hex!);
    expect(token).toEqual(parseSubaccountToken(vector.token_base64));
    expect(token).toEqual(parseSubaccountToken(fromHex(vector.token_hex!)));
    expect(token.flags).toBe(vector.flags);
    expect(token.prefix).toBe(3);
    expect(toHex(token.ed25519Key)).toBe(vector.request_verify_key);
    expect(encodeSubaccountToken(3, vector.flags, token.ed25519Key)).toEqual(token.bytes);
    const group = ed25519KeyPair(fromHex(vectors.keys.group.ed25519_seed));
    expect(toHex(group.publicKey)).toBe(vector.signed_by);
    expect(ed25519Verify(fromBase64(vector.token_signature_base64), token.bytes, group.publicKey)).toBe(true);
    const signature = fromBase64(vector.request_signature_base64);
    expect(ed25519Verify(signature, utf8(vector.request_message_ascii), token.ed25519Key)).toBe(true);
  });

  test.each(members)('member $member_session_id of group $group_id', (vector) => {
    const member = parseAccountId(vector.member_session_id!);
    expect(Account.fromSeed(fromHex(vector.member_seed!)).id).toBe(member);
    const { grant, token } = grantSubaccount(fromHex(vector.group_seed!), member, vector.flags);
    expect(toHex(grant.factor)).toBe(vector.k);
    expect(toHex(x25519KeyToEd25519(fromHex(member.slice(2)))!)).toBe(vector.T);
    expect(toHex(token.slice(4))).toBe(vector.kT);
    expect(toBase64(token)).toBe(vector.token_base64);
    expect(toHex(encodeMemberGrant(grant))).toBe(vector.auth_data_100_bytes);

    const signer = memberSigner(
      parseMemberGrant(fromHex(vector.auth_data_100_bytes!)),
      fromHex(vector.member_seed!),
    );
    expect(signer.token).toEqual(token);
    expect(toBase64(signer.tokenSignature)).toBe(vector.token_signature_base64);
    const message = utf8(vector.request_message_ascii);
    expect(toBase64(signer.sign(message))).toBe(vector.request_signature_base64);
    expect(ed25519Verify(signer.sign(message), message, token.slice(4))).toBe(true);
  });
});

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('for any group and member, admin and member derive one token, whose signatures verify', () => {
  fc.assert(
    fc.property(
      seed,
      seed,
      fc.integer({ min: 0, max: 255 }),
      fc.uint8Array(),
      (group, own, flags, message) => {
        const { grant, token } = grantSubaccount(group, Account.fromSeed(own).id, flags);
        const received = parseMemberGrant(encodeMemberGrant(grant));
        expect(received).toEqual(grant);
        const signer = memberSigner(received, own);
        expect(signer.token).toEqual(token);
        const parsed = parseSubaccountToken(token);
        expect(parsed).toMatchObject({ prefix: 3, flags });
        expect(ed25519Verify(signer.sign(message), message, parsed.ed25519Key)).toBe(true);
        expect(ed25519Verify(signer.tokenSignature, token, ed25519KeyPair(group).publicKey)).toBe(true);
      },
    ),
    { numRuns: 30 },
  );
});

test('a token is good for its prefix, or any with the flag, and for its flags only', () => {
  const key = new Uint8Array(32).fill(1);
  const token = (prefix: number, flags: number) =>
    parseSubaccountToken(encodeSubaccountToken(prefix, flags, key));
  const { read, write, delete: remove, anyPrefix } = SubaccountFlag;
  expect(subaccountAllows(token(3, read), 3, read)).toBe(true);
  expect(subaccountAllows(token(3, read), 5, read)).toBe(false);
  expect(subaccountAllows(token(3, read | anyPrefix), 5, read)).toBe(true);
  expect(subaccountAllows(token(3, read), 3, write)).toBe(false);
  expect(subaccountAllows(token(3, read | write), 3, read | remove)).toBe(false);
  expect(subaccountAllows(token(3, read | write | remove), 3, read | remove)).toBe(true);
});

test('the reserved bytes of a token are kept and not checked', () => {
  const bytes = encodeSubaccountToken(3, 1, new Uint8Array(32).fill(1));
  bytes.set([7, 7], 2);
  expect(parseSubaccountToken(toHex(bytes)).bytes).toEqual(bytes);
});

test('malformed tokens and grants throw ParseError and nothing else', () => {
  const refused = expect.objectContaining({ name: 'ParseError', code: 'subaccount' });
  for (const token of [
    '',
    'z'.repeat(72),
    '='.repeat(48),
    'a'.repeat(47),
    `${'A'.repeat(46)}==`,
    'ab'.repeat(35),
  ])
    expect(() => parseSubaccountToken(token), token).toThrow(refused);
  for (const length of [0, 35, 37])
    expect(() => parseSubaccountToken(new Uint8Array(length))).toThrow(refused);
  for (const length of [0, 99, 101]) expect(() => parseMemberGrant(new Uint8Array(length))).toThrow(refused);
  for (const at of [0, 2, 3]) {
    const authData = fromHex(members[0]!.auth_data_100_bytes!);
    authData[at]! ^= 0x10;
    expect(() => parseMemberGrant(authData)).toThrow(refused);
  }
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 110 }), fc.string({ minLength: 40, maxLength: 80 })),
      (input) => {
        for (const parse of [
          () => parseSubaccountToken(input),
          () => typeof input !== 'string' && parseMemberGrant(input),
        ]) {
          try {
            parse();
          } catch (error) {
            expect(error).toBeInstanceOf(ParseError);
          }
        }
      },
    ),
  );
  expect(() => encodeSubaccountToken(3, 1, new Uint8Array(31))).toThrow(CryptoError);
});

test('a grant whose factor is zero modulo L is refused', () => {
  for (const factor of [
    '00'.repeat(32),
    'edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010',
  ]) {
    const grant = { flags: 1, factor: fromHex(factor), tokenSignature: new Uint8Array(64) };
    expect(() => memberSigner(grant, new Uint8Array(32))).toThrow(ParseError);
  }
});

test('members whose key is no point of the main subgroup are refused', () => {
  // u = 0, u = −1, and a u of the twist (one without an Edwards point).
  const minusOne = `ec${'ff'.repeat(30)}7f`;
  expect(x25519KeyToEd25519(fromHex(minusOne))).toBeUndefined();
  for (const key of ['00'.repeat(32), minusOne, `02${'00'.repeat(31)}`]) {
    const group = new Uint8Array(32).fill(2);
    expect(() => grantSubaccount(group, `05${key}` as AccountId, 3), key).toThrow(ParseError);
  }
});

test('the Edwards point of an X25519 key has sign bit 0 and is the key or its negative', () => {
  const one = Uint8Array.of(1, ...new Uint8Array(31));
  for (const { ed25519_public, x25519_public } of clientVectors.mnemonic) {
    const point = x25519KeyToEd25519(fromHex(x25519_public))!;
    const expected = fromHex(ed25519_public);
    expected[31]! &= 0x7f;
    expect(point).toEqual(expected);
    expect(pointMultiply(one, point)).toEqual(expected);
  }
});
