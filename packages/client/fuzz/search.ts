// SPDX-License-Identifier: MIT
// Fuzz targets: texts of strangers that are cut into words, and questions of anybody. A target throws on a bug only.
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { ClientError } from '../src/errors.ts';
import { snippetOf } from '../src/messaging/search.ts';
import { matches, rangesIn, readQuery, wordsOf } from '../src/storage/search.ts';

const ID = `05${'a'.repeat(64)}`;

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

export const targets: Record<string, FuzzTarget> = {
  /** The first line is the question, the rest the text. */
  search: {
    seeds: [
      'creme brul\nCrème BRÛLÉE, crème!',
      '北京\n我们明天在北京见面 iPhone手机',
      'ภาษา\nฉันรักภาษาไทย 🧅 42',
      '"a" OR NOT b*\nΟΔΥΣΣΕΥΣ straße ﬁ ①',
    ].map((text) => utf8(text)),
    run(bytes) {
      const given = textOf(bytes);
      if (given === undefined) return;
      const end = given.indexOf('\n');
      const [question, text] = [given.slice(0, Math.max(0, end)), given.slice(end + 1)];
      let last = 0;
      for (const { word, start, end: wordEnd } of wordsOf(text)) {
        if (word === '' || /\s|"/.test(word)) throw new Error(`a word that an index cannot hold: ${word}`);
        if (start < last || wordEnd > text.length) throw new Error('words out of order');
        last = start;
      }
      try {
        const query = readQuery({
          text: question,
          phrase: question,
          limit: 5,
          before: question.slice(0, 40),
        });
        throw new Error(`no page ends at ${query.before?.time}`);
      } catch (error) {
        if (!(error instanceof ClientError) && !/^\d+:\d+$/.test(question)) throw error;
      }
      const wanted = readQuery({ text: question, limit: 5 });
      const message = { sender: ID, conversation: ID, text } as Parameters<typeof matches>[0];
      const ranges = rangesIn(text, wanted.terms);
      if (wanted.terms.length > 0 && matches(message, wanted) && ranges.length === 0)
        throw new Error('found nowhere');
      const { snippet, ranges: shown } = snippetOf(text, ranges);
      for (const { start, end: to } of shown) {
        if (start >= to || to > snippet.length) throw new Error('a range outside of the snippet');
      }
    },
  },
};
