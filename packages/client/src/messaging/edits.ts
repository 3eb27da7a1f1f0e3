// SPDX-License-Identifier: MIT
// Edits of sent messages, ours (docs/decisions/0030-edited-messages.md). On the wire an edit is a message of its own whose text
// is the new version behind a pencil, in answer to the first one: that is what other clients show. Ours see which message it
// replaces.
import type { DataMessage } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { StoredMessage } from '../storage/storage.ts';

/** How long after it was sent a message can be edited, by the author's clock. */
const EDIT_WITHIN_MS = 24 * 3_600_000;
const MAX_EDITS = 20;
const PENCIL = '✏️ ';

export function editToWire(
  { sender, timestamp }: StoredMessage,
  text: string,
): Pick<DataMessage, 'body' | 'quote' | 'edit'> {
  return { body: `${PENCIL}${text}`, quote: { id: timestamp, author: sender }, edit: { timestamp } };
}

/** The new version; undefined: it is none, or comes too late, and is a message like others. `at`: when it was sent. */
export function editIn(
  { edit, body = '', attachments }: DataMessage,
  at: number,
): { readonly timestamp: number; readonly text: string } | undefined {
  if (edit === undefined || attachments !== undefined) return undefined;
  const text = body.startsWith(PENCIL) ? body.slice(PENCIL.length) : body;
  const isInTime = at > edit.timestamp && at - edit.timestamp <= EDIT_WITHIN_MS;
  return text !== '' && isInTime ? { timestamp: edit.timestamp, text } : undefined;
}

/** @throws ClientError `not_found`, `under_way`, `too_late` */
export function checkEditable(
  message: StoredMessage | undefined,
  now: number,
): asserts message is StoredMessage {
  if (message === undefined || message.notice !== undefined || message.marks?.deletedAt !== undefined) {
    throw new ClientError('not_found', 'there is no such message of ours');
  }
  if (message.state !== 'sent') throw new ClientError('under_way', 'the message has not been sent yet');
  if (now - message.timestamp > EDIT_WITHIN_MS) {
    throw new ClientError('too_late', 'messages can be edited for 24 hours');
  }
  if ((message.marks?.edits?.length ?? 0) >= MAX_EDITS) {
    throw new ClientError('too_late', `a message can be edited ${MAX_EDITS} times`);
  }
}
