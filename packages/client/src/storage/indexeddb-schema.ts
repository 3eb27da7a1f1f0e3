// SPDX-License-Identifier: MIT
// The browser's database as it comes to be: object stores and indexes of each schema (the database version), and the sealing
// of what was plain.
import type { IDBPDatabase, IDBPTransaction, StoreNames } from 'idb';
import {
  lastHashRow,
  recordRow,
  type Schema,
  swarmRow,
  toMessage,
  toRow,
  valueRow,
} from './indexeddb-rows.ts';
import { PLAIN, type Seal, type SealedContent } from './indexeddb-seal.ts';
import { type LastHash, StorageError, type StoredRecord, type StoredSwarm } from './storage.ts';

const SEAL = 'seal';
export const STORES = ['messages', 'seen', 'lastHashes', 'swarms', 'records', 'values'] as const;

/** From schema `from` (0: nothing is there) to the newest. */
export async function upgrade(
  upgraded: IDBPDatabase<Schema>,
  from: number,
  _to: number | null,
  transaction: IDBPTransaction<Schema, StoreNames<Schema>[], 'versionchange'>,
): Promise<void> {
  if (from < 1) {
    const messages = upgraded.createObjectStore('messages', { keyPath: 'id', autoIncrement: true });
    messages.createIndex('identity', ['sender', 'timestamp'], { unique: true });
    messages.createIndex('unhandled', 'isUnhandled');
    messages.createIndex('unsent', 'isUnsent');
    upgraded.createObjectStore('seen', { keyPath: 'hash' }).createIndex('expiry', 'expiry');
    upgraded
      .createObjectStore('lastHashes', { keyPath: ['node', 'account', 'namespace'] })
      .createIndex('expiry', 'expiry');
    upgraded.createObjectStore('swarms', { keyPath: 'account' });
    upgraded.createObjectStore('values');
  }
  if (from < 2) {
    const messages = transaction.objectStore('messages');
    if (from === 1) (messages.deleteIndex as (name: string) => void).call(messages, 'conversation');
    messages.createIndex('order', ['conversation', 'placeTime', 'placeHash', 'sender', 'timestamp']);
    messages.createIndex('moved', 'movedHash');
    for (let row = await messages.openCursor(); row !== null; row = await row.continue()) {
      await row.update(toRow(PLAIN, toMessage(PLAIN, row.value), row.value.id));
    }
  }
  if (from < 3) {
    upgraded.createObjectStore('records', { keyPath: ['kind', 'key'] }).createIndex('expiry', 'expiry');
  }
  if (from < 5) {
    const messages = transaction.objectStore('messages');
    messages.createIndex('expiring', 'expiresAt');
    messages.createIndex('tokens', 'tokens', { multiEntry: true });
    for (let row = await messages.openCursor(); row !== null; row = await row.continue()) {
      await row.update(toRow(PLAIN, toMessage(PLAIN, row.value), row.value.id));
    }
  }
}

/** Whether the key is right; seals what is plain. @throws StorageError `wrong_key` */
export async function checkSeal(database: IDBPDatabase<Schema>, seal: Seal): Promise<void> {
  const mark = await database.get('values', SEAL);
  if (mark === undefined && !seal.isSealed) return;
  if (mark !== undefined) {
    try {
      if (seal.isSealed) {
        seal.open(mark as SealedContent, SEAL);
        return;
      }
    } catch (cause) {
      throw new StorageError('wrong_key', 'the storage is sealed under another key', { cause });
    }
    throw new StorageError('wrong_key', 'the storage is sealed and needs its key');
  }
  const transaction = database.transaction(STORES, 'readwrite', { durability: 'strict' });
  const store = <Name extends (typeof STORES)[number]>(name: Name) => transaction.objectStore(name);
  // Another tab may have done it meanwhile.
  if ((await store('values').get(SEAL)) === undefined) {
    for (let row = await store('messages').openCursor(); row !== null; row = await row.continue()) {
      await row.update(toRow(seal, toMessage(PLAIN, row.value), row.value.id));
    }
    const [seen, lastHashes, swarms, records, names, values] = await Promise.all([
      store('seen').getAll(),
      store('lastHashes').getAll(),
      store('swarms').getAll(),
      store('records').getAll(),
      store('values').getAllKeys(),
      store('values').getAll(),
    ]);
    for (const name of ['seen', 'lastHashes', 'swarms', 'records', 'values'] as const)
      await store(name).clear();
    for (const { hash, expiry } of seen) await store('seen').put({ hash: seal.name(hash), expiry });
    for (const last of lastHashes) await store('lastHashes').put(lastHashRow(seal, last as LastHash));
    for (const swarm of swarms) await store('swarms').put(swarmRow(seal, swarm as StoredSwarm));
    for (const record of records) await store('records').put(recordRow(seal, record as StoredRecord));
    for (const [at, name] of names.entries()) {
      await store('values').put(valueRow(seal, name, values[at]!), seal.name(name));
    }
    await store('values').put(seal.close({}, SEAL), SEAL);
  }
  await transaction.done;
}
