// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import { fromHex, fromUtf8, toHex, utf8 } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import {
  encodeV4Request,
  encodeV4Response,
  INVALID_V4_RESPONSE,
  parseV4Request,
  parseV4Response,
} from '../../src/onion/v4.ts';

const { request_with_body, request_without_body, response_json, response_binary } = vectors.onion_v4;

describe('vectors', () => {
  test('a request with body', () => {
    const { object, encoded_hex, encoded_utf8 } = request_with_body;
    const request = { ...object, body: utf8(object.body) };
    expect(toHex(encodeV4Request(request))).toBe(encoded_hex);
    expect(fromUtf8(encodeV4Request(request))).toBe(encoded_utf8);
    expect(parseV4Request(fromHex(encoded_hex))).toEqual({
      ...request,
      headers: { 'content-type': 'application/json' },
    });
  });

  test('a request without body', () => {
    const { object, encoded_utf8 } = request_without_body;
    expect(fromUtf8(encodeV4Request(object))).toBe(encoded_utf8);
    expect(fromUtf8(encodeV4Request({ ...object, body: new Uint8Array(0) }))).toBe(encoded_utf8);
    expect(parseV4Request(utf8(encoded_utf8))).toEqual(object);
  });

  test('responses', () => {
    const json = parseV4Response(fromHex(response_json.hex));
    expect(json.code).toBe(response_json.code);
    expect(JSON.parse(fromUtf8(json.body))).toEqual(response_json.body);
    expect(toHex(encodeV4Response(json))).toBe(response_json.hex);
    const binary = parseV4Response(fromHex(response_binary.hex));
    expect(binary.code).toBe(response_binary.code);
    expect(binary.headers).toEqual({ 'content-type': 'application/octet-stream' });
    expect(toHex(binary.body)).toBe(response_binary.body_hex);
    expect(toHex(encodeV4Response(binary))).toBe(response_binary.hex);
  });
});

const names = fc.string({ unit: fc.constantFrom(...'abcxyz-'), minLength: 1, maxLength: 10 });
const headers = fc.dictionary(names, fc.string({ unit: 'grapheme', maxLength: 10 }), {
  noNullPrototype: true,
});
const bodies = fc.uint8Array({ minLength: 1, maxLength: 100 });

test('requests are read as they were written', () => {
  const requests = fc.record(
    {
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      endpoint: fc.string({ unit: 'grapheme' }).map((path) => `/${path}`),
      headers,
      body: bodies,
    },
    { requiredKeys: ['method', 'endpoint', 'headers'] },
  );
  fc.assert(
    fc.property(requests, (request) => {
      expect(parseV4Request(encodeV4Request(request))).toEqual(request);
    }),
  );
});

test('responses are read as they were written', () => {
  const responses = fc.record({
    code: fc.integer({ min: 100, max: 599 }),
    headers,
    body: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(responses, (response) => {
      expect(parseV4Response(encodeV4Response(response))).toEqual(response);
    }),
  );
});

test('a response goes out with lower-case names and without content-length', () => {
  const bytes = encodeV4Response({
    code: 200,
    headers: { 'Content-Type': 'text/plain', 'Content-Length': '5' },
    body: utf8('hello'),
  });
  expect(fromUtf8(bytes)).toBe('l52:{"code":200,"headers":{"content-type":"text/plain"}}5:helloe');
});

test('a header may have any name', () => {
  const head = '{"code":200,"headers":{"__proto__":"x","Constructor":"y"}}';
  const parsed = parseV4Response(utf8(`l${head.length}:${head}0:e`));
  expect(Object.entries(parsed.headers)).toEqual([
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
});

test('the answer to nonsense is a response itself', () => {
  expect(parseV4Response(encodeV4Response(INVALID_V4_RESPONSE))).toEqual(INVALID_V4_RESPONSE);
});

const list = (...parts: string[]) => `l${parts.map((part) => `${part.length}:${part}`).join('')}e`;

test.each([
  ['nothing', ''],
  ['an empty list', 'le'],
  ['three parts', list('{"method":"GET","endpoint":"/"}', '', '')],
  ['a dict', 'd1:a1:be'],
  ['a number', 'li1ee'],
  ['a list in it', 'llee'],
  ['bytes behind it', `${list('{"method":"GET","endpoint":"/"}')}x`],
  ['no JSON', list('x')],
  ['null', list('null')],
  ['no method', list('{"endpoint":"/"}')],
  ['a method with a line end', list('{"method":"GET\\r\\nX","endpoint":"/"}')],
  ['no endpoint', list('{"method":"GET"}')],
  ['an endpoint without /', list('{"method":"GET","endpoint":"x"}')],
  ['an endpoint with a host', list('{"method":"GET","endpoint":"https://a.example/"}')],
  ['headers as list', list('{"method":"GET","endpoint":"/","headers":[]}')],
  ['a header that is a number', list('{"method":"GET","endpoint":"/","headers":{"a":1}}')],
  [
    'too many headers',
    list(
      JSON.stringify({
        method: 'GET',
        endpoint: '/',
        headers: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`h${index}`, ''])),
      }),
    ),
  ],
  ['a head too long', list(JSON.stringify({ method: 'GET', endpoint: `/${'x'.repeat(65536)}` }))],
])('a request is refused: %s', (_, text) => {
  expect(() => parseV4Request(utf8(text))).toThrow(ParseError);
});

test.each([
  ['one part', list('{"code":200,"headers":{}}')],
  ['no code', list('{"headers":{}}', '')],
  ['a code that is text', list('{"code":"200","headers":{}}', '')],
  ['a code out of range', list('{"code":99,"headers":{}}', '')],
  ['a fractional code', list('{"code":200.5,"headers":{}}', '')],
])('a response is refused: %s', (_, text) => {
  expect(() => parseV4Response(utf8(text))).toThrow(ParseError);
});
