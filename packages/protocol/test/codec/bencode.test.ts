// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, toHex, utf8 } from '../../src/bytes.ts';
import {
  type BtInput,
  type BtValue,
  btBytes,
  btDict,
  btInteger,
  btList,
  decodeBt,
  decodeBtDict,
  encodeBt,
} from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';

describe('vectors', () => {
  for (const vector of vectors.bt_encoding.encode) {
    test(vector.name, () => {
      let value: BtInput;
      if ('value_hex' in vector) value = vector.value_hex.map((hex) => fromHex(hex));
      else if (/int64|uint64/.test(vector.name)) value = BigInt(vector.value as string);
      else value = vector.value as BtInput;
      expect(toHex(encodeBt(value))).toBe(vector.encoded_hex);
      expect(toHex(encodeBt(decodeBt(fromHex(vector.encoded_hex))))).toBe(vector.encoded_hex);
    });
  }

  test.each(vectors.bt_encoding.reject)('$input_ascii is refused as $as', ({ input_ascii, as }) => {
    // Ranges below 64 bits are for the reader of the field (see requests.test.ts for the namespace).
    const limits: Record<string, [bigint, bigint]> = {
      uint64: [0n, 2n ** 64n - 1n],
      uint32: [0n, 2n ** 32n - 1n],
      'int16 namespace': [-32768n, 32767n],
    };
    const limit = limits[as];
    if (limit === undefined) expect(() => decodeBt(utf8(input_ascii))).toThrow(ParseError);
    else {
      const value = decodeBt(utf8(input_ascii)) as number;
      expect(value < limit[0] || value > limit[1]).toBe(true);
    }
  });
});

test('the bt bodies of the OMQ vectors have one encoding', () => {
  const parts = vectors.omq_messages.flatMap((message) => [...message.parts, ...(message.reply ?? [])]);
  const bodies = parts.filter((part) => /^(643[0-9]|6c).*65$/.test(part));
  expect(bodies.length).toBeGreaterThan(10);
  for (const body of bodies) expect(toHex(encodeBt(decodeBt(fromHex(body))))).toBe(body);
});

describe('what is accepted', () => {
  test('integers are numbers while these are exact, then bigints', () => {
    expect(decodeBt(utf8('i9007199254740991e'))).toBe(Number.MAX_SAFE_INTEGER);
    expect(decodeBt(utf8('i-9007199254740991e'))).toBe(Number.MIN_SAFE_INTEGER);
    expect(decodeBt(utf8('i9007199254740992e'))).toBe(9007199254740992n);
    expect(decodeBt(utf8('i18446744073709551615e'))).toBe(18446744073709551615n);
    expect(decodeBt(utf8('i-9223372036854775808e'))).toBe(-9223372036854775808n);
  });

  test('byte strings share the memory of the input', () => {
    const input = utf8('d4:data5:helloe');
    const data = decodeBtDict(input).get('data') as Uint8Array;
    input[9] = 0x4a;
    expect(data).toEqual(utf8('Jello'));
    expect(data.buffer).toBe(input.buffer);
  });

  test('keys and strings of any bytes, empty ones too', () => {
    const dict = decodeBtDict(
      Uint8Array.of(0x64, 0x30, 0x3a, 0x30, 0x3a, 0x31, 0x3a, 0xff, 0x69, 0x31, 0x65, 0x65),
    );
    expect([...dict]).toEqual([
      ['', new Uint8Array(0)],
      ['\xff', 1],
    ]);
  });
});

