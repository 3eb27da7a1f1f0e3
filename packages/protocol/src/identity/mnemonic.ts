// SPDX-License-Identifier: MIT
// Recovery phrases (spec/client §1.3): a seed of 16 bytes as 12 words and a checksum word, one of 32 as 24 and one.
// Errors never hold words: a phrase is the account.
import { AlliumError } from '../errors.ts';
import { ENGLISH_WORDS } from './wordlist-english.ts';

// From the specification, spec/client §1.3.
const PREFIX_LETTERS = 3;
const SHORT_WORDS = 13;
const LONG_WORDS = 25;

/** Why a phrase is none. `undecodable`: known words and count, but a group of three stands for no 32-bit number. */
export class MnemonicError extends AlliumError<
  'too_few' | 'too_many' | 'invalid_word' | 'checksum' | 'undecodable' | 'bad_seed'
> {
  override readonly name = 'MnemonicError';
}

let indexOfPrefix: ReadonlyMap<string, number> | undefined;

/**
 * 16 bytes become 13 words, 32 become 25, joined by single spaces.
 * @throws MnemonicError `bad_seed` for any other length
 */
export function encodePhrase(seed: Uint8Array): string {
  if (seed.length !== 16 && seed.length !== 32) {
    throw new MnemonicError('bad_seed', `a seed has 16 or 32 bytes, not ${seed.length}`);
  }
  const n = ENGLISH_WORDS.length;
  const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
  const words: string[] = [];
  for (let offset = 0; offset < seed.length; offset += 4) {
    const x = view.getUint32(offset, true);
    const w1 = x % n;
    const w2 = (Math.floor(x / n) + w1) % n;
    const w3 = (Math.floor(x / (n * n)) + w2) % n;
    words.push(ENGLISH_WORDS[w1]!, ENGLISH_WORDS[w2]!, ENGLISH_WORDS[w3]!);
  }
  words.push(words[checksumIndex(words)]!);
  return words.join(' ');
}

/**
 * The 16-byte seed of a 13-word phrase. Strict: single spaces, lower case (see `normalizePhrase`); of each word only
 * the first three letters count.
 * @throws MnemonicError
 */
export function decodePhrase(text: string): Uint8Array {
  return decodeWords(text, SHORT_WORDS);
}

/** The 32-byte seed of a 25-word phrase; as strict as `decodePhrase`. @throws MnemonicError */
export function decodeLongPhrase(text: string): Uint8Array {
  return decodeWords(text, LONG_WORDS);
}

/** What a person typed, made fit for the strict decoders: case folded, trimmed, white space collapsed. */
export function normalizePhrase(typed: string): string {
  return typed.trim().toLowerCase().replace(/\s+/g, ' ');
}

function decodeWords(text: string, count: number): Uint8Array {
  const words = text.split(' ', count + 1);
  if (words.length < count) throw new MnemonicError('too_few', `fewer than ${count} words`);
  if (words.length > count) throw new MnemonicError('too_many', `more than ${count} words`);
  const checksum = words.pop()!;
  const indices = words.map((word, position) => {
    const index = prefixIndex().get(word.slice(0, PREFIX_LETTERS));
    if (index === undefined)
      throw new MnemonicError('invalid_word', `word ${position + 1} is not in the list`);
    return index;
  });
  const n = ENGLISH_WORDS.length;
  const seed = new Uint8Array((indices.length / 3) * 4);
  const view = new DataView(seed.buffer);
  for (let group = 0; 3 * group < indices.length; group++) {
    const w1 = indices[3 * group]!;
    const w2 = indices[3 * group + 1]!;
    const w3 = indices[3 * group + 2]!;
    const x = w1 + n * ((n - w1 + w2) % n) + n * n * ((n - w2 + w3) % n);
    // Ours: other clients keep the low 32 bits, so that several phrases open one account.
    if (x > 0xffffffff) {
      throw new MnemonicError(
        'undecodable',
        `words ${3 * group + 1} to ${3 * group + 3} stand for no number`,
      );
    }
    view.setUint32(4 * group, x, true);
  }
  if (checksum.slice(0, PREFIX_LETTERS) !== words[checksumIndex(words)]!.slice(0, PREFIX_LETTERS)) {
    throw new MnemonicError('checksum', 'the last word does not confirm the others');
  }
  return seed;
}

function prefixIndex(): ReadonlyMap<string, number> {
  indexOfPrefix ??= new Map(ENGLISH_WORDS.map((word, index) => [word.slice(0, PREFIX_LETTERS), index]));
  return indexOfPrefix;
}

/** Words must be of the list: then their prefixes are ASCII, one byte per character. */
function checksumIndex(words: readonly string[]): number {
  let crc = 0xffffffff; // CRC-32 IEEE, reflected
  for (const word of words) {
    for (let i = 0; i < PREFIX_LETTERS; i++) {
      crc ^= word.charCodeAt(i);
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return (~crc >>> 0) % words.length;
}
