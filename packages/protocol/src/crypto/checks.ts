// SPDX-License-Identifier: MIT
// Checks of arguments that all implementations of CryptoProvider share.
import { type Argon2idOptions, type Blake2bOptions, CryptoError } from './provider.ts';

const MAX_ARGON2_MEMORY = 2 ** 30; // Ours: what a WASM heap can be relied on to give. Time (`passes`) is the caller's to bound.

export function checkLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw new CryptoError('bad_length', `${what} has ${bytes.length} bytes, not ${length}`);
  }
}

export function checkBlake2b(length: number, options: Blake2bOptions | undefined): void {
  if (!Number.isInteger(length) || length < 1 || length > 64) {
    throw new CryptoError('bad_length', `BLAKE2b has 1 to 64 bytes, not ${length}`);
  }
  if (options === undefined) return;
  if (options.key !== undefined && options.key.length > 64) {
    throw new CryptoError('bad_length', `a BLAKE2b key has up to 64 bytes, not ${options.key.length}`);
  }
  if (options.salt !== undefined) checkLength('BLAKE2b salt', options.salt, 16);
  if (options.personal !== undefined) checkLength('BLAKE2b personalization', options.personal, 16);
}

export function checkArgon2id(salt: Uint8Array, options: Argon2idOptions): void {
  checkLength('Argon2id salt', salt, 16);
  const { passes, memoryBytes, length } = options;
  if (!Number.isInteger(passes) || passes < 1 || passes > 0xffffffff) {
    throw new CryptoError('out_of_range', `Argon2id with ${passes} passes`);
  }
  if (!Number.isInteger(memoryBytes) || memoryBytes < 8192 || memoryBytes > MAX_ARGON2_MEMORY) {
    throw new CryptoError('out_of_range', `Argon2id with ${memoryBytes} bytes of memory`);
  }
  if (!Number.isInteger(length) || length < 16 || length > 1024) {
    throw new CryptoError('bad_length', `Argon2id of ${length} bytes`);
  }
}

export function zeroScalar(): CryptoError {
  return new CryptoError('out_of_range', 'a scalar that is zero modulo L');
}

export function lowOrder(): CryptoError {
  return new CryptoError('low_order', 'an X25519 public key of small order');
}
