// SPDX-License-Identifier: MIT
// Storage in the browser's IndexedDB, plain or sealed (`indexeddb-seal.ts`). Rows: `indexeddb-rows.ts`.
import type { AccountId } from '@allium/protocol/account-id';
import { deleteDB, type IDBPDatabase, openDB } from 'idb';
import { indexedDbFailure } from './indexeddb-failure.ts';
import {
  lastHashRow,
  type MessageRow,
  readValue,
  recordRow,
  type Schema,
  swarmRow,
  toMessage,
  toRecord,
  toRow,
  valueRow,
} from './indexeddb-rows.ts';
import { checkSeal, STORES, upgrade } from './indexeddb-schema.ts';
import { PLAIN, type Seal, sealUnder } from './indexeddb-seal.ts';
import { searchTokens } from './indexeddb-search.ts';
import { marked } from './marks.ts';
import { type FoundMessages, readQuery, type SearchQuery } from './search.ts';
import {
  type Changes,
  type ConversationSummary,
  checkUnchanged,
  compareMessages,
  type HistoryQuery,
  type LastHash,
  type MessageIdentity,
  type PlacedMessage,
  type PoolNode,
  placedAt,
  placeTime,
  STORAGE_SCHEMA,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
  type StoredSwarm,
  taken,
} from './storage.ts';

export class IndexedDbStorage implements Storage {
  readonly #database: IDBPDatabase<Schema>;
  readonly #seal: Seal;
  #closed = false;

  private constructor(database: IDBPDatabase<Schema>, seal: Seal) {
    this.#database = database;
    this.#seal = seal;
  }

  /**
   * Opens or creates the database `name`. `onBlocking`: another tab wants to delete or upgrade it; this one has been
   * closed then and every further call rejects. `key`: 32 bytes; everything is sealed under it, also what was there
   * before. Times, and how much there is, are not hidden.
   * @throws StorageError `newer_schema`, `wrong_key` (also: sealed, and no key given), `full`, `failed`
   */
  static async open(
    name: string,
    onBlocking?: () => void,
    options: { readonly key?: Uint8Array } = {},
  ): Promise<IndexedDbStorage> {
    const seal = options.key === undefined ? PLAIN : sealUnder(options.key);
    let storage: IndexedDbStorage | undefined;
    let database: IDBPDatabase<Schema>;
    try {
      database = await openDB<Schema>(name, STORAGE_SCHEMA, {
        upgrade,
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
      throw indexedDbFailure(cause, 'the storage cannot be opened');
    }
    try {
      await checkSeal(database, seal);
    } catch (cause) {
      database.close();
      throw indexedDbFailure(cause, 'the storage cannot be opened');
    }
    storage = new IndexedDbStorage(database, seal);
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
      const seal = this.#seal;
      const identity = ({ sender, timestamp }: MessageIdentity) =>
        [seal.name(sender), timestamp] satisfies [string, number];
      for (const fresh of changes.fresh ?? []) {
        if ((await store('messages').index('identity').getKey(identity(fresh))) === undefined) continue;
        transaction.abort();
        throw taken();
      }
      for (const record of changes.unchanged ?? []) {
        const row = await store('records').get([seal.name(record.kind), seal.name(record.key)]);
        try {
          checkUnchanged(record, row && toRecord(seal, row).value);
        } catch (error) {
          transaction.abort();
          throw error;
        }
      }
      for (const removed of changes.removed ?? []) {
        const id = await store('messages').index('identity').getKey(identity(removed));
        if (id !== undefined) await store('messages').delete(id);
      }
      for (const message of changes.messages ?? []) {
        const old = await store('messages').index('identity').get(identity(message));
        const marks = old && toMessage(seal, old).marks;
        // Awaited, so that a message given twice in one change finds its own row.
        await store('messages').put(toRow(seal, marked(message, marks), old?.id));
      }
      const change = async (one: MessageIdentity, changed: (old: StoredMessage) => StoredMessage) => {
        const row = await store('messages').index('identity').get(identity(one));
        if (row !== undefined)
          await store('messages').put(toRow(seal, changed(toMessage(seal, row)), row.id));
      };
      for (const handled of changes.handled ?? []) {
        await change(handled, (message) => ({ ...message, handled: true }));
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
          value === undefined
            ? store('records').delete([seal.name(kind), seal.name(key)])
            : store('records').put(recordRow(seal, record)),
        );
      }
      for (const { hash, expiry } of changes.seen ?? []) {
        requests.push(store('seen').put({ hash: seal.name(hash), expiry }));
      }
      for (const last of changes.lastHashes ?? [])
        requests.push(store('lastHashes').put(lastHashRow(seal, last)));
      for (const swarm of changes.swarms ?? []) requests.push(store('swarms').put(swarmRow(seal, swarm)));
      const put = (name: string, value: object | string) =>
        requests.push(store('values').put(valueRow(seal, name, value), seal.name(name)));
      if (changes.nodes !== undefined) put('nodes', changes.nodes);
      if (changes.guards !== undefined) put('guards', changes.guards);
      for (const [name, value] of Object.entries(changes.settings ?? {})) {
        const key = `setting:${name}`;
        if (value === undefined) requests.push(store('values').delete(seal.name(key)));
        else put(key, value);
      }
      await Promise.all(requests);
    };
    const done = transaction.done.catch((cause) => {
      throw indexedDbFailure(cause, 'the change could not be written');
    });
    // A request that fails aborts the transaction, and `done` tells it.
    const [written, worked] = await Promise.allSettled([done, work()]);
    if (worked.status === 'rejected' && worked.reason instanceof StorageError) throw worked.reason;
    if (written.status === 'rejected') throw written.reason;
  }

