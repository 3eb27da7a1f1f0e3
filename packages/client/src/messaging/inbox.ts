// SPDX-License-Identifier: MIT
// The namespace of messages (spec/client §4.3): what arrives is opened and becomes messages of conversations, each once
// and at a place that is the same on all devices. What is of no use to us is only marked seen.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { toBase64 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  DataExtractionType,
  type DataMessage,
  ReceiptType,
  saysMore,
  TypingAction,
} from '@allium/protocol/message/content';
import { decryptMessage, type IncomingMessage, MessageError } from '@allium/protocol/message/encryption-v1';
import type { RetrievedMessage } from '@allium/protocol/storage/responses';
import { readFiles, type StoredFiles, sameKeys } from '../files/stored-attachment.ts';
import { type Marks, marked } from '../storage/marks.ts';
import {
  compareMessages,
  type MessagePlace,
  placedAt,
  placeTime,
  type Storage,
  type StoredMessage,
  type StoredRecord,
} from '../storage/storage.ts';
import type { Contact, Contacts } from './contacts.ts';
import { conversationOf, isAcceptable, isLegacy, isNew, isTimerUpdate } from './content-kinds.ts';
import { editIn } from './edits.ts';
import { accountIdIn, type Effect, effectsOf } from './effects.ts';
import type { Arrived, Follower, TakenIn } from './followers.ts';
import {
  hasRoom,
  keptRecord,
  openKept,
  REREAD,
  type Told,
  toReread,
  type Understood,
} from './kept-contents.ts';
import type { Notices, Prepared } from './notices.ts';
import { applyEffects } from './pending.ts';
import { identityOf, isMoved, MAX_CLASHES, merge, placeOf, sortTimeOf } from './places.ts';
import type { Settings } from './settings.ts';
import { expiryOf, timerIn } from './timers.ts';

// From the specification.
/** §4.4: typing that is older is over. */
const TYPING_MS = 20_000;

/** What one answer leads to. */
interface Batch {
  readonly arrived: Map<string, StoredMessage>;
  readonly effects: Effect[];
  /** The last one of each contact counts. */
  readonly contacts: Map<AccountId, StoredRecord>;
  readonly onWritten: (() => void)[];
  readonly prepared: Prepared[];
  readonly kept: StoredRecord[];
  /** Contents that this client does not understand, kept or not. */
  unknown: number;
  unreadable: number;
}

interface InboxDeps {
  /** Whether what stands at this place is older than this device, which is not the first of its account. */
  readonly isBeforeLink: (place: number) => boolean;
  /** Whether a conversation was erased after a message at this place, which a swarm took then. */
  readonly isErased: (conversation: AccountId, place: number, storedAt: number) => boolean;
  readonly account: Account;
  readonly storage: Storage;
  readonly env: Env;
  /** Network time. */
  readonly now: () => number;
  /** New, and stored already. */
  readonly onMessage: (message: StoredMessage) => void;
  /** Something happened to a message that was there before. */
  readonly onMarked: (message: StoredMessage, before: Marks | undefined) => void;
  /** Somebody whom we do not accept has written for the first time. */
  readonly onRequest: (contact: Contact) => void;
  /** Somebody to whom we wrote accepts us. */
  readonly onAccepted: (contact: Contact) => void;
  /** Somebody whom we accept began or stopped typing. */
  readonly onTyping: (id: AccountId, isTyping: boolean) => void;
  readonly contacts: Contacts;
  /** Prepares receipts; the record is written with the messages. */
  readonly receipts: Notices['receipts'];
  /** The same for the deletion of hashes in our own swarm, and for keeping them shorter. */
  readonly deletion: Notices['deletion'];
  readonly shortening: Notices['shortening'];
  readonly settings: Settings;
  /** Where the newest message of a conversation stands that was read on any device. */
  readonly readTo: (conversation: AccountId) => Promise<number | undefined>;
}

