// SPDX-License-Identifier: AGPL-3.0-or-later
// What becomes of the seal of an account, with a vault of our own.
import { IndexedDbStorage } from '@allium/client/storage/indexeddb';
import { IndexedDbBlobs } from '@allium/client/storage/indexeddb-blobs';
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test, vi } from 'vitest';
import type { Call, Seal } from '../src/api.ts';
import { AppError } from '../src/rpc.ts';
import { Session } from '../src/worker/session.ts';
import { Sessions } from '../src/worker/sessions.ts';
import type { Vault } from '../src/worker/vault.ts';

const OF_MINE = { kind: 'passphrase', passphrase: 'of mine' } as const;
afterEach(() => vi.restoreAllMocks());

const call: Call = { signal: new AbortController().signal, progress: () => {} };

test('an account that is here without a passphrase gets the one that it is restored with', async () => {
  using account = Account.create();
  const resealed: unknown[][] = [];
  const vault = {
    find: async () => [],
    entries: async () => [{ key: 'k', id: account.id, phraseConfirmed: true, sealedBy: 'browser' }],
    reseal: async (...given: unknown[]) => void resealed.push(given),
    unlock: () => Promise.reject(new Error('opened')),
  };
  const { api } = new Sessions(vault as unknown as Vault, () => {});
  const restoring = api.restoreAccount({ phrase: account.phrase(), seal: OF_MINE }, call);
  await expect(restoring).rejects.toThrow('opened');
  expect(resealed).toEqual([['k', account.id, undefined, OF_MINE]]);
});

/** Keeps records in memory; what happens to them and to databases stands in `done`. `opens`: whether clients open. */
function setUp(opens: () => boolean) {
  const done: string[] = [];
  const records = new Map<string, { seed: string; entry: Record<string, unknown> }>();
  const values = new Map<string, string>();
  let next = 1;
  const put = (key: string, seed: Uint8Array, sealedBy: string) =>
    records.set(key, {
      seed: String(seed),
      entry: { key, phraseConfirmed: true, sealedBy, generation: 0, setAside: [] },
    });
  const vault = {
    find: async (seed: Uint8Array) =>
      [...records.values()].filter((one) => one.seed === String(seed)).map(({ entry }) => entry),
    entries: async () => [...records.values()].map(({ entry }) => entry),
    add: async (seed: Uint8Array, { seal }: { seal?: Seal }) => {
      const key = `new${next++}`;
      put(key, seed, seal?.kind ?? 'browser');
      done.push(`add ${key}`);
      return key;
    },
    unlock: async (key: string) => ({
      seed: Uint8Array.from(records.get(key)!.seed.split(',').map(Number)),
      databaseKey: new Uint8Array(32),
    }),
    remove: async (key: string) => {
      records.delete(key);
      done.push(`remove ${key}`);
    },
    value: async (name: string) => values.get(name),
    setValue: async (name: string, value?: string) =>
      void (value === undefined ? values.delete(name) : values.set(name, value)),
  };
  for (const one of [IndexedDbStorage, IndexedDbBlobs]) {
    vi.spyOn(one, 'delete').mockImplementation(async (name) => void done.push(`delete ${name}`));
  }
  vi.spyOn(Session, 'open').mockImplementation(async (account) => {
    if (!opens()) throw new AppError('no_network', 'the gateway does not answer');
    done.push(`open ${account.id}`);
    return { close: async () => {}, restore: async () => {}, profile: {} } as unknown as Session;
  });
  const { api } = new Sessions(vault as unknown as Vault, () => {});
  return { api, done, records, values, put };
}

test('an account that is here under a seal is replaced when the new one is open, and only when that is wanted', async () => {
  using account = Account.create();
  let opens = false;
  const { api, done, records, values, put } = setUp(() => opens);
  put('old', account.seed(), 'passphrase');
  put('other', new Uint8Array(16), 'browser');
  values.set('last', 'old');
  const phrase = account.phrase();
  expect(await api.checkPhrase(phrase, call)).toMatchObject({
    id: account.id,
    here: { key: 'old', sealedBy: 'passphrase' },
  });
  expect((await api.checkPhrase(Account.create().phrase(), call)).here).toBeUndefined();
  await expect(api.restoreAccount({ phrase, seal: OF_MINE }, call)).rejects.toMatchObject({
    code: 'already_here',
  });
  expect(done).toEqual([]);
  // Without the network the new one does not open: the old one is as it was.
  const replacing = { phrase, seal: OF_MINE, replace: true };
  await expect(api.restoreAccount(replacing, call)).rejects.toMatchObject({ code: 'no_network' });
  expect(done.splice(0)).toEqual([
    'add new1',
    'delete allium-new1',
    'delete allium-new1-files',
    'remove new1',
  ]);
  expect([[...records.keys()], values.get('last')]).toEqual([['old', 'other'], 'old']);
  opens = true;
  expect(await api.restoreAccount(replacing, call)).toMatchObject({
    phase: 'open',
    current: { key: 'new2', id: account.id },
  });
  const opened = ['add new2', `open ${account.id}`];
  expect(done).toEqual([...opened, 'delete allium-old', 'delete allium-old-files', 'remove old']);
  expect([[...records.keys()], values.get('last')]).toEqual([['other', 'new2'], 'new2']);
});

test('an account that could not be created is created with the phrase that was shown when one tries again', async () => {
  let opens = false;
  const { api, done, records } = setUp(() => opens);
  const shown = await api.draftAccount(call);
  const options = { name: '', phraseConfirmed: true, seal: OF_MINE };
  await expect(api.createAccount(options, call)).rejects.toMatchObject({ code: 'no_network' });
  expect([...records.keys()]).toEqual([]);
  opens = true;
  expect(await api.createAccount(options, call)).toMatchObject({ phase: 'open', current: { id: shown.id } });
  expect(done.at(-1)).toBe(`open ${shown.id}`);
  expect([...records.keys()]).toEqual(['new2']);
});
