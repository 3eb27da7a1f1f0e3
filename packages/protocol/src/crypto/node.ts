// SPDX-License-Identifier: MIT
// CryptoProvider for Node: sodium-native for curves, XChaCha20, BLAKE2b and Argon2id, node:crypto for AES-GCM, SHA-2
// and HMAC, noble for the little that neither has. Synchronous, no start-up. Bench: crypto.bench.ts.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hash,
  timingSafeEqual,
} from 'node:crypto';
import { hsalsa } from '@noble/ciphers/salsa.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { blake2b as nobleBlake2b } from '@noble/hashes/blake2.js';
import sodium from 'sodium-native';
import { checkArgon2id, checkBlake2b, checkLength, lowOrder, zeroScalar } from './checks.ts';
import type { Argon2idOptions, Blake2bOptions, Hasher, KeyPair, Secretstream } from './provider.ts';

const TAG = 16;
const SEAL = 48;
/** What secretstream adds to a chunk. */
const STREAM = 17;
const STREAM_FINAL = 3;
/** sodium-native refuses keys and outputs below this, BLAKE2b itself does not. */
const SODIUM_BLAKE2B_MIN = 16;
const HSALSA_CONSTANT = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574); // "expand 32-byte k"

export function randomBytes(length: number): Uint8Array {
  const out = new Uint8Array(length);
  if (length > 0) sodium.randombytes_buf(out);
  return out;
}

export function blake2b(
  data: Uint8Array | readonly Uint8Array[],
  length: number,
  options?: Blake2bOptions,
): Uint8Array {
  checkBlake2b(length, options);
  const key = options?.key === undefined || options.key.length === 0 ? undefined : options.key;
  if (
    length < SODIUM_BLAKE2B_MIN ||
    (key !== undefined && key.length < SODIUM_BLAKE2B_MIN) ||
    options?.salt !== undefined ||
    options?.personal !== undefined
  ) {
    const state = nobleHasher(length, options);
    if (data instanceof Uint8Array) state.update(data);
    else for (const part of data) state.update(part);
    return state.digest();
  }
  const out = new Uint8Array(length);
  if (data instanceof Uint8Array) sodium.crypto_generichash(out, data, key);
  else sodium.crypto_generichash_batch(out, data, key);
  return out;
}

export function blake2bHasher(length: number, options?: Blake2bOptions): Hasher {
  checkBlake2b(length, options);
  return (wasmBlake2bHasher ?? nobleHasher)(length, options);
}

function nobleHasher(length: number, options?: Blake2bOptions): Hasher {
  const key = options?.key === undefined || options.key.length === 0 ? undefined : options.key;
  return nobleBlake2b.create({
    dkLen: length,
    ...(key !== undefined && { key }),
    ...(options?.salt !== undefined && { salt: options.salt }),
    ...(options?.personal !== undefined && { personalization: options.personal }),
  });
}

/** Not loaded before somebody asks: few programs hash files, and it takes some milliseconds and megabytes. */
let wasmBlake2bHasher: typeof blake2bHasher | undefined;

export async function loadFastHash(): Promise<void> {
  wasmBlake2bHasher ??= (await import('./blake2b-wasm.ts')).wasmBlake2bHasher;
}

function sha2(algorithm: 'sha256' | 'sha512', data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  let digest: Buffer;
  if (data instanceof Uint8Array) digest = hash(algorithm, data, 'buffer');
  else {
    const state = createHash(algorithm);
    for (const part of data) state.update(part);
    digest = state.digest();
  }
  return new Uint8Array(digest);
}

export function sha256(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return sha2('sha256', data);
}

export function sha512(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return sha2('sha512', data);
}

/** Long enough for the keys of onion layers; longer data is not copied. */
const HMAC_SHORT = 128;
const HMAC_BLOCK = 64;
const HASH = 32;
const hmacInner = new Uint8Array(HMAC_BLOCK + HMAC_SHORT);
const hmacOuter = new Uint8Array(HMAC_BLOCK + HASH);

export function hmacSha256(key: Uint8Array, data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  if (data instanceof Uint8Array && data.length <= HMAC_SHORT && key.length <= HMAC_BLOCK) {
    return shortHmacSha256(key, data);
  }
  // createSecretKey first: Node 24 takes three times as long with raw bytes, here and for ciphers.
  const state = createHmac('sha256', createSecretKey(key));
  if (data instanceof Uint8Array) state.update(data);
  else for (const part of data) state.update(part);
  return new Uint8Array(state.digest());
}

/** By its definition (RFC 2104): two hashes take half of the time of the objects that Node makes for an HMAC. */
function shortHmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  for (let i = 0; i < HMAC_BLOCK; i++) {
    const byte = i < key.length ? key[i]! : 0;
    hmacInner[i] = byte ^ 0x36;
    hmacOuter[i] = byte ^ 0x5c;
  }
  hmacInner.set(data, HMAC_BLOCK);
  const out = new Uint8Array(HASH);
  sodium.crypto_hash_sha256(out, hmacInner.subarray(0, HMAC_BLOCK + data.length));
  hmacOuter.set(out, HMAC_BLOCK);
  sodium.crypto_hash_sha256(out, hmacOuter);
  // Key and data may be secret, and these arrays stay.
  hmacInner.fill(0);
  hmacOuter.fill(0);
  return out;
}

