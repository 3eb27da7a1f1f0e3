// SPDX-License-Identifier: MIT
// Disappearing messages between people and on all devices of each, over restarts and with wrong clocks.
import { Account } from '@allium/protocol/account';
import { toBase64 } from '@allium/protocol/bytes';
import { ed25519Sign } from '@allium/protocol/crypto';
import { type Content, ExpirationType, encodeContent } from '@allium/protocol/message/content';
import { decryptMessage, encryptMessage } from '@allium/protocol/message/encryption-v1';
import { nodeSignedText } from '@allium/protocol/storage/signatures';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import type { StoredMessage, Timer } from '../src/storage/storage.ts';
import { testEnv } from './test-clock.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const AFTER_SEND: Timer = { mode: 'after_send', seconds: 600 };
const AFTER_READ: Timer = { mode: 'after_read', seconds: 300 };

async function friends(pollEveryMs = 20_000): Promise<{ phone: Client; laptop: Client; bob: Client }> {
  world = new World({}, { pollEveryMs });
  return world.friends(ALICE, BOB);
}

const said = async (client: Client, other: Account): Promise<StoredMessage[]> =>
  (await client.conversation(other.id).history()).filter(({ notice }) => notice === undefined);
const notices = async (client: Client, other: Account) =>
  (await client.conversation(other.id).history()).flatMap(({ sender, notice }) =>
    notice ? [{ sender, notice }] : [],
  );

/** Everything that a swarm keeps for somebody, as he reads it. */
function mail(account: Account): { content: Content; ttl: number }[] {
  return world.network
    .swarm(account.id)[0]!
    .inbox(account.id)
    .filter(({ namespace = 0 }) => namespace === 0)
    .map(({ data, expiration }) => {
      const { content, timestamp } = decryptMessage(data, account);
      return { content, ttl: expiration - timestamp };
    });
}

test('a timer is set for what we send, on all our devices; the other side sees it, and keeps its own', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock } = world;
  const seen: StoredMessage[] = [];
  bob.on('notice', (message) => seen.push(message));
  await clock.run(phone.conversation(BOB.id).setTimer(AFTER_SEND));
  await clock.run(phone.conversation(BOB.id).setTimer(AFTER_SEND));
  await clock.until(() => laptop.conversation(BOB.id).timer !== undefined);
  expect(laptop.conversation(BOB.id).timer).toEqual(AFTER_SEND);
  await clock.until(() => seen.length > 0);
  const told = [{ sender: ALICE.id, notice: { kind: 'timer', timer: AFTER_SEND } }];
  expect(await notices(phone, BOB)).toEqual(told);
  expect(await notices(laptop, BOB)).toEqual(told);
  expect(await notices(bob, ALICE)).toEqual(told);
  expect(bob.conversation(ALICE.id).timer).toBeUndefined();
  expect(await bob.conversation(ALICE.id).unread()).toBe(0);
  const [update] = mail(BOB).filter(({ content }) => content.dataMessage?.flags === 2);
  expect(update).toMatchObject({
    content: { expirationType: ExpirationType.deleteAfterSend, expirationTimer: 600 },
    ttl: 600_000,
  });
  await clock.run(laptop.conversation(BOB.id).setTimer(undefined));
  await clock.until(() => phone.conversation(BOB.id).timer === undefined);
  expect((await notices(phone, BOB)).at(-1)).toEqual({ sender: ALICE.id, notice: { kind: 'timer' } });
  await clock.run(phone.conversation(BOB.id).send('this one stays'));
  await clock.until(async () => (await said(bob, ALICE)).length === 1);
  expect((await said(bob, ALICE))[0]!.timer).toBeUndefined();
  await clock.pass(700_000);
  expect(await said(bob, ALICE)).toHaveLength(1);
  for (const bad of [9, 0, 1.5, 1_209_601]) {
    await expect(
      phone.conversation(BOB.id).setTimer({ mode: 'after_send', seconds: bad }),
    ).rejects.toMatchObject({ code: 'bad_timer' });
  }
  await expect(phone.noteToSelf().setTimer(AFTER_READ)).rejects.toMatchObject({ code: 'bad_timer' });
});

