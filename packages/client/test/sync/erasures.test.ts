// SPDX-License-Identifier: MIT
// Conversations that are erased by devices whose clocks are wrong (docs/decisions/0027).
import { Account } from '@allium/protocol/account';
import { ContactsConfig } from '@allium/protocol/config/contacts';
import type { Clock } from '@allium/protocol/env';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../../src/client.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { testEnv } from '../test-clock.ts';
import { World } from '../world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const DAY_MS = 86_400_000;
/** Namespace. */
const CONTACTS = 3;

const texts = async (device: Client) => (await device.conversation(BOB.id).history()).map(({ text }) => text);

/** The world's clock, set wrong. */
function wrongBy(skewMs: number): Clock {
  const { clock } = world;
  return {
    now: () => clock.now() + skewMs,
    monotonic: () => clock.monotonic(),
    after: (ms, run) => clock.after(ms, run),
  };
}

/** A phone and a laptop have `before`; the phone starts again without a network and with a wrong clock, and erases. */
async function erasedBy(skewMs: number): Promise<{ phone: Client; laptop: Client; bob: Client }> {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  const laptop = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).send('before'));
  await clock.until(async () => (await texts(first)).length === 1 && (await texts(laptop)).length === 1);
  await clock.run(first.conversation(BOB.id).approve());
  await clock.until(() => laptop.contacts()[0]?.approved === true);
  await clock.run(first.close());
  network.isOffline = true;
  const env = { ...testEnv(clock, 77), clock: wrongBy(skewMs) };
  const phone = await world.open(ALICE, { storage: storage.reopen(), env });
  await clock.run(phone.conversation(BOB.id).erase());
  expect(await texts(phone)).toEqual([]);
  return { phone, laptop, bob };
}

test.each([
  ['ahead', DAY_MS],
  ['behind', -DAY_MS],
])(
  'an erasure by a clock that is a day %s takes what was there, and nothing that comes later',
  async (_, skewMs) => {
    const { phone, laptop, bob } = await erasedBy(skewMs);
    const { clock, network } = world;
    await clock.pass(1_000);
    network.isOffline = false;
    // Before the phone has heard of anybody what time it is.
    await clock.run(bob.conversation(ALICE.id).send('after'));
    await clock.until(async () => (await texts(laptop)).join() === 'after');
    await clock.until(async () => (await texts(phone)).join() === 'after');
    await clock.run(phone.synced());
    await clock.pass(20_000);
    await clock.run(bob.conversation(ALICE.id).send('later'));
    await clock.until(async () => (await texts(phone)).length === 2);
    await clock.pass(20_000);
    expect([await texts(phone), await texts(laptop)]).toEqual([
      ['after', 'later'],
      ['after', 'later'],
    ]);
  },
);

test('what is said after an erasure by a clock that is behind is told as failed when it fails', async () => {
  const { phone } = await erasedBy(-DAY_MS);
  const { clock } = world;
  const conversation = phone.conversation(BOB.id);
  await clock.pass(10);
  await expect(clock.run(conversation.send('again'))).rejects.toMatchObject({ name: 'ClientError' });
  expect(await conversation.history()).toMatchObject([{ text: 'again', state: 'failed' }]);
});

test('what is said in the millisecond of an erasure, after it, stays', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const phone = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).send('before'));
  await clock.until(async () => (await texts(phone)).length === 1);
  const conversation = phone.conversation(BOB.id);
  await clock.run(
    (async () => {
      await conversation.erase();
      await conversation.send('after');
    })(),
  );
  expect(await texts(phone)).toEqual(['after']);
});

test('a second erasure counts on all devices, though by a clock that is behind it came before the first', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  const laptop = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).send('one'));
  await clock.until(async () => (await texts(first)).length === 1 && (await texts(laptop)).length === 1);
  await clock.run(first.conversation(BOB.id).erase());
  await clock.run(first.synced());
  await clock.until(async () => (await texts(laptop)).length === 0);
  await clock.run(bob.conversation(ALICE.id).send('two'));
  await clock.until(async () => (await texts(first)).length === 1 && (await texts(laptop)).length === 1);
  await clock.run(first.synced());
  await clock.run(first.close());
  network.isOffline = true;
  const env = { ...testEnv(clock, 77), clock: wrongBy(-DAY_MS) };
  const phone = await world.open(ALICE, { storage: storage.reopen(), env });
  await clock.run(phone.conversation(BOB.id).erase());
  await clock.pass(1_000);
  network.isOffline = false;
  await clock.run(bob.conversation(ALICE.id).send('after'));
  await clock.until(async () => (await texts(phone)).join() === 'after');
  await clock.run(phone.synced());
  await clock.pass(20_000);
  expect([await texts(phone), await texts(laptop)]).toEqual([['after'], ['after']]);
});

test('an erasure that another device tells for the future counts from when its swarm heard of it', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const [laptop, bob] = [await world.open(ALICE), await world.open(BOB)];
  await clock.run(bob.conversation(ALICE.id).send('before'));
  await clock.until(async () => (await texts(laptop)).length === 1);
  await clock.run(laptop.synced());
  await pushErasure(clock.now() + DAY_MS);
  await clock.until(async () => (await texts(laptop)).length === 0);
  await clock.run(bob.conversation(ALICE.id).send('after'));
  await clock.until(async () => (await texts(laptop)).join() === 'after');
  // Also for whoever is linked later.
  await clock.run(laptop.synced());
  const tablet = await world.open(ALICE);
  await clock.until(async () => (await texts(tablet)).join() === 'after');
});

test('an erasure by a program that only sends, which does not know yet that the clock is behind, takes all', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const env = (seed: number) => ({ ...testEnv(clock, seed), clock: wrongBy(-DAY_MS) });
  const phone = await world.open(ALICE, { storage, env: env(77) });
  const laptop = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).send('before'));
  await clock.until(async () => (await texts(phone)).length === 1 && (await texts(laptop)).length === 1);
  await clock.run(phone.conversation(BOB.id).approve());
  await clock.run(phone.synced());
  await clock.until(() => laptop.contacts()[0]?.approved === true);
  network.isOffline = true;
  const sender = await world.open(ALICE, { storage, env: env(78), receive: false });
  await clock.run(sender.conversation(BOB.id).erase());
  expect(await texts(phone)).toEqual([]);
  await clock.run(sender.close());
  storage.reopen();
  network.isOffline = false;
  await clock.until(() => laptop.contacts().length === 0);
  await clock.run(bob.conversation(ALICE.id).send('after'));
  await clock.until(async () => (await texts(phone)).join() === 'after');
  await clock.until(async () => (await texts(laptop)).join() === 'after');
});

/** What a device with a wrong clock, and without this rule, puts into the swarm. */
async function pushErasure(at: number): Promise<void> {
  const { clock, network } = world;
  const swarm = network.swarm(ALICE.id)[0]!;
  const kept = swarm.inbox(ALICE.id).filter(({ namespace }) => namespace === CONTACTS);
  const config = new ContactsConfig(ALICE);
  config.merge(
    kept.map(({ hash, data }) => ({ hash, data })),
    clock.now(),
  );
  config.eraseContact(BOB.id);
  config.setErasedAt(BOB.id, at);
  for (const data of config.push(clock.now()).messages) {
    network.deliver(ALICE.id, data, clock.trueNow(), CONTACTS);
  }
}
