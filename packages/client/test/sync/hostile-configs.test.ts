// SPDX-License-Identifier: MIT
// Configs of newer programs, broken ones, very large ones, those of somebody who has the phrase; a storage that fails, and a
// swarm that forgets.
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { fromBinary, toBinary, utf8 } from '@allium/protocol/bytes';
import { ContactsConfig } from '@allium/protocol/config/contacts';
import { idKey } from '@allium/protocol/config/fields';
import { UserProfileConfig } from '@allium/protocol/config/user-profile';
import { blake2b } from '@allium/protocol/crypto';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../../src/client.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { type Changes, type Storage, StorageError } from '../../src/storage/storage.ts';
import { World } from '../world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const CONTACTS = 3;
const DAY = 86_400_000;

async function open(): Promise<Client> {
  world = new World({}, { pollEveryMs: 3_000 });
  return world.open(ALICE);
}
const at = () => world.clock.trueNow();
const stored = () =>
  world.network
    .swarm(ALICE.id)[0]!
    .inbox(ALICE.id)
    .filter(({ namespace }) => namespace === CONTACTS);
const pushes = () =>
  world.network.destinations.filter(
    ({ request }) =>
      request.method === 'sequence' &&
      request.requests.some((sub) => sub.method === 'store' && sub.namespace === CONTACTS),
  ).length;

/** What another program would find. */
function reread(): ContactsConfig {
  const config = new ContactsConfig(ALICE);
  config.merge(stored(), at());
  return config;
}

test('what a newer program wrote is kept, also after changes of ours', async () => {
  const client = await open();
  const { clock, network } = world;
  const newer = new ContactsConfig(ALICE);
  newer.setContact({ id: BOB.id, name: 'Bob', isApproved: true });
  newer.set(['c', idKey(BOB.id), 'Z'], 7);
  newer.set(['future', 'x'], new Set(['y']));
  network.deliver(ALICE.id, newer.push(at()).messages[0]!, at(), CONTACTS);
  await clock.until(() => client.contacts().length === 1);
  await clock.run(client.conversation(BOB.id).setNickname('Bobby'));
  await clock.run(client.synced());
  expect(stored()).toHaveLength(1);
  const found = reread();
  expect(found.contact(BOB.id)).toMatchObject({ name: 'Bob', nickname: 'Bobby', isApproved: true });
  expect(found.get('c', idKey(BOB.id), 'Z')).toBe(7);
  expect(found.get('future', 'x')).toEqual(new Set(['y']));
});

test('what cannot be understood is left where it is and counted, and all else goes on', async () => {
  const client = await open();
  const { clock, network } = world;
  const bob = await world.open(BOB);
  const good = new ContactsConfig(ALICE);
  good.setContact({ id: BOB.id, nickname: 'Bobby' });
  const [data] = good.push(at()).messages;
  const broken = data!.slice();
  broken[broken.length >> 1]! ^= 1;
  // Of another account, cut, empty, and no config at all.
  const foreign = new ContactsConfig(BOB);
  foreign.setContact({ id: ALICE.id, name: 'Alice' });
  const rubbish = [broken, foreign.push(at()).messages[0]!, data!.slice(0, 50), new Uint8Array(0)];
  for (const bytes of [...rubbish, new Uint8Array(70_000).fill(0x7a), data!]) {
    network.deliver(ALICE.id, bytes, at(), CONTACTS);
  }
  await clock.run(bob.conversation(ALICE.id).send('hello'));
  await clock.until(async () => (await client.conversation(BOB.id).history()).length === 1);
  expect(client.contacts()[0]).toMatchObject({ id: BOB.id, nickname: 'Bobby' });
  const contacts = client.syncStatus().configs.find(({ name }) => name === 'contacts');
  expect(contacts?.refused).toBe(5);
  await clock.run(client.synced());
  // Perhaps a newer program understands them.
  expect(stored()).toHaveLength(6);
});

