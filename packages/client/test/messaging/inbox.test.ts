// SPDX-License-Identifier: MIT
// The order of messages is alike on all devices: whatever the order in which members tell them, in whatever pieces, how
// often, and under how many seals.
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { encodeContent } from '@allium/protocol/message/content';
import { encryptMessage } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import type { RetrievedMessage } from '@allium/protocol/storage/responses';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Contacts } from '../../src/messaging/contacts.ts';
import { Inbox } from '../../src/messaging/inbox.ts';
import { Settings } from '../../src/messaging/settings.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { StoredMessage } from '../../src/storage/storage.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const CAROL = Account.fromSeed(new Uint8Array(16).fill(3));
const NOW = 1_795_000_000_000;
const YEAR_MS = 365 * 24 * 3_600_000;

interface Sealing {
  readonly sender: Account;
  readonly timestamp: number;
  readonly text: string;
  /** When it was stored; default: when it was sent. */
  readonly storedAt?: number;
  /** Bob's own copy of what he sent there. */
  readonly syncTarget?: AccountId;
}

function seal({ sender, timestamp, text, storedAt = timestamp, syncTarget }: Sealing): RetrievedMessage {
  const data = encryptMessage({
    content: encodeContent({
      dataMessage: { body: text, ...(syncTarget !== undefined && { syncTarget }) },
      sigTimestamp: timestamp,
    }),
    sender,
    recipient: BOB.id,
    timestamp,
  });
  const hash = messageHashText(parseAccountPubkey(BOB.id).bytes, 0, data);
  return { hash, timestamp: storedAt, expiration: storedAt + 14 * 86_400_000, data };
}

/** One device of Bob: what it was told by members of his swarm. */
class Device {
  readonly storage = new MemoryStorage();
  readonly shown: StoredMessage[] = [];
  readonly #inbox: Inbox;
  readonly #seen = new Set<string>();

  private constructor(contacts: Contacts, settings: Settings) {
    const env = testEnv(new TestClock());
    this.#inbox = new Inbox({
      account: BOB,
      storage: this.storage,
      env,
      contacts,
      settings,
      now: () => env.clock.now(),
      isErased: () => false,
      isBeforeLink: () => false,
      receipts: (recipient) => ({ record: { kind: 'notice', key: recipient, value: {} }, taken: () => {} }),
      onMessage: (message) => this.shown.push(message),
      onMarked: () => {},
      onRequest: () => {},
      deletion: ([hash]) => ({ record: { kind: 'notice', key: hash!, value: {} }, taken: () => {} }),
      onAccepted: () => {},
      shortening: ([first]) => ({ record: { kind: 'notice', key: first!.hash, value: {} }, taken: () => {} }),
      readTo: async () => undefined,
      onTyping: () => {},
    });
  }

  static async start(): Promise<Device> {
    const storage = new MemoryStorage();
    return new Device(await Contacts.load(storage, BOB.id), await Settings.load(storage));
  }

  async told(messages: readonly RetrievedMessage[]): Promise<void> {
    const fresh: RetrievedMessage[] = [];
    const retold: RetrievedMessage[] = [];
    for (const message of messages) {
      (this.#seen.has(message.hash) ? retold : fresh).push(message);
      this.#seen.add(message.hash);
    }
    const { changes, onWritten } = await this.#inbox.take({ fresh, retold });
    await this.storage.write(changes ?? {});
    onWritten?.();
  }

  async texts(conversation: AccountId): Promise<string[]> {
    return (await this.storage.history(conversation, { limit: 1_000 })).map(({ text }) => text);
  }
}

