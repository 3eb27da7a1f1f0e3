// SPDX-License-Identifier: AGPL-3.0-or-later
// What becomes of the seal of an account, with a vault of our own.
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import type { Call } from '../src/api.ts';
import { Sessions } from '../src/worker/sessions.ts';
import type { Vault } from '../src/worker/vault.ts';

test('an account that is here without a passphrase gets the one that it is restored with', async () => {
  using account = Account.create();
  const resealed: unknown[][] = [];
  const vault = {
    entries: async () => [{ key: 'k', id: account.id, phraseConfirmed: true, sealedBy: 'browser' }],
    reseal: async (...given: unknown[]) => void resealed.push(given),
    unlock: () => Promise.reject(new Error('opened')),
  };
  const { api } = new Sessions(vault as unknown as Vault, () => {});
  const call: Call = { signal: new AbortController().signal, progress: () => {} };
  const restoring = api.restoreAccount({ phrase: account.phrase(), passphrase: 'of mine' }, call);
  await expect(restoring).rejects.toThrow('opened');
  expect(resealed).toEqual([['k', account.id, undefined, { kind: 'passphrase', passphrase: 'of mine' }]]);
});