test('versions without number by somebody with the phrase cost a few pushes, and end', async () => {
  const client = await open();
  const { clock, network } = world;
  await clock.run(client.conversation(BOB.id).setNickname('Bobby'));
  await clock.run(client.synced());
  const before = pushes();
  const thief = reread();
  for (let i = 0; i < 150; i++) {
    // Each a version of its own beside the others, which have to be merged.
    const copy = new ContactsConfig(ALICE, thief.dump(at()));
    copy.setContact({ id: BOB.id, mutedUntilSeconds: i + 1 });
    network.deliver(ALICE.id, copy.push(at()).messages[0]!, at(), CONTACTS);
  }
  await clock.pass(120_000);
  await clock.run(client.synced());
  expect(client.contacts()).toMatchObject([{ id: BOB.id, nickname: 'Bobby' }]);
  expect(pushes() - before).toBeLessThan(20);
  expect(stored().length).toBeLessThan(5);
});

test('a version with the last number that somebody with the phrase can give it ends the sync, not the account', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const client = await world.open(ALICE, { storage });
  await clock.run(client.poll());
  const thief = new ContactsConfig(ALICE);
  thief.setContact({ id: BOB.id, name: 'Bob', isApproved: true });
  // In the dump, which begins with the state and the length of the version.
  const dump = toBinary(thief.dump(at()))
    .replace('1:#i1e', `1:#i${2 ** 52 - 1}e`)
    .replace(/1:\$(\d+):/, (_, length) => `1:$${Number(length) + 15}:`);
  const last = new ContactsConfig(ALICE, fromBinary(dump));
  network.deliver(ALICE.id, last.push(at()).messages[0]!, at(), CONTACTS);
  await clock.until(() => client.contacts().length === 1);
  const before = pushes();
  await clock.run(client.conversation(BOB.id).setNickname('Bobby'));
  await clock.pass(120_000);
  expect(client.syncStatus().configs).toContainEqual(
    expect.objectContaining({ name: 'contacts', state: 'too_large' }),
  );
  expect(pushes()).toBe(before);
  for (let i = 0; i < 2; i++) {
    await clock.run(world.clients.at(-1)!.close());
    const again = await world.open(ALICE, { storage: storage.reopen() });
    expect(again.contacts()).toMatchObject([{ id: BOB.id, nickname: 'Bobby' }]);
    await clock.run(again.setProfile({ name: `Alice ${i}` }));
    await clock.run(again.poll());
  }
});

test('a list too large for one message goes in parts, and the parts of before are deleted', async () => {
  const client = await open();
  const { clock, network } = world;
  const large = new ContactsConfig(ALICE);
  for (let i = 0; i < 1_200; i++) {
    const picture = { url: `http://filev2.getsession.org/file/${i}`, key: keyOf(i) };
    large.setContact({ id: idOf(i), name: `name ${i}`, picture });
  }
  const { messages } = large.push(at());
  expect(messages.length).toBeGreaterThan(1);
  for (const data of messages) network.deliver(ALICE.id, data, at(), CONTACTS);
  await clock.until(() => client.contacts().length === 1_200);
  const hashes = stored().map(({ hash }) => hash);
  await clock.run(client.conversation(idOf(7)).setNickname('seven'));
  await clock.run(client.synced());
  await clock.pass(10_000);
  expect(stored().length).toBe(messages.length);
  expect(stored().filter(({ hash }) => hashes.includes(hash))).toEqual([]);
  const laptop = await world.open(ALICE);
  await clock.until(() => laptop.contacts().length === 1_200);
  expect(laptop.contacts().find(({ id }) => id === idOf(7))?.nickname).toBe('seven');
});

test('the time of configs on the swarm is extended once a day, and what it has lost is stored again', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const client = await world.open(ALICE, { storage });
  await clock.run(client.setProfile({ name: 'Alice' }));
  await clock.run(client.conversation(BOB.id).setNickname('Bobby'));
  await clock.run(client.synced());
  const [first] = stored();
  await clock.pass(200_000);
  const [later] = stored();
  expect(later!.hash).toBe(first!.hash);
  expect(later!.expiration).toBeGreaterThan(first!.expiration);
  const extensions = () =>
    network.destinations
      .flatMap(({ request }) => (request.method === 'sequence' ? request.requests : []))
      .filter(({ method }) => method === 'expire').length;
  expect(extensions()).toBe(1);
  await clock.run(client.close());
  for (const node of network.swarm(ALICE.id)) node.mailbox.set(ALICE.id, []);
  const yesterday = String(at() - 1.5 * DAY);
  await storage.reopen().write({ settings: { configs_extended_at: yesterday } });
  await world.open(ALICE, { storage: storage.reopen() });
  await clock.pass(200_000);
  expect(extensions()).toBe(2);
  expect(stored().map(({ hash }) => hash)).toEqual([first!.hash]);
  const laptop = await world.open(ALICE);
  await clock.until(() => laptop.profile.name === 'Alice' && laptop.contacts().length === 1);
});

