// SPDX-License-Identifier: MIT
// Delivery that is shown and never lies, requests, blocking: stories on a network in memory, in virtual time.
import { Account } from '@allium/protocol/account';
import { delay } from '@allium/protocol/env';
import { encodeContent, ReceiptType } from '@allium/protocol/message/content';
import { decryptMessage, encryptMessage } from '@allium/protocol/message/encryption-v1';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import { deliveryOf } from '../src/messaging/delivery.ts';
import type { Sent } from '../src/messaging/storing.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import type { StoredMessage } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

/** Alice and Bob, who accept each other. */
async function friends(): Promise<{ alice: Client; bob: Client; storage: MemoryStorage }> {
  world = new World({}, { pollEveryMs: 3_000 });
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage });
  const bob = await world.open(BOB);
  await world.clock.run(bob.conversation(ALICE.id).approve());
  await world.clock.run(alice.conversation(BOB.id).approve());
  return { alice, bob, storage };
}

/** All contents in an account's mailbox. */
function mail(account: Account) {
  const kept = world.network.swarm(account.id)[0]!.inbox(account.id);
  return kept.map(({ data }) => decryptMessage(data, account));
}

const only = (messages: readonly StoredMessage[], timestamp: number) =>
  messages.find((message) => message.timestamp === timestamp)!;

test('a message is queued, stored, delivered, and each state is told once', async () => {
  const { alice, bob } = await friends();
  const { clock } = world;
  const states: string[] = [];
  const tell = (message: StoredMessage) => states.push(deliveryOf(message).state);
  alice.on('outgoing', tell);
  alice.on('changed', tell);
  const delivered: StoredMessage[] = [];
  alice.on('delivered', (message) => delivered.push(message));
  const sent = await clock.run(alice.conversation(BOB.id).send('hello'));
  expect(await alice.isDelivered(sent.timestamp)).toBe(false);
  await clock.until(() => alice.isDelivered(sent.timestamp), 40_000);
  await clock.pass(60_000);
  expect(delivered).toHaveLength(1);
  expect(new Set(states)).toEqual(new Set(['queued', 'stored', 'delivered']));
  const known = only(await alice.conversation(BOB.id).history(), sent.timestamp);
  expect(deliveryOf(known)).toMatchObject({ state: 'delivered', stored: 7, of: 7 });
  // Bob's receipt says nothing else, and came after a pause.
  const receipts = mail(ALICE).filter(({ content }) => content.receiptMessage !== undefined);
  expect(receipts.map(({ content }) => content.receiptMessage)).toEqual([
    { type: ReceiptType.delivery, timestamp: [sent.timestamp] },
  ]);
  expect(receipts[0]!.timestamp - sent.timestamp).toBeGreaterThanOrEqual(1_000);
  expect((await bob.conversations()).map(({ id }) => id)).toEqual([ALICE.id]);
});

test('sendWithConfirmation is true when a device has it, false when the time is over, and delivery may follow', async () => {
  const { alice, bob } = await friends();
  const { clock } = world;
  expect(await clock.run(alice.sendWithConfirmation(BOB.id, 'are you there?'))).toBe(true);
  await clock.run(bob.close());
  const began = clock.monotonic();
  expect(await clock.run(alice.sendWithConfirmation(BOB.id, 'still there?', { timeoutMs: 60_000 }))).toBe(
    false,
  );
  expect(clock.monotonic() - began).toBe(60_000);
  const last = (await alice.conversation(BOB.id).history()).at(-1)!;
  expect(deliveryOf(last).state).toBe('stored');
  const again = await world.open(BOB);
  await clock.run(again.conversation(ALICE.id).approve());
  await clock.until(() => alice.isDelivered(last.timestamp));
  expect(await clock.run(alice.sendWithConfirmation(ALICE.id, 'a note'))).toBe(true);
  await expect(alice.sendWithConfirmation('05ab', 'x')).rejects.toMatchObject({ code: 'invalid_recipient' });
  await expect(alice.sendWithConfirmation(BOB.id, '')).rejects.toMatchObject({ code: 'empty' });
});

test('a client that does not receive otherwise asks while it waits for confirmation', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const bob = await world.open(BOB);
  await clock.run(bob.conversation(ALICE.id).approve());
  const alice = await world.open(ALICE, { receive: false });
  expect(await clock.run(alice.sendWithConfirmation(BOB.id, 'ping'))).toBe(true);
});

