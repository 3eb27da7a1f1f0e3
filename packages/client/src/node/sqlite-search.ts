// SPDX-License-Identifier: MIT
// The index of words in SQLite (FTS5). It holds no text, only where each word stands; triggers keep it in step with the
// messages in the same transaction, whoever writes them. Its rows are numbered by time, so that the newest matches of a
// frequent word are read first and the rest never: place time in ms · 2^20 + the last 20 bits of the message's number.
import {
  ANY_TAG,
  type Cursor,
  MIN_PREFIX,
  SEARCH_VERSION,
  searchableText,
  type Term,
  tagsOf,
  type Wanted,
  wantedTags,
  wordsOf,
} from '../storage/search.ts';
import type { StoredMessage } from '../storage/storage.ts';
import type { SqliteDatabase } from './sqlite-file.ts';

/** Times from the year 2248 on, which are nobody's, must not overflow a row's number. */
const LATEST = 2 ** 43 - 1;

const rowOf = (row: string) => `((min(${row}.place_time, ${LATEST}) << 20) | (${row}.id & 1048575))`;
const wordsIn = (row: string) => `search_words(${row}.text, ${row}.details)`;
const tagsIn = (row: string) =>
  `search_tags(${row}.sender, ${row}.conversation, ${row}.text, ${row}.details)`;
// What says nothing has neither words nor tags, and leaves nothing in the index.
const add = (row: string) =>
  `INSERT INTO search (rowid, words, tags) VALUES (${rowOf(row)}, ${wordsIn(row)}, ${tagsIn(row)})`;
const remove = (row: string) =>
  `INSERT INTO search (search, rowid, words, tags) VALUES ('delete', ${rowOf(row)}, ${wordsIn(row)}, ${tagsIn(row)})`;

/** Part of the migration to schema 5; the functions must be there. The words of messages that are there are added by `refreshSearch`. */
export const SEARCH_SCHEMA = `
  CREATE INDEX messages_in_time ON messages (place_time, id);
  CREATE VIRTUAL TABLE search USING fts5 (
    words, tags, content = '', columnsize = 0, tokenize = 'ascii', prefix = '2 3'
  );
  INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
  CREATE TABLE search_version (version TEXT NOT NULL) STRICT;
  CREATE TRIGGER search_insert AFTER INSERT ON messages BEGIN ${add('new')}; END;
  CREATE TRIGGER search_delete AFTER DELETE ON messages BEGIN ${remove('old')}; END;
  CREATE TRIGGER search_update AFTER UPDATE ON messages
    WHEN old.text IS NOT new.text OR old.place_time IS NOT new.place_time
      OR old.conversation IS NOT new.conversation
      OR (old.details IS NOT new.details
        AND (${wordsIn('old')} IS NOT ${wordsIn('new')} OR ${tagsIn('old')} IS NOT ${tagsIn('new')}))
  BEGIN ${remove('old')}; ${add('new')}; END;
`;

/** What the triggers call; before anything is read or written. */
export function defineSearchFunctions(database: SqliteDatabase): void {
  const options = { deterministic: true };
  database.function('search_words', options, (text: unknown, details: unknown) =>
    wordsOf(searchableText({ ...detailsIn(details), text: text as string }))
      .map(({ word }) => word)
      .join(' '),
  );
  database.function(
    'search_tags',
    options,
    (sender: unknown, conversation: unknown, text: unknown, details: unknown) =>
      tagsOf({ ...detailsIn(details), sender, conversation, text } as StoredMessage).join(' '),
  );
}

const detailsIn = (details: unknown): Partial<StoredMessage> =>
  details === null ? {} : (JSON.parse(details as string) as Partial<StoredMessage>);

/** Builds the index anew where words were cut in another way; in a transaction. */
export function refreshSearch(database: SqliteDatabase): void {
  // Which characters are letters is a matter of the Unicode version. What is in the index can be removed only as it was put there.
  const version = `${SEARCH_VERSION} ${process.versions.unicode}`;
  const kept = database.prepare('SELECT 1 FROM search_version WHERE version = ?').get(version);
  if (kept !== undefined) return;
  database.exec(`INSERT INTO search (search) VALUES ('delete-all')`);
  database.exec(
    `INSERT INTO search (rowid, words, tags)
     SELECT ${rowOf('m')}, ${wordsIn('m')}, ${tagsIn('m')} FROM messages m
     ORDER BY m.place_time`,
  );
  database.exec('DELETE FROM search_version');
  database.prepare('INSERT INTO search_version VALUES (?)').run(version);
}

/** Selects the columns of messages `m` and their `id`, newest first. */
export function searchSql(columns: string): string {
  return `
    SELECT m.id, ${columns} FROM (
      SELECT rowid AS found FROM search WHERE search MATCH ? AND rowid >= ? << 20 AND rowid < ? << 20
        AND rowid < (? << 20) + ? ORDER BY rowid DESC LIMIT ?
    ) JOIN messages m ON m.place_time = found >> 20 AND (m.id & 1048575) = (found & 1048575)
    ORDER BY found DESC`;
}

export function searchValues({ terms, from, to, before, limit, ...rest }: Wanted): (string | number)[] {
  const tags = wantedTags({ terms, from, to, before, limit, ...rest });
  const parts = [...terms.map(phraseOf), ...tags.map((tag) => `tags:"${tag}"`)];
  const match = parts.length === 0 ? `tags:"${ANY_TAG}"` : parts.join(' AND ');
  const { time, id }: Cursor = before ?? { time: LATEST, id: 0 };
  return [match, Math.min(from, LATEST), Math.min(to, LATEST), Math.min(time, LATEST), id & 1048575, limit];
}

/** Words have letters and digits only, nothing that the language of FTS5 knows. */
function phraseOf({ words, isPrefix }: Term): string {
  const goesOn = isPrefix && ([...words.at(-1)!].length >= MIN_PREFIX || words.at(-1)! > '\u007f');
  return `words:"${words.join(' ')}"${goesOn ? ' *' : ''}`;
}
