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