test('without a network a message is tried again, over a restart too, and is stored once', async () => {
  const { alice, bob, storage } = await friends();
  const { clock, network } = world;
  await clock.run(alice.ready());
  const arrived: StoredMessage[] = [];
  bob.on('message', (message) => arrived.push(message));
  for (const node of network.swarm(BOB.id)) node.answer = () => ({ status: 503, body: 'Server busy' });
  expect(await clock.run(alice.sendWithConfirmation(BOB.id, 'patience', { timeoutMs: 30_000 }))).toBe(false);
  const [queued] = await alice.conversation(BOB.id).history();
  expect(deliveryOf(queued!)).toEqual({ state: 'queued' });
  await clock.run(alice.close());
  for (const node of network.nodes) node.answer = undefined;
  const again = await world.open(ALICE, { storage: storage.reopen() });
  await clock.until(() => arrived.length > 0);
  await clock.until(() => again.isDelivered(queued!.timestamp));
  await clock.pass(60_000);
  expect(arrived.map(({ text }) => text)).toEqual(['patience']);
  // The swarm kept it and denied it: it was given the same bytes each time, also after the restart.
  const kept = mail(BOB).filter(({ content }) => content.dataMessage !== undefined);
  expect(kept.map(({ timestamp }) => timestamp)).toEqual([queued!.timestamp]);
});

test('a machine whose clock is weeks ahead after a restart gives up nothing, and remembers what it removed', async () => {
  const { alice, bob, storage } = await friends();
  const { clock, network } = world;
  const first = await clock.run(alice.conversation(BOB.id).send('first'));
  await clock.run(bob.conversation(ALICE.id).send('removed here'));
  await clock.until(async () => (await alice.conversation(BOB.id).history()).length === 2);
  const [removed] = (await alice.conversation(BOB.id).history()).filter(({ sender }) => sender === BOB.id);
  await clock.run(alice.conversation(BOB.id).deleteForMe([removed!]));
  network.isOffline = true;
  alice
    .conversation(BOB.id)
    .send('second', { keepTrying: true })
    .catch(() => undefined);
  await clock.pass(1_000);
  await clock.run(alice.conversation(BOB.id).deleteForEveryone(first.timestamp));
  await clock.run(alice.close());
  clock.skew = 60 * 86_400_000;
  network.isOffline = false;
  const again = await world.open(ALICE, { storage: storage.reopen() });
  const texts = async (client: Client, other: Account) =>
    (await client.conversation(other.id).history()).map(({ text }) => text);
  await clock.pass(60_000);
  expect(await texts(bob, ALICE)).toEqual(['', 'removed here', 'second']);
  expect(await texts(again, BOB)).toEqual(['', 'second']);
  clock.skew = 0;
});

test('after a long outage a message goes out within seconds, also when the way out was announced too early', async () => {
  const { alice, bob } = await friends();
  const { clock, network } = world;
  network.isOffline = true;
  alice
    .conversation(BOB.id)
    .send('through the tunnel', { keepTrying: true })
    .catch(() => undefined);
  await clock.pass(20 * 60_000);
  alice.wake();
  await clock.pass(6_000);
  network.isOffline = false;
  const stored = async () => deliveryOf((await alice.conversation(BOB.id).history())[0]!).state !== 'queued';
  await clock.until(stored, 12_000);
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1, 60_000);
});

test('what waits to be sent is sent no more when its conversation was erased', async () => {
  const { alice, bob } = await friends();
  const { clock, network } = world;
  await clock.run(alice.conversation(BOB.id).send('first'));
  network.isOffline = true;
  const waiting = alice.conversation(BOB.id).send('never mind', { keepTrying: true });
  const ended = expect(waiting).rejects.toMatchObject({ code: 'aborted' });
  await clock.pass(1_000);
  await clock.run(alice.conversation(BOB.id).erase());
  network.isOffline = false;
  await clock.pass(120_000);
  await clock.run(ended);
  expect((await bob.conversation(ALICE.id).history()).map(({ text }) => text)).toEqual(['first']);
  expect(await alice.conversation(BOB.id).history()).toEqual([]);
});

test('a failed message says why and what to do', async () => {
  const { alice } = await friends();
  const { clock, network } = world;
  await clock.run(alice.ready());
  for (const node of network.swarm(BOB.id)) node.answer = () => ({ status: 503, body: 'Server busy' });
  await expect(clock.run(alice.conversation(BOB.id).send('lost'))).rejects.toMatchObject({
    code: 'not_stored',
  });
  const [failed] = await alice.conversation(BOB.id).history();
  expect(deliveryOf(failed!)).toMatchObject({ state: 'failed', reason: 'not_stored', nextStep: /later/ });
  for (const node of network.nodes) node.answer = undefined;
  await clock.run(alice.conversation(BOB.id).resend(failed!.timestamp));
  const [sent] = await alice.conversation(BOB.id).history();
  expect(deliveryOf(sent!)).toMatchObject({ state: 'stored', stored: 7 });
  expect(sent!.failure).toBeUndefined();
});

