// SPDX-License-Identifier: MIT
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { afterAll, expect, test } from 'vitest';
import { openAccountStorage } from '../../src/node/account-storage.ts';
import { wipeAccountFolder } from '../../src/node/wipe-account.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-wipe-'));
afterAll(() => rmSync(folder, { recursive: true }));
const BOB = `05${'b'.repeat(64)}` as AccountId;

test('nothing that was known is left, not even in what other names show, and links lead nowhere', async () => {
  const place = join(folder, 'main');
  const account = Account.create();
  const storage = openAccountStorage(join(place, 'messages'), account);
  const message = {
    sender: BOB,
    conversation: BOB,
    text: 'attack at dawn',
    state: 'received',
    handled: true,
  } as const;
  await storage.write({ messages: [{ ...message, timestamp: 1 }] });
  // As a killed process leaves it: with its -wal file.
  const files = ['client.sqlite', 'client.sqlite-wal'].map((name) => join(place, 'messages', name));
  for (const [at, path] of files.entries()) linkSync(path, join(folder, `kept-${at}`));
  mkdirSync(join(place, 'files'));
  writeFileSync(join(place, 'files', 'segment'), 'x'.repeat(3_000_000));
  writeFileSync(join(place, 'account.phrase'), account.phrase());
  linkSync(join(place, 'account.phrase'), join(folder, 'kept-phrase'));
  writeFileSync(join(folder, 'elsewhere'), 'precious');
  symlinkSync(join(folder, 'elsewhere'), join(place, 'link'));
  await storage.close();
  linkSync(join(folder, 'kept-1'), files[1]!);

  const { files: count, bytes } = wipeAccountFolder(place, [
    join(place, 'account.phrase'),
    join(place, 'account.json'),
  ]);
  expect(existsSync(place)).toBe(false);
  expect(count).toBeGreaterThanOrEqual(3);
  expect(bytes).toBeGreaterThan(3_000_000);
  for (const name of ['kept-0', 'kept-1', 'kept-phrase']) {
    expect(readFileSync(join(folder, name)).every((byte) => byte === 0)).toBe(true);
  }
  expect(readFileSync(join(folder, 'elsewhere'), 'utf8')).toBe('precious');
});
