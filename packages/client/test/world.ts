// SPDX-License-Identifier: MIT
// What stories of accounts begin with.
import type { Account } from '@allium/protocol/account';
import { loadFastHash } from '@allium/protocol/crypto';
import { expect } from 'vitest';
import { Client, type ClientOptions } from '../src/client.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import { FakeNetwork, type FakeNetworkOptions } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

/** A network, its time, and clients on it. */
export class World {
  readonly clock = new TestClock();
  readonly network: FakeNetwork;
  readonly clients: Client[] = [];
  readonly errors: string[][] = [];
  readonly #defaults: Partial<ClientOptions>;

  /** `defaults`: of all its clients. */
  constructor(options: FakeNetworkOptions = {}, defaults: Partial<ClientOptions> = {}) {
    this.#defaults = defaults;
    this.network = new FakeNetwork(this.clock, options);
  }

  async open(account: Account, options: Partial<ClientOptions> & { seed?: number } = {}): Promise<Client> {
    // What loads later does so in real time, while virtual years pass.
    await loadFastHash();
    const env = testEnv(this.clock, options.seed ?? this.clients.length + 1);
    this.errors.push(env.errors);
    const client = await this.clock.run(
      Client.open({
        account,
        network: { preset: { ...NETWORKS.local, seeds: [{ url: this.network.seedUrl }] } },
        storage: new MemoryStorage(),
        transport: this.network,
        env,
        ...this.#defaults,
        ...options,
      }),
    );
    this.clients.push(client);
    return client;
  }

  /** Two devices of one account, and another account; they have accepted each other. */
  async friends(alice: Account, other: Account): Promise<{ phone: Client; laptop: Client; bob: Client }> {
    const phone = await this.open(alice);
    const laptop = await this.open(alice);
    const bob = await this.open(other);
    for (const device of [phone, laptop]) await this.clock.run(device.conversation(other.id).approve());
    await this.clock.run(bob.conversation(alice.id).approve());
    return { phone, laptop, bob };
  }

  /** Closes all; no error may have been logged. */
  async end(): Promise<void> {
    for (const client of this.clients) await this.clock.run(client.close());
    expect(this.errors.flat()).toEqual([]);
  }
}
