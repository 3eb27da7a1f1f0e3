// SPDX-License-Identifier: MIT
// CryptoProvider for browsers (and any place without native code): libsodium as WASM, noble for AES-GCM and HMAC. Importing waits
// until the WASM is ready.
import { cbc, gcm } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import sodium from 'libsodium-wrappers-sumo';
import { concat } from '../bytes.ts';
import { wasmBlake2bHasher } from './blake2b-wasm.ts';
import { checkArgon2id, checkBlake2b, checkLength, lowOrder, zeroScalar } from './checks.ts';
import type { Argon2idOptions, Blake2bOptions, Hasher, KeyPair, Secretstream } from './provider.ts';

await sodium.ready;

const TAG = 16;
const SEAL = 48;
const STREAM_FINAL = 3;

export function randomBytes(length: number): Uint8Array {
  return length === 0 ? new Uint8Array(0) : sodium.randombytes_buf(length);
}

export function blake2b(
  data: Uint8Array | readonly Uint8Array[],
  length: number,
  options?: Blake2bOptions,
): Uint8Array {
  checkBlake2b(length, options);
  const key = options?.key === undefined || options.key.length === 0 ? undefined : options.key;
  const whole = inOne(data);
  if (options?.salt === undefined && options?.personal === undefined) {
    return sodium.crypto_generichash(length, whole, key ?? null);
  }
  const state = blake2bHasher(length, options);
  state.update(whole);
  return state.digest();
}

export function blake2bHasher(length: number, options?: Blake2bOptions): Hasher {
  checkBlake2b(length, options);
  return wasmBlake2bHasher(length, options);
}

/** It is always there. */
export async function loadFastHash(): Promise<void> {}

export function sha256(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return sodium.crypto_hash_sha256(inOne(data));
}

export function sha512(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return sodium.crypto_hash_sha512(inOne(data));
}

export function hmacSha256(key: Uint8Array, data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  const state = hmac.create(nobleSha256, key);
  if (data instanceof Uint8Array) state.update(data);
  else for (const part of data) state.update(part);
  return state.digest();
}

export function ed25519KeyPair(seed: Uint8Array): KeyPair {
  checkLength('Ed25519 seed', seed, 32);
  const { publicKey, privateKey } = sodium.crypto_sign_seed_keypair(seed);
  return { publicKey, secretKey: privateKey };
}

export function ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
  checkLength('Ed25519 secret key', secretKey, 64);
  return sodium.crypto_sign_detached(message, secretKey);
}

export function ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  checkLength('Ed25519 signature', signature, 64);
  checkLength('Ed25519 public key', publicKey, 32);
  return sodium.crypto_sign_verify_detached(signature, message, publicKey);
}

export function ed25519PublicKeyToX25519(publicKey: Uint8Array): Uint8Array | undefined {
  checkLength('Ed25519 public key', publicKey, 32);
  return orUndefined(() => sodium.crypto_sign_ed25519_pk_to_curve25519(publicKey));
}

export function ed25519SecretKeyToX25519(secretKey: Uint8Array): Uint8Array {
  checkLength('Ed25519 secret key', secretKey, 64);
  return sodium.crypto_sign_ed25519_sk_to_curve25519(secretKey);
}

export function x25519KeyPair(): KeyPair {
  const { publicKey, privateKey } = sodium.crypto_box_keypair();
  return { publicKey, secretKey: privateKey };
}

export function x25519PublicKey(secretKey: Uint8Array): Uint8Array {
  checkLength('X25519 secret key', secretKey, 32);
  return sodium.crypto_scalarmult_base(secretKey);
}

export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('X25519 secret key', secretKey, 32);
  checkLength('X25519 public key', publicKey, 32);
  const shared = orUndefined(() => sodium.crypto_scalarmult(secretKey, publicKey));
  if (shared === undefined) throw lowOrder();
  return shared;
}

export function aesGcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('AES-256-GCM key', key, 32);
  checkLength('AES-256-GCM nonce', nonce, 12);
  return gcm(key, nonce).encrypt(plaintext);
}

export function aesGcmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('AES-256-GCM key', key, 32);
  checkLength('AES-256-GCM nonce', nonce, 12);
  if (ciphertext.length < TAG) return undefined;
  return orUndefined(() => gcm(key, nonce).decrypt(ciphertext));
}

export function xchacha20Poly1305Seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('XChaCha20-Poly1305 key', key, 32);
  checkLength('XChaCha20-Poly1305 nonce', nonce, 24);
  return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, null, null, nonce, key);
}

export function xchacha20Poly1305Open(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('XChaCha20-Poly1305 key', key, 32);
  checkLength('XChaCha20-Poly1305 nonce', nonce, 24);
  if (ciphertext.length < TAG) return undefined;
  return orUndefined(() =>
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, ciphertext, null, nonce, key),
  );
}

