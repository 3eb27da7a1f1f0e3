// SPDX-License-Identifier: AGPL-3.0-or-later
// The simulation itself: time, carriers that behave as the real ones, one story per seed.

import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import type { OmqEndpoint, OmqOptions, OmqPeer } from '@allium/net/omq/endpoint';
import { systemEnv } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { utf8 } from '@allium/protocol/bytes';
import { x25519PublicKey } from '@allium/protocol/crypto';
import { describe, expect, test } from 'vitest';
import { Sim } from '../src/sim/sim.ts';
import { SimOmq } from '../src/sim/sim-omq.ts';
import { SeededRandom, VirtualTime } from '../src/sim/virtual-time.ts';
import { Wire } from '../src/sim/wire.ts';
import { rpc, store, texts } from '../src/single-node.ts';

const HOUR_MS = 3_600_000;

test('events happen in order, cancelled ones not at all, and an hour takes no time', async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  time.after(HOUR_MS, () => seen.push('late'));
  time.after(5, () => seen.push('a'));
  time.after(5, () => seen.push('b'));
  const cancel = time.after(1, () => seen.push('never'));
  cancel();
  time.after(0, () => {
    Promise.resolve()
      .then(() => {})
      .then(() => seen.push(`at ${time.ms}`));
  });
  time.start();
  const began = performance.now();
  await time.pass(HOUR_MS);
  expect(seen).toEqual(['at 0', 'a', 'b', 'late']);
  expect(performance.now() - began).toBeLessThan(HOUR_MS / 60);
  await time.stop();
});

test('a seed tells one story', async () => {
  const tell = async (seed: number) => {
    await using net = await Sim.start({ swarms: [5, 5], seed, loss: 0.05 });
    const account = Account.fromSeed(new SeededRandom(seed).bytes(16));
    const statuses: string[] = [];
    for (let i = 0; i < 20; i++) {
      const node = net.random.pick(net.swarmOf(account.id), 1)[0]!;
      const { status, failed } = await store(net, node, account, `message ${i}`).catch(() => ({
        status: 0,
        failed: [],
      }));
      statuses.push(`${status} ${failed.length}`);
    }
    await net.pass(60_000);
    return { statuses, events: net.time.events, ms: net.time.ms };
  };
  const first = await tell(3);
  expect(await tell(3)).toEqual(first);
  expect((await tell(4)).ms).not.toBe(first.ms);
});

test.each([600_000, -600_000])('a clock that is %d ms off loses nothing for good', async (skewMs) => {
  await using net = await Sim.start({ swarms: [5], seed: 5 });
  const account = Account.create();
  const [first, second] = net.nodes as [(typeof net.nodes)[0], (typeof net.nodes)[0]];
  second.skewMs = skewMs;
  const { status, json } = await rpc(net, second, 'info', {});
  expect([status, Math.sign(Number(json.t) - net.clock.now())]).toEqual([200, Math.sign(skewMs)]);
  expect(await texts(net, second, account)).toEqual([]); // refused, with 406
  const { status: stored } = await store(net, first, account, 'meanwhile');
  expect(stored).toBe(200);
  second.skewMs = 0;
  await net.until(async () => (await texts(net, second, account)).length === 1, 60_000);
});

const keyPair = (byte: number) => {
  const secretKey = new Uint8Array(32).fill(byte);
  return { publicKey: x25519PublicKey(secretKey), secretKey };
};

interface Pair {
  readonly make: (options: Omit<OmqOptions, 'listen'>, which: 'server' | 'client') => OmqEndpoint;
  readonly peer: (publicKey: Uint8Array) => OmqPeer;
  readonly end: () => Promise<void>;
}

describe.each([
  [
    'sockets',
    async (): Promise<Pair> => {
      const [port = 0] = await freePorts(1, '127.0.0.1');
      const listen = { host: '127.0.0.1', port };
      return {
        make: (options, which) => new Omq({ ...options, ...(which === 'server' && { listen }) }, systemEnv()),
        peer: (publicKey) => ({ ...listen, publicKey }),
        end: async () => {},
      };
    },
  ],
  [
    'simulation',
    async (): Promise<Pair> => {
      const time = new VirtualTime();
      const wire = new Wire({}, time, new SeededRandom(1));
      const env = { ...systemEnv(), clock: time.clock() };
      const listen = { host: '10.0.0.1', port: 1 };
      time.start();
      return {
        make: (options, which) =>
          which === 'server'
            ? new SimOmq(wire, wire.host('10.0.0.1'), { ...options, listen }, env)
            : new SimOmq(wire, wire.host('10.0.0.2'), options, env),
        peer: (publicKey) => ({ ...listen, publicKey }),
        end: () => time.stop(),
      };
    },
  ],
] as const)('OMQ by %s', (_, open) => {
  test('carries replies, tells who calls, refuses, times out, and ends', async () => {
    const { make, peer, end } = await open();
    const [member, stranger] = [keyPair(1), keyPair(2)];
    const server = make(
      {
        keyPair: keyPair(3),
        isServiceNode: true,
        accessOf: (hex) => (hex === Buffer.from(member.publicKey).toString('hex') ? 'service_node' : 'none'),
      },
      'server',
    );
    server.category('sn', { access: 'service_node' });
    server.category('rpc', { access: 'none' });
    server.register('sn.echo', ({ peerKeyHex }, parts) => [peerKeyHex, ...parts]);
    server.register('rpc.silent', () => undefined);
    server.register('rpc.forever', () => new Promise(() => {}));
    await server.start();
    const [a, b] = [
      make({ keyPair: member, isServiceNode: true }, 'client'),
      make({ keyPair: stranger, isServiceNode: false }, 'client'),
    ];
    await Promise.all([a.start(), b.start()]);
    const to = peer(keyPair(3).publicKey);
    const code = (ask: Promise<unknown>) => ask.then(String, (error: { code: string }) => error.code);

    const [who, what] = await a.request(to, 'sn.echo', [utf8('hi')]);
    expect(Buffer.from(who!).toString()).toBe(Buffer.from(member.publicKey).toString('hex'));
    expect(Buffer.from(what!).toString()).toBe('hi');
    expect(await code(b.request(to, 'sn.echo', []))).toBe('refused');
    expect(await code(a.request(to, 'rpc.unheard', []))).toBe('refused');
    expect(await code(a.request(to, 'rpc.silent', [], { timeoutMs: 100 }))).toBe('timeout');
    const abort = new AbortController();
    const aborted = code(a.request(to, 'rpc.silent', [], { signal: abort.signal }));
    abort.abort();
    expect(await aborted).toBe('aborted');
    const closed = code(b.request(to, 'rpc.forever', [], { timeoutMs: 10_000 }));
    await a.request(to, 'sn.echo', []); // both are under way by then
    await server.stop();
    expect(await closed).toBe('closed');
    expect(await code(b.request(to, 'rpc.silent', []))).toBe('unreachable');
    await Promise.all([a.stop(), b.stop()]);
    expect(await code(a.request(to, 'sn.echo', []))).toBe('closed');
    await end();
  });
});
