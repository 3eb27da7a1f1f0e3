// SPDX-License-Identifier: AGPL-3.0-or-later
// Keys: what an event means, on which keyboard, and where.
import { expect, test } from 'vitest';
import { commandOf, keyNames, SHORTCUTS } from '../src/state/shortcuts.ts';

const press = (key: string, more: Partial<KeyboardEvent> = {}) => ({
  key,
  code: /^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : '',
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

test.each<[string, Partial<KeyboardEvent>, boolean, 'text' | 'message' | 'else', string | undefined]>([
  ['k', { ctrlKey: true }, false, 'text', 'search'],
  ['k', { metaKey: true }, true, 'text', 'search'],
  // The other system's key means something else there.
  ['k', { metaKey: true }, false, 'text', undefined],
  ['k', { ctrlKey: true }, true, 'text', undefined],
  ['k', {}, false, 'else', undefined],
  ['?', { shiftKey: true }, false, 'else', 'keys'],
  ['?', { shiftKey: true }, false, 'text', undefined],
  ['/', { ctrlKey: true }, false, 'text', 'keys'],
  // On a German keyboard `/` needs Shift.
  ['/', { ctrlKey: true, shiftKey: true }, false, 'text', 'keys'],
  ['ArrowDown', { altKey: true }, false, 'text', 'next'],
  ['ArrowDown', { altKey: true, shiftKey: true }, false, 'text', 'nextUnread'],
  ['ArrowDown', {}, false, 'text', undefined],
  ['F6', {}, false, 'text', 'nextPart'],
  ['r', {}, false, 'message', 'reply'],
  ['r', {}, false, 'else', undefined],
  ['R', { shiftKey: true }, false, 'message', undefined],
  ['c', { ctrlKey: true }, false, 'message', undefined],
  // Alt on a Mac makes other characters; Cyrillic keyboards have other letters.
  ['˜', { code: 'KeyN', metaKey: true, altKey: true }, true, 'text', 'new'],
  ['л', { code: 'KeyK', ctrlKey: true }, false, 'text', 'search'],
  // Dvorak: where K is written counts, not where it is elsewhere.
  ['t', { code: 'KeyK', ctrlKey: true }, false, 'text', undefined],
  // AltGr makes letters.
  [
    'ń',
    { code: 'KeyN', ctrlKey: true, altKey: true, getModifierState: (name) => name === 'AltGraph' },
    false,
    'text',
    undefined,
  ],
])('%s %o, Mac %s, in %s: %s', (key, more, isMac, where, command) => {
  expect(commandOf(press(key, more), isMac, where)).toBe(command);
});

test('no two commands have the same keys, and none is one that browsers keep', () => {
  const names = SHORTCUTS.flatMap(({ group, command, keys }) =>
    command === undefined
      ? []
      : keys.map((one) => [group === 'message' ? 'message' : '', ...keyNames(one, false)].join(' ')),
  );
  expect(new Set(names).size).toBe(names.length);
  for (const kept of ['T', 'N', 'W', 'R', 'L', 'D', 'F']) expect(names).not.toContain(` Ctrl ${kept}`);
});
