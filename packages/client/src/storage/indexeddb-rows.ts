// SPDX-License-Identifier: MIT
// What the browser's database holds (object stores, rows, indexes), and how messages, records and the rest become rows,
// sealed or not.
import type { DBSchema } from 'idb';
import type { Seal, SealedContent } from './indexeddb-seal.ts';
import { tokensOf } from './indexeddb-search.ts';
import {
  type LastHash,
  placeHash,
  placeTime,
  type StoredMessage,
  type StoredRecord,
  type StoredSwarm,
} from './storage.ts';

/**
 * What indexes need of a message, and the message, sealed or not. IndexedDB has no partial indexes, but leaves out rows without
 * the key: four of these exist only while they matter.
 */
interface MessageIndexes {
  readonly id?: number;
  readonly sender: string;
  readonly timestamp: number;
  readonly conversation: string;
  readonly placeTime: number;
  readonly placeHash: string;
  readonly movedHash?: string;
  readonly isUnhandled?: 1;
  readonly isUnsent?: 1;
  readonly expiresAt?: number;
  /** Words and tags, each with the place time. */
  readonly tokens: readonly string[];
}
export type MessageRow = MessageIndexes & (StoredMessage | SealedContent);
type Sealable<T> = T | SealedContent;

export interface Schema extends DBSchema {
  messages: {
    key: number;
    value: MessageRow;
    indexes: {
      identity: [string, number];
      order: [string, number, string, string, number];
      moved: string;
      unhandled: number;
      unsent: number;
      expiring: number;
      tokens: string;
    };
  };
  seen: { key: string; value: { hash: string; expiry: number }; indexes: { expiry: number } };
  lastHashes: {
    key: [string, string, number];
    value: Sealable<LastHash> & Pick<LastHash, 'namespace' | 'expiry'> & { node: string; account: string };
    indexes: { expiry: number };
  };
  swarms: { key: string; value: Sealable<StoredSwarm> & { account: string } };
  records: {
    key: [string, string];
    value: Sealable<StoredRecord> & { kind: string; key: string; expiry?: number };
    indexes: { expiry: number };
  };
  /** `nodes`, `guards`, the settings under `setting:` and their name; `seal`: it is sealed. */
  values: { key: string; value: object | string };
}

export function toRow(seal: Seal, message: StoredMessage, id: number | undefined): MessageRow {
  const { sender, timestamp, conversation, hash, sortTimestamp, state, copyPending, handled, marks } =
    message;
  const name = seal.name(sender);
  return {
    ...seal.close(message, `messages ${name} ${timestamp}`),
    ...(id !== undefined && { id }),
    sender: name,
    timestamp,
    conversation: seal.name(conversation),
    placeTime: placeTime(message),
    placeHash: seal.name(placeHash(message)),
    ...(sortTimestamp !== undefined && hash !== undefined && { movedHash: seal.name(hash) }),
    ...(!handled && { isUnhandled: 1 }),
    ...((state === 'sending' || copyPending === true) && { isUnsent: 1 }),
    ...(marks?.expiresAt !== undefined && { expiresAt: marks.expiresAt }),
    tokens: tokensOf(message, (token) => seal.name(token)),
  } as MessageRow;
}

export function toMessage(seal: Seal, row: MessageRow): StoredMessage {
  if (seal.isSealed)
    return seal.open<StoredMessage>(row as SealedContent, `messages ${row.sender} ${row.timestamp}`);
  const {
    id: _id,
    placeTime: _placeTime,
    placeHash: _placeHash,
    movedHash: _movedHash,
    isUnhandled: _unhandled,
    isUnsent: _unsent,
    expiresAt: _expiresAt,
    tokens: _tokens,
    ...message
  } = row as MessageIndexes & StoredMessage;
  return message;
}

export function recordRow(seal: Seal, record: StoredRecord): Schema['records']['value'] {
  const [kind, key] = [seal.name(record.kind), seal.name(record.key)];
  const { expiry } = record;
  const content = seal.close(record, `records ${kind} ${key}`);
  return { ...content, kind, key, ...(expiry !== undefined && { expiry }) };
}

export const toRecord = (seal: Seal, row: Schema['records']['value']): StoredRecord =>
  seal.open<StoredRecord>(row, `records ${row.kind} ${row.key}`);

export function lastHashRow(seal: Seal, last: LastHash): Schema['lastHashes']['value'] {
  const [node, account] = [seal.name(last.node), seal.name(last.account)];
  const { namespace, expiry } = last;
  return {
    ...seal.close(last, `lastHashes ${node} ${account} ${namespace}`),
    node,
    account,
    namespace,
    expiry,
  } as Schema['lastHashes']['value'];
}

export function swarmRow(seal: Seal, swarm: StoredSwarm): Schema['swarms']['value'] {
  const account = seal.name(swarm.account);
  return { ...seal.close(swarm, `swarms ${account}`), account } as Schema['swarms']['value'];
}

export const valueRow = (seal: Seal, name: string, value: object | string): object | string =>
  seal.isSealed ? seal.close({ value }, `values ${name}`) : value;

export const readValue = (seal: Seal, name: string, value: object | string): unknown =>
  seal.isSealed ? seal.open<{ value: unknown }>(value as SealedContent, `values ${name}`).value : value;
