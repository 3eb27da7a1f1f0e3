// SPDX-License-Identifier: MIT
// A client in a page that cannot be opened lets go of what it was given.
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import { BrowserTransport, browserEnv, openBrowserClient } from '../src/browser/browser.ts';
import { MemoryBlobs } from '../src/storage/blobs.ts';
import { MemoryStorage } from '../src/storage/memory.ts';

test('without a gateway at the first start, storage, files and connections are closed', async () => {
  const closed: string[] = [];
  const storage = new MemoryStorage();
  storage.close = async () => void closed.push('storage');
  const blobs = new MemoryBlobs();
  blobs.close = async () => void closed.push('blobs');
  const transport = new BrowserTransport({
    gateway: 'https://gateway.example.org',
    env: browserEnv(),
    fetch: () => Promise.reject(new TypeError('no network')),
    isOnline: () => true,
  });
  const close = transport.close.bind(transport);
  transport.close = () => {
    closed.push('transport');
    close();
  };
  const opening = openBrowserClient({ account: Account.create(), storage, blobs, transport });
  await expect(opening).rejects.toMatchObject({ code: 'no_network' });
  expect(closed.sort()).toEqual(['blobs', 'storage', 'transport']);
});
