// SPDX-License-Identifier: MIT
// Edits between people and on all devices of each, whatever comes first; and how other clients see them.
import { Account } from '@allium/protocol/account';
import { type Content, encodeContent } from '@allium/protocol/message/content';
import { decryptMessage, encryptMessage } from '@allium/protocol/message/encryption-v1';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import type { StoredMessage } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const EVE = Account.fromSeed(new Uint8Array(16).fill(3));

async function friends(): Promise<{ phone: Client; laptop: Client; bob: Client }> {
  world = new World({}, { pollEveryMs: 5_000 });
  return world.friends(ALICE, BOB);
}

async function only(client: Client, other: Account): Promise<StoredMessage | undefined> {
  const all = await client.conversation(other.id).history();
  expect(all.length).toBeLessThanOrEqual(1);
  return all[0];
}

/** Alice's own program sends Bob something. */
function forge(sender: Account, content: Content, timestamp: number): void {
  const bytes = encodeContent({ ...content, sigTimestamp: timestamp });
  world.network.deliver(BOB.id, encryptMessage({ content: bytes, sender, recipient: BOB.id, timestamp }));
}

test('an edit is a new version on all devices, with its history; other clients show it as an answer', async () => {
  const { phone, laptop, bob } = await friends();
  const { clock, network } = world;
  const changed: string[] = [];
  const given: string[] = [];
  bob.on('changed', ({ text }) => changed.push(text));
  bob.on('message', ({ text }) => given.push(text));
  const { timestamp } = await clock.run(phone.conversation(BOB.id).send('teh plan'));
  await clock.until(() => given.length === 1);
  await clock.run(phone.conversation(BOB.id).edit(timestamp, 'the plan'));
  await clock.run(phone.conversation(BOB.id).edit(timestamp, 'the plan'));
  for (const [client, other] of [
    [phone, BOB],
    [laptop, BOB],
    [bob, ALICE],
  ] as const) {
    await clock.until(async () => (await only(client, other))?.text === 'the plan');
    expect(await only(client, other)).toMatchObject({
      original: 'teh plan',
      marks: { edits: [{ text: 'the plan' }] },
    });
  }
  expect([given, changed]).toEqual([['teh plan'], ['the plan']]);
  await clock.until(async () => (await only(laptop, BOB)) !== undefined);
  await clock.run(laptop.conversation(BOB.id).edit(timestamp, 'the better plan'));
  for (const [client, other] of [
    [phone, BOB],
    [bob, ALICE],
  ] as const) {
    await clock.until(async () => (await only(client, other))?.text === 'the better plan');
    expect((await only(client, other))?.marks?.edits).toHaveLength(2);
  }
  const asOthersSeeIt = network
    .swarm(BOB.id)[0]!
    .inbox(BOB.id)
    .map(({ data }) => decryptMessage(data, BOB).content.dataMessage)
    .filter((message) => message?.edit !== undefined);
  expect(asOthersSeeIt[0]).toMatchObject({
    body: '✏️ the plan',
    quote: { id: timestamp, author: ALICE.id },
  });
  expect(await bob.conversation(ALICE.id).unread()).toBe(1);
  expect((await bob.search({ text: 'better', limit: 5 })).hits.map(({ snippet }) => snippet)).toEqual([
    'the better plan',
  ]);
  expect((await bob.search({ text: 'teh', limit: 5 })).hits).toEqual([]);
});

