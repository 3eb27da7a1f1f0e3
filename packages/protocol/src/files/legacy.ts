// SPDX-License-Identifier: MIT
// Attachments as all clients send them by default (spec/client §5.1), and avatars in the same manner (§5.4). The MAC
// stands at the end, so nothing of a file may be used before all of it is there.
//
//   attachment   IV (16) ‖ AES-256-CBC(data ‖ zeros) ‖ HMAC-SHA-256 over both (32)     key: AES 32 ‖ HMAC 32
//   avatar       IV (12) ‖ AES-256-GCM(data), tag at its end (16)                        key: 32

import {
  aesCbcDecrypt,
  aesCbcEncrypt,
  aesGcmOpen,
  aesGcmSeal,
  equalConstantTime,
  hmacSha256,
  randomBytes,
  sha256,
} from '#crypto';
import { concat, equal } from '../bytes.ts';
import { FileError } from './file-error.ts';

// From the specification, §5.1.
/** Plain bytes; clients refuse to send and to fetch more. */
export const MAX_ATTACHMENT_BYTES = 10_000_000;
const SMALLEST_PADDED = 541;
const PADDING_BASE = 1.05;
export const ATTACHMENT_KEY_BYTES = 64;
export const ATTACHMENT_IV_BYTES = 16;
const KEY = ATTACHMENT_KEY_BYTES;
const IV = ATTACHMENT_IV_BYTES;
const MAC = 32;
const DIGEST = 32;
const AVATAR_KEY = 32;
const AVATAR_IV = 12;

/** Greatest length of an encrypted attachment: padded, one more block, IV and MAC. */
export const MAX_SEALED_ATTACHMENT_BYTES = MAX_ATTACHMENT_BYTES + 16 + IV + MAC;

export interface SealedAttachment {
  /** What is uploaded. */
  readonly body: Uint8Array;
  /** 64 bytes; secret. */
  readonly key: Uint8Array;
  /** SHA-256 of `body`. */
  readonly digest: Uint8Array;
  /** Of the data, before padding. */
  readonly sizeBytes: number;
}

/** What a sender tells of a file. */
export interface AttachmentSecrets {
  readonly key: Uint8Array;
  readonly digest?: Uint8Array | undefined;
  /** Plain bytes before padding; 0 or more than there are: all are kept. */
  readonly sizeBytes: number;
}

/** Length of the data after padding: steps of 5 %, at most MAX_ATTACHMENT_BYTES for data that is shorter. */
export function paddedAttachmentLength(length: number): number {
  if (length === 0) return SMALLEST_PADDED;
  // §5.1: in IEEE doubles, just as everybody else computes it.
  const step = Math.floor(PADDING_BASE ** Math.ceil(Math.log(length) / Math.log(PADDING_BASE)));
  const padded = Math.max(SMALLEST_PADDED, step);
  return padded > MAX_ATTACHMENT_BYTES && length <= MAX_ATTACHMENT_BYTES ? MAX_ATTACHMENT_BYTES : padded;
}

/**
 * Encrypts under a fresh key. Images of link previews are not `padded` (§5.1). `fixed`: for the same data once more, so that the
 * server gets the same bytes again; never for other data.
 * @throws FileError `empty`, `too_large`
 */
export function sealAttachment(
  data: Uint8Array,
  options: { readonly padded?: boolean } = {},
  fixed?: { readonly key: Uint8Array; readonly iv: Uint8Array },
): SealedAttachment {
  if (data.length === 0) throw new FileError('empty', 'the file is empty');
  if (data.length > MAX_ATTACHMENT_BYTES) {
    throw new FileError('too_large', `${data.length} bytes; at most ${MAX_ATTACHMENT_BYTES} can be sent`);
  }
  const key = fixed?.key ?? randomBytes(KEY);
  const iv = fixed?.iv ?? randomBytes(IV);
  let padded = data;
  if (options.padded !== false) {
    padded = new Uint8Array(paddedAttachmentLength(data.length));
    padded.set(data);
  }
  const ciphertext = aesCbcEncrypt(key.subarray(0, 32), iv, padded);
  const mac = hmacSha256(key.subarray(32), [iv, ciphertext]);
  const body = concat(iv, ciphertext, mac);
  return { body, key, digest: sha256(body), sizeBytes: data.length };
}

/**
 * Opens what `sealAttachment` of any client made. Digest and MAC are checked before anything is decrypted.
 * @throws FileError `bad_key`, `bad_digest`, `bad_file`, `too_large`
 */
export function openAttachment(body: Uint8Array, secrets: AttachmentSecrets): Uint8Array {
  const { key, digest, sizeBytes } = secrets;
  if (key.length !== KEY) throw new FileError('bad_key', `a key of ${key.length} bytes`);
  if (digest?.length !== DIGEST) throw new FileError('bad_key', 'the digest is missing or of wrong length');
  if (body.length > MAX_SEALED_ATTACHMENT_BYTES) throw new FileError('too_large', `${body.length} bytes`);
  if (body.length < IV + MAC) throw new FileError('bad_file', `only ${body.length} bytes`);
  if (!equal(sha256(body), digest)) throw new FileError('bad_digest', 'not the file that was sent');
  const end = body.length - MAC;
  const mac = hmacSha256(key.subarray(32), body.subarray(0, end));
  if (!equalConstantTime(mac, body.subarray(end))) throw new FileError('bad_file', 'the MAC is wrong');
  const padded = aesCbcDecrypt(key.subarray(0, 32), body.subarray(0, IV), body.subarray(IV, end));
  if (padded === undefined) throw new FileError('bad_file', 'the ciphertext has no whole blocks');
  return sizeBytes > 0 && sizeBytes < padded.length ? padded.subarray(0, sizeBytes) : padded;
}

/** §5.4. Never twice under one key, except for the same picture with the same `iv`. */
export function sealAvatar(picture: Uint8Array, key: Uint8Array, iv = randomBytes(AVATAR_IV)): Uint8Array {
  return concat(iv, aesGcmSeal(key, iv, picture));
}

/** @throws FileError `bad_key`, `bad_file` */
export function openAvatar(body: Uint8Array, key: Uint8Array): Uint8Array {
  if (key.length !== AVATAR_KEY) throw new FileError('bad_key', `a key of ${key.length} bytes`);
  const picture =
    body.length < AVATAR_IV
      ? undefined
      : aesGcmOpen(key, body.subarray(0, AVATAR_IV), body.subarray(AVATAR_IV));
  if (picture === undefined) throw new FileError('bad_file', 'the picture does not open');
  return picture;
}
