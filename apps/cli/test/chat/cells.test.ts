// SPDX-License-Identifier: AGPL-3.0-or-later
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cut, graphemes, padded, shown, shownInLine, widthOf, wrapped } from '../../src/chat/cells.ts';

/** Letters, controls, escape sequences, directions, emoji of parts, marks, lone surrogates. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom(
        '\x1b[31m',
        '\x1b]0;title\x07',
        '\u009b2J',
        '\u202e',
        '\u2066',
        '👨‍👩‍👧',
        '👍🏽',
        '❤️',
        '🇩🇪',
        '1️⃣',
      ),
      fc.constantFrom(
        'مرحبا',
        'שלום',
        '漢字',
        'e\u0301\u0301\u0301\u0301\u0301\u0301',
        '\ud800',
        '\u200b',
        ' ',
        '\n',
        '\t',
      ),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('text of strangers', () => {
  test('never holds what steers a terminal', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const safe = shown(text);
        expect(safe).not.toMatch(/(?!\n)\p{Cc}|(?!\u200c)\p{Cf}|\p{Cs}|[\ufe0f\u{1f3fb}-\u{1f3ff}]/u);
        expect(safe).not.toMatch(/\p{M}{4}/u);
        expect(shownInLine(text)).not.toMatch(/\s{2}|\n/);
        expect(shown(safe)).toBe(safe);
      }),
    );
  });

  test.each([
    ['\x1b[31mred\x1b[0m', '\ufffd[31mred\ufffd[0m'],
    ['a\u202eb', 'ab'],
    ['👨‍👩‍👧', '👨👩👧'],
    ['👍🏽 ❤️', '👍 ❤'],
    ['one\r\ntwo\u2028three', 'one\ntwo\nthree'],
    ['a\tb', 'a    b'],
    ['\ud800', '\ufffd'],
  ])('%j becomes %j', (text, safe) => {
    expect(shown(text)).toBe(safe);
  });
});

describe('cells', () => {
  test.each([
    ['abc', 3],
    ['漢字', 4],
    ['👍', 2],
    ['e\u0301', 1],
    ['🇩🇪', 2],
    ['', 0],
  ])('%s takes %i', (text, width) => {
    expect(widthOf(shown(text))).toBe(width);
  });

  test('nothing is wider than its place, and nothing but spaces is lost', () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 2, max: 60 }), (text, width) => {
        const safe = shown(text);
        const lines = wrapped(safe, width);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(lines.join('').replaceAll(' ', '')).toBe(safe.replace(/[ \n]/g, ''));
        const inLine = shownInLine(text);
        expect(widthOf(cut(inLine, width))).toBeLessThanOrEqual(width);
        expect(widthOf(padded(inLine, width))).toBe(width);
      }),
    );
  });

  test('lines break at spaces, and the last of too many says so', () => {
    expect(wrapped('one two three', 8)).toEqual(['one two', 'three']);
    expect(wrapped('onetwothree', 5)).toEqual(['onetw', 'othre', 'e']);
    expect(wrapped('one two three four', 8, 2)).toEqual(['one two', 'three…']);
    expect(wrapped('a\n\nb', 5)).toEqual(['a', '', 'b']);
    expect(graphemes('e\u0301x')).toHaveLength(2);
  });
});
