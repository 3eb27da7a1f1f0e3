// SPDX-License-Identifier: MIT
import { fromHex, toHex } from '@allium/protocol/bytes';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeystoreError, keystoreAddress, openKeystore, sealKeystore } from '../../src/wallet/keystore.ts';

const KEY = '7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d';
const ADDRESS = '0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b';
const QUICK = { n: 1024, r: 8, p: 1 };

// A test vector of the format's definition; its passphrase is `testpassword`.
const PBKDF2 = {
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
  id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
  version: 3,
};

const codeOf = (run: () => unknown) => {
  try {
    run();
    return 'opened';
  } catch (error) {
    expect(error).toBeInstanceOf(KeystoreError);
    return (error as KeystoreError).code;
  }
};

describe('a keystore', () => {
  test('of another wallet opens with its passphrase and with no other', () => {
    const text = JSON.stringify(PBKDF2);
    expect(toHex(openKeystore(text, 'testpassword'))).toBe(KEY);
    expect(codeOf(() => openKeystore(text, 'testpassword '))).toBe('wrong_passphrase');
    expect(keystoreAddress(text)).toBeUndefined();
  });

  test('opens with names in capitals and an address, and not with the address of another key', () => {
    const { crypto, ...rest } = PBKDF2;
    const text = (address: string) => JSON.stringify({ ...rest, address, Crypto: crypto });
    expect(toHex(openKeystore(text(ADDRESS.slice(2)), 'testpassword'))).toBe(KEY);
    expect(toHex(openKeystore(text(ADDRESS.toUpperCase().replace('X', 'x')), 'testpassword'))).toBe(KEY);
    expect(codeOf(() => openKeystore(text('00'.repeat(20)), 'testpassword'))).toBe('damaged');
  });

  test('of our own comes back, never names the key, and is another each time', () => {
    const text = sealKeystore(fromHex(KEY), 'a pass phrase ü', QUICK);
    expect(toHex(openKeystore(text, 'a pass phrase ü'))).toBe(KEY);
    expect(keystoreAddress(text)).toBe(ADDRESS);
    expect(text).not.toContain(KEY);
    expect(sealKeystore(fromHex(KEY), 'a pass phrase ü', QUICK)).not.toBe(text);
  });

  test('that would cost too much is refused before anything is spent', () => {
    const { crypto } = JSON.parse(sealKeystore(fromHex(KEY), 'x', QUICK));
    const withKdf = (changes: object) =>
      JSON.stringify({ version: 3, crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, ...changes } } });
    expect(codeOf(() => openKeystore(withKdf({ n: 2 ** 30 }), 'x'))).toBe('too_costly');
    expect(codeOf(() => openKeystore(withKdf({ p: 1000 }), 'x'))).toBe('too_costly');
    expect(codeOf(() => openKeystore(withKdf({ n: 1000 }), 'x'))).toBe('no_keystore');
    const slow = { ...PBKDF2.crypto, kdfparams: { ...PBKDF2.crypto.kdfparams, c: 1e9 } };
    expect(codeOf(() => openKeystore(JSON.stringify({ version: 3, crypto: slow }), 'x'))).toBe('too_costly');
  });

  test('with anything broken in it is no keystore, or does not open', () => {
    const good = sealKeystore(fromHex(KEY), 'x', QUICK);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 3 }), (at, text) => {
        const bad = good.slice(0, at) + text + good.slice(at + 1);
        const code = codeOf(() => openKeystore(bad, 'x'));
        if (code === 'opened') expect(toHex(openKeystore(bad, 'x'))).toBe(KEY);
      }),
      { numRuns: 60 },
    );
    for (const text of ['', '{}', '[]', 'null', '{"version":3,"crypto":null}', 'x'.repeat(100_000)]) {
      expect(codeOf(() => openKeystore(text, 'x'))).toBe('no_keystore');
    }
  });
});