export function secretstream(key: Uint8Array, header: Uint8Array): Secretstream {
  checkLength('secretstream key', key, 32);
  checkLength('secretstream header', header, 24);
  // Pushing needs the same state; init_push would choose a header of its own.
  const state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key);
  return {
    push: (plaintext, isLast) =>
      sodium.crypto_secretstream_xchacha20poly1305_push(state, plaintext, null, isLast ? STREAM_FINAL : 0),
    pull(ciphertext) {
      const pulled = orUndefined(() =>
        sodium.crypto_secretstream_xchacha20poly1305_pull(state, ciphertext, null),
      );
      // The wrapper answers false for what does not verify.
      if (!pulled) return undefined;
      return { plaintext: pulled.message, isLast: pulled.tag === STREAM_FINAL };
    },
  };
}

export function aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('AES-256-CBC key', key, 32);
  checkLength('AES-256-CBC iv', iv, 16);
  return cbc(key, iv).encrypt(plaintext);
}

export function aesCbcDecrypt(
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  checkLength('AES-256-CBC key', key, 32);
  checkLength('AES-256-CBC iv', iv, 16);
  if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined;
  return orUndefined(() => cbc(key, iv).decrypt(ciphertext));
}

export function secretboxSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkLength('secretbox key', key, 32);
  checkLength('secretbox nonce', nonce, 24);
  return sodium.crypto_secretbox_easy(plaintext, nonce, key);
}

export function secretboxOpen(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | undefined {
  checkLength('secretbox key', key, 32);
  checkLength('secretbox nonce', nonce, 24);
  if (box.length < TAG) return undefined;
  return orUndefined(() => sodium.crypto_secretbox_open_easy(box, nonce, key));
}

export function boxKey(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('X25519 secret key', secretKey, 32);
  checkLength('X25519 public key', publicKey, 32);
  const key = orUndefined(() => sodium.crypto_box_beforenm(publicKey, secretKey));
  if (key === undefined) throw lowOrder();
  return key;
}

export function sealedBoxSeal(plaintext: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('X25519 public key', publicKey, 32);
  const sealed = orUndefined(() => sodium.crypto_box_seal(plaintext, publicKey));
  if (sealed === undefined) throw lowOrder();
  return sealed;
}

export function sealedBoxOpen(sealed: Uint8Array, keyPair: KeyPair): Uint8Array | undefined {
  checkLength('X25519 public key', keyPair.publicKey, 32);
  checkLength('X25519 secret key', keyPair.secretKey, 32);
  if (sealed.length < SEAL) return undefined;
  return orUndefined(() => sodium.crypto_box_seal_open(sealed, keyPair.publicKey, keyPair.secretKey));
}

export function argon2id(password: Uint8Array, salt: Uint8Array, options: Argon2idOptions): Uint8Array {
  checkArgon2id(salt, options);
  const { length, passes, memoryBytes } = options;
  const algorithm = sodium.crypto_pwhash_ALG_ARGON2ID13;
  return sodium.crypto_pwhash(length, password, salt, passes, memoryBytes, algorithm);
}

export function scalarReduce(wide: Uint8Array): Uint8Array {
  checkLength('wide scalar', wide, 64);
  return sodium.crypto_core_ed25519_scalar_reduce(wide);
}

export function scalarAdd(a: Uint8Array, b: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  checkLength('scalar', b, 32);
  return sodium.crypto_core_ed25519_scalar_add(reduced(a), reduced(b));
}

export function scalarMultiply(a: Uint8Array, b: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  checkLength('scalar', b, 32);
  return sodium.crypto_core_ed25519_scalar_mul(reduced(a), reduced(b));
}

export function scalarNegate(a: Uint8Array): Uint8Array {
  checkLength('scalar', a, 32);
  return sodium.crypto_core_ed25519_scalar_negate(reduced(a));
}

export function pointMultiplyBase(scalar: Uint8Array): Uint8Array {
  checkLength('scalar', scalar, 32);
  const factor = reduced(scalar);
  const point = orUndefined(() => sodium.crypto_scalarmult_ed25519_base_noclamp(factor));
  if (point === undefined) throw zeroScalar();
  return point;
}

export function pointMultiply(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined {
  checkLength('scalar', scalar, 32);
  checkLength('point', point, 32);
  const factor = reduced(scalar);
  if (sodium.is_zero(factor)) throw zeroScalar();
  return orUndefined(() => sodium.crypto_scalarmult_ed25519_noclamp(factor, point));
}

export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && sodium.memcmp(a, b);
}

/** WASM copies its input anyway: joining parts first is ten times faster than hashing them one by one in script. */
function inOne(data: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return data instanceof Uint8Array ? data : concat(...data);
}

/** libsodium adds without carry over 2^256 and drops bit 255 of a factor, so that scalars above L come out wrong. */
function reduced(scalar: Uint8Array): Uint8Array {
  if (scalar[31]! < 0x10) return scalar; // below 2^252, which is below L
  const wide = new Uint8Array(64);
  wide.set(scalar);
  return scalarReduce(wide);
}

/** The wrapper reports what does not open or is no valid point by throwing; lengths were checked before. */
function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
