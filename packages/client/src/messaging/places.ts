// SPDX-License-Identifier: MIT
// Where messages stand (docs/decisions/0012-order-of-messages.md, 0014): alike on all devices, whichever copy comes first.
import { type MessageIdentity, placedAt, placeTime, type StoredMessage } from '../storage/storage.ts';

// From the specification.
/** How far the time of a message may lie behind its storing: nodes accept as much (spec/storage-server §2.9.1). */
const FUTURE_MS = 10_000;
// Ours.
/** So many messages of one sender may share a millisecond: devices of an account do not know of each other's. */
export const MAX_CLASHES = 8;

/**
 * Where a copy of a message puts it (docs/decisions/0012-order-of-messages.md): at the sender's time, or, when that lay
 * in the future, at the time of storing, which nodes have checked (spec/storage-server §2.9.1).
 */
export function sortTimeOf(timestamp: number, storedAt: number): number {
  return timestamp > storedAt + FUTURE_MS ? storedAt : timestamp;
}

/** Its millisecond was taken; a time that lay in the future is further from its place. */
export const isMoved = ({ timestamp, sortTimestamp = timestamp }: StoredMessage): boolean =>
  sortTimestamp < timestamp && timestamp - sortTimestamp < MAX_CLASHES;

export const placeOf = (timestamp: number, sortTime: number): { sortTimestamp?: number } =>
  sortTime === timestamp ? {} : { sortTimestamp: sortTime };

/** Two copies of one message put it at the latest time and under the smallest hash, whichever came first. */
export function merge(a: StoredMessage, b: StoredMessage): StoredMessage {
  const hash = a.hash === undefined || (b.hash !== undefined && b.hash < a.hash) ? b.hash : a.hash;
  const sortTime = Math.max(placeTime(a), placeTime(b));
  const { sender, timestamp } = a;
  return placedAt(a, {
    sender,
    timestamp,
    ...(hash !== undefined && { hash }),
    ...placeOf(timestamp, sortTime),
  });
}

/** As a key. */
export const identityOf = ({ sender, timestamp }: MessageIdentity): string => `${sender} ${timestamp}`;
