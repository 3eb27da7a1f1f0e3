// SPDX-License-Identifier: MIT
// One text for one value, and a digest of many values that does not depend on their order.
import { toHex, utf8 } from '@allium/protocol/bytes';
import { blake2b } from '@allium/protocol/crypto';

const WORDS = 8;

/** JSON with the members of every object in the order of their names; members that are undefined are left out. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  let text = '';
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name];
    if (member === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

/** The sum, modulo 2^256, of the BLAKE2b-256 of everything that was added (docs/formats/archive.md). */
export class SumDigest {
  readonly #sum = new Uint32Array(WORDS);

  /** Goes on from what `toString` told. */
  constructor(from?: string) {
    if (from === undefined) return;
    for (let i = 0; i < WORDS; i++) this.#sum[i] = Number.parseInt(from.slice(i * 8, i * 8 + 8), 16);
  }

  add(text: string): void {
    const hash = blake2b(utf8(text), WORDS * 4);
    const view = new DataView(hash.buffer, hash.byteOffset);
    let carry = 0;
    for (let i = WORDS - 1; i >= 0; i--) {
      const word = this.#sum[i]! + view.getUint32(i * 4) + carry;
      this.#sum[i] = word;
      carry = word > 0xffff_ffff ? 1 : 0;
    }
  }

  /** 64 hex digits. */
  toString(): string {
    const bytes = new Uint8Array(WORDS * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < WORDS; i++) view.setUint32(i * 4, this.#sum[i]!);
    return toHex(bytes);
  }
}
