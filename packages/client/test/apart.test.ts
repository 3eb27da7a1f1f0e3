// SPDX-License-Identifier: MIT
// Accounts on one machine that nobody may join by when they do what.
import { Account } from '@allium/protocol/account';
import type { Transport } from '@allium/protocol/env';
import { afterEach, expect, test } from 'vitest';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

test('accounts that lose the network together come back at different times', async () => {
  world = new World();
  const { clock, network } = world;
  const tries: number[][] = [];
  const open = async (byte: number) => {
    const times: number[] = [];
    tries.push(times);
    const transport: Transport = {
      request: (request) => {
        times.push(clock.now());
        return network.request(request);
      },
    };
    const client = await world.open(Account.fromSeed(new Uint8Array(16).fill(byte)), { transport });
    await clock.run(client.ready());
    return client;
  };
  const clients = [await open(1), await open(2)];
  await clock.pass(60_000);
  network.isOffline = true;
  await clock.pass(10 * 60_000);
  for (const times of tries) times.length = 0;
  network.isOffline = false;
  await clock.until(() => clients.every(({ status }) => status === 'online'), 10 * 60_000);
  const [first, second] = tries.map((times) => times[0]!);
  expect(Math.abs(first! - second!)).toBeGreaterThan(100);
});
