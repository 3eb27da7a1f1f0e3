// SPDX-License-Identifier: MIT
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

test('an account removes all that its swarm keeps, and who did it is proven', async () => {
  world = new World({}, { pollEveryMs: 3_000 });
  const [ann, ben] = [1, 2].map((byte) => Account.fromSeed(new Uint8Array(16).fill(byte))) as [
    Account,
    Account,
  ];
  const alice = await world.open(ann);
  const kept = (account: Account) =>
    world.network.swarm(account.id).map((node) => node.inbox(account.id).length);
  await world.clock.run(alice.conversation(ben.id).send('hello'));
  await world.clock.run(alice.noteToSelf().send('to me'));
  await world.clock.run(alice.flush());
  expect(kept(ann).every((count) => count > 0)).toBe(true);
  const others = kept(ben);
  const erased = await world.clock.run(alice.eraseSwarm());
  expect(erased).toEqual({ confirmed: kept(ann).length, of: kept(ann).length });
  expect(kept(ann).every((count) => count === 0)).toBe(true);
  expect(kept(ben)).toEqual(others);
});
