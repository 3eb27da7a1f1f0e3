// SPDX-License-Identifier: MIT
// (types first)
import type { KeyPair } from '../crypto/provider.ts';

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

/** Absent means aes-gcm. @throws ParseError `onion` for an unknown name */
export declare function parseEncType(text: string | undefined): ReceivedEncType;
/** @throws CryptoError `low_order` for a degenerate recipient key */
export declare function sealLayer(
  encType: EncType,
  plaintext: Uint8Array,
  recipientKey: Uint8Array,
  fixed?: FixedLayer,
): SealedLayer;
export declare function openLayer(
  encType: ReceivedEncType,
  ciphertext: Uint8Array,
  ephemeralKey: Uint8Array,
  keyPair: KeyPair,
): OpenedLayer | undefined;
export declare function sealReply(replyKey: ReplyKey, plaintext: Uint8Array, nonce?: Uint8Array): Uint8Array;
export declare function openReply(replyKey: ReplyKey, ciphertext: Uint8Array): Uint8Array | undefined;
