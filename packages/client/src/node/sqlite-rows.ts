// SPDX-License-Identifier: MIT
// Messages and records as rows of SQLite: what has a column of its own, and the rest as JSON.
import type { AccountId } from '@allium/protocol/account-id';
import type { Marks } from '../storage/marks.ts';
import type { StoredMessage, StoredRecord } from '../storage/storage.ts';

export const COLUMNS =
  'sender, timestamp, conversation, text, state, hash, sort_timestamp, copy_pending, handled, details, marks';

export interface MessageRow {
  readonly sender: string;
  readonly timestamp: number;
  readonly conversation: string;
  readonly text: string;
  readonly state: string;
  readonly hash: string | null;
  readonly sort_timestamp: number | null;
  readonly copy_pending: number | null;
  readonly handled: number;
  /** JSON of `detailsOf`. */
  readonly details: string | null;
  readonly marks: string | null;
}

export interface RecordRow {
  readonly kind: string;
  readonly key: string;
  readonly value: string;
  readonly expiry: number | null;
}

export function toMessage(row: MessageRow): StoredMessage {
  return {
    sender: row.sender as AccountId,
    timestamp: row.timestamp,
    conversation: row.conversation as AccountId,
    text: row.text,
    state: row.state as StoredMessage['state'],
    ...(row.hash !== null && { hash: row.hash }),
    ...(row.sort_timestamp !== null && { sortTimestamp: row.sort_timestamp }),
    ...(row.copy_pending !== null && { copyPending: row.copy_pending === 1 }),
    handled: row.handled === 1,
    ...(row.details !== null && (JSON.parse(row.details) as Partial<StoredMessage>)),
    ...(row.marks !== null && { marks: JSON.parse(row.marks) as Marks }),
  };
}

/** All that has no column of its own. */
export function detailsOf({
  sender: _sender,
  timestamp: _timestamp,
  conversation: _conversation,
  text: _text,
  state: _state,
  hash: _hash,
  sortTimestamp: _sortTimestamp,
  copyPending: _copyPending,
  handled: _handled,
  marks: _marks,
  ...details
}: StoredMessage): object | undefined {
  return Object.keys(details).length === 0 ? undefined : details;
}

export function toRecord({ kind, key, value, expiry }: RecordRow): StoredRecord {
  return { kind, key, value: JSON.parse(value) as object, ...(expiry !== null && { expiry }) };
}
