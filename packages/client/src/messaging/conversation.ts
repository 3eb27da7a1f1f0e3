// SPDX-License-Identifier: MIT
// One other account, what was said, and what we do about it (spec/client §6.2–6.6, §6.9).
import type { AccountId } from '@allium/protocol/account-id';
import { ReactionAction, ReceiptType, TypingAction } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import { type Marks, marked } from '../storage/marks.ts';
import {
  type HistoryQuery,
  type MessageIdentity,
  type MessagePlace,
  placeTime,
  type Storage,
  type StoredMessage,
  type StoredRecord,
} from '../storage/storage.ts';
import type { Contact, Contacts } from './contacts.ts';
import type { Notices } from './notices.ts';
import type { Outbox, SendOptions, Sent } from './outbox.ts';
import type { OwnProfile } from './profile.ts';
import type { Settings } from './settings.ts';
import { isEmoji } from './text.ts';

/** Of the records with a `ConversationState`, by id. */
export const CONVERSATION = 'conversation';
// From the specification.
/** §6.4: so many changes in so long. */
const MAX_REACTIONS = 20;
const REACTIONS_MS = 60_000;
/** §6.3, §4.4. */
const TYPING_EVERY_MS = 10_000;
const TYPING_TTL_MS = 20_000;
// Ours.
const PAGE = 200;
/** Of the newest messages, for what is read or unread. */
const MAX_PAGES = 10;
/** Characters. */
const MAX_DRAFT = 20_000;

/** What is kept of a conversation besides its messages; of this device. */
export interface ConversationState {
  /** Where the newest message that was read stands, network time in ms (§6.3). */
  readonly readTo?: number;
  /** Stands above the others; the higher the further up (§6.9). */
  readonly pin?: number;
  /** Not in the list until there is a message after this time, network time in ms. */
  readonly hiddenAt?: number;
  /** No notifications until then, network time in ms. */
  readonly mutedUntil?: number;
  /** Text that was not sent yet. */
  readonly draft?: string;
}

interface ConversationDeps {
  readonly own: AccountId;
  readonly outbox: Outbox;
  readonly notices: Notices;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly storage: Storage;
  /** Runs one after the other. */
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  /** A network time that nothing else of ours has. */
  readonly now: () => number;
  readonly onMarked: (message: StoredMessage, before: Marks | undefined) => void;
  /** When this account reacted lately, and when it said last to whom that it is typing; changed here. */
  readonly reactionTimes: number[];
  readonly typedAt: Map<AccountId, number>;
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

  /** Oldest first; the newest that fit. */
  history(query: Partial<HistoryQuery> = {}): Promise<readonly StoredMessage[]> {
    return this.#deps.storage.history(this.id, { limit: 50, ...query });
  }

  /** Accepts a request; the other side is told when it has written (§6.2). Nothing happens a second time. */
  async approve(): Promise<void> {
    const { contacts, notices, storage, now, profile } = this.#deps;
    const { approved, approvedMe } = this.contact;
    if (approved) return;
    const answer = approvedMe
      ? notices.content(this.id, { messageRequestResponse: { isApproved: true, ...profile.toWire() } }, now())
      : undefined;
    const record = contacts.change(this.id, { approved: true, blocked: false });
    await storage.write({ records: [record, ...(answer === undefined ? [] : [answer.record])] });
    answer?.taken();
  }

  /**
   * Erases the conversation here and in our own swarm, and forgets the contact; nobody is told. They may ask again.
   * @throws ClientError `approved` when it is no request
   */
  async decline(): Promise<void> {
    if (this.contact.approved) throw new ClientError('approved', 'this account has been accepted already');
    await this.#erase();
  }

  /** From now on all that they send is dropped; they are not told (§6.9). */
  async block(): Promise<void> {
    await this.#deps.storage.write({ records: [this.#deps.contacts.change(this.id, { blocked: true })] });
  }

