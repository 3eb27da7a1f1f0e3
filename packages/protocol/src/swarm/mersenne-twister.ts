// SPDX-License-Identifier: MIT
// The 64-bit Mersenne Twister that swarm composition and quorums draw from: its numbers are part of the protocol, so
// that every node computes the same map (spec/chain §3.2). Not for secrets.

// From the specification (spec/chain §3.2).
const STATE_WORDS = 312;
const SHIFT_WORDS = 156;
const MATRIX = 0xb5026f5aa96619e9n;
const UPPER_MASK = 0xffffffff80000000n;
const LOWER_MASK = 0x7fffffffn;
const SEED_MULTIPLIER = 6364136223846793005n;
const MASK64 = 0xffffffffffffffffn;
const SEED_SEQUENCE_FILL = 0x8b8b8b8b;

/** mt19937_64 with the draws of spec/chain §3.2. */
export class MersenneTwister {
  readonly #state: BigUint64Array;
  #position = STATE_WORDS;
  #draws = 0;

  private constructor(state: BigUint64Array) {
    this.#state = state;
  }

  static fromSeed(seed: bigint): MersenneTwister {
    const state = new BigUint64Array(STATE_WORDS);
    let word = seed & MASK64;
    state[0] = word;
    for (let i = 1; i < STATE_WORDS; i++) {
      word = (SEED_MULTIPLIER * (word ^ (word >> 62n)) + BigInt(i)) & MASK64;
      state[i] = word;
    }
    return new MersenneTwister(state);
  }

  /** Seeds from 32-bit words, as quorum selection does (spec/chain §1.8). */
  static fromSeedSequence(words: readonly number[]): MersenneTwister {
    const n = STATE_WORDS * 2;
    const s = words.length;
    const p = 306;
    const q = 317;
    const a = new Uint32Array(n).fill(SEED_SEQUENCE_FILL);
    const at = (index: number) => a[index % n] as number;
    const t = (x: number) => (x ^ (x >>> 27)) >>> 0;
    for (let k = 0; k < n; k++) {
      const r1 = Math.imul(1664525, t(at(k) ^ at(k + p) ^ at(k + n - 1))) >>> 0;
      const extra = k === 0 ? s : k <= s ? k + (words[k - 1] as number) : k;
      const r2 = (r1 + extra) >>> 0;
      a[(k + p) % n] = at(k + p) + r1;
      a[(k + q) % n] = at(k + q) + r2;
      a[k] = r2;
    }
    for (let k = n; k < 2 * n; k++) {
      const r3 = Math.imul(1566083941, t((at(k) + at(k + p) + at(k + n - 1)) >>> 0)) >>> 0;
      const r4 = (r3 - (k % n)) >>> 0;
      a[(k + p) % n] = at(k + p) ^ r3;
      a[(k + q) % n] = at(k + q) ^ r4;
      a[k % n] = r4;
    }
    const state = new BigUint64Array(STATE_WORDS);
    for (let i = 0; i < STATE_WORDS; i++) state[i] = BigInt(at(2 * i)) | (BigInt(at(2 * i + 1)) << 32n);
    return new MersenneTwister(state);
  }

  /** How many 64-bit outputs were taken. */
  get draws(): number {
    return this.#draws;
  }

  /** The next 64-bit output. */
  next(): bigint {
    if (this.#position === STATE_WORDS) this.#twist();
    let z = this.#state[this.#position++] as bigint;
    this.#draws++;
    z ^= (z >> 29n) & 0x5555555555555555n;
    z ^= (z << 17n) & 0x71d67fffeda60000n;
    z ^= (z << 37n) & 0xfff7eee000000000n;
    z ^= z >> 43n;
    return z & MASK64;
  }

  /** A number in 0 … n − 1, n ≥ 1. Takes at least one output, also for n = 1. */
  uniform(n: number): number {
    return Number(this.uniformWide(BigInt(n)));
  }

  /** `uniform` for ranges beyond 2^53. */
  uniformWide(n: bigint): bigint {
    // spec/chain §3.2: the bound is 2^64 − 1, not 2^64.
    const limit = MASK64 - (MASK64 % n);
    let x = this.next();
    while (x >= limit) x = this.next();
    return x / (limit / n);
  }

  /** Shuffles `list` in place (spec/chain §3.2; used by quorums, not by swarms). */
  shuffle<T>(list: T[]): void {
    for (let i = 1; i < list.length; i++) {
      const j = this.uniform(i + 1);
      const held = list[i] as T;
      list[i] = list[j] as T;
      list[j] = held;
    }
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = ((state[i] as bigint) & UPPER_MASK) | ((state[(i + 1) % STATE_WORDS] as bigint) & LOWER_MASK);
      const shifted = (state[(i + SHIFT_WORDS) % STATE_WORDS] as bigint) ^ (y >> 1n);
      state[i] = (y & 1n) === 1n ? shifted ^ MATRIX : shifted;
    }
    this.#position = 0;
  }
}
