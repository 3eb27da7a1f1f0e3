// SPDX-License-Identifier: MIT
// The index of words in SQLite (FTS5). It holds no text, only where each word stands. Its rows are numbered by time, so
// that the newest matches of a frequent word are read first and the rest never: place time in ms · 2^20 + the last 20
// bits of the message's number. Triggers of the connection note each change of a message, and the index follows at the end of
// the same transaction: FTS5 writes what it has whenever a trigger calls it, which would make each message cost much more.
import {
  ANY_TAG,
  type Cursor,
  SEARCH_VERSION,
  searchableText,
  type Term,
  tagsOf,
  type Wanted,
  wantedTags,
  wordsOf,
} from '../storage/search.ts';
import type { StoredMessage } from '../storage/storage.ts';
import type { SqliteDatabase, SqliteStatement } from './sqlite-file.ts';

/** Times from the year 2248 on, which are nobody's, must not overflow a row's number. */
const LATEST = 2 ** 43 - 1;
const ID_BITS = 20;
const ID_MASK = 2 ** ID_BITS - 1;

/** Part of the migration to schema 5; what the messages say is added by `refresh`. */
export const SEARCH_SCHEMA = `
  CREATE INDEX messages_in_time ON messages (place_time, id);
  CREATE VIRTUAL TABLE search USING fts5 (
    words, tags, content = '', columnsize = 0, tokenize = 'ascii', prefix = '2 3'
  );
  INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
  CREATE TABLE search_version (version TEXT NOT NULL) STRICT;
`;

const ROW = ['id', 'place_time', 'sender', 'conversation', 'text', 'details'] as const;
const rowOf = (name: string) => ROW.map((column) => `${name}.${column}`).join(', ');
const note = (name: string, isNew: 0 | 1) =>
  `INSERT INTO search_changes (is_new, ${ROW.join(', ')}) VALUES (${isNew}, ${rowOf(name)});`;
const TRIGGERS = `
  CREATE TEMP TABLE search_changes (
    number INTEGER PRIMARY KEY, is_new INTEGER, id INTEGER, place_time INTEGER, sender TEXT, conversation TEXT,
    text TEXT, details TEXT
  );
  CREATE TEMP TRIGGER search_insert AFTER INSERT ON main.messages BEGIN ${note('new', 1)} END;
  CREATE TEMP TRIGGER search_delete AFTER DELETE ON main.messages BEGIN ${note('old', 0)} END;
  CREATE TEMP TRIGGER search_update AFTER UPDATE ON main.messages
    WHEN old.text IS NOT new.text OR old.details IS NOT new.details OR old.place_time IS NOT new.place_time
      OR old.conversation IS NOT new.conversation
  BEGIN ${note('old', 0)} ${note('new', 1)} END;
`;

interface Row {
  readonly id: number;
  readonly place_time: number;
  readonly sender: string;
  readonly conversation: string;
  readonly text: string;
  readonly details: string | null;
}
type Change = Row & { readonly is_new: 0 | 1 };

export class SqliteSearch {
  readonly #database: SqliteDatabase;
  readonly #changes: SqliteStatement;
  readonly #forget: SqliteStatement;
  readonly #add: SqliteStatement;
  readonly #remove: SqliteStatement;

  /** The tables of the schema are there. */
  constructor(database: SqliteDatabase) {
    this.#database = database;
    database.exec(TRIGGERS);
    const prepare = (sql: string) => database.prepare(sql) as SqliteStatement;
    this.#changes = prepare(`SELECT is_new, ${ROW.join(', ')} FROM search_changes ORDER BY number`);
    this.#forget = prepare('DELETE FROM search_changes');
    this.#add = prepare('INSERT INTO search (rowid, words, tags) VALUES (?, ?, ?)');
    this.#remove = prepare(`INSERT INTO search (search, rowid, words, tags) VALUES ('delete', ?, ?, ?)`);
  }

