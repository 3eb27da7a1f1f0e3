// SPDX-License-Identifier: MIT
// Segments of files in a browser: one IndexedDB database beside the storage's.
import { type DBSchema, deleteDB, type IDBPDatabase, openDB } from 'idb';
import type { BlobPort } from './blobs.ts';
import { indexedDbFailure } from './indexeddb-failure.ts';

interface Schema extends DBSchema {
  blobs: { key: string; value: Uint8Array };
}

export class IndexedDbBlobs implements BlobPort {
  readonly cacheBytes = 512 * 1024 * 1024;
  readonly #database: IDBPDatabase<Schema>;

  private constructor(database: IDBPDatabase<Schema>) {
    this.#database = database;
  }

  /** Opens or creates the database `name`, which belongs to this port alone. @throws StorageError `full`, `failed` */
  static async open(name: string): Promise<IndexedDbBlobs> {
    try {
      const database: IDBPDatabase<Schema> = await openDB<Schema>(name, 1, {
        upgrade: (upgraded) => {
          upgraded.createObjectStore('blobs');
        },
        blocking: () => database.close(),
      });
      return new IndexedDbBlobs(database);
    } catch (cause) {
      throw indexedDbFailure(cause, 'the store of files cannot be opened');
    }
  }

  /** Removes the database and all that it holds. */
  static async delete(name: string): Promise<void> {
    await deleteDB(name);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    try {
      const transaction = this.#database.transaction('blobs', 'readwrite', { durability: 'strict' });
      await Promise.all([transaction.store.put(bytes, name), transaction.done]);
    } catch (cause) {
      throw indexedDbFailure(cause, 'a file could not be written');
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#database.get('blobs', name);
  }

  async remove(names: readonly string[]): Promise<void> {
    const transaction = this.#database.transaction('blobs', 'readwrite');
    await Promise.all([...names.map((name) => transaction.store.delete(name)), transaction.done]);
  }

  async names(): Promise<readonly string[]> {
    return this.#database.getAllKeys('blobs');
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}
