// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages as rows of a terminal: days, groups of one sender, quotes, reactions, how far a message has come.
import { deliveryOf } from '@allium/client/delivery';
import { placeTime, type StoredMessage } from '@allium/client/storage';
import { durationText } from '../durations.ts';
import { cut, shown, shownInLine, widthOf, wrapped } from './cells.ts';
import { isSame } from './history-window.ts';

/** Looks the same on dark and light terminals, and says nothing that words do not say. */
export interface Span {
  readonly text: string;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly inverse?: boolean;
  readonly color?: 'cyan' | 'magenta' | 'red' | 'green' | undefined;
}

export interface Row {
  readonly spans: readonly Span[];
  /** The message that it belongs to; undefined: between messages. */
  readonly message?: StoredMessage;
}

export interface RowContext {
  readonly ownId: string;
  readonly width: number;
  readonly titleOf: (id: string) => string;
  /** Where what is new begins, network time in ms. */
  readonly readTo: number | undefined;
  /** How far files of a message are, in words; empty: nothing is under way. */
  readonly progressOf: (message: StoredMessage) => string;
  /** Messages that others quote, by sender and timestamp, as far as they are loaded. */
  readonly find: (reference: { author: string; timestamp: number }) => StoredMessage | undefined;
  readonly now: number;
}

// Ours.
/** Messages of one person within so long have one heading. */
const GROUP_MS = 5 * 60_000;
const MARGIN = 2;
/** Room for the marks of own messages at the right edge. */
const MARKS = 4;
const QUOTE_LINES = 2;
/** Of one message: more is shown by its details. */
const MAX_LINES = 200;

/** All rows, oldest first. */
export function rowsOf(messages: readonly StoredMessage[], context: RowContext): readonly Row[] {
  const rows: Row[] = [];
  let previous: StoredMessage | undefined;
  let previousAt: number | undefined;
  let isMarked = false;
  for (const message of messages) {
    const at = placeTime(message);
    const isNewDay = previousAt === undefined || dayOf(previousAt) !== dayOf(at);
    previousAt = at;
    if (isNewDay) rows.push(divider(dayText(at, context.now), context.width));
    const isUnread = context.readTo !== undefined && at > context.readTo && message.sender !== context.ownId;
    const startsNew = isUnread && !isMarked;
    if (startsNew) {
      isMarked = true;
      rows.push(divider('new', context.width, 'red'));
    }
    const isGroup =
      !isNewDay && !startsNew && previous?.sender === message.sender && at - placeTime(previous) < GROUP_MS;
    if (message.notice !== undefined) {
      for (const line of wrapped(noticeText(message, context), context.width)) {
        rows.push({ message, spans: centered(line, context.width) });
      }
      previous = undefined;
      continue;
    }
    if (!isGroup) {
      if (!isNewDay && !startsNew) rows.push({ spans: [{ text: '' }] });
      rows.push(heading(message, context));
    }
    rows.push(...bodyOf(message, context));
    previous = message;
  }
  return rows;
}

function heading(message: StoredMessage, { ownId, titleOf, width }: RowContext): Row {
  const isOwn = message.sender === ownId;
  const time = timeText(placeTime(message));
  const name = cut(isOwn ? 'You' : titleOf(message.sender), Math.max(4, width - MARGIN - time.length - 2));
  return {
    message,
    spans: [
      { text: ' '.repeat(MARGIN) },
      { text: name, bold: true, color: isOwn ? 'cyan' : 'magenta' },
      { text: `  ${time}`, dim: true },
    ],
  };
}

const bodies = new WeakMap<StoredMessage, { readonly key: string; readonly rows: readonly Row[] }>();

/** Cached: a message that has not changed is the same object. */
function bodyOf(message: StoredMessage, context: RowContext): readonly Row[] {
  const quoted = message.quote === undefined ? undefined : context.find(message.quote);
  const key = `${context.width} ${context.progressOf(message)} ${message.quote === undefined ? '' : `${context.titleOf(message.quote.author)} ${quoted?.text}`}`;
  const known = bodies.get(message);
  if (known?.key === key) return known.rows;
  const rows = makeBody(message, quoted, context);
  bodies.set(message, { key, rows });
  return rows;
}

