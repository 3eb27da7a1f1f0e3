// SPDX-License-Identifier: MIT
// What a search shows: the part of a text around the words, and where they stand in it.
import type { AccountId } from '@allium/protocol/account-id';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { search, snippetOf } from '../../src/messaging/search.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { rangesIn, readQuery } from '../../src/storage/search.ts';

const BOB = `05${'b'.repeat(64)}` as AccountId;
const marked = (text: string, query: { text?: string; phrase?: string }): string => {
  const { snippet, ranges } = snippetOf(text, rangesIn(text, readQuery({ ...query, limit: 1 }).terms));
  let shown = '';
  let from = 0;
  for (const { start, end } of ranges) {
    shown += `${snippet.slice(from, start)}[${snippet.slice(start, end)}]`;
    from = end;
  }
  return shown + snippet.slice(from);
};

test('words are marked as they stand in the text, whatever case, accents or script', () => {
  expect(marked('Crème BRÛLÉE, crème!', { text: 'creme ' })).toBe('[Crème] BRÛLÉE, [crème]!');
  expect(marked('onions, onion', { text: 'onio' })).toBe('[onions], [onion]');
  expect(marked('see you at the café at noon', { phrase: 'at the cafe' })).toBe(
    'see you [at the café] at noon',
  );
  expect(marked('我们明天在北京见面', { text: '北京' })).toBe('我们明天在[北京]见面');
  expect(marked('我们明天在北京见面', { text: '京' })).toBe('我们明天在北[京]见面');
  expect(marked('北京北', { text: '北' })).toBe('[北]京[北]');
  expect(marked('a🧅b', { text: '🧅' })).toBe('a[🧅]b');
  expect(marked('nothing', { text: 'else ' })).toBe('nothing');
});

test('of a long text the part around the first match is shown, in whole characters', () => {
  const long = `${'lorem ipsum '.repeat(50)}needle ${'dolor '.repeat(50)}`;
  const shown = marked(long, { text: 'needle' });
  expect(shown).toMatch(/^…(lorem|ipsum) .*ipsum \[needle\] dolor .*…$/);
  expect(shown.length).toBeLessThan(200);
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 400 }),
      fc.string({ maxLength: 3 }),
      (text, word) => {
        const { snippet, ranges } = snippetOf(
          text,
          rangesIn(text, readQuery({ text: word, limit: 1 }).terms),
        );
        expect(snippet.isWellFormed()).toBe(true);
        let last = -1;
        for (const { start, end } of ranges) {
          expect(start).toBeGreaterThan(last);
          expect(end).toBeGreaterThan(start);
          expect(end).toBeLessThanOrEqual(snippet.length);
          expect(text).toContain(snippet.slice(start, end));
          last = end;
        }
      },
    ),
  );
});

test('what is over is not found, even where it could not be removed yet', async () => {
  const storage = new MemoryStorage();
  const message = (timestamp: number, expiresAt?: number) => ({
    sender: BOB,
    conversation: BOB,
    timestamp,
    text: 'onion',
    state: 'received' as const,
    handled: true,
    ...(expiresAt !== undefined && { marks: { expiresAt } }),
  });
  await storage.write({ messages: [message(1), message(2, 50), message(3, 51)] });
  const { hits, next } = await search(storage, { text: 'onion', limit: 5 }, 50);
  expect(hits.map(({ message: { timestamp }, ranges }) => [timestamp, ranges])).toEqual([
    [3, [{ start: 0, end: 5 }]],
    [1, [{ start: 0, end: 5 }]],
  ]);
  expect(next).toBeUndefined();
});
