// SPDX-License-Identifier: MIT
// A program that is killed anywhere while it sends: at each of its writes, before and after, and while swarms have what they
// were given and nobody has heard of it. The message arrives once, and lies in each swarm once.
import { Account } from '@allium/protocol/account';
import { decryptMessage } from '@allium/protocol/message/encryption-v1';
import { afterEach, expect, test } from 'vitest';
import { MemoryStorage } from '../src/storage/memory.ts';
import { type Changes, type Storage, StorageError, type StoredMessage } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

/** Nothing is written any more from the `at`th write on that `concerns`; `late`: that one still is. */
function dying(storage: Storage, concerns: (changes: Changes) => boolean, at: number, late: boolean) {
  let writes = 0;
  const state = { isDead: false };
  const gone = () => Promise.reject(new StorageError('closed', 'the process is gone'));
  const face = new Proxy(storage, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name === 'close') return async () => undefined;
      if (name === 'write') {
        return async (changes: Changes) => {
          if (state.isDead) return gone();
          if (!concerns(changes) || ++writes < at) return target.write(changes);
          if (late) await target.write(changes);
          state.isDead = true;
          return gone();
        };
      }
      return (...given: unknown[]) => (state.isDead ? gone() : value.apply(target, given));
    },
  });
  return { face, state };
}

/** What a swarm keeps of a message, by its data. */
function kept(account: Account, timestamp: number): number {
  const all = world.network.swarm(account.id).flatMap((node) => node.inbox(account.id));
  const found = all.filter(({ data }) => {
    const incoming = decryptMessage(data, account);
    return incoming.timestamp === timestamp && incoming.content.dataMessage !== undefined;
  });
  return new Set(found.map(({ hash }) => hash)).size;
}

const isOfSending = ({ messages = [], seen = [] }: Changes) => messages.length + seen.length > 0;

test.each([
  [false, true],
  [true, false],
])(
  'a message is sent once whichever write is the last (after it: %s, tried again and again: %s)',
  async (late, keepTrying) => {
    for (let at = 1; ; at++) {
      world = new World({}, { pollEveryMs: 3_000 });
      const { clock, network } = world;
      network.swarmOf.set(ALICE.id, 0).set(BOB.id, 1);
      const storage = new MemoryStorage();
      const bob = await world.open(BOB);
      const arrived: StoredMessage[] = [];
      bob.on('message', (message) => arrived.push(message));
      const { face, state } = dying(storage, isOfSending, at, late);
      const alice = await world.open(ALICE, { storage: face, receive: false });
      await clock.run(alice.ready());
      const sending = alice.conversation(BOB.id).send('once', { keepTrying });
      sending.catch(() => undefined);
      await clock.pass(5_000);
      await clock.run(alice.close());
      for (const told of world.errors) told.length = 0;
      const again = await world.open(ALICE, { storage: storage.reopen(), receive: false });
      await clock.pass(60_000);
      const history = await again.conversation(BOB.id).history();
      // Where the first write was never made there never was a message.
      expect(history.map(({ text }) => text)).toEqual(at === 1 && !late ? [] : ['once']);
      for (const { timestamp, state: end, copyPending } of history) {
        expect({ end, copyPending }).toEqual({ end: 'sent', copyPending: false });
        expect([at, kept(BOB, timestamp), kept(ALICE, timestamp)]).toEqual([at, 1, 1]);
      }
      expect(arrived.map(({ text }) => text)).toEqual(history.map(({ text }) => text));
      const { isDead } = state;
      await world.end();
      if (!isDead) {
        expect(at).toBeGreaterThan(3);
        return;
      }
    }
  },
);
