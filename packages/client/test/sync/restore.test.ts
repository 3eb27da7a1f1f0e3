// SPDX-License-Identifier: MIT
// An account on a device that knows nothing of it.
import { Account } from '@allium/protocol/account';
import { UserGroupsConfig } from '@allium/protocol/config/user-groups';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { RestoreProgress } from '../../src/sync/restore.ts';
import { World } from '../world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const CAROL = Account.fromSeed(new Uint8Array(16).fill(3));

/** Alice's phone with two people, some messages, a note and a name; then it is lost. */
async function lose(): Promise<Client> {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const phone = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(phone.setProfile({ name: 'Alice' }));
  await clock.run(phone.conversation(CAROL.id).setNickname('Caro'));
  for (const text of ['one', 'two']) await clock.run(phone.conversation(BOB.id).send(text));
  await clock.run(bob.conversation(ALICE.id).send('three'));
  await clock.run(phone.noteToSelf().send('a note'));
  await clock.until(async () => (await phone.conversation(BOB.id).unread()) === 1);
  await clock.run(phone.conversation(BOB.id).markRead());
  await clock.pass(20_000);
  expect(phone.syncStatus().configs.every(({ state }) => state !== 'pending')).toBe(true);
  await clock.run(phone.close());
  return bob;
}

const codes = (restored: Awaited<ReturnType<Client['restore']>>) => restored.missing.map(({ code }) => code);

test('restoring brings back id, name, contacts, read state and messages, and tells how far it is', async () => {
  await lose();
  const { clock } = world;
  const laptop = await world.open(ALICE);
  const told: RestoreProgress[] = [];
  const restored = await clock.run(laptop.restore({ onProgress: (progress) => told.push(progress) }));
  expect(laptop.id).toBe(ALICE.id);
  expect(restored).toMatchObject({ members: 7, reached: 7, contacts: 2, messages: 4 });
  expect(restored.configs.map(({ name, seqno }) => [name, seqno > 0])).toEqual([
    ['profile', true],
    ['contacts', true],
    ['groups', false],
    ['readState', true],
  ]);
  expect(codes(restored)).toEqual(['older']);
  expect(laptop.profile.name).toBe('Alice');
  expect(laptop.contacts().map(({ id, nickname, approved }) => [id, nickname, approved])).toEqual(
    expect.arrayContaining([
      [CAROL.id, 'Caro', false],
      [BOB.id, undefined, true],
    ]),
  );
  const history = await laptop.conversation(BOB.id).history();
  expect(history.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
  expect(await laptop.conversation(BOB.id).unread()).toBe(0);
  const stages = told.map(({ stage }) => stage);
  expect([...new Set(stages)]).toEqual(['connecting', 'configs', 'messages', 'done']);
  expect(told.at(-1)).toEqual({ stage: 'done', asked: 7, members: 7, contacts: 2, messages: 4 });
});

test('a restored device confirms nothing that another device has confirmed, and what comes later', async () => {
  const bob = await lose();
  const { clock, network } = world;
  const confirmations = () =>
    network.destinations.filter(
      ({ request }) =>
        request.method === 'sequence' &&
        request.requests.some((sub) => sub.method === 'store' && sub.account.hex === BOB.id),
    ).length;
  const laptop = await world.open(ALICE);
  await clock.run(laptop.restore());
  const before = confirmations();
  await clock.pass(60_000);
  expect(confirmations()).toBe(before);
  const { timestamp } = await clock.run(bob.conversation(ALICE.id).send('and now?'));
  await clock.until(() => bob.isDelivered(timestamp));
  // His own copy, and the confirmation.
  expect(confirmations()).toBe(before + 2);
});

test('what only one member has is found, and members that are gone are told', async () => {
  await lose();
  const { clock, network } = world;
  const [holder, ...others] = network.swarm(ALICE.id);
  for (const node of others) node.mailbox.set(ALICE.id, []);
  others[0]!.isDead = true;
  const laptop = await world.open(ALICE);
  const restored = await clock.run(laptop.restore());
  expect(holder!.inbox(ALICE.id).length).toBeGreaterThan(5);
  expect(restored).toMatchObject({ members: 7, reached: 6, contacts: 2, messages: 4 });
  expect(codes(restored)).toEqual(['members_unreached', 'older']);
  expect(restored.missing[0]!.text).toMatch(/^1 of 7 members/);
  expect(laptop.profile.name).toBe('Alice');
});

test('an account of which the swarm knows nothing says so, and pushes nothing by itself', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const device = await world.open(CAROL);
  const restored = await clock.run(device.restore());
  expect(restored).toMatchObject({ reached: 7, contacts: 0, messages: 0 });
  expect(codes(restored)).toEqual(['no_profile', 'no_contacts', 'older']);
  await clock.pass(30_000);
  expect(network.swarm(CAROL.id)[0]!.inbox(CAROL.id)).toEqual([]);
});

test('what is changed before the first answer comes goes on top of what is there', async () => {
  await lose();
  const { clock, network } = world;
  const laptop = await world.open(ALICE);
  network.isOffline = true;
  await clock.run(laptop.conversation(BOB.id).setNickname('Robert'));
  await clock.run(laptop.changeSettings({ readReceipts: true }));
  await clock.pass(60_000);
  network.isOffline = false;
  await clock.until(() => laptop.profile.name === 'Alice');
  await clock.pass(30_000);
  expect(
    laptop
      .contacts()
      .map(({ nickname }) => nickname)
      .sort(),
  ).toEqual(['Caro', 'Robert']);
  expect(laptop.settings.readReceipts).toBe(true);
  const tablet = await world.open(ALICE);
  await clock.run(tablet.restore());
  expect(tablet.contacts()).toEqual(laptop.contacts());
  expect([tablet.settings, tablet.profile]).toEqual([laptop.settings, laptop.profile]);
});

test('restoring can be aborted, and ends when the client is closed', async () => {
  await lose();
  const { clock, network } = world;
  const laptop = await world.open(ALICE);
  for (const node of network.nodes) node.slowMs = 60_000;
  const abort = new AbortController();
  const aborted = laptop.restore({ signal: abort.signal });
  const closed = laptop.restore();
  closed.catch(() => undefined);
  clock.after(500, () => abort.abort());
  await expect(clock.run(aborted)).rejects.toMatchObject({ code: 'aborted' });
  await clock.run(laptop.close());
  await expect(closed).rejects.toMatchObject({ code: 'closed' });
});

test('groups and communities of the list are kept, shown and counted', async () => {
  await lose();
  const { clock, network } = world;
  const groups = new UserGroupsConfig(ALICE);
  const serverKey = new Uint8Array(32).fill(9);
  groups.setCommunity({ baseUrl: 'https://example.org', room: 'Lobby', serverKey, priority: 1 });
  const [data] = groups.push(clock.trueNow()).messages;
  network.deliver(ALICE.id, data!, clock.trueNow(), groups.namespace);
  const laptop = await world.open(ALICE);
  const restored = await clock.run(laptop.restore());
  expect(codes(restored)).toEqual(['groups', 'older']);
  expect(laptop.communities()).toEqual([
    { baseUrl: 'https://example.org', room: 'Lobby', serverKey: '09'.repeat(32), pin: 1, joinedSeconds: 0 },
  ]);
  expect(laptop.groups()).toEqual([]);
});
