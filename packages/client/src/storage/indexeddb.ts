// SPDX-License-Identifier: MIT
// Storage in the browser's IndexedDB. The database version is the schema.
import type { AccountId } from '@allium/protocol/account-id';
import { type DBSchema, deleteDB, type IDBPDatabase, openDB } from 'idb';
import { searchTokens, tokensOf } from './indexeddb-search.ts';
import { marked } from './marks.ts';
import { type FoundMessages, readQuery, type SearchQuery } from './search.ts';
import {
  type Changes,
  type ConversationSummary,
  compareMessages,
  type HistoryQuery,
  type LastHash,
  type MessageIdentity,
  type PlacedMessage,
  type PoolNode,
  placedAt,
  placeHash,
  placeTime,
  STORAGE_SCHEMA,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
  type StoredSwarm,
} from './storage.ts';

/** IndexedDB has no partial indexes, but leaves out rows without the key: four of these exist only while they matter. */
interface MessageRow extends StoredMessage {
  readonly id?: number;
  readonly placeTime: number;
  readonly placeHash: string;
  readonly movedHash?: string;
  readonly isUnhandled?: 1;
  readonly isUnsent?: 1;
  readonly expiresAt?: number;
  /** Words and tags, each with the place time. */
  readonly tokens: readonly string[];
}

interface Schema extends DBSchema {
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
  lastHashes: { key: [string, string, number]; value: LastHash; indexes: { expiry: number } };
  swarms: { key: string; value: StoredSwarm };
  records: { key: [string, string]; value: StoredRecord; indexes: { expiry: number } };
  /** `nodes`, `guards`, and the settings under `setting:` and their name. */
  values: { key: string; value: unknown };
}

const STORES = ['messages', 'seen', 'lastHashes', 'swarms', 'records', 'values'] as const;

export class IndexedDbStorage implements Storage {
  readonly #database: IDBPDatabase<Schema>;
  #closed = false;

  private constructor(database: IDBPDatabase<Schema>) {
    this.#database = database;
  }

