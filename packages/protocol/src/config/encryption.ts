// SPDX-License-Identifier: MIT
// From a config's plaintext to what is stored, and back (spec/config-and-groups §2.6):
//
//   "d…" or "z" zstd  →  NULs in front  →  XChaCha20-Poly1305 ‖ nonce (24)
//
// Deterministic, so that devices which come to the same version store the same message.
import { blake2b, xchacha20Poly1305Open, xchacha20Poly1305Seal } from '#crypto';
import { zstdCompress, zstdDecompress } from '#zstd';
import { concat, utf8 } from '../bytes.ts';
import { checkLength } from '../crypto/checks.ts';
import { CryptoError } from '../crypto/provider.ts';
import { ParseError } from '../errors.ts';
import { MAX_PLAINTEXT_BYTES } from './message.ts';

// From the specification, spec/config-and-groups §2.6.
const KEY = 32;
const NONCE = 24;
const TAG = 16;
export const OVERHEAD_BYTES = NONCE + TAG;
const MAX_DOMAIN_BYTES = 24;
const NONCE_KEY_PREFIX = 'libsessionutil-config-encrypted-';
const COMPRESSED = 0x7a;
const PLAIN = 0x64;
const PIECE = 0x6d;

/** The length with padding of a message of `length` bytes. */
export function paddedSize(length: number): number {
  const sealed = length + OVERHEAD_BYTES;
  const step = sealed < 5120 ? 256 : sealed < 20_480 ? 1024 : sealed < 40_960 ? 2048 : 5120;
  return Math.ceil(sealed / step) * step - OVERHEAD_BYTES;
}

/** NULs in front. */
export function padConfig(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(paddedSize(message.length));
  padded.set(message, padded.length - message.length);
  return padded;
}

/** What is padded: compressed when that is shorter. */
export function packPlaintext(plaintext: Uint8Array, compress: boolean): Uint8Array {
  if (!compress) return plaintext;
  const compressed = zstdCompress(plaintext);
  return compressed.length + 1 < plaintext.length ? concat(Uint8Array.of(COMPRESSED), compressed) : plaintext;
}

export type Unpacked =
  | { readonly kind: 'message'; readonly plaintext: Uint8Array }
  /** Of a config in several parts; read by multipart.ts. */
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  /** Of a newer client: to be left alone. */
  | { readonly kind: 'unknown' };

/** The opposite of padding and packing. @throws ParseError `config` for a broken compression */
export function unpackPlaintext(padded: Uint8Array): Unpacked {
  let start = 0;
  while (padded[start] === 0) start++;
  const message = padded.subarray(start);
  switch (message[0]) {
    case PLAIN:
      return { kind: 'message', plaintext: message };
    case PIECE:
      return { kind: 'piece', bytes: message };
    case COMPRESSED: {
      const plaintext = zstdDecompress(message.subarray(1), MAX_PLAINTEXT_BYTES);
      if (plaintext?.[0] !== PLAIN) throw new ParseError('config', 'a config that does not decompress');
      return { kind: 'message', plaintext };
    }
    default:
      return { kind: 'unknown' };
  }
}

/**
 * @param key 32 bytes
 * @param domain 1 to 24 bytes of ASCII
 * @throws CryptoError `bad_length`
 */
export function encryptConfig(message: Uint8Array, key: Uint8Array, domain: string): Uint8Array {
  const messageKey = deriveKey(message.length, key, domain);
  const nonce = blake2b(message, NONCE, { key: utf8(NONCE_KEY_PREFIX + domain) });
  return concat(xchacha20Poly1305Seal(messageKey, nonce, message), nonce);
}

/** Tries the keys in their order; undefined when none opens. Still padded. */
export function decryptConfig(
  ciphertext: Uint8Array,
  keys: readonly Uint8Array[],
  domain: string,
): Uint8Array | undefined {
  const length = ciphertext.length - OVERHEAD_BYTES;
  if (length < 0) return undefined;
  const sealed = ciphertext.subarray(0, -NONCE);
  const nonce = ciphertext.subarray(-NONCE);
  for (const key of keys) {
    const message = xchacha20Poly1305Open(deriveKey(length, key, domain), nonce, sealed);
    if (message !== undefined) return message;
  }
  return undefined;
}

function deriveKey(length: number, key: Uint8Array, domain: string): Uint8Array {
  checkLength('key of a config', key, KEY);
  if (domain.length < 1 || domain.length > MAX_DOMAIN_BYTES) {
    throw new CryptoError('bad_length', `a domain of ${domain.length} bytes`);
  }
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(length));
  return blake2b([key, size, utf8(domain)], KEY);
}
