// SPDX-License-Identifier: MIT
// The client as a browser has it: libsodium, IndexedDB.
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import { Client } from '../src/client.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { IndexedDbStorage } from '../src/storage/indexeddb.ts';
import { FakeNetwork } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

test('sends and receives with IndexedDB, and goes on after a restart', async () => {
  const clock = new TestClock();
  const network = new FakeNetwork(clock);
  const names = [`alice-${Math.random()}`, `bob-${Math.random()}`] as const;
  const accounts = [Account.create(), Account.create()] as const;
  const open = async (index: 0 | 1) =>
    Client.open({
      account: accounts[index],
      network: { preset: { ...NETWORKS.local, seeds: [{ url: network.seedUrl }] } },
      storage: await IndexedDbStorage.open(names[index]),
      transport: network,
      env: testEnv(clock, index + 1),
    });
  const alice = await open(0);
  let bob = await open(1);
  const first = async () => {
    for await (const message of bob.messages()) return message.text;
  };
  await clock.run(alice.conversation(bob.id).send('one'));
  expect(await clock.run(first())).toBe('one');
  await clock.run(bob.close());
  await clock.run(alice.conversation(bob.id).send('two'));
  bob = await open(1);
  expect(await clock.run(first())).toBe('two');
  const history = await bob.conversation(alice.id).history();
  expect(history.map((message) => message.text)).toEqual(['one', 'two']);
  await clock.run(Promise.all([alice.close(), bob.close()]));
  for (const name of names) await IndexedDbStorage.delete(name);
});
