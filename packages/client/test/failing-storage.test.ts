// SPDX-License-Identifier: MIT
// A storage whose writes fail now and then: nothing is lost, nothing comes twice, the rest goes on.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import { MemoryStorage } from '../src/storage/memory.ts';
import { failing } from './archive/support.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());
const [ALICE, BOB] = [1, 2].map((byte) => Account.fromSeed(new Uint8Array(16).fill(byte))) as [
  Account,
  Account,
];

test.each([
  [2, false],
  [3, true],
])(
  'who receives with a storage whose every %ith write fails (late: %s) has every message once',
  async (every, late) => {
    world = new World({}, { pollEveryMs: 3_000 });
    const alice = await world.open(ALICE);
    const storage = new MemoryStorage();
    const bob = await world.open(BOB, { storage });
    await world.clock.run(bob.conversation(ALICE.id).approve());
    await world.clock.run(bob.close());
    const face = failing(storage.reopen(), every, late);
    const again = await world.open(BOB, { storage: face });
    const shown: string[] = [];
    again.on('message', ({ text }) => shown.push(text));
    const texts = Array.from({ length: 12 }, (_, at) => `message ${at}`);
    for (const text of texts) {
      await world.clock.run(alice.conversation(BOB.id).send(text));
      await world.clock.pass(4_000);
    }
    await world.clock.until(
      async () => (await storage.history(ALICE.id, { limit: 100 })).length === texts.length,
      120_000,
    );
    const kept = (await storage.history(ALICE.id, { limit: 100 })).map(({ text }) => text);
    expect(kept).toEqual(texts);
    expect(face.failures).toBeGreaterThan(0);
    expect(new Set(shown).size).toBe(shown.length);
    // Each failure is told, and nothing else went wrong.
    const told = world.errors.splice(0).flat();
    expect(told.length).toBeGreaterThan(0);
    for (const line of told) expect(line).toContain('no space is left');
  },
);
