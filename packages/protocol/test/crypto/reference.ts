// SPDX-License-Identifier: MIT
// A CryptoProvider of noble alone: slow, independent of libsodium, and the judge of the conformance suite. Where
// libsodium is stricter than RFC 8032 (points of small order), the same check stands here in the open.

import { poly1305 } from '@noble/ciphers/_poly1305.js';
import { cbc, gcm } from '@noble/ciphers/aes.js';
import { chacha20, hchacha, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { ed25519, x25519 as nobleX25519 } from '@noble/curves/ed25519.js';
import { argon2id as nobleArgon2id } from '@noble/hashes/argon2.js';
import { blake2b as nobleBlake2b } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concat, equal } from '../../src/bytes.ts';
import { checkArgon2id, checkBlake2b, checkLength, lowOrder, zeroScalar } from '../../src/crypto/checks.ts';
import type { CryptoProvider, Secretstream } from '../../src/crypto/provider.ts';

const { Point } = ed25519;
const L = Point.Fn.ORDER;

function whole(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return data instanceof Uint8Array ? data : concat(...data);
}

function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

function number(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function scalarBytes(value: bigint): Uint8Array {
  return Point.Fn.toBytes(((value % L) + L) % L);
}

function factor(scalar: Uint8Array): bigint {
  checkLength('scalar', scalar, 32);
  return number(scalar) % L;
}

function lengths(key: Uint8Array, nonce: Uint8Array, nonceLength: number): void {
  checkLength('key', key, 32);
  checkLength('nonce', nonce, nonceLength);
}

/** Every point in the main subgroup; non-canonical encodings pass, as they do in libsodium's conversion. */
function pointOf(bytes: Uint8Array, nonCanonical: boolean) {
  const point = orUndefined(() => Point.fromBytes(bytes, nonCanonical));
  return point === undefined || point.isSmallOrder() || !point.isTorsionFree() ? undefined : point;
}

/** libsodium's secretstream from its description, for streams shorter than 2^32 chunks. */
function referenceStream(key: Uint8Array, header: Uint8Array): Secretstream {
  const sigma = new Uint32Array(new TextEncoder().encode('expand 32-byte k').buffer);
  const words = new Uint32Array(8);
  const input = new Uint32Array(header.slice(0, 16).buffer);
  hchacha(sigma, new Uint32Array(key.slice().buffer), input, words);
  const subkey = new Uint8Array(words.buffer);
  const inner = header.slice(16);
  let counter = 1;
  const stream = (data: Uint8Array, block: number) =>
    chacha20(subkey, concat(Uint8Array.of(counter, counter >> 8, 0, 0), inner), data, undefined, block);
  const mac = (tagBlock: Uint8Array, body: Uint8Array) => {
    const sizes = new DataView(new ArrayBuffer(16));
    sizes.setUint32(8, 64 + body.length, true);
    // The padding is what libsodium does, not what it means to do.
    const filled = concat(tagBlock, body, new Uint8Array(body.length & 15), new Uint8Array(sizes.buffer));
    return poly1305(filled, stream(new Uint8Array(32), 0));
  };
  const advance = (tag: Uint8Array) => {
    for (let i = 0; i < 8; i++) inner[i]! ^= tag[i]!;
    counter++;
  };
  return {
    push(plaintext, isLast) {
      const tagBlock = stream(Uint8Array.of(isLast ? 3 : 0, ...new Uint8Array(63)), 1);
      const body = stream(plaintext, 2);
      const tag = mac(tagBlock, body);
      advance(tag);
      return concat(tagBlock.subarray(0, 1), body, tag);
    },
    pull(ciphertext) {
      if (ciphertext.length < 17) return undefined;
      const zero = stream(new Uint8Array(64), 1);
      const tagBlock = zero.slice();
      tagBlock[0] = ciphertext[0]!;
      const body = ciphertext.slice(1, -16);
      const tag = mac(tagBlock, body);
      if (!equal(tag, ciphertext.slice(-16))) return undefined;
      const plaintext = stream(body, 2);
      advance(tag);
      return { plaintext, isLast: (tagBlock[0]! ^ zero[0]!) === 3 };
    },
  };
}

const FIXED_SECRET = new Uint8Array(32).fill(9);

export const reference: CryptoProvider = {
  randomBytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),

  blake2b(data, length, options) {
    checkBlake2b(length, options);
    return nobleBlake2b(whole(data), {
      dkLen: length,
      ...(options?.key !== undefined && options.key.length > 0 && { key: options.key }),
      ...(options?.salt && { salt: options.salt }),
      ...(options?.personal && { personalization: options.personal }),
    });
  },
  loadFastHash: async () => undefined,
  sha256: (data) => sha256(whole(data)),
  sha512: (data) => sha512(whole(data)),
  blake2bHasher(length, options) {
    const parts: Uint8Array[] = [];
    return {
      update: (data) => void parts.push(data.slice()),
      digest: () => reference.blake2b(parts, length, options),
    };
  },
  hmacSha256: (key, data) => hmac(sha256, key, whole(data)),

  ed25519KeyPair(seed) {
    checkLength('seed', seed, 32);
    const publicKey = ed25519.getPublicKey(seed);
    return { publicKey, secretKey: concat(seed, publicKey) };
  },
  ed25519Sign(message, secretKey) {
    checkLength('secret key', secretKey, 64);
    return ed25519.sign(message, secretKey.slice(0, 32));
  },
  ed25519Verify(signature, message, publicKey) {
    checkLength('signature', signature, 64);
    checkLength('public key', publicKey, 32);
    // As in libsodium: noble's own verifier multiplies by the cofactor and takes R of small order.
    const encodedR = signature.slice(0, 32);
    const R = orUndefined(() => Point.fromBytes(encodedR));
    const A = orUndefined(() => Point.fromBytes(publicKey));
    const S = number(signature.slice(32));
    if (R === undefined || A === undefined || R.isSmallOrder() || A.isSmallOrder() || S >= L) return false;
    const challenge = number(sha512(concat(encodedR, publicKey, message))) % L;
    return Point.BASE.multiplyUnsafe(S).equals(R.add(A.multiplyUnsafe(challenge)));
  },
  ed25519PublicKeyToX25519(publicKey) {
    checkLength('public key', publicKey, 32);
    const point = pointOf(publicKey, true);
    return point && ed25519.utils.toMontgomery(point.toBytes());
  },
  ed25519SecretKeyToX25519(secretKey) {
    checkLength('secret key', secretKey, 64);
    return ed25519.utils.toMontgomerySecret(secretKey.slice(0, 32));
  },

  x25519KeyPair() {
    const { publicKey, secretKey } = nobleX25519.keygen();
    return { publicKey, secretKey };
  },
  x25519PublicKey(secretKey) {
    checkLength('secret key', secretKey, 32);
    return nobleX25519.getPublicKey(secretKey);
  },
  x25519(secretKey, publicKey) {
    checkLength('secret key', secretKey, 32);
    checkLength('public key', publicKey, 32);
    const shared = orUndefined(() => nobleX25519.getSharedSecret(secretKey, publicKey));
    if (shared === undefined) throw lowOrder();
    return shared;
  },

  aesGcmSeal(key, nonce, plaintext) {
    lengths(key, nonce, 12);
    return gcm(key, nonce).encrypt(plaintext);
  },
  aesGcmOpen(key, nonce, ciphertext) {
    lengths(key, nonce, 12);
    return orUndefined(() => gcm(key, nonce).decrypt(ciphertext));
  },
  xchacha20Poly1305Seal(key, nonce, plaintext) {
    lengths(key, nonce, 24);
    return xchacha20poly1305(key, nonce).encrypt(plaintext);
  },
  xchacha20Poly1305Open(key, nonce, ciphertext) {
    lengths(key, nonce, 24);
    return orUndefined(() => xchacha20poly1305(key, nonce).decrypt(ciphertext));
  },
  secretstream(key, header) {
    lengths(key, header, 24);
    return referenceStream(key, header);
  },
  aesCbcEncrypt(key, iv, plaintext) {
    lengths(key, iv, 16);
    return cbc(key, iv).encrypt(plaintext);
  },
  aesCbcDecrypt(key, iv, ciphertext) {
    lengths(key, iv, 16);
    if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined;
    return orUndefined(() => cbc(key, iv).decrypt(ciphertext));
  },
  secretboxSeal(key, nonce, plaintext) {
    lengths(key, nonce, 24);
    return xsalsa20poly1305(key, nonce).encrypt(plaintext);
  },
  secretboxOpen(key, nonce, box) {
    lengths(key, nonce, 24);
    return orUndefined(() => xsalsa20poly1305(key, nonce).decrypt(box));
  },
  boxKey(secretKey, publicKey) {
    const shared = reference.x25519(secretKey, publicKey);
    const constant = new Uint32Array(new TextEncoder().encode('expand 32-byte k').buffer);
    const words = new Uint32Array(8);
    hsalsa(constant, new Uint32Array(shared.slice().buffer), new Uint32Array(4), words);
    return new Uint8Array(words.buffer);
  },
  sealedBoxSeal(plaintext, publicKey) {
    checkLength('public key', publicKey, 32);
    const ephemeral = reference.x25519KeyPair();
    const nonce = nobleBlake2b(concat(ephemeral.publicKey, publicKey), { dkLen: 24 });
    const key = reference.boxKey(ephemeral.secretKey, publicKey);
    return concat(ephemeral.publicKey, reference.secretboxSeal(key, nonce, plaintext));
  },
  sealedBoxOpen(sealed, keyPair) {
    checkLength('public key', keyPair.publicKey, 32);
    checkLength('secret key', keyPair.secretKey, 32);
    return orUndefined(() => {
      const ephemeralKey = sealed.slice(0, 32);
      const nonce = nobleBlake2b(concat(ephemeralKey, keyPair.publicKey), { dkLen: 24 });
      const key = reference.boxKey(keyPair.secretKey, ephemeralKey);
      return reference.secretboxOpen(key, nonce, sealed.slice(32));
    });
  },

  argon2id(password, salt, options) {
    checkArgon2id(salt, options);
    const m = Math.floor(options.memoryBytes / 1024);
    return nobleArgon2id(password, salt, { t: options.passes, m, p: 1, dkLen: options.length });
  },

  scalarReduce(wide) {
    checkLength('wide scalar', wide, 64);
    return scalarBytes(number(wide));
  },
  scalarAdd: (a, b) => scalarBytes(factor(a) + factor(b)),
  scalarMultiply: (a, b) => scalarBytes(factor(a) * factor(b)),
  scalarNegate: (a) => scalarBytes(-factor(a)),
  pointMultiplyBase(scalar) {
    const k = factor(scalar);
    if (k === 0n) throw zeroScalar();
    return Point.BASE.multiply(k).toBytes();
  },
  pointMultiply(scalar, bytes) {
    const k = factor(scalar);
    checkLength('point', bytes, 32);
    if (k === 0n) throw zeroScalar();
    return pointOf(bytes, false)?.multiply(k).toBytes();
  },

  equalConstantTime: equal,
};

