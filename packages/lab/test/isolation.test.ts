// SPDX-License-Identifier: AGPL-3.0-or-later
// Several accounts in one process share nothing that an observer could join: who writes into which connection is told by the async context of each account.
import { AsyncLocalStorage } from 'node:async_hooks';
import net from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { openMany } from '@allium/client/node/open-many';
import { ProxyServer } from '@allium/net/testing/proxy-server';
import { Account } from '@allium/protocol/account';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Devnet } from '../src/devnet.ts';

let devnet: Devnet;
beforeAll(async () => {
  devnet = await Devnet.start();
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => devnet.stop());

/** The next text that a client receives. */
async function nextText(client: Client): Promise<string> {
  for await (const message of client.messages({ signal: AbortSignal.timeout(90_000) })) return message.text;
  throw new Error('closed');
}

test('no two accounts write into one connection, and no TLS session is taken up again', async () => {
  const owner = new AsyncLocalStorage<number>();
  const writers = new Map<net.Socket, Set<number>>();
  let resumed = 0;
  const write = net.Socket.prototype.write;
  vi.spyOn(net.Socket.prototype, 'write').mockImplementation(function (
    this: net.Socket,
    ...given: unknown[]
  ) {
    const account = owner.getStore();
    if (account !== undefined && this instanceof TLSSocket) {
      writers.set(this, (writers.get(this) ?? new Set()).add(account));
      if (this.isSessionReused()) resumed += 1;
    }
    return write.apply(this, given as never);
  });
  const accounts = Array.from({ length: 4 }, () => Account.create());
  const clients = await Promise.all(
    accounts.map((account, i) =>
      owner.run(i, () => openClient({ account, network: 'local', seeds: [devnet.seed] })),
    ),
  );
  for (let round = 0; round < 2; round++) {
    await Promise.all(
      clients.map((client, i) => {
        const next = accounts[(i + 1) % accounts.length]!;
        return owner.run(i, () => client.conversation(next.id).send(`round ${round}`));
      }),
    );
    const texts = await Promise.all(clients.map((client, i) => owner.run(i, () => nextText(client))));
    expect(texts).toEqual(accounts.map(() => `round ${round}`));
  }
  await Promise.all(clients.map((client) => client.close()));
  const owners = [...writers.values()];
  expect(owners.filter((set) => set.size > 1)).toEqual([]);
  // Each has connections of its own, to guards and a seed.
  for (const i of accounts.keys())
    expect(owners.filter((set) => set.has(i)).length).toBeGreaterThanOrEqual(2);
  expect(resumed).toBe(0);
});

test('behind one proxy each has a name of its own, and asks for its own node list and guards', async () => {
  await using proxy = new ProxyServer({ kind: 'socks5' });
  await proxy.start();
  const began: number[] = [];
  const accounts = Array.from({ length: 5 }, () => Account.create());
  const options = { network: 'local', seeds: [devnet.seed], proxy: proxy.url, apartMs: 20 } as const;
  await using bots = await openMany(accounts, { ...options, onOpen: () => began.push(performance.now()) });
  expect([...bots].map(({ id }) => id).sort()).toEqual(accounts.map(({ id }) => id).sort());
  const bySeed = Map.groupBy(
    proxy.asked.filter(({ port }) => port === Number(new URL(devnet.seed).port)),
    ({ username }) => username,
  );
  const names = new Set(proxy.asked.map(({ username }) => username));
  expect(names.size).toBe(accounts.length);
  // The seed was asked by each, under its name.
  expect([...bySeed.keys()].length).toBeGreaterThanOrEqual(accounts.length);
});

test('openMany closes all when one of them cannot be opened', async () => {
  const accounts = Array.from({ length: 3 }, () => Account.create());
  const opened: Client[] = [];
  const options = {
    network: 'local',
    seeds: ['https://127.0.0.1:9'],
    apartMs: 1,
    readyWithinMs: 1_500,
  } as const;
  const failing = openMany(accounts, { ...options, onOpen: (client) => opened.push(client) });
  await expect(failing).rejects.toMatchObject({ code: 'no_nodes' });
  expect(opened).toEqual([]);
});