test('after sending: the message is gone everywhere when its time is over, and swarms keep it no longer', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock } = world;
  await clock.run(phone.conversation(BOB.id).setTimer(AFTER_SEND));
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('ten minutes'));
  await clock.run(phone.flush());
  const removed: StoredMessage[] = [];
  bob.on('removed', (message) => removed.push(message));
  for (const [client, other] of [
    [laptop, BOB],
    [bob, ALICE],
  ] as const) {
    await clock.until(async () => (await said(client, other)).length === 1);
    expect((await said(client, other))[0]).toMatchObject({
      timer: AFTER_SEND,
      marks: { expiresAt: timestamp + 600_000 },
    });
  }
  for (const account of [ALICE, BOB]) {
    const texts = mail(account).filter(({ content }) => content.dataMessage?.body === 'ten minutes');
    expect(texts).toMatchObject([{ ttl: 600_000 }]);
  }
  await clock.pass(timestamp + 599_000 - clock.now());
  for (const [client, other] of [
    [phone, BOB],
    [laptop, BOB],
    [bob, ALICE],
  ] as const) {
    expect(await said(client, other)).toHaveLength(1);
  }
  await clock.pass(2_000);
  for (const [client, other] of [
    [phone, BOB],
    [laptop, BOB],
    [bob, ALICE],
  ] as const) {
    expect(await client.conversation(other.id).history()).toEqual([]);
  }
  expect(removed.map(({ text }) => text)).toContain('ten minutes');
});

test('after reading: each side has its own time, and a device that reads starts it on the others', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock } = world;
  await clock.run(bob.conversation(ALICE.id).setTimer(AFTER_READ));
  await clock.run(bob.conversation(ALICE.id).send('after reading'));
  for (const alice of [phone, laptop]) await clock.until(async () => (await said(alice, BOB)).length === 1);
  const ttlOf = (account: Account) =>
    mail(account).find(({ content }) => content.dataMessage?.body === 'after reading')?.ttl;
  await clock.run(bob.flush());
  expect(ttlOf(ALICE)).toBe(14 * 86_400_000);
  expect(ttlOf(BOB)).toBe(300_000);
  // The sender's time runs at once, the reader's not at all.
  await clock.pass(301_000);
  expect(await said(bob, ALICE)).toEqual([]);
  expect(await said(phone, BOB)).toHaveLength(1);
  const readAt = clock.now();
  await clock.run(phone.conversation(BOB.id).markRead());
  const [read] = await said(phone, BOB);
  expect(read!.marks!.expiresAt! - readAt).toBeGreaterThanOrEqual(300_000);
  await clock.pass(60_000);
  const kept = world.network
    .swarm(ALICE.id)
    .map((node) => node.inbox(ALICE.id).find(({ hash }) => hash === read!.hash));
  for (const message of kept) expect(message?.expiration).toBe(read!.marks!.expiresAt);
  // The laptop hears of it a minute later: the swarm says when it ends.
  await clock.run(laptop.conversation(BOB.id).readElsewhere(Number.POSITIVE_INFINITY));
  await clock.pass(30_000);
  expect((await said(laptop, BOB))[0]!.marks!.expiresAt).toBe(read!.marks!.expiresAt);
  await clock.pass(220_000);
  for (const alice of [phone, laptop]) expect(await said(alice, BOB)).toEqual([]);
});

test('one member of our swarm that says a message is over does not make it vanish', async () => {
  const { phone, bob } = await friends();
  const { clock, network } = world;
  await clock.run(bob.conversation(ALICE.id).setTimer(AFTER_READ));
  await clock.run(bob.conversation(ALICE.id).send('after reading'));
  await clock.until(async () => (await said(phone, BOB)).length === 1);
  const liar = network.swarm(ALICE.id)[0]!;
  let lies = 0;
  for (const node of network.nodes) {
    node.answer = (request, real) => {
      const [expire] = request.method === 'sequence' ? request.requests : [];
      if (expire?.method !== 'expire' || !expire.shorten) return undefined;
      const answer = JSON.parse(real.body) as { results: { body: { swarm: Record<string, object> } }[] };
      const unchanged = Object.fromEntries(expire.messages.map((hash) => [hash, clock.now() - 1]));
      const result = { expiry: expire.expiries[0]!, updated: [], unchanged };
      const signature = toBase64(ed25519Sign(nodeSignedText(expire, result), liar.ed25519.secretKey));
      answer.results[0]!.body.swarm[liar.ed25519Hex] = { ...result, signature };
      lies++;
      return { ...real, body: JSON.stringify(answer) };
    };
  }
  await clock.run(phone.conversation(BOB.id).markRead());
  await clock.pass(60_000);
  expect(lies).toBeGreaterThan(0);
  expect(await said(phone, BOB)).toHaveLength(1);
  await clock.pass(300_000);
  expect(await said(phone, BOB)).toEqual([]);
});

