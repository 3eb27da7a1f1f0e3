// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { afterAll, expect, test } from 'vitest';
import { writeAccountFile } from '../../src/node/account-file.ts';
import { LockableAccount } from '../../src/node/app-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-lock-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a locked account has no client, and opens with its passphrase only', async () => {
  const accountFile = join(folder, 'account.json');
  const account = Account.create();
  await writeAccountFile(accountFile, account, 'open sesame', { passes: 1, memoryBytes: 8 * 1024 });
  const nodesFile = join(folder, 'nodes.json');
  writeFileSync(nodesFile, '{"service_node_states":[],"height":1}');
  await using lockable = new LockableAccount({
    accountFile,
    nodesFile,
    folder: join(folder, 'data'),
    receive: false,
  });
  expect(lockable.isLocked).toBe(true);
  expect(() => lockable.client).toThrow(expect.objectContaining({ code: 'locked' }));
  await expect(lockable.unlock('wrong')).rejects.toMatchObject({ code: 'wrong_passphrase' });
  expect(lockable.isLocked).toBe(true);
  const client = await lockable.unlock('open sesame');
  expect(client.id).toBe(account.id);
  await client.changeSettings({ readReceipts: true });
  await expect(lockable.unlock('wrong')).rejects.toMatchObject({ code: 'wrong_passphrase' });
  expect(await lockable.unlock('open sesame')).toBe(client);
  // Both at once: in the order in which they were asked for.
  const [, again] = await Promise.all([lockable.lock(), lockable.unlock('open sesame')]);
  expect(again).not.toBe(client);
  expect(again.settings.readReceipts).toBe(true);
  await expect(client.changeSettings({})).rejects.toMatchObject({ code: 'closed' });
  await lockable.lock();
  await lockable.lock();
  expect(() => lockable.client).toThrow(expect.objectContaining({ code: 'locked' }));
});