  async message(sender: AccountId, timestamp: number): Promise<StoredMessage | undefined> {
    this.#check();
    const identity = [this.#seal.name(sender), timestamp] as [string, number];
    const row = await this.#database.getFromIndex('messages', 'identity', identity);
    return row === undefined ? undefined : this.#message(row);
  }

  async history(conversation: AccountId, { limit, before }: HistoryQuery): Promise<readonly StoredMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    // Sealed names are not in the order of what they stand for: all that has one place time is read and put in order. An
    // empty list is greater than every number and every text.
    const name = this.#seal.name(conversation);
    const end = before === undefined ? [name, []] : [name, placeTime(before), []];
    const range = IDBKeyRange.bound([name], end, false, true);
    const newest: StoredMessage[] = [];
    const index = this.#database.transaction('messages').store.index('order');
    let time: number | undefined;
    for (
      let cursor = await index.openCursor(range, 'prev');
      cursor !== null;
      cursor = await cursor.continue()
    ) {
      if (newest.length >= limit && cursor.value.placeTime !== time) break;
      const message = this.#message(cursor.value);
      if (before !== undefined && compareMessages(message, before) >= 0) continue;
      time = cursor.value.placeTime;
      newest.push(message);
    }
    return newest.sort(compareMessages).slice(-limit);
  }