  /** Before the transaction ends: brings the index in step with the messages. */
  follow(): void {
    const changes = this.#changes.all() as unknown as Change[];
    if (changes.length === 0) return;
    this.#forget.run();
    for (let i = 0; i < changes.length; i++) {
      const change = changes[i]!;
      const next = changes[i + 1];
      const entry = entryOf(change);
      // What changed may be of no interest here.
      if (change.is_new === 0 && next?.is_new === 1 && isSame(entry, entryOf(next))) i++;
      else (change.is_new === 1 ? this.#add : this.#remove).run(...entry);
    }
  }

  /** Builds the index anew where words were cut in another way; in a transaction. */
  refresh(): void {
    // Which characters are letters is a matter of the Unicode version, and what is in the index can be removed only as
    // it was put there.
    const version = `${SEARCH_VERSION} ${process.versions.unicode}`;
    const database = this.#database;
    if (database.prepare('SELECT 1 FROM search_version WHERE version = ?').get(version) !== undefined) return;
    database.exec(`INSERT INTO search (search) VALUES ('delete-all')`);
    const page = database.prepare(
      `SELECT ${ROW.join(', ')} FROM messages WHERE (place_time, id) > (?, ?) ORDER BY place_time, id LIMIT 1000`,
    );
    let last: Pick<Row, 'place_time' | 'id'> = { place_time: -1, id: 0 };
    for (;;) {
      const rows = page.all(last.place_time, last.id) as unknown as Row[];
      for (const row of rows) this.#add.run(...entryOf(row));
      const end = rows.at(-1);
      if (end === undefined) break;
      last = end;
    }
    database.exec('DELETE FROM search_version');
    database.prepare('INSERT INTO search_version VALUES (?)').run(version);
  }
}

/** Row number, words, tags. What says nothing has neither, and leaves nothing in the index. */
type Entry = readonly [bigint, string, string];

function entryOf({ id, place_time, sender, conversation, text, details }: Row): Entry {
  const more = details === null ? {} : (JSON.parse(details) as Partial<StoredMessage>);
  const message = { ...more, sender, conversation, text } as StoredMessage;
  const row = (BigInt(Math.min(place_time, LATEST)) << BigInt(ID_BITS)) | BigInt(id & ID_MASK);
  const words = wordsOf(searchableText(message)).map(({ word }) => word);
  return [row, words.join(' '), tagsOf(message).join(' ')];
}

const isSame = (a: Entry, b: Entry): boolean => a.every((part, i) => part === b[i]);

/** Selects `columns` of messages `m` and their `id`, newest first. */
export function searchSql(columns: string): string {
  return `
    SELECT m.id, ${columns} FROM (
      SELECT rowid AS found FROM search
      WHERE search MATCH ? AND rowid >= (? << ${ID_BITS}) AND rowid < min(? << ${ID_BITS}, (? << ${ID_BITS}) + ?)
      ORDER BY rowid DESC LIMIT ?
    ) JOIN messages m ON m.place_time = found >> ${ID_BITS} AND (m.id & ${ID_MASK}) = (found & ${ID_MASK})
    ORDER BY found DESC`;
}

export function searchValues(wanted: Wanted): (string | number)[] {
  const { terms, from, to, before, limit } = wanted;
  const parts = [...terms.map(phraseOf), ...wantedTags(wanted).map((tag) => `tags:"${tag}"`)];
  const match = parts.length === 0 ? `tags:"${ANY_TAG}"` : parts.join(' AND ');
  const { time, id }: Cursor = before ?? { time: LATEST, id: 0 };
  return [
    match,
    Math.min(from, LATEST),
    Math.min(to, LATEST),
    Math.min(time, LATEST),
    id % (ID_MASK + 1),
    limit,
  ];
}

/** Words have letters and digits only, nothing that the language of FTS5 knows. */
function phraseOf({ words, isPrefix }: Term): string {
  return `words:"${words.join(' ')}"${isPrefix ? ' *' : ''}`;
}
