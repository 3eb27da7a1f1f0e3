// SPDX-License-Identifier: MIT
// Fuzz targets: text encodings and what people type. A target throws only on a bug: something other than the typed
// error, or a result that does not encode to its input.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import {
  fromBase32z,
  fromBase64,
  fromHex,
  fromUtf8,
  toBase32z,
  toBase64Unpadded,
  toBinary,
  toHex,
  utf8,
} from '../src/bytes.ts';
import { ParseError } from '../src/errors.ts';
import { parseAccountId } from '../src/identity/account-id.ts';
import {
  decodeLongPhrase,
  decodePhrase,
  encodePhrase,
  MnemonicError,
  normalizePhrase,
} from '../src/identity/mnemonic.ts';
import { encodeMemberGrant, parseMemberGrant, parseSubaccountToken } from '../src/identity/subaccount.ts';
import { ENGLISH_WORDS } from '../src/identity/wordlist-english.ts';

type Refusal = typeof ParseError | typeof MnemonicError;

/** A target from a decoder and a check of what it accepted; `refusal` is the one error that it may throw. */
function target<T>(
  seeds: readonly (string | Uint8Array)[],
  decode: (input: Uint8Array) => T,
  check: (decoded: T, input: Uint8Array) => boolean,
  refusal: Refusal = ParseError,
): FuzzTarget {
  return {
    seeds: seeds.map((seed) => (typeof seed === 'string' ? utf8(seed) : seed)),
    run(input) {
      let decoded: T;
      try {
        decoded = decode(input);
      } catch (error) {
        if (error instanceof refusal) return;
        throw error;
      }
      if (!check(decoded, input)) throw new Error('what was decoded does not encode to the input');
    },
  };
}

const prefixes = (phrase: string) =>
  phrase
    .split(' ')
    .map((word) => word.slice(0, 3))
    .join(' ');
const isSamePhrase = (seed: Uint8Array, input: Uint8Array) =>
  prefixes(encodePhrase(seed)) === prefixes(toBinary(input));
/** Bytes as words, so that most inputs reach the arithmetic; the checksum is right one time in twelve. */
const words = (input: Uint8Array, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const number = ((input[(2 * i) % input.length] ?? 0) << 8) | (input[(2 * i + 1) % input.length] ?? 0);
    return ENGLISH_WORDS[number % ENGLISH_WORDS.length];
  }).join(' ');

const SHORT = encodePhrase(new Uint8Array(16).fill(0x5a));
const LONG = encodePhrase(new Uint8Array(32).fill(0xa5));
const TOKEN = new Uint8Array(36).fill(3);
const GRANT = new Uint8Array(100).fill(7);
GRANT.set([3, 1, 0, 0]);

export const targets: Record<string, FuzzTarget> = {
  hex: target(
    ['', '00', 'deadBEEF'],
    (input) => fromHex(toBinary(input)),
    (bytes, input) => toHex(bytes) === toBinary(input).toLowerCase(),
  ),
  base64: target(
    ['', 'QQ==', 'QUI=', 'QUJD', 'QUJDRA', '+/+/'],
    (input) => fromBase64(toBinary(input)),
    (bytes, input) => {
      const text = toBinary(input).replace(/=+$/, '');
      // The last character may have unused bits.
      const kept = bytes.length % 3 === 0 ? text.length : text.length - 1;
      const again = toBase64Unpadded(bytes);
      return again.length === text.length && again.slice(0, kept) === text.slice(0, kept);
    },
  ),
  base32z: target(
    ['', 'yy', '6fi4kseo88aeupbkopyzknjo1odw4dcuxjh6kx1hhhax1tzbjqry'],
    (input) => fromBase32z(toBinary(input)),
    (bytes, input) => toBase32z(bytes) === toBinary(input),
  ),
  utf8: target(
    ['', 'a', 'é€🧅', Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)],
    fromUtf8,
    (text, input) => toHex(utf8(text)) === toHex(input),
  ),
  accountId: target(
    [`05${'ab'.repeat(32)}`],
    (input) => parseAccountId(toBinary(input)),
    (id, input) => id === toBinary(input).toLowerCase(),
  ),
  phrase: target([SHORT], (input) => decodePhrase(toBinary(input)), isSamePhrase, MnemonicError),
  longPhrase: target([LONG], (input) => decodeLongPhrase(toBinary(input)), isSamePhrase, MnemonicError),
  phraseWords: target(
    [new Uint8Array(26), new Uint8Array(26).fill(1)],
    (input) => decodePhrase(words(input, 13)),
    (seed, input) => encodePhrase(seed) === words(input, 13),
    MnemonicError,
  ),
  typedPhrase: target(
    [SHORT, `  ${SHORT.toUpperCase()}\n`],
    (input) => decodePhrase(normalizePhrase(toBinary(input))),
    (seed, input) => prefixes(encodePhrase(seed)) === prefixes(normalizePhrase(toBinary(input))),
    MnemonicError,
  ),
  subaccountToken: target(
    [TOKEN, toHex(TOKEN), toBase64Unpadded(TOKEN)],
    (input) => [parseSubaccountToken(input.length === 36 ? input : toBinary(input)), input] as const,
    ([token]) => token.bytes.length === 36 && token.ed25519Key.length === 32,
  ),
  memberGrant: target(
    [GRANT],
    parseMemberGrant,
    (grant, input) => toHex(encodeMemberGrant(grant)) === toHex(input),
  ),
};
