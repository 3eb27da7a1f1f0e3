// SPDX-License-Identifier: MIT
// The one face of cryptography: flat, synchronous functions over bytes. `crypto/node.ts` (sodium-native, node:crypto)
// and `crypto/web.ts` (libsodium WASM, noble) both export exactly these names; `#crypto` chooses. A third
// implementation, noble alone, is the oracle of the conformance suite in `test/crypto`.
//
// Rules for all functions: inputs are never changed; outputs are fresh and owned by the caller; a key, nonce or
// signature of the wrong length throws `CryptoError('bad_length')`; what fails to open or verify is `undefined` or
// `false`, never an exception, so that hostile input cannot be told apart by cost or kind of error.
import { AlliumError } from '../errors.ts';

/** A misuse of cryptography by our own code, or a degenerate public key (`low_order`). */
export class CryptoError extends AlliumError<'bad_length' | 'low_order' | 'out_of_range'> {
  override readonly name = 'CryptoError';
}

export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** Ed25519: 64 bytes, seed ‖ public key. X25519: 32 bytes. */
  readonly secretKey: Uint8Array;
}

export interface Blake2bOptions {
  readonly key?: Uint8Array;
  /** 16 bytes. */
  readonly personal?: Uint8Array;
  /** 16 bytes. */
  readonly salt?: Uint8Array;
}

export interface Argon2idOptions {
  readonly passes: number;
  readonly memoryBytes: number;
  readonly length: number;
}

/** A hash that takes its input in pieces. */
export interface Hasher {
  update(data: Uint8Array): void;
  /** Ends it. */
  digest(): Uint8Array;
}

/** Chunks in order, each with its own tag; 17 bytes longer than they were. One object either pushes or pulls. */
export interface Secretstream {
  /** Encrypts the next chunk; `isLast` marks it as final. */
  push(plaintext: Uint8Array, isLast: boolean): Uint8Array;
  /** Undefined for a chunk that does not verify, or that is not the next one. Of no use after that. */
  pull(ciphertext: Uint8Array): { readonly plaintext: Uint8Array; readonly isLast: boolean } | undefined;
}

export interface CryptoProvider {
  randomBytes(length: number): Uint8Array;

  // Hashes. A list is hashed as its concatenation, without making it.
  /** `length` 1…64 bytes. */
  blake2b(data: Uint8Array | readonly Uint8Array[], length: number, options?: Blake2bOptions): Uint8Array;
  /** The same in pieces. */
  blake2bHasher(length: number, options?: Blake2bOptions): Hasher;
  /** From then on hashing in pieces is twenty times as fast; to be awaited before much is hashed. */
  loadFastHash(): Promise<void>;
  sha256(data: Uint8Array | readonly Uint8Array[]): Uint8Array;
  sha512(data: Uint8Array | readonly Uint8Array[]): Uint8Array;
  hmacSha256(key: Uint8Array, data: Uint8Array | readonly Uint8Array[]): Uint8Array;

  // Ed25519 (RFC 8032)
  ed25519KeyPair(seed: Uint8Array): KeyPair;
  ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array;
  /**
   * As libsodium judges, without cofactor: false for a wrong signature, for non-canonical S, R or key, and for a key or
   * R of small order.
   */
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  /** Birational map to Curve25519; undefined when the bytes are not a point of the main subgroup. */
  ed25519PublicKeyToX25519(publicKey: Uint8Array): Uint8Array | undefined;
  /** The clamped X25519 secret: first half of SHA-512(seed). */
  ed25519SecretKeyToX25519(secretKey: Uint8Array): Uint8Array;

  // X25519
  x25519KeyPair(): KeyPair;
  x25519PublicKey(secretKey: Uint8Array): Uint8Array;
  /** @throws CryptoError `low_order` when the shared secret is all zero */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array;

  // AEADs. Ciphertexts carry the 16-byte tag at their end; no associated data.
  /** AES-256-GCM, 12-byte nonce. */
  aesGcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array;
  aesGcmOpen(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  /** XChaCha20-Poly1305 (IETF), 24-byte nonce. */
  xchacha20Poly1305Seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array;
  xchacha20Poly1305Open(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;

  /** secretstream XChaCha20-Poly1305 with a given 24-byte header; tags 0 and 3 (final), no associated data. */
  secretstream(key: Uint8Array, header: Uint8Array): Secretstream;

  // AES-256-CBC with PKCS#7, 16-byte IV. No authentication: only under a MAC that was checked before.
  aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Undefined for a wrong length or padding. */
  aesCbcDecrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;

  // NaCl. Boxes carry their 16-byte tag in front (XSalsa20-Poly1305).
  secretboxSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array;
  secretboxOpen(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | undefined;
  /** The secretbox key of crypto_box between two X25519 keys: HSalsa20 of their shared secret. */
  boxKey(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
  /** Ephemeral public key (32) ‖ box. */
  sealedBoxSeal(plaintext: Uint8Array, publicKey: Uint8Array): Uint8Array;
  sealedBoxOpen(sealed: Uint8Array, keyPair: KeyPair): Uint8Array | undefined;

  // Passwords
  /** Argon2id v1.3; `salt` 16 bytes. Bound `passes` of a foreign file: they cost time. @throws CryptoError `out_of_range` */
  argon2id(password: Uint8Array, salt: Uint8Array, options: Argon2idOptions): Uint8Array;

  // Scalars and points of Ed25519 (for subaccount tokens and blinding). Scalars are 32 bytes
  // little-endian, taken modulo L; results are below L.
  /** 64 bytes mod L. */
  scalarReduce(wide: Uint8Array): Uint8Array;
  scalarAdd(a: Uint8Array, b: Uint8Array): Uint8Array;
  scalarMultiply(a: Uint8Array, b: Uint8Array): Uint8Array;
  scalarNegate(a: Uint8Array): Uint8Array;
  /** scalar · base point, without clamping. @throws CryptoError `out_of_range` when the scalar is zero modulo L */
  pointMultiplyBase(scalar: Uint8Array): Uint8Array;
  /**
   * scalar · point, without clamping; undefined when the bytes are not a point of the main subgroup in canonical form.
   * @throws CryptoError `out_of_range` when the scalar is zero modulo L
   */
  pointMultiply(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined;

  /** Compares in time that depends on the lengths only. */
  equalConstantTime(a: Uint8Array, b: Uint8Array): boolean;
}
