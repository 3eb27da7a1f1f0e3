// SPDX-License-Identifier: MIT
// The index of words in IndexedDB: each row lists its words, the beginnings of its words and its tags, each with the
// place time behind it, so that the matches of one of them stand in order of time. The rarest part of a question is
// walked from its newest end, and each message is looked at as a whole.
import {
  ANY_TAG,
  comesBefore,
  type FoundMessages,
  formatCursor,
  matches,
  searchableText,
  type Term,
  tagsOf,
  type Wanted,
  wantedTags,
  wordsOf,
} from './search.ts';
import { placeTime, type StoredMessage } from './storage.ts';

/** Ours: of a word that may go on, so many characters lead to it. */
const BEGINNING = 3;
const SEPARATOR = '\u0000';
const TIME_DIGITS = 11;

const timeText = (time: number): string =>
  Math.min(time, Number.MAX_SAFE_INTEGER).toString(36).padStart(TIME_DIGITS, '0');
const beginningOf = (word: string): string => `XXB${[...word].slice(0, BEGINNING).join('')}`;
const isLong = (word: string): boolean => [...word].length >= BEGINNING;

/** Each once. `name`: how tokens are written. */
export function tokensOf(message: StoredMessage, name: (token: string) => string): string[] {
  const tags = tagsOf(message);
  if (tags.length === 0) return [];
  const tokens = new Set(tags);
  for (const { word } of wordsOf(searchableText(message))) {
    tokens.add(word);
    if (isLong(word)) tokens.add(beginningOf(word));
  }
  const time = timeText(placeTime(message));
  return [...tokens].map((token) => `${name(token)}${SEPARATOR}${time}`);
}

/** What `idb` gives for the index. */
interface TokenIndex<Row> {
  count(range: IDBKeyRange): Promise<number>;
  openCursor(range: IDBKeyRange, direction: 'prev'): Promise<TokenCursor<Row> | null>;
}
interface TokenCursor<Row> {
  readonly value: Row;
  readonly primaryKey: number;
  continue(): Promise<TokenCursor<Row> | null>;
}

export async function searchTokens<Row>(
  index: TokenIndex<Row>,
  wanted: Wanted,
  toMessage: (row: Row) => StoredMessage,
  name: (token: string) => string,
): Promise<FoundMessages> {
  const { before, limit, from, to } = wanted;
  const last = before === undefined ? to - 1 : Math.min(to - 1, before.time);
  if (wanted.isHopeless || from > last) return { messages: [] };
  const rangeOf = (given: string) => {
    const token = name(given);
    return IDBKeyRange.bound(
      `${token}${SEPARATOR}${timeText(from)}`,
      `${token}${SEPARATOR}${timeText(last)}`,
    );
  };
  let range = rangeOf(ANY_TAG);
  let fewest = Number.POSITIVE_INFINITY;
  for (const token of [...wantedTags(wanted), ...wanted.terms.flatMap(leadsTo)]) {
    const count = await index.count(rangeOf(token));
    if (count === 0) return { messages: [] };
    if (count >= fewest) continue;
    fewest = count;
    range = rangeOf(token);
  }
  const messages: StoredMessage[] = [];
  for (let row = await index.openCursor(range, 'prev'); row !== null; row = await row.continue()) {
    const message = toMessage(row.value);
    const place = { time: placeTime(message), id: row.primaryKey };
    if (before !== undefined && !comesBefore(place, before)) continue;
    if (!matches(message, wanted)) continue;
    messages.push(message);
    if (messages.length === limit) return { messages, next: formatCursor(place) };
  }
  return { messages };
}

/** Tokens that a message with the term has. */
function leadsTo({ words, isPrefix }: Term): readonly string[] {
  const whole = isPrefix ? words.slice(0, -1) : words;
  const last = words.at(-1)!;
  return isPrefix && isLong(last) ? [...whole, beginningOf(last)] : whole;
}
