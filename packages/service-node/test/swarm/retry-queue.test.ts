// SPDX-License-Identifier: AGPL-3.0-or-later
// What is kept for members that are away, and how much of it (spec/storage-server §5.6).
import { DatabaseSync } from 'node:sqlite';
import { OmqError } from '@allium/net/omq/endpoint';
import { until } from '@allium/net/testing/until';
import type { Member } from '@allium/protocol/membership';
import { expect, test } from 'vitest';
import { Database } from '../../src/mailbox/database.ts';
import { RetryQueue } from '../../src/swarm/retry-queue.ts';
import { TestAccount } from '../support/test-account.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const MIB = 1024 * 1024;

/** A queue that only keeps, three members, and what is kept for one: number of the message, MiB of the body. */
function open(maxBytes?: number) {
  const database = new Database({ path: ':memory:', ...(maxBytes !== undefined && { maxBytes }) });
  // Not started.
  const queue = new RetryQueue({ database } as never, testEnv(new TestClock()));
  const members = [1, 2, 3].map((byte) => {
    const ed25519Key = new Uint8Array(32).fill(byte);
    return { ed25519Key, ed25519Hex: Buffer.from(ed25519Key).toString('hex') } as Member;
  }) as [Member, Member, Member];
  const kept = ({ ed25519Key }: Member) => {
    const rows = database.prepare(
      'SELECT message, length(body) AS n FROM forwards WHERE peer = ? ORDER BY id',
    );
    return rows.all(ed25519Key).map(({ message, n }) => [message, n === null ? 0 : Number(n) / MIB]);
  };
  return { database, queue, members, kept };
}

test('bodies for one peer have a limit: the oldest go, messages stay by their number', async () => {
  const { database, queue, members, kept } = open();
  const [first, second] = members;
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

test('bodies for all peers have a sixteenth of the mailbox: those who have the most lose their oldest', async () => {
  const { database, queue, members, kept } = open(64 * MIB);
  const [first, second, third] = members;
  const body = new Uint8Array(MIB / 2);
  await queue.add([second], { method: 'delete', body });
  await queue.add([first], { message: 1, method: 'store', body });
  for (let i = 0; i < 4; i++) await queue.add([first], { method: 'delete', body });
  await queue.add([third], { method: 'delete', body });
  await queue.add([third], { method: 'delete', body });
  // 4 MiB, the limit.
  expect([first, second, third].map((member) => kept(member).length)).toEqual([5, 1, 2]);
  await queue.add([second], { method: 'expire_all', body });
  // Of the 2.5 MiB that are left beside it the one with little keeps all, the others have a MiB each.
  expect(kept(second)).toEqual([
    [null, 0.5],
    [null, 0.5],
  ]);
  expect(kept(third)).toHaveLength(2);
  expect(kept(first)).toEqual([
    [1, 0],
    [null, 0.5],
    [null, 0.5],
  ]);

  // What is longer than all that there may be goes by the number of its message, or not at all.
  await queue.add([third], { method: 'delete', body: new Uint8Array(4 * MIB) });
  await queue.add([third], { message: 2, method: 'store', body: new Uint8Array(4 * MIB) });
  expect(kept(third).slice(2)).toEqual([[2, 0]]);
  database.close();
});

test('a long request that did nothing here is kept while there is plenty of room, and takes nobody the place', async () => {
  const { database, queue, members, kept } = open();
  const [first] = members;
  const idle = { method: 'delete', body: new Uint8Array(1.5 * MIB), isIdle: true };
  for (let i = 0; i < 4; i++) await queue.add([first], idle);
  expect(kept(first)).toHaveLength(2);
  await queue.add([first], { ...idle, body: new Uint8Array(1000) });
  await queue.add([first], { ...idle, isIdle: false });
  expect(kept(first).map(([, n]) => n)).toEqual([1.5, 1.5, 1000 / MIB, 1.5]);
  database.close();
});

test('a deletion of what only the absent member has reaches it, long as it may be', async () => {
  await using net = await TestNetwork.prepare({ swarms: [2] });
  const [a, b] = net.nodes as [TestNode, TestNode];
  const account = TestAccount.session();
  await b.service.start();
  await b.rpc('store', account.store('here'));
  await b.service.stop();
  await a.service.start();
  // a has nothing of it: what b kept for it is still with b.
  const messages = Array.from({ length: 1600 }, (_, i) => account.hash(`never stored ${i}`));
  messages.push(account.hash('here'));
  const params = { ...account.params, messages, signature: account.sign('delete', ...messages) };
  expect((await a.rpc('delete', params)).status).toBe(200);
  using db = new DatabaseSync(a.folder.file('mailbox.sqlite'), { readOnly: true });
  const row = db.prepare("SELECT length(body) AS n FROM forwards WHERE method = 'delete'").get();
  expect(Number(row?.n)).toBeGreaterThan(65_536);
  await b.service.start();
  await until(
    async () => (await b.rpc('retrieve', account.retrieve())).json.messages.length === 0,
    'the message to go',
  );
});

test('what is dropped while it is on its way counts once', async () => {
  const database = new Database({ path: ':memory:', maxBytes: 64 * MIB });
  const members = [1, 2].map((byte) => {
    const ed25519Key = new Uint8Array(32).fill(byte);
    const ed25519Hex = Buffer.from(ed25519Key).toString('hex');
    return { ed25519Key, ed25519Hex, active: true, host: '127.0.0.1', omqPort: byte } as Member;
  });
  const [first, second] = members as [Member, Member];
  const answers: (() => void)[] = [];
  const omq = {
    request: async (
      { port }: { port: number },
      _command: string,
      _parts: unknown,
      more: { signal: AbortSignal },
    ) => {
      if (port === second.omqPort) throw new OmqError('unreachable', 'nobody there');
      return new Promise((resolve, reject) => {
        answers.push(() => resolve([Buffer.from('{}')]));
        more.signal.addEventListener('abort', () => reject(new OmqError('aborted', 'ended')));
      });
    },
  };
  const swarm = { membership: { byEd25519: new Map(members.map((one) => [one.ed25519Hex, one])) } };
  const clock = new TestClock();
  const parts = { database, omq, swarm, metrics: { retriesDelivered: 0, peerFailed: () => undefined } };
  const queue = new RetryQueue(parts as never, testEnv(clock));
  queue.start();
  const request = () => ({ method: 'delete', body: new Uint8Array(1.5 * MIB) });
  await queue.add([first], request());
  clock.advance(1000);
  await until(() => answers.length === 1, 'the first to be on its way');
  await queue.add([first], request());
  await queue.add([first], request());
  // 4 MiB are the limit: the first is no longer kept.
  answers[0]!();
  await until(() => answers.length === 2, 'the next to be on its way');
  await queue.add([second], request());
  const sum = database.prepare('SELECT total(length(body)) AS n FROM forwards').get()?.n;
  expect(Number(sum) / MIB).toBeLessThanOrEqual(4);
  await queue.stop();
  database.close();
});