test('read receipts are off, are sent and shown when both sides want them, and count as delivery at least', async () => {
  const { alice, bob } = await friends();
  const { clock } = world;
  await bob.changeSettings({ deliveryReceipts: false });
  const read: StoredMessage[] = [];
  alice.on('read', (message) => read.push(message));
  const first = await clock.run(alice.conversation(BOB.id).send('one'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.pass(30_000);
  expect(mail(ALICE).filter(({ content }) => content.receiptMessage !== undefined)).toEqual([]);
  await bob.changeSettings({ readReceipts: true });
  const more: Sent[] = [];
  for (const text of ['two', 'three']) more.push(await clock.run(alice.conversation(BOB.id).send(text)));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 3);
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.until(() => alice.isDelivered(more[1]!.timestamp));
  expect(read).toEqual([]); // Alice does not want to see it
  await alice.changeSettings({ readReceipts: true });
  const last = await clock.run(alice.conversation(BOB.id).send('four'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 4);
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.until(() => read.length > 0);
  expect(read.map(({ timestamp }) => timestamp)).toEqual([last.timestamp]);
  expect(await alice.isDelivered(first.timestamp)).toBe(false);
  const receipts = mail(ALICE).flatMap(({ content }) => content.receiptMessage ?? []);
  expect(receipts).toEqual([
    { type: ReceiptType.read, timestamp: more.map(({ timestamp }) => timestamp) },
    { type: ReceiptType.read, timestamp: [last.timestamp] },
  ]);
});

test('what is read while the storage still writes what was read before is told too', async () => {
  const { alice, bob, storage } = await friends();
  const { clock } = world;
  await alice.changeSettings({ readReceipts: true });
  await bob.changeSettings({ readReceipts: true });
  const sent = [];
  for (const text of ['one', 'two']) sent.push(await clock.run(bob.conversation(ALICE.id).send(text)));
  const history = async () => alice.conversation(BOB.id).history();
  await clock.until(async () => (await history()).length === 2);
  const write = storage.write.bind(storage);
  storage.write = async (changes) => {
    await delay(clock, 100);
    await write(changes);
  };
  const [one, two] = await history();
  const first = alice.conversation(BOB.id).markRead(one);
  await clock.pass(50);
  await clock.run(Promise.all([first, alice.conversation(BOB.id).markRead(two)]));
  await clock.pass(60_000);
  const states = (await bob.conversation(ALICE.id).history()).map((message) => deliveryOf(message).state);
  expect(states).toEqual(['read', 'read']);
});

test('a receipt that waits for its moment is not sent to somebody who is blocked, nor when receipts are not wanted, by then', async () => {
  const { alice, bob } = await friends();
  const { clock } = world;
  const receipts = () => mail(ALICE).filter(({ content }) => content.receiptMessage !== undefined).length;
  const arrives = async (text: string) => {
    await clock.run(alice.conversation(BOB.id).send(text));
    await clock.until(async () => (await bob.conversation(ALICE.id).history()).at(-1)?.text === text);
  };
  await bob.changeSettings({ readReceipts: true });
  await arrives('one');
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.run(bob.conversation(ALICE.id).block());
  await clock.pass(60_000);
  expect(receipts()).toBe(0);
  await clock.run(bob.conversation(ALICE.id).unblock());
  await arrives('two');
  await clock.run(bob.conversation(ALICE.id).markRead());
  await bob.changeSettings({ readReceipts: false, deliveryReceipts: false });
  await clock.pass(60_000);
  expect(receipts()).toBe(0);
  await bob.changeSettings({ deliveryReceipts: true });
  await arrives('three');
  await clock.pass(60_000);
  expect(receipts()).toBe(1);
});

test('strangers are requests, learn nothing, and are told when they are accepted', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const requests: string[] = [];
  const accepted: string[] = [];
  bob.on('request', ({ id }) => requests.push(id));
  alice.on('accepted', ({ id }) => accepted.push(id));
  await clock.run(alice.conversation(BOB.id).send('do you know me?'));
  await clock.run(alice.conversation(BOB.id).send('hello?'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 2);
  await bob.changeSettings({ readReceipts: true });
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.pass(60_000);
  expect(requests).toEqual([ALICE.id]);
  expect(await bob.conversations()).toEqual([]);
  expect((await bob.requests()).map(({ id }) => id)).toEqual([ALICE.id]);
  expect(mail(ALICE).every(({ sender }) => sender === ALICE.id)).toBe(true);
  await clock.run(bob.conversation(ALICE.id).approve());
  await clock.run(bob.conversation(ALICE.id).approve());
  await clock.until(() => accepted.length > 0);
  expect(accepted).toEqual([BOB.id]);
  expect(await bob.requests()).toEqual([]);
  const answers = mail(ALICE).filter(({ sender }) => sender === BOB.id);
  expect(answers.map(({ content }) => content.messageRequestResponse)).toEqual([{ isApproved: true }]);
});

test('who answers a request accepts it, shortly before the answer', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(alice.conversation(BOB.id).send('hi'));
  await clock.until(async () => (await bob.requests()).length === 1);
  const sent = await clock.run(bob.conversation(ALICE.id).send('hi Alice'));
  await clock.until(() => alice.contacts().some(({ approvedMe }) => approvedMe));
  await clock.pass(5_000);
  const answer = mail(ALICE).find(({ content }) => content.messageRequestResponse !== undefined)!;
  expect(answer.timestamp).toBe(sent.timestamp - 100);
});

test('a declined request leaves nothing here or in the swarm, and may come again', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  await clock.run(alice.conversation(BOB.id).send('buy onions'));
  await clock.until(async () => (await bob.requests()).length === 1);
  await clock.run(bob.conversation(ALICE.id).decline());
  await clock.until(() => mail(BOB).length === 0);
  expect(await bob.requests()).toEqual([]);
  expect(bob.contacts()).toEqual([]);
  await clock.pass(60_000);
  expect(await bob.requests()).toEqual([]);
  await clock.run(alice.conversation(BOB.id).send('cheap onions'));
  await clock.until(async () => (await bob.requests()).length === 1);
  await clock.run(bob.conversation(ALICE.id).approve());
  await expect(bob.conversation(ALICE.id).decline()).rejects.toMatchObject({ code: 'approved' });
});

