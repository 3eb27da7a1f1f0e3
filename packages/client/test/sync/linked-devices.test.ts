// SPDX-License-Identifier: MIT
// Two devices of one account agree on all that the configs hold, whatever is done on which.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../../src/client.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { World } from '../world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const PICTURE = { url: 'http://filev2.getsession.org/file/77', key: '5a'.repeat(32) };

async function devices(): Promise<{ phone: Client; laptop: Client }> {
  world = new World({}, { pollEveryMs: 3_000 });
  const phone = await world.open(ALICE, { storage: new MemoryStorage() });
  const laptop = await world.open(ALICE, { storage: new MemoryStorage() });
  return { phone, laptop };
}

test('profile and settings of one device are on the other', async () => {
  const { phone, laptop } = await devices();
  const { clock } = world;
  await clock.run(phone.setProfile({ name: 'Alice', picture: PICTURE }));
  await clock.run(phone.changeSettings({ deliveryReceipts: false }));
  await clock.until(() => laptop.profile.name === 'Alice' && !laptop.settings.deliveryReceipts);
  expect(laptop.profile).toEqual({ name: 'Alice', picture: PICTURE });
  await clock.run(laptop.setProfile({ name: 'Alicia' }));
  await clock.until(() => phone.profile.name === 'Alicia');
  expect(phone.profile).toEqual({ name: 'Alicia' });
});

test('contacts, their names, blocking, pins and mutes are on all devices', async () => {
  const { phone, laptop } = await devices();
  const { clock } = world;
  await clock.run(phone.conversation(BOB.id).approve());
  await clock.run(phone.conversation(BOB.id).setNickname('Bobby'));
  const mutedUntil = world.clock.now() + 3_600_500;
  await clock.run(
    phone.conversation(BOB.id).change({ pin: 2, mutedUntil, notifications: 'none', draft: 'not yet' }),
  );
  await clock.until(() => laptop.contacts()[0]?.nickname === 'Bobby');
  await clock.pass(20_000);
  expect(laptop.contacts()).toEqual(phone.contacts());
  expect(laptop.contacts()[0]).toMatchObject({ id: BOB.id, approved: true, blocked: false });
  const { draft, ...shared } = await phone.conversation(BOB.id).state();
  expect(draft).toBe('not yet');
  expect(shared).toEqual({ pin: 2, notifications: 'none', mutedUntil: Math.ceil(mutedUntil / 1000) * 1000 });
  expect(await laptop.conversation(BOB.id).state()).toEqual(shared);
  await clock.run(laptop.conversation(BOB.id).block());
  await clock.until(() => phone.contacts()[0]?.blocked === true);
  await clock.run(laptop.conversation(BOB.id).change({ pin: undefined }));
  await clock.until(async () => (await phone.conversation(BOB.id).state()).pin === undefined);
  expect((await phone.conversation(BOB.id).state()).draft).toBe('not yet');
});

test('what is read on one device is read on all, and may be marked as unread', async () => {
  const { phone, laptop } = await devices();
  const { clock } = world;
  const bob = await world.open(BOB);
  for (const text of ['one', 'two', 'three']) await clock.run(bob.conversation(ALICE.id).send(text));
  const unread = async (device: Client) => device.conversation(BOB.id).unread();
  await clock.until(async () => (await unread(phone)) === 3 && (await unread(laptop)) === 3);
  const [, second] = await phone.conversation(BOB.id).history();
  await clock.run(phone.conversation(BOB.id).markRead(second));
  await clock.until(async () => (await unread(laptop)) === 1);
  await clock.run(laptop.conversation(BOB.id).markRead());
  await clock.until(async () => (await unread(phone)) === 0);
  await clock.run(phone.conversation(BOB.id).markUnread());
  await clock.until(async () => (await laptop.conversation(BOB.id).state()).isMarkedUnread === true);
  await clock.run(laptop.conversation(BOB.id).markRead());
  await clock.until(async () => (await phone.conversation(BOB.id).state()).isMarkedUnread === undefined);
});

test('a hidden conversation is hidden everywhere until somebody writes', async () => {
  const { phone, laptop } = await devices();
  const { clock } = world;
  const bob = await world.open(BOB);
  await clock.run(phone.conversation(BOB.id).send('hello'));
  const shown = async (device: Client) => (await device.conversations()).map(({ id }) => id);
  await clock.until(async () => (await shown(laptop)).includes(BOB.id));
  await clock.run(laptop.conversation(BOB.id).hide());
  await clock.until(async () => (await shown(phone)).length === 0);
  await clock.run(bob.conversation(ALICE.id).send('are you there?'));
  await clock.until(async () => (await shown(phone)).length === 1 && (await shown(laptop)).length === 1);
  await clock.pass(20_000);
  expect([await shown(phone), await shown(laptop)]).toEqual([[BOB.id], [BOB.id]]);
});

