// SPDX-License-Identifier: MIT
// Searching a million messages in SQLite: what each kind of question takes, and what the index costs when messages are
// written. Words are drawn as in natural language (Zipf's law, seed 1). `MESSAGES=100000 npm run bench -- search` is quicker.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccountId } from '@allium/protocol/account-id';
import { seededRandom } from '@allium/protocol/env';
import Database from 'better-sqlite3-multiple-ciphers';
import { search } from '../src/messaging/search.ts';
import { SqliteStorage } from '../src/node/sqlite.ts';
import type { SearchQuery } from '../src/storage/search.ts';
import type { StoredMessage } from '../src/storage/storage.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 1_000_000);
const WORDS = 60_000;
const PEOPLE = 500;
const BATCH = 1_000;
const QUESTIONS = 200;
const PAGE = 50;
const START = 1_600_000_000_000;
const STEP_MS = 150_000;

const id = (number: number) => `05${number.toString(16).padStart(64, '0')}` as AccountId;

function syllables(random: () => number): string {
  const pick = (from: string) => from[Math.floor(random() * from.length)]!;
  const length = 1 + Math.floor(random() * 4);
  let word = '';
  for (let i = 0; i < length; i++)
    word += pick('bcdfghklmnprstvw') + pick('aeiou') + (random() < 0.4 ? pick('nrstl') : '');
  return word;
}

class Language {
  readonly words: readonly string[];
  readonly #ends: Float64Array;
  readonly random = seededRandom(1).unit;

  constructor() {
    const words = new Set<string>();
    while (words.size < WORDS) words.add(syllables(this.random));
    this.words = [...words].sort((a, b) => a.length - b.length); // frequent words are short
    this.#ends = new Float64Array(WORDS);
    let sum = 0;
    for (let rank = 0; rank < WORDS; rank++) {
      sum += 1 / (rank + 2.7);
      this.#ends[rank] = sum;
    }
  }

