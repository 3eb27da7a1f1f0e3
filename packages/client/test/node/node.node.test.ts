// SPDX-License-Identifier: MIT
// Opening a client with the ports of Node. Whole conversations over real sockets are in the lab's tests.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { afterAll, expect, test } from 'vitest';
import { openClient } from '../../src/node/node.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-client-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('keeps its data in a folder that it makes, for its owner only, and for one account only', async () => {
  const account = Account.create();
  const data = join(folder, 'new', 'data');
  const client = await openClient({ account, seeds: [], folder: data, receive: false });
  expect(client.id).toBe(account.id);
  await client.close();
  expect(existsSync(join(data, 'client.sqlite'))).toBe(true);
  expect(statSync(data).mode & 0o777).toBe(0o700);
  await expect(openClient({ account: Account.create(), seeds: [], folder: data })).rejects.toMatchObject({
    code: 'wrong_account',
  });
  await (await openClient({ account, seeds: [], folder: data })).close();
});

test('a seed that refuses the connection: no_nodes', async () => {
  await using client = await openClient({ account: Account.create(), seeds: [], receive: false });
  await expect(client.ready()).rejects.toMatchObject({ name: 'ClientError', code: 'no_nodes' });
});

test('a nodes file must hold a node list', async () => {
  const path = join(folder, 'nodes.json');
  const account = Account.create();
  await expect(openClient({ account, nodesFile: path })).rejects.toMatchObject({ code: 'no_nodes' });
  for (const text of ['', 'x', '{}', '[]']) {
    writeFileSync(path, text);
    await expect(openClient({ account, nodesFile: path })).rejects.toMatchObject({ code: 'no_nodes' });
  }
  writeFileSync(path, '{"service_node_states":[],"height":1}');
  await (await openClient({ account, nodesFile: path, receive: false })).close();
});

test('the README shows the bot as it is, and the bot has ten lines', () => {
  const root = join(import.meta.dirname, '../../../..');
  const bot = readFileSync(join(root, 'examples/echo-bot.ts'), 'utf8');
  const code = bot
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('//'))
    .join('\n');
  expect(code.split('\n').length).toBeLessThanOrEqual(10);
  const readme = readFileSync(join(root, 'packages/client/README.md'), 'utf8').replaceAll('\n\n', '\n');
  expect(readme).toContain(code);
});
