// SPDX-License-Identifier: MIT
// BLAKE2b in pieces, with every option, by libsodium as WASM: what its wrapper leaves out and sodium-native does not have. Some twenty
// times as fast as noble. Importing waits until the WASM is ready.
import sodium from 'libsodium-wrappers-sumo';
import type { Blake2bOptions, Hasher } from './provider.ts';

await sodium.ready;

/** Functions of the module itself; addresses are numbers, and its memory may move when it grows. */
interface Raw {
  readonly HEAPU8: Uint8Array;
  _malloc(length: number): number;
  _crypto_generichash_blake2b_statebytes(): number;
  _crypto_generichash_blake2b_init_salt_personal(
    state: number,
    key: number,
    keyLength: number,
    length: number,
    salt: number,
    personal: number,
  ): number;
  _crypto_generichash_blake2b_update(state: number, data: number, low: number, high: number): number;
  _crypto_generichash_blake2b_final(state: number, out: number, length: number): number;
}

const raw = (sodium as unknown as { readonly libsodium: Raw }).libsodium;
// Ours: what one call works on.
const CHUNK = 64 * 1024;
const ALIGNMENT = 64;
const STATE_BYTES = raw._crypto_generichash_blake2b_statebytes();
/** Shared by all hashers, for as long as one call takes. */
const STATE = Math.ceil(raw._malloc(STATE_BYTES + ALIGNMENT) / ALIGNMENT) * ALIGNMENT;
const DATA = raw._malloc(CHUNK);
const NONE = new Uint8Array(16);

export function wasmBlake2bHasher(length: number, options: Blake2bOptions = {}): Hasher {
  const { key = NONE.subarray(0, 0), salt = NONE, personal = NONE } = options;
  raw.HEAPU8.set(salt, DATA);
  raw.HEAPU8.set(personal, DATA + 16);
  raw.HEAPU8.set(key, DATA + 32);
  const keyAt = key.length === 0 ? 0 : DATA + 32;
  raw._crypto_generichash_blake2b_init_salt_personal(STATE, keyAt, key.length, length, DATA, DATA + 16);
  raw.HEAPU8.fill(0, DATA + 32, DATA + 32 + key.length);
  const state = raw.HEAPU8.slice(STATE, STATE + STATE_BYTES);
  let isOver = false;
  const check = () => {
    if (isOver) throw new RangeError('the hash has been taken already');
  };
  return {
    update(data) {
      check();
      raw.HEAPU8.set(state, STATE);
      for (let at = 0; at < data.length; at += CHUNK) {
        const part = data.subarray(at, at + CHUNK);
        raw.HEAPU8.set(part, DATA);
        raw._crypto_generichash_blake2b_update(STATE, DATA, part.length, 0);
      }
      state.set(raw.HEAPU8.subarray(STATE, STATE + STATE_BYTES));
    },
    digest() {
      check();
      isOver = true;
      raw.HEAPU8.set(state, STATE);
      raw._crypto_generichash_blake2b_final(STATE, DATA, length);
      state.fill(0);
      return raw.HEAPU8.slice(DATA, DATA + length);
    },
  };
}
