// SPDX-License-Identifier: MIT
// One other account, what was said, and what we allow it (spec/client §6.2, §6.3, §6.9).
import type { AccountId } from '@allium/protocol/account-id';
import { ReceiptType } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { Marks } from '../storage/marks.ts';
import {
  type HistoryQuery,
  type MessageIdentity,
  type MessagePlace,
  placeTime,
  type Storage,
  type StoredMessage,
} from '../storage/storage.ts';
import type { Contact, Contacts } from './contacts.ts';
import type { Notices } from './notices.ts';
import type { Outbox, SendOptions, Sent } from './outbox.ts';
import type { Settings } from './settings.ts';

const KIND = 'conversation';
// Ours.
const PAGE = 200;
/** Messages that one call marks as read, the newest. */
const MAX_READ = 1_000;

/** What is kept of a conversation besides its messages. */
interface ConversationState {
  /** Where the newest message that was read stands, network time in ms (§6.3). */
  readonly readTo?: number;
}

interface ConversationDeps {
  readonly own: AccountId;
  readonly outbox: Outbox;
  readonly notices: Notices;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly storage: Storage;
  /** A network time that nothing else of ours has. */
  readonly now: () => number;
  readonly onMarked: (message: StoredMessage, before: Marks | undefined) => void;
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
    const { contacts, notices, storage, now } = this.#deps;
    const { approved, approvedMe } = this.contact;
    if (approved) return;
    const answer = approvedMe
      ? notices.content(this.id, { messageRequestResponse: { isApproved: true } }, now())
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

  /** Where the newest read message stands, network time in ms; undefined: nothing was read. */
  async readTo(): Promise<number | undefined> {
    const record = await this.#deps.storage.record(KIND, this.id);
    return (record?.value as ConversationState | undefined)?.readTo;
  }

  /**
   * All up to `upTo` is read, default: all that is there. Whoever wrote it is told after a random pause when read
   * receipts are on (`changeSettings`) and we have accepted them (§6.3).
   */
  async markRead(upTo?: MessagePlace): Promise<void> {
    const { storage, settings, contacts, notices } = this.#deps;
    const before = await this.readTo();
    const newest = upTo ?? (await this.history({ limit: 1 }))[0];
    if (newest === undefined) return;
    const readTo = placeTime(newest);
    if (before !== undefined && readTo <= before) return;
    const tells = settings.now.readReceipts && contacts.isTrusted(this.id);
    const read = tells ? await this.#incoming(before ?? Number.NEGATIVE_INFINITY, readTo) : [];
    const receipts = read.length > 0 ? notices.receipts(this.id, ReceiptType.read, read) : undefined;
    const value: ConversationState = { readTo };
    await storage.write({
      records: [{ kind: KIND, key: this.id, value }, ...(receipts === undefined ? [] : [receipts.record])],
    });
    receipts?.taken();
  }

  /** Sent times of what stands after `after`, up to `upTo`. */
  async #incoming(after: number, upTo: number): Promise<readonly number[]> {
    const times: number[] = [];
    let before: StoredMessage | undefined;
    for (;;) {
      const page: readonly StoredMessage[] = await this.history({ limit: PAGE, ...(before && { before }) });
      for (const message of page) {
        const place = placeTime(message);
        if (place > after && place <= upTo && message.sender === this.id) times.push(message.timestamp);
      }
      before = page[0];
      if (before === undefined || placeTime(before) <= after || times.length >= MAX_READ) return times;
    }
  }

  async #erase(): Promise<void> {
    const { storage, contacts, notices, now } = this.#deps;
    for (;;) {
      const page = await this.history({ limit: PAGE });
      const removed: MessageIdentity[] = page.map(({ sender, timestamp }) => ({ sender, timestamp }));
      const hashes = page.map(({ hash }) => hash).filter((hash) => hash !== undefined);
      const deletion = hashes.length > 0 ? notices.deletion(hashes, now()) : undefined;
      const isLast = page.length < PAGE;
      await storage.write({
        removed,
        records: [
          ...(deletion === undefined ? [] : [deletion.record]),
          ...(isLast ? [contacts.forget(this.id), { kind: KIND, key: this.id, value: undefined }] : []),
        ],
      });
      deletion?.taken();
      if (isLast) return;
    }
  }
}
