// SPDX-License-Identifier: AGPL-3.0-or-later
// Parts of the worker that need no browser.
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import { checkPhrase, suggestWords } from '../src/worker/phrases.ts';
import { safetyNumber } from '../src/worker/safety-number.ts';

test('a safety number is the same on both sides and another one for other people', () => {
  const [a, b, c] = [Account.create().id, Account.create().id, Account.create().id];
  expect(safetyNumber(a, b)).toMatch(/^(?:\d{5} ){11}\d{5}$/);
  expect(safetyNumber(a, b)).toBe(safetyNumber(b, a));
  expect(safetyNumber(a, b)).not.toBe(safetyNumber(a, c));
  expect(safetyNumber(`05${'00'.repeat(32)}`, `05${'01'.repeat(32)}`)).toMatchInlineSnapshot(
    `"12095 14946 95925 38860 93757 83103 57437 31373 25122 83349 37663 70276"`,
  );
});

test('the position of a wrong word is told, and what is wrong with a whole phrase', () => {
  const account = Account.create();
  const words = account.phrase().split(' ');
  expect(checkPhrase(` ${words.join('  ').toUpperCase()} `)).toEqual({
    wrong: [],
    count: 13,
    id: account.id,
  });
  expect(checkPhrase(words.with(4, 'qqqqq').join(' '))).toEqual({ wrong: [4], count: 13 });
  expect(checkPhrase(words.slice(0, 5).join(' '))).toMatchObject({ count: 5, problem: 'too_few' });
  expect(checkPhrase([...words, words[0]].join(' '))).toMatchObject({ problem: 'too_many' });
  const other = words.with(12, words[12] === words[0] ? words[1]! : words[0]!);
  if (other[12] !== words[12]) expect(checkPhrase(other.join(' ')).id).not.toBe(account.id);
});

test('words are completed, at most six', () => {
  expect(suggestWords('')).toEqual([]);
  expect(suggestWords('zo')).toEqual(expect.arrayContaining(['zombie']));
  expect(suggestWords('a').length).toBe(6);
});
