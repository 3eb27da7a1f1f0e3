// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/bytes.ts';
import { isLightJson, type Json, parseJson, stringifyJson } from '../../src/codec/json.ts';
import { ParseError } from '../../src/errors.ts';
import { decodeJsonBody } from '../../src/storage/request-reader.ts';
import { decodeJsonRpc } from '../../src/storage/service-node-list.ts';

test('integers that a double cannot hold are exact', () => {
  const text = '{"swarm_id":18446744073709551615,"small":7,"list":[-9007199254740993,9007199254740991]}';
  const value = parseJson(text);
  expect(value).toEqual({
    swarm_id: 18446744073709551615n,
    small: 7,
    list: [-9007199254740993n, 9007199254740991],
  });
  expect(stringifyJson(value)).toBe(text);
});

test('digits inside text and numbers with a fraction stay what they are', () => {
  expect(parseJson('["18446744073709551615",1234567890123456.5,1e300,1000000000000000e6]')).toEqual([
    '18446744073709551615',
    1234567890123456.5,
    1e300,
    1e21,
  ]);
});

test.each([
  '',
  '{',
  '{"a":1,}',
  "{'a':1}",
  'undefined',
  'NaN',
  '1e999',
  '[[1e999]]',
  '\u0000',
  `[${'9'.repeat(41)}]`,
  `[-${'9'.repeat(100_000)}]`,
])('%j is refused', (text) => {
  expect(() => parseJson(text)).toThrow(ParseError);
});

test('nesting is limited, whatever the depth', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  expect(() => parseJson(nested(64))).not.toThrow();
  expect(() => parseJson(nested(65))).toThrow(ParseError);
  expect(() => parseJson(nested(1_000_000))).toThrow(ParseError);
  expect(() => parseJson(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)).toThrow(ParseError);
  expect(() => parseJson('[[1]]', { maxDepth: 1 })).toThrow(ParseError);
});

test('a member named __proto__ is a member', () => {
  const value = parseJson('{"__proto__":{"polluted":true}}') as Record<string, Json>;
  expect(Object.keys(value)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('what was written is read as the same', () => {
  const big = fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n });
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.maxSafeInteger().map((n) => n + 0),
      big,
      fc.string({ unit: 'binary' }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(value, (json) => {
      expect(stringifyJson(parseJson(stringifyJson(json)))).toBe(stringifyJson(json));
    }),
  );
});

test('any text is a document or a ParseError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.stringMatching(/^[[\]{}",:0-9e.-]{0,20}$/)), (text) => {
      try {
        parseJson(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});

describe('what would cost a parser too much', () => {
  test('is told from what requests look like', () => {
    const hashes = Array.from({ length: 10_000 }, () => 'a'.repeat(43));
    const requests = Array.from({ length: 20 }, () => ({ method: 'delete', params: { messages: hashes } }));
    expect(isLightJson(JSON.stringify({ method: 'batch', params: { requests } }))).toBe(true);
    expect(isLightJson(JSON.stringify({ data: 'x'.repeat(5_000_000) }))).toBe(true);
    for (const heavy of ['[', '{', '{},', '[],', '"a":1,', '1,'])
      expect(isLightJson(heavy.repeat(300_000))).toBe(false);
  });

  test('is refused before it is parsed', () => {
    const body = utf8(`{"method":"info","params":{"x":[${'[],'.repeat(20_000)}0]}}`);
    expect(() => decodeJsonBody(body)).toThrow('invalid json');
    expect(decodeJsonRpc(utf8(`[${'[],'.repeat(20_000)}0]`))).toEqual({ error: -32700 });
  });
});