function makeBody(
  message: StoredMessage,
  quoted: StoredMessage | undefined,
  { ownId, width, titleOf, progressOf }: RowContext,
): readonly Row[] {
  const isOwn = message.sender === ownId;
  const textWidth = Math.max(8, width - MARGIN - MARKS);
  const indent: Span = { text: ' '.repeat(MARGIN) };
  const rows: Row[] = [];
  const { quote, marks } = message;
  if (marks?.deletedAt !== undefined) {
    return [{ message, spans: [indent, { text: 'This message was deleted.', dim: true }] }];
  }
  if (quote !== undefined) {
    const who = quote.author === ownId ? 'You' : titleOf(quote.author);
    const text = quoted === undefined ? 'a message that is not here' : shown(quoted.text);
    const [first = '', ...others] = wrapped(`${who}: ${text}`, textWidth - 2, QUOTE_LINES);
    for (const line of [first, ...others])
      rows.push({ message, spans: [indent, { text: `│ ${line}`, dim: true }] });
  }
  if (message.text !== '') {
    for (const line of wrapped(shown(message.text), textWidth, MAX_LINES)) {
      rows.push({ message, spans: [indent, { text: line }] });
    }
  }
  for (const line of fileLines(message)) {
    rows.push({ message, spans: [indent, { text: cut(line, textWidth), color: 'cyan' }] });
  }
  const progress = progressOf(message);
  if (progress !== '') rows.push({ message, spans: [indent, { text: cut(progress, textWidth), dim: true }] });
  if (rows.length === 0)
    rows.push({ message, spans: [indent, { text: '(nothing that can be shown)', dim: true }] });
  if (isOwn) withMark(rows, message, width);
  else if (message.marks?.edits !== undefined) {
    const last = rows.at(-1)!;
    rows[rows.length - 1] = { message, spans: [...last.spans, { text: '  edited', dim: true }] };
  }
  const reactions = reactionText(message);
  if (reactions !== '')
    rows.push({ message, spans: [indent, { text: cut(reactions, textWidth), dim: true }] });
  return rows;
}

/** One line for each file, and for what a link leads to. */
export function fileLines({ attachments = [], preview }: StoredMessage): readonly string[] {
  const lines = attachments.map((file) => {
    const name = shownInLine(file.fileName ?? file.contentType);
    const what = file.isVoice === true ? `voice message${lengthText(file.durationMs)}` : `file: ${name}`;
    const size = file.sizeBytes > 0 ? `, ${sizeText(file.sizeBytes)}` : '';
    const trouble = file.problem === undefined ? '' : ', cannot be opened';
    return `[${what}${size}${trouble}]`;
  });
  const title = shownInLine(preview?.title ?? '');
  return title === '' ? lines : [...lines, `[link: ${title}]`];
}

