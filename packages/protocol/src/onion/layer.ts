// SPDX-License-Identifier: MIT
// One layer of an onion request and the answer to it (spec/storage-server §4.3): an ephemeral X25519 pair of the client
// against the key of a node or server, and an AEAD. Ciphertext: nonce ‖ encrypted ‖ tag of 16 bytes.
//
//   aes-gcm                 key = HMAC-SHA256("LOKI", DH)               nonce of 12 bytes
//   xchacha20(-poly1305)    key = BLAKE2b-256(DH ‖ client ‖ server key)  nonce of 24 bytes
import {
  aesGcmOpen,
  aesGcmSeal,
  blake2b,
  hmacSha256,
  randomBytes,
  x25519,
  x25519KeyPair,
  x25519PublicKey,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '#crypto';
import { concat } from '../bytes.ts';
import { CryptoError, type KeyPair } from '../crypto/provider.ts';
import { ParseError, quote } from '../errors.ts';

/** How a layer is encrypted. */
export type EncType = 'aes-gcm' | 'xchacha20-poly1305';

/** What a peer may name. `aes-cbc` has no authentication: it parses, but no layer of it ever opens. */
export type ReceivedEncType = EncType | 'aes-cbc';

/** The key that the answer to a layer is encrypted with. Secret. */
export interface ReplyKey {
  readonly encType: EncType;
  readonly key: Uint8Array;
}

export interface SealedLayer {
  readonly ciphertext: Uint8Array;
  readonly ephemeralKey: Uint8Array;
  readonly replyKey: ReplyKey;
}

export interface OpenedLayer {
  readonly plaintext: Uint8Array;
  readonly replyKey: ReplyKey;
}

/** For tests: what is random otherwise. */
export interface FixedLayer {
  readonly ephemeralSecret: Uint8Array;
  readonly nonce: Uint8Array;
}

// From the specification (spec/storage-server §4.3).
const AES_GCM_SALT = Uint8Array.of(0x4c, 0x4f, 0x4b, 0x49); // LOKI
const AES_GCM_NONCE = 12;
const XCHACHA20_NONCE = 24;
const TAG = 16;
const KEY = 32;

/** Absent means aes-gcm. @throws ParseError `onion` for an unknown name */
export function parseEncType(text: string | undefined): ReceivedEncType {
  switch (text) {
    case undefined:
    case 'aes-gcm':
    case 'gcm':
      return 'aes-gcm';
    case 'xchacha20':
    case 'xchacha20-poly1305':
      return 'xchacha20-poly1305';
    case 'aes-cbc':
    case 'cbc':
      return 'aes-cbc';
    default:
      throw new ParseError('onion', `unknown encryption type ${quote(text)}`);
  }
}

/** The name that every peer knows. */
export function encTypeName(encType: ReceivedEncType): string {
  return encType === 'xchacha20-poly1305' ? 'xchacha20' : encType;
}

/** How much longer than its plaintext a layer is. */
export function layerOverhead(encType: EncType): number {
  return (encType === 'aes-gcm' ? AES_GCM_NONCE : XCHACHA20_NONCE) + TAG;
}

/** @throws CryptoError `low_order` for a degenerate recipient key */
export function sealLayer(
  encType: EncType,
  plaintext: Uint8Array,
  recipientKey: Uint8Array,
  fixed?: FixedLayer,
): SealedLayer {
  const { publicKey, secretKey } =
    fixed === undefined
      ? x25519KeyPair()
      : { publicKey: x25519PublicKey(fixed.ephemeralSecret), secretKey: fixed.ephemeralSecret };
  const key = layerKey(encType, x25519(secretKey, recipientKey), publicKey, recipientKey);
  const replyKey = { encType, key };
  return { ciphertext: sealReply(replyKey, plaintext, fixed?.nonce), ephemeralKey: publicKey, replyKey };
}

/** Undefined for whatever does not open: a wrong key, changed bytes, a degenerate ephemeral key, aes-cbc. */
export function openLayer(
  encType: ReceivedEncType,
  ciphertext: Uint8Array,
  ephemeralKey: Uint8Array,
  keyPair: KeyPair,
): OpenedLayer | undefined {
  // Ours: upstream still opens aes-cbc. No client sends it, and without a tag its layers can be bent.
  if (encType === 'aes-cbc' || ephemeralKey.length !== KEY) return undefined;
  let shared: Uint8Array;
  try {
    shared = x25519(keyPair.secretKey, ephemeralKey);
  } catch (error) {
    if (error instanceof CryptoError) return undefined;
    throw error;
  }
  const replyKey = { encType, key: layerKey(encType, shared, ephemeralKey, keyPair.publicKey) };
  const plaintext = openReply(replyKey, ciphertext);
  return plaintext === undefined ? undefined : { plaintext, replyKey };
}

/** `nonce` is for tests. */
export function sealReply(replyKey: ReplyKey, plaintext: Uint8Array, nonce?: Uint8Array): Uint8Array {
  if (replyKey.encType === 'aes-gcm') {
    const fresh = nonce ?? randomBytes(AES_GCM_NONCE);
    return concat(fresh, aesGcmSeal(replyKey.key, fresh, plaintext));
  }
  const fresh = nonce ?? randomBytes(XCHACHA20_NONCE);
  return concat(fresh, xchacha20Poly1305Seal(replyKey.key, fresh, plaintext));
}

export function openReply(replyKey: ReplyKey, ciphertext: Uint8Array): Uint8Array | undefined {
  const { encType, key } = replyKey;
  const nonceLength = encType === 'aes-gcm' ? AES_GCM_NONCE : XCHACHA20_NONCE;
  if (ciphertext.length < nonceLength) return undefined;
  const open = encType === 'aes-gcm' ? aesGcmOpen : xchacha20Poly1305Open;
  return open(key, ciphertext.subarray(0, nonceLength), ciphertext.subarray(nonceLength));
}

function layerKey(
  encType: EncType,
  shared: Uint8Array,
  clientKey: Uint8Array,
  serverKey: Uint8Array,
): Uint8Array {
  if (encType === 'aes-gcm') return hmacSha256(AES_GCM_SALT, shared);
  return blake2b([shared, clientKey, serverKey], KEY);
}
