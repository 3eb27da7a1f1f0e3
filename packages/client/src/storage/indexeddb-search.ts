// SPDX-License-Identifier: MIT
// The index of words in IndexedDB: each row lists its words, the beginnings of its words and its tags, each with the
// place time behind it, so that the matches of one of them stand in order of time. The rarest part of a question is
// walked from its newest end, and each message is looked at as a whole. Of a question with several parts only messages
// that have all of them are opened: the keys of frequent words cost little, rows and their seals much
// (`npm run bench -- web-search`).
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
/** Ours: as many messages are looked at before the other parts of the question are asked for their keys. */
const FEW = 64;
/** Ours: keys in memory at once, of one part of a question. */
const MAX_KEYS = 200_000;
/** Ours: rows asked for at once, first and at most. */
const ROWS = 32;
const MAX_ROWS = 128;
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
  readonly objectStore: { get(key: number): Promise<Row | undefined> };
  count(range: IDBKeyRange): Promise<number>;
  getAllKeys(range: IDBKeyRange): Promise<number[]>;
  openCursor(range: IDBKeyRange, direction: 'prev'): Promise<TokenCursor<Row> | null>;
  /** Of newer browsers (Indexed Database API 3.0): many rows for the price of one. */
  getAllRecords?(options: {
    readonly query: IDBKeyRange;
    readonly direction: 'prev';
    readonly count: number;
  }): Promise<readonly TokenRecord<Row>[]>;
}
interface TokenCursor<Row> {
  readonly value: Row;
  readonly primaryKey: number;
  continue(): Promise<TokenCursor<Row> | null>;
}
interface TokenRecord<Row> {
  readonly key: string;
  readonly primaryKey: number;
  readonly value: Row;
}
type Found<Row> = readonly [id: number, row: Row];

interface Part {
  readonly range: IDBKeyRange;
  readonly count: number;
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
  const tokens = [...new Set([...wantedTags(wanted), ...wanted.terms.flatMap(leadsTo)])];
  const parts: Part[] = await Promise.all(
    tokens.map(rangeOf).map(async (range) => ({ range, count: await index.count(range) })),
  );
  parts.sort((a, b) => a.count - b.count);
  const [rarest = { range: rangeOf(ANY_TAG), count: Number.POSITIVE_INFINITY }, ...others] = parts;
  if (rarest.count === 0) return { messages: [] };
  const messages: StoredMessage[] = [];
  for await (const [id, row] of rowsOf(index, rarest, others)) {
    const message = toMessage(row);
    const place = { time: placeTime(message), id };
    if (before !== undefined && !comesBefore(place, before)) continue;
    if (!matches(message, wanted)) continue;
    messages.push(message);
    if (messages.length === limit) return { messages, next: formatCursor(place) };
  }
  return { messages };
}

/** Those that may match, the newest first. */
async function* rowsOf<Row>(
  index: TokenIndex<Row>,
  rarest: Part,
  others: readonly Part[],
): AsyncGenerator<Found<Row>> {
  const known = others.filter(({ count }) => count <= MAX_KEYS);
  const isWorthKeys = known.length > 0 && rarest.count > 2 * FEW && rarest.count <= MAX_KEYS;
  let looked = 0;
  let from: number | undefined;
  for await (const found of newestFirst(index, rarest.range)) {
    if (isWorthKeys && ++looked > FEW) {
      [from] = found;
      break;
    }
    yield found;
  }
  if (from === undefined) return;
  const lists = await Promise.all([rarest, ...known].map(({ range }) => index.getAllKeys(range)));
  const [all = [], ...rest] = lists;
  const sets = rest.map((keys) => new Set(keys));
  const keys = all
    .slice(0, all.lastIndexOf(from) + 1)
    .filter((key) => sets.every((set) => set.has(key)))
    .reverse();
  for (let at = 0; at < keys.length; at += ROWS) {
    const some = keys.slice(at, at + ROWS);
    const rows = await Promise.all(some.map((key) => index.objectStore.get(key)));
    for (const [i, row] of rows.entries()) {
      const key = some[i];
      if (row !== undefined && key !== undefined) yield [key, row];
    }
  }
}

async function* newestFirst<Row>(index: TokenIndex<Row>, range: IDBKeyRange): AsyncGenerator<Found<Row>> {
  if (index.getAllRecords === undefined) {
    for (let row = await index.openCursor(range, 'prev'); row !== null; row = await row.continue())
      yield [row.primaryKey, row.value];
    return;
  }
  let last: Pick<TokenRecord<Row>, 'key' | 'primaryKey'> | undefined;
  for (let count = ROWS; ; count = Math.min(2 * count, MAX_ROWS)) {
    // Those of one time have one key: the next part begins with it again.
    let again = 0;
    let records: readonly TokenRecord<Row>[];
    let fresh: readonly TokenRecord<Row>[];
    do {
      again = again === 0 ? count : 2 * again;
      const query: IDBKeyRange = last === undefined ? range : IDBKeyRange.bound(range.lower, last.key);
      records = await index.getAllRecords({ query, direction: 'prev', count: again });
      fresh = records.filter(
        ({ key, primaryKey }) => last === undefined || key !== last.key || primaryKey < last.primaryKey,
      );
    } while (fresh.length === 0 && records.length === again);
    for (const { primaryKey, value } of fresh) yield [primaryKey, value];
    if (records.length < again) return;
    last = fresh.at(-1);
  }
}

/** Tokens that a message with the term has. */
function leadsTo({ words, isPrefix }: Term): readonly string[] {
  const whole = isPrefix ? words.slice(0, -1) : words;
  const last = words.at(-1)!;
  return isPrefix && isLong(last) ? [...whole, beginningOf(last)] : whole;
}
