// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium react`, `delete`, `read`, `history`: what can be done with messages that are there.
import { deliveryOf } from '@allium/client/delivery';
import type { StoredMessage } from '@allium/client/storage';
import { shortId } from '@allium/protocol/account-id';
import { usage } from '../cli-error.ts';
import { type ContactOptions, withContact } from '../contact-session.ts';
import { printFiles, type SavedFile } from '../message-files.ts';
import { findMessage, messageJson } from '../message-json.ts';
import { counted, harmless, harmlessLine, print, printJson, remark, styled } from '../terminal.ts';
import { titleOf } from './contacts.ts';
import { timerText } from './timer.ts';

const PAGE = 500;

export function react(
  contact: string,
  message: string,
  emoji: string,
  options: ContactOptions & { readonly remove?: boolean },
): Promise<number> {
  return withContact(contact, options, async (conversation, client) => {
    const to = await findMessage(client, conversation.id, message);
    const { remove = false } = options;
    await conversation.react(to, emoji, { remove });
    if (options.json === true)
      printJson({ from: to.sender, timestamp: to.timestamp, emoji, removed: remove });
    else print(remove ? 'Taken back.' : 'Done.');
    return 0;
  });
}

export function deleteMessage(
  contact: string,
  message: string,
  options: ContactOptions & { readonly forEveryone?: boolean },
): Promise<number> {
  return withContact(contact, options, async (conversation, client) => {
    const found = await findMessage(client, conversation.id, message);
    const { forEveryone = false } = options;
    if (forEveryone && found.sender !== client.id)
      throw usage('only what you sent can be deleted for everyone');
    if (forEveryone) await conversation.deleteForEveryone(found.timestamp);
    else await conversation.deleteForMe([found]);
    if (options.json === true) printJson({ from: found.sender, timestamp: found.timestamp, forEveryone });
    else
      print(forEveryone ? 'Deleted; their clients are asked to delete it too.' : 'Deleted on this device.');
    return 0;
  });
}

export function markRead(
  contact: string,
  message: string | undefined,
  options: ContactOptions,
): Promise<number> {
  return withContact(contact, options, async (conversation, client) => {
    const before = await conversation.unread();
    await conversation.markRead(
      message === undefined ? undefined : await findMessage(client, conversation.id, message),
    );
    const unread = await conversation.unread();
    if (options.json === true) printJson({ read: before - unread, unread });
    else print(`${counted(before - unread, 'message')} read, ${unread} unread.`);
    return 0;
  });
}

export function showHistory(
  contact: string,
  options: ContactOptions & { readonly limit: number; readonly before?: string; readonly ids?: boolean },
): Promise<number> {
  return withContact(
    contact,
    options,
    async (conversation, client) => {
      let before =
        options.before === undefined ? undefined : await findMessage(client, conversation.id, options.before);
      const pages: (readonly StoredMessage[])[] = [];
      let left = options.limit;
      while (left > 0) {
        const limit = Math.min(PAGE, left);
        const page: readonly StoredMessage[] = await conversation.history({
          limit,
          ...(before && { before }),
        });
        pages.unshift(page);
        left -= page.length;
        before = page[0];
        if (page.length < limit) break;
      }
      for (const message of pages.flat()) {
        if (options.json === true) printJson(messageJson(message, client.id));
        else
          printMessage(message, client.id, {
            name: titleOf(conversation.contact),
            withTimestamp: options.ids === true,
          });
      }
      if (pages.flat().length === 0 && options.json !== true) remark('Nothing was said on this device.');
      return 0;
    },
    'read',
  );
}

/** What the sender of such a line did. */
export function noticeText({ notice }: Pick<StoredMessage, 'notice'>, isOwn = false): string {
  if (notice?.kind === 'timer')
    return `set a timer: what ${isOwn ? 'you' : 'they'} send ${timerText(notice.timer)}`;
  return notice?.kind === 'screenshot' ? 'took a screenshot' : 'saved a file';
}

/** What stands in the place of the text for people. */
function shownText({ text, notice, marks }: StoredMessage, isOwn: boolean): string {
  if (marks?.deletedAt !== undefined) return '(deleted)';
  if (notice !== undefined) return `(${noticeText({ notice }, isOwn)})`;
  return marks?.edits === undefined ? harmless(text) : `${harmless(text)} (edited)`;
}

interface PrintOptions {
  /** Of the sender. */
  readonly name?: string | undefined;
  readonly saved?: readonly SavedFile[];
  /** Before the rest: what other commands call the message. */
  readonly withTimestamp?: boolean;
}

/** For people: time, who, the text, how far it has come; continued lines below it. */
export function printMessage(
  message: StoredMessage,
  ownId: string,
  { name, saved = [], withTimestamp = false }: PrintOptions = {},
): void {
  const { sender, timestamp, quote, notice } = message;
  const date = new Date(timestamp);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = `${isToday ? '' : `${date.toLocaleDateString('en-CA')} `}${date.toLocaleTimeString('en-GB')}`;
  const who = sender === ownId ? 'You' : (name ?? shortId(sender));
  const shown = shownText(message, sender === ownId);
  const [first = '', ...rest] = shown.split('\n');
  const answer = quote === undefined ? '' : styled('dim', `(answers ${quote.timestamp}) `);
  const id = withTimestamp ? `${timestamp}  ` : '';
  const indent = ' '.repeat(id.length + 10);
  const isText = notice === undefined && message.marks?.deletedAt === undefined;
  const delivery = sender === ownId && isText ? deliveryOf(message) : undefined;
  const mark = delivery === undefined ? '' : `  ${MARKS[delivery.state]}`;
  print(
    `${id}${styled('dim', time)}  ${styled('bold', harmlessLine(who))}  ${answer}${first}${rest.length === 0 ? mark : ''}`,
  );
  for (const [index, line] of rest.entries())
    print(`${indent}${line}${index === rest.length - 1 ? mark : ''}`);
  printFiles(message, saved);
  const reactions = reactionsText(message, (id) => (id === ownId ? 'You' : (name ?? shortId(id))));
  if (reactions !== '') print(`${indent}${reactions}`);
  if (delivery?.state === 'failed') {
    print(`${indent}[not sent] ${delivery.nextStep}`);
    print(`${indent}allium resend ${message.conversation} ${timestamp}`);
  }
  if (delivery?.state === 'queued') print(`${indent}[not sent yet]`);
}

/** `[👍 You, Ben] [🎉 Ben]`. */
function reactionsText({ marks }: StoredMessage, nameOf: (id: string) => string): string {
  const people = new Map<string, string[]>();
  for (const { emoji, by, on } of marks?.reactions ?? []) {
    if (on) people.set(emoji, [...(people.get(emoji) ?? []), nameOf(by)]);
  }
  return harmlessLine([...people].map(([emoji, names]) => `[${emoji} ${names.join(', ')}]`).join(' '));
}

/** As in the chat. */
const MARKS = { queued: '…', stored: '✓', delivered: '✓✓', read: '✓✓✓', failed: '✗' } as const;