export function ed25519KeyPair(seed: Uint8Array): KeyPair {
  checkLength('Ed25519 seed', seed, 32);
  const publicKey = new Uint8Array(32);
  const secretKey = new Uint8Array(64);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

export function ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
  checkLength('Ed25519 secret key', secretKey, 64);
  const signature = new Uint8Array(64);
  sodium.crypto_sign_detached(signature, message, secretKey);
  return signature;
}

export function ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  checkLength('Ed25519 signature', signature, 64);
  checkLength('Ed25519 public key', publicKey, 32);
  return sodium.crypto_sign_verify_detached(signature, message, publicKey);
}

export function ed25519PublicKeyToX25519(publicKey: Uint8Array): Uint8Array | undefined {
  checkLength('Ed25519 public key', publicKey, 32);
  const out = new Uint8Array(32);
  try {
    sodium.crypto_sign_ed25519_pk_to_curve25519(out, publicKey);
  } catch {
    return undefined;
  }
  return out;
}

export function ed25519SecretKeyToX25519(secretKey: Uint8Array): Uint8Array {
  checkLength('Ed25519 secret key', secretKey, 64);
  const out = new Uint8Array(32);
  sodium.crypto_sign_ed25519_sk_to_curve25519(out, secretKey);
  return out;
}

export function x25519KeyPair(): KeyPair {
  const publicKey = new Uint8Array(32);
  const secretKey = new Uint8Array(32);
  sodium.crypto_box_keypair(publicKey, secretKey);
  return { publicKey, secretKey };
}

export function x25519PublicKey(secretKey: Uint8Array): Uint8Array {
  checkLength('X25519 secret key', secretKey, 32);
  const out = new Uint8Array(32);
  sodium.crypto_scalarmult_base(out, secretKey);
  return out;
}

export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('X25519 secret key', secretKey, 32);
  checkLength('X25519 public key', publicKey, 32);
  const out = new Uint8Array(32);
  try {
    sodium.crypto_scalarmult(out, secretKey, publicKey);
  } catch {
    throw lowOrder();
  }
  return out;
}

export function aesGcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('AES-256-GCM key', key, 32);
  checkLength('AES-256-GCM nonce', nonce, 12);
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), nonce);
  const out = new Uint8Array(plaintext.length + TAG);
  out.set(cipher.update(plaintext));
  cipher.final();
  out.set(cipher.getAuthTag(), plaintext.length);
  return out;
}

export function aesGcmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('AES-256-GCM key', key, 32);
  checkLength('AES-256-GCM nonce', nonce, 12);
  const length = ciphertext.length - TAG;
  if (length < 0) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), nonce, { authTagLength: TAG });
  decipher.setAuthTag(ciphertext.subarray(length));
  const plaintext = decipher.update(ciphertext.subarray(0, length));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  // A Buffer of its own slab: the same bytes under the plain type.
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
}

export function xchacha20Poly1305Seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('XChaCha20-Poly1305 key', key, 32);
  checkLength('XChaCha20-Poly1305 nonce', nonce, 24);
  const out = new Uint8Array(plaintext.length + TAG);
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(out, plaintext, null, null, nonce, key);
  return out;
}

export function xchacha20Poly1305Open(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('XChaCha20-Poly1305 key', key, 32);
  checkLength('XChaCha20-Poly1305 nonce', nonce, 24);
  if (ciphertext.length < TAG) return undefined;
  const out = new Uint8Array(ciphertext.length - TAG);
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(out, null, ciphertext, null, nonce, key);
  } catch {
    return undefined;
  }
  return out;
}

export function secretstream(key: Uint8Array, header: Uint8Array): Secretstream {
  checkLength('secretstream key', key, 32);
  checkLength('secretstream header', header, 24);
  const state = Buffer.alloc(sodium.crypto_secretstream_xchacha20poly1305_STATEBYTES);
  // Pushing needs the same state; init_push would choose a header of its own.
  sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key);
  const tagOut = Buffer.alloc(1);
  return {
    push(plaintext, isLast) {
      const out = new Uint8Array(plaintext.length + STREAM);
      const tag = isLast ? STREAM_FINAL : 0;
      sodium.crypto_secretstream_xchacha20poly1305_push(state, out, plaintext, null, tag);
      return out;
    },
    pull(ciphertext) {
      if (ciphertext.length < STREAM) return undefined;
      const plaintext = new Uint8Array(ciphertext.length - STREAM);
      try {
        sodium.crypto_secretstream_xchacha20poly1305_pull(state, plaintext, tagOut, ciphertext, null);
      } catch {
        return undefined;
      }
      return { plaintext, isLast: tagOut[0] === STREAM_FINAL };
    },
  };
}

