// SPDX-License-Identifier: MIT
// Which messages of the other side lie between two places of a conversation: what is unread, and what was just read.
import type { AccountId } from '@allium/protocol/account-id';
import { type HistoryQuery, placeTime, type StoredMessage } from '../storage/storage.ts';

// Ours.
const PAGE = 200;
/** Of the newest messages. */
const MAX_PAGES = 10;

/** Behind `after`, up to `upTo` (network time in ms), of the newest 2 000 messages; newest pages first. */
export async function saidBetween(
  other: AccountId,
  after: number,
  upTo: number,
  history: (query: HistoryQuery) => Promise<readonly StoredMessage[]>,
): Promise<readonly StoredMessage[]> {
  const found: StoredMessage[] = [];
  let before: StoredMessage | undefined;
  for (let pages = 0; ; pages++) {
    const page: readonly StoredMessage[] = await history({ limit: PAGE, ...(before && { before }) });
    for (const message of page) {
      const place = placeTime(message);
      if (place > after && place <= upTo && message.sender === other) found.push(message);
    }
    before = page[0];
    if (before === undefined || placeTime(before) <= after || pages === MAX_PAGES - 1) return found;
  }
}
