// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the accounts of this browser are kept: seed and database key of each, sealed by AES-256-GCM under a passphrase
// (Argon2id), under what a passkey derives (WebAuthn PRF), or under a key that the browser keeps and never gives out. What is
// sealed is bound to its record: its name, the account, and what it is sealed by.

import { fromHex, fromUtf8, toHex, utf8 } from '@allium/protocol/bytes';
import { argon2id, hmacSha256, randomBytes } from '@allium/protocol/crypto';
import type { PasskeyName, Seal, Secret } from '../api.ts';
import { AppError } from '../rpc.ts';

const DATABASE = 'allium-vault';
const ACCOUNTS = 'accounts';
const VALUES = 'values';
/** Ours: about a quarter of a second on a laptop. */
const PASSES = 3;
const MEMORY_BYTES = 64 * 2 ** 20;
const NONCE_BYTES = 12;
/** WebAuthn: what `prf` derives. */
const PRF_BYTES = 32;
const PASSKEY_INFO = 'allium vault';
/** What is bound to a record, in this order; 1 was bound to nothing. */
const VERSION = 2 as const;
const MARK_INFO = 'allium vault account ';
const BOUND_INFO = 'allium vault record';

type Protection =
  | { readonly kind: 'browser'; readonly wrap: CryptoKey }
  | {
      readonly kind: 'passphrase';
      readonly salt: Uint8Array;
      readonly passes: number;
      readonly memoryBytes: number;
    }
  | ({ readonly kind: 'passkey' } & PasskeyName);

interface VaultRecord {
  readonly key: string;
  readonly version?: typeof VERSION;
  /**
   * By which whoever has the seed finds the account of a sealed record: HMAC-SHA256 of the record's name under the seed. To
   * anybody else it says nothing, also to one who knows the account id.
   */
  readonly mark?: Uint8Array;
  /** Only of accounts that open without being asked. */
  readonly id?: string;
  readonly name?: string;
  readonly phraseConfirmed: boolean;
  readonly protection: Protection;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
  /** Of the database; 0, or none: the first one. Those before it could not be read, and are kept. */
  readonly generation?: number;
  /** Generations that were set aside. */
  readonly setAside?: readonly number[];
}

export interface Secrets {
  readonly seed: Uint8Array;
  /** 32 bytes: what the database is sealed under. */
  readonly databaseKey: Uint8Array;
}

export type VaultEntry = Pick<VaultRecord, 'key' | 'id' | 'name' | 'phraseConfirmed'> & {
  readonly sealedBy: Protection['kind'];
  /** Which passkey has to be asked. */
  readonly passkey?: PasskeyName;
  readonly generation: number;
  readonly setAside: readonly number[];
};

interface About {
  readonly id: string;
  readonly name?: string | undefined;
  readonly phraseConfirmed: boolean;
  /** Without one: a key of the browser. */
  readonly seal?: Seal | undefined;
}

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
    const records: VaultRecord[] = await result(this.#store(ACCOUNTS).getAll());
    return records.map(({ key, id, name, phraseConfirmed, protection, generation, setAside }) => ({
      key,
      ...(id !== undefined && { id }),
      ...(name !== undefined && { name }),
      phraseConfirmed,
      sealedBy: protection.kind,
      ...(protection.kind === 'passkey' && {
        passkey: { credentialId: protection.credentialId, salt: protection.salt },
      }),
      generation: generation ?? 0,
      setAside: setAside ?? [],
    }));
  }

  /** The records of the account that this is the seed of: one, unless it was being replaced when the browser ended. */
  async find(seed: Uint8Array): Promise<readonly VaultEntry[]> {
    const records: VaultRecord[] = await result(this.#store(ACCOUNTS).getAll());
    const found = records.filter(({ key, mark }) => mark !== undefined && isEqual(mark, markOf(key, seed)));
    return (await this.entries()).filter(({ key }) => found.some((one) => one.key === key));
  }

  async add(seed: Uint8Array, about: About): Promise<string> {
    const key = toHex(randomBytes(8));
    await this.#put(key, { seed, databaseKey: randomBytes(32) }, about);
    return key;
  }

  /** @throws AppError `wrong_passphrase`, `wrong_passkey`, `vault_damaged`, `not_found` */
  async unlock(key: string, secret: Secret | undefined): Promise<Secrets> {
    const record = await this.#record(key);
    const aes = await keyOf(record.protection, secret);
    let plain: ArrayBuffer;
    try {
      plain = await crypto.subtle.decrypt(
        {
          name: 'AES-GCM',
          iv: bytes(record.nonce),
          // One that says to be of version 1 was sealed without, or does not open.
          ...(record.version !== undefined && { additionalData: boundTo(record) }),
        },
        aes,
        bytes(record.sealed),
      );
    } catch {
      throw new AppError(WRONG[record.protection.kind], 'the key does not open the account');
    }
    const { seed, databaseKey } = JSON.parse(fromUtf8(new Uint8Array(plain)));
    return { seed: fromHex(seed), databaseKey: fromHex(databaseKey) };
  }

  /** Seals anew; without `next` under a key of the browser. @throws AppError as `unlock` */
  async reseal(key: string, id: string, current: Secret | undefined, next: Seal | undefined): Promise<void> {
    const { name, phraseConfirmed, generation, setAside } = await this.#record(key);
    const secrets = await this.unlock(key, current);
    const kept = { ...(generation !== undefined && { generation }), ...(setAside && { setAside }) };
    await this.#put(key, secrets, { id, name, phraseConfirmed, seal: next }, kept);
  }

  async change(
    key: string,
    change: Partial<Pick<VaultRecord, 'name' | 'phraseConfirmed' | 'generation' | 'setAside'>>,
  ): Promise<void> {
    const record = await this.#record(key);
    await this.#write(ACCOUNTS, (store) => store.put({ ...record, ...change }));
  }

  async remove(key: string): Promise<void> {
    await this.#write(ACCOUNTS, (store) => store.delete(key));
  }

  async value(name: string): Promise<string | undefined> {
    return await result(this.#store(VALUES).get(name));
  }

  async setValue(name: string, value: string | undefined): Promise<void> {
    await this.#write(VALUES, (store) => (value === undefined ? store.delete(name) : store.put(value, name)));
  }

  async #record(key: string): Promise<VaultRecord> {
    const record: VaultRecord | undefined = await result(this.#store(ACCOUNTS).get(key));
    if (record === undefined) throw new AppError('not_found', 'there is no such account in this browser');
    return record;
  }

  async #put(
    key: string,
    { seed, databaseKey }: Secrets,
    { id, name, phraseConfirmed, seal }: About,
    kept: Pick<VaultRecord, 'generation' | 'setAside'> = {},
  ): Promise<void> {
    const protection = await protectionFor(seal);
    const aes = await keyOf(protection, seal);
    const nonce = randomBytes(NONCE_BYTES);
    const plain = utf8(JSON.stringify({ seed: toHex(seed), databaseKey: toHex(databaseKey) }));
    const bound = {
      key,
      version: VERSION,
      mark: markOf(key, seed),
      ...(protection.kind === 'browser' && { id }),
      protection,
    };
    const sealed = await crypto.subtle.encrypt(
      { name: 'AES-GCM', iv: bytes(nonce), additionalData: boundTo(bound) },
      aes,
      bytes(plain),
    );
    const record: VaultRecord = {
      ...bound,
      ...(name !== undefined && name !== '' && { name }),
      phraseConfirmed,
      ...kept,
      nonce,
      sealed: new Uint8Array(sealed),
    };
    await this.#write(ACCOUNTS, (store) => store.put(record));
  }

  #store(name: string): IDBObjectStore {
    return this.#database.transaction(name, 'readonly').objectStore(name);
  }

  /** Waits until it is on the disk: a request that succeeds is in no database yet. @throws AppError `full`, `storage_failed` */
  async #write(name: string, change: (store: IDBObjectStore) => IDBRequest): Promise<void> {
    const transaction = this.#database.transaction(name, 'readwrite', { durability: 'strict' });
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => {
        const isFull = transaction.error?.name === 'QuotaExceededError';
        reject(new AppError(isFull ? 'full' : 'storage_failed', String(transaction.error)));
      };
    });
    change(transaction.objectStore(name));
    await done;
  }
}

