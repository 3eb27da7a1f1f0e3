// SPDX-License-Identifier: MIT
// What a user does while the storage refuses to write: it is told, it did not happen, neither now nor after a restart, and
// done once more it has all its consequences.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import type { Conversation } from '../src/messaging/conversation.ts';
import { deliveryOf } from '../src/messaging/delivery.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import { type Changes, type Storage, StorageError } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

/** A storage that writes nothing while `isFull`; `late`: it does, and says that it did not. */
class FullStorage {
  isFull = false;
  late = false;
  failures = 0;
  readonly inner = new MemoryStorage();

  face(): Storage {
    const write = async (changes: Changes) => {
      if (!this.isFull || this.late) await this.inner.write(changes);
      if (!this.isFull) return;
      this.failures++;
      throw new StorageError('full', 'no space is left');
    };
    return new Proxy(this.inner as Storage, {
      get: (target, name) => {
        const value: unknown = name === 'write' ? write : Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

/** All that a client shows. */
async function shown(client: Client): Promise<unknown> {
  const conversation = client.conversation(BOB.id);
  return structuredClone({
    contact: { ...conversation.contact, timerChangedAt: undefined },
    state: await conversation.state(),
    history: await conversation.history(),
    unread: await conversation.unread(),
    profile: client.profile,
    settings: client.settings,
    requests: (await client.requests()).map(({ id }) => id),
  });
}

type Act = (conversation: Conversation, client: Client) => Promise<unknown>;
const actions: Readonly<Record<string, Act>> = {
  approve: (conversation) => conversation.approve(),
  block: (conversation) => conversation.block(),
  unblock: (conversation) => conversation.unblock(),
  nickname: (conversation) => conversation.setNickname('Bobby'),
  pin: (conversation) => conversation.change({ pin: 1 }),
  mute: (conversation) => conversation.change({ notifications: 'none' }),
  draft: (conversation) => conversation.change({ draft: 'dear Bob' }),
  hide: (conversation) => conversation.hide(),
  'mark unread': (conversation) => conversation.markUnread(),
  'mark read': (conversation) => conversation.markRead(),
  // Its line would be there where the storage writes late.
  timer: (conversation) => conversation.setTimer({ mode: 'after_read', seconds: 3_600 }),
  profile: (_, client) => client.setProfile({ name: 'Alice' }),
  settings: (_, client) => client.changeSettings({ typingIndicators: true }),
};

test.each([false, true])(
  'what could not be written did not happen (storage that writes late: %s)',
  async (late) => {
    world = new World({}, { pollEveryMs: 3_000 });
    const { clock } = world;
    const storage = new FullStorage();
    storage.late = late;
    const bob = await world.open(BOB);
    const alice = await world.open(ALICE, { storage: storage.face() });
    await clock.run(bob.conversation(ALICE.id).send('hello'));
    await clock.until(async () => (await alice.requests()).length === 1);
    await clock.pass(10_000);
    const fails = async (name: string) => {
      if (late && name === 'timer') return;
      const before = await shown(alice);
      storage.isFull = true;
      const acted = actions[name]!(alice.conversation(BOB.id), alice);
      await clock.run(expect(acted, name).rejects.toMatchObject({ code: 'full' }));
      storage.isFull = false;
      expect(await shown(alice), name).toEqual(before);
    };
    for (const name of ['approve', 'block']) await fails(name);
    await clock.run(alice.conversation(BOB.id).block());
    await fails('unblock');
    await clock.run(alice.conversation(BOB.id).unblock());
    await clock.run(alice.conversation(BOB.id).approve());
    for (const name of Object.keys(actions).slice(3)) await fails(name);
    const before = await shown(alice);
    await clock.pass(30_000);
    expect(await shown(alice)).toEqual(before);
    await clock.run(alice.close());
    const again = await world.open(ALICE, { storage: storage.inner.reopen() });
    expect(await shown(again)).toEqual(before);
    const laptop = await world.open(ALICE);
    await clock.run(laptop.restore());
    expect(laptop.contacts()).toEqual(again.contacts());
    expect(laptop.settings).toEqual(again.settings);
    for (const name of Object.keys(actions).slice(3)) {
      const last = await shown(again);
      await clock.run(actions[name]!(again.conversation(BOB.id), again));
      expect(await shown(again), name).not.toEqual(last);
    }
    for (const told of world.errors) told.length = 0;
  },
);

test('done once more it has all its consequences', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new FullStorage();
  const bob = await world.open(BOB);
  const alice = await world.open(ALICE, { storage: storage.face() });
  await bob.changeSettings({ readReceipts: true });
  const requests: string[] = [];
  alice.on('request', ({ id }) => requests.push(id));
  const accepted: string[] = [];
  bob.on('accepted', ({ id }) => accepted.push(id));
  storage.isFull = true;
  const { timestamp } = await clock.run(bob.conversation(ALICE.id).send('hello'));
  await clock.until(() => storage.failures > 0);
  await clock.pass(10_000);
  expect(requests).toEqual([]);
  storage.isFull = false;
  await clock.until(async () => (await alice.requests()).length === 1);
  expect(requests).toEqual([BOB.id]);
  const conversation = alice.conversation(BOB.id);
  const twice = async (act: () => Promise<unknown>) => {
    storage.isFull = true;
    await clock.run(expect(act()).rejects.toMatchObject({ code: 'full' }));
    storage.isFull = false;
    await clock.run(act());
  };
  await twice(() => conversation.approve());
  await clock.until(() => accepted.length === 1);
  await alice.changeSettings({ readReceipts: true });
  await twice(() => conversation.markRead());
  await clock.until(async () => {
    const [message] = await bob.conversation(ALICE.id).history();
    return message!.timestamp === timestamp && message!.marks?.readAt !== undefined;
  });
  await twice(() => conversation.setTimer({ mode: 'after_read', seconds: 60 }));
  await clock.until(
    async () => (await bob.conversation(ALICE.id).history()).at(-1)?.notice?.kind === 'timer',
  );
  await clock.run(bob.conversation(ALICE.id).setTimer({ mode: 'after_read', seconds: 60 }));
  await clock.run(bob.conversation(ALICE.id).send('read me'));
  await clock.until(async () => (await conversation.history()).at(-1)?.text === 'read me');
  await twice(() => conversation.markRead());
  await clock.until(async () => (await conversation.history()).every(({ text }) => text !== 'read me'));
  for (const told of world.errors) told.length = 0;
});

test('a message that a swarm keeps is never told as failed because that cannot be written', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  let failures = 2;
  const face = new Proxy(storage as Storage, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'write') return typeof value === 'function' ? value.bind(target) : value;
      return async (changes: Changes) => {
        if (changes.messages?.[0]?.state === 'sent' && failures-- > 0) {
          throw new StorageError('full', 'no space is left');
        }
        return target.write(changes);
      };
    },
  });
  const bob = await world.open(BOB);
  const alice = await world.open(ALICE, { storage: face });
  const states: string[] = [];
  alice.on('outgoing', (message) => states.push(deliveryOf(message).state));
  const sending = alice.conversation(BOB.id).send('hi');
  await clock.run(expect(sending).rejects.toMatchObject({ name: 'StorageError', code: 'full' }));
  await clock.until(async () => (await alice.conversation(BOB.id).history())[0]?.state === 'sent');
  await clock.run(alice.flush());
  const [message] = await alice.conversation(BOB.id).history();
  expect(message).toMatchObject({ state: 'sent', copyPending: false, marks: { of: message!.marks!.stored } });
  expect([...new Set(states)]).toEqual(['queued', 'stored']);
  expect((await bob.conversation(ALICE.id).history()).map(({ text }) => text)).toEqual(['hi']);
});
