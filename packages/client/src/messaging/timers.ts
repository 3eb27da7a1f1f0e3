// SPDX-License-Identifier: MIT
// Disappearing messages (spec/client §6.7): what a timer is on the wire, and when a message is over.
import { type Content, ExpirationType } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { StoredMessage, Timer } from '../storage/storage.ts';
import { MESSAGE_TTL_MS } from './proofs.ts';

/** What people are offered, in seconds (§6.7); any whole number of seconds between the limits works too. */
export const TIMER_SECONDS = {
  after_read: [300, 3_600, 43_200, 86_400, 604_800, 1_209_600],
  after_send: [43_200, 86_400, 604_800, 1_209_600],
} as const;
/** §3.3: the flag of a data message that only sets a timer. */
export const EXPIRATION_TIMER_UPDATE = 2;
// Ours.
/** Nodes keep nothing for a shorter time (spec/client §2.9), and messages no longer than 14 days. */
const MIN_SECONDS = 10;
const MAX_SECONDS = MESSAGE_TTL_MS / 1_000;

/** @throws ClientError `bad_timer` */
export function checkTimer({ mode, seconds }: Timer, isNoteToSelf: boolean): void {
  if (!Number.isInteger(seconds) || seconds < MIN_SECONDS || seconds > MAX_SECONDS) {
    throw new ClientError('bad_timer', 'messages can disappear after 10 seconds to 14 days');
  }
  // Nobody else reads them.
  if (isNoteToSelf && mode === 'after_read') {
    throw new ClientError('bad_timer', 'notes to self disappear after they were sent');
  }
}

export const isSameTimer = (a: Timer | undefined, b: Timer | undefined): boolean =>
  a?.mode === b?.mode && a?.seconds === b?.seconds;

export function timerToWire(timer: Timer | undefined): Pick<Content, 'expirationType' | 'expirationTimer'> {
  if (timer === undefined) return {};
  const expirationType =
    timer.mode === 'after_send' ? ExpirationType.deleteAfterSend : ExpirationType.deleteAfterRead;
  return { expirationType, expirationTimer: timer.seconds };
}

/** Each message carries its own; what this side has set does not matter. */
export function timerIn(
  { expirationType, expirationTimer, dataMessage }: Content,
  isNoteToSelf: boolean,
): Timer | undefined {
  const isLegacy = expirationType === undefined && expirationTimer === undefined;
  // Compat: old clients had one kind of timer, with the time elsewhere.
  const seconds = (isLegacy ? dataMessage?.expireTimer : expirationTimer) ?? 0;
  if (seconds === 0) return undefined;
  if (isNoteToSelf || expirationType === ExpirationType.deleteAfterSend)
    return { mode: 'after_send', seconds };
  return isLegacy || expirationType === ExpirationType.deleteAfterRead
    ? { mode: 'after_read', seconds }
    : undefined;
}

/** How long a swarm is to keep a message (§4.4): no longer than it may be seen. */
export function ttlOf(timer: Timer | undefined, isOwnCopy: boolean): number {
  if (timer === undefined || (timer.mode === 'after_read' && !isOwnCopy)) return MESSAGE_TTL_MS;
  return Math.min(timer.seconds * 1_000, MESSAGE_TTL_MS);
}

/** A message that has just arrived, or was sent by another of our devices. */
interface Arrival {
  readonly timestamp: number;
  readonly isOwn: boolean;
  /** It was read on another device. */
  readonly isRead: boolean;
  /** Network time in ms. */
  readonly now: number;
  /** Until when a node says that it keeps it. */
  readonly expiration: number;
}

/** When it is over, network time in ms; undefined: that is not decided yet. */
export function expiryOf(
  timer: Timer,
  { timestamp, isOwn, isRead, now, expiration }: Arrival,
): number | undefined {
  const ms = timer.seconds * 1_000;
  if (isOwn) return timestamp + ms;
  if (timer.mode === 'after_send') {
    // A clock that is wrong must not have it vanish before it is seen, nor stay: what the swarm keeps is not over, and
    // time does not run from the future.
    return Math.min(now, Math.max(timestamp, expiration - ms)) + ms;
  }
  if (!isRead) return undefined;
  // Whoever read it has shortened its time in the swarm.
  return expiration > now ? Math.min(expiration, now + ms) : now + ms;
}

/** Its time is over, network time in ms. */
export const isOver = ({ marks }: Pick<StoredMessage, 'marks'>, now: number): boolean =>
  marks?.expiresAt !== undefined && marks.expiresAt <= now;

/** The same for a message whose sending has ended: a failed one stays to be looked at for as long. */
export function expiryOfSent(
  { timer, timestamp, state }: Pick<StoredMessage, 'timer' | 'timestamp' | 'state'>,
  now: number,
): { readonly expiresAt?: number } {
  if (timer === undefined || state === 'sending') return {};
  const from = state === 'failed' ? Math.max(timestamp, now) : timestamp;
  return { expiresAt: from + timer.seconds * 1_000 };
}
