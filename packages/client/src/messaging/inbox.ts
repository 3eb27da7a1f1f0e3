// SPDX-License-Identifier: MIT
// The namespace of messages (spec/client §4.3): what arrives is opened and becomes messages of conversations, each once
// and at a place that is the same on all devices. What is of no use to us is only marked seen.
import type { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { DataMessage } from '@allium/protocol/message/content';
import { decryptMessage, type IncomingMessage, MessageError } from '@allium/protocol/message/encryption-v1';
import type { RetrievedMessage } from '@allium/protocol/storage/responses';
import {
  compareMessages,
  type MessageIdentity,
  type MessagePlace,
  placedAt,
  placeTime,
  type Storage,
  type StoredMessage,
} from '../storage/storage.ts';
import type { Arrived, Follower, TakenIn } from './poller.ts';

// From the specification.
const EXPIRATION_TIMER_UPDATE = 2; // §3.3
/** How far the time of a message may lie behind its storing: nodes accept as much (spec/storage-server §2.9.1). */
const FUTURE_MS = 10_000;
// Ours.
/** So many messages of one sender may share a millisecond: devices of an account do not know of each other's. */
const MAX_CLASHES = 8;

interface InboxDeps {
  readonly account: Account;
  readonly storage: Storage;
  readonly env: Env;
  /** New, and stored already. */
  readonly onMessage: (message: StoredMessage) => void;
}

export class Inbox implements Follower {
  readonly namespace = 0;
  readonly #deps: InboxDeps;
  #unreadable = 0;

  constructor(deps: InboxDeps) {
    this.#deps = deps;
  }

  /** Messages that could not be opened or understood since the start. */
  get unreadable(): number {
    return this.#unreadable;
  }

  async take({ fresh, retold }: Arrived): Promise<TakenIn> {
    const { storage, env } = this.#deps;
    const arrived = new Map<string, StoredMessage>();
    const placed = new Map<string, MessagePlace>();
    let unreadable = 0;
    for (const told of fresh) {
      const read = this.#read(told);
      if (read === 'unreadable') unreadable++;
      if (typeof read === 'string') continue;
      const message = await this.#identify(read, arrived);
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
    const messages = [...arrived.values()].sort(compareMessages);
    return {
      changes: { messages, placed: [...placed.values()] },
      onWritten: () => {
        if (unreadable > 0) {
          this.#unreadable += unreadable;
          env.log.debug({ unreadable }, 'messages that cannot be read');
        }
        for (const message of messages) this.#deps.onMessage(message);
      },
    };
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
    const { sender, conversation, text } = message;
    for (let i = 0; i < MAX_CLASHES; i++) {
      const timestamp = message.timestamp + i;
      const tried = { ...message, timestamp, ...placeOf(timestamp, placeTime(message)) };
      const known = arrived.get(identityOf(tried)) ?? (await this.#deps.storage.message(sender, timestamp));
      if (known === undefined || (known.conversation === conversation && known.text === text)) return tried;
    }
    return undefined;
  }

  /** The text message in `data`; `other` is a kind of content that this client does not show. */
  #read({ data, hash, timestamp: storedAt }: RetrievedMessage): StoredMessage | 'unreadable' | 'other' {
    const { account } = this.#deps;
    let incoming: IncomingMessage;
    try {
      incoming = decryptMessage(data, account);
    } catch (error) {
      if (error instanceof MessageError || error instanceof ParseError) return 'unreadable';
      throw error;
    }
    const { sender, timestamp, content } = incoming;
    const message = content.dataMessage;
    if (message === undefined || !isAcceptable(message)) return 'other';
    const conversation = conversationOf(message.syncTarget, sender, account.id);
    if (conversation === undefined || message.body === undefined || message.body === '') return 'other';
    return {
      sender,
      timestamp,
      conversation,
      text: message.body,
      state: sender === account.id ? 'sent' : 'received',
      hash,
      ...placeOf(timestamp, sortTimeOf(timestamp, storedAt)),
      handled: false,
    };
  }
}

/** spec/client §3.3: with any other flag desktop refuses the message. */
function isAcceptable({ flags = 0 }: DataMessage): boolean {
  return flags === 0 || flags === EXPIRATION_TIMER_UPDATE;
}

/** spec/client §4.3.9: a syncTarget belongs in messages from ourselves, and only there. */
function conversationOf(
  syncTarget: string | undefined,
  sender: AccountId,
  own: AccountId,
): AccountId | undefined {
  if (sender !== own) return syncTarget === undefined ? sender : undefined;
  if (syncTarget === undefined) return undefined;
  try {
    return parseAccountId(syncTarget);
  } catch {
    return undefined;
  }
}

/**
 * Where a copy of a message puts it (docs/decisions/0012-order-of-messages.md): at the sender's time, or, when that lay
 * in the future, at the time of storing, which nodes have checked (spec/storage-server §2.9.1).
 */
function sortTimeOf(timestamp: number, storedAt: number): number {
  return timestamp > storedAt + FUTURE_MS ? storedAt : timestamp;
}

const identityOf = ({ sender, timestamp }: MessageIdentity): string => `${sender} ${timestamp}`;

/** Its millisecond was taken; a time that lay in the future is further from its place. */
const isMoved = ({ timestamp, sortTimestamp = timestamp }: StoredMessage): boolean =>
  sortTimestamp < timestamp && timestamp - sortTimestamp < MAX_CLASHES;

const placeOf = (timestamp: number, sortTime: number): { sortTimestamp?: number } =>
  sortTime === timestamp ? {} : { sortTimestamp: sortTime };

/** Two copies of one message put it at the latest time and under the smallest hash, whichever came first. */
function merge(a: StoredMessage, b: StoredMessage): StoredMessage {
  const hash = a.hash === undefined || (b.hash !== undefined && b.hash < a.hash) ? b.hash : a.hash;
  const sortTime = Math.max(placeTime(a), placeTime(b));
  const { sender, timestamp } = a;
  return placedAt(a, {
    sender,
    timestamp,
    ...(hash !== undefined && { hash }),
    ...placeOf(timestamp, sortTime),
  });
}