test('three devices that are told in different orders show one order', async () => {
  const copy = (timestamp: number, text: string) =>
    seal({ sender: BOB, timestamp, text, syncTarget: ALICE.id });
  // Two seals of one message, with the hash of another one of the same millisecond between them.
  const twice: Sealing = { sender: ALICE, timestamp: NOW + 3, text: 'sealed twice' };
  const between = copy(NOW + 3, 'Bob 3');
  const seals: RetrievedMessage[] = [];
  while (seals.length < 2) {
    const next = seal(twice);
    if (next.hash < between.hash === (seals.length === 0)) seals.push(next);
  }
  const future = [0, 1, 2].map((i) =>
    seal({ sender: ALICE, timestamp: NOW + YEAR_MS - i, storedAt: NOW + i, text: `future ${i}` }),
  );
  const told = [
    ...[0, 1, 2].map((i) => seal({ sender: ALICE, timestamp: NOW + i, text: `Alice ${i}` })),
    // Sent by other devices of hers in one of these milliseconds, one of them to somebody else; sealed anew after a crash.
    ...['also Alice 1', 'also Alice 1', 'and Alice 1'].map((text) =>
      seal({ sender: ALICE, timestamp: NOW + 1, text }),
    ),
    seal({ sender: BOB, timestamp: NOW + 1, text: 'Bob to Carol', syncTarget: CAROL.id }),
    // In the same milliseconds as Alice's.
    ...[0, 1, 2].map((i) => copy(NOW + i, `Bob ${i}`)),
    between,
    ...seals,
    // Clocks that are years ahead, stored among the others.
    ...future,
    seal({ sender: CAROL, timestamp: NOW, text: 'Carol' }),
  ];
  // Members that got one of them by another store tell another time.
  const all = [...told, { ...future[0]!, timestamp: NOW + 2 }];
  const first = await Device.start();
  await first.told(all);
  const expected = await first.texts(ALICE.id);
  expect(expected).toHaveLength(13);
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
      fc.shuffledSubarray(all),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 }),
      async (order, again, sizes) => {
        const device = await Device.start();
        const rest = [...order, ...again];
        for (let i = 0; rest.length > 0; i++) await device.told(rest.splice(0, sizes[i % sizes.length]));
        expect(await device.texts(ALICE.id)).toEqual(expected);
        expect(await device.texts(CAROL.id)).toEqual(['Carol', 'Bob to Carol']);
        expect(device.shown.map(({ text }) => text).sort()).toEqual(
          [...expected, 'Carol', 'Bob to Carol'].sort(),
        );
      },
    ),
    { numRuns: 40 },
  );
});

test('a sender whose clock is ahead does not stay on top: the time of storing counts', async () => {
  const device = await Device.start();
  await device.told([
    seal({ sender: ALICE, timestamp: NOW + YEAR_MS, storedAt: NOW, text: 'from the future' }),
    seal({ sender: ALICE, timestamp: NOW + 60_000, text: 'a minute later' }),
    // What nodes tolerate is no reason to doubt the sender.
    seal({ sender: ALICE, timestamp: NOW + 130_000, storedAt: NOW + 120_000, text: 'ten seconds ahead' }),
    seal({ sender: ALICE, timestamp: NOW + 125_000, text: 'in between' }),
  ]);
  expect(await device.texts(ALICE.id)).toEqual([
    'from the future',
    'a minute later',
    'in between',
    'ten seconds ahead',
  ]);
  expect(await device.storage.message(ALICE.id, NOW + YEAR_MS)).toMatchObject({ sortTimestamp: NOW });
});

test('a member that lies about the time of storing is put right by another one', async () => {
  const device = await Device.start();
  const honest = [0, 1, 2].map((i) => seal({ sender: ALICE, timestamp: NOW + i, text: `${i}` }));
  await device.told(
    honest.map((message, i) => (i === 2 ? { ...message, timestamp: NOW - YEAR_MS } : message)),
  );
  expect(await device.texts(ALICE.id)).toEqual(['2', '0', '1']);
  await device.told(honest);
  expect(await device.texts(ALICE.id)).toEqual(['0', '1', '2']);
  expect(device.shown).toHaveLength(3);
});
