// SPDX-License-Identifier: AGPL-3.0-or-later
// What becomes of texts that strangers write.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isOnlyEmoji, isPlain, piecesOf, safeHref, tame, tameLine } from '../src/components/rich-text.tsx';

describe('links', () => {
  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt://example.org/%0aalert(1)',
    'data:text/html,<script>1</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'https://bank.example@evil.example/',
    'https://user:pass@example.org/',
  ])('%s is no link', (text) => {
    expect(safeHref(text)).toBeUndefined();
    expect(piecesOf(`see ${text} now`, {}).some(({ kind }) => kind === 'link')).toBe(false);
  });

  test('the closing of a sentence does not belong to an address', () => {
    expect(piecesOf('(see https://example.org/a?b=1).', {})).toEqual([
      { kind: 'text', text: '(see ' },
      { kind: 'link', text: 'https://example.org/a?b=1', href: 'https://example.org/a?b=1' },
      { kind: 'text', text: ').' },
    ]);
  });

  test('letters that look like others are shown in plain form', () => {
    expect(safeHref('https://аpple.example/')).toMatch(/^https:\/\/xn--/);
  });

  test('a character that turns the direction ends an address', () => {
    const [, link] = piecesOf('x https://example.org/\u202Egpj.exe', {});
    expect(link).toEqual({ kind: 'link', text: 'https://example.org/', href: 'https://example.org/' });
  });
});

test('mentions get the name that we know, else a short id', () => {
  const id = `05${'ab'.repeat(32)}`;
  expect(piecesOf(`hi @${id}!`, { [id]: 'Mara' })).toContainEqual({ kind: 'mention', id, text: '@Mara' });
  expect(piecesOf(`@${id}`, {})).toEqual([{ kind: 'mention', id, text: '@05ababab…abab' }]);
});

test('of a pile of accents four stay', () => {
  expect([...tame(`Z${'\u0321'.repeat(500)}a`)].length).toBe(6);
  expect(tame('Ấ n̈ é')).toBe('Ấ n̈ é');
});

test('names keep to one line and one direction', () => {
  expect(tameLine('Adm\u202Ein\n\u2066x\u2069')).toBe('Admin x');
});

test('only emoji are shown large', () => {
  expect(isOnlyEmoji('👨‍👩‍👧')).toBe(true);
  expect(isOnlyEmoji('😀 😀 😀')).toBe(true);
  expect(isOnlyEmoji('😀 a')).toBe(false);
  expect(isOnlyEmoji('123')).toBe(false);
});

test('a text that is shown as it is has nothing that would be changed or made a link', () => {
  expect(
    [
      'See you at 7:40!',
      'https:x',
      'héllo 👍🏽',
      'a\n\tb',
      'a@05.de',
      'http://x.de',
      'a\u0000',
      `a${'\u0321'.repeat(2)}`,
    ].map(isPlain),
  ).toEqual([true, true, true, true, false, false, false, false]);
  expect(isPlain('a'.repeat(3_001))).toBe(false);
  const part = fc.constantFrom(
    'a',
    ' ',
    '\u0321',
    '\u0007',
    '\ufffa',
    'https://',
    'x.org',
    '@',
    '05',
    'ab'.repeat(32),
    '\u202e',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      if (isPlain(text)) expect(piecesOf(text, {})).toEqual(text === '' ? [] : [{ kind: 'text', text }]);
    }),
  );
});

test('nothing of a text is lost, and only web addresses become links', () => {
  const text = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        'https://',
        'http://a.b',
        'javascript:',
        '@05',
        '<b>',
        '\u202e',
        '\u0321',
        '\u0000',
        ' ',
      ),
    ),
  );
  fc.assert(
    fc.property(text, (parts) => {
      const whole = parts.join('');
      const pieces = piecesOf(whole, {});
      expect(pieces.map((piece) => piece.text).join('')).toBe(tame(whole));
      for (const piece of pieces) if (piece.kind === 'link') expect(piece.href).toMatch(/^https?:\/\//);
    }),
  );
});
