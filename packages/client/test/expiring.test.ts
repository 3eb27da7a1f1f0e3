// SPDX-License-Identifier: MIT
// Messages that swarms will soon forget without anybody having them, and members that do not tell all.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import type { ExpiringMessage } from '../src/messaging/expiring.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import type { StoredMessage } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const CAROL = Account.fromSeed(new Uint8Array(16).fill(3));
const DAY_MS = 86_400_000;

test('a message that nobody is known to have is told two days before swarms forget it, once', async () => {
  world = new World({}, { pollEveryMs: 20 * 60_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const now = clock.trueNow();
  const sent = (ageDays: number, change: Partial<StoredMessage> = {}): StoredMessage => ({
    sender: ALICE.id,
    timestamp: now - ageDays * DAY_MS,
    conversation: BOB.id,
    text: `${ageDays}`,
    state: 'sent',
    handled: true,
    ...change,
  });
  await storage.write({
    messages: [
      sent(15),
      sent(13),
      sent(12.5, { marks: { deliveredAt: 1 } }),
      sent(12.4, { timer: { mode: 'after_send', seconds: 1_209_600 } }),
      sent(12.3, { conversation: ALICE.id }),
      sent(12.2, { state: 'failed' }),
      sent(11.95),
      sent(3),
      // Carol's client confirms nothing, but she has written since.
      sent(12.1, { conversation: CAROL.id }),
      sent(2, { conversation: CAROL.id, sender: CAROL.id, state: 'received' }),
    ],
  });
  const first = await world.open(ALICE, { storage });
  const told: ExpiringMessage[] = [];
  first.on('expiring', (expiring) => told.push(expiring));
  await clock.until(() => told.length > 0);
  expect(told.map(({ message }) => message.text)).toEqual(['13']);
  expect(told[0]!.expiresAt).toBe(now + DAY_MS);
  expect(told[0]!.nextStep).toContain('send it again');
  expect(first.health().expiring).toBe(1);
  await clock.pass(3 * 3_600_000);
  expect(told.map(({ message }) => message.text)).toEqual(['13', '11.95']);
  expect(first.health().expiring).toBe(2);
  await clock.run(first.close());
  const second = await world.open(ALICE, { storage: storage.reopen() });
  second.on('expiring', (expiring) => told.push(expiring));
  await clock.until(() => second.health().expiring === 2);
  await clock.pass(3_600_000);
  expect(told).toHaveLength(2);
});

test('a gap is told and counted', async () => {
  world = new World({}, { pollEveryMs: 5_000, waitMs: 0 });
  const { clock, network } = world;
  const bob = await world.open(BOB);
  const alice = await world.open(ALICE);
  await clock.run(alice.conversation(BOB.id).approve());
  const gaps: object[] = [];
  bob.on('gap', (counts) => gaps.push(counts));
  await clock.until(() => bob.health().lastPollAt !== undefined);
  await clock.pass(10_000);
  network.destinations.length = 0;
  await clock.pass(10_000);
  const polled = network.destinations.find(
    ({ request }) =>
      request.method === 'batch' &&
      request.requests.some((sub) => sub.method === 'retrieve' && sub.account.hex === BOB.id),
  );
  const first = network.node(polled!.node);
  first.answer = (request, real) =>
    request.method === 'batch' && request.requests.some((sub) => sub.method === 'retrieve')
      ? { ...real, body: real.body.replace(/"messages":\[.*?\]/g, '"messages":[]') }
      : undefined;
  expect(bob.health().gaps).toEqual({ found: 0, filled: 0 });
  for (let i = 0; i < 40 && gaps.length === 0; i++) {
    await clock.run(alice.conversation(BOB.id).send(`${i}`));
    await clock.pass(120_000);
  }
  expect(gaps.length).toBeGreaterThan(0);
  expect(bob.health().gaps.filled).toBeGreaterThan(0);
});
