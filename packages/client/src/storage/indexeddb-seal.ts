// SPDX-License-Identifier: MIT
// How rows of IndexedDB are kept: as they are, or sealed. A sealed row is XChaCha20-Poly1305 of its JSON; what indexes need stands
// beside it: times and flags as they are, ids, hashes, names and words as keyed hashes. Each row has a key of its own that
// follows from where it stands, so rows cannot be exchanged (docs/decisions/0025-encrypted-databases.md).
import { concat, fromUtf8, toBase64Unpadded, utf8 } from '@allium/protocol/bytes';
import { blake2b, randomBytes, xchacha20Poly1305Open, xchacha20Poly1305Seal } from '@allium/protocol/crypto';
import { StorageError } from './storage.ts';

// Ours.
const NONCE_BYTES = 24;
/** Of 96 bits: among 10^7 names of an account two are alike once in 10^15. */
const NAME_BYTES = 12;

/** What stands in a row instead of its content. */
export interface SealedContent {
  readonly sealed: Uint8Array;
}

export interface Seal {
  readonly isSealed: boolean;
  /** The name of something in an index. */
  name(text: string): string;
  /** `place`: where the row stands, such as its store and key. */
  close<T extends object>(content: T, place: string): T | SealedContent;
  /** @throws StorageError `damaged` */
  open<T extends object>(content: T | SealedContent, place: string): T;
}

/** Everything as it is. */
export const PLAIN: Seal = {
  isSealed: false,
  name: (text) => text,
  close: (content) => content,
  open: (content) => content as never,
};

/** `key`: 32 bytes, copied. */
export function sealUnder(key: Uint8Array): Seal {
  if (key.length !== 32) throw new RangeError('the key of a storage has 32 bytes');
  const names = blake2b(utf8('allium names'), 32, { key });
  const rows = blake2b(utf8('allium rows'), 32, { key });
  const keyOf = (place: string) => blake2b(utf8(place), 32, { key: rows });
  return {
    isSealed: true,
    name: (text) => toBase64Unpadded(blake2b(utf8(text), NAME_BYTES, { key: names })),
    close(content, place) {
      const nonce = randomBytes(NONCE_BYTES);
      return {
        sealed: concat(nonce, xchacha20Poly1305Seal(keyOf(place), nonce, utf8(JSON.stringify(content)))),
      };
    },
    open(content, place) {
      const { sealed } = content as SealedContent;
      const plain =
        sealed instanceof Uint8Array && sealed.length >= NONCE_BYTES
          ? xchacha20Poly1305Open(keyOf(place), sealed.subarray(0, NONCE_BYTES), sealed.subarray(NONCE_BYTES))
          : undefined;
      if (plain === undefined)
        throw new StorageError('damaged', 'a row of the storage is not what was written');
      return JSON.parse(fromUtf8(plain));
    },
  };
}
