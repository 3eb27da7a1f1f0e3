// SPDX-License-Identifier: MIT
// Messages, reactions, deletions and receipts that arrive in any order, in any batches: all devices end equal.
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { fromBase64, toBase64 } from '@allium/protocol/bytes';
import { type Content, decodeContent, encodeContent } from '@allium/protocol/message/content';
import { encryptMessage } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import type { RetrievedMessage } from '@allium/protocol/storage/responses';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Contacts } from '../../src/messaging/contacts.ts';
import { effectsOf } from '../../src/messaging/effects.ts';
import { Inbox } from '../../src/messaging/inbox.ts';
import { Settings } from '../../src/messaging/settings.ts';
import { isEmoji, mentionsIn } from '../../src/messaging/text.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const EVE = Account.fromSeed(new Uint8Array(16).fill(3));
const START = 1_795_000_000_000;

function seal(sender: Account, given: Content, timestamp: number): RetrievedMessage {
  const content: Content =
    sender === BOB && given.dataMessage !== undefined
      ? { ...given, dataMessage: { ...given.dataMessage, syncTarget: ALICE.id } }
      : given;
  return sealBytes(sender, encodeContent({ ...content, sigTimestamp: timestamp }), timestamp);
}

function sealBytes(sender: Account, content: Uint8Array, timestamp: number): RetrievedMessage {
  const data = encryptMessage({ content, sender, recipient: BOB.id, timestamp });
  const hash = messageHashText(parseAccountPubkey(BOB.id).bytes, 0, data);
  return { hash, timestamp, expiration: timestamp + 14 * 86_400_000, data };
}

async function device() {
  const env = testEnv(new TestClock());
  const storage = new MemoryStorage();
  const contacts = await Contacts.load(storage, BOB.id);
  contacts.change(ALICE.id, { approved: true });
  const settings = await Settings.load(storage);
  await settings.change({ readReceipts: true });
  const nothing = () => ({ record: { kind: 'none', key: '', value: undefined }, taken: () => {} });
  const inbox = new Inbox({
    account: BOB,
    storage,
    env,
    contacts,
    settings,
    now: () => env.clock.now(),
    receipts: nothing,
    deletion: nothing,
    onMessage: () => {},
    onMarked: () => {},
    onRequest: () => {},
    onAccepted: () => {},
    shortening: ([first]) => ({ record: { kind: 'notice', key: first!.hash, value: {} }, taken: () => {} }),
    readTo: async () => undefined,
    isErased: () => false,
    isBeforeLink: () => false,
    onTyping: () => {},
  });
  return {
    storage,
    inbox,
    async take(fresh: readonly RetrievedMessage[]) {
      const { changes, onWritten } = await inbox.take({ fresh, retold: [] });
      await storage.write(changes ?? {});
      onWritten?.();
    },
  };
}

const who = fc.constantFrom(ALICE, BOB);
const target = fc.record({ by: who, at: fc.integer({ min: 1, max: 3 }) });
const act = fc.oneof(
  { weight: 3, arbitrary: target.map(({ by, at }) => ({ kind: 'text' as const, by, at })) },
  fc.record({
    kind: fc.constant('react' as const),
    by: who,
    to: target,
    emoji: fc.constantFrom('👍', '🧅'),
    on: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('unsend' as const), by: who, to: target }),
  fc.record({
    kind: fc.constant('receipt' as const),
    at: fc.integer({ min: 1, max: 3 }),
    read: fc.boolean(),
  }),
);

type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

function sealAct(given: Act, time: number): RetrievedMessage {
  switch (given.kind) {
    case 'text':
      return seal(given.by, { dataMessage: { body: `text ${given.at}` } }, START + given.at);
    case 'react': {
      const { by, to, emoji, on } = given;
      const reaction = { id: START + to.at, author: to.by.id, emoji, action: on ? 0 : 1 } as const;
      return seal(by, { dataMessage: { reaction } }, time);
    }
    case 'unsend':
      return seal(
        given.by,
        { unsendRequest: { author: given.to.by.id, timestamp: START + given.to.at } },
        time,
      );
    case 'receipt':
      return seal(
        ALICE,
        { receiptMessage: { type: given.read ? 1 : 0, timestamp: [START + given.at] } },
        time,
      );
  }
}