test('a member that gives what we store the name of a message does not have us delete the message', async () => {
  const client = await open();
  const { clock, network } = world;
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).send('hello'));
  await clock.until(async () => (await client.conversation(BOB.id).history()).length === 1);
  const messages = () =>
    network
      .swarm(ALICE.id)[0]!
      .inbox(ALICE.id)
      .filter(({ namespace = 0 }) => namespace === 0);
  const [victim] = messages();
  let lies = 0;
  for (const node of network.swarm(ALICE.id)) {
    node.answer = (request, real) => {
      const isPush = request.method === 'sequence' && request.requests.some((sub) => sub.method === 'store');
      if (!isPush) return undefined;
      const { results } = JSON.parse(real.body) as { results: { body: { hash?: string } }[] };
      for (const { body } of results) {
        if (body.hash === undefined) continue;
        body.hash = victim!.hash;
        lies++;
      }
      return { ...real, body: JSON.stringify({ results }) };
    };
  }
  for (const nickname of ['Bobby', 'Bob', 'B']) {
    await clock.run(client.conversation(BOB.id).setNickname(nickname));
    await clock.run(client.synced());
    await clock.pass(5_000);
  }
  expect(lies).toBeGreaterThan(0);
  expect(messages().map(({ hash }) => hash)).toContain(victim!.hash);
  expect(stored()).toHaveLength(1);
});

test('a write that fails takes nothing apart: what it was to write is on no device, and the next one has all of its own', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const kept = new MemoryStorage();
  let failing = false;
  const storage = new Proxy(kept as Storage, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name);
      if (typeof value !== 'function') return value;
      return (...given: unknown[]) =>
        name === 'write' && failing && ((given[0] as Changes).records ?? []).length > 0
          ? Promise.reject(new StorageError('failed', 'disk full'))
          : value.apply(inner, given);
    },
  });
  const phone = await world.open(ALICE, { storage });
  const laptop = await world.open(ALICE);
  await clock.run(phone.conversation(BOB.id).approve());
  await clock.until(() => laptop.contacts().length === 1);
  failing = true;
  await expect(clock.run(phone.conversation(BOB.id).setNickname('Bobby'))).rejects.toMatchObject({
    code: 'failed',
  });
  failing = false;
  await clock.run(phone.conversation(BOB.id).change({ pin: 1 }));
  await clock.until(async () => (await laptop.conversation(BOB.id).state()).pin === 1);
  expect(laptop.contacts()).toEqual([phone.conversation(BOB.id).contact]);
  expect(laptop.contacts()[0]!.nickname).toBeUndefined();
  await clock.run(phone.close());
  const again = await world.open(ALICE, { storage: kept.reopen() });
  expect(again.contacts()).toEqual(laptop.contacts());
  expect(await again.conversation(BOB.id).state()).toEqual({ pin: 1 });
});

test('a profile that another program wrote is ours, with a picture and without', async () => {
  const client = await open();
  const { clock, network } = world;
  const theirs = new UserProfileConfig(ALICE);
  theirs.setName('Alice', 1_700_000_000);
  theirs.setPicture({ url: 'http://filev2.getsession.org/file/1', key: keyOf(1) }, 1_700_000_001);
  theirs.setNoteToSelfPriority(-1);
  network.deliver(ALICE.id, theirs.push(at()).messages[0]!, at(), 2);
  await clock.until(() => client.profile.name === 'Alice');
  expect(client.profile.picture?.url).toBe('http://filev2.getsession.org/file/1');
  expect((await client.noteToSelf().state()).hiddenAt).toBeDefined();
  await clock.run(client.noteToSelf().send('here again'));
  expect((await client.noteToSelf().state()).hiddenAt).toBeUndefined();
});

/** Bytes that do not compress. */
function keyOf(i: number): Uint8Array {
  return blake2b(utf8(String(i)), 32);
}
function idOf(i: number): AccountId {
  const digits = [...keyOf(i + 5_000)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `05${digits}` as AccountId;
}
