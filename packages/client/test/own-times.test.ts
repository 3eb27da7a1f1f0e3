// SPDX-License-Identifier: MIT
// No two messages of an account share a millisecond: not those of several processes with one storage, and not those of before and
// after a restart with a clock that went back.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import { MemoryStorage } from '../src/storage/memory.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

/** The same data as another process sees it. */
function face(storage: MemoryStorage): MemoryStorage {
  return new Proxy(storage, {
    get: (target, name) => {
      if (name === 'close') return async () => undefined;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('processes that send at the same moment from one storage lose nothing', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const bob = await world.open(BOB);
  const processes = [];
  for (let i = 0; i < 4; i++) {
    processes.push(await world.open(ALICE, { storage: face(storage), receive: false }));
  }
  await clock.run(Promise.all(processes.map((one) => one.ready())));
  const file = { data: new Uint8Array([1, 2, 3]), contentType: 'text/plain' };
  const sent = processes.map((one, i) =>
    one.conversation(BOB.id).send(`text ${i}`, { keepTrying: true, ...(i > 1 && { attachments: [file] }) }),
  );
  for (const one of sent) one.catch(() => undefined);
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 2);
  const history = await storage.history(BOB.id, { limit: 9 });
  expect(history.map(({ text }) => text).sort()).toEqual(['text 0', 'text 1', 'text 2', 'text 3']);
  const owners = (await storage.records('content')).map(({ value }) => (value as { owner: object }).owner);
  const ofFiles = history.filter(({ attachments }) => attachments !== undefined);
  const named = ofFiles.map(({ sender, timestamp }) => ({ sender, timestamp }));
  expect(owners).toHaveLength(2);
  expect(owners).toEqual(expect.arrayContaining(named));
  await Promise.all(processes.map((one) => clock.run(one.close())));
  await Promise.allSettled(sent);
});

test('after a restart with a clock that went back nothing takes the place of a message', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const before = await world.open(ALICE, { storage, receive: false });
  await clock.run(before.conversation(BOB.id).approve());
  const { timestamp } = await clock.run(before.conversation(BOB.id).send('first'));
  await clock.run(before.flush());
  await clock.run(before.close());
  world.network.isOffline = true;
  const after = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  const conversation = after.conversation(BOB.id);
  // As far as the machine knows.
  clock.skew = timestamp - clock.trueNow();
  await conversation.setTimer({ mode: 'after_send', seconds: 60 });
  const history = await conversation.history();
  expect(history.map(({ text, notice }) => text || notice?.kind)).toEqual(['first', 'timer']);
  expect(history.map((message) => message.timestamp)).toEqual([timestamp, timestamp + 1]);
  world.network.isOffline = false;
  clock.skew = 0;
});