test('devices that hear of the same things in different orders and batches end equal', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(act, {
        maxLength: 14,
        selector: (a) => (a.kind === 'text' ? JSON.stringify([a.by === BOB, a.at]) : a),
      }),
      fc.infiniteStream(fc.nat(1_000)),
      async (acts, chance) => {
        const contents = acts.map((given, i) => sealAct(given, START + 1_000 + i));
        const ends = [];
        for (let i = 0; i < 2; i++) {
          const { take, storage } = await device();
          const order = contents
            .map((content) => ({ content, place: chance.next().value }))
            .sort((a, b) => a.place - b.place)
            .map(({ content }) => content);
          while (order.length > 0) await take(order.splice(0, 1 + (chance.next().value % 4)));
          const pending = (await storage.records('pending')).map(({ key, value }) => ({ key, value }));
          const all = await storage.history(ALICE.id, { limit: 100 });
          // What the program was given is each device's own matter.
          ends.push({ history: all.map(({ handled: _, ...message }) => message), pending });
        }
        expect(ends[0]).toEqual(ends[1]);
        const texts = new Set(contents.filter((_, i) => acts[i]!.kind === 'text')).size;
        expect(ends[0]!.history).toHaveLength(texts);
      },
    ),
    { numRuns: 40 },
  );
});

test('a deletion that comes first deletes', async () => {
  const { take, storage } = await device();
  await take([seal(ALICE, { unsendRequest: { author: ALICE.id, timestamp: START + 1 } }, START + 5)]);
  expect(await storage.records('pending')).toHaveLength(1);
  await take([seal(ALICE, { dataMessage: { body: 'secret' } }, START + 1)]);
  expect(await storage.message(ALICE.id, START + 1)).toMatchObject({ text: '', handled: true });
  expect(await storage.records('pending')).toEqual([]);
});

test('what a stranger did to their own message waits for it too, but not much of it and nothing else', async () => {
  const { take, storage } = await device();
  const reaction = (id: number, author = EVE.id) => ({
    dataMessage: { reaction: { author, id: START + id, emoji: '🧅', action: 0 as const } },
  });
  await take([
    seal(EVE, reaction(1), START + 50),
    seal(EVE, { unsendRequest: { author: EVE.id, timestamp: START + 2 } }, START + 51),
    seal(EVE, reaction(3, ALICE.id), START + 52),
  ]);
  expect(await storage.records('pending')).toHaveLength(2);
  await take([1, 2].map((at) => seal(EVE, { dataMessage: { body: `text ${at}` } }, START + at)));
  expect((await storage.message(EVE.id, START + 1))?.marks?.reactions).toHaveLength(1);
  expect(await storage.message(EVE.id, START + 2)).toMatchObject({ text: '', handled: true });
  expect(await storage.records('pending')).toEqual([]);
  for (const first of [100, 200]) {
    await take(Array.from({ length: 30 }, (_, i) => seal(EVE, reaction(first + i), START + first + i)));
    expect(await storage.records('pending')).toHaveLength(10);
  }
});

test('what one contact tells of messages that are not there takes no place of what others tell', async () => {
  const { storage, take } = await device();
  // Eve is accepted: we wrote to her.
  const hello: Content = { dataMessage: { body: 'hello', syncTarget: EVE.id } };
  await take([sealBytes(BOB, encodeContent({ ...hello, sigTimestamp: START + 1 }), START + 1)]);
  const unknown = Array.from({ length: 900 }, (_, i) => START + 1_000 + i);
  await take([seal(ALICE, { receiptMessage: { type: 0, timestamp: unknown } }, START + 50)]);
  const edits = Array.from({ length: 150 }, (_, i) => ({
    dataMessage: { body: `✏️ ${i}`, edit: { timestamp: START + 5_000 + i } },
  }));
  await take(edits.map((edit, i) => seal(ALICE, edit, START + 6_000 + i)));
  expect(await storage.records('pending')).toHaveLength(100);
  const reaction = { author: EVE.id, id: START + 2, emoji: '🧅', action: 0 as const };
  await take([seal(EVE, { dataMessage: { reaction } }, START + 60)]);
  await take([seal(EVE, { dataMessage: { body: 'late' } }, START + 2)]);
  expect((await storage.message(EVE.id, START + 2))?.marks?.reactions).toHaveLength(1);
});

test('nothing was delivered or read after the swarm was told of it, whatever the clock of the other side says', () => {
  const absurd = Number.MAX_SAFE_INTEGER;
  const content = { receiptMessage: { type: 1 as const, timestamp: [START, START + 50] } };
  const incoming = { sender: ALICE.id, timestamp: absurd, storedAt: START + 10, content };
  const marks = effectsOf(incoming, BOB.id, true).map((effect) => effect.marks);
  expect(marks).toEqual([
    { deliveredAt: START + 10, readAt: START + 10 },
    // Not before it was sent.
    { deliveredAt: START + 50, readAt: START + 50 },
  ]);
});

