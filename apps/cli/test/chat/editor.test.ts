// SPDX-License-Identifier: AGPL-3.0-or-later
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { graphemes, widthOf } from '../../src/chat/cells.ts';
import {
  type Draft,
  draftOf,
  EMPTY_DRAFT,
  erased,
  laidOut,
  moved,
  movedLine,
  typed,
} from '../../src/chat/editor.ts';

const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom('a', ' ', '\n', '漢', '👨‍👩‍👧', 'e\u0301', '🇩🇪'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 40,
});
const steps = fc.array(
  fc.oneof(
    fc
      .constantFrom('left', 'right', 'wordLeft', 'wordRight', 'home', 'end')
      .map((way) => (draft: Draft) => moved(draft, way)),
    fc
      .constantFrom('before', 'after', 'word', 'toHome', 'toEnd')
      .map((what) => (draft: Draft) => erased(draft, what)),
    texts.map((text) => (draft: Draft) => typed(draft, text)),
  ),
  { maxLength: 20 },
);

describe('a draft', () => {
  test('has its cursor between two graphemes, whatever is done', () => {
    fc.assert(
      fc.property(texts, steps, fc.integer({ min: 2, max: 30 }), (text, all, width) => {
        let draft = typed(EMPTY_DRAFT, text);
        for (const step of all) draft = step(draft);
        expect(draft.cursor).toBeGreaterThanOrEqual(0);
        expect(draft.cursor).toBeLessThanOrEqual(draft.text.length);
        const { lines, row, column } = laidOut(draft, width);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(row).toBeLessThan(lines.length);
        expect(column).toBeLessThanOrEqual(width);
        const up = movedLine(draft, -1, width);
        expect(up === undefined).toBe(row === 0);
        if (up !== undefined) expect(laidOut(up, width).row).toBe(row - 1);
      }),
    );
  });

  test('typing and erasing are inverse, by grapheme', () => {
    fc.assert(
      fc.property(fc.constantFrom('a', '漢', '👨‍👩‍👧', '🇩🇪', 'e\u0301'), (one) => {
        const draft = typed(draftOf('x '), one);
        expect(graphemes(one)).toHaveLength(1);
        expect(erased(draft, 'before')).toEqual(draftOf('x '));
      }),
    );
  });

  test('takes no control characters', () => {
    expect(typed(EMPTY_DRAFT, 'a\x1b[31m\r\nb\x07')).toEqual(draftOf('a[31m\nb'));
  });

  test('words and lines', () => {
    const draft = draftOf('one two\nthree four');
    expect(erased(draft, 'word').text).toBe('one two\nthree ');
    expect(erased(draft, 'toHome').text).toBe('one two\n');
    expect(moved(draft, 'home').cursor).toBe(8);
    expect(moved({ ...draft, cursor: 2 }, 'end').cursor).toBe(7);
    expect(movedLine(draft, -1, 40)?.cursor).toBe(7);
    expect(movedLine({ ...draft, cursor: 1 }, 1, 40)?.cursor).toBe(9);
    expect(laidOut(draftOf('abcd'), 4)).toEqual({ lines: ['abcd', ''], row: 1, column: 0 });
  });
});
