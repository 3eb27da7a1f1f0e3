// SPDX-License-Identifier: MIT
// Messages that disappear after they were read (spec/client §6.7): reading starts their time on this device, and our own
// swarm, which keeps them no longer from then on, tells the others.
import { marked } from '../storage/marks.ts';
import { type MarkedMessage, placeTime, type StoredMessage, type StoredRecord } from '../storage/storage.ts';
import type { NamedMessage, Notices, Prepared } from './notices.ts';

/** Ours: in one request to our own swarm. */
const MAX_SHORTENED = 100;

interface Started {
  /** As they are then. */
  readonly messages: readonly StoredMessage[];
  /** To be written, then `taken` called. */
  readonly changes: { readonly marked: readonly MarkedMessage[]; readonly records: readonly StoredRecord[] };
  readonly taken: () => void;
}

/**
 * Of messages that were read, here or on another device. `at`: network time. Where another device was first, its time
 * comes back from the swarm and counts.
 */
export function startTimers(
  read: readonly StoredMessage[],
  at: number,
  notices: Pick<Notices, 'shortening'>,
): Started {
  // By a clock that is behind they would be over at once: nobody read the newest one before it was there.
  const readAt = Math.max(at, ...read.map(placeTime));
  const messages = read
    .filter(({ timer, marks }) => timer?.mode === 'after_read' && marks?.expiresAt === undefined)
    .map((message) => marked(message, { expiresAt: readAt + message.timer!.seconds * 1_000 }));
  const byEnd = new Map<number, NamedMessage[]>();
  for (const { sender, timestamp, hash, marks } of messages) {
    if (hash === undefined) continue;
    const named = byEnd.get(marks!.expiresAt!) ?? [];
    byEnd.set(marks!.expiresAt!, named);
    named.push({ sender, timestamp, hash });
  }
  const prepared: Prepared[] = [];
  for (const [expiresAt, named] of byEnd) {
    for (let i = 0; i < named.length; i += MAX_SHORTENED) {
      prepared.push(notices.shortening(named.slice(i, i + MAX_SHORTENED), expiresAt));
    }
  }
  return {
    messages,
    changes: {
      marked: messages.map(({ sender, timestamp, marks }) => ({ sender, timestamp, marks: marks! })),
      records: prepared.map(({ record }) => record),
    },
    taken: () => {
      for (const { taken } of prepared) taken();
    },
  };
}
