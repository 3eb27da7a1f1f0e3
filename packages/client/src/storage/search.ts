// SPDX-License-Identifier: MIT
// Finding messages by what they say: how texts and questions become words, alike in all storages, and what matches.
//
// A word is a run of letters and digits, without case and accents. Scripts that put no spaces between words (Chinese,
// Japanese, Thai …) are cut into overlapping pairs of characters, so that any part of a text can be found.
import type { AccountId } from '@allium/protocol/account-id';
import { ClientError } from '../errors.ts';
import type { StoredMessage } from './storage.ts';

/** Changes with whatever `wordsOf`, `searchableText` or `tagsOf` give: storages build their indexes anew then. */
export const SEARCH_VERSION = 1;

// Ours.
const MAX_WORD = 64;
/** Of a question; the rest is left out. */
const MAX_QUESTION = 1_000;
const MAX_TERMS = 16;
/** Of a phrase; the rest is left out. */
const MAX_TERM_WORDS = 50;
/** Of a word whose end is not written yet. */
export const MIN_PREFIX = 2;
const MAX_RANGES = 50;
const MAX_LIMIT = 1_000;

export const MESSAGE_KINDS = ['text', 'link', 'file', 'image', 'video', 'audio', 'voice'] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** All that is given must hold; nothing given: all messages. */
export interface SearchQuery {
  /** Words in any order, of the text, of file names and captions; the last one may be the beginning of a word. */
  readonly text?: string;
  /** Words that stand together in this order. */
  readonly phrase?: string;
  /** Who sent it. */
  readonly person?: AccountId;
  readonly conversation?: AccountId;
  /** Network time in ms: not before `from`, before `to`. */
  readonly from?: number;
  readonly to?: number;
  /** `file`: anything attached but voice messages. */
  readonly kind?: MessageKind;
  /** 1 to 1 000. */
  readonly limit: number;
  /** `next` of the page before. */
  readonly before?: string;
}

/** Newest first. */
export interface FoundMessages {
  readonly messages: readonly StoredMessage[];
  /** Undefined: that was all. */
  readonly next?: string;
}

/** Words that stand together. */
export interface Term {
  readonly words: readonly string[];
  /** The last word may go on. */
  readonly isPrefix: boolean;
}

/** A question, read. */
export interface Wanted extends Pick<SearchQuery, 'person' | 'conversation' | 'kind'> {
  readonly terms: readonly Term[];
  /** Nothing can match: there is a text without any word. */
  readonly isHopeless: boolean;
  readonly from: number;
  readonly to: number;
  readonly limit: number;
  readonly before: Cursor | undefined;
}

/** Where a page ends: place time, then the storage's own number of the message. */
export interface Cursor {
  readonly time: number;
  readonly id: number;
}

