// SPDX-License-Identifier: AGPL-3.0-or-later
// What is kept for members that are away, and how much of it (spec/storage-server §5.6).
import { DatabaseSync } from 'node:sqlite';
import type { Member } from '@allium/protocol/membership';
import { expect, test } from 'vitest';
import { Database } from '../../src/mailbox/database.ts';
import { RetryQueue } from '../../src/swarm/retry-queue.ts';
import { TestAccount } from '../support/test-account.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const MIB = 1024 * 1024;

test('bodies for one peer have a limit: the oldest go, messages stay by their number', async () => {
  const database = new Database({ path: ':memory:' });
  // Not started, it only keeps.
  const queue = new RetryQueue({ database } as never, testEnv(new TestClock()));
  const [first, second] = [1, 2].map((byte) => {
    const ed25519Key = new Uint8Array(32).fill(byte);
    return { ed25519Key, ed25519Hex: Buffer.from(ed25519Key).toString('hex') } as Member;
  }) as [Member, Member];
  const kept = ({ ed25519Key }: Member) => {
    const rows = database.prepare(
      'SELECT message, length(body) AS n FROM forwards WHERE peer = ? ORDER BY id',
    );
    return rows.all(ed25519Key).map(({ message, n }) => [message, n === null ? 0 : Number(n) / MIB]);
  };
  const body = new Uint8Array(4 * MIB);
  await queue.add([second], { method: 'delete', body });
  await queue.add([first], { message: 1, method: 'store', body });
  await queue.add([first], { message: 2 });
  for (let i = 0; i < 3; i++) await queue.add([first], { method: 'delete', body });
  expect(kept(first)).toHaveLength(5);
  await queue.add([first], { method: 'delete', body: new Uint8Array(3 * MIB) });
  expect(kept(first)).toEqual([
    [1, 0],
    [2, 0],
    [null, 4],
    [null, 4],
    [null, 3],
  ]);
  expect(kept(second)).toEqual([[null, 4]]);
  database.close();
});

test('a long request that did nothing is not kept', async () => {
  await using net = await TestNetwork.prepare({ swarms: [2] });
  const [a] = net.nodes as [TestNode, TestNode];
  await a.service.start();
  const account = TestAccount.session();
  const remove = async (...messages: string[]) => {
    const params = { ...account.params, messages, signature: account.sign('delete', ...messages) };
    expect((await a.rpc('delete', params)).status).toBe(200);
    using db = new DatabaseSync(a.folder.file('mailbox.sqlite'), { readOnly: true });
    return Number(db.prepare("SELECT count(*) AS n FROM forwards WHERE method = 'delete'").get()?.n);
  };
  const unknown = Array.from({ length: 1600 }, (_, i) => account.hash(`never stored ${i}`));
  expect(await remove(...unknown)).toBe(0);
  expect(await remove(unknown[0]!)).toBe(1);
  await a.rpc('store', account.store('here'));
  expect(await remove(...unknown, account.hash('here'))).toBe(2);
});
