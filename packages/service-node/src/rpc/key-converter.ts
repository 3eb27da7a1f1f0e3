// SPDX-License-Identifier: AGPL-3.0-or-later
// Remembers which X25519 key an Ed25519 key converts to: the same accounts poll again and again, and the conversion
// costs as much as a signature.
import { toBinary } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519 } from '@allium/protocol/crypto';

/** Ours: about 400 kB when full. */
const CAPACITY = 2048;

export class KeyConverter {
  readonly #known = new Map<string, Uint8Array>();

  /** Like `ed25519PublicKeyToX25519`. Keys that convert to nothing are not remembered: they cost no more the next time. */
  readonly toX25519 = (ed25519Key: Uint8Array): Uint8Array | undefined => {
    const name = toBinary(ed25519Key);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const converted = ed25519PublicKeyToX25519(ed25519Key);
    if (converted === undefined) return undefined;
    if (this.#known.size >= CAPACITY) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(name, converted);
    return converted;
  };
}
