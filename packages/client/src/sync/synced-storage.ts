// SPDX-License-Identifier: MIT
// The storage as the parts of a client see it: each write carries what belongs to it for the account's other devices.
import type { Changes, Storage } from '../storage/storage.ts';
import type { SyncedAccount } from './synced-account.ts';

/**
 * A storage that adds to each write all that belongs to it. Everything of the account has to use it; until there is an
 * account it is the storage as it is.
 */
export function syncedStorage(inner: Storage, account: () => SyncedAccount | undefined): Storage {
  const write = (changes: Changes) => (account() ?? inner).write(changes);
  return new Proxy(inner, {
    get: (storage, name) => {
      if (name === 'write') return write;
      const value: unknown = Reflect.get(storage, name);
      return typeof value === 'function' ? value.bind(storage) : value;
    },
  });
}
