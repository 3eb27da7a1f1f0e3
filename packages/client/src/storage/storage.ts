// SPDX-License-Identifier: MIT
// The storage port: what an account's client keeps between two starts. One storage belongs to one account; the
// account's keys are never in it. Implementations: `memory.ts`, `indexeddb.ts`, `../node/sqlite.ts`; all pass
// `test/storage/suite.ts`.
//
// Everything is written through one method, `write`: all of a change or nothing of it, durable when it resolves. So a
// message, the mark that its hash was seen and the last hash of the poll that brought it cannot come apart.
import type { AccountId } from '@allium/protocol/account-id';
import { AlliumError } from '@allium/protocol/errors';
import type { StoredFiles } from '../files/stored-attachment.ts';
import type { Marks } from './marks.ts';
import type { FoundMessages, SearchQuery } from './search.ts';

/**
 * `newer_schema`: written by a newer version of this program. `closed`: used after `close`. `wrong_key`: encrypted with
 * another key than the one that was given. `damaged`: not what was written. `full`: no space left. `busy`: another
 * program holds it. `taken`: there is a message under an identity that was to be free. `changed`: a record is no more what
 * was read.
 */
export class StorageError extends AlliumError<
  'newer_schema' | 'closed' | 'wrong_key' | 'damaged' | 'full' | 'busy' | 'taken' | 'changed' | 'failed'
> {
  override readonly name = 'StorageError';
}

export const taken = () => new StorageError('taken', 'there is a message of this time already');

/** @throws StorageError `changed` when `now` is not what was read before */
export function checkUnchanged({ kind, value }: StoredRecord, now: object | undefined): void {
  if (JSON.stringify(value) === JSON.stringify(now)) return;
  throw new StorageError('changed', `a record of ${kind} was changed meanwhile`);
}

/** Of the tables below; every implementation keeps it with the data. */
export const STORAGE_SCHEMA = 5;

/**
 * A message of a conversation: text, files, or both. Its identity across all clients is (sender, timestamp) (spec/client §2.7).
 * Outgoing states: `sending` (also after a crash), `sent` (a swarm member confirmed it), `failed`.
 */
export interface StoredMessage extends StoredFiles {
  readonly sender: AccountId;
  /** When it was sent, network time in ms. */
  readonly timestamp: number;
  /** The other side; our own id for notes to self. */
  readonly conversation: AccountId;
  readonly text: string;
  readonly state: 'received' | 'sending' | 'sent' | 'failed';
  /**
   * Name in our own swarm: of a received message, or of the copy of one that we sent. Of several (it was sealed anew
   * after a crash) the smallest.
   */
  readonly hash?: string;
  /** Where it stands when that is not at `timestamp`, which lay too far in the future when it was stored. */
  readonly sortTimestamp?: number;
  /** The copy for our other devices is still to be stored in our own swarm. */
  readonly copyPending?: boolean;
  /** The program has been given it by `messages()`. Always true for what this device sent. */
  readonly handled: boolean;
  /** Of one that is being sent: attempts go on until a swarm keeps it or it is too old. */
  readonly keepTrying?: boolean;
  /** Of a failed one: the code of the ClientError. */
  readonly failure?: string;
  /** What it answers. */
  readonly quote?: MessageReference;
  /** Of an edited one: the text that was sent first; `text` is the newest version, the others are in `marks.edits`. */
  readonly original?: string;
  /** It disappears; when is in `marks.expiresAt` as soon as that is known. */
  readonly timer?: Timer;
  /** It is no message of a person, but a line that tells of something; the text is empty. */
  readonly notice?: MessageNotice;
  /** Base64 of the whole Content (spec/client §3.2), where a newer client said more in it than this one shows. */
  readonly content?: string;
  /** What happened to it since; storages merge these with those that they have. */
  readonly marks?: Marks;
}

/** When messages disappear: so long after they were sent, or after they were read (spec/client §6.7). */
export interface Timer {
  readonly mode: 'after_send' | 'after_read';
  readonly seconds: number;
}

/** The sender of the message: set the timer of what they send (absent: it stays), took a screenshot, saved a file (§6.8). */
export type MessageNotice =
  | { readonly kind: 'timer'; readonly timer?: Timer }
  | { readonly kind: 'screenshot' | 'media_saved' };

/** Names a message, which need not be known. */
export interface MessageReference {
  readonly author: string;
  readonly timestamp: number;
}

/** What the order of messages depends on, besides a first write: alike on all devices of an account. */
export type MessagePlace = Pick<StoredMessage, 'sender' | 'timestamp' | 'hash' | 'sortTimestamp'>;

/** Sorts behind every hash: what has none yet was written just now. */
const NO_HASH = '~';

/** Two fields that storages keep with a message, for their indexes. */
export const placeTime = ({ timestamp, sortTimestamp = timestamp }: MessagePlace): number => sortTimestamp;
export const placeHash = ({ hash = NO_HASH }: MessagePlace): string => hash;

/** The order in which people see messages: by network time, then hash (docs/decisions/0012-order-of-messages.md). */
export function compareMessages(a: MessagePlace, b: MessagePlace): number {
  return (
    placeTime(a) - placeTime(b) ||
    compareText(placeHash(a), placeHash(b)) ||
    compareText(a.sender, b.sender) ||
    a.timestamp - b.timestamp
  );
}

