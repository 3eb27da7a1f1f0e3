// SPDX-License-Identifier: MIT
// The Node provider, and that it and the web provider open what the other sealed.
import { expect, test } from 'vitest';
import { utf8 } from '../../src/bytes.ts';
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import { cryptoSuite } from './conformance.ts';

const node: CryptoProvider = await import('../../src/crypto/node.ts');
const web: CryptoProvider = await import('../../src/crypto/web.ts');
cryptoSuite('node', node);
test('the fast hash is the same hash', async () => {
  const options = { salt: new Uint8Array(16).fill(1), key: Uint8Array.of(2) };
  const hash = () => {
    const state = node.blake2bHasher(33, options);
    state.update(utf8('a'));
    state.update(new Uint8Array(200_000));
    return state.digest();
  };
  const before = hash();
  await node.loadFastHash();
  expect(hash()).toEqual(before);
});

test.each([
  ['node', node, web],
  ['web', web, node],
] as const)('what %s seals and signs, the other opens and verifies', (_name, from, to) => {
  const text = utf8('across');
  const key = from.randomBytes(32);
  const nonce = from.randomBytes(24);
  const pair = from.x25519KeyPair();
  const signer = from.ed25519KeyPair(key);
  expect(to.aesGcmOpen(key, nonce.slice(12), from.aesGcmSeal(key, nonce.slice(12), text))).toEqual(text);
  expect(to.xchacha20Poly1305Open(key, nonce, from.xchacha20Poly1305Seal(key, nonce, text))).toEqual(text);
  expect(to.secretboxOpen(key, nonce, from.secretboxSeal(key, nonce, text))).toEqual(text);
  expect(to.sealedBoxOpen(from.sealedBoxSeal(text, pair.publicKey), pair)).toEqual(text);
  expect(to.ed25519Verify(from.ed25519Sign(text, signer.secretKey), text, signer.publicKey)).toBe(true);
});
