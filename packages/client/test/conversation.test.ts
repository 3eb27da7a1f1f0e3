// SPDX-License-Identifier: MIT
// Reactions, answers, deletions and typing between people and on all devices of each.
import { Account } from '@allium/protocol/account';
import { type Content, encodeContent } from '@allium/protocol/message/content';
import { decryptMessage, encryptMessage } from '@allium/protocol/message/encryption-v1';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import type { Marks } from '../src/storage/marks.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const EVE = Account.fromSeed(new Uint8Array(16).fill(3));

async function friends(): Promise<{ phone: Client; laptop: Client; bob: Client }> {
  world = new World({}, { pollEveryMs: 3_000 });
  return world.friends(ALICE, BOB);
}

async function marksOf(client: Client, other: Account, timestamp: number): Promise<Marks | undefined> {
  const all = await client.conversation(other.id).history();
  return all.find((message) => message.timestamp === timestamp)?.marks;
}
const emoji = (marks: Marks | undefined) =>
  (marks?.reactions ?? []).filter(({ on }) => on).map(({ emoji: shown }) => shown);

/** Somebody's own program sends Alice something. */
function forge(sender: Account, content: Content, timestamp = world.clock.trueNow()): void {
  const data = encryptMessage({
    content: encodeContent({ ...content, sigTimestamp: timestamp }),
    sender,
    recipient: ALICE.id,
    timestamp,
  });
  world.network.deliver(ALICE.id, data);
}

test('a reaction is on all devices of both, is taken back everywhere, and tells that the message arrived', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock } = world;
  await bob.changeSettings({ deliveryReceipts: false });
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('onions?'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
  const to = { sender: ALICE.id, timestamp };
  await clock.run(bob.conversation(ALICE.id).react(to, '🧅'));
  await clock.run(bob.conversation(ALICE.id).react(to, '👍🏽'));
  for (const alice of [phone, laptop]) {
    await clock.until(async () => emoji(await marksOf(alice, BOB, timestamp)).length === 2);
    expect(await alice.isDelivered(timestamp)).toBe(true);
  }
  await clock.run(laptop.conversation(BOB.id).react(to, '🧅'));
  await clock.run(bob.conversation(ALICE.id).react(to, '🧅', { remove: true }));
  await clock.pass(30_000);
  const ends = [
    await marksOf(phone, BOB, timestamp),
    await marksOf(laptop, BOB, timestamp),
    await marksOf(bob, ALICE, timestamp),
  ];
  for (const marks of ends) expect(marks?.reactions).toEqual(ends[0]?.reactions);
  expect(ends[0]?.reactions?.filter(({ on }) => on).map(({ by, emoji: shown }) => [by, shown])).toEqual(
    [
      [ALICE.id, '🧅'],
      [BOB.id, '👍🏽'],
    ].sort(),
  );
  // A reaction is no message.
  expect(await bob.conversation(ALICE.id).history()).toHaveLength(1);
});

test('reactions are one emoji, to a message that is there, and not too many', async () => {
  const { phone } = await friends();
  const { clock } = world;
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('x'));
  const to = { sender: ALICE.id, timestamp };
  const conversation = phone.conversation(BOB.id);
  for (const bad of ['', 'yes', '👍👍', '<b>', '👍'.repeat(20)]) {
    await expect(conversation.react(to, bad)).rejects.toMatchObject({ code: 'bad_emoji' });
  }
  await expect(conversation.react({ ...to, timestamp: 5 }, '👍')).rejects.toMatchObject({
    code: 'not_found',
  });
  await expect(phone.noteToSelf().react(to, '👍')).rejects.toMatchObject({ code: 'not_found' });
  for (let i = 0; i < 20; i++) await conversation.react(to, '👍', { remove: i % 2 === 1 });
  await expect(conversation.react(to, '👍')).rejects.toMatchObject({ code: 'too_fast' });
  await clock.pass(61_000);
  await conversation.react(to, '👍');
  // Under way it may still get another time, and what is said of it would lead nowhere.
  world.network.isOffline = true;
  const sending = conversation.send('y', { keepTrying: true });
  await clock.until(async () => (await conversation.history()).at(-1)?.text === 'y');
  const newest = (await conversation.history()).at(-1)!;
  await expect(conversation.react(newest, '🧅')).rejects.toMatchObject({ code: 'under_way' });
  world.network.isOffline = false;
  await conversation.react({ ...to, timestamp: (await clock.run(sending)).timestamp }, '🧅');
});

