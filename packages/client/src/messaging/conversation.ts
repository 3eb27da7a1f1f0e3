// SPDX-License-Identifier: MIT
// One other account, what was said, and what we do about it (spec/client §6.2–6.6, §6.9).
import type { AccountId } from '@allium/protocol/account-id';
import { utf8 } from '@allium/protocol/bytes';
import {
  DataExtractionType,
  ReactionAction,
  ReceiptType,
  TypingAction,
} from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import { type Marks, marked } from '../storage/marks.ts';
import {
  type Changes,
  type HistoryQuery,
  type MessageIdentity,
  type MessagePlace,
  placeTime,
  type Storage,
  type StoredMessage,
  type Timer,
} from '../storage/storage.ts';
import type { Contact, ContactChange, Contacts } from './contacts.ts';
import type { ConversationState, ConversationStates, StateChange } from './conversation-states.ts';
import { checkEditable, editToWire } from './edits.ts';
import { accountIdIn } from './effects.ts';
import type { Notices } from './notices.ts';
import type { Outbox, SendOptions } from './outbox.ts';
import type { OwnTimes } from './own-times.ts';
import type { Pace } from './pace.ts';
import { MAX_NAME_BYTES, type OwnProfile } from './profile.ts';
import { startTimers } from './read-timers.ts';
import { saidBetween } from './reading.ts';
import type { Settings } from './settings.ts';
import type { Sent } from './storing.ts';
import { checkLength, isEmoji } from './text.ts';
import { checkTimer, EXPIRATION_TIMER_UPDATE, isOver, isSameTimer, timerToWire, ttlOf } from './timers.ts';
import { writeOrUndo } from './write-or-undo.ts';

// From the specification.
/** §6.3, §4.4. */
const TYPING_TTL_MS = 20_000;
// Ours.
/** Characters. */
const MAX_DRAFT = 20_000;

export type { ConversationState };

interface ConversationDeps {
  readonly own: AccountId;
  readonly outbox: Outbox;
  readonly notices: Notices;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly storage: Storage;
  readonly states: ConversationStates;
  /** Removes the messages of a conversation that was erased; resolves when that is done. */
  readonly eraseMessages: (id: AccountId) => Promise<void>;
  /** A network time that nothing else of this process has. */
  readonly now: () => number;
  /** The same for what stands in the conversation. */
  readonly times: OwnTimes;
  /** Network time. */
  readonly time: () => number;
  readonly onMarked: (message: StoredMessage, before: Marks | undefined) => void;
  /** A line that tells of something was added by us. */
  readonly onNotice: (message: StoredMessage) => void;
  /** Messages were removed from this device. */
  readonly onRemoved: (message: StoredMessage) => void;
  /** Of the account, in all its conversations. */
  readonly pace: Pace;
}

export class Conversation {
  readonly id: AccountId;
  readonly #deps: ConversationDeps;

  constructor(id: AccountId, deps: ConversationDeps) {
    this.id = id;
    this.#deps = deps;
  }

  /** Flags and profile; somebody unknown has none. */
  get contact(): Contact {
    return this.#deps.contacts.get(this.id);
  }

  /**
   * Resolves when members of the recipient's swarm have proven that they keep the message. Who writes accepts.
   * @throws ClientError: `empty`, `too_long`; `not_stored`, `no_path`, `no_nodes`, `no_network`, `clock`, `aborted`:
   * the message is in the history as failed; `closed`: it is sent at the next start
   */
  send(text: string, options: SendOptions = {}): Promise<Sent> {
    return this.#deps.outbox.send(this.id, text, options);
  }

  /** Sends a failed message once more. @throws as `send`; ClientError `not_failed` */
  resend(timestamp: number, options: { signal?: AbortSignal } = {}): Promise<Sent> {
    return this.#deps.outbox.resend(timestamp, options.signal);
  }

  /**
   * Ends the sending of a message, and the upload of its files; it stays in the history as failed (`aborted`) and can be sent again.
   * False when it is not being sent by this device now.
   */
  cancel(timestamp: number): boolean {
    return this.#deps.outbox.cancel(timestamp);
  }

