// SPDX-License-Identifier: AGPL-3.0-or-later
// An account on two machines, from a shell: what one has, the other gets by the recovery phrase, and says what is missing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let net: Devnet;
let folder: string;
const shells: Shell[] = [];

function machine(name: string): Shell {
  const shell = new Shell({ ALLIUM_HOME: join(folder, name), ALLIUM_SEED: net.seed });
  shells.push(shell);
  return shell;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-devices-test-'));
  net = await Devnet.start({ nodes: 5 });
});
afterAll(async () => {
  for (const shell of shells) shell.dispose();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('contacts and messages come back by the phrase, and what waits to be sent is told', async () => {
  const phone = machine('phone');
  const made = JSON.parse((await phone.run('account', 'new', '--no-passphrase', '--json')).stdout);
  const bob = JSON.parse((await machine('bob').run('account', 'new', '--no-passphrase', '--json')).stdout).id;
  expect((await phone.run('send', bob, 'hello')).code).toBe(0);
  expect((await phone.run('contacts', 'name', bob, 'Bobby')).code).toBe(0);
  const waiting = await phone.run('devices', '--json');
  expect(waiting.code).toBe(1);
  expect(JSON.parse(waiting.stdout)).toMatchObject({ syncedAt: null });
  expect(JSON.parse(waiting.stdout).noted).toBeGreaterThan(0);
  const synced = await phone.run('devices', '--sync');
  expect(synced).toMatchObject({ code: 0, stdout: expect.stringMatching(/contacts +stored +version \d/) });
  const laptop = machine('laptop');
  const restored = await laptop.feed(made.phrase, 'account', 'restore', '--no-passphrase', '--json');
  expect(restored.code).toBe(0);
  expect(JSON.parse(restored.stdout)).toMatchObject({
    id: made.id,
    restored: { members: 5, contacts: 1, messages: 1 },
  });
  expect((await laptop.run('contacts', 'list')).stdout).toContain('Bobby');
  expect((await laptop.run('history', bob)).stdout).toContain('hello');
});