  async conversations(): Promise<readonly ConversationSummary[]> {
    this.#check();
    const found: ConversationSummary[] = [];
    const index = this.#database.transaction('messages').store.index('order');
    // From each conversation's newest messages to the conversation before it.
    let cursor = await index.openCursor(null, 'prev');
    while (cursor !== null) {
      const { conversation, placeTime } = cursor.value;
      const rows = await index.getAll(IDBKeyRange.bound([conversation, placeTime], [conversation, []]));
      const [last] = rows.map((row) => this.#message(row)).sort((a, b) => compareMessages(b, a));
      if (last !== undefined) found.push({ id: last.conversation, last });
      cursor = await index.openCursor(IDBKeyRange.upperBound([conversation], true), 'prev');
    }
    return found.sort((a, b) => compareMessages(b.last, a.last));
  }

  async unhandled(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    return (await this.#database.getAllFromIndex('messages', 'unhandled', null, limit)).map((row) =>
      this.#message(row),
    );
  }

  async moved(hashes: readonly string[]): Promise<readonly StoredMessage[]> {
    this.#check();
    const index = this.#database.transaction('messages').store.index('moved');
    const rows = await Promise.all(hashes.map((hash) => index.getAll(this.#seal.name(hash))));
    return rows.flat().map((row) => this.#message(row));
  }

  async unsent(): Promise<readonly StoredMessage[]> {
    this.#check();
    const rows = await this.#database.getAllFromIndex('messages', 'unsent');
    return rows
      .map((row) => this.#message(row))
      .sort((a, b) => a.timestamp - b.timestamp || (a.sender < b.sender ? -1 : 1));
  }

  async expiring(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    return (await this.#database.getAllFromIndex('messages', 'expiring', null, limit)).map((row) =>
      this.#message(row),
    );
  }

  async sentBy(sender: AccountId, from: number, to: number): Promise<readonly StoredMessage[]> {
    this.#check();
    if (from >= to) return [];
    const name = this.#seal.name(sender);
    const range = IDBKeyRange.bound([name, from], [name, to], false, true);
    return (await this.#database.getAllFromIndex('messages', 'identity', range)).map((row) =>
      this.#message(row),
    );
  }

  async scan(after: number, limit: number): Promise<readonly PlacedMessage[]> {
    this.#check();
    if (limit <= 0) return [];
    const rows = await this.#database.getAll('messages', IDBKeyRange.lowerBound(after, true), limit);
    return rows.map((row) => ({ place: row.id!, message: this.#message(row) }));
  }

  async lastPlace(): Promise<number> {
    this.#check();
    const cursor = await this.#database.transaction('messages').store.openKeyCursor(null, 'prev');
    return cursor?.primaryKey ?? 0;
  }

  async search(query: SearchQuery): Promise<FoundMessages> {
    const wanted = readQuery(query);
    this.#check();
    const index = this.#database.transaction('messages').store.index('tokens');
    return searchTokens(
      index,
      wanted,
      (row) => this.#message(row),
      (token) => this.#seal.name(token),
    );
  }

  async seen(hashes: readonly string[]): Promise<ReadonlySet<string>> {
    this.#check();
    const { store } = this.#database.transaction('seen');
    const keys = await Promise.all(hashes.map((hash) => store.getKey(this.#seal.name(hash))));
    return new Set(hashes.filter((_, at) => keys[at] !== undefined));
  }

  async lastHash(node: string, account: AccountId, namespace: number): Promise<LastHash | undefined> {
    this.#check();
    const seal = this.#seal;
    const key: [string, string, number] = [seal.name(node), seal.name(account), namespace];
    const row = await this.#database.get('lastHashes', key);
    return row && seal.open<LastHash>(row, `lastHashes ${key.join(' ')}`);
  }

  async swarm(account: AccountId): Promise<StoredSwarm | undefined> {
    this.#check();
    const name = this.#seal.name(account);
    const row = await this.#database.get('swarms', name);
    return row && this.#seal.open<StoredSwarm>(row, `swarms ${name}`);
  }

  async nodes(): Promise<readonly PoolNode[]> {
    return ((await this.#value('nodes')) ?? []) as readonly PoolNode[];
  }

  async guards(): Promise<readonly string[]> {
    return ((await this.#value('guards')) ?? []) as readonly string[];
  }

  async setting(name: string): Promise<string | undefined> {
    return (await this.#value(`setting:${name}`)) as string | undefined;
  }

  async record(kind: string, key: string): Promise<StoredRecord | undefined> {
    this.#check();
    const row = await this.#database.get('records', [this.#seal.name(kind), this.#seal.name(key)]);
    return row && toRecord(this.#seal, row);
  }

  async records(kind: string): Promise<readonly StoredRecord[]> {
    this.#check();
    const name = this.#seal.name(kind);
    const rows = await this.#database.getAll('records', IDBKeyRange.bound([name], [name, []]));
    const records = rows.map((row) => toRecord(this.#seal, row));
    return this.#seal.isSealed ? records.sort((a, b) => (a.key < b.key ? -1 : 1)) : records;
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

  async #value(name: string): Promise<unknown> {
    this.#check();
    const value = await this.#database.get('values', this.#seal.name(name));
    return value === undefined ? undefined : readValue(this.#seal, name, value);
  }

  #message(row: MessageRow): StoredMessage {
    return toMessage(this.#seal, row);
  }

  #check(): void {
    if (this.#closed) throw new StorageError('closed', 'this storage is closed');
  }
}
