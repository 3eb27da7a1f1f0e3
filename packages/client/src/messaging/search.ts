// SPDX-License-Identifier: MIT
// What a search shows of the messages that it found: the part of the text around the first match, and where the matches are.
import { type Range, rangesIn, readQuery, type SearchQuery } from '../storage/search.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { isOver } from './timers.ts';

// Ours, UTF-16 units.
/** Before the first match. */
const LEAD = 40;
const SNIPPET = 160;
const MORE = '…';

export interface SearchHit {
  readonly message: StoredMessage;
  /** The text, or the part of a long one that is around the first match. */
  readonly snippet: string;
  /** Where in the snippet the words stand, in order; empty when they are in a file's name, or nothing was looked for. */
  readonly ranges: readonly Range[];
}

export interface SearchPage {
  /** Newest first. */
  readonly hits: readonly SearchHit[];
  /** For the `before` of the next question; undefined: that was all. */
  readonly next?: string;
}

/** `now`: network time; what is over is left out. @throws ClientError `bad_search` */
export async function search(
  storage: Pick<Storage, 'search'>,
  query: SearchQuery,
  now: number,
): Promise<SearchPage> {
  const { terms } = readQuery(query);
  const { messages, next } = await storage.search(query);
  const there = messages.filter((message) => !isOver(message, now));
  const hits = there.map((message) => ({
    message,
    ...snippetOf(message.text, rangesIn(message.text, terms)),
  }));
  return { hits, ...(next !== undefined && { next }) };
}

export function snippetOf(text: string, ranges: readonly Range[]): Omit<SearchHit, 'message'> {
  if (text.length <= SNIPPET) return { snippet: text, ranges };
  const from = wordStart(text, Math.max(0, (ranges[0]?.start ?? 0) - LEAD));
  const to = characterStart(text, Math.min(text.length, from + SNIPPET));
  const before = from > 0 ? MORE : '';
  const moved = ranges
    .filter(({ start, end }) => start >= from && end <= to)
    .map(({ start, end }) => ({ start: start - from + before.length, end: end - from + before.length }));
  return { snippet: `${before}${text.slice(from, to)}${to < text.length ? MORE : ''}`, ranges: moved };
}

/** Where a word begins, not far behind; else a character. */
function wordStart(text: string, at: number): number {
  if (at === 0) return 0;
  const space = text.slice(at, at + LEAD / 2).search(/\s\S/u);
  return space >= 0 ? at + space + 1 : characterStart(text, at);
}

/** Not in the middle of a pair of surrogates. */
function characterStart(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at + 1 : at;
}
