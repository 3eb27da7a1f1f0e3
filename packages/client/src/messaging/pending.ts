// SPDX-License-Identifier: MIT
// What happens to messages (`effects.ts`) finds them, or waits for them for a while (spec/client §6.4): the order of arrival
// is to make no difference. How much waits is bounded, in all and for each who tells.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { type Marks, marked, mergeMarks } from '../storage/marks.ts';
import type { MessageIdentity, Storage, StoredMessage, StoredRecord } from '../storage/storage.ts';
import type { Contacts } from './contacts.ts';
import type { Effect } from './effects.ts';
import { identityOf } from './places.ts';

// Ours.
/** Messages that something waits for. */
const MAX_PENDING = 500;
/** Of those, so many for what one contact tells: he cannot take the place of what others tell. */
const MAX_OF_CONTACT = 100;
/** Strangers tell nothing when so much waits already. */
const MAX_STRANGE_PENDING = 50;
/** Of one stranger, about what they wrote themselves. */
const MAX_OF_STRANGER = 10;
const PENDING = 'pending';

interface Pending {
  readonly marks: Marks;
}

interface Happened {
  /** By identity; those that something happened to are exchanged. */
  readonly arrived: Map<string, StoredMessage>;
  readonly effects: readonly Effect[];
}

interface Applied {
  /** Of messages that were there before. */
  readonly marks: readonly { readonly known: StoredMessage; readonly marks: Marks }[];
  readonly records: readonly StoredRecord[];
}

interface PendingDeps {
  readonly account: Account;
  readonly storage: Storage;
  readonly contacts: Contacts;
  /** Network time. */
  readonly now: () => number;
}

/** Marks for what is known; what is not known yet waits for a while. */
export async function applyEffects(
  { arrived, effects }: Happened,
  { storage, now, contacts, account }: PendingDeps,
): Promise<Applied> {
  const marks = new Map<string, { readonly known: StoredMessage; readonly marks: Marks }>();
  const records = new Map<string, StoredRecord>();
  const pendingOf = async (key: string): Promise<Marks | undefined> => {
    const record = records.get(key) ?? (await storage.record(PENDING, key));
    return (record?.value as Pending | undefined)?.marks;
  };
  for (const [identity, message] of arrived) {
    for (const key of [pendingKey(message, message.conversation), pendingKey(message, undefined)]) {
      const waiting = await pendingOf(key);
      if (waiting === undefined) continue;
      arrived.set(identity, marked(arrived.get(identity)!, waiting));
      records.set(key, { kind: PENDING, key, value: undefined });
    }
  }
  let waiting: Waiting | undefined;
  for (const { author: sender, timestamp, conversation, marks: more, keepMs } of effects) {
    const identity = identityOf({ sender, timestamp });
    const isThere = (message: StoredMessage | undefined): message is StoredMessage =>
      message !== undefined && (conversation === undefined || message.conversation === conversation);
    const fresh = arrived.get(identity);
    if (isThere(fresh)) {
      arrived.set(identity, marked(fresh, more));
      continue;
    }
    const known = marks.get(identity)?.known ?? (await storage.message(sender, timestamp));
    if (isThere(known)) {
      const all = mergeMarks(marks.get(identity)?.marks, more) ?? more;
      marks.set(identity, { known, marks: all });
      continue;
    }
    if (known !== undefined || fresh !== undefined) continue;
    waiting ??= new Waiting(await storage.records(PENDING));
    const from = conversation ?? account.id;
    const key = pendingKey({ sender, timestamp }, conversation);
    const before = await pendingOf(key);
    if (
      before === undefined &&
      !waiting.takes({ author: sender, from, own: account.id, isTrusted: contacts.isTrusted(from) })
    )
      continue;
    const value: Pending = { marks: mergeMarks(before, more) ?? more };
    records.set(key, { kind: PENDING, key, value, expiry: now() + keepMs });
  }
  return { marks: [...marks.values()], records: [...records.values()] };
}

/** What waits, and how much more may. */
class Waiting {
  #count: number;
  readonly #toldBy = new Map<string, number>();
  /** What contacts told about their own messages. */
  readonly #theirs = new Map<string, number>();

  constructor(records: readonly StoredRecord[]) {
    this.#count = records.length;
    for (const { key } of records) {
      const [author, , from] = key.split(' ') as [string, string, string];
      this.#add(author, from);
    }
  }

  /** Whether there is room for one more, which is counted then. */
  takes(one: {
    readonly author: AccountId;
    readonly from: AccountId;
    readonly own: AccountId;
    readonly isTrusted: boolean;
  }): boolean {
    const { author, from, own, isTrusted } = one;
    if (this.#count >= MAX_PENDING) return false;
    if (from !== own) {
      if ((this.#toldBy.get(from) ?? 0) >= MAX_OF_CONTACT) return false;
      if (!isTrusted && !this.#takesOfStranger(author, from, own)) return false;
    }
    this.#count++;
    this.#add(author, from);
    return true;
  }

  /**
   * Strangers can hardly make us remember anything: about our own messages, as another device may have written to them, and
   * about theirs, which may come later than what they did to them.
   */
  #takesOfStranger(author: AccountId, from: AccountId, own: AccountId): boolean {
    if (this.#count >= MAX_STRANGE_PENDING) return false;
    return author === own || (author === from && (this.#theirs.get(from) ?? 0) < MAX_OF_STRANGER);
  }

  #add(author: string, from: string): void {
    this.#toldBy.set(from, (this.#toldBy.get(from) ?? 0) + 1);
    if (author === from) this.#theirs.set(from, (this.#theirs.get(from) ?? 0) + 1);
  }
}

const pendingKey = (identity: MessageIdentity, conversation: AccountId | undefined): string =>
  `${identityOf(identity)} ${conversation ?? '*'}`;