function markOf(key: string, seed: Uint8Array): Uint8Array {
  return hmacSha256(seed, utf8(MARK_INFO + key));
}

/** Neither what is sealed nor how it is sealed can be taken from another record. */
function boundTo({
  key,
  version,
  id,
  mark,
  protection,
}: Pick<VaultRecord, 'key' | 'version' | 'id' | 'mark' | 'protection'>): Uint8Array<ArrayBuffer> {
  const { kind } = protection;
  const how =
    kind === 'passphrase'
      ? [toHex(protection.salt), protection.passes, protection.memoryBytes]
      : kind === 'passkey'
        ? [toHex(protection.credentialId), toHex(protection.salt)]
        : [];
  return bytes(
    utf8(JSON.stringify([BOUND_INFO, version, key, id ?? '', toHex(mark ?? new Uint8Array()), kind, ...how])),
  );
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);

const WRONG = { browser: 'vault_damaged', passphrase: 'wrong_passphrase', passkey: 'wrong_passkey' } as const;

async function protectionFor(seal: Seal | undefined): Promise<Protection> {
  switch (seal?.kind) {
    case 'passphrase':
      return { kind: 'passphrase', salt: randomBytes(16), passes: PASSES, memoryBytes: MEMORY_BYTES };
    case 'passkey':
      return { kind: 'passkey', credentialId: seal.credentialId, salt: seal.salt };
    case undefined: {
      const aes = { name: 'AES-GCM', length: 256 };
      return { kind: 'browser', wrap: await crypto.subtle.generateKey(aes, false, ['encrypt', 'decrypt']) };
    }
  }
}

async function keyOf(protection: Protection, secret: Secret | undefined): Promise<CryptoKey> {
  if (protection.kind === 'browser') return protection.wrap;
  if (protection.kind === 'passphrase') {
    if (secret?.kind !== 'passphrase')
      throw new AppError('passphrase_needed', 'the account needs its passphrase');
    const { salt, passes, memoryBytes } = protection;
    // The same text in another form of Unicode is the same passphrase.
    const raw = argon2id(utf8(secret.passphrase.normalize('NFKC')), salt, {
      length: 32,
      passes,
      memoryBytes,
    });
    return await crypto.subtle.importKey('raw', bytes(raw), 'AES-GCM', false, ['encrypt', 'decrypt']);
  }
  if (secret?.kind !== 'passkey') throw new AppError('passkey_needed', 'the account needs its passkey');
  if (secret.output.length < PRF_BYTES) throw new AppError('passkey_no_prf', 'the passkey derived no key');
  const material = await crypto.subtle.importKey('raw', bytes(secret.output), 'HKDF', false, ['deriveKey']);
  return await crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: bytes(protection.salt), info: bytes(utf8(PASSKEY_INFO)) },
    material,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  );
}

/** For WebCrypto, whose types want to know that the memory is not shared. */
const bytes = (of: Uint8Array): Uint8Array<ArrayBuffer> => of as Uint8Array<ArrayBuffer>;

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
