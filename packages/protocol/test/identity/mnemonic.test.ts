// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '#crypto';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import { fromHex, toHex, utf8 } from '../../src/bytes.ts';
import {
  decodeLongPhrase,
  decodePhrase,
  encodePhrase,
  MnemonicError,
  normalizePhrase,
} from '../../src/identity/mnemonic.ts';
import { ENGLISH_WORDS } from '../../src/identity/wordlist-english.ts';

const CODES: Record<string, string> = {
  InvalidWordsError: 'invalid_word',
  NotEnoughWordsError: 'too_few',
  TooManyWordsError: 'too_many',
  VerificationError: 'checksum',
};

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof MnemonicError ? error.code : `not a MnemonicError: ${error}`;
  }
  return 'no error';
}

test('the word list is the one of the specification', () => {
  const { count, first, last, unique_three_letter_prefixes, sha256_of_words_joined_by_lf_no_trailing_lf } =
    vectors.wordlist_english;
  expect(ENGLISH_WORDS.length).toBe(count);
  expect(ENGLISH_WORDS[0]).toBe(first);
  expect(ENGLISH_WORDS.at(-1)).toBe(last);
  expect(new Set(ENGLISH_WORDS.map((word) => word.slice(0, 3))).size).toBe(unique_three_letter_prefixes);
  expect(toHex(sha256(utf8(ENGLISH_WORDS.join('\n'))))).toBe(sha256_of_words_joined_by_lf_no_trailing_lf);
});

describe('vectors', () => {
  test.each(vectors.mnemonic)('phrase $phrase', (vector) => {
    expect(toHex(decodePhrase(vector.phrase))).toBe(vector.seed16);
    expect(encodePhrase(fromHex(vector.seed16))).toBe(vector.canonical_phrase);
  });

  test('phrase of a 32-byte seed', () => {
    const { seed32, phrase } = vectors.mnemonic_32_byte_seed;
    expect(encodePhrase(fromHex(seed32))).toBe(phrase);
    expect(toHex(decodeLongPhrase(phrase))).toBe(seed32);
    expect(code(() => decodePhrase(phrase))).toBe('too_many');
  });

  test.each(vectors.mnemonic_decode_cases)('$name', (vector) => {
    if (vector.result !== undefined) expect(toHex(decodePhrase(vector.phrase))).toBe(vector.result);
    else expect(code(() => decodePhrase(vector.phrase))).toBe(CODES[vector.error!]);
  });
});

test('decoding is the inverse of encoding, for both lengths', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (seed) => {
      const phrase = encodePhrase(seed);
      expect(phrase.split(' ').length).toBe(13);
      expect(decodePhrase(phrase)).toEqual(seed);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const phrase = encodePhrase(seed);
      expect(phrase.split(' ').length).toBe(25);
      expect(decodeLongPhrase(phrase)).toEqual(seed);
      expect(code(() => decodeLongPhrase(phrase.slice(0, phrase.lastIndexOf(' '))))).toBe('too_few');
      expect(code(() => decodeLongPhrase(`${phrase} abbey`))).toBe('too_many');
    }),
  );
});

test('seeds at the ends of the range work, in a view too', () => {
  for (const byte of [0, 0xff]) {
    const seed = new Uint8Array(20).fill(byte).subarray(3, 19);
    expect(decodePhrase(encodePhrase(seed))).toEqual(seed);
  }
  for (const length of [0, 4, 15, 17, 33])
    expect(code(() => encodePhrase(new Uint8Array(length)))).toBe('bad_seed');
});

test('three words that stand for no 32-bit number are undecodable', () => {
  // w1 = 1625, differences 1625 and 1625: 1625·(1 + n + n²) > 2^32
  const words = [1625, 1624, 1623].map((index) => ENGLISH_WORDS[index]);
  const phrase = `${[...words, ...words, ...words, ...words].join(' ')} ${words[0]}`;
  expect(code(() => decodePhrase(phrase))).toBe('undecodable');
});

test('whatever decodes, encodes to the same words up to their third letter', () => {
  const word = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...ENGLISH_WORDS) },
    fc.string({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(word, { minLength: 10, maxLength: 15 }), (words) => {
      let seed: Uint8Array;
      try {
        seed = decodePhrase(words.join(' '));
      } catch (error) {
        expect(error).toBeInstanceOf(MnemonicError);
        return;
      }
      expect(
        encodePhrase(seed)
          .split(' ')
          .map((w) => w.slice(0, 3)),
      ).toEqual(words.map((w) => w.slice(0, 3)));
    }),
    { numRuns: 1000 },
  );
});

test('errors never repeat a word of the phrase', () => {
  for (const { phrase } of vectors.mnemonic_decode_cases) {
    try {
      decodePhrase(phrase);
    } catch (error) {
      for (const word of phrase.split(' ').filter((w) => w.length > 3))
        expect(String(error)).not.toContain(word);
    }
  }
});

test('normalizing folds case and white space, and leaves good phrases alone', () => {
  const phrase = vectors.mnemonic[0]!.phrase;
  expect(normalizePhrase(phrase)).toBe(phrase);
  expect(normalizePhrase(`\n  ${phrase.toUpperCase().replaceAll(' ', ' \t ')}\u00a0`)).toBe(phrase);
});
