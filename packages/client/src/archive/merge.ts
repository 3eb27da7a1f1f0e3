// SPDX-License-Identifier: MIT
// What is there and what an archive brings, together. Nothing that either of them knows is undone, and it does not matter
// how often or in which order archives come.
import { CONTACT, type Contact } from '../messaging/contacts.ts';
import { CONVERSATION, type ConversationState } from '../messaging/conversation-states.ts';
import { mergeMarks } from '../storage/marks.ts';
import type { StoredMessage, StoredRecord } from '../storage/storage.ts';
import { canonicalJson } from './canonical.ts';

/** Undefined: nothing changes. */
export function mergeMessages(ours: StoredMessage, theirs: StoredMessage): StoredMessage | undefined {
  const isSent = ours.state === 'failed' && theirs.state === 'sent';
  // Of two names of one message the smaller, with what belongs to it (docs/decisions/0012).
  const isFirst = theirs.hash !== undefined && (ours.hash === undefined || theirs.hash < ours.hash);
  const { failure: _failure, ...sent } = ours;
  const { hash: _hash, sortTimestamp: _sortTimestamp, ...placed } = isSent ? sent : ours;
  const { hash, sortTimestamp } = isFirst ? theirs : ours;
  const { failure: _theirFailure, ...known } = theirs;
  const isSame = canonicalJson(ours.marks) === canonicalJson(theirs.marks);
  const marks = isSame ? ours.marks : mergeMarks(ours.marks, theirs.marks);
  const merged = {
    ...(ours.marks?.deletedAt === undefined && theirs.marks?.deletedAt === undefined && known),
    ...placed,
    state: isSent ? ('sent' as const) : ours.state,
    ...(hash !== undefined && { hash }),
    ...(sortTimestamp !== undefined && { sortTimestamp }),
    ...(marks !== undefined && { marks }),
  } satisfies Partial<StoredMessage> as StoredMessage;
  if (hash === undefined) delete (merged as { hash?: string }).hash;
  if (sortTimestamp === undefined) delete (merged as { sortTimestamp?: number }).sortTimestamp;
  return canonicalJson(merged) === canonicalJson(ours) ? undefined : merged;
}

/** Undefined: nothing changes. */
export function mergeRecords(ours: StoredRecord, theirs: StoredRecord): StoredRecord | undefined {
  const value = mergeValues(ours.kind, ours.value ?? {}, theirs.value ?? {});
  return canonicalJson(value) === canonicalJson(ours.value) ? undefined : { ...ours, value };
}

function mergeValues(kind: string, ours: object, theirs: object): object {
  switch (kind) {
    case CONTACT:
      return mergeContacts(ours as Contact, theirs as Contact);
    case CONVERSATION: {
      const [a, b] = [ours as ConversationState, theirs as ConversationState];
      const readTo = Math.max(a.readTo ?? 0, b.readTo ?? 0);
      return { ...b, ...a, ...(readTo > 0 && { readTo }) };
    }
    case 'profile': {
      const at = (value: object) => (value as { updatedAtSeconds?: number }).updatedAtSeconds ?? 0;
      return at(theirs) > at(ours) ? theirs : ours;
    }
    default:
      return { ...theirs, ...ours };
  }
}

/** Who was accepted stays accepted; whether somebody is blocked is as it is now. */
function mergeContacts(ours: Contact, theirs: Contact): Contact {
  const newest = (name: 'profileUpdatedAt' | 'timerChangedAt') => {
    const [a, b] = [ours[name] ?? 0, theirs[name] ?? 0];
    return a === b ? { ...theirs, ...ours } : a > b ? ours : theirs;
  };
  const pick = (from: Contact, names: readonly (keyof Contact)[]) =>
    Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));
  const profile = ['name', 'pictureUrl', 'pictureKey', 'profileUpdatedAt'] as const;
  const timer = ['timer', 'timerChangedAt'] as const;
  const rest = Object.entries({ ...theirs, ...ours }).filter(
    ([name]) => !([...profile, ...timer] as string[]).includes(name),
  );
  return {
    ...(Object.fromEntries(rest) as unknown as Contact),
    ...pick(newest('profileUpdatedAt'), profile),
    ...pick(newest('timerChangedAt'), timer),
    approved: ours.approved || theirs.approved,
    approvedMe: ours.approvedMe || theirs.approvedMe,
    blocked: ours.blocked,
  };
}