test('an answer names what it answers, and proves that it arrived', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock } = world;
  await bob.changeSettings({ deliveryReceipts: false });
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('question'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
  const quote = { author: ALICE.id, timestamp };
  await clock.run(bob.conversation(ALICE.id).send('answer', { quote }));
  for (const device of [phone, laptop]) {
    await clock.until(async () => (await device.conversation(BOB.id).history()).length === 2);
    expect((await device.conversation(BOB.id).history())[1]).toMatchObject({ text: 'answer', quote });
  }
  expect(await phone.isDelivered(timestamp)).toBe(true);
});

test('a message that is deleted for everyone is gone on all devices and in the swarm', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock, network } = world;
  const sent = await clock.run(phone.conversation(BOB.id).send('a secret'));
  await clock.run(phone.flush());
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
  await clock.until(async () => (await laptop.conversation(BOB.id).history()).length === 1);
  await clock.run(phone.conversation(BOB.id).deleteForEveryone(sent.timestamp));
  await clock.run(phone.conversation(BOB.id).deleteForEveryone(sent.timestamp));
  const views: (readonly [Client, Account])[] = [
    [phone, BOB],
    [laptop, BOB],
    [bob, ALICE],
  ];
  for (const [device, other] of views) {
    await clock.until(async () => (await marksOf(device, other, sent.timestamp))?.deletedAt !== undefined);
    expect(await device.conversation(other.id).history()).toMatchObject([{ text: '' }]);
  }
  await clock.pass(30_000);
  for (const account of [ALICE, BOB]) {
    const kept = network.swarm(account.id)[0]!.inbox(account.id);
    const texts = kept.map(({ data }) => decryptMessage(data, account).content.dataMessage?.body);
    expect(texts).not.toContain('a secret');
  }
  // A bot that was not given it yet is not given an empty text.
  const given: string[] = [];
  void (async () => {
    for await (const { text } of bob.messages()) given.push(text);
  })();
  await clock.run(phone.conversation(BOB.id).send('another'));
  await clock.until(() => given.length > 0);
  expect(given).toEqual(['another']);
  await expect(phone.conversation(BOB.id).deleteForEveryone(5)).rejects.toMatchObject({ code: 'not_found' });
});

test('deleting for me is nobody else’s matter', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('x'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
  await clock.run(bob.conversation(ALICE.id).deleteForMe([{ sender: ALICE.id, timestamp }]));
  await clock.pass(60_000);
  expect(await bob.conversation(ALICE.id).history()).toEqual([]);
  expect(await phone.conversation(BOB.id).history()).toHaveLength(1);
});

test('nobody deletes or decorates what is not theirs', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('mine'));
  const his = await clock.run(bob.conversation(ALICE.id).send('his'));
  await clock.until(async () => (await phone.conversation(BOB.id).history()).length === 2);
  const reaction = (author: string, id: number, text: string) => ({
    dataMessage: { reaction: { author, id, emoji: text, action: 0 as const } },
  });
  forge(EVE, { unsendRequest: { author: ALICE.id, timestamp } });
  forge(EVE, { unsendRequest: { author: BOB.id, timestamp: his.timestamp } });
  forge(BOB, { unsendRequest: { author: ALICE.id, timestamp } });
  forge(BOB, { unsendRequest: { author: 'nobody', timestamp } });
  forge(EVE, reaction(ALICE.id, timestamp, '💩'));
  forge(BOB, reaction(ALICE.id, timestamp, 'not an emoji'));
  forge(BOB, reaction('nobody', timestamp, '💩'));
  // Said to be ours, but we never say whom it is for.
  forge(ALICE, reaction(BOB.id, his.timestamp, '💩'));
  await clock.pass(60_000);
  for (const message of await phone.conversation(BOB.id).history()) {
    expect(message.text).not.toBe('');
    expect(message.marks?.reactions).toBeUndefined();
    expect(message.marks?.deletedAt).toBeUndefined();
  }
});

test('typing is told to accepted people who want to know, and ends by itself', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  const told: boolean[] = [];
  bob.on('typing', ({ id, isTyping }) => {
    expect(id).toBe(ALICE.id);
    told.push(isTyping);
  });
  phone.conversation(BOB.id).typing();
  await clock.pass(30_000);
  expect(told).toEqual([]);
  for (const client of [phone, bob]) await client.changeSettings({ typingIndicators: true });
  for (let i = 0; i < 5; i++) phone.conversation(BOB.id).typing();
  await clock.until(() => told.length > 0);
  const mail = world.network.swarm(BOB.id)[0]!.inbox(BOB.id);
  const typed = mail.filter(({ data }) => decryptMessage(data, BOB).content.typingMessage !== undefined);
  expect(typed).toHaveLength(1);
  expect(typed[0]!.expiration - typed[0]!.timestamp).toBe(20_000);
  await clock.pass(16_000);
  expect(told).toEqual([true, false]);
  phone.conversation(BOB.id).typing();
  await clock.until(() => told.length > 2);
  await clock.run(phone.conversation(BOB.id).send('done'));
  await clock.until(() => told.length > 3);
  expect(told).toEqual([true, false, true, false]);
});

