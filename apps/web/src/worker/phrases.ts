// SPDX-License-Identifier: AGPL-3.0-or-later
// Phrases as they are typed: words that begin so, and which word is wrong.
import { Account } from '@allium/protocol/account';
import { MnemonicError, normalizePhrase } from '@allium/protocol/mnemonic';
import { ENGLISH_WORDS } from '@allium/protocol/mnemonic/words';
import type { PhraseCheck } from '../api.ts';

const SUGGESTIONS = 6;
/** Of each word only these count (spec/client §1.3). */
const PREFIX_LETTERS = 3;

export function suggestWords(prefix: string): readonly string[] {
  const typed = prefix.trim().toLowerCase();
  if (typed === '') return [];
  return ENGLISH_WORDS.filter((word) => word.startsWith(typed)).slice(0, SUGGESTIONS);
}

let prefixes: ReadonlySet<string> | undefined;

export function checkPhrase(phrase: string): PhraseCheck {
  prefixes ??= new Set(ENGLISH_WORDS.map((word) => word.slice(0, PREFIX_LETTERS)));
  const known = prefixes;
  const words = normalizePhrase(phrase)
    .split(' ', 26)
    .filter((word) => word !== '');
  const wrong = words.flatMap((word, index) => (known.has(word.slice(0, PREFIX_LETTERS)) ? [] : [index]));
  if (wrong.length > 0) return { wrong, count: words.length };
  try {
    using account = Account.fromPhrase(words.join(' '));
    return { wrong, count: words.length, id: account.id };
  } catch (error) {
    if (!(error instanceof MnemonicError)) throw error;
    const { code } = error;
    const problem = code === 'invalid_word' || code === 'bad_seed' ? 'checksum' : code;
    return { wrong, count: words.length, problem };
  }
}
