// SPDX-License-Identifier: MIT
// The client as a browser has it: libsodium, IndexedDB.
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import { Client } from '../src/client.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { IndexedDbStorage } from '../src/storage/indexeddb.ts';
import { FakeNetwork } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

/** A database works in real time: so do network and client here. */
class RealTime extends TestClock {
  override now = () => Date.now();
  override trueNow = () => Date.now();
  override monotonic = () => performance.now();
  override after(ms: number, run: () => void): () => void {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  }
}

test('sends and receives with IndexedDB, and goes on after a restart', async () => {
  const clock = new RealTime();
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
  await alice.conversation(bob.id).send('one');
  expect(await first()).toBe('one');
  await bob.close();
  await alice.conversation(bob.id).send('two');
  bob = await open(1);
  expect(await first()).toBe('two');
  const history = await bob.conversation(alice.id).history();
  expect(history.map((message) => message.text)).toEqual(['one', 'two']);
  await Promise.all([alice.close(), bob.close()]);
  for (const name of names) await IndexedDbStorage.delete(name);
});