function sizeText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function lengthText(ms: number | undefined): string {
  if (ms === undefined) return '';
  const seconds = Math.round(ms / 1000);
  return `, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function noticeText({ sender, notice }: StoredMessage, { ownId, titleOf }: RowContext): string {
  const who = sender === ownId ? 'You' : titleOf(sender);
  if (notice === undefined) return '';
  if (notice.kind !== 'timer')
    return `${who} ${notice.kind === 'screenshot' ? 'took a screenshot' : 'saved a file'}`;
  const what = sender === ownId ? 'what you send' : 'what they send';
  if (notice.timer === undefined) return `${who} let ${what} stay`;
  const after = notice.timer.mode === 'after_read' ? 'being read' : 'being sent';
  return `${who} let ${what} disappear ${durationText(notice.timer.seconds)} after ${after}`;
}

function centered(text: string, width: number): readonly Span[] {
  return [{ text: ' '.repeat(Math.max(0, Math.floor((width - widthOf(text)) / 2))) }, { text, dim: true }];
}

/** At the right edge of the last row; a failure has a row of its own. */
function withMark(rows: Row[], message: StoredMessage, width: number): void {
  const delivery = deliveryOf(message);
  if (delivery.state === 'failed') {
    const why = `✗ not sent (${delivery.reason}): ${delivery.nextStep}`;
    for (const text of wrapped(why, Math.max(8, width - MARGIN))) {
      rows.push({ message, spans: [{ text: ' '.repeat(MARGIN) }, { text, color: 'red' }] });
    }
    return;
  }
  const last = rows.at(-1)!;
  const used = last.spans.reduce((sum, span) => sum + widthOf(span.text), 0);
  const mark = DELIVERY_MARKS[delivery.state];
  const edited = message.marks?.edits === undefined ? '' : ' edited';
  const gap = ' '.repeat(Math.max(1, width - used - mark.length - edited.length));
  const isRead = delivery.state === 'read';
  rows[rows.length - 1] = {
    message,
    spans: [
      ...last.spans,
      { text: edited, dim: true },
      { text: gap },
      { text: mark, ...(isRead ? { color: 'green' } : { dim: true }) },
    ],
  };
}

/** Told apart without colours. */
const DELIVERY_MARKS = { queued: '…', stored: '✓', delivered: '✓✓', read: '✓✓✓' } as const;

function reactionText({ marks }: StoredMessage): string {
  const counts = new Map<string, number>();
  for (const { emoji, on } of marks?.reactions ?? []) {
    if (on) counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  }
  return [...counts].map(([emoji, count]) => `${shown(emoji)} ${count}`).join('  ');
}

export function divider(text: string, width: number, color?: Span['color']): Row {
  const label = ` ${text} `;
  const rest = Math.max(0, width - label.length);
  const left = Math.floor(rest / 2);
  return {
    spans: [
      {
        text: cut(`${'─'.repeat(left)}${label}${'─'.repeat(rest - left)}`, width),
        dim: color === undefined,
        color,
      },
    ],
  };
}

/** Everything that is known of a message, for people. */
export function detailsOf(
  message: StoredMessage,
  ownId: string,
  titleOf: (id: string) => string,
): readonly string[] {
  const lines: string[] = [];
  const add = (name: string, value: string) => lines.push(`${name.padEnd(11)} ${shownInLine(value)}`);
  add('From', message.sender === ownId ? 'you' : `${titleOf(message.sender)} (${message.sender})`);
  add('Sent', fullTime(message.timestamp));
  if (message.sender === ownId) {
    const delivery = deliveryOf(message);
    add('State', delivery.state);
    if (delivery.stored !== undefined) {
      add('Stored', `by ${delivery.stored} of ${delivery.of ?? '?'} members of the swarm, who signed for it`);
    }
    if (delivery.deliveredAt !== undefined) add('Delivered', fullTime(delivery.deliveredAt));
    if (delivery.readAt !== undefined) add('Read', fullTime(delivery.readAt));
    if (delivery.state === 'stored' && message.conversation !== ownId) {
      add('', 'No device has confirmed it yet: the other side is offline or does not confirm.');
    }
    if (delivery.state === 'failed') {
      add('Reason', delivery.reason ?? 'unknown');
      add('Next step', `${delivery.nextStep} (key s on the message)`);
    }
  }
  for (const { text, at } of message.marks?.edits ?? [])
    add('Edited', `${fullTime(at)}: ${text.slice(0, 300)}`);
  if (message.original !== undefined) add('First', message.original.slice(0, 300));
  if (message.marks?.expiresAt !== undefined) add('Disappears', fullTime(message.marks.expiresAt));
  else if (message.timer !== undefined) {
    add(
      'Disappears',
      `${durationText(message.timer.seconds)} after being ${message.timer.mode === 'after_read' ? 'read' : 'sent'}`,
    );
  }
  if (message.hash !== undefined) add('Hash', message.hash);
  for (const { by, emoji, on, at } of message.marks?.reactions ?? []) {
    if (on) add('Reaction', `${shown(emoji)} ${by === ownId ? 'you' : titleOf(by)}, ${fullTime(at)}`);
  }
  return lines;
}

const dayOf = (at: number): string => new Date(at).toDateString();

// Made once: making one takes longer than using it a thousand times.
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const WEEKDAY = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const WITH_YEAR = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full' });
const SHORT_DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const FULL = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** Times of strangers may be none that a calendar knows. */
function formatted(format: Intl.DateTimeFormat, at: number): string {
  return Math.abs(at) <= 8.64e15 ? format.format(at) : '?';
}

function dayText(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return 'Today';
  if (dayOf(at) === dayOf(now - 86_400_000)) return 'Yesterday';
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return formatted(sameYear ? WEEKDAY : WITH_YEAR, at);
}

const timeText = (at: number): string => formatted(CLOCK, at);

/** Of a list: the time of today, else the day. */
export function listTime(at: number, now: number): string {
  if (at === 0) return '';
  return dayOf(at) === dayOf(now) ? timeText(at) : formatted(SHORT_DAY, at);
}

const fullTime = (at: number): string => formatted(FULL, at);

/** Finds messages by identity, of those that are loaded. */
export function finderOf(messages: readonly StoredMessage[]): RowContext['find'] {
  return ({ author, timestamp }) => messages.find((one) => isSame(one, { sender: author, timestamp }));
}
