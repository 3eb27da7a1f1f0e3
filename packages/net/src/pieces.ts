// SPDX-License-Identifier: MIT
// Bytes that come in pieces whose sizes a stranger chooses. A piece of Node is an object of a hundred bytes and more and
// keeps the read alive in which it came: kept as they are, a megabyte in pieces of one byte holds two hundred.

// Ours.
const SMALL_BYTES = 1_024;
const BLOCK_BYTES = 16_384;
const EMPTY = new Uint8Array(0);

export class Pieces {
  readonly #kept: Uint8Array[] = [];
  #block: Uint8Array = EMPTY;
  #used = 0;

  /** Buffers that are held. */
  get count(): number {
    return this.#kept.length + (this.#used > 0 ? 1 : 0);
  }

  /** Keeps the first and large ones as they are, and copies small ones. */
  add(piece: Uint8Array): void {
    if (piece.length >= SMALL_BYTES || this.count === 0) {
      this.#flush();
      this.#kept.push(piece);
      return;
    }
    if (this.#used + piece.length > this.#block.length) {
      this.#flush();
      this.#block = new Uint8Array(BLOCK_BYTES);
    }
    this.#block.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** All of them in order, a single one as it is; forgets them. */
  take(): Uint8Array {
    this.#flush();
    const kept = this.#kept.splice(0);
    if (kept.length === 0) return EMPTY;
    const whole = kept.length === 1 ? kept[0]! : Buffer.concat(kept);
    return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
  }

  clear(): void {
    this.#kept.length = 0;
    this.#block = EMPTY;
    this.#used = 0;
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#kept.push(this.#block.subarray(0, this.#used));
    this.#block = this.#block.subarray(this.#used);
    this.#used = 0;
  }
}