  /**
   * Opens or creates the database `name`. `onBlocking`: another tab wants to delete or upgrade it; this one has been
   * closed then and every further call rejects.
   * @throws StorageError `newer_schema`, `failed`
   */
  static async open(name: string, onBlocking?: () => void): Promise<IndexedDbStorage> {
    let storage: IndexedDbStorage | undefined;
    let database: IDBPDatabase<Schema>;
    try {
      database = await openDB<Schema>(name, STORAGE_SCHEMA, {
        async upgrade(upgraded, from, _to, transaction) {
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
              await row.update(toRow(toMessage(row.value), row.value.id));
            }
          }
          if (from < 3) {
            upgraded
              .createObjectStore('records', { keyPath: ['kind', 'key'] })
              .createIndex('expiry', 'expiry');
          }
          if (from < 5) {
            const messages = transaction.objectStore('messages');
            messages.createIndex('expiring', 'expiresAt');
            messages.createIndex('tokens', 'tokens', { multiEntry: true });
            for (let row = await messages.openCursor(); row !== null; row = await row.continue()) {
              await row.update(toRow(toMessage(row.value), row.value.id));
            }
          }
        },
        blocking() {
          void storage?.close();
          onBlocking?.();
        },
      });
    } catch (cause) {
      if ((cause as Error).name === 'VersionError') {
        throw new StorageError('newer_schema', `this program knows storage schema ${STORAGE_SCHEMA}`, {
          cause,
        });
      }
      throw new StorageError('failed', 'the storage cannot be opened', { cause });
    }
    storage = new IndexedDbStorage(database);
    return storage;
  }

  /** Removes the database and all that it holds. */
  static async delete(name: string): Promise<void> {
    await deleteDB(name);
  }

  async write(given: Changes): Promise<void> {
    this.#check();
    // A copy of the whole first: the caller may change his, and what cannot be read fails before anything is written.
    const changes = structuredClone(given);
    const transaction = this.#database.transaction(STORES, 'readwrite', { durability: 'strict' });
    const store = <Name extends (typeof STORES)[number]>(name: Name) => transaction.objectStore(name);
    const work = async () => {
      const requests: Promise<unknown>[] = [];
      for (const { sender, timestamp } of changes.removed ?? []) {
        const id = await store('messages').index('identity').getKey([sender, timestamp]);
        if (id !== undefined) await store('messages').delete(id);
      }
      for (const message of changes.messages ?? []) {
        const old = await store('messages').index('identity').get([message.sender, message.timestamp]);
        // Awaited, so that a message given twice in one change finds its own row.
        await store('messages').put(toRow(marked(message, old?.marks), old?.id));
      }
      const change = async (
        { sender, timestamp }: MessageIdentity,
        changed: (old: StoredMessage) => StoredMessage,
      ) => {
        const row = await store('messages').index('identity').get([sender, timestamp]);
        if (row !== undefined) await store('messages').put(toRow(changed(toMessage(row)), row.id));
      };
      for (const identity of changes.handled ?? []) {
        await change(identity, (message) => ({ ...message, handled: true }));
      }
      for (const place of changes.placed ?? []) {
        await change(place, (message) => placedAt(message, place));
      }
      for (const { sender, timestamp, marks } of changes.marked ?? []) {
        await change({ sender, timestamp }, (message) => marked(message, marks));
      }
      for (const record of changes.records ?? []) {
        const { kind, key, value } = record;
        requests.push(
          value === undefined ? store('records').delete([kind, key]) : store('records').put(record),
        );
      }
      for (const { hash, expiry } of changes.seen ?? []) requests.push(store('seen').put({ hash, expiry }));
      for (const last of changes.lastHashes ?? []) requests.push(store('lastHashes').put(last));
      for (const swarm of changes.swarms ?? []) {
        requests.push(store('swarms').put(swarm));
      }
      const values = store('values');
      if (changes.nodes !== undefined) requests.push(values.put(changes.nodes, 'nodes'));
      if (changes.guards !== undefined) requests.push(values.put(changes.guards, 'guards'));
      for (const [name, value] of Object.entries(changes.settings ?? {})) {
        const key = `setting:${name}`;
        requests.push(value === undefined ? values.delete(key) : values.put(value, key));
      }
      await Promise.all(requests);
    };
    const done = transaction.done.catch((cause) => {
      throw new StorageError('failed', 'the change could not be written', { cause });
    });
    // A request that fails aborts the transaction, and `done` tells it.
    const [written] = await Promise.allSettled([done, work()]);
    if (written.status === 'rejected') throw written.reason;
  }

  async message(sender: AccountId, timestamp: number): Promise<StoredMessage | undefined> {
    this.#check();
    const row = await this.#database.getFromIndex('messages', 'identity', [sender, timestamp]);
    return row === undefined ? undefined : toMessage(row);
  }

  async history(conversation: AccountId, { limit, before }: HistoryQuery): Promise<readonly StoredMessage[]> {
    this.#check();
    // An empty list is greater than every number.
    const end =
      before === undefined
        ? [conversation, []]
        : [conversation, placeTime(before), placeHash(before), before.sender, before.timestamp];
    const range = IDBKeyRange.bound([conversation], end, false, true);
    const newest: StoredMessage[] = [];
    const index = this.#database.transaction('messages').store.index('order');
    for (
      let cursor = limit > 0 ? await index.openCursor(range, 'prev') : null;
      cursor !== null;
      cursor = newest.length < limit ? await cursor.continue() : null
    ) {
      newest.push(toMessage(cursor.value));
    }
    return newest.reverse();
  }

  async conversations(): Promise<readonly ConversationSummary[]> {
    this.#check();
    const found: ConversationSummary[] = [];
    const index = this.#database.transaction('messages').store.index('order');
    // From each conversation's newest message to the conversation before it.
    let cursor = await index.openCursor(null, 'prev');
    while (cursor !== null) {
      const last = toMessage(cursor.value);
      found.push({ id: last.conversation, last });
      cursor = await index.openCursor(IDBKeyRange.upperBound([last.conversation], true), 'prev');
    }
    return found.sort((a, b) => compareMessages(b.last, a.last));
  }

  async unhandled(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    return (await this.#database.getAllFromIndex('messages', 'unhandled', null, limit)).map(toMessage);
  }

  async moved(hashes: readonly string[]): Promise<readonly StoredMessage[]> {
    this.#check();
    const index = this.#database.transaction('messages').store.index('moved');
    const rows = await Promise.all(hashes.map((hash) => index.getAll(hash)));
    return rows.flat().map(toMessage);
  }

  async unsent(): Promise<readonly StoredMessage[]> {
    this.#check();
    const rows = await this.#database.getAllFromIndex('messages', 'unsent');
    return rows.map(toMessage).sort((a, b) => a.timestamp - b.timestamp || (a.sender < b.sender ? -1 : 1));
  }

  async expiring(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    return (await this.#database.getAllFromIndex('messages', 'expiring', null, limit)).map(toMessage);
  }

  async sentBy(sender: AccountId, from: number, to: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (from >= to) return [];
    const range = IDBKeyRange.bound([sender, from], [sender, to], false, true);
    return (await this.#database.getAllFromIndex('messages', 'identity', range)).map(toMessage);
  }

  async scan(after: number, limit: number): Promise<readonly PlacedMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    const rows = await this.#database.getAll('messages', IDBKeyRange.lowerBound(after, true), limit);
    return rows.map((row) => ({ place: row.id!, message: toMessage(row) }));
  }

  async lastPlace(): Promise<number> {
    this.#check();
    const cursor = await this.#database.transaction('messages').store.openKeyCursor(null, 'prev');
    return cursor?.primaryKey ?? 0;
  }

  async search(query: SearchQuery): Promise<FoundMessages> {
    const wanted = readQuery(query);
    this.#check();
    return searchTokens(this.#database.transaction('messages').store.index('tokens'), wanted, toMessage);
  }

  async seen(hashes: readonly string[]): Promise<ReadonlySet<string>> {
    this.#check();
    const { store } = this.#database.transaction('seen');
    const keys = await Promise.all(hashes.map((hash) => store.getKey(hash)));
    return new Set(keys.filter((key) => key !== undefined));
  }

  async lastHash(node: string, account: AccountId, namespace: number): Promise<LastHash | undefined> {
    this.#check();
    return this.#database.get('lastHashes', [node, account, namespace]);
  }

  async swarm(account: AccountId): Promise<StoredSwarm | undefined> {
    this.#check();
    return this.#database.get('swarms', account);
  }

  async nodes(): Promise<readonly PoolNode[]> {
    this.#check();
    return ((await this.#database.get('values', 'nodes')) ?? []) as readonly PoolNode[];
  }

  async guards(): Promise<readonly string[]> {
    this.#check();
    return ((await this.#database.get('values', 'guards')) ?? []) as readonly string[];
  }

  async setting(name: string): Promise<string | undefined> {
    this.#check();
    return (await this.#database.get('values', `setting:${name}`)) as string | undefined;
  }

  async record(kind: string, key: string): Promise<StoredRecord | undefined> {
    this.#check();
    return this.#database.get('records', [kind, key]);
  }

  async records(kind: string): Promise<readonly StoredRecord[]> {
    this.#check();
    return this.#database.getAll('records', IDBKeyRange.bound([kind], [kind, []]));
  }

  async prune(now: number): Promise<void> {
    this.#check();
    const transaction = this.#database.transaction(['seen', 'lastHashes', 'records'], 'readwrite');
    const expired = IDBKeyRange.upperBound(now, true);
    for (const name of ['seen', 'lastHashes', 'records'] as const) {
      const store = transaction.objectStore(name);
      for (const key of await store.index('expiry').getAllKeys(expired)) void store.delete(key);
    }
    await transaction.done;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#database.close();
  }

  #check(): void {
    if (this.#closed) throw new StorageError('closed', 'this storage is closed');
  }
}

function toRow(message: StoredMessage, id: number | undefined): MessageRow {
  const { hash, sortTimestamp, state, copyPending, handled, marks } = message;
  return {
    ...message,
    ...(id !== undefined && { id }),
    placeTime: placeTime(message),
    placeHash: placeHash(message),
    ...(sortTimestamp !== undefined && hash !== undefined && { movedHash: hash }),
    ...(!handled && { isUnhandled: 1 }),
    ...((state === 'sending' || copyPending === true) && { isUnsent: 1 }),
    ...(marks?.expiresAt !== undefined && { expiresAt: marks.expiresAt }),
    tokens: tokensOf(message),
  };
}

function toMessage({
  id: _id,
  placeTime: _placeTime,
  placeHash: _placeHash,
  movedHash: _movedHash,
  isUnhandled: _unhandled,
  isUnsent: _unsent,
  expiresAt: _expiresAt,
  tokens: _tokens,
  ...message
}: MessageRow): StoredMessage {
  return message;
}
