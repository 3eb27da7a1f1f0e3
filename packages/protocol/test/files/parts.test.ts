// SPDX-License-Identifier: MIT
// Files in parts: what is described reads back, parts open only at their place, and bad descriptions are refused.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromUtf8, toHex, utf8 } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import {
  type FileParts,
  formatParts,
  MAX_PARTS,
  MAX_PARTS_TEXT_BYTES,
  MAX_WHOLE_BYTES,
  openPart,
  PART_BYTES,
  parseParts,
  partCount,
  partLength,
  sealPart,
} from '../../src/files/parts.ts';

const KEY = new Uint8Array(32).map((_, i) => i);
const SERVER = `http://files.example#p=${'ab'.repeat(32)}`;
const urlOf = (id: number) => SERVER.replace('#', `/file/${id}#`);

function described(sizeBytes: number): FileParts {
  const parts = Array.from({ length: partCount(sizeBytes) }, (_, i) => ({
    url: urlOf(i),
    digest: new Uint8Array(32).fill(i),
  }));
  return { sizeBytes, contentType: 'video/mp4', digest: KEY, key: KEY, parts };
}

test('a description says to people what it is, and reads back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_WHOLE_BYTES }), fc.string(), (size, name) => {
      const text = formatParts(described(size), name.replaceAll('\n', ' '));
      expect(fromUtf8(text)).toContain('too large for one file');
      expect(parseParts(text)).toEqual(described(size));
    }),
    { numRuns: 30 },
  );
});

test('the longest addresses of the most parts fit', () => {
  const parts = described(MAX_WHOLE_BYTES).parts.map((part) => ({ ...part, url: part.url.padEnd(512, '0') }));
  expect(parts.length).toBe(MAX_PARTS);
  const bytes = formatParts({ ...described(MAX_WHOLE_BYTES), parts }, 'x');
  expect(bytes.length).toBeLessThan(MAX_PARTS_TEXT_BYTES);
});

test('parts open at their own place only, and sealing again gives the same bytes', () => {
  const data = new Uint8Array(5_000).fill(7);
  const sizeBytes = PART_BYTES + data.length;
  const sealed = sealPart(data, KEY, 1);
  expect(toHex(sealPart(data, KEY, 1).digest)).toBe(toHex(sealed.digest));
  const parts = [0, 1].map((i) => ({ url: urlOf(i), digest: sealed.digest }));
  const whole = { ...described(sizeBytes), parts };
  expect(openPart(sealed.body, whole, 1)).toEqual(data);
  expect(() => openPart(sealed.body, whole, 0)).toThrow('MAC');
  expect(() => openPart(sealed.body, { ...whole, key: new Uint8Array(32) }, 1)).toThrow('MAC');
  expect(partLength(sizeBytes, 1)).toBe(data.length);
});

const JSON_OF = JSON.parse(
  fromUtf8(formatParts(described(PART_BYTES + 1), 'x'))
    .split('\n')
    .at(-2) ?? '',
);
test.each<[string, object | string]>([
  ['nothing', ''],
  ['a list', '[]'],
  ['another version', { allium_parts: 2 }],
  ['no size', { size: undefined }],
  ['a size of zero', { size: 0 }],
  ['a size that is too large', { size: MAX_WHOLE_BYTES + 1 }],
  ['a size that is no number', { size: '5' }],
  ['too few parts', { parts: [] }],
  ['too many parts', { size: 1 }],
  ['a part without digest', { parts: [[urlOf(0)], [urlOf(1)]] }],
  ['a part that is text', { parts: ['x', 'y'] }],
  [
    'a file of this machine',
    {
      parts: [
        ['file:///etc/passwd', toHex(KEY)],
        [urlOf(1), toHex(KEY)],
      ],
    },
  ],
  [
    'an address without key',
    {
      parts: [
        ['http://x/file/1', toHex(KEY)],
        [urlOf(1), toHex(KEY)],
      ],
    },
  ],
  ['a short key', { key: 'ab' }],
  ['a digest that is no hex', { digest: 'x'.repeat(64) }],
  ['a type that is a number', { type: 5 }],
])('a description with %s is refused', (_name, change) => {
  const text = typeof change === 'string' ? change : JSON.stringify({ ...JSON_OF, ...change });
  const code = (() => {
    try {
      parseParts(utf8(`some words\n${text}\n`));
      return 'read';
    } catch (error) {
      return error instanceof ParseError ? error.code : String(error);
    }
  })();
  expect(code).toBe('file_parts');
});

test('any bytes are read or refused as what they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      expect(() => parseParts(bytes)).toThrow(ParseError);
    }),
  );
  expect(() => parseParts(new Uint8Array(MAX_PARTS_TEXT_BYTES + 1))).toThrow(ParseError);
});
