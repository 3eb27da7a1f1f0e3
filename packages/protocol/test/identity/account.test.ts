// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { ed25519Verify, sealedBoxSeal } from '#crypto';
import clientVectors from '../../../../vectors/client.json' with { type: 'json' };
import storageVectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromBase64, fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { Account, AccountError } from '../../src/identity/account.ts';
import { MnemonicError } from '../../src/identity/mnemonic.ts';

const { sender, recipient } = clientVectors.test_keys;

describe('vectors', () => {
  test.each(clientVectors.mnemonic)('account of "$phrase"', (vector) => {
    const account = Account.fromPhrase(vector.phrase);
    expect(account.id).toBe(vector.account_id);
    expect(toHex(account.ed25519Key)).toBe(vector.ed25519_public);
    expect(toHex(account.x25519Key)).toBe(vector.x25519_public);
    expect(toHex(account.seed())).toBe(vector.seed16);
    expect(account.phrase()).toBe(vector.canonical_phrase);
    expect(Account.fromSeed(fromHex(vector.seed32)).phrase()).toBe(vector.canonical_phrase);
  });

  test.each([sender, recipient])('test key $account_id', (vector) => {
    const account = Account.fromSeed(fromHex(vector.seed32));
    expect(account.id).toBe(vector.account_id);
    expect(toHex(account.ed25519Key)).toBe(vector.ed25519_public);
    expect(toHex(account.x25519Key)).toBe(vector.x25519_public);
  });

  test.each([storageVectors.keys.account, storageVectors.keys.group_member])(
    'session id $session_id',
    (vector) => {
      expect(Account.fromSeed(fromHex(vector.ed25519_seed)).id).toBe(vector.session_id);
    },
  );

  test('the phrase of 25 words opens the account of its 32 bytes', () => {
    const { seed32, phrase } = clientVectors.mnemonic_32_byte_seed;
    const account = Account.fromPhrase(phrase);
    expect(account.id).toBe(Account.fromSeed(fromHex(seed32)).id);
    expect(toHex(account.seed())).toBe(seed32);
    expect(account.phrase()).toBe(phrase);
  });

  test.each(clientVectors.storage_signatures.list)('signature: $name', (vector) => {
    const account = Account.fromSeed(fromHex(sender.seed32));
    const text = vector.signed_hex === undefined ? utf8(vector.signed_string) : fromHex(vector.signed_hex);
    expect(account.sign(text)).toEqual(fromBase64(vector.signature_base64));
  });
});

test('a new account can be restored from its phrase, however it is typed', () => {
  const account = Account.create();
  const typed = `  ${account.phrase().toUpperCase().replaceAll(' ', '\n ')} `;
  expect(account.phrase().split(' ').length).toBe(13);
  expect(Account.fromPhrase(typed).id).toBe(account.id);
  expect(Account.create().id).not.toBe(account.id);
});

test('it signs with its Ed25519 key and opens boxes sealed to its X25519 key', () => {
  const account = Account.create();
  expect(ed25519Verify(account.sign(utf8('text')), utf8('text'), account.ed25519Key)).toBe(true);
  const sealed = sealedBoxSeal(utf8('secret'), account.x25519Key);
  expect(account.openSealedBox(sealed)).toEqual(utf8('secret'));
  expect(Account.create().openSealedBox(sealed)).toBeUndefined();
  expect(account.openSealedBox(new Uint8Array(3))).toBeUndefined();
});

test('bad seeds and phrases are refused', () => {
  for (const length of [0, 15, 17, 31, 33, 64])
    expect(() => Account.fromSeed(new Uint8Array(length))).toThrow(AccountError);
  expect(() => Account.fromPhrase('')).toThrow(MnemonicError);
  expect(() => Account.fromPhrase('abbey '.repeat(24))).toThrow(MnemonicError);
});

test('the seed given and the seed got are copies', () => {
  const seed = new Uint8Array(32).fill(7);
  const account = Account.fromSeed(seed);
  seed.fill(0);
  account.seed().fill(0);
  expect(account.seed()).toEqual(new Uint8Array(32).fill(7));
});

test('JSON, text and cloning show no secret', () => {
  const account = Account.fromSeed(fromHex(sender.seed32));
  const short = 'Account(05d2ad01…3a72)';
  expect(`${account}`).toBe(short);
  expect(JSON.stringify({ account })).toBe(`{"account":"${short}"}`);
  const clone: object = structuredClone(account);
  const shown = JSON.stringify(
    Object.values(clone).map((value) => (value instanceof Uint8Array ? toHex(value) : value)),
  );
  expect(Object.keys(clone).sort()).toEqual(['ed25519Key', 'id', 'x25519Key']);
  for (const secret of [sender.seed32, sender.x25519_secret])
    expect(shown).not.toContain(secret.slice(0, 32));
});

test('after disposal everything secret throws, and what is public stays', () => {
  const account = Account.create();
  const { id } = account;
  account.dispose();
  account.dispose();
  const secretUses: (() => unknown)[] = [
    () => account.seed(),
    () => account.phrase(),
    () => account.sign(utf8('x')),
    () => account.openSealedBox(new Uint8Array(60)),
  ];
  for (const use of secretUses) {
    expect(use).toThrow(expect.objectContaining({ name: 'AccountError', code: 'disposed' }));
  }
  expect(account.id).toBe(id);
  let outside: Account;
  {
    using scoped = Account.create();
    outside = scoped;
    expect(scoped.seed().length).toBe(16);
  }
  expect(() => outside.seed()).toThrow(AccountError);
});

test('derives keys that differ by purpose and account, and none after it was disposed of', () => {
  const account = Account.fromSeed(new Uint8Array(16).fill(1));
  const keys = [
    account.deriveKey('storage'),
    account.deriveKey('blobs'),
    Account.fromSeed(new Uint8Array(16).fill(2)).deriveKey('storage'),
  ].map((key) => toHex(key));
  expect(new Set(keys).size).toBe(3);
  expect(keys.every((key) => key.length === 64)).toBe(true);
  expect(Account.fromSeed(new Uint8Array(16).fill(1)).deriveKey('storage')).toEqual(
    account.deriveKey('storage'),
  );
  account.dispose();
  expect(() => account.deriveKey('storage')).toThrow(expect.objectContaining({ code: 'disposed' }));
});