describe('what is refused', () => {
  test.each([
    '',
    'e',
    'x',
    'i',
    'ie',
    'i-e',
    'i-0e',
    'i00e',
    'i01e',
    'i+1e',
    'i1',
    'i1.0e',
    'i 1e',
    'i18446744073709551616e',
    'i-9223372036854775809e',
    'i99999999999999999999999999999999e',
    ':',
    '1:',
    '-1:a',
    '01:a',
    '5:abc',
    '99999999999999999999:a',
    'l',
    'li1e',
    'd',
    'de1',
    'd1:a',
    'd1:ae',
    'di1ei1ee',
    'd1:bi1e1:ai1ee',
    'd1:ai1e1:ai1ee',
    'i1ei1e',
    'lee',
    'd1:ai1eex',
  ])('%j', (text) => {
    expect(() => decodeBt(utf8(text))).toThrow(ParseError);
  });

  test('nesting beyond the limit, but not at it', () => {
    const nested = (depth: number) => utf8('l'.repeat(depth) + 'e'.repeat(depth));
    expect(() => decodeBt(nested(32))).not.toThrow();
    expect(() => decodeBt(nested(33))).toThrow(ParseError);
    expect(() => decodeBt(nested(100_000))).toThrow(ParseError);
    expect(() => decodeBt(utf8('lle'.repeat(1)), { maxDepth: 1 })).toThrow(ParseError);
  });

  test('more values than allowed', () => {
    const many = (count: number) => utf8(`l${'de'.repeat(count)}e`);
    expect((decodeBt(many(99), { maxValues: 100 }) as unknown[]).length).toBe(99);
    expect(() => decodeBt(many(100), { maxValues: 100 })).toThrow(ParseError);
    expect(() => decodeBt(many(300_000))).toThrow(ParseError);
  });

  test('anything but a dict where a dict is wanted', () => {
    expect(() => decodeBtDict(utf8('le'))).toThrow(ParseError);
  });

  test('floats, null and integers beyond 64 bits are not encoded', () => {
    for (const value of [
      1.5,
      Number.NaN,
      2 ** 53,
      2n ** 64n,
      -(2n ** 63n) - 1n,
      null,
      [undefined],
      () => 1,
    ]) {
      expect(() => encodeBt(value as BtInput)).toThrow(ParseError);
    }
  });
});

test('keys are sorted by bytes and undefined members left out', () => {
  const dict = { z: 1, a: undefined, P: 'é', '': new Map([['k', [true, false]]]) };
  expect(toHex(encodeBt(dict))).toBe(toHex(utf8('d0:d1:kli1ei0eee1:P2:é1:zi1ee')));
});

test('getters give the member, undefined, or an error for another type', () => {
  const dict = decodeBtDict(utf8('d1:Di1e1:Sl2:abe1:dde1:i2:abe'));
  expect(btInteger(dict, 'D')).toBe(1);
  expect(btList(dict, 'S')).toEqual([utf8('ab')]);
  expect(btDict(dict, 'd')).toEqual(new Map());
  expect(btBytes(dict, 'i', 2)).toEqual(utf8('ab'));
  for (const get of [btInteger, btList, btDict, btBytes]) expect(get(dict, 'none')).toBeUndefined();
  expect(() => btInteger(dict, 'i')).toThrow(ParseError);
  expect(() => btInteger(decodeBtDict(utf8('d1:ni9007199254740992ee')), 'n')).toThrow(ParseError);
  expect(() => btList(dict, 'd')).toThrow(ParseError);
  expect(() => btDict(dict, 'S')).toThrow(ParseError);
  expect(() => btBytes(dict, 'D')).toThrow(ParseError);
  expect(() => btBytes(dict, 'i', 3)).toThrow(ParseError);
});

const binaryText = fc.uint8Array({ maxLength: 30 }).map((bytes) => String.fromCharCode(...bytes));
const { value: btValue } = fc.letrec<{ value: BtValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.maxSafeInteger(),
    fc.bigInt({ min: BigInt(Number.MAX_SAFE_INTEGER) + 1n, max: 2n ** 64n - 1n }),
    fc.uint8Array({ maxLength: 50 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(binaryText, tie('value')), { maxLength: 5 }).map((members) => new Map(members)),
  ),
}));

test('what was encoded decodes to the same', () => {
  fc.assert(
    fc.property(btValue, (value) => {
      const decoded = decodeBt(encodeBt(value));
      expect(decoded).toEqual(value);
    }),
  );
});

test('whatever decodes has one encoding; all else is a ParseError', () => {
  const alphabet = fc.constantFrom(...'ilde0129:-a', '\xff');
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 12 }), (letters) => {
      const input = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
      let value: BtValue;
      try {
        value = decodeBt(input);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
        return;
      }
      expect(encodeBt(value)).toEqual(input);
    }),
    { numRuns: 3000 },
  );
});
