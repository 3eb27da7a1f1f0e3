// SPDX-License-Identifier: MIT
// The part of sodium-native 5 that we call; the package brings no types. Its functions write into their first
// argument and throw plain errors on wrong lengths.
declare module 'sodium-native' {
  interface Sodium {
    randombytes_buf(out: Uint8Array): void;
    sodium_memcmp(a: Uint8Array, b: Uint8Array): boolean;
    sodium_memzero(bytes: Uint8Array): void;

    crypto_generichash(out: Uint8Array, input: Uint8Array, key?: Uint8Array): void;
    crypto_generichash_batch(out: Uint8Array, inputs: readonly Uint8Array[], key?: Uint8Array): void;

    crypto_hash_sha256(out: Uint8Array, input: Uint8Array): void;

    crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
    crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
    crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
    crypto_sign_ed25519_pk_to_curve25519(x25519Key: Uint8Array, ed25519Key: Uint8Array): void;
    crypto_sign_ed25519_sk_to_curve25519(x25519Secret: Uint8Array, ed25519Secret: Uint8Array): void;

    crypto_box_keypair(publicKey: Uint8Array, secretKey: Uint8Array): void;
    crypto_box_easy(
      box: Uint8Array,
      message: Uint8Array,
      nonce: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array,
    ): void;
    crypto_box_open_easy(
      message: Uint8Array,
      box: Uint8Array,
      nonce: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array,
    ): boolean;
    crypto_box_seal(sealed: Uint8Array, message: Uint8Array, publicKey: Uint8Array): void;
    crypto_box_seal_open(
      message: Uint8Array,
      sealed: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array,
    ): boolean;
    crypto_secretbox_easy(box: Uint8Array, message: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
    crypto_secretbox_open_easy(
      message: Uint8Array,
      box: Uint8Array,
      nonce: Uint8Array,
      key: Uint8Array,
    ): boolean;

    crypto_scalarmult(out: Uint8Array, scalar: Uint8Array, point: Uint8Array): void;
    crypto_scalarmult_base(out: Uint8Array, scalar: Uint8Array): void;
    crypto_scalarmult_ed25519_noclamp(out: Uint8Array, scalar: Uint8Array, point: Uint8Array): void;
    crypto_scalarmult_ed25519_base_noclamp(out: Uint8Array, scalar: Uint8Array): void;
    crypto_core_ed25519_scalar_reduce(out: Uint8Array, wide: Uint8Array): void;
    crypto_core_ed25519_scalar_add(out: Uint8Array, a: Uint8Array, b: Uint8Array): void;
    crypto_core_ed25519_scalar_negate(out: Uint8Array, a: Uint8Array): void;

    crypto_aead_xchacha20poly1305_ietf_encrypt(
      ciphertext: Uint8Array,
      message: Uint8Array,
      additional: Uint8Array | null,
      secretNonce: null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;
    crypto_aead_xchacha20poly1305_ietf_decrypt(
      message: Uint8Array,
      secretNonce: null,
      ciphertext: Uint8Array,
      additional: Uint8Array | null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;

    readonly crypto_secretstream_xchacha20poly1305_STATEBYTES: number;
    crypto_secretstream_xchacha20poly1305_init_pull(state: Buffer, header: Uint8Array, key: Uint8Array): void;
    crypto_secretstream_xchacha20poly1305_push(
      state: Buffer,
      ciphertext: Uint8Array,
      message: Uint8Array,
      additional: Uint8Array | null,
      tag: number,
    ): void;
    crypto_secretstream_xchacha20poly1305_pull(
      state: Buffer,
      message: Uint8Array,
      tag: Uint8Array,
      ciphertext: Uint8Array,
      additional: Uint8Array | null,
    ): number;

    crypto_pwhash(
      out: Uint8Array,
      password: Uint8Array,
      salt: Uint8Array,
      passes: number,
      memoryBytes: number,
      algorithm: number,
    ): void;
    readonly crypto_pwhash_ALG_ARGON2ID13: number;
  }
  const sodium: Sodium;
  // biome-ignore lint/style/noDefaultExport: the package is a CommonJS object
  export default sodium;
}
