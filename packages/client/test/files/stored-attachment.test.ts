// SPDX-License-Identifier: MIT
// Whatever a message says of its files, what is kept of it can be shown, and what we keep reads back.
import { cleanFileName } from '@allium/protocol/files/names';
import { MAX_WHOLE_BYTES, PARTS_CONTENT_TYPE } from '@allium/protocol/files/parts';
import type { AttachmentPointer } from '@allium/protocol/message/content';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  filesOf,
  fromPointer,
  isLink,
  readFiles,
  type StoredAttachment,
  sameFiles,
  toPointer,
  withFiles,
  writeFiles,
} from '../../src/files/stored-attachment.ts';

const KEY = 'b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371';
const URL = `http://a.example/file/abc_-#p=${KEY}`;
const u32 = fc.nat(2 ** 32 - 1);
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('image/png', PARTS_CONTENT_TYPE, '../x', '\u202Egpj.exe'),
);
const pointer = fc.record(
  {
    id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    contentType: text,
    key: fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 64, maxLength: 64 })),
    size: fc.oneof(u32, fc.nat(9_000_000)),
    digest: fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 32, maxLength: 32 })),
    fileName: text,
    flags: u32,
    width: u32,
    height: u32,
    caption: text,
    url: fc.oneof(text, fc.constant(URL), fc.webUrl({ withFragments: true })),
    durationMs: u32,
    wholeSize: u32,
    wholeContentType: text,
  },
  { requiredKeys: ['id'] },
) as fc.Arbitrary<AttachmentPointer>;

test('any pointer is cleaned, or told to be of no use', () => {
  let usable = 0;
  fc.assert(
    fc.property(pointer, (given) => {
      const file = fromPointer(given);
      expect(file.contentType).toMatch(/^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/);
      if (file.fileName !== undefined) expect(cleanFileName(file.fileName)).toBe(file.fileName);
      expect(file.caption ?? '').not.toMatch(/\p{Cc}/u);
      expect(file.sizeBytes).toBeGreaterThanOrEqual(0);
      expect(JSON.parse(JSON.stringify(file))).toEqual(file);
      // One or the other.
      expect(file.url === undefined).toBe(file.problem !== undefined);
      if (file.url === undefined) return;
      usable++;
      expect(file.sizeBytes).toBeLessThanOrEqual(MAX_WHOLE_BYTES);
      // A description needs a name that other clients can show.
      const isNamed = file.partsTextBytes === undefined || file.fileName !== undefined;
      expect(fromPointer(toPointer(file))).toEqual(isNamed ? file : { ...file, fileName: 'file' });
    }),
    { numRuns: 1_000 },
  );
  expect(usable).toBeGreaterThan(3);
});

test('files and preview of a message are one list, and put back in their places', () => {
  const file = (name: string): StoredAttachment => ({
    ...{ contentType: 'image/png', sizeBytes: 5, fileName: name },
    ...{ url: URL, key: '00'.repeat(64), digest: '00'.repeat(32) },
  });
  const preview = { url: 'https://b.example', title: 't', image: file('p') };
  const message = { attachments: [file('a'), file('b')], preview };
  expect(filesOf(message).map(({ fileName }) => fileName)).toEqual(['a', 'b', 'p']);
  expect(withFiles(message, filesOf(message))).toEqual(message);
  expect(readFiles({ body: 'see https://b.example', ...writeFiles(message) })).toEqual(message);
  expect(sameFiles(message, { attachments: [file('x'), file('y')] })).toBe(true);
  expect(sameFiles(message, { attachments: [file('a')] })).toBe(false);
  expect(() => toPointer({ contentType: 'image/png', sizeBytes: 5 })).toThrow(RangeError);
});

test.each([
  ['https://example.org/a?b#c', true],
  ['http://example.org', true],
  ['javascript:alert(1)', false],
  ['file:///etc/passwd', false],
  ['https://user:password@example.org', false],
  ['https://exa\u202Emple.org', false],
  ['https://example.org/a b', false],
  [`https://example.org/${'a'.repeat(4_100)}`, false],
  ['example.org', false],
])('%j is a link: %s', (link, expected) => {
  expect(isLink(link)).toBe(expected);
});
