// SPDX-License-Identifier: MIT
// Stories of accounts on a network in memory, in virtual time.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import { Client, type ClientOptions } from '../src/client.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import type { StoredMessage } from '../src/storage/storage.ts';
import { FakeNetwork, type FakeNetworkOptions } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

/** A network, its time, and clients on it. */
class World {
  readonly clock = new TestClock();
  readonly network: FakeNetwork;
  readonly clients: Client[] = [];
  readonly errors: string[][] = [];

  constructor(options: FakeNetworkOptions = {}) {
    this.network = new FakeNetwork(this.clock, options);
  }

  async open(account: Account, options: Partial<ClientOptions> & { seed?: number } = {}): Promise<Client> {
    const env = testEnv(this.clock, options.seed ?? this.clients.length + 1);
    this.errors.push(env.errors);
    const client = await this.clock.run(
      Client.open({
        account,
        network: { preset: { ...NETWORKS.local, seeds: [{ url: this.network.seedUrl }] } },
        storage: new MemoryStorage(),
        transport: this.network,
        env,
        ...options,
      }),
    );
    this.clients.push(client);
    return client;
  }
}

let world: World;
afterEach(async () => {
  for (const client of world.clients) await world.clock.run(client.close());
  expect(world.errors.flat()).toEqual([]);
});

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

function collect(client: Client): StoredMessage[] {
  const messages: StoredMessage[] = [];
  client.on('message', (message) => messages.push(message));
  return messages;
}

test('a message goes from one account to another and is stored by the whole swarm', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  const sent = await clock.run(alice.conversation(BOB.id).send('hello Bob'));
  expect(sent).toMatchObject({ stored: 7, of: 7 });
  expect(new Set(sent.signers)).toEqual(new Set(network.swarm(BOB.id).map((node) => node.ed25519Hex)));
  await clock.until(() => arrived.length > 0);
  expect(arrived).toEqual([
    {
      sender: ALICE.id,
      timestamp: sent.timestamp,
      conversation: ALICE.id,
      text: 'hello Bob',
      state: 'received',
      hash: sent.hash,
      handled: false,
    },
  ]);
  await clock.pass(20_000);
  expect(arrived).toHaveLength(1);
});
