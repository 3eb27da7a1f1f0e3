// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the accounts of this browser are kept: seed and database key of each, sealed by AES-256-GCM under a passphrase
// (Argon2id) or, without one, under a key that the browser keeps and never gives out.

import { fromHex, fromUtf8, toHex, utf8 } from '@allium/protocol/bytes';
import { argon2id, randomBytes } from '@allium/protocol/crypto';
import { AppError } from '../rpc.ts';

const DATABASE = 'allium-vault';
const ACCOUNTS = 'accounts';
const VALUES = 'values';
/** Ours: about a quarter of a second on a laptop. */
const PASSES = 3;
const MEMORY_BYTES = 64 * 2 ** 20;
const NONCE_BYTES = 12;

type Protection =
  | { readonly kind: 'browser'; readonly wrap: CryptoKey }
  | {
      readonly kind: 'passphrase';
      readonly salt: Uint8Array;
      readonly passes: number;
      readonly memoryBytes: number;
    };

interface VaultRecord {
  readonly key: string;
  /** Only of accounts without a passphrase. */
  readonly id?: string;
  readonly name?: string;
  readonly phraseConfirmed: boolean;
  readonly protection: Protection;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface Secrets {
  readonly seed: Uint8Array;
  /** 32 bytes: what the database is sealed under. */
  readonly databaseKey: Uint8Array;
}

export type VaultEntry = Pick<VaultRecord, 'key' | 'id' | 'name' | 'phraseConfirmed'> & {
  readonly hasPassphrase: boolean;
};

export class Vault {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /** @throws AppError `storage_failed` where the browser gives no IndexedDB */
  static async open(): Promise<Vault> {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(ACCOUNTS, { keyPath: 'key' });
        request.result.createObjectStore(VALUES);
      };
      return new Vault(await result(request));
    } catch (cause) {
      throw new AppError('storage_failed', `the browser gives no storage: ${String(cause)}`);
    }
  }

  async entries(): Promise<readonly VaultEntry[]> {
    const records: VaultRecord[] = await result(this.#store(ACCOUNTS, 'readonly').getAll());
    return records.map(({ key, id, name, phraseConfirmed, protection }) => ({
      key,
      ...(id !== undefined && { id }),
      ...(name !== undefined && { name }),
      phraseConfirmed,
      hasPassphrase: protection.kind === 'passphrase',
    }));
  }

  async add(
    seed: Uint8Array,
    about: { id: string; name?: string; phraseConfirmed: boolean; passphrase?: string | undefined },
  ): Promise<string> {
    const key = toHex(randomBytes(8));
    await this.#put(key, { seed, databaseKey: randomBytes(32) }, about);
    return key;
  }

  /** @throws AppError `wrong_passphrase`, `not_found` */
  async unlock(key: string, passphrase: string | undefined): Promise<Secrets> {
    const record = await this.#record(key);
    const aes = await keyOf(record.protection, passphrase);
    let plain: ArrayBuffer;
    try {
      plain = await crypto.subtle.decrypt(
        { name: 'AES-GCM', iv: bytes(record.nonce) },
        aes,
        bytes(record.sealed),
      );
    } catch {
      throw new AppError('wrong_passphrase', 'this passphrase does not open the account');
    }
    const { seed, databaseKey } = JSON.parse(fromUtf8(new Uint8Array(plain)));
    return { seed: fromHex(seed), databaseKey: fromHex(databaseKey) };
  }

  /** Seals anew. @throws AppError `wrong_passphrase` */
  async setPassphrase(
    key: string,
    id: string,
    current: string | undefined,
    next: string | undefined,
  ): Promise<void> {
    const { name, phraseConfirmed } = await this.#record(key);
    const secrets = await this.unlock(key, current);
    await this.#put(key, secrets, {
      id,
      ...(name !== undefined && { name }),
      phraseConfirmed,
      passphrase: next,
    });
  }

  async change(key: string, change: { name?: string; phraseConfirmed?: boolean }): Promise<void> {
    const record = await this.#record(key);
    await result(this.#store(ACCOUNTS, 'readwrite').put({ ...record, ...change }));
  }

  async remove(key: string): Promise<void> {
    await result(this.#store(ACCOUNTS, 'readwrite').delete(key));
  }

  async value(name: string): Promise<string | undefined> {
    return await result(this.#store(VALUES, 'readonly').get(name));
  }

  async setValue(name: string, value: string | undefined): Promise<void> {
    const store = this.#store(VALUES, 'readwrite');
    if (value === undefined) await result(store.delete(name));
    else await result(store.put(value, name));
  }

  async #record(key: string): Promise<VaultRecord> {
    const record: VaultRecord | undefined = await result(this.#store(ACCOUNTS, 'readonly').get(key));
    if (record === undefined) throw new AppError('not_found', 'there is no such account in this browser');
    return record;
  }

  async #put(
    key: string,
    { seed, databaseKey }: Secrets,
    about: { id: string; name?: string; phraseConfirmed: boolean; passphrase?: string | undefined },
  ): Promise<void> {
    const { id, name, phraseConfirmed, passphrase } = about;
    const protection: Protection =
      passphrase === undefined || passphrase === ''
        ? {
            kind: 'browser',
            wrap: await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
              'encrypt',
              'decrypt',
            ]),
          }
        : { kind: 'passphrase', salt: randomBytes(16), passes: PASSES, memoryBytes: MEMORY_BYTES };
    const aes = await keyOf(protection, passphrase);
    const nonce = randomBytes(NONCE_BYTES);
    const plain = utf8(JSON.stringify({ seed: toHex(seed), databaseKey: toHex(databaseKey) }));
    const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: bytes(nonce) }, aes, bytes(plain));
    const record: VaultRecord = {
      key,
      ...(protection.kind === 'browser' && { id }),
      ...(name !== undefined && name !== '' && { name }),
      phraseConfirmed,
      protection,
      nonce,
      sealed: new Uint8Array(sealed),
    };
    await result(this.#store(ACCOUNTS, 'readwrite').put(record));
  }

  #store(name: string, mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction(name, mode).objectStore(name);
  }
}

async function keyOf(protection: Protection, passphrase: string | undefined): Promise<CryptoKey> {
  if (protection.kind === 'browser') return protection.wrap;
  if (passphrase === undefined) throw new AppError('passphrase_needed', 'the account needs its passphrase');
  const { salt, passes, memoryBytes } = protection;
  // The same text in another form of Unicode is the same passphrase.
  const raw = argon2id(utf8(passphrase.normalize('NFKC')), salt, { length: 32, passes, memoryBytes });
  return await crypto.subtle.importKey('raw', bytes(raw), 'AES-GCM', false, ['encrypt', 'decrypt']);
}

/** For WebCrypto, whose types want to know that the memory is not shared. */
const bytes = (of: Uint8Array): Uint8Array<ArrayBuffer> => of as Uint8Array<ArrayBuffer>;

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
