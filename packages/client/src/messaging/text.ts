// SPDX-License-Identifier: MIT
// What stands in texts: mentions and emoji (spec/client §6.1, §6.4).
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { utf8 } from '@allium/protocol/bytes';
import { ClientError } from '../errors.ts';

/** spec/client §3.5: code points, without Pro. */
const MAX_TEXT = 2_000;
// Ours.
const MAX_EMOJI_BYTES = 32;
const MAX_MENTIONS = 100;

/** @throws ClientError `too_long` */
export function checkLength(text: string): void {
  // Counting all code points of a huge text is not needed to refuse it.
  if (text.length > 2 * MAX_TEXT || [...text].length > MAX_TEXT) {
    throw new ClientError('too_long', `a text has at most ${MAX_TEXT} characters`);
  }
}

/** Accounts that a text mentions, each once, in order: `@` and 66 hex digits. The first hundred. */
export function mentionsIn(text: string): readonly AccountId[] {
  const found = new Set<AccountId>();
  for (const [, id] of text.matchAll(/@(05[0-9a-fA-F]{64})(?![0-9a-fA-F])/g)) {
    found.add(parseAccountId(id!));
    if (found.size === MAX_MENTIONS) break;
  }
  return [...found];
}

/** One emoji, of whatever parts, in at most 32 bytes. */
export function isEmoji(text: string): boolean {
  if (text === '' || text.length > MAX_EMOJI_BYTES || utf8(text).length > MAX_EMOJI_BYTES) return false;
  if (!/\p{Extended_Pictographic}|\p{Regional_Indicator}|^[0-9#*]\uFE0F?\u20E3$/u.test(text)) return false;
  return [...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)].length === 1;
}
