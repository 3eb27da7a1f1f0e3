// SPDX-License-Identifier: MIT
// Ids of files that are hashes of their content (spec/community-and-file-servers §2.2): base64url of a keyless BLAKE2b of
// 33 bytes. Whoever uploads can tell from the id that the server has what was sent.
import { blake2bHasher } from '#crypto';
import { toBase64, utf8 } from '../bytes.ts';

// From the specification.
const ID_BYTES = 33;
const SALT = new Uint8Array(16);
SALT.set(utf8('SessionFileSvr'));
/** Shorter ids are numbers. */
export const CONTENT_ID_LENGTH = 44;

/** Takes a file in pieces; ends with its id. */
export class ContentIdHasher {
  readonly #hasher = blake2bHasher(ID_BYTES, { salt: SALT });

  update(data: Uint8Array): void {
    this.#hasher.update(data);
  }

  digest(): string {
    return toBase64(this.#hasher.digest()).replaceAll('+', '-').replaceAll('/', '_');
  }
}

export function contentId(data: Uint8Array): string {
  const hasher = new ContentIdHasher();
  hasher.update(data);
  return hasher.digest();
}