test('only the author edits, for a day, and what is deleted stays deleted', async () => {
  const { phone, bob } = await friends();
  const { clock } = world;
  const conversation = phone.conversation(BOB.id);
  const { timestamp } = await clock.run(conversation.send('mine'));
  await clock.until(async () => (await only(bob, ALICE)) !== undefined);
  const edit = (text: string, of = timestamp): Content => ({
    dataMessage: { body: `✏️ ${text}`, edit: { timestamp: of } },
  });
  forge(EVE, edit('Eve was here'), clock.trueNow());
  await clock.pass(20_000);
  expect((await only(bob, ALICE))?.text).toBe('mine');
  // Before it was said, and long after: what it says is not lost, but nothing is replaced.
  forge(ALICE, edit('too late'), timestamp + 24 * 3_600_000 + 1);
  forge(ALICE, edit('too early'), timestamp - 5);
  await clock.until(async () => (await bob.conversation(ALICE.id).history()).length === 3);
  expect((await bob.conversation(ALICE.id).history()).map(({ text }) => text)).toEqual(
    expect.arrayContaining(['✏️ too late', '✏️ too early', 'mine']),
  );
  for (const [text, code] of [
    ['', 'empty'],
    ['x'.repeat(2_001), 'too_long'],
  ] as const) {
    await expect(conversation.edit(timestamp, text)).rejects.toMatchObject({ code });
  }
  await expect(conversation.edit(5, 'x')).rejects.toMatchObject({ code: 'not_found' });
  await expect(phone.noteToSelf().edit(timestamp, 'x')).rejects.toMatchObject({ code: 'not_found' });
  for (let i = 0; i < 20; i++) await conversation.edit(timestamp, `version ${i}`);
  await expect(conversation.edit(timestamp, 'once more')).rejects.toMatchObject({ code: 'too_late' });
  const other = await clock.run(conversation.send('another'));
  await clock.run(conversation.deleteForEveryone(other.timestamp));
  await expect(conversation.edit(other.timestamp, 'x')).rejects.toMatchObject({ code: 'not_found' });
  forge(ALICE, edit('it is back', other.timestamp), clock.trueNow());
  await clock.pass(60_000);
  const texts = (await bob.conversation(ALICE.id).history()).map(({ text }) => text);
  expect(texts).toContain('version 19');
  expect(texts).not.toContain('it is back');
});

test('after a day nothing is edited any more', async () => {
  world = new World();
  const { clock } = world;
  const alice = await world.open(ALICE, { receive: false });
  const { timestamp } = await clock.run(alice.noteToSelf().send('a note'));
  await alice.noteToSelf().edit(timestamp, 'today');
  await clock.pass(24 * 3_600_000);
  await expect(alice.noteToSelf().edit(timestamp, 'tomorrow')).rejects.toMatchObject({ code: 'too_late' });
});

test('message, edits and deletion end alike in any order, also those that come before the message', async () => {
  const { bob } = await friends();
  const { clock } = world;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(3), { maxLength: 4 }),
      fc.boolean(),
      fc.infiniteStream(fc.nat(1_000)),
      async (edits, isDeleted, random) => {
        const sent = clock.trueNow();
        const timestamp = sent - 60_000;
        const contents: [Content, number][] = [
          [{ dataMessage: { body: 'first' } }, timestamp],
          ...edits.map((n, i): [Content, number] => [
            { dataMessage: { body: `✏️ v${n}`, edit: { timestamp } } },
            timestamp + 100 + 100 * n + i,
          ]),
        ];
        if (isDeleted) contents.push([{ unsendRequest: { timestamp, author: ALICE.id } }, timestamp + 900]);
        const order = contents
          .map((content) => ({ content, at: random.next().value as number }))
          .sort((a, b) => a.at - b.at);
        for (const { content, at } of order) {
          forge(ALICE, ...content);
          if (at % 3 === 0) await clock.pass(6_000);
        }
        await clock.pass(12_000);
        const [message, ...more] = (await bob.conversation(ALICE.id).history()).filter(
          (m) => m.timestamp >= timestamp,
        );
        expect(more).toEqual([]);
        const newest = edits.length === 0 ? 'first' : `v${Math.max(...edits)}`;
        expect(message?.text).toBe(isDeleted ? '' : newest);
        await clock.run(bob.conversation(ALICE.id).deleteForMe([message!]));
      },
    ),
    { numRuns: 15 },
  );
});