export interface Range {
  /** UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

interface Word extends Range {
  readonly word: string;
}

const WORD = /[\p{L}\p{N}\p{M}]+|\p{Extended_Pictographic}/gu;
const PLAIN = /^[0-9A-Za-z]*$/;
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** Accents and vowel points that people leave out; what other scripts need to be read stays. */
const ACCENTS = /[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]/g;
const LINK = /\bhttps?:\/\/\S/i;

function fold(text: string): string {
  if (PLAIN.test(text)) return text.toLowerCase();
  return text
    .normalize('NFKD')
    .replace(ACCENTS, '')
    .normalize('NFC')
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .replaceAll('ς', 'σ');
}

/** With their places in `text`. */
export function wordsOf(text: string): readonly Word[] {
  const words: Word[] = [];
  for (const { 0: run, index } of text.matchAll(WORD)) {
    if (PLAIN.test(run) || !UNSPACED.test(run)) push(words, run, index);
    else {
      let spaced = index;
      let start = index;
      const characters = [...run];
      for (const [i, character] of characters.entries()) {
        const end = start + character.length;
        if (UNSPACED.test(character)) {
          if (spaced < start) push(words, text.slice(spaced, start), spaced);
          const next = characters[i + 1];
          const pair = next !== undefined && UNSPACED.test(next) ? character + next : character;
          push(words, pair, start);
          spaced = end;
        }
        start = end;
      }
      if (spaced < start) push(words, text.slice(spaced, start), spaced);
    }
  }
  return words;
}

function push(words: Word[], run: string, start: number): void {
  const word = fold(run).slice(0, MAX_WORD);
  if (word !== '') words.push({ word, start, end: start + run.length });
}

/** Of what is searched for: the last pair of characters stands for the last character too. */
function termOf(text: string, mayGoOn: boolean): Term | undefined {
  const words = wordsOf(text).map(({ word }) => word);
  const last = words.at(-1);
  if (last === undefined) return undefined;
  if (words.length > MAX_TERM_WORDS) return { words: words.slice(0, MAX_TERM_WORDS), isPrefix: false };
  const isUnspaced = UNSPACED.test(last);
  const before = words.at(-2);
  if (
    isUnspaced &&
    before !== undefined &&
    [...before].length === 2 &&
    before.endsWith(last) &&
    UNSPACED.test(before)
  ) {
    return { words: words.slice(0, -1), isPrefix: false };
  }
  if (isUnspaced) return { words, isPrefix: true };
  return { words, isPrefix: mayGoOn && [...last].length >= MIN_PREFIX };
}

/** @throws ClientError `bad_search`: `before` is no page's `next`; a limit or time that is none */
export function readQuery(query: SearchQuery): Wanted {
  const { text = '', phrase = '', person, conversation, kind, limit, before } = query;
  const { from = 0, to = Number.MAX_SAFE_INTEGER } = query;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new ClientError('bad_search', `a page has 1 to ${MAX_LIMIT} messages`);
  }
  if (Number.isNaN(from) || Number.isNaN(to)) throw new ClientError('bad_search', 'a time that is none');
  const asked = text.slice(0, MAX_QUESTION);
  const runs = [...asked.matchAll(WORD)].slice(0, MAX_TERMS);
  const isTyping = asked === text && !/\s$/u.test(asked);
  const terms = runs.flatMap(([run], i) => termOf(run, isTyping && i === runs.length - 1) ?? []);
  const together = termOf(phrase.slice(0, MAX_QUESTION), false);
  if (together !== undefined) terms.push(together);
  return {
    terms,
    isHopeless: (text.trim() !== '' && runs.length === 0) || (phrase.trim() !== '' && together === undefined),
    ...(person !== undefined && { person }),
    ...(conversation !== undefined && { conversation }),
    ...(kind !== undefined && { kind }),
    from: clamp(from),
    to: clamp(to),
    limit,
    before: before === undefined ? undefined : parseCursor(before),
  };
}

const clamp = (time: number): number => Math.ceil(Math.min(Math.max(time, 0), Number.MAX_SAFE_INTEGER));

export const formatCursor = ({ time, id }: Cursor): string => `${time}:${id}`;

function parseCursor(text: string): Cursor {
  const [, time, id] = /^([0-9]{1,16}):([0-9]{1,16})$/.exec(text) ?? [];
  if (time === undefined) throw new ClientError('bad_search', 'no page ends there');
  return { time: Number(time), id: Number(id) };
}

type Searchable = Pick<StoredMessage, 'sender' | 'conversation' | 'text' | 'notice'> & Said;
interface Said {
  readonly attachments?: readonly {
    readonly contentType: string;
    readonly fileName?: string;
    readonly caption?: string;
    readonly isVoice?: boolean;
  }[];
  readonly preview?: { readonly title?: string };
}

/** All that words are looked for in. */
export function searchableText({ text, attachments, preview }: Pick<Searchable, 'text'> & Said): string {
  if (attachments === undefined && preview === undefined) return text;
  const files = (attachments ?? []).flatMap(({ fileName = '', caption = '' }) => [fileName, caption]);
  return [text, ...files, preview?.title ?? ''].filter((part) => part !== '').join('\n');
}

