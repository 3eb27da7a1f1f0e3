// SPDX-License-Identifier: AGPL-3.0-or-later
// The part of web-search.bench.ts that runs in the browser: messages into the storage of the app, sealed as there, and questions.
import { search } from '@allium/client/search';
import type { StoredMessage } from '@allium/client/storage';
import { IndexedDbStorage } from '@allium/client/storage/indexeddb';
import type { SearchQuery } from '@allium/client/storage/search';
import type { AccountId } from '@allium/protocol/account-id';
import { seededRandom } from '@allium/protocol/env';

const NAME = 'allium-bench';
const WORDS = 60_000;
const PEOPLE = 50;
const BATCH = 250;
const PAGE = 50;
const START = 1_600_000_000_000;
const STEP_MS = 150_000;

export interface Asked {
  readonly kind: string;
  readonly ms: readonly number[];
  readonly hits: number;
}

export interface SearchBench {
  /** @returns ms of the writes. */
  fill(count: number): Promise<number>;
  /** ms until a storage that holds all is open again. */
  reopen(): Promise<number>;
  ask(messages: number, questions: number): Promise<readonly Asked[]>;
  bytes(): Promise<number>;
}

const { unit: random, below } = seededRandom(1);
const id = (number: number) => `05${number.toString(16).padStart(64, '0')}` as AccountId;

/** Frequent words are short. */
const words: readonly string[] = (() => {
  const pick = (from: string) => from[below(from.length)] ?? '';
  const made = new Set<string>();
  while (made.size < WORDS) {
    let word = '';
    for (let i = 1 + below(4); i > 0; i--)
      word += pick('bcdfghklmnprstvw') + pick('aeiou') + (random() < 0.4 ? pick('nrstl') : '');
    made.add(word);
  }
  return [...made].sort((a, b) => a.length - b.length);
})();

/** Zipf's law. */
const ends = new Float64Array(WORDS);
for (let rank = 0, sum = 0; rank < WORDS; rank++) {
  sum += 1 / (rank + 2.7);
  ends[rank] = sum;
}

function usual(): string {
  const wanted = random() * (ends[WORDS - 1] ?? 0);
  let [low, high] = [0, WORDS - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return words[low] ?? '';
}
const common = () => words[below(30)] ?? '';
const rare = () => words[WORDS - 1 - below(20_000)] ?? '';

function message(number: number): StoredMessage {
  const conversation = id(Math.floor(random() ** 3 * PEOPLE) + 1);
  const length = Math.min(200, 2 + Math.floor(-Math.log(1 - random()) * 10));
  return {
    sender: random() < 0.5 ? conversation : id(0),
    timestamp: START + number * STEP_MS,
    conversation,
    text: Array.from({ length }, usual).join(' '),
    state: 'received',
    handled: true,
    hash: `${number}`.padStart(43, 'h'),
  };
}

// As in the app: under a key.
const open = () => IndexedDbStorage.open(NAME, undefined, { key: new Uint8Array(32).fill(7) });
let storage = await open();

const bench: SearchBench = {
  async fill(count) {
    let ms = 0;
    for (let from = 0; from < count; from += BATCH) {
      const messages = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => message(from + i));
      const began = performance.now();
      await storage.write({ messages });
      ms += performance.now() - began;
    }
    return ms;
  },
  async reopen() {
    await storage.close();
    const began = performance.now();
    storage = await open();
    return performance.now() - began;
  },
  async ask(messages, questions) {
    const time = () => START + random() * messages * STEP_MS;
    const textOf = async () => (await storage.search({ limit: 1, to: time() })).messages[0]?.text ?? '';
    const someone = () => id(1 + below(PEOPLE));
    const kinds: Record<string, () => Promise<Omit<SearchQuery, 'limit'>>> = {
      'a common word (30 most frequent)': async () => ({ text: `${common()} ` }),
      'a word as people use them': async () => ({ text: `${usual()} ` }),
      'a rare word': async () => ({ text: `${rare()} ` }),
      'two words': async () => ({ text: `${usual()} ${usual()} ` }),
      'two common words': async () => ({ text: `${common()} ${common()} ` }),
      'three words, one rare': async () => ({ text: `${common()} ${rare()} ${usual()} ` }),
      'beginning of 2 characters': async () => ({ text: usual().slice(0, 2) }),
      'beginning of 4 characters': async () => ({ text: rare().slice(0, 4) }),
      'a word and a beginning': async () => ({ text: `${usual()} ${usual().slice(0, 3)}` }),
      'phrase of two words of a message': async () => ({
        phrase: (await textOf()).split(' ').slice(0, 2).join(' '),
      }),
      'a common word in one conversation': async () => ({ text: `${common()} `, conversation: someone() }),
      'a word by one person in a month': async () => {
        const from = time();
        return { text: `${usual()} `, person: someone(), from, to: from + 30 * 86_400_000 };
      },
      'a page further back': async () => ({ text: `${common()} `, to: time() }),
    };
    const asked: Asked[] = [];
    for (const [kind, make] of Object.entries(kinds)) {
      const ms: number[] = [];
      let hits = 0;
      for (let i = 0; i < questions; i++) {
        const query = { ...(await make()), limit: PAGE };
        const began = performance.now();
        hits += (await search(storage, query, 0)).hits.length;
        ms.push(performance.now() - began);
      }
      asked.push({ kind, ms, hits });
    }
    return asked;
  },
  async bytes() {
    return (await navigator.storage.estimate()).usage ?? Number.NaN;
  },
};
(globalThis as { bench?: SearchBench }).bench = bench;
