// SPDX-License-Identifier: AGPL-3.0-or-later
// What becomes of the seal of an account, with a vault of our own.
import { IndexedDbStorage } from '@allium/client/storage/indexeddb';
import { IndexedDbBlobs } from '@allium/client/storage/indexeddb-blobs';
import { Account } from '@allium/protocol/account';
import { expect, test, vi } from 'vitest';
import type { Call } from '../src/api.ts';
import { Sessions } from '../src/worker/sessions.ts';
import type { Vault } from '../src/worker/vault.ts';

const OF_MINE = { kind: 'passphrase', passphrase: 'of mine' } as const;
const call: Call = { signal: new AbortController().signal, progress: () => {} };

test('an account that is here without a passphrase gets the one that it is restored with', async () => {
  using account = Account.create();
  const resealed: unknown[][] = [];
  const vault = {
    find: async () => undefined,
    entries: async () => [{ key: 'k', id: account.id, phraseConfirmed: true, sealedBy: 'browser' }],
    reseal: async (...given: unknown[]) => void resealed.push(given),
    unlock: () => Promise.reject(new Error('opened')),
  };
  const { api } = new Sessions(vault as unknown as Vault, () => {});
  const restoring = api.restoreAccount({ phrase: account.phrase(), seal: OF_MINE }, call);
  await expect(restoring).rejects.toThrow('opened');
  expect(resealed).toEqual([['k', account.id, undefined, OF_MINE]]);
});

test('an account that is here under a seal is not restored beside itself: the page is told, and may replace it', async () => {
  using account = Account.create();
  const done: string[] = [];
  const sealed = { key: 'k', phraseConfirmed: true, sealedBy: 'passphrase', generation: 0, setAside: [] };
  const vault = {
    find: async (seed: Uint8Array) => (String(seed) === String(account.seed()) ? sealed : undefined),
    entries: async () => [sealed],
    remove: async (key: string) => void done.push(`remove ${key}`),
    setValue: async () => undefined,
    add: () => Promise.reject(new Error('added')),
  };
  for (const one of [IndexedDbStorage, IndexedDbBlobs]) {
    vi.spyOn(one, 'delete').mockImplementation(async (name) => void done.push(`delete ${name}`));
  }
  const { api } = new Sessions(vault as unknown as Vault, () => {});
  const phrase = account.phrase();
  expect(await api.checkPhrase(phrase, call)).toMatchObject({
    id: account.id,
    here: { key: 'k', sealedBy: 'passphrase' },
  });
  expect((await api.checkPhrase(Account.create().phrase(), call)).here).toBeUndefined();
  await expect(api.restoreAccount({ phrase, seal: OF_MINE }, call)).rejects.toMatchObject({
    code: 'already_here',
  });
  expect(done).toEqual([]);
  await expect(api.restoreAccount({ phrase, seal: OF_MINE, replace: true }, call)).rejects.toThrow('added');
  expect(done).toEqual(['delete allium-k', 'delete allium-k-files', 'remove k']);
  vi.restoreAllMocks();
});
