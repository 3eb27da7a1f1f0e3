// SPDX-License-Identifier: MIT
// What kind of thing a content is, before anything is done with it (spec/client §3.2, §3.3, §4.3, §6.7, §6.13).
import type { AccountId } from '@allium/protocol/account-id';
import type { Content, DataMessage } from '@allium/protocol/message/content';
import { accountIdIn } from './effects.ts';
import { EXPIRATION_TIMER_UPDATE } from './timers.ts';

/** spec/client §3.3: with any other flag desktop refuses the message. */
export function isAcceptable({ flags = 0 }: DataMessage): boolean {
  return flags === 0 || flags === EXPIRATION_TIMER_UPDATE;
}

/** spec/client §4.3.9: a syncTarget belongs in messages from ourselves, and only there. */
export function conversationOf(
  syncTarget: string | undefined,
  sender: AccountId,
  own: AccountId,
): AccountId | undefined {
  if (sender !== own) return syncTarget === undefined ? sender : undefined;
  return accountIdIn(syncTarget);
}

/** §6.7: it sets a timer, and says nothing else. */
export const isTimerUpdate = ({ flags, body = '' }: DataMessage): boolean =>
  flags === EXPIRATION_TIMER_UPDATE && body === '';

/** Of closed groups and configs of before there were shared ones (§6.13). */
export const isLegacy = ({ configurationMessage, dataMessage }: Content): boolean =>
  configurationMessage !== undefined ||
  dataMessage?.group !== undefined ||
  dataMessage?.closedGroupControlMessage !== undefined;

/** None of the contents that we know (§3.2). */
export function isNew(content: Content): boolean {
  const { sigTimestamp: _1, expirationType: _2, expirationTimer: _3, proMessage: _4, ...rest } = content;
  return Object.keys(rest).length === 0;
}