test('no content of anybody makes more than a thousand effects or throws', () => {
  const id = fc.constantFrom<string>(ALICE.id, BOB.id, EVE.id, '', 'x', `05${'0'.repeat(63)}`);
  const time = fc.constantFrom(0, 1, START, Number.MAX_SAFE_INTEGER);
  const content: fc.Arbitrary<Content> = fc.record(
    {
      unsendRequest: fc.record({ author: id, timestamp: time }),
      receiptMessage: fc.record({
        type: fc.constantFrom(0 as const, 1 as const),
        timestamp: fc.array(fc.nat(), { maxLength: 3_000, size: 'max' }),
      }),
      dataMessage: fc.record(
        {
          syncTarget: id,
          quote: fc.record({ id: time, author: id }),
          reaction: fc.record({
            id: time,
            author: id,
            emoji: fc.string({ unit: 'binary', maxLength: 40 }),
            action: fc.constantFrom(0 as const, 1 as const),
          }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(content, fc.constantFrom<AccountId>(ALICE.id, BOB.id), time, (given, sender, timestamp) => {
      const incoming = { sender, timestamp, content: given } as Parameters<typeof effectsOf>[0];
      const effects = effectsOf(incoming, BOB.id, true);
      expect(effects.length).toBeLessThanOrEqual(1_000);
      for (const { author, marks, conversation } of effects) {
        if (marks.deletedAt !== undefined && sender !== BOB.id) expect(author).toBe(sender);
        if (sender !== BOB.id) expect(conversation).toBe(sender);
        for (const { by } of marks.reactions ?? []) expect(by).toBe(sender);
      }
    }),
    { numRuns: 200 },
  );
});

test('mentions and emoji are found', () => {
  const text = `hi @${ALICE.id}, @${BOB.id.toUpperCase().replace('05', '05')} and @${ALICE.id}; not @05ab or @${EVE.id}0`;
  expect(mentionsIn(text)).toEqual([ALICE.id, BOB.id]);
  expect(mentionsIn(`@${ALICE.id}`.repeat(10_000))).toEqual([ALICE.id]);
  for (const emoji of ['👍', '👍🏽', '❤️', '👨‍👩‍👧', '🇩🇪', '1️⃣', '☺']) expect(isEmoji(emoji)).toBe(true);
  for (const no of ['', 'a', '1', '👍👍', 'a👍', '👍a', ' ', '\u200d']) expect(isEmoji(no)).toBe(false);
});

test('contents that this client does not know are kept for one that does, up to a limit, and none of strangers', async () => {
  const { take, storage } = await device();
  const invitation = { dataMessage: { communityInvitation: { url: 'u', name: 'n' } } };
  await take([
    seal(ALICE, invitation, START + 1),
    seal(ALICE, {}, START + 2),
    seal(EVE, invitation, START + 3),
    seal(ALICE, { dataMessage: { body: 'text' } }, START + 4),
  ]);
  const kept = (await storage.records('kept')).map(
    ({ value }) => value as { timestamp: number; content: string },
  );
  expect(kept.map(({ timestamp }) => timestamp)).toEqual([START + 1, START + 2]);
  expect(decodeContent(fromBase64(kept[0]!.content))).toEqual({ ...invitation, sigTimestamp: START + 1 });
  const records = Array.from({ length: 1_000 }, (_, i) => ({ kind: 'kept', key: `${i}`, value: {} }));
  await storage.write({ records });
  await take([seal(ALICE, invitation, START + 5)]);
  expect(await storage.records('kept')).toHaveLength(1_002);
});

test('what a newer client said beside a text is kept with it, for as long as the text', async () => {
  const { take, storage } = await device();
  // Field 999 of Content, and of DataMessage.
  const unknown = [0xb8, 0x3e, 0x01];
  const said = encodeContent({ dataMessage: { body: 'vote' }, sigTimestamp: START });
  const outer = new Uint8Array([...said, ...unknown]);
  const body = new Uint8Array([0x0a, 0x02, 0x68, 0x69, ...unknown]);
  const inner = new Uint8Array([0x0a, body.length, ...body]);
  await take([
    sealBytes(EVE, outer, START),
    sealBytes(ALICE, inner, START + 1),
    seal(ALICE, { dataMessage: { body: 'plain' } }, START + 2),
    // Flags that this client does not know: not shown, and not lost.
    seal(ALICE, { dataMessage: { body: 'odd', flags: 64 } }, START + 3),
  ]);
  expect(await storage.message(EVE.id, START)).toMatchObject({ text: 'vote', content: toBase64(outer) });
  expect(await storage.message(ALICE.id, START + 1)).toMatchObject({ text: 'hi', content: toBase64(inner) });
  expect(await storage.message(ALICE.id, START + 2)).not.toHaveProperty('content');
  expect(await storage.message(ALICE.id, START + 3)).toBeUndefined();
  expect(
    (await storage.records('kept')).map(({ value }) => (value as { timestamp: number }).timestamp),
  ).toEqual([START + 3]);
  await take([seal(ALICE, { unsendRequest: { author: ALICE.id, timestamp: START + 1 } }, START + 9)]);
  expect(await storage.message(ALICE.id, START + 1)).not.toHaveProperty('content');
});

test('what an older version kept is read after an upgrade, once; what is still unknown stays', async () => {
  const { storage, inbox } = await device();
  const kept = (content: Content, timestamp: number, sender = ALICE.id) => {
    const bytes = encodeContent({ ...content, sigTimestamp: timestamp });
    const value = { sender, timestamp, storedAt: timestamp, hash: `h${timestamp}`, content: toBase64(bytes) };
    return { kind: 'kept', key: `${timestamp} h${timestamp}`, value };
  };
  const picture = {
    id: 1n,
    contentType: 'image/png',
    fileName: 'x.png',
    url: 'http://files.test/file/1',
    key: new Uint8Array(32),
  };
  const invitation = { dataMessage: { communityInvitation: { url: 'u', name: 'n' } } };
  await storage.write({
    records: [
      kept({ dataMessage: { attachments: [picture] } }, START + 1),
      kept(invitation, START + 2),
      kept({ dataMessage: { attachments: [picture] } }, START + 3, EVE.id),
      {
        kind: 'kept',
        key: 'broken',
        value: { ...kept({}, START + 4).value, content: toBase64(new Uint8Array([255])) },
      },
    ],
  });
  await inbox.reread();
  expect(
    (await storage.history(ALICE.id, { limit: 9 })).map(({ timestamp, attachments }) => [
      timestamp,
      attachments?.length,
    ]),
  ).toEqual([[START + 1, 1]]);
  expect(await storage.message(EVE.id, START + 3)).toMatchObject({ hash: `h${START + 3}` });
  expect((await storage.records('kept')).map(({ key }) => key).sort()).toEqual(
    [`${START + 2} h${START + 2}`, 'broken'].sort(),
  );
  // Deleted since: it does not come back at the next start.
  await storage.write({
    removed: [{ sender: ALICE.id, timestamp: START + 1 }],
    records: [kept({ dataMessage: { body: 'x' } }, START + 5)],
  });
  await inbox.reread();
  expect(await storage.history(ALICE.id, { limit: 9 })).toEqual([]);
  expect(await storage.records('kept')).toHaveLength(3);
});

test('a message whose file was uploaded once more, and that was sent once more, is one message', async () => {
  const { take, storage } = await device();
  const file = (url: string, byte: number) => ({
    id: 1n,
    contentType: 'image/png',
    url: `http://filev2.getsession.org/file/${url}`,
    key: new Uint8Array(64).fill(byte),
    digest: new Uint8Array(32),
    size: 5,
  });
  const said = (url: string, byte: number): Content => ({ dataMessage: { attachments: [file(url, byte)] } });
  for (const content of [said('1', 1), said('2', 1), said('3', 2)]) await take([seal(ALICE, content, START)]);
  const shown = (await storage.history(ALICE.id, { limit: 9 })).map(
    ({ attachments }) => attachments?.[0]?.url,
  );
  expect(shown.sort()).toEqual([
    'http://filev2.getsession.org/file/1',
    'http://filev2.getsession.org/file/3',
  ]);
});

test('closed groups of old clients are ignored: what they say is no message of the person who says it', async () => {
  const { take, storage } = await device();
  // DataMessage with the fields 3 (group), 104 (closedGroupControlMessage); Content with 7 (configurationMessage).
  const raw = (...bytes: number[]) => new Uint8Array(bytes);
  const legacy = [
    raw(0x0a, 0x04, 0x1a, 0x02, 0x0a, 0x00), // group { id: '' }, no body
    raw(0x0a, 0x05, 0xc2, 0x06, 0x02, 0x08, 0x01), // closedGroupControlMessage { type: 1 }
    raw(0x3a, 0x02, 0x0a, 0x00), // configurationMessage
  ].map((content, i) => sealBytes(ALICE, content, START + i));
  await take(legacy);
  expect(await storage.conversations()).toEqual([]);
  expect(await storage.records('kept')).toEqual([]);
  // With a text: it was said to a group, not to us.
  await take([
    sealBytes(ALICE, raw(0x0a, 0x0a, 0x0a, 0x02, 0x68, 0x69, 0x1a, 0x04, 0x0a, 0x02, 0x67, 0x67), START + 9),
  ]);
  expect(await storage.conversations()).toEqual([]);
});
