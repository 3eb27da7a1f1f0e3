// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { x25519KeyPair, x25519PublicKey } from '#crypto';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, fromUtf8, toHex, utf8 } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import {
  type EncType,
  encTypeName,
  openLayer,
  openReply,
  parseEncType,
  type ReplyKey,
  sealLayer,
  sealReply,
} from '../../src/onion/layer.ts';

const encTypes = fc.constantFrom<EncType>('aes-gcm', 'xchacha20-poly1305');

describe.each(vectors.onion.hop_crypto)('vector %$: $enc_type', (vector) => {
  const encType = parseEncType(vector.enc_type);
  const ciphertext = fromHex(vector.ciphertext);
  const clientKey = fromHex(vector.client_x25519_pubkey);
  const server = {
    publicKey: fromHex(vector.server_x25519_pubkey),
    secretKey: fromHex(vector.server_x25519_seckey),
  };

  if (encType === 'aes-cbc') {
    test('aes-cbc does not open', () => {
      expect(openLayer(encType, ciphertext, clientKey, server)).toBeUndefined();
    });
    return;
  }

  test('opens at the server and gives the key of the answer', () => {
    const opened = openLayer(encType, ciphertext, clientKey, server);
    expect(fromUtf8(opened?.plaintext as Uint8Array)).toBe(vector.plaintext_ascii);
    expect(toHex(opened?.replyKey.key as Uint8Array)).toBe(vector.symmetric_key);
  });

  test('is what a client with the same key and nonce sends, and a server answers', () => {
    const nonce = ciphertext.subarray(0, encType === 'aes-gcm' ? 12 : 24);
    const ephemeralSecret = fromHex(vector.client_x25519_seckey);
    const plaintext = utf8(vector.plaintext_ascii);
    const sealed = sealLayer(encType, plaintext, server.publicKey, { ephemeralSecret, nonce });
    expect(toHex(sealed.ciphertext)).toBe(vector.ciphertext);
    expect(toHex(sealed.ephemeralKey)).toBe(vector.client_x25519_pubkey);
    expect(toHex(sealReply(sealed.replyKey, plaintext, nonce))).toBe(vector.ciphertext);
    expect(openReply(sealed.replyKey, ciphertext)).toEqual(plaintext);
  });
});

test('every alias of an encryption type is known, the default is aes-gcm, other names are refused', () => {
  expect(parseEncType(undefined)).toBe('aes-gcm');
  expect(['aes-gcm', 'gcm'].map(parseEncType)).toEqual(['aes-gcm', 'aes-gcm']);
  expect(['xchacha20', 'xchacha20-poly1305'].map(parseEncType)).toEqual(Array(2).fill('xchacha20-poly1305'));
  expect(['aes-cbc', 'cbc'].map(parseEncType)).toEqual(['aes-cbc', 'aes-cbc']);
  for (const text of ['', 'AES-GCM', 'aes-gcm ', 'chacha20'])
    expect(() => parseEncType(text)).toThrow(ParseError);
});

test('the name sent for a type is parsed back to it', () => {
  for (const encType of ['aes-gcm', 'xchacha20-poly1305', 'aes-cbc'] as const) {
    expect(parseEncType(encTypeName(encType))).toBe(encType);
  }
});

test('a layer opens with the right key pair only, and both sides have the same key for the answer', () => {
  fc.assert(
    fc.property(encTypes, fc.uint8Array({ maxLength: 300 }), (encType, plaintext) => {
      const node = x25519KeyPair();
      const { ciphertext, ephemeralKey, replyKey } = sealLayer(encType, plaintext, node.publicKey);
      const opened = openLayer(encType, ciphertext, ephemeralKey, node);
      expect(opened).toEqual({ plaintext, replyKey });
      expect(openLayer(encType, ciphertext, ephemeralKey, x25519KeyPair())).toBeUndefined();
      const answer = sealReply(opened?.replyKey as ReplyKey, plaintext);
      expect(openReply(replyKey, answer)).toEqual(plaintext);
    }),
    { numRuns: 40 },
  );
});

test('a changed bit anywhere closes a layer', () => {
  const node = x25519KeyPair();
  fc.assert(
    fc.property(encTypes, fc.nat(), fc.nat(7), (encType, at, bit) => {
      const { ciphertext, ephemeralKey } = sealLayer(encType, utf8('attack at dawn'), node.publicKey);
      const index = at % ciphertext.length;
      ciphertext[index] = (ciphertext[index] as number) ^ (1 << bit);
      expect(openLayer(encType, ciphertext, ephemeralKey, node)).toBeUndefined();
    }),
    { numRuns: 60 },
  );
});

test.each(['aes-gcm', 'xchacha20-poly1305'] as const)(
  '%s: short or degenerate input does not open',
  (encType) => {
    const node = x25519KeyPair();
    const { ciphertext, ephemeralKey } = sealLayer(encType, new Uint8Array(0), node.publicKey);
    expect(openLayer(encType, ciphertext, ephemeralKey, node)?.plaintext).toEqual(new Uint8Array(0));
    for (let length = 0; length < ciphertext.length; length++) {
      expect(openLayer(encType, ciphertext.subarray(0, length), ephemeralKey, node)).toBeUndefined();
    }
    // An all-zero shared secret (spec/storage-server §4.3), and a key of the wrong length.
    expect(openLayer(encType, ciphertext, new Uint8Array(32), node)).toBeUndefined();
    expect(openLayer(encType, ciphertext, ephemeralKey.subarray(1), node)).toBeUndefined();
  },
);

test('sealing to a degenerate key is refused', () => {
  expect(() => sealLayer('aes-gcm', utf8('x'), new Uint8Array(32))).toThrow(
    expect.objectContaining({ code: 'low_order' }),
  );
});

test('two layers of the same text share neither key nor nonce', () => {
  const node = x25519KeyPair();
  const first = sealLayer('aes-gcm', utf8('x'), node.publicKey);
  const second = sealLayer('aes-gcm', utf8('x'), node.publicKey);
  expect(toHex(first.ephemeralKey)).not.toBe(toHex(second.ephemeralKey));
  expect(toHex(first.ciphertext.subarray(0, 12))).not.toBe(toHex(second.ciphertext.subarray(0, 12)));
  expect(x25519PublicKey(node.secretKey)).toEqual(node.publicKey);
});