test('an erased conversation is gone on all devices, also from their swarm, and what comes later is kept', async () => {
  const { phone, laptop } = await devices();
  const { clock } = world;
  const bob = await world.open(BOB);
  await clock.run(phone.conversation(BOB.id).send('old'));
  await clock.run(bob.conversation(ALICE.id).send('older'));
  const texts = async (device: Client) =>
    (await device.conversation(BOB.id).history()).map(({ text }) => text);
  await clock.until(async () => (await texts(phone)).length === 2 && (await texts(laptop)).length === 2);
  await clock.run(laptop.conversation(BOB.id).change({ pin: 1 }));
  const hashes = (await phone.conversation(BOB.id).history()).map(({ hash }) => hash);
  const kept = () =>
    world.network.swarm(ALICE.id).flatMap((node) => node.inbox(ALICE.id).map(({ hash }) => hash));
  expect(hashes.filter((hash) => kept().includes(hash!))).toHaveLength(2);
  await clock.run(phone.conversation(BOB.id).erase());
  expect([await texts(phone), phone.contacts()]).toEqual([[], []]);
  await clock.until(async () => (await texts(laptop)).length === 0);
  expect([laptop.contacts(), await laptop.conversation(BOB.id).state()]).toEqual([[], {}]);
  await clock.pass(10_000);
  expect(hashes.filter((hash) => kept().includes(hash!))).toEqual([]);
  await clock.run(bob.conversation(ALICE.id).send('new'));
  await clock.until(async () => (await texts(phone)).length === 1 && (await texts(laptop)).length === 1);
  await clock.pass(10_000);
  expect([await texts(phone), await texts(laptop)]).toEqual([['new'], ['new']]);
  expect(laptop.contacts()).toEqual(phone.contacts());
  // Whoever links a device later does not see what was erased.
  const tablet = await world.open(ALICE);
  await clock.until(async () => (await texts(tablet)).length === 1);
  await clock.pass(10_000);
  expect(await texts(tablet)).toEqual(['new']);
});

test('a change outlives the program that made it, and devices that were far apart agree', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const phone = await world.open(ALICE, { storage });
  const laptop = await world.open(ALICE);
  await clock.run(phone.setProfile({ name: 'Alice' }));
  await clock.until(() => laptop.profile.name === 'Alice');
  await clock.pass(20_000);
  await clock.run(phone.close());
  // The phone is out of reach while it is used, and closed before it is back.
  const alone = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  await clock.run(alone.conversation(BOB.id).setNickname('from the phone'));
  await clock.run(alone.close());
  for (let i = 1; i <= 9; i++) {
    await clock.run(laptop.conversation(BOB.id).change({ pin: i }));
    await clock.pass(10_000);
  }
  expect(
    network
      .swarm(ALICE.id)[0]!
      .inbox(ALICE.id)
      .filter(({ namespace }) => namespace === 3),
  ).toHaveLength(1);
  const back = await world.open(ALICE, { storage: storage.reopen() });
  await clock.until(() => laptop.contacts()[0]?.nickname === 'from the phone');
  await clock.pass(10_000);
  expect((await back.conversation(BOB.id).state()).pin).toBe(9);
  expect(back.contacts()).toEqual(laptop.contacts());
  expect(back.syncStatus().configs.map(({ name, state }) => [name, state])).toEqual([
    ['profile', 'stored'],
    ['contacts', 'stored'],
    ['groups', 'empty'],
    ['readState', 'empty'],
  ]);
});

