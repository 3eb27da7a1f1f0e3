// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../vectors/storage-server.json' with { type: 'json' };
import {
  concat,
  equal,
  fromBase32z,
  fromBase64,
  fromBinary,
  fromHex,
  fromUtf8,
  readU32le,
  toBase32z,
  toBase64,
  toBase64Unpadded,
  toBinary,
  toHex,
  u32le,
  utf8,
} from '../src/bytes.ts';
import { ParseError } from '../src/errors.ts';

const bytes = fc.uint8Array({ maxLength: 300 });
/** Text near the alphabets: where decoders err. */
const nearText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...'AZaz09+/=-_ \n\u0141\u0130\u0000') }),
);

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof ParseError ? error.code : `not a ParseError: ${error}`;
  }
  return 'no error';
}

/** Runs a decoder; undefined when it refuses with the error that it owes. */
function decoded<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

describe('text encodings', () => {
  test.each(vectors.text_encodings.base32z)('vector base32z $base32z', (vector) => {
    expect(toBase32z(fromHex(vector.hex))).toBe(vector.base32z);
    expect(toHex(fromBase32z(vector.base32z))).toBe(vector.hex);
    if (vector.base64 !== undefined) {
      expect(toBase64(fromHex(vector.hex))).toBe(vector.base64);
      expect(toHex(fromBase64(vector.base64))).toBe(vector.hex);
    }
  });

  test.each(vectors.text_encodings.snode_host_name)('vector host name $host', (vector) => {
    expect(`${toBase32z(fromHex(vector.pubkey_legacy))}.snode`).toBe(vector.host);
  });

  test('decoders are the inverse of encoders, also for views', () => {
    fc.assert(
      fc.property(bytes, fc.nat({ max: 5 }), (whole, skip) => {
        const part = whole.subarray(Math.min(skip, whole.length));
        expect(fromHex(toHex(part))).toEqual(part);
        expect(fromHex(toHex(part).toUpperCase(), part.length)).toEqual(part);
        expect(fromBase64(toBase64(part))).toEqual(part);
        expect(fromBase64(toBase64Unpadded(part))).toEqual(part);
        expect(toBase64Unpadded(part)).toBe(toBase64(part).replaceAll('=', ''));
        expect(fromBase32z(toBase32z(part))).toEqual(part);
        expect(fromBinary(toBinary(part))).toEqual(part);
      }),
    );
  });

  test('texts of any length work', () => {
    const large = new Uint8Array(100_001).map((_, i) => i * 7);
    expect(equal(fromBase64(toBase64(large)), large)).toBe(true);
    expect(equal(fromHex(toHex(large)), large)).toBe(true);
    expect(equal(fromBinary(toBinary(large)), large)).toBe(true);
    expect(fromUtf8(utf8('é'.repeat(50_000)))).toBe('é'.repeat(50_000));
  });

  test('decoders throw nothing but ParseError, and what they take they take by the rules', () => {
    fc.assert(
      fc.property(nearText, (text) => {
        const hex = decoded(() => fromHex(text));
        expect(hex !== undefined).toBe(/^([0-9a-fA-F]{2})*$/.test(text));
        const base64 = decoded(() => fromBase64(text));
        const isBase64 =
          /^[A-Za-z0-9+/]*={0,2}$/.test(text) &&
          (!text.includes('=') || text.length % 4 === 0) &&
          text.replaceAll('=', '').length % 4 !== 1;
        expect(base64 !== undefined, JSON.stringify(text)).toBe(isBase64);
        const base32z = decoded(() => fromBase32z(text));
        if (base32z !== undefined) expect(toBase32z(base32z)).toBe(text);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(bytes, (input) => {
        const text = decoded(() => fromUtf8(input));
        if (text !== undefined) expect(utf8(text)).toEqual(input);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ['', ''],
    ['QQ', '41'],
    ['QQ==', '41'],
    ['QR==', '41'],
    ['QUI', '4142'],
    ['QUI=', '4142'],
    ['QUJ', '4142'],
    ['QUJD', '414243'],
    ['+/+/', 'fbffbf'],
  ])('base64 %j is taken', (text, hex) => {
    expect(toHex(fromBase64(text))).toBe(hex);
  });

  test.each([
    'Q',
    'Q===',
    'QQ=',
    'QUJDQ',
    'QUJDQ===',
    '====',
    '=',
    'QU=D',
    'QQ==QQ==',
    'QU I',
    'QU-_',
    'QUJ\n',
    'QU\u0141D',
    'Ł'.repeat(4),
  ])('base64 %j is refused', (text) => expect(code(() => fromBase64(text))).toBe('base64'));

  test('a wrong character anywhere in a long text is found', () => {
    const text = toBase64(new Uint8Array(3000).map((_, i) => i));
    for (const at of [0, 1, 1998, 3996, 3999]) {
      for (const wrong of ['-', '_', ' ', '\u0141', '=', '\u0000']) {
        const broken = text.slice(0, at) + wrong + text.slice(at + 1);
        if (wrong === '=' && at === 3999) continue; // is right
        expect(
          code(() => fromBase64(broken)),
          `${wrong} at ${at}`,
        ).toBe('base64');
        expect(
          code(() => fromBase64(broken.slice(0, -1))),
          `${wrong} at ${at}, unpadded`,
        ).toBe(at === 3999 ? 'no error' : 'base64');
      }
    }
  });

  test('hex of another length or alphabet is refused', () => {
    for (const text of ['a', 'abc', '0g', '0x', '0Ā', ' 0', '+1', '-1'])
      expect(
        code(() => fromHex(text)),
        text,
      ).toBe('hex');
    expect(code(() => fromHex('abcd', 1))).toBe('hex');
    expect(code(() => fromHex('abcd', 3))).toBe('hex');
    expect(fromHex('aBcD', 2)).toEqual(Uint8Array.of(0xab, 0xcd));
    expect(() => fromHex('secret00secret')).toThrow(/^(?!.*secret)/);
  });

  test('base32z that the encoder does not produce is refused', () => {
    for (const text of ['y', 'yyy', 'yyyyyy', 'yb', 'Yy', 'yl', 'y2', 'y\u0141'])
      expect(
        code(() => fromBase32z(text)),
        text,
      ).toBe('base32z');
    expect(fromBase32z('')).toEqual(new Uint8Array(0));
    expect(fromBase32z('yy')).toEqual(Uint8Array.of(0));
  });

  test('UTF-8 is strict and keeps a byte order mark', () => {
    for (const hex of ['ff', 'c3', 'c0af', 'eda080', 'f4908080', '80'])
      expect(
        code(() => fromUtf8(fromHex(hex))),
        hex,
      ).toBe('utf8');
    expect(fromUtf8(fromHex('efbbbf61'))).toBe('\ufeffa');
    expect(utf8('\ufeffa')).toEqual(fromHex('efbbbf61'));
    expect(utf8('€ \u{1f9c5}')).toEqual(fromHex('e282ac20f09fa785'));
    expect(utf8('\ud800')).toEqual(fromHex('efbfbd'));
  });
});

describe('bytes', () => {
  test('concat and equal', () => {
    expect(concat()).toEqual(new Uint8Array(0));
    expect(concat(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
  });

  test('binary strings sort as their bytes do', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const order = toBinary(a) < toBinary(b);
        const at = a.findIndex((byte, i) => byte !== b[i]);
        expect(order).toBe(at === -1 ? a.length < b.length : at < b.length && a[at]! < b[at]!);
      }),
    );
  });

  test('u32le and readU32le are inverses over the whole range', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), bytes, (value, before) => {
        expect(readU32le(concat(before, u32le(value)), before.length)).toBe(value);
      }),
    );
    expect(u32le(0x01020304)).toEqual(Uint8Array.of(4, 3, 2, 1));
    for (const offset of [-1, 1, 4, Number.NaN])
      expect(
        code(() => readU32le(new Uint8Array(4), offset)),
        `${offset}`,
      ).toBe('envelope');
  });

  test('results have the plain type', () => {
    const large = 'ab'.repeat(100);
    for (const result of [fromHex(large), fromBase64(large), utf8(large), utf8('a'), fromBinary(large)])
      expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
  });
});
