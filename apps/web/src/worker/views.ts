// SPDX-License-Identifier: AGPL-3.0-or-later
// From what the client keeps to what the page shows.
import type { Contact } from '@allium/client/contacts';
import { deliveryOf } from '@allium/client/delivery';
import type { StoredAttachment } from '@allium/client/files/stored-attachment';
import { type MessageNotice, placeTime, type StoredMessage } from '@allium/client/storage';
import { mentionsIn } from '@allium/client/text';
import type {
  AttachmentView,
  ConversationView,
  DeliveryView,
  MessageView,
  PersonView,
  QuoteView,
  ReactionView,
} from '../model.ts';

/** Of a message in a list of conversations. */
const MAX_PREVIEW = 140;

export interface ViewContext {
  readonly own: string;
  readonly personOf: (id: string) => PersonView;
  /** Of files that are being sent. */
  readonly progress?: { readonly done: number; readonly total: number };
  readonly findMessage: (sender: string, timestamp: number) => Promise<StoredMessage | undefined>;
}

export const messageKey = (sender: string, timestamp: number): string => `${sender}:${timestamp}`;

export async function messageView(message: StoredMessage, context: ViewContext): Promise<MessageView> {
  const { sender, timestamp, conversation, text, hash, marks = {} } = message;
  const mine = sender === context.own;
  const deleted = marks.deletedAt !== undefined;
  const quote = message.quote === undefined || deleted ? undefined : await quoteView(message.quote, context);
  const mentions: Record<string, string> = {};
  for (const id of text.includes('@05') ? mentionsIn(text) : []) {
    const person = context.personOf(id);
    if (person.name !== undefined) mentions[id] = person.name;
  }
  return {
    key: messageKey(sender, timestamp),
    conversation,
    sender,
    mine,
    timestamp,
    place: placeTime(message),
    ...(hash !== undefined && { hash }),
    text,
    ...(mine &&
      !deleted &&
      message.notice === undefined && {
        delivery: { ...deliveryView(message), ...(context.progress && { progress: context.progress }) },
      }),
    ...(marks.edits !== undefined &&
      marks.edits.length > 0 && { editedAt: marks.edits.at(-1)!.at, earlier: earlierOf(message) }),
    ...(marks.expiresAt !== undefined && { expiresAt: marks.expiresAt }),
    ...(message.timer !== undefined && { timerSeconds: message.timer.seconds }),
    ...(message.notice !== undefined && { notice: noticeView(message.notice) }),
    ...(message.preview !== undefined && {
      preview: {
        url: message.preview.url,
        ...(message.preview.title !== undefined && { title: message.preview.title }),
      },
    }),
    ...(quote !== undefined && { quote }),
    reactions: reactionViews(message, context.own),
    deleted,
    attachments: (message.attachments ?? []).map(attachmentView),
    mentions,
  };
}

/** The versions before the one that is shown. */
function earlierOf({ original = '', timestamp, marks }: StoredMessage): NonNullable<MessageView['earlier']> {
  return [{ text: original, at: timestamp }, ...(marks?.edits ?? [])]
    .slice(0, -1)
    .map(({ text, at }) => ({ text, at }));
}

function noticeView(notice: MessageNotice): NonNullable<MessageView['notice']> {
  if (notice.kind !== 'timer') return { kind: notice.kind };
  return { kind: 'timer', seconds: notice.timer?.seconds ?? 0 };
}

function attachmentView(file: StoredAttachment, index: number): AttachmentView {
  const { fileName = '', contentType, sizeBytes, width, height, caption, durationMs, problem } = file;
  return {
    index,
    name: fileName,
    contentType,
    sizeBytes,
    isVoice: file.isVoice === true,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(caption !== undefined && { caption }),
    ...(durationMs !== undefined && { durationMs }),
    ...(problem !== undefined && { problem }),
  };
}

function kindOf({ attachments: [first] = [] }: StoredMessage): 'picture' | 'voice' | 'file' | undefined {
  if (first === undefined) return undefined;
  if (first.isVoice === true) return 'voice';
  return first.contentType.startsWith('image/') ? 'picture' : 'file';
}

function deliveryView(message: StoredMessage): DeliveryView {
  const { nextStep: _nextStep, ...delivery } = deliveryOf(message);
  return delivery;
}

async function quoteView(
  { author, timestamp }: { author: string; timestamp: number },
  context: ViewContext,
): Promise<QuoteView> {
  const quoted = await context.findMessage(author, timestamp);
  const authorName = author === context.own ? undefined : context.personOf(author).name;
  return {
    author,
    timestamp,
    ...(authorName !== undefined && { authorName }),
    ...(quoted !== undefined && { text: cut(quoted.text) }),
  };
}

function reactionViews({ marks }: StoredMessage, own: string): readonly ReactionView[] {
  const by = new Map<string, string[]>();
  for (const { emoji, by: person, on } of marks?.reactions ?? []) {
    if (on) by.set(emoji, [...(by.get(emoji) ?? []), person]);
  }
  return [...by].map(([emoji, people]) => ({ emoji, by: people, mine: people.includes(own) }));
}

export function personView(contact: Contact, own: string, verified: boolean): PersonView {
  const { id, approved, approvedMe, blocked, pictureUrl, pictureKey } = contact;
  const name = contact.nickname ?? contact.name;
  return {
    id,
    ...(name !== undefined && { name }),
    isSelf: id === own,
    approved,
    approvedMe,
    blocked,
    verified,
    ...(pictureUrl !== undefined &&
      pictureKey !== undefined && { pictureTag: `${pictureUrl}#${pictureKey.slice(0, 8)}` }),
  };
}

export function previewOf(message: StoredMessage, own: string): NonNullable<ConversationView['preview']> {
  const mine = message.sender === own;
  const attachment = kindOf(message);
  return {
    text: cut(message.text),
    mine,
    at: placeTime(message),
    deleted: message.marks?.deletedAt !== undefined,
    ...(attachment !== undefined && { attachment }),
    ...(message.notice !== undefined && { notice: noticeView(message.notice) }),
    ...(mine && message.notice === undefined && { delivery: deliveryOf(message).state }),
  };
}

const cut = (text: string): string =>
  text.length <= MAX_PREVIEW ? text : [...text.slice(0, 2 * MAX_PREVIEW)].slice(0, MAX_PREVIEW).join('');