  /** The message that one of this conversation answers, where it is here; for its text and the picture beside it (§6.5). */
  async quoted({ quote }: Pick<StoredMessage, 'quote'>): Promise<StoredMessage | undefined> {
    const author = accountIdIn(quote?.author);
    if (quote === undefined || author === undefined) return undefined;
    const message = await this.#deps.storage.message(author, quote.timestamp);
    const isThere = message?.conversation === this.id && !isOver(message, this.#deps.time());
    return isThere ? message : undefined;
  }

  /** Oldest first; the newest that fit. What is over is left out, also where it could not be removed yet. */
  async history(query: Partial<HistoryQuery> = {}): Promise<readonly StoredMessage[]> {
    const { limit = 50 } = query;
    const found = await this.#deps.storage.history(this.id, { ...query, limit });
    const now = this.#deps.time();
    const there = found.filter((message) => !isOver(message, now));
    const over = found.length - there.length;
    if (over === 0 || found.length < limit) return there;
    return [...(await this.history({ limit: over, before: found[0]! })), ...there];
  }

  /** Accepts a request; the other side is told when it has written (§6.2). Nothing happens a second time. */
  async approve(): Promise<void> {
    const { notices, now, profile } = this.#deps;
    const { approved, approvedMe } = this.contact;
    if (approved) return;
    const answer = approvedMe
      ? notices.content(this.id, { messageRequestResponse: { isApproved: true, ...profile.toWire() } }, now())
      : undefined;
    const records = answer === undefined ? [] : [answer.record];
    await this.#changeContact({ approved: true, blocked: false }, { records });
    answer?.taken();
  }

  /**
   * As `erase`, for a request.
   * @throws ClientError `approved` when it is none
   */
  async decline(): Promise<void> {
    if (this.contact.approved) throw new ClientError('approved', 'this account has been accepted already');
    await this.#erase();
  }

  /**
   * Erases the conversation on all our devices and in our own swarm, and forgets the contact; nobody is told. They may
   * write again.
   * @throws ClientError `own_account`: notes to self
   */
  async erase(): Promise<void> {
    if (this.id === this.#deps.own) throw new ClientError('own_account', 'notes to self cannot be erased');
    await this.#erase();
  }

  /** From now on all that they send is dropped; they are not told (§6.9). */
  async block(): Promise<void> {
    await this.#changeContact({ blocked: true });
  }

  async unblock(): Promise<void> {
    await this.#changeContact({ blocked: false });
  }

  /**
   * Reacts to a message of this conversation with an emoji, or takes that back; our other devices show it too (§6.4).
   * @throws ClientError `not_found`: no such message here, or it is deleted; `under_way`: one of ours, which is just being sent
   * and may get another time by that; `bad_emoji`; `too_fast`: 20 changes a minute
   */
  async react(to: MessageIdentity, emoji: string, options: { remove?: boolean } = {}): Promise<void> {
    const { storage, notices, own, now, pace, onMarked } = this.#deps;
    if (!isEmoji(emoji)) throw new ClientError('bad_emoji', 'a reaction is one emoji');
    const message = await storage.message(to.sender, to.timestamp);
    if (message?.conversation !== this.id || message.marks?.deletedAt !== undefined) {
      throw new ClientError('not_found', 'there is no such message to react to');
    }
    if (message.state === 'sending') throw new ClientError('under_way', 'the message is just being sent');
    const at = now();
    pace.reacted(at);
    const on = options.remove !== true;
    const action = on ? ReactionAction.react : ReactionAction.remove;
    const reaction = { id: to.timestamp, author: to.sender, emoji, action };
    const sent = notices.content(
      this.id,
      {
        dataMessage: { reaction, ...(this.id === own && { syncTarget: own }) },
        ...timerToWire(this.contact.timer),
      },
      at,
      this.#copied(this.contact.timer),
    );
    const marks: Marks = { reactions: [{ by: own, emoji, at, on }] };
    await storage.write({ marked: [{ ...identityOf(to), marks }], records: [sent.record] });
    sent.taken();
    onMarked(marked(message, marks), message.marks);
  }

  /**
   * Takes a message of ours back: it is deleted on all our devices and, if their clients obey, on those of the other
   * side; a placeholder without text stays (§6.6).
   * @throws ClientError `not_found`: no message of ours; `under_way`: it is just being sent
   */
  async deleteForEveryone(timestamp: number): Promise<void> {
    const { storage, notices, own, now, onMarked } = this.#deps;
    const message = await storage.message(own, timestamp);
    if (message?.conversation !== this.id)
      throw new ClientError('not_found', 'there is no such message of ours');
    if (message.state === 'sending') throw new ClientError('under_way', 'the message is just being sent');
    if (message.marks?.deletedAt !== undefined) return;
    const at = now();
    // Also when it failed: a node may have kept it all the same.
    const unsend = notices.content(
      this.id,
      { unsendRequest: { timestamp, author: own } },
      at,
      this.id === own ? {} : { copy: 'same' },
    );
    const deletion = message.hash === undefined ? undefined : notices.deletion([message.hash]);
    const deleted = marked(
      { ...message, ...(message.copyPending && { copyPending: false }) },
      { deletedAt: at },
    );
    await storage.write({
      messages: [deleted],
      records: [unsend.record, ...(deletion === undefined ? [] : [deletion.record])],
    });
    unsend.taken();
    deletion?.taken();
    onMarked(deleted, message.marks);
  }

  /**
   * A new version of a text of ours, within 24 hours (docs/decisions/0030): clients like this one show it in place of the
   * first, others as an answer to it. Nothing happens when it says the same.
   * @throws ClientError `not_found`: no message of ours; `empty`, `too_long`; `under_way`: it is not sent yet; `too_late`
   */
  async edit(timestamp: number, text: string): Promise<void> {
    const { storage, notices, own, times, onMarked } = this.#deps;
    if (text === '') throw new ClientError('empty', 'a message without text; to take it back, delete it');
    checkLength(text);
    const at = await times.free();
    const found = await storage.message(own, timestamp);
    const message = found?.conversation === this.id ? found : undefined;
    checkEditable(message, at);
    if (message.text === text) return;
    const { timer, marks: { expiresAt = Number.POSITIVE_INFINITY } = {} } = message;
    const copied = this.#copied(timer);
    // It is kept no longer than what it replaces.
    const copyTtlMs = Math.min(copied.copyTtlMs, expiresAt - at);
    const ttlMs = timer?.mode === 'after_send' ? copyTtlMs : copied.ttlMs;
    const sent = notices.content(
      this.id,
      {
        dataMessage: { ...editToWire(message, text), ...(this.id === own && { syncTarget: own }) },
        ...timerToWire(timer),
      },
      at,
      { ...copied, ttlMs, copyTtlMs },
    );
    const marks: Marks = { edits: [{ at, text }] };
    await storage.write({ marked: [{ ...identityOf(message), marks }], records: [sent.record] });
    sent.taken();
    onMarked(marked(message, marks), message.marks);
  }

  /** Removes messages from this device only; nobody is told. Those of other conversations and unknown ones stay. */
  async deleteForMe(messages: readonly MessageIdentity[]): Promise<void> {
    const { storage } = this.#deps;
    const removed: StoredMessage[] = [];
    for (const { sender, timestamp } of messages) {
      const message = await storage.message(sender, timestamp);
      if (message?.conversation !== this.id) continue;
      if (message.state === 'sending') throw new ClientError('under_way', 'the message is just being sent');
      removed.push(message);
    }
    await storage.write({ removed: removed.map(identityOf) });
    for (const message of removed) this.#deps.onRemoved(message);
  }

  /** What we send here disappears so; undefined: it stays. */
  get timer(): Timer | undefined {
    return this.contact.timer;
  }

  /**
   * From now on what we send here disappears, or, without a timer, stays; the other side and our other devices are told
   * (§6.7). What the other side sends is theirs to set.
   * @throws ClientError `bad_timer`
   */
  async setTimer(timer: Timer | undefined): Promise<void> {
    const { own, times } = this.#deps;
    if (timer !== undefined) checkTimer(timer, this.id === own);
    if (isSameTimer(timer, this.timer)) return;
    await times.take(await times.free(), (at) => this.#setTimer(timer, at));
  }

  async #setTimer(timer: Timer | undefined, at: number): Promise<void> {
    const { own, notices, onNotice } = this.#deps;
    const change = { timer, timerChangedAt: at };
    // Whom we have never written to learns it from the first message.
    if (!this.contact.approved) return this.#changeContact(change);
    const sent = notices.content(
      this.id,
      {
        dataMessage: { flags: EXPIRATION_TIMER_UPDATE, ...(this.id === own && { syncTarget: own }) },
        ...timerToWire(timer),
      },
      at,
      this.#copied(timer),
    );
    const message: StoredMessage = {
      sender: own,
      timestamp: at,
      conversation: this.id,
      text: '',
      state: 'sent',
      handled: true,
      notice: { kind: 'timer', ...(timer !== undefined && { timer }) },
      ...(timer !== undefined && { timer, marks: { expiresAt: at + timer.seconds * 1_000 } }),
    };
    await this.#changeContact(change, { fresh: [message], messages: [message], records: [sent.record] });
    sent.taken();
    onNotice(message);
  }

  /**
   * Tells the other side that we saved a file of theirs, or took a screenshot (§6.8): to be called by the program when it
   * happened. Nothing is told to people who are not accepted.
   * @throws ClientError `not_found`: no such message of the other side
   */
  async tellSaved(saved: MessageIdentity, kind: 'media_saved' | 'screenshot' = 'media_saved'): Promise<void> {
    const { contacts, storage, notices, now } = this.#deps;
    const message = await storage.message(saved.sender, saved.timestamp);
    if (message?.conversation !== this.id || message.sender !== this.id) {
      throw new ClientError('not_found', 'there is no such message of the other side');
    }
    if (!contacts.isTrusted(this.id)) return;
    const type = kind === 'screenshot' ? DataExtractionType.screenshot : DataExtractionType.mediaSaved;
    const { timer } = this;
    const sent = notices.content(
      this.id,
      {
        dataExtractionNotification: { type, timestamp: saved.timestamp },
        // §6.7: it counts from reading.
        ...timerToWire(timer && { mode: 'after_read', seconds: timer.seconds }),
      },
      now(),
    );
    await storage.write({ records: [sent.record] });
    sent.taken();
  }

  /** How what we say besides messages goes to our other devices, and how long swarms keep it. */
  #copied(timer: Timer | undefined) {
    const ttls = { ttlMs: ttlOf(timer, this.id === this.#deps.own), copyTtlMs: ttlOf(timer, true) };
    return this.id === this.#deps.own ? ttls : { copy: 'sync' as const, ...ttls };
  }

  /**
   * To be called at every key: tells that we are typing, at most every 10 s, when that is wanted (`changeSettings`) and we
   * have accepted the other side. `false`: we stopped.
   */
  typing(isTyping = true): void {
    const { settings, contacts, notices, pace, now } = this.#deps;
    if (!settings.now.typingIndicators || !contacts.isTrusted(this.id)) return;
    if (!pace.tellsTyping(this.id, isTyping, now())) return;
    const action = isTyping ? TypingAction.started : TypingAction.stopped;
    notices.fleeting(this.id, (timestamp) => ({ typingMessage: { timestamp, action } }), TYPING_TTL_MS);
  }

  async state(): Promise<ConversationState> {
    return this.#deps.states.get(this.id);
  }

  /** Pins, mutes, keeps a draft; undefined takes it away. @throws ClientError `too_long`: the draft */
  async change(change: {
    readonly pin?: number | undefined;
    readonly mutedUntil?: number | undefined;
    readonly notifications?: 'all' | 'none' | undefined;
    readonly draft?: string | undefined;
  }): Promise<void> {
    if (change.draft !== undefined && change.draft.length > MAX_DRAFT) {
      throw new ClientError('too_long', `a draft has at most ${MAX_DRAFT} characters`);
    }
    // What is pinned is seen.
    await this.#update({ ...change, ...(change.pin !== undefined && { hiddenAt: undefined }) });
  }

  /** How we call them, on all our devices; undefined: as they call themselves. @throws ClientError `too_long` */
  async setNickname(nickname: string | undefined): Promise<void> {
    if (nickname !== undefined && utf8(nickname).length > MAX_NAME_BYTES) {
      throw new ClientError('too_long', `a nickname has at most ${MAX_NAME_BYTES} bytes`);
    }
    await this.#changeContact({ nickname });
  }

  /** Takes the conversation out of the list until the next message; nothing is deleted (§6.9). */
  async hide(): Promise<void> {
    const [newest] = await this.history({ limit: 1 });
    const now = this.#deps.now();
    const hiddenAt = newest === undefined ? now : Math.max(now, placeTime(newest));
    await this.#update({ hiddenAt });
  }

  async unhide(): Promise<void> {
    await this.#update({ hiddenAt: undefined });
  }

  /** Messages of the other side after the newest read one, of the newest 2 000. */
  async unread(): Promise<number> {
    if (this.id === this.#deps.own) return 0;
    const { readTo = Number.NEGATIVE_INFINITY } = await this.state();
    return (await this.#incoming(readTo, Number.POSITIVE_INFINITY)).filter(isSaid).length;
  }

  /**
   * All up to `upTo` is read, default: all that is there. Whoever wrote it is told after a random pause when read
   * receipts are on (`changeSettings`) and we have accepted them (§6.3). A `markUnread` that comes meanwhile stays.
   */
  async markRead(upTo?: MessagePlace): Promise<void> {
    const { settings, contacts, notices, states } = this.#deps;
    if (states.get(this.id).isMarkedUnread) await this.#update({ isMarkedUnread: undefined });
    const newest = upTo ?? (await this.history({ limit: 1 }))[0];
    if (newest === undefined) return;
    const readTo = placeTime(newest);
    const { readTo: before = Number.NEGATIVE_INFINITY } = await this.state();
    if (readTo <= before) return;
    const read = await this.#incoming(before, readTo);
    const times = read.filter(isSaid).map(({ timestamp }) => timestamp);
    const tells = times.length > 0 && settings.now.readReceipts && contacts.isTrusted(this.id);
    const receipts = tells ? notices.receipts(this.id, ReceiptType.read, times) : undefined;
    const started = startTimers(read, this.#deps.now(), notices);
    const { readTo: now = readTo } = await this.state();
    await this.#update(
      { readTo: Math.max(readTo, now) },
      {
        ...started.changes,
        records: [...started.changes.records, ...(receipts === undefined ? [] : [receipts.record])],
      },
    );
    receipts?.taken();
    started.taken();
    for (const message of started.messages) this.#deps.onMarked(message, undefined);
  }

  /** Another of our devices has read up to there, network time in ms: nobody is told, but timers run (§6.7). */
  async readElsewhere(upTo: number): Promise<void> {
    const { storage, notices, now, onMarked } = this.#deps;
    const started = startTimers(await this.#incoming(Number.NEGATIVE_INFINITY, upTo), now(), notices);
    if (started.messages.length === 0) return;
    await storage.write(started.changes);
    started.taken();
    for (const message of started.messages) onMarked(message, undefined);
  }

  /** Shows it as unread on all our devices, until it is read again; nobody else is told. */
  async markUnread(): Promise<void> {
    if (this.id !== this.#deps.own) await this.#update({ isMarkedUnread: true });
  }

  async #update(change: StateChange, more: Pick<Changes, 'records' | 'marked'> = {}): Promise<void> {
    const { storage, states } = this.#deps;
    const before = states.get(this.id);
    const record = states.change(this.id, change);
    await writeOrUndo(
      storage,
      { ...more, records: [record, ...(more.records ?? [])] },
      {
        before,
        changed: Object.keys(change) as (keyof ConversationState)[],
        now: () => states.get(this.id),
        put: (undone: StateChange) => states.change(this.id, undone),
      },
    );
  }

  async #changeContact(
    change: ContactChange,
    more: Pick<Changes, 'fresh' | 'messages' | 'records'> = {},
  ): Promise<void> {
    const { storage, contacts } = this.#deps;
    const before = this.contact;
    const record = contacts.change(this.id, change);
    await writeOrUndo(
      storage,
      { ...more, records: [record, ...(more.records ?? [])] },
      {
        before,
        changed: Object.keys(change) as (keyof Contact)[],
        now: () => this.contact,
        put: (undone: ContactChange) => contacts.change(this.id, undone),
      },
    );
  }

  #incoming(after: number, upTo: number): Promise<readonly StoredMessage[]> {
    return saidBetween(this.id, after, upTo, (query) => this.history(query));
  }

  async #erase(): Promise<void> {
    const { storage, contacts, eraseMessages } = this.#deps;
    await storage.write({ records: [contacts.forget(this.id)] });
    await eraseMessages(this.id);
  }
}

const isSaid = ({ notice, marks }: StoredMessage): boolean =>
  notice === undefined && marks?.deletedAt === undefined;

const identityOf = ({ sender, timestamp }: MessageIdentity): MessageIdentity => ({ sender, timestamp });