test('what a blocked account sends is dropped, until it is unblocked', async () => {
  const { alice, bob } = await friends();
  const { clock } = world;
  await clock.run(bob.conversation(ALICE.id).block());
  const lost = await clock.run(alice.conversation(BOB.id).send('you there?'));
  await clock.pass(60_000);
  expect(await bob.conversation(ALICE.id).history()).toEqual([]);
  expect(await alice.isDelivered(lost.timestamp)).toBe(false);
  await clock.run(bob.conversation(ALICE.id).unblock());
  await clock.run(alice.conversation(BOB.id).send('and now?'));
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 1);
});

test('receipts of others, for the messages of others, for unknown ones and in masses change nothing', async () => {
  const { alice, storage } = await friends();
  const { clock, network } = world;
  const eve = Account.fromSeed(new Uint8Array(16).fill(3));
  const sent = await clock.run(alice.conversation(BOB.id).send('hello'));
  await clock.until(() => alice.isDelivered(sent.timestamp));
  const other = await clock.run(alice.conversation(eve.id).send('who are you?'));
  const receipt = (sender: Account, type: ReceiptType, timestamps: number[], sigTimestamp: number) => {
    const data = encryptMessage({
      content: encodeContent({ receiptMessage: { type, timestamp: timestamps }, sigTimestamp }),
      sender,
      recipient: ALICE.id,
      timestamp: sigTimestamp,
    });
    network.deliver(ALICE.id, data);
  };
  await alice.changeSettings({ readReceipts: true });
  const now = clock.trueNow();
  receipt(eve, ReceiptType.read, [sent.timestamp], now);
  receipt(BOB, ReceiptType.read, [other.timestamp], now + 1);
  receipt(
    BOB,
    ReceiptType.read,
    Array.from({ length: 8_000 }, (_, i) => i),
    now + 2,
  );
  await clock.pass(60_000);
  const history = await alice.conversation(BOB.id).history();
  expect(only(history, sent.timestamp).marks?.readAt).toBeUndefined();
  expect(await alice.isDelivered(other.timestamp)).toBe(false);
  expect((await storage.records('pending')).length).toBeLessThanOrEqual(500);
  // Still alive.
  receipt(BOB, ReceiptType.read, [sent.timestamp], now + 3);
  await clock.until(
    async () => only(await alice.conversation(BOB.id).history(), sent.timestamp).marks?.readAt !== undefined,
  );
});

test('an account of before there were contacts keeps its conversations', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const storage = new MemoryStorage();
  const eve = Account.fromSeed(new Uint8Array(16).fill(3));
  const base = { text: 'x', handled: true } as const;
  await storage.write({
    messages: [
      { ...base, sender: BOB.id, timestamp: 1, conversation: BOB.id, state: 'received' },
      { ...base, sender: ALICE.id, timestamp: 2, conversation: BOB.id, state: 'sent' },
      { ...base, sender: eve.id, timestamp: 3, conversation: eve.id, state: 'received' },
    ],
  });
  const alice = await world.open(ALICE, { storage });
  expect((await alice.conversations()).map(({ id }) => id)).toEqual([BOB.id]);
  expect((await alice.requests()).map(({ id }) => id)).toEqual([eve.id]);
});