export class Inbox implements Follower {
  readonly namespace = 0;
  readonly #deps: InboxDeps;
  #unreadable = 0;
  /** Whose first sign of accepting us is in memory, and told nobody yet: what it came with was not written. */
  readonly #untold = new Set<AccountId>();

  constructor(deps: InboxDeps) {
    this.#deps = deps;
  }

  /** Messages that could not be opened or understood since the start. */
  get unreadable(): number {
    return this.#unreadable;
  }

  take({ fresh, retold }: Arrived): Promise<TakenIn> {
    return this.#takeIn(
      fresh.map((told) => (batch: Batch) => this.#read(told, batch)),
      retold,
    );
  }

  /** Looks once more at what an older version of this program kept because it did not understand it. */
  async reread(): Promise<void> {
    const { storage, env } = this.#deps;
    const records = await toReread(storage);
    if (records === undefined) return;
    const { changes, onWritten } = await this.#takeIn(
      records.map((record) => (batch: Batch) => this.#readKept(record, batch)),
      [],
    );
    await storage.write({ ...changes, settings: REREAD });
    onWritten?.();
    if (records.length > 0) env.log.debug({ kept: records.length }, 'looked again at what was kept');
  }

  async #takeIn(
    readers: readonly ((batch: Batch) => Promise<StoredMessage | undefined>)[],
    retold: Arrived['retold'],
  ): Promise<TakenIn> {
    const { storage, env } = this.#deps;
    const batch: Batch = {
      arrived: new Map(),
      effects: [],
      contacts: new Map(),
      onWritten: [],
      prepared: [],
      kept: [],
      unknown: 0,
      unreadable: 0,
    };
    const { arrived } = batch;
    const placed = new Map<string, MessagePlace>();
    for (const read of readers) {
      const message = await read(batch);
      if (message === undefined) continue;
      const identity = identityOf(message);
      const other = arrived.get(identity);
      if (other !== undefined) {
        arrived.set(identity, merge(other, message));
        continue;
      }
      const known = await storage.message(message.sender, message.timestamp);
      if (known === undefined) arrived.set(identity, message);
      else {
        const merged = merge(known, message);
        if (compareMessages(known, merged) !== 0) placed.set(identity, merged);
      }
    }
    // Who told us of it first may have got it by another store, or lied about the time.
    const storedAt = new Map<string, number>();
    for (const { hash, timestamp } of retold) {
      storedAt.set(hash, Math.max(timestamp, storedAt.get(hash) ?? 0));
    }
    for (const known of [...(await storage.moved([...storedAt.keys()])), ...arrived.values()]) {
      const time = known.hash === undefined ? undefined : storedAt.get(known.hash);
      if (time === undefined || isMoved(known)) continue;
      const { sortTimestamp: _, ...rest } = known;
      const again = { ...rest, ...placeOf(known.timestamp, sortTimeOf(known.timestamp, time)) };
      const identity = identityOf(known);
      const place = placed.get(identity);
      const merged = merge(place === undefined ? known : placedAt(known, place), again);
      if (arrived.has(identity)) arrived.set(identity, merged);
      else if (compareMessages(known, merged) !== 0) placed.set(identity, merged);
    }
    const { marks, records } = await applyEffects(batch, this.#deps);
    const messages = [...arrived.values()]
      .map((message) => (isDeleted(message) ? { ...message, handled: true } : message))
      .sort(compareMessages);
    const prepared = [...batch.prepared, ...this.#receipts(messages)];
    // §6.6: what is deleted goes from our swarm too.
    const deleted = [
      ...messages.filter(isDeleted),
      ...marks.filter(({ marks: { deletedAt } }) => deletedAt !== undefined).map(({ known }) => known),
    ].flatMap(({ hash }) => hash ?? []);
    if (deleted.length > 0) prepared.push(this.#deps.deletion(deleted));
    return {
      changes: {
        messages,
        placed: [...placed.values()],
        marked: marks.map(({ known: { sender, timestamp }, marks }) => ({ sender, timestamp, marks })),
        records: [
          ...batch.contacts.values(),
          ...batch.kept,
          ...records,
          ...prepared.map(({ record }) => record),
        ],
      },
      onWritten: () => {
        if (batch.unreadable > 0) {
          this.#unreadable += batch.unreadable;
          env.log.debug({ unreadable: batch.unreadable }, 'messages that cannot be read');
        }
        for (const { taken } of prepared) taken();
        for (const tell of batch.onWritten) tell();
        for (const message of messages) if (!isDeleted(message)) this.#deps.onMessage(message);
        for (const { known, marks: more } of marks) this.#deps.onMarked(marked(known, more), known.marks);
      },
    };
  }

  /** Of new messages of people whom we accept; others learn nothing. */
  #receipts(messages: readonly StoredMessage[]): Prepared[] {
    const { contacts, receipts, settings } = this.#deps;
    if (!settings.now.deliveryReceipts) return [];
    const bySender = new Map<AccountId, number[]>();
    for (const message of messages) {
      const { sender, timestamp, notice } = message;
      if (notice !== undefined || !contacts.isTrusted(sender)) continue;
      if (this.#deps.isBeforeLink(placeTime(message))) continue;
      const times = bySender.get(sender);
      if (times === undefined) bySender.set(sender, [timestamp]);
      else times.push(timestamp);
    }
    return [...bySender].map(([sender, times]) => receipts(sender, ReceiptType.delivery, times));
  }

  /**
   * The message under an identity that is free, or its own already. §4.3 takes whatever has the same sender and timestamp for
   * the same message; ours are those that also say the same: another one gets the next free millisecond, at the place of
   * its own time (docs/decisions/0014). Undefined when too many clash.
   */
  async #identify(
    message: StoredMessage,
    arrived: ReadonlyMap<string, StoredMessage>,
  ): Promise<StoredMessage | undefined> {
    const { sender, conversation } = message;
    for (let i = 0; i < MAX_CLASHES; i++) {
      const timestamp = message.timestamp + i;
      const tried = { ...message, timestamp, ...placeOf(timestamp, placeTime(message)) };
      const known = arrived.get(identityOf(tried)) ?? (await this.#deps.storage.message(sender, timestamp));
      if (known === undefined) return tried;
      // What was deleted does not come back with its text.
      const isSame = saysSame(known, message) || known.marks?.deletedAt !== undefined;
      if (known.conversation === conversation && isSame) return tried;
    }
    return undefined;
  }

  /** The text message in what was told, under its identity; everything else goes into `batch`. */
  async #read(told: RetrievedMessage, batch: Batch): Promise<StoredMessage | undefined> {
    const { account } = this.#deps;
    let incoming: IncomingMessage;
    try {
      incoming = decryptMessage(told.data, account);
    } catch (error) {
      if (!(error instanceof MessageError || error instanceof ParseError)) throw error;
      batch.unreadable++;
      return undefined;
    }
    return this.#understand(incoming, told, batch);
  }

  async #readKept(record: StoredRecord, batch: Batch): Promise<StoredMessage | undefined> {
    const kept = openKept(record);
    if (kept === undefined) return undefined;
    const { unknown } = batch;
    const message = await this.#understand(kept.incoming, kept.told, batch);
    if (batch.unknown === unknown) batch.kept.push({ ...record, value: undefined });
    return message;
  }

  async #understand(incoming: Understood, told: Told, batch: Batch): Promise<StoredMessage | undefined> {
    const { account, contacts, settings } = this.#deps;
    const { sender, content } = incoming;
    if (contacts.get(sender).blocked) return undefined; // §6.9
    if (isLegacy(content)) return undefined;
    const { timestamp: storedAt } = told;
    batch.effects.push(...effectsOf({ ...incoming, storedAt }, account.id, settings.now.readReceipts));
    if (content.dataMessage !== undefined) {
      const { body = '', reaction } = content.dataMessage;
      // Invitations and what may come: nothing that this client shows.
      const isEmpty = body === '' && content.dataMessage.attachments === undefined;
      const isShown = !isEmpty && isAcceptable(content.dataMessage);
      if (!isShown && reaction === undefined && !isTimerUpdate(content.dataMessage)) {
        await this.#keep(incoming, told, batch);
      }
      return this.#readData(incoming, content.dataMessage, told, batch);
    }
    if (isNew(content)) await this.#keep(incoming, told, batch);
    const isOnly = content.receiptMessage === undefined && content.unsendRequest === undefined;
    const { typingMessage, dataExtractionNotification: extraction } = content;
    if (typingMessage !== undefined && content.receiptMessage === undefined) {
      const age = Math.abs(this.#deps.now() - incoming.timestamp);
      const isMeant = typingMessage.timestamp === incoming.timestamp && age <= TYPING_MS;
      if (settings.now.typingIndicators && contacts.isTrusted(sender) && isMeant) {
        const isTyping = typingMessage.action === TypingAction.started;
        batch.onWritten.push(() => this.#deps.onTyping(sender, isTyping));
      }
      return undefined;
    }
    if (extraction !== undefined && content.receiptMessage === undefined) {
      // Our own are told to the others only.
      if (!contacts.isTrusted(sender)) return undefined;
      const kind = extraction.type === DataExtractionType.screenshot ? 'screenshot' : 'media_saved';
      return this.#place(incoming, told, { conversation: sender, text: '', notice: { kind } }, batch);
    }
    const { messageRequestResponse: answer } = content;
    const isAnswer = answer?.isApproved === true && sender !== account.id && isOnly;
    if (isAnswer && !this.#isErased(sender, incoming, told)) {
      const before = contacts.get(sender);
      const profile = contacts.profileOf(sender, answer);
      batch.contacts.set(sender, contacts.change(sender, { approvedMe: true, ...profile }));
      if (before.approved && this.#isNews(before)) {
        batch.onWritten.push(() => this.#tell(sender, this.#deps.onAccepted));
      }
    }
    return undefined;
  }

  /** What a newer client may understand is not lost; from people whom we accept, and from ourselves. */
  async #keep(incoming: Understood, told: Told, batch: Batch): Promise<void> {
    batch.unknown++;
    const { account, contacts, storage } = this.#deps;
    const { sender } = incoming;
    if (sender !== account.id && !contacts.isTrusted(sender)) return;
    if (await hasRoom(storage, batch.kept.length)) batch.kept.push(keptRecord(incoming, told));
  }

  /** That they accept us is to be told. */
  #isNews({ id, approvedMe }: Contact): boolean {
    if (!approvedMe) this.#untold.add(id);
    return this.#untold.has(id);
  }

  #tell(id: AccountId, tell: (contact: Contact) => void): void {
    if (this.#untold.delete(id)) tell(this.#deps.contacts.get(id));
  }

  /** It does not come back. */
  #isErased(conversation: AccountId, { timestamp }: Understood, { timestamp: storedAt }: Told) {
    return this.#deps.isErased(conversation, sortTimeOf(timestamp, storedAt), storedAt);
  }

  async #readData(
    incoming: Understood,
    message: DataMessage,
    told: Told,
    batch: Batch,
  ): Promise<StoredMessage | undefined> {
    const { account, contacts } = this.#deps;
    const { sender } = incoming;
    const { contacts: records, onWritten } = batch;
    if (!isAcceptable(message)) return undefined;
    const conversation = conversationOf(message.syncTarget, sender, account.id);
    if (conversation === undefined || message.reaction !== undefined) return undefined;
    if (this.#isErased(conversation, incoming, told)) return undefined;
    if (isTimerUpdate(message)) return this.#readTimer(incoming, conversation, told, batch);
    if (editIn(message, incoming.timestamp) !== undefined) return undefined;
    const { quote, body = '' } = message;
    const files = readFiles(message);
    if (body === '' && files.attachments === undefined) return undefined;
    const identified = await this.#place(
      incoming,
      told,
      {
        conversation,
        text: body,
        ...files,
        ...(saysMore(incoming.contentBytes) && { content: toBase64(incoming.contentBytes) }),
        ...(quote !== undefined &&
          accountIdIn(quote.author) !== undefined && {
            quote: { author: quote.author, timestamp: quote.id },
          }),
      },
      batch,
    );
    // Whoever writes accepts the other one (§6.2), on all devices.
    if (sender === account.id) {
      if (conversation !== sender)
        records.set(conversation, contacts.change(conversation, { approved: true }));
      return identified;
    }
    const before = contacts.get(sender);
    const profile = contacts.profileOf(sender, message);
    records.set(sender, contacts.change(sender, { approvedMe: true, ...profile }));
    if (this.#isNews(before)) {
      const tell = before.approved ? this.#deps.onAccepted : this.#deps.onRequest;
      onWritten.push(() => this.#tell(sender, tell));
    }
    return identified;
  }

  /**
   * A timer was set (§6.7), which is shown. What others set concerns what they send; what we set on another device comes
   * with the contacts of the account, which are never older than the message.
   */
  async #readTimer(
    incoming: Understood,
    conversation: AccountId,
    told: Told,
    batch: Batch,
  ): Promise<StoredMessage | undefined> {
    const { account, contacts } = this.#deps;
    const { sender, content } = incoming;
    const timer = timerIn(content, conversation === account.id);
    const { approved, approvedMe } = contacts.get(conversation);
    if (sender !== account.id && !approved && !approvedMe) return undefined;
    const notice = { kind: 'timer' as const, ...(timer !== undefined && { timer }) };
    return this.#place(incoming, told, { conversation, text: '', notice }, batch);
  }

  /** Under its identity, at its place, and with its end; undefined when there is none, or its time is over. */
  async #place(
    { sender, timestamp, content }: Understood,
    { hash, timestamp: storedAt, expiration }: Told,
    said: Pick<StoredMessage, 'conversation' | 'text' | 'quote' | 'notice' | 'content'> & StoredFiles,
    { arrived, prepared }: Batch,
  ): Promise<StoredMessage | undefined> {
    const { account, now, shortening, readTo } = this.#deps;
    const isOwn = sender === account.id;
    const timer = timerIn(content, said.conversation === account.id);
    const identified = await this.#identify(
      {
        sender,
        timestamp,
        state: isOwn ? 'sent' : 'received',
        hash,
        ...placeOf(timestamp, sortTimeOf(timestamp, storedAt)),
        // Programs that answer what they are given have no use for notices.
        handled: said.notice !== undefined,
        ...said,
        ...(timer !== undefined && { timer }),
      },
      arrived,
    );
    if (identified === undefined || timer === undefined) return identified;
    const isRead = placeTime(identified) <= ((await readTo(said.conversation)) ?? Number.NEGATIVE_INFINITY);
    const expiresAt = expiryOf(timer, { timestamp, isOwn, isRead, now: now(), expiration });
    if (expiresAt === undefined) return identified;
    if (expiresAt <= now()) return undefined;
    if (timer.mode === 'after_read' && !isOwn && expiresAt < expiration) {
      prepared.push(shortening([{ sender, timestamp: identified.timestamp, hash }], expiresAt));
    }
    return marked(identified, { expiresAt });
  }
}

/** What was said first counts: it may have been edited since. */
const saysSame = (a: StoredMessage, b: StoredMessage): boolean =>
  (a.original ?? a.text) === b.text && a.notice?.kind === b.notice?.kind && sameKeys(a, b);

const isDeleted = ({ marks }: StoredMessage): boolean => marks?.deletedAt !== undefined;