  async unblock(): Promise<void> {
    await this.#deps.storage.write({ records: [this.#deps.contacts.change(this.id, { blocked: false })] });
  }

  /**
   * Reacts to a message of this conversation with an emoji, or takes that back; our other devices show it too (§6.4).
   * @throws ClientError `not_found`: no such message here, or it is deleted; `bad_emoji`; `too_fast`: 20 changes a minute
   */
  async react(to: MessageIdentity, emoji: string, options: { remove?: boolean } = {}): Promise<void> {
    const { storage, notices, own, now, reactionTimes, onMarked } = this.#deps;
    if (!isEmoji(emoji)) throw new ClientError('bad_emoji', 'a reaction is one emoji');
    const message = await storage.message(to.sender, to.timestamp);
    if (message?.conversation !== this.id || message.marks?.deletedAt !== undefined) {
      throw new ClientError('not_found', 'there is no such message to react to');
    }
    const at = now();
    while (reactionTimes.length > 0 && reactionTimes[0]! < at - REACTIONS_MS) reactionTimes.shift();
    if (reactionTimes.length >= MAX_REACTIONS) {
      throw new ClientError('too_fast', `at most ${MAX_REACTIONS} reactions a minute: wait a little`);
    }
    reactionTimes.push(at);
    const on = options.remove !== true;
    const action = on ? ReactionAction.react : ReactionAction.remove;
    const reaction = { id: to.timestamp, author: to.sender, emoji, action };
    const sent = notices.content(
      this.id,
      { dataMessage: { reaction, ...(this.id === own && { syncTarget: own }) } },
      at,
      this.id === own ? {} : { copy: 'sync' },
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

  /** Removes messages from this device only; nobody is told. Those of other conversations and unknown ones stay. */
  async deleteForMe(messages: readonly MessageIdentity[]): Promise<void> {
    const { storage } = this.#deps;
    const removed: MessageIdentity[] = [];
    for (const { sender, timestamp } of messages) {
      const message = await storage.message(sender, timestamp);
      if (message?.conversation !== this.id) continue;
      if (message.state === 'sending') throw new ClientError('under_way', 'the message is just being sent');
      removed.push({ sender, timestamp });
    }
    await storage.write({ removed });
  }

  /**
   * To be called at every key: tells that we are typing, at most every 10 s, when that is wanted (`changeSettings`) and we
   * have accepted the other side. `false`: we stopped.
   */
  typing(isTyping = true): void {
    const { settings, contacts, notices, typedAt, now } = this.#deps;
    if (!settings.now.typingIndicators || !contacts.isTrusted(this.id)) return;
    const at = now();
    const last = typedAt.get(this.id);
    if (isTyping ? last !== undefined && at - last < TYPING_EVERY_MS : last === undefined) return;
    if (isTyping) typedAt.set(this.id, at);
    else typedAt.delete(this.id);
    const action = isTyping ? TypingAction.started : TypingAction.stopped;
    notices.fleeting(this.id, (timestamp) => ({ typingMessage: { timestamp, action } }), TYPING_TTL_MS);
  }

  async state(): Promise<ConversationState> {
    const record = await this.#deps.storage.record(CONVERSATION, this.id);
    return (record?.value as ConversationState | undefined) ?? {};
  }

  /** Pins, mutes, keeps a draft; undefined takes it away. @throws ClientError `too_long`: the draft */
  async change(change: {
    readonly pin?: number | undefined;
    readonly mutedUntil?: number | undefined;
    readonly draft?: string | undefined;
  }): Promise<void> {
    if (change.draft !== undefined && change.draft.length > MAX_DRAFT) {
      throw new ClientError('too_long', `a draft has at most ${MAX_DRAFT} characters`);
    }
    await this.#update((state) => ({ ...state, ...change }));
  }

  /** Takes the conversation out of the list until the next message; nothing is deleted (§6.9). */
  async hide(): Promise<void> {
    const [newest] = await this.history({ limit: 1 });
    const now = this.#deps.now();
    const hiddenAt = newest === undefined ? now : Math.max(now, placeTime(newest));
    await this.#update((state) => ({ ...state, hiddenAt }));
  }

  async unhide(): Promise<void> {
    await this.#update((state) => ({ ...state, hiddenAt: undefined }));
  }

  /** Messages of the other side after the newest read one, of the newest 2 000. */
  async unread(): Promise<number> {
    if (this.id === this.#deps.own) return 0;
    const { readTo = Number.NEGATIVE_INFINITY } = await this.state();
    return (await this.#incoming(readTo, Number.POSITIVE_INFINITY)).length;
  }

  /**
   * All up to `upTo` is read, default: all that is there. Whoever wrote it is told after a random pause when read
   * receipts are on (`changeSettings`) and we have accepted them (§6.3).
   */
  async markRead(upTo?: MessagePlace): Promise<void> {
    const { settings, contacts, notices } = this.#deps;
    const newest = upTo ?? (await this.history({ limit: 1 }))[0];
    if (newest === undefined) return;
    const readTo = placeTime(newest);
    const { readTo: before = Number.NEGATIVE_INFINITY } = await this.state();
    if (readTo <= before) return;
    const tells = settings.now.readReceipts && contacts.isTrusted(this.id);
    const read = tells ? await this.#incoming(before, readTo) : [];
    const receipts = read.length > 0 ? notices.receipts(this.id, ReceiptType.read, read) : undefined;
    await this.#update(
      (state) => ({ ...state, readTo: Math.max(readTo, state.readTo ?? readTo) }),
      receipts === undefined ? [] : [receipts.record],
    );
    receipts?.taken();
  }

  /** One change of a state at a time: each sees what the one before left. */
  async #update(
    change: (state: ConversationState) => {
      [Name in keyof ConversationState]: ConversationState[Name] | undefined;
    },
    records: readonly StoredRecord[] = [],
  ): Promise<void> {
    const { storage, inTurn } = this.#deps;
    await inTurn(async () => {
      const changed = Object.entries(change(await this.state())).filter(([, value]) => value !== undefined);
      const value = changed.length === 0 ? undefined : Object.fromEntries(changed);
      await storage.write({ records: [{ kind: CONVERSATION, key: this.id, value }, ...records] });
    });
  }

  /** Sent times of what stands after `after`, up to `upTo`. */
  async #incoming(after: number, upTo: number): Promise<readonly number[]> {
    const times: number[] = [];
    let before: StoredMessage | undefined;
    for (let pages = 0; ; pages++) {
      const page: readonly StoredMessage[] = await this.history({ limit: PAGE, ...(before && { before }) });
      for (const message of page) {
        const place = placeTime(message);
        if (place > after && place <= upTo && message.sender === this.id) times.push(message.timestamp);
      }
      before = page[0];
      if (before === undefined || placeTime(before) <= after || pages === MAX_PAGES - 1) return times;
    }
  }

  async #erase(): Promise<void> {
    const { storage, contacts, notices } = this.#deps;
    for (;;) {
      const page = await this.history({ limit: PAGE });
      const removed: MessageIdentity[] = page.map(({ sender, timestamp }) => ({ sender, timestamp }));
      const hashes = page.map(({ hash }) => hash).filter((hash) => hash !== undefined);
      const deletion = hashes.length > 0 ? notices.deletion(hashes) : undefined;
      const isLast = page.length < PAGE;
      await storage.write({
        removed,
        records: [
          ...(deletion === undefined ? [] : [deletion.record]),
          ...(isLast
            ? [contacts.forget(this.id), { kind: CONVERSATION, key: this.id, value: undefined }]
            : []),
        ],
      });
      deletion?.taken();
      if (isLast) return;
    }
  }
}

const identityOf = ({ sender, timestamp }: MessageIdentity): MessageIdentity => ({ sender, timestamp });