test('a program that starts when the time is over removes the message first of all, whatever its clock says', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  await clock.run(first.noteToSelf().setTimer(AFTER_SEND));
  await clock.run(first.noteToSelf().send('a note'));
  await clock.run(first.close());
  // A clock that is a year ahead removes nothing before its time.
  clock.skew = 365 * 86_400_000;
  const second = await world.open(ALICE, { storage: storage.reopen() });
  await clock.pass(300_000);
  expect(await said(second, ALICE)).toHaveLength(1);
  await clock.run(second.close());
  // One that is a day behind does not keep it.
  clock.skew = -86_400_000;
  await clock.pass(600_000);
  const third = await world.open(ALICE, { storage: storage.reopen() });
  await clock.until(async () => (await said(third, ALICE)).length === 0, 60_000);
  clock.skew = 0;
});

test('without any network the machine’s own clock does', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  await clock.run(first.noteToSelf().setTimer(AFTER_SEND));
  await clock.run(first.noteToSelf().send('a note'));
  await clock.run(first.close());
  network.isOffline = true;
  await clock.pass(700_000);
  const second = await world.open(ALICE, { storage: storage.reopen() });
  await clock.pass(90_000);
  expect(await said(second, ALICE)).toEqual([]);
});

test.each([
  ['ahead', 86_400_000],
  ['back', -86_400_000],
])('a clock that is set %s without a network removes nothing too early or too late', async (_, jump) => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage });
  await clock.run(alice.noteToSelf().setTimer(AFTER_SEND));
  const { timestamp } = await clock.run(alice.noteToSelf().send('a note'));
  await clock.pass(10_000);
  network.isOffline = true;
  clock.skew = jump;
  await clock.pass(400_000);
  expect(await storage.message(ALICE.id, timestamp)).toMatchObject({ text: 'a note' });
  await clock.pass(timestamp + 700_000 - clock.trueNow());
  expect(await storage.message(ALICE.id, timestamp)).toBeUndefined();
  clock.skew = 0;
});

test('what comes just after a clock was set is not judged by it', async () => {
  world = new World({}, { waitMs: 20_000 });
  const { clock, network } = world;
  for (const node of network.nodes) node.canWait = true;
  const alice = await world.open(ALICE);
  let jump = 0;
  const bobsClock = {
    now: () => clock.now() + jump,
    monotonic: () => clock.monotonic(),
    after: (ms: number, run: () => void) => clock.after(ms, run),
  };
  const bob = await world.open(BOB, { env: { ...testEnv(clock, 77), clock: bobsClock } });
  await clock.run(alice.conversation(BOB.id).approve());
  await clock.run(alice.conversation(BOB.id).setTimer(AFTER_SEND));
  await clock.run(alice.conversation(BOB.id).send('first'));
  await clock.until(async () => (await said(bob, ALICE)).length === 1);
  await clock.pass(5_000);
  jump = 3_600_000;
  await clock.run(alice.conversation(BOB.id).send('second'));
  await clock.until(async () => (await said(bob, ALICE)).length === 2);
});

test('what is read by a clock that was set back is there for as long as the timer says', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  let jump = 0;
  const bobsClock = {
    now: () => clock.now() + jump,
    monotonic: () => clock.monotonic(),
    after: (ms: number, run: () => void) => clock.after(ms, run),
  };
  const bob = await world.open(BOB, { env: { ...testEnv(clock, 77), clock: bobsClock } });
  await clock.run(alice.conversation(BOB.id).approve());
  await clock.run(alice.conversation(BOB.id).setTimer(AFTER_READ));
  await clock.run(alice.conversation(BOB.id).send('read me'));
  await clock.until(async () => (await said(bob, ALICE)).length === 1);
  jump = -86_400_000;
  await clock.run(bob.conversation(ALICE.id).markRead());
  await clock.pass(200_000);
  expect(await said(bob, ALICE)).toMatchObject([{ text: 'read me' }]);
  await clock.pass(200_000);
  expect(await said(bob, ALICE)).toEqual([]);
});

test('a clock that is set after a start without a network is not believed', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  await clock.run(first.noteToSelf().setTimer(AFTER_SEND));
  const { timestamp } = await clock.run(first.noteToSelf().send('a note'));
  await clock.run(first.close());
  network.isOffline = true;
  await world.open(ALICE, { storage: storage.reopen() });
  await clock.pass(200_000);
  clock.skew = 86_400_000;
  await clock.pass(200_000);
  expect(await storage.message(ALICE.id, timestamp)).toMatchObject({ text: 'a note' });
  network.isOffline = false;
  await clock.pass(300_000);
  expect(await storage.message(ALICE.id, timestamp)).toBeUndefined();
  clock.skew = 0;
});