/** What `Changes.placed` makes of a message. */
export function placedAt(
  { hash: _hash, sortTimestamp: _sortTimestamp, ...message }: StoredMessage,
  { hash, sortTimestamp }: MessagePlace,
): StoredMessage {
  return {
    ...message,
    ...(hash !== undefined && { hash }),
    ...(sortTimestamp !== undefined && { sortTimestamp }),
  };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A service node as the node pool keeps it; its identity is the Ed25519 key (spec/client §2.2). */
export interface PoolNode {
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  /** Who runs it, in lower case; absent where the list does not say. */
  readonly operator?: string;
}

export interface SeenHash {
  readonly hash: string;
  /** Forgotten after this time. */
  readonly expiry: number;
}

/** Where a poll of one node ended (spec/client §2.8). */
export interface LastHash {
  /** Ed25519 key of the node, hex. */
  readonly node: string;
  readonly account: AccountId;
  readonly namespace: number;
  readonly hash: string;
  readonly expiry: number;
}

export interface StoredSwarm {
  readonly account: AccountId;
  /** Ed25519 keys, hex. */
  readonly members: readonly string[];
  /** Local time in ms. */
  readonly fetchedAt: number;
}

export interface MessageIdentity {
  readonly sender: AccountId;
  readonly timestamp: number;
}

/** Something small, such as a contact; `key` is unique among those of its kind. */
export interface StoredRecord {
  readonly kind: string;
  readonly key: string;
  /** What JSON can say; undefined removes the record. */
  readonly value: object | undefined;
  /** Forgotten after this time. */
  readonly expiry?: number;
}

export type MarkedMessage = MessageIdentity & { readonly marks: Marks };

/** All that is given is written, in one transaction. */
export interface Changes {
  /** Inserted, or replaced where (sender, timestamp) exists; marks are merged. */
  readonly messages?: readonly StoredMessage[];
  /** What must not be there yet, looked at first of all: else nothing is written, and it rejects with `taken`. */
  readonly fresh?: readonly MessageIdentity[];
  /** What must still be there as it was read, looked at first too: else nothing is written, and it rejects with `changed`. */
  readonly unchanged?: readonly StoredRecord[];
  /** Removed first. */
  readonly removed?: readonly MessageIdentity[];
  /** Given to the program by `messages()`; those that exist, nothing else of them changes. */
  readonly handled?: readonly MessageIdentity[];
  /** New hash and sort timestamp of those that exist, nothing else of them changes. */
  readonly placed?: readonly MessagePlace[];
  /** Merged with the marks of those that exist (`marks.ts`). */
  readonly marked?: readonly MarkedMessage[];
  /** Inserted or replaced. */
  readonly records?: readonly StoredRecord[];
  readonly seen?: readonly SeenHash[];
  readonly lastHashes?: readonly LastHash[];
  readonly swarms?: readonly StoredSwarm[];
  /** Replaces the whole list. */
  readonly nodes?: readonly PoolNode[];
  /** Ed25519 keys of the guards, hex; replaces the list. */
  readonly guards?: readonly string[];
  /** Small texts by name; undefined removes. */
  readonly settings?: Readonly<Record<string, string | undefined>>;
}

export interface ConversationSummary {
  readonly id: AccountId;
  readonly last: StoredMessage;
}

export interface HistoryQuery {
  /** At most so many, the newest that fit; the order is oldest first. */
  readonly limit: number;
  /** Only what stands before this one, which need not exist: the first message of the page that came before. */
  readonly before?: MessagePlace;
}

/** A message and where it stands among all: places grow in the order of first writing. */
export interface PlacedMessage {
  readonly place: number;
  readonly message: StoredMessage;
}

export interface Storage {
  write(changes: Changes): Promise<void>;

  message(sender: AccountId, timestamp: number): Promise<StoredMessage | undefined>;
  /** In the order of `compareMessages`. */
  history(conversation: AccountId, query: HistoryQuery): Promise<readonly StoredMessage[]>;
  /** With their newest message; newest first. */
  conversations(): Promise<readonly ConversationSummary[]>;
  /** Messages that `messages()` has not given out yet, in the order in which they were first written. */
  unhandled(limit: number): Promise<readonly StoredMessage[]>;
  /** Of the messages with these hashes those that have a sort timestamp. */
  moved(hashes: readonly string[]): Promise<readonly StoredMessage[]>;
  /** Messages in state `sending` or with a pending copy, oldest first. */
  unsent(): Promise<readonly StoredMessage[]>;
  /** Those that disappear, the next one first. */
  expiring(limit: number): Promise<readonly StoredMessage[]>;
  /** What somebody sent from `from` on and before `to`, by sent time. */
  sentBy(sender: AccountId, from: number, to: number): Promise<readonly StoredMessage[]>;

  /** Messages that match, newest first. @throws ClientError `bad_search` */
  search(query: SearchQuery): Promise<FoundMessages>;

  /** All messages page by page, for copies of everything: those behind `after` (0: from the first one). */
  scan(after: number, limit: number): Promise<readonly PlacedMessage[]>;
  /** The place of the last message; 0 when there is none. */
  lastPlace(): Promise<number>;

  /** Those of `hashes` that were seen. */
  seen(hashes: readonly string[]): Promise<ReadonlySet<string>>;
  lastHash(node: string, account: AccountId, namespace: number): Promise<LastHash | undefined>;
  swarm(account: AccountId): Promise<StoredSwarm | undefined>;
  nodes(): Promise<readonly PoolNode[]>;
  guards(): Promise<readonly string[]>;
  setting(name: string): Promise<string | undefined>;

  record(kind: string, key: string): Promise<StoredRecord | undefined>;
  /** By ascending key. */
  records(kind: string): Promise<readonly StoredRecord[]>;

  /** Forgets seen hashes, last hashes and records that expired before `now`. */
  prune(now: number): Promise<void>;
  /** What was written stays. Every later call rejects with `closed`; a second `close` does nothing. */
  close(): Promise<void>;
}