/** A point of order 8, for signatures and keys outside the main subgroup. */
export function torsionPoint() {
  for (let y = 2n; ; y++) {
    const bytes = new Uint8Array(32);
    bytes[0] = Number(y);
    const point = orUndefined(() => Point.fromBytes(bytes));
    if (point === undefined) continue;
    const torsion = point.multiplyUnsafe(L - 1n).add(point); // [L]P leaves the torsion of P
    if (!torsion.is0() && !torsion.multiplyUnsafe(4n).is0()) return torsion;
  }
}

/** Keys and signatures that naive verifiers take: [signature, message, public key, what it is]. */
export function* oddSignatures(): Generator<[Uint8Array, Uint8Array, Uint8Array, string]> {
  const hash = (...parts: Uint8Array[]) => number(sha512(concat(...parts))) % L;
  const torsion = torsionPoint();
  const message = new TextEncoder().encode('odd');
  const a = number(FIXED_SECRET) % L;
  const A = Point.BASE.multiply(a);
  const r = 1234567890123456789n;
  const signature = (R: typeof A, S: bigint) => concat(R.toBytes(), Point.Fn.toBytes(S % L));
  for (let i = 0; i < 8; i++) {
    const T = i === 0 ? Point.ZERO : torsion.multiplyUnsafe(BigInt(i));
    const R = Point.BASE.multiply(r).add(T);
    const mixedKey = A.add(T);
    yield [signature(R, r + hash(R.toBytes(), A.toBytes(), message) * a), message, A.toBytes(), `R + ${i}T`];
    const plainR = Point.BASE.multiply(r);
    const S = r + hash(plainR.toBytes(), mixedKey.toBytes(), message) * a;
    yield [signature(plainR, S), message, mixedKey.toBytes(), `A + ${i}T`];
    yield [signature(R, r), message, T.toBytes(), `key ${i}T`];
    yield [signature(T, hash(T.toBytes(), A.toBytes(), message) * a), message, A.toBytes(), `R = ${i}T`];
  }
  // S + L: the same residue, not canonical.
  const R = Point.BASE.multiply(r);
  const S = (r + hash(R.toBytes(), A.toBytes(), message) * a) % L;
  const malleable = concat(R.toBytes(), new Uint8Array(32));
  let rest = S + L;
  for (let i = 32; i < 64; i++) {
    malleable[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  yield [malleable, message, A.toBytes(), 'S + L'];
  for (const [key, what] of nonCanonicalPoints()) {
    yield [concat(R.toBytes(), Point.Fn.toBytes(S)), message, key, what];
    yield [concat(key, Point.Fn.toBytes(S)), message, A.toBytes(), `R: ${what}`];
  }
}

/** Encodings whose y is p … 2^255 − 1, with both signs. */
export function* nonCanonicalPoints(): Generator<[Uint8Array, string]> {
  for (let low = 0xed; low <= 0xff; low++) {
    for (const sign of [0x7f, 0xff]) {
      const bytes = new Uint8Array(32).fill(0xff);
      bytes[0] = low;
      bytes[31] = sign;
      yield [bytes, `y = p + ${low - 0xed}, sign ${sign >> 7}`];
    }
  }
}
