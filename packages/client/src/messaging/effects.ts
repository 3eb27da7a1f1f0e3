// SPDX-License-Identifier: MIT
// What contents do to messages that exist already: receipts, reactions, deletions (spec/client §6.3, §6.4, §6.6). Who may do
// what is decided here from the proven sender alone; whether the message is there, and in that conversation, by the inbox.
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { ReactionAction, ReceiptType } from '@allium/protocol/message/content';
import type { IncomingMessage } from '@allium/protocol/message/encryption-v1';
import type { Marks } from '../storage/marks.ts';
import { editIn } from './edits.ts';
import { isEmoji } from './text.ts';

// Ours.
/** How long what concerns an unknown message waits for it (§6.3, §6.4, §6.6). */
const KEEP_RECEIPT_MS = 3_600_000;
const KEEP_MS = 24 * 3_600_000;
/** Of one receipt; clients send one for what was read at once. */
const MAX_RECEIPTS = 1_000;
/** Code points of a new version, as spec/client §6.1 says of texts. */
const MAX_TEXT = 10_000;

export interface Effect {
  /** With the timestamp the message's identity. */
  readonly author: AccountId;
  readonly timestamp: number;
  /** The message must be in it; undefined: wherever it is. */
  readonly conversation: AccountId | undefined;
  readonly marks: Marks;
  /** How long to keep it while the message is unknown. */
  readonly keepMs: number;
}

type Incoming = Pick<IncomingMessage, 'sender' | 'timestamp' | 'content'> & {
  /** When a swarm took it: nobody told anything later than that, whatever their clock says. Default: its time. */
  readonly storedAt?: number;
};

/** `showsRead`: read receipts are wanted; otherwise one only tells that the message was delivered. */
export function effectsOf(
  { sender, timestamp: at, storedAt = at, content }: Incoming,
  own: AccountId,
  showsRead: boolean,
): readonly Effect[] {
  const isOwn = sender === own;
  const toldAt = Math.min(at, storedAt);
  const { dataMessage, receiptMessage, unsendRequest } = content;
  if (dataMessage !== undefined) {
    const conversation = isOwn ? accountIdIn(dataMessage.syncTarget) : sender;
    // §4.3.9
    if (conversation === undefined || isOwn !== (dataMessage.syncTarget !== undefined)) return [];
    const edit = editIn(dataMessage, at);
    if (edit !== undefined) {
      const marks = { edits: [{ at, text: cut(edit.text) }] };
      return [{ author: sender, timestamp: edit.timestamp, conversation, marks, keepMs: KEEP_MS }];
    }
    const { quote, reaction } = dataMessage;
    // Who answers a message has it.
    const isAnswered = quote !== undefined && !isOwn && quote.author === own;
    const answered = isAnswered ? [deliveryOf(own, quote.id, conversation, toldAt)] : [];
    if (reaction === undefined) return answered;
    const author = accountIdIn(reaction.author);
    const { emoji = '' } = reaction;
    if (author === undefined || !isEmoji(emoji)) return [];
    const mark = { by: sender, emoji, at, on: reaction.action === ReactionAction.react };
    const told = author === own && !isOwn ? { deliveredAt: Math.max(toldAt, reaction.id) } : {};
    const marks = { reactions: [mark], ...told };
    return [{ author, timestamp: reaction.id, conversation, marks, keepMs: KEEP_MS }];
  }
  if (receiptMessage !== undefined) {
    if (isOwn) return [];
    const { type, timestamp: times = [] } = receiptMessage;
    return [...new Set(times.slice(0, MAX_RECEIPTS))].map((timestamp) => {
      const delivered = deliveryOf(own, timestamp, sender, toldAt);
      if (type !== ReceiptType.read || !showsRead) return delivered;
      return { ...delivered, marks: { ...delivered.marks, readAt: Math.max(toldAt, timestamp) } };
    });
  }
  if (unsendRequest !== undefined) {
    const { author: text, timestamp } = unsendRequest;
    const author = accountIdIn(text);
    // §6.6: only the author, or we ourselves.
    if (author === undefined || (author !== sender && !isOwn)) return [];
    const conversation = isOwn ? undefined : sender;
    return [{ author, timestamp, conversation, marks: { deletedAt: at }, keepMs: KEEP_MS }];
  }
  return [];
}

/** Whole characters. */
const cut = (text: string): string =>
  text.length <= MAX_TEXT ? text : [...text].slice(0, MAX_TEXT).join('');

function deliveryOf(own: AccountId, timestamp: number, conversation: AccountId, at: number): Effect {
  // A message is not there before it is sent, whatever the other clock says.
  const marks = { deliveredAt: Math.max(at, timestamp) };
  return { author: own, timestamp, conversation, marks, keepMs: KEEP_RECEIPT_MS };
}

/** Undefined when it is none. */
export function accountIdIn(text: string | undefined): AccountId | undefined {
  try {
    return text === undefined ? undefined : parseAccountId(text);
  } catch {
    return undefined;
  }
}
