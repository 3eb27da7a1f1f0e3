// SPDX-License-Identifier: MIT
// The name of a message (spec/storage-server §2.3):
//   base64_unpadded( BLAKE2b-256( prefix ‖ 32-byte key ‖ ns ‖ data ) ),  ns = nothing for 0, else the decimal number
// Time and lifetime are not part of it: the same data stored twice is one message.

import { blake2b } from '#crypto';
import { toBase64Unpadded, utf8 } from '../bytes.ts';

/** 32 bytes. `account`: the 33 bytes of the account id. */
export function messageHash(account: Uint8Array, namespace: number, data: Uint8Array): Uint8Array {
  return blake2b(namespace === 0 ? [account, data] : [account, utf8(String(namespace)), data], 32);
}

/** 43 characters. */
export function messageHashText(account: Uint8Array, namespace: number, data: Uint8Array): string {
  return toBase64Unpadded(messageHash(account, namespace, data));
}