export function aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('AES-256-CBC key', key, 32);
  checkLength('AES-256-CBC iv', iv, 16);
  const cipher = createCipheriv('aes-256-cbc', createSecretKey(key), iv);
  const out = new Uint8Array(plaintext.length + 16 - (plaintext.length % 16));
  const begin = cipher.update(plaintext);
  out.set(begin);
  out.set(cipher.final(), begin.length);
  return out;
}

export function aesCbcDecrypt(
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('AES-256-CBC key', key, 32);
  checkLength('AES-256-CBC iv', iv, 16);
  if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined;
  const decipher = createDecipheriv('aes-256-cbc', createSecretKey(key), iv);
  const begin = decipher.update(ciphertext);
  try {
    const end = decipher.final();
    const out = new Uint8Array(begin.length + end.length);
    out.set(begin);
    out.set(end, begin.length);
    return out;
  } catch {
    return undefined;
  }
}

export function secretboxSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('secretbox key', key, 32);
  checkLength('secretbox nonce', nonce, 24);
  const out = new Uint8Array(plaintext.length + TAG);
  sodium.crypto_secretbox_easy(out, plaintext, nonce, key);
  return out;
}

export function secretboxOpen(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | undefined {
  checkLength('secretbox key', key, 32);
  checkLength('secretbox nonce', nonce, 24);
  if (box.length < TAG) return undefined;
  const out = new Uint8Array(box.length - TAG);
  return sodium.crypto_secretbox_open_easy(out, box, nonce, key) ? out : undefined;
}

export function boxKey(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = x25519(secretKey, publicKey);
  const words = new Uint32Array(8);
  hsalsa(HSALSA_CONSTANT, new Uint32Array(shared.buffer), new Uint32Array(4), words);
  sodium.sodium_memzero(shared);
  return new Uint8Array(words.buffer);
}

export function sealedBoxSeal(plaintext: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('X25519 public key', publicKey, 32);
  const out = new Uint8Array(plaintext.length + SEAL);
  try {
    sodium.crypto_box_seal(out, plaintext, publicKey);
  } catch {
    throw lowOrder();
  }
  return out;
}

export function sealedBoxOpen(sealed: Uint8Array, keyPair: KeyPair): Uint8Array | undefined {
  checkLength('X25519 public key', keyPair.publicKey, 32);
  checkLength('X25519 secret key', keyPair.secretKey, 32);
  if (sealed.length < SEAL) return undefined;
  const out = new Uint8Array(sealed.length - SEAL);
  return sodium.crypto_box_seal_open(out, sealed, keyPair.publicKey, keyPair.secretKey) ? out : undefined;
}

export function argon2id(password: Uint8Array, salt: Uint8Array, options: Argon2idOptions): Uint8Array {
  checkArgon2id(salt, options);
  const out = new Uint8Array(options.length);
  const algorithm = sodium.crypto_pwhash_ALG_ARGON2ID13;
  sodium.crypto_pwhash(out, password, salt, options.passes, options.memoryBytes, algorithm);
  return out;
}

export function scalarReduce(wide: Uint8Array): Uint8Array {
  checkLength('wide scalar', wide, 64);
  const out = new Uint8Array(32);
  sodium.crypto_core_ed25519_scalar_reduce(out, wide);
  return out;
}

export function scalarAdd(a: Uint8Array, b: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  checkLength('scalar', b, 32);
  const out = new Uint8Array(32);
  sodium.crypto_core_ed25519_scalar_add(out, reduced(a), reduced(b));
  return out;
}

export function scalarMultiply(a: Uint8Array, b: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  checkLength('scalar', b, 32);
  const { Fn } = ed25519.Point;
  // Not constant-time: sodium-native lacks it. Used for group members' signatures, never by a service node.
  return Fn.toBytes(Fn.mul(Fn.fromBytes(reduced(a)), Fn.fromBytes(reduced(b))));
}

export function scalarNegate(a: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  const out = new Uint8Array(32);
  sodium.crypto_core_ed25519_scalar_negate(out, reduced(a));
  return out;
}

export function pointMultiplyBase(scalar: Uint8Array): Uint8Array {
  checkLength('scalar', scalar, 32);
  const out = new Uint8Array(32);
  try {
    sodium.crypto_scalarmult_ed25519_base_noclamp(out, reduced(scalar));
  } catch {
    throw zeroScalar();
  }
  return out;
}

export function pointMultiply(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined {
  checkLength('scalar', scalar, 32);
  checkLength('point', point, 32);
  const factor = reduced(scalar);
  if (isZero(factor)) throw zeroScalar();
  const out = new Uint8Array(32);
  try {
    sodium.crypto_scalarmult_ed25519_noclamp(out, factor, point);
  } catch {
    return undefined;
  }
  return out;
}

export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** libsodium adds without carry over 2^256 and drops bit 255 of a factor, so that scalars above L come out wrong. */
function reduced(scalar: Uint8Array): Uint8Array {
  if (scalar[31]! < 0x10) return scalar; // below 2^252, which is below L
  const wide = new Uint8Array(64);
  wide.set(scalar);
  return scalarReduce(wide);
}

function isZero(bytes: Uint8Array): boolean {
  let seen = 0;
  for (const byte of bytes) seen |= byte;
  return seen === 0;
}
