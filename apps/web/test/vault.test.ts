// SPDX-License-Identifier: AGPL-3.0-or-later
// The vault where the browser's storage fails; apps/web/e2e has the rest in Chromium.
import { afterEach, expect, test, vi } from 'vitest';
import { Vault } from '../src/worker/vault.ts';

afterEach(() => vi.unstubAllGlobals());

/** Requests succeed, and then the transaction ends so. */
function stubDatabase(end: 'complete' | 'abort', durabilities: unknown[] = []): void {
  const request = (result?: unknown) => {
    const made = { result, onsuccess: undefined as (() => void) | undefined };
    queueMicrotask(() => made.onsuccess?.());
    return made;
  };
  const database = {
    transaction(_name: string, _mode: string, options?: { durability?: string }) {
      durabilities.push(options?.durability);
      const made = {
        error: end === 'abort' ? new DOMException('no space', 'QuotaExceededError') : null,
        oncomplete: undefined as (() => void) | undefined,
        onabort: undefined as (() => void) | undefined,
        objectStore: () => ({ put: () => request() }),
      };
      setTimeout(() => (end === 'complete' ? made.oncomplete?.() : made.onabort?.()));
      return made;
    },
  };
  vi.stubGlobal('indexedDB', { open: () => request(database) });
}

/** Keeps records in memory, with what IndexedDB needs of it here. */
function memoryDatabase(): Map<string, Record<string, unknown>> {
  const records = new Map<string, Record<string, unknown>>();
  const request = (result?: unknown) => {
    const made = { result, onsuccess: undefined as (() => void) | undefined };
    queueMicrotask(() => made.onsuccess?.());
    return made;
  };
  const store = {
    get: (key: string) => request(records.get(key)),
    getAll: () => request([...records.values()]),
    put: (record: Record<string, unknown>) => request(records.set(String(record.key), record)),
    delete: (key: string) => request(records.delete(key)),
  };
  const database = {
    transaction: () => {
      const made = { oncomplete: undefined as (() => void) | undefined, objectStore: () => store };
      setTimeout(() => made.oncomplete?.());
      return made;
    },
  };
  vi.stubGlobal('indexedDB', { open: () => request(database) });
  return records;
}

const about = { id: `05${'ab'.repeat(32)}`, phraseConfirmed: true };

test('an account counts as kept when it is on the disk, not before', async () => {
  stubDatabase('abort');
  const full = await Vault.open();
  await expect(full.add(new Uint8Array(16), about)).rejects.toMatchObject({ code: 'full' });
  const durabilities: unknown[] = [];
  stubDatabase('complete', durabilities);
  const vault = await Vault.open();
  expect(await vault.add(new Uint8Array(16), about)).toMatch(/^[0-9a-f]{16}$/);
  expect(durabilities).toEqual(['strict']);
});

const passphrase = { kind: 'passphrase', passphrase: 'correct horse' } as const;
const passkey = {
  kind: 'passkey',
  credentialId: new Uint8Array(16).fill(3),
  salt: new Uint8Array(32).fill(4),
  output: new Uint8Array(32).fill(5),
} as const;
const SEED = new Uint8Array(16).fill(7);

test.each([
  ['the browser', undefined],
  ['a passkey', passkey],
])('what %s seals opens under its own name and as it was sealed only', async (_, seal) => {
  const records = memoryDatabase();
  const vault = await Vault.open();
  const key = await vault.add(SEED, { ...about, seal });
  const other = await vault.add(new Uint8Array(16).fill(8), { ...about, seal });
  expect((await vault.unlock(key, seal)).seed).toEqual(SEED);
  const [own, foreign] = [records.get(key)!, records.get(other)!];
  const code = seal === undefined ? 'vault_damaged' : 'wrong_passkey';
  const changed: Record<string, unknown>[] = [
    // A whole record under another name, and what is sealed alone.
    { ...foreign, key },
    { ...own, sealed: foreign.sealed, nonce: foreign.nonce },
    { ...own, id: `05${'cd'.repeat(32)}` },
    { ...own, mark: foreign.mark },
    { ...own, version: undefined },
    { ...own, version: 3 },
  ];
  for (const record of changed) {
    records.set(key, record);
    await expect(vault.unlock(key, seal)).rejects.toMatchObject({ code });
  }
  records.set(key, own);
  expect((await vault.unlock(key, seal)).seed).toEqual(SEED);
});

test('an account is found by its seed, whatever seals it, and its record says nothing of it', async () => {
  const records = memoryDatabase();
  const vault = await Vault.open();
  const key = await vault.add(SEED, { ...about, seal: passkey });
  await vault.add(new Uint8Array(16).fill(8), about);
  expect(await vault.find(SEED)).toMatchObject([{ key, sealedBy: 'passkey' }]);
  expect(await vault.find(new Uint8Array(16).fill(9))).toEqual([]);
  const record = records.get(key)!;
  expect(record.id).toBeUndefined();
  // Another record of the same account has another mark: two browsers cannot be told to have the same account.
  const again = await vault.add(SEED, { ...about, seal: passkey });
  expect(records.get(again)!.mark).not.toEqual(record.mark);
  await vault.reseal(key, about.id, passkey, undefined);
  const both = await vault.find(SEED);
  expect(both.toSorted((a, b) => a.sealedBy.localeCompare(b.sealedBy))).toMatchObject([
    { key, sealedBy: 'browser' },
    { key: again, sealedBy: 'passkey' },
  ]);
});

test('a record of before anything was bound to it opens, and is found by its seed once it is sealed anew', async () => {
  const records = memoryDatabase();
  const vault = await Vault.open();
  const wrap = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ]);
  const plain = new TextEncoder().encode(
    JSON.stringify({ seed: '07'.repeat(16), databaseKey: '01'.repeat(32) }),
  );
  const nonce = new Uint8Array(12).fill(1);
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, wrap, plain));
  const old = { key: 'old', ...about, protection: { kind: 'browser', wrap }, nonce, sealed };
  records.set('old', old);
  expect((await vault.unlock('old', undefined)).seed).toEqual(SEED);
  await vault.reseal('old', about.id, undefined, passphrase);
  expect(await vault.find(SEED)).toMatchObject([{ key: 'old', sealedBy: 'passphrase' }]);
  await expect(vault.unlock('old', { kind: 'passphrase', passphrase: 'wrong' })).rejects.toMatchObject({
    code: 'wrong_passphrase',
  });
});