  word(): string {
    const wanted = this.random() * this.#ends[WORDS - 1]!;
    let [low, high] = [0, WORDS - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return this.words[low]!;
  }

  text(): string {
    // One in twenty is Chinese, without spaces.
    if (this.random() < 0.05) {
      let text = '';
      for (let i = 4 + this.random() * 20; i > 0; i--)
        text += String.fromCodePoint(0x4e00 + Math.floor(this.random() ** 3 * 3_000));
      return text;
    }
    const length = 2 + Math.floor(-Math.log(1 - this.random()) * 10);
    return Array.from({ length: Math.min(length, 200) }, () => this.word()).join(' ');
  }

  message(number: number): StoredMessage {
    const conversation = id(Math.floor(this.random() ** 3 * PEOPLE) + 1);
    return {
      sender: this.random() < 0.5 ? conversation : id(0),
      timestamp: START + number * STEP_MS,
      conversation,
      text: this.text(),
      state: 'received',
      handled: true,
      hash: `${number}`.padStart(43, 'h'),
    };
  }
}

/** CPU time in ms. */
function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** CPU time of the writes, ms. */
async function fill(
  storage: SqliteStorage,
  first: number,
  count: number,
  language: Language,
): Promise<number> {
  let ms = 0;
  for (let from = first; from < first + count; from += BATCH) {
    const messages = Array.from({ length: Math.min(BATCH, first + count - from) }, (_, i) =>
      language.message(from + i),
    );
    // Synchronous underneath.
    let written: Promise<void> | undefined;
    ms += cpuOf(() => {
      written = storage.write({ messages });
    });
    await written;
  }
  return ms;
}

/** The program has no such thing: what a connection does to keep the index is taken away. */
function openWithoutIndex(path: string): SqliteStorage {
  const connections: Database.Database[] = [];
  const { exec } = Database.prototype;
  Database.prototype.exec = function (this: Database.Database, sql: string) {
    connections.push(this);
    return exec.call(this, sql);
  };
  const storage = new SqliteStorage(path);
  Database.prototype.exec = exec;
  connections
    .at(-1)!
    .exec(
      'DROP TRIGGER search_insert; DROP TRIGGER search_update; DROP TRIGGER search_delete; DROP INDEX messages_in_time',
    );
  return storage;
}

const percentile = (sorted: readonly number[], share: number) =>
  sorted[Math.ceil(sorted.length * share) - 1]!;

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-search-'));
  try {
    const path = join(folder, 'client.sqlite');
    const storage = new SqliteStorage(path);
    const language = new Language();
    const writtenMs = await fill(storage, 0, MESSAGES, language);
    const { random, words } = language;
    const common = () => words[Math.floor(random() * 30)]!;
    const usual = () => language.word();
    const rare = () => words[WORDS - 1 - Math.floor(random() * 20_000)]!;
    const twoOf = async () => {
      const { messages } = await storage.search({ limit: 1, to: START + random() * MESSAGES * STEP_MS });
      return messages[0]!.text;
    };
    const someone = () => id(1 + Math.floor(random() * PEOPLE));
    const span = MESSAGES * STEP_MS;
    const kinds: Record<string, () => Promise<Omit<SearchQuery, 'limit'>>> = {
      'a common word (30 most frequent)': async () => ({ text: `${common()} ` }),
      'a word as people use them': async () => ({ text: `${usual()} ` }),
      'a rare word': async () => ({ text: `${rare()} ` }),
      'two words': async () => ({ text: `${usual()} ${usual()} ` }),
      'three words, one rare': async () => ({ text: `${common()} ${rare()} ${usual()} ` }),
      'beginning of 2 characters': async () => ({ text: usual().slice(0, 2) }),
      'beginning of 4 characters': async () => ({ text: rare().slice(0, 4) }),
      'a word and a beginning': async () => ({ text: `${usual()} ${usual().slice(0, 3)}` }),
      'phrase of two words of a message': async () => ({
        phrase: (await twoOf()).split(' ').slice(0, 2).join(' '),
      }),
      'two Chinese characters': async () => ({
        text: String.fromCodePoint(
          0x4e00 + Math.floor(random() ** 3 * 3_000),
          0x4e00 + Math.floor(random() ** 3 * 3_000),
        ),
      }),
      'a common word in one conversation': async () => ({ text: `${common()} `, conversation: someone() }),
      'a word by one person in a month': async () => {
        const from = START + random() * span;
        return { text: `${usual()} `, person: someone(), from, to: from + 30 * 86_400_000 };
      },
      'a page further back': async () => ({ text: `${common()} `, to: START + random() * span }),
    };
    const all: number[] = [];
    console.log('question                                p50 ms   p95 ms   max ms   hits');
    for (const [name, make] of Object.entries(kinds)) {
      const times: number[] = [];
      let hits = 0;
      for (let i = 0; i < QUESTIONS; i++) {
        const query = { ...(await make()), limit: PAGE };
        const began = performance.now();
        hits += (await search(storage, query, 0)).hits.length;
        times.push(performance.now() - began);
      }
      all.push(...times);
      times.sort((a, b) => a - b);
      const shown = [percentile(times, 0.5), percentile(times, 0.95), times.at(-1)!].map((ms) =>
        ms.toFixed(2).padStart(8),
      );
      console.log(`${name.padEnd(38)}${shown.join(' ')} ${(hits / QUESTIONS).toFixed(1).padStart(6)}`);
    }
    all.sort((a, b) => a - b);
    console.log(
      `all ${all.length} questions: p50 ${percentile(all, 0.5).toFixed(2)} ms, p95 ${percentile(all, 0.95).toFixed(2)} ms`,
    );
    await storage.close();
    const bytes = statSync(path).size;
    const plain = openWithoutIndex(join(folder, 'plain.sqlite'));
    const plainMs = await fill(plain, 0, MESSAGES, new Language());
    await plain.close();
    const index = bytes - statSync(join(folder, 'plain.sqlite')).size;
    console.log(
      `${MESSAGES} messages: file ${(bytes / 1e6).toFixed(0)} MB, of it the index ${(index / 1e6).toFixed(0)} MB; ` +
        `written with ${(writtenMs / 1e3).toFixed(1)} s of CPU, without the index ${(plainMs / 1e3).toFixed(1)} s ` +
        `(${(writtenMs / plainMs).toFixed(1)} times)`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