/** Empty for what is never found: notices, and what was deleted. */
export function kindsOf({ text, notice, attachments = [], preview }: Searchable): ReadonlySet<MessageKind> {
  const kinds = new Set<MessageKind>();
  if (notice !== undefined) return kinds;
  if (text !== '') kinds.add('text');
  if (preview !== undefined || LINK.test(text)) kinds.add('link');
  for (const { contentType, isVoice } of attachments) {
    kinds.add(isVoice === true ? 'voice' : 'file');
    const [type] = contentType.split('/');
    if (isVoice !== true && (type === 'image' || type === 'video' || type === 'audio')) kinds.add(type);
  }
  return kinds;
}

/** Words that no text has, for the other things that can be asked for. */
export function tagsOf(message: Searchable): readonly string[] {
  const kinds = [...kindsOf(message)].map((kind) => kindTag(kind));
  if (kinds.length === 0) return [];
  return [ANY_TAG, conversationTag(message.conversation), personTag(message.sender), ...kinds];
}

/** With capital letters, which no word has. */
export const ANY_TAG = 'XXA';
export const kindTag = (kind: MessageKind): string => `XXK${kind}`;
export const personTag = (id: string): string => `XXP${id}`;
export const conversationTag = (id: string): string => `XXC${id}`;

/** All tags that a message must have. */
export function wantedTags({ person, conversation, kind }: Wanted): readonly string[] {
  return [
    ...(conversation === undefined ? [] : [conversationTag(conversation)]),
    ...(person === undefined ? [] : [personTag(person)]),
    ...(kind === undefined ? [] : [kindTag(kind)]),
  ];
}

/** Whether a message matches; its place is the storage's matter. */
export function matches(message: Searchable, wanted: Wanted): boolean {
  const { terms, person, conversation, kind } = wanted;
  if (wanted.isHopeless) return false;
  if (person !== undefined && message.sender !== person) return false;
  if (conversation !== undefined && message.conversation !== conversation) return false;
  const kinds = kindsOf(message);
  if (kinds.size === 0 || (kind !== undefined && !kinds.has(kind))) return false;
  if (terms.length === 0) return true;
  const words = wordsOf(searchableText(message));
  return terms.every((term) => words.some((_, i) => standsAt(words, i, term)));
}

function standsAt(words: readonly Word[], at: number, { words: wanted, isPrefix }: Term): boolean {
  return wanted.every((word, i) => {
    const there = words[at + i]?.word;
    if (there === undefined) return false;
    return isPrefix && i === wanted.length - 1 ? there.startsWith(word) : there === word;
  });
}

/** Where in a text the terms stand, in order and not overlapping. */
export function rangesIn(text: string, terms: readonly Term[]): readonly Range[] {
  const words = wordsOf(text);
  const found: Range[] = [];
  for (const term of terms) {
    for (let i = 0; i < words.length && found.length < MAX_RANGES; i++) {
      if (!standsAt(words, i, term)) continue;
      const { start } = words[i]!;
      const last = words[i + term.words.length - 1]!;
      const wanted = term.words.at(-1)!;
      // Of a pair of characters only the one that was asked for.
      const isFirstOfPair = term.isPrefix && UNSPACED.test(wanted);
      const end = isFirstOfPair ? last.start + [...text.slice(last.start, last.end)][0]!.length : last.end;
      found.push({ start, end });
    }
  }
  found.sort((a, b) => a.start - b.start || a.end - b.end);
  const apart: Range[] = [];
  for (const range of found) {
    const before = apart.at(-1);
    if (before === undefined || range.start > before.end) apart.push(range);
    else apart[apart.length - 1] = { start: before.start, end: Math.max(before.end, range.end) };
  }
  return apart;
}

/** By what pages are ordered: newest first. */
export const comesBefore = (a: Cursor, b: Cursor): boolean =>
  a.time < b.time || (a.time === b.time && a.id < b.id);