test('names and pictures travel with messages and answers to requests, the newest counts', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const picture = { url: 'http://files.test/file/1', key: 'ab'.repeat(32) };
  await alice.setProfile({ name: 'Alice 🧅', picture });
  await bob.setProfile({ name: 'Bob' });
  await expect(bob.setProfile({ name: 'ü'.repeat(51) })).rejects.toMatchObject({ code: 'too_long' });
  expect(bob.profile).toEqual({ name: 'Bob' });
  await clock.run(alice.conversation(BOB.id).send('hi'));
  await clock.until(async () => (await bob.requests()).length === 1);
  const contact = { name: 'Alice 🧅', pictureUrl: picture.url, pictureKey: picture.key };
  expect(bob.conversation(ALICE.id).contact).toMatchObject(contact);
  await clock.run(bob.conversation(ALICE.id).approve());
  await clock.until(() => alice.conversation(BOB.id).contact.name === 'Bob');
  await alice.setProfile({ name: 'Alice' });
  await clock.run(alice.conversation(BOB.id).send('no picture any more'));
  await clock.until(() => bob.conversation(ALICE.id).contact.name === 'Alice');
  expect(bob.conversation(ALICE.id).contact.pictureUrl).toBeUndefined();
  // An older one that comes late, and a name that is far too long.
  const old = { displayName: 'old', lastUpdateSeconds: 1 };
  const long = { displayName: 'ü'.repeat(5_000), lastUpdateSeconds: Math.floor(clock.trueNow() / 1000) + 60 };
  forge(BOB, { dataMessage: { body: 'late', profile: old } });
  await clock.pass(10_000);
  expect(alice.conversation(BOB.id).contact.name).toBe('Bob');
  forge(BOB, { dataMessage: { body: 'long', profile: long } });
  await clock.pass(10_000);
  expect(alice.conversation(BOB.id).contact.name).toBe('ü'.repeat(50));
});

test('conversations are listed with what this device keeps of them: pins, hiding, muting, drafts, unread', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  for (const text of ['one', 'two', 'three']) await clock.run(bob.conversation(ALICE.id).send(text));
  await clock.until(async () => (await phone.conversation(BOB.id).unread()) === 3);
  await clock.run(phone.noteToSelf().send('a note'));
  expect(await phone.noteToSelf().unread()).toBe(0);
  const ids = async () => (await phone.conversations()).map(({ id }) => id);
  expect(await ids()).toEqual([ALICE.id, BOB.id]);
  const conversation = phone.conversation(BOB.id);
  await Promise.all([
    conversation.change({ pin: 1 }),
    conversation.change({ draft: 'not yet' }),
    conversation.change({ mutedUntil: 5_000 }),
    conversation.markRead((await conversation.history())[1]),
  ]);
  expect(await ids()).toEqual([BOB.id, ALICE.id]);
  expect((await phone.conversations())[0]!.state).toMatchObject({
    pin: 1,
    draft: 'not yet',
    mutedUntil: 5_000,
  });
  expect(await conversation.unread()).toBe(1);
  await conversation.markRead((await conversation.history())[0]); // never back
  expect(await conversation.unread()).toBe(1);
  for (let marks = 0; marks < 2; marks++) {
    const reading = conversation.markRead();
    await conversation.markUnread(); // while it is being read
    await reading;
    expect(await conversation.unread()).toBe(0);
    expect((await conversation.state()).isMarkedUnread).toBe(true);
  }
  await conversation.markRead();
  expect((await conversation.state()).isMarkedUnread).toBeUndefined();
  await conversation.change({ pin: undefined, draft: undefined });
  expect((await conversation.state()).draft).toBeUndefined();
  await expect(conversation.change({ draft: 'x'.repeat(20_001) })).rejects.toMatchObject({
    code: 'too_long',
  });
  // What was begun to somebody without any message stands apart.
  expect(await phone.drafts()).toEqual([]);
  await conversation.change({ draft: 'of a conversation' });
  await phone.conversation(EVE.id).change({ draft: 'dear Eve' });
  expect(await phone.drafts()).toEqual([{ id: EVE.id, state: { draft: 'dear Eve' } }]);
  await phone.conversation(EVE.id).block();
  expect(await phone.drafts()).toEqual([]);
  await conversation.hide();
  expect(await ids()).toEqual([ALICE.id]);
  await conversation.unhide();
  expect(await ids()).toEqual([ALICE.id, BOB.id]);
  await conversation.hide();
  await clock.run(bob.conversation(ALICE.id).send('four'));
  await clock.until(async () => (await ids()).length === 2);
  expect(await conversation.unread()).toBe(1);
});