test('a program that only sends leaves what it changes to the one that receives', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const laptop = await world.open(ALICE);
  const receiver = await world.open(ALICE, { storage });
  await clock.run(receiver.conversation(BOB.id).setNickname('Bobby'));
  await clock.until(() => laptop.contacts().length === 1);
  const sender = await world.open(ALICE, { storage, receive: false });
  await clock.run(sender.conversation(BOB.id).block());
  await clock.run(sender.conversation(BOB.id).change({ pin: 3 }));
  await clock.run(sender.setProfile({ name: 'from the sender' }));
  await clock.run(sender.changeSettings({ deliveryReceipts: false }));
  await clock.until(
    () => laptop.contacts()[0]?.blocked === true && laptop.profile.name === 'from the sender',
  );
  expect(laptop.contacts()).toEqual(receiver.contacts());
  expect(await receiver.conversation(BOB.id).state()).toEqual({ pin: 3 });
  expect([laptop.settings.deliveryReceipts, receiver.settings.deliveryReceipts]).toEqual([false, false]);
  await clock.run(sender.conversation(BOB.id).erase());
  await clock.until(() => laptop.contacts().length === 0);
  expect(await storage.records('unsynced')).toEqual([]);
  expect(receiver.contacts()).toEqual([]);
});

test('what a program that only sends changes while its notes are taken up is neither undone nor forgotten', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const laptop = await world.open(ALICE);
  const sender = await world.open(ALICE, { storage, receive: false });
  await clock.run(sender.conversation(BOB.id).setNickname('first'));
  // Written by another process: between the notes and their removal there is time for it.
  let isDone = false;
  const slow = new Proxy(storage, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name);
      if (name !== 'record') return typeof value === 'function' ? value.bind(inner) : value;
      return async (kind: string, key: string) => {
        const found = await inner.record(kind, key);
        if (kind === 'contact' && found !== undefined && !isDone) {
          isDone = true;
          await sender.conversation(BOB.id).setNickname('second');
        }
        return found;
      };
    },
  });
  const receiver = await world.open(ALICE, { storage: slow });
  expect(isDone).toBe(true);
  await clock.until(() => laptop.contacts().length === 1);
  await clock.pass(20_000);
  const nicknames = [sender, receiver, laptop].map((client) => client.contacts()[0]?.nickname);
  expect(nicknames).toEqual(['second', 'second', 'second']);
  const [kept] = await storage.records('contact');
  expect(kept?.value).toMatchObject({ nickname: 'second' });
});

test('what a program that only sends changed is not undone by a message that comes just then', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const receiver = await world.open(ALICE, { storage });
  const bob = await world.open(BOB);
  await clock.run(receiver.conversation(BOB.id).approve());
  await clock.run(receiver.synced());
  const sender = await world.open(ALICE, { storage, receive: false });
  await clock.run(bob.conversation(ALICE.id).send('buy this'));
  const isThere = () =>
    network
      .swarm(ALICE.id)[0]!
      .inbox(ALICE.id)
      .some(({ namespace = 0 }) => namespace === 0);
  expect(isThere()).toBe(true);
  await clock.run(sender.conversation(BOB.id).block());
  await clock.pass(10_000);
  const [kept] = await storage.records('contact');
  expect(kept?.value).toMatchObject({ id: BOB.id, blocked: true });
  expect(receiver.contacts()).toMatchObject([{ id: BOB.id, blocked: true }]);
});

test('a program that only sends and asks once leaves its changes for the one that receives', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const laptop = await world.open(ALICE);
  const receiver = await world.open(ALICE, { storage });
  await clock.run(receiver.conversation(BOB.id).approve());
  await clock.run(receiver.synced());
  await clock.run(receiver.close());
  const sender = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  await clock.run(sender.conversation(BOB.id).setNickname('Bobby'));
  await clock.run(sender.poll());
  await clock.pass(10_000);
  await clock.run(sender.close());
  await world.open(ALICE, { storage: storage.reopen() });
  await clock.until(() => laptop.contacts()[0]?.nickname === 'Bobby', 60_000);
  expect(laptop.contacts()).toHaveLength(1);
});

test('a program that only sends and asks once takes nothing from the one that receives', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const laptop = await world.open(ALICE);
  const receiver = await world.open(ALICE, { storage });
  await clock.run(receiver.conversation(BOB.id).approve());
  await clock.run(receiver.synced());
  await clock.until(() => laptop.contacts().length === 1);
  await clock.run(receiver.close());
  await clock.run(laptop.conversation(BOB.id).setNickname('Bobby'));
  await clock.run(laptop.synced());
  const sender = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  await clock.run(sender.poll());
  await clock.run(sender.close());
  const again = await world.open(ALICE, { storage: storage.reopen() });
  await clock.until(() => again.contacts()[0]?.nickname === 'Bobby', 60_000);
  const seqnos = (client: Client) => client.syncStatus().configs.map(({ seqno }) => seqno);
  await clock.until(() => seqnos(again)[1] === seqnos(laptop)[1], 60_000);
  expect(seqnos(again)).toEqual(seqnos(laptop));
});