test('a message that waits longer than it may be seen is told as failed, and is not sent any more', async () => {
  const { phone, bob } = await friends();
  const { clock, network } = world;
  await clock.run(phone.conversation(BOB.id).setTimer(AFTER_SEND));
  await clock.pass(30_000);
  network.isOffline = true;
  const states: StoredMessage[] = [];
  phone.on('outgoing', (message) => states.push(message));
  const sending = phone.conversation(BOB.id).send('too late', { keepTrying: true });
  sending.catch(() => undefined);
  await clock.until(() => states.at(-1)?.state === 'failed', 3_600_000);
  const failed = states.at(-1)!;
  expect(failed.marks!.expiresAt).toBeGreaterThan(clock.now());
  network.isOffline = false;
  await clock.pass(30_000);
  await expect(phone.conversation(BOB.id).resend(failed.timestamp)).rejects.toMatchObject({
    code: 'too_late',
  });
  await clock.pass(700_000);
  expect(await said(phone, BOB)).toEqual([]);
  expect(await said(bob, ALICE)).toEqual([]);
});

test('what others say of timers: each message has its own, nonsense is none, and strangers set nothing', async () => {
  const { phone } = await friends(30_000);
  const { clock, network } = world;
  const EVE = Account.fromSeed(new Uint8Array(16).fill(3));
  const forge = (sender: Account, content: Content, sentBefore = 0) => {
    const timestamp = clock.trueNow() - sentBefore;
    const bytes = encodeContent({ ...content, sigTimestamp: timestamp });
    network.deliver(ALICE.id, encryptMessage({ content: bytes, sender, recipient: ALICE.id, timestamp }));
    return timestamp;
  };
  const { deleteAfterSend, deleteAfterRead, unknown } = ExpirationType;
  forge(EVE, { dataMessage: { flags: 2 }, expirationType: deleteAfterSend, expirationTimer: 60 });
  forge(BOB, { dataMessage: { body: 'no type' }, expirationTimer: 60 });
  forge(BOB, { dataMessage: { body: 'unknown type' }, expirationType: unknown, expirationTimer: 60 });
  forge(BOB, { dataMessage: { body: 'no time' }, expirationType: deleteAfterRead, expirationTimer: 0 });
  forge(BOB, {
    dataMessage: { body: 'a century' },
    expirationType: deleteAfterRead,
    expirationTimer: 0xffffffff,
  });
  // Its clock is a week behind: it would be over before it was seen, were it not for the swarm that keeps it.
  forge(
    BOB,
    { dataMessage: { body: 'late' }, expirationType: deleteAfterSend, expirationTimer: 3_600 },
    7 * 86_400_000,
  );
  forge(BOB, { dataMessage: { body: 'old client', expireTimer: 7_200 } });
  await clock.until(async () => (await said(phone, BOB)).length === 6);
  const timers = Object.fromEntries((await said(phone, BOB)).map(({ text, timer }) => [text, timer]));
  expect(timers).toEqual({
    'no type': undefined,
    'unknown type': undefined,
    'no time': undefined,
    'old client': { mode: 'after_read', seconds: 7_200 },
    'a century': { mode: 'after_read', seconds: 0xffffffff },
    late: { mode: 'after_send', seconds: 3_600 },
  });
  expect(await phone.requests()).toEqual([]);
  expect(phone.contacts().map(({ id }) => id)).toEqual([BOB.id]);
  await clock.run(phone.conversation(BOB.id).markRead());
  await clock.pass(3_500_000);
  expect(await said(phone, BOB)).toHaveLength(6);
  await clock.pass(200_000);
  expect((await said(phone, BOB)).map(({ text }) => text)).not.toContain('late');
});

test('saving a file and taking a screenshot are told to people whom we accept, and are lines of the conversation', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('a picture'));
  await clock.until(async () => (await said(bob, ALICE)).length === 1);
  const picture = { sender: ALICE.id, timestamp };
  await clock.run(bob.conversation(ALICE.id).setTimer(AFTER_SEND));
  await clock.run(bob.conversation(ALICE.id).tellSaved(picture));
  await clock.run(bob.conversation(ALICE.id).tellSaved(picture, 'screenshot'));
  await expect(bob.conversation(ALICE.id).tellSaved({ ...picture, timestamp: 5 })).rejects.toMatchObject({
    code: 'not_found',
  });
  await clock.until(async () => (await notices(phone, BOB)).length === 3);
  const kinds = (await notices(phone, BOB)).map(({ notice: { kind } }) => kind);
  expect(kinds).toEqual(['timer', 'media_saved', 'screenshot']);
  // They disappear too, after they were read.
  const [, saved] = (await phone.conversation(BOB.id).history()).filter(({ notice }) => notice !== undefined);
  expect(saved).toMatchObject({ sender: BOB.id, text: '', timer: { mode: 'after_read', seconds: 600 } });
  const given: string[] = [];
  void (async () => {
    for await (const { text } of phone.messages()) given.push(text);
  })();
  await clock.run(bob.conversation(ALICE.id).send('hello'));
  await clock.until(() => given.length > 0);
  expect(given).toEqual(['hello']);
});
