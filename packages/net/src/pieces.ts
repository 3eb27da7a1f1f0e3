// SPDX-License-Identifier: MIT
// Bytes that come in pieces whose sizes a stranger chooses. A piece of Node is an object of a hundred bytes and more and
// keeps the read alive in which it came: kept as they are, a megabyte in pieces of one byte holds two hundred.

// Ours.
const SMALL_BYTES = 1_024;
const BLOCK_BYTES = 16_384;

export class Pieces {
  readonly #kept: Uint8Array[] = [];
  #block: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** Buffers that are held. */
  get count(): number {
    return this.#kept.length + (this.#used > 0 ? 1 : 0);
  }

  /** Keeps a large one as it is, and copies a small one. */
  add(piece: Uint8Array): void {
    if (piece.length >= SMALL_BYTES) {
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

  /** All of them in order; forgets them. */
  take(): Uint8Array {
    this.#flush();
    const whole = Buffer.concat(this.#kept.splice(0));
    return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#kept.push(this.#block.subarray(0, this.#used));
    this.#block = this.#block.subarray(this.#used);
    this.#used = 0;
  }
}
