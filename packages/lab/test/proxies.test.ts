// SPDX-License-Identifier: AGPL-3.0-or-later
// Accounts behind proxies on a network of real nodes: everything goes through, or nothing goes.
import dns from 'node:dns';
import net from 'node:net';
import { openClient } from '@allium/client/node';
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

test.each(['socks5', 'http'] as const)('a message over a proxy of kind %s', async (kind) => {
  await using proxy = new ProxyServer({ kind });
  await proxy.start();
  const lookup = vi.spyOn(dns, 'lookup');
  const options = { network: 'local', seeds: [devnet.seed], proxy: proxy.url } as const;
  await using alice = await openClient({ account: Account.create(), ...options });
  await using bob = await openClient({ account: Account.create(), ...options });
  await alice.conversation(bob.id).send('through it');
  for await (const message of bob.messages({ signal: AbortSignal.timeout(90_000) })) {
    expect(message.text).toBe('through it');
    break;
  }
  const seed = new URL(devnet.seed);
  expect(proxy.asked).toContainEqual(
    expect.objectContaining({ host: seed.hostname, port: Number(seed.port) }),
  );
  // Each account goes by a name of its own, the same for all that it asks for.
  expect(new Set(proxy.asked.map(({ username }) => username)).size).toBe(2);
  // Nodes on loopback do not look up anything, and neither does who asks them.
  expect(lookup).not.toHaveBeenCalled();
});

test('a proxy that is not there: no connection and no question for names, and the error says what to do', async () => {
  const gone = new ProxyServer({ kind: 'socks5' });
  await gone.start();
  const proxy = gone.url;
  await gone.stop();
  const lookup = vi.spyOn(dns, 'lookup');
  const connected: string[] = [];
  const original = net.Socket.prototype.connect;
  vi.spyOn(net.Socket.prototype, 'connect').mockImplementation(function (this: net.Socket, ...given) {
    connected.push(JSON.stringify(given[0]));
    return original.apply(this, given as never);
  });
  const seeds = ['https://seed.example.org', 'http://seed.example.org:1280', devnet.seed];
  await using client = await openClient({ account: Account.create(), network: 'local', seeds, proxy });
  await expect(client.ready()).rejects.toMatchObject({
    name: 'ClientError',
    code: 'proxy_unreachable',
    message: /Start it, or correct its address/,
  });
  expect(lookup).not.toHaveBeenCalled();
  const port = Number(new URL(proxy).port);
  expect(
    connected.filter((target) => target.includes('"host"') && !target.includes(`"port":${port}`)),
  ).toEqual([]);
  expect(connected.some((target) => target.includes(`"port":${port}`))).toBe(true);
});

test('a proxy that dies and comes back: what was sent waits, goes nowhere else, and arrives then', async () => {
  const first = new ProxyServer({ kind: 'socks5' });
  await first.start();
  const { port } = first;
  const options = { network: 'local', seeds: [devnet.seed] } as const;
  await using alice = await openClient({ account: Account.create(), ...options, proxy: first.url });
  await using bob = await openClient({ account: Account.create(), ...options });
  const guardsInUse = () => alice.paths().map(({ hops, state }) => state === 'usable' && hops[0]?.ed25519Hex);
  // A guard that was never reached may be given up.
  await expect.poll(guardsInUse).toEqual([expect.any(String), expect.any(String)]);
  const guards = guardsInUse();
  await first.stop();
  const sending = alice.conversation(bob.id).send('later', { keepTrying: true });
  sending.catch(() => undefined);
  await expect.poll(() => alice.health().lastError).toBe('proxy_unreachable');
  await using again = new ProxyServer({ kind: 'socks5', port });
  await again.start();
  for await (const message of bob.messages({ signal: AbortSignal.timeout(90_000) })) {
    expect(message.text).toBe('later');
    break;
  }
  // Nobody but the proxy was at fault.
  expect(guards).toEqual(expect.arrayContaining(alice.paths().map(({ hops }) => hops[0]?.ed25519Hex)));
});

test('a proxy that refuses: the error says what to do', async () => {
  await using proxy = new ProxyServer({ kind: 'http', username: 'alice', password: 'right' });
  await proxy.start();
  const seeds = [devnet.seed];
  const wrong = proxy.url.replace('//', '//alice:wrong@');
  await using client = await openClient({ account: Account.create(), network: 'local', seeds, proxy: wrong });
  const error = await client.ready().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'proxy_refused', message: /Correct its user and password/ });
  expect(String((error as Error).stack)).not.toContain('wrong@');
});
