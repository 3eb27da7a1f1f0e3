// SPDX-License-Identifier: AGPL-3.0-or-later
// All languages say the same things, and all errors say what to do.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chooseLanguage, setLanguage, t } from '../src/i18n/i18n.ts';

const read = (language: string): Record<string, string> =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../src/i18n/${language}.json`), 'utf8'));
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

test.each(['de', 'es'])('%s has every text, with the same places for values', (language) => {
  const [en, other] = [read('en'), read(language)];
  expect(Object.keys(other).sort()).toEqual(Object.keys(en).sort());
  for (const [key, text] of Object.entries(other)) {
    expect(text.trim(), key).not.toBe('');
    expect(namesIn(text), key).toEqual(namesIn(en[key]!));
  }
});

test('an error says what happened and what to do: two sentences, or one with both', () => {
  const bare = Object.entries(read('en'))
    .filter(([key]) => key.startsWith('error.'))
    .filter(([, text]) => !/[.;:,] /.test(text))
    .map(([key]) => key);
  // What can only be told.
  expect(bare.sort()).toEqual(['error.message_unknown', 'error.not_found', 'error.not_stored']);
});

test('numbers choose their form, in each language', async () => {
  expect(t('unread', { n: 1 })).toBe('1 unread message');
  expect(t('unread', { n: 1_200 })).toBe('1,200 unread messages');
  await setLanguage('de');
  expect(t('unread', { n: 1_200 })).toBe('1.200 ungelesene Nachrichten');
  await setLanguage('en');
});

test('the first language of the browser that we have is taken', () => {
  expect(chooseLanguage(['fr-CH', 'de-AT', 'es'])).toBe('de');
  expect(chooseLanguage(['fr'])).toBe('en');
});
