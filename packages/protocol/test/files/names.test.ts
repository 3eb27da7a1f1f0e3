// SPDX-License-Identifier: MIT
// Names and types of files that strangers wrote.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { utf8 } from '../../src/bytes.ts';
import { cleanContentType, cleanFileName, cleanLine, MAX_FILE_NAME_BYTES } from '../../src/files/names.ts';

test.each<[string, string | undefined]>([
  ['cat.png', 'cat.png'],
  ['Пёс №1.jpg', 'Пёс №1.jpg'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\x\\evil.exe', 'evil.exe'],
  ['/', undefined],
  ['..', undefined],
  [' . ', undefined],
  ['', undefined],
  ['.bashrc', 'bashrc'],
  ['name. . ', 'name'],
  ['CON', '_CON'],
  ['nul.txt', '_nul.txt'],
  ['com1', '_com1'],
  ['LPT².log', '_LPT².log'],
  ['console.log', 'console.log'],
  ['a\u0000b\u001b[31m.txt', 'ab[31m.txt'],
  // Shown as "gpj.exe" backwards: what looks like a picture.
  ['photo\u202Egpj.exe', 'photogpj.exe'],
  ['a\u2066b\u200F.txt', 'ab.txt'],
  ['new\nline.txt', 'newline.txt'],
  ['what?<is>:this|"*".txt', 'what__is__this____.txt'],
  ['\uD800x.txt', 'x.txt'],
  ['a/b/', 'b'],
])('the name %j is %j', (given, expected) => {
  expect(cleanFileName(given)).toBe(expected);
});

test('long names keep their extension and whole characters', () => {
  const name = cleanFileName(`${'ß'.repeat(300)}.tar`) ?? '';
  expect(name.endsWith('ß.tar')).toBe(true);
  expect(utf8(name).length).toBeLessThanOrEqual(MAX_FILE_NAME_BYTES);
  expect(cleanFileName(`${'x'.repeat(100_000)}.png`)?.endsWith('x.png')).toBe(true);
});

test('whatever is given, what comes out is a name for a file, and cleaning it again changes nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (text) => {
      const name = cleanFileName(text);
      if (name === undefined) return;
      expect(name).not.toMatch(/[/\\:*?"<>|\p{Cc}\p{Cf}]|^[.\s]|[.\s]$/u);
      expect(utf8(name).length).toBeLessThanOrEqual(MAX_FILE_NAME_BYTES);
      expect(name).not.toBe('');
      expect(cleanFileName(name)).toBe(name);
    }),
  );
});

test.each([
  ['image/png', 'image/png'],
  ['Image/PNG; charset=x', 'image/png'],
  ['text/html\r\nX-Header: 1', 'application/octet-stream'],
  ['image', 'application/octet-stream'],
  ['image/', 'application/octet-stream'],
  [`image/${'x'.repeat(100)}`, 'application/octet-stream'],
  [undefined, 'application/octet-stream'],
])('the type %j is %j', (given, expected) => {
  expect(cleanContentType(given)).toBe(expected);
});

test('a line has no controls, nothing that turns it round, and an end', () => {
  expect(cleanLine('  Title\n\tof \u202Ea page\u0007 ', 100)).toBe('Title of a page');
  expect(cleanLine('👍'.repeat(50), 3)).toBe('👍👍👍');
});
