// SPDX-License-Identifier: MIT
// Our endpoint with itself, and with peers that misbehave (spec/storage-server §5.2, §5.3).
import { connect, createServer } from 'node:net';
import { fromHex, toHex } from '@allium/protocol/bytes';
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { Logger } from '@allium/protocol/env';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { MessageFlag } from '../../src/omq/curve.ts';
import { encodeGreeting, FrameFlag } from '../../src/omq/zmtp.ts';
import { silentLog, systemEnv } from '../../src/system-env.ts';
import { until } from '../../src/testing/until.ts';
import { connector, listener, manualEnv, RawPeer, text } from './support.ts';

describe('the frames of vectors omq_messages', () => {
  for (const vector of vectors.omq_messages) {
    if (vector.reply === undefined) continue;
    const parts = vector.parts.map((part) => fromHex(part));
    const reply = vector.reply;
    test(`${vector.name} is answered as written there`, async () => {
      const isRefused = vector.name === 'caller is not a service node';
      await using endpoint = await listener({ accessOf: () => (isRefused ? 'none' : 'service_node') });
      endpoint.omq.category('sn', { access: 'service_node' });
      endpoint.omq.category('service', { access: 'admin' });
      endpoint.omq.category('monitor', { access: 'none' });
      const command = Buffer.from(parts[0] ?? []).toString();
      if (reply[0] !== '554e4b4e4f574e434f4d4d414e44' && command.includes('.')) {
        endpoint.omq.register(command, () => reply.slice(2).map((part) => fromHex(part)));
      }
      await using peer = new RawPeer(endpoint.peer);
      await peer.ready();
      peer.send(...parts);
      expect((await peer.next()).map(toHex)).toEqual(reply);
    });
  }
});

describe('requests', () => {
  test('carry parts of any size both ways, many at once', async () => {
    await using a = await listener();
    await using b = await connector();
    const sizes = [0, 1, 221, 222, 223, 255, 256, 65_535, 65_536, 300_000, 2_000_000];
    const replies = await Promise.all(
      sizes.map((size) => b.omq.request(a.peer, 'test.echo', [Buffer.alloc(size, size), 'x'])),
    );
    replies.forEach((reply, index) => {
      const size = sizes[index] ?? 0;
      expect(reply).toHaveLength(2);
      expect(Buffer.compare(reply[0]!, Buffer.alloc(size, size))).toBe(0);
    });
  });

  test('use the connection of the peer, whoever opened it, but for ownConnection', async () => {
    await using a = await listener();
    await using b = await listener();
    await b.omq.request(a.peer, 'test.echo', []);
    expect(text(await a.omq.request(b.peer, 'test.echo', ['back']))).toEqual(['back']);
    expect(a.omq.statistics()).toMatchObject({ incoming: 1, outgoing: 0 });
    await a.omq.request(b.peer, 'test.echo', [], { ownConnection: true });
    expect(a.omq.statistics()).toMatchObject({ incoming: 1, outgoing: 1 });
    await a.omq.request(b.peer, 'test.echo', []);
    expect(b.omq.statistics()).toMatchObject({ incoming: 1, outgoing: 1 });
  });

  test('of one turn open one connection', async () => {
    await using a = await listener();
    await using b = await connector();
    await Promise.all(Array.from({ length: 50 }, () => b.omq.request(a.peer, 'test.echo', [])));
    expect(a.omq.statistics().incoming).toBe(1);
  });

  test('time out, and a late reply is nobody’s', async () => {
    await using a = await listener();
    await using b = await connector();
    let answer: (parts: string[]) => void = () => {};
    a.omq.register('test.slow', () => new Promise((resolve) => (answer = resolve)));
    await expect(b.omq.request(a.peer, 'test.slow', [], { timeoutMs: 60 })).rejects.toMatchObject({
      code: 'timeout',
    });
    answer(['late']);
    expect(text(await b.omq.request(a.peer, 'test.echo', ['next']))).toEqual(['next']);
  });

  test('abort by signal, before and during', async () => {
    await using a = await listener();
    await using b = await connector();
    a.omq.register('test.never', () => new Promise(() => {}));
    await expect(
      b.omq.request(a.peer, 'test.never', [], { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'aborted' });
    const controller = new AbortController();
    const outcome = b.omq.request(a.peer, 'test.never', [], { signal: controller.signal });
    await until(() => b.omq.statistics().pendingRequests === 1, 'the request');
    controller.abort();
    await expect(outcome).rejects.toMatchObject({ code: 'aborted' });
    expect(b.omq.statistics().pendingRequests).toBe(0);
  });

  test('fail with closed when either end stops', async () => {
    for (const stopped of ['own', 'peer'] as const) {
      await using a = await listener();
      await using b = await connector();
      let started = false;
      a.omq.register('test.never', (context) => {
        started = true;
        return new Promise((resolve) => context.connection.onClose(() => resolve(undefined)));
      });
      const outcome = expect(b.omq.request(a.peer, 'test.never', [])).rejects.toMatchObject({
        code: 'closed',
      });
      await until(() => started, 'the handler');
      await (stopped === 'own' ? b : a).omq.stop();
      await outcome;
      await expect((stopped === 'own' ? b : a).omq.request(a.peer, 'test.echo', [])).rejects.toMatchObject({
        code: 'closed',
      });
    }
  });

  test('to nobody fail at once, also while waiting before the next attempt', async () => {
    const { clock, env } = manualEnv();
    await using a = await listener();
    await using b = await connector({}, env);
    await a.omq.stop();
    const attempt = () => b.omq.request(a.peer, 'test.echo', [], { timeoutMs: 60_000 });
    await expect(attempt()).rejects.toMatchObject({ code: 'unreachable', message: /cannot be reached/ });
    await expect(attempt()).rejects.toMatchObject({ code: 'unreachable', message: /a moment ago/ });
    await clock.advance(250);
    await expect(attempt()).rejects.toMatchObject({ message: /cannot be reached/ });
    await clock.advance(250);
    await expect(attempt()).rejects.toMatchObject({ message: /a moment ago/ });
    await clock.advance(250);
    await expect(attempt()).rejects.toMatchObject({ message: /cannot be reached/ });
  });

  test('with an impossible address, key or size fail with a typed error', async () => {
    await using b = await connector();
    const publicKey = x25519KeyPair().publicKey;
    const ask = (peer: object, parts: Uint8Array[] = []) =>
      b.omq.request({ host: '127.0.0.1', port: 1, publicKey, ...peer }, 'test.echo', parts);
    await expect(ask({ port: 70_000 })).rejects.toMatchObject({ code: 'unreachable' });
    await expect(ask({ publicKey: new Uint8Array(31) })).rejects.toMatchObject({ code: 'handshake' });
    await expect(ask({}, [new Uint8Array(10_485_760)])).rejects.toMatchObject({ code: 'too_large' });
    await expect(ask({}, [new Uint8Array(9_000_000), new Uint8Array(9_000_000)])).rejects.toMatchObject({
      code: 'too_large',
    });
  });

  test('beyond the number that may wait for a peer fail with busy', async () => {
    await using a = await listener();
    await using b = await connector({ maxPendingPerPeer: 3 });
    const finish: (() => void)[] = [];
    a.omq.register('test.never', () => new Promise((resolve) => finish.push(() => resolve(undefined))));
    const outcomes = Array.from({ length: 4 }, () =>
      b.omq.request(a.peer, 'test.never', [], { timeoutMs: 50 }).catch((error) => error.code),
    );
    expect(await Promise.all(outcomes)).toEqual(['timeout', 'timeout', 'timeout', 'busy']);
    for (const run of finish) run();
  });

  test('survive a restart of the peer on the same port', async () => {
    await using b = await connector();
    const first = await listener();
    await b.omq.request(first.peer, 'test.echo', []);
    await first.omq.stop();
    await using second = await listener({
      keyPair: first.keyPair,
      listen: { host: '127.0.0.1', port: first.peer.port },
    });
    expect(text(await b.omq.request(second.peer, 'test.echo', ['again']))).toEqual(['again']);
  });

  test('after an incoming connection fell silent go over a connection of our own', async () => {
    await using a = await listener();
    await using b = await listener();
    await using mute = new RawPeer(a.peer, { keyPair: b.keyPair });
    await mute.ready();
    mute.send('test.echo', 'tag'); // reads of the server stand at a known point afterwards
    await mute.next();
    const ask = (timeoutMs: number) => a.omq.request(b.peer, 'test.echo', ['x'], { timeoutMs });
    await expect(ask(60)).rejects.toMatchObject({ code: 'timeout' });
    expect(text(await ask(60_000))).toEqual(['x']);
    expect(a.omq.statistics().outgoing).toBe(1);
  });
});

describe('handlers', () => {
  test('see the key that was proven, whatever identity is claimed', async () => {
    await using a = await listener();
    const keyPair = x25519KeyPair();
    const other = x25519KeyPair().publicKey;
    a.omq.register('test.who', (context) => [context.peerKeyHex]);
    await using peer = new RawPeer(a.peer, { keyPair, identity: Buffer.concat([Buffer.of(0x4c), other]) });
    await peer.ready();
    peer.send('test.who', 't');
    expect(text(await peer.next())[2]).toBe(toHex(keyPair.publicKey));
  });

  test('are guarded per message by what accessOf says then', async () => {
    let access: 'none' | 'service_node' | 'admin' = 'service_node';
    await using a = await listener({ accessOf: () => access });
    await using b = await connector();
    a.omq.category('sn', { access: 'service_node' });
    a.omq.register('sn.ping', () => ['pong']);
    expect(text(await b.omq.request(a.peer, 'sn.ping', []))).toEqual(['pong']);
    access = 'none';
    await expect(b.omq.request(a.peer, 'sn.ping', [])).rejects.toMatchObject({ code: 'refused' });
  });

  test('of service nodes are not offered by a client', async () => {
    await using a = await listener({ isServiceNode: false, accessOf: () => 'service_node' });
    a.omq.category('sn', { access: 'service_node' });
    a.omq.register('sn.ping', () => ['pong']);
    await using peer = new RawPeer(a.peer);
    await peer.ready();
    peer.send('sn.ping', 'tag');
    expect(text(await peer.next())).toEqual(['NOT_A_SERVICE_NODE', 'REPLY', 'tag']);
  });

  test('that throw, reject or answer nothing give no reply, and the endpoint lives on', async () => {
    const errors: string[] = [];
    const log: Logger = { ...silentLog, error: (fields) => errors.push(String(fields.command)) };
    await using a = await listener({}, systemEnv(log));
    await using b = await connector();
    a.omq.register('test.throw', () => {
      throw new Error('fault');
    });
    a.omq.register('test.reject', async () => {
      throw new Error('fault');
    });
    a.omq.register('test.none', () => undefined);
    a.omq.register('test.large', () => [new Uint8Array(20_000_000)]);
    for (const command of ['test.throw', 'test.reject', 'test.none', 'test.large']) {
      await expect(b.omq.request(a.peer, command, [], { timeoutMs: 30 })).rejects.toMatchObject({
        code: 'timeout',
      });
    }
    await until(() => errors.length === 3, 'the errors');
    expect(errors).toEqual(['test.throw', 'test.reject', 'test.large']);
    expect(await b.omq.request(a.peer, 'test.echo', [])).toEqual([]);
  });

  test('run at most so many at once; a full queue drops', async () => {
    await using a = await listener();
    a.omq.category('few', { access: 'none', maxConcurrent: 2, maxQueued: 1 });
    const waiting: (() => void)[] = [];
    a.omq.register('few.wait', (_context, parts) => {
      return new Promise((resolve) => waiting.push(() => resolve(parts)));
    });
    await using peer = new RawPeer(a.peer);
    await peer.ready();
    for (const name of ['1', '2', '3', '4']) peer.send('few.wait', name, name);
    peer.send('test.echo', 'after');
    await peer.next();
    expect(waiting).toHaveLength(2);
    waiting[0]?.();
    await until(() => waiting.length === 3, 'the queued one');
    for (const finish of waiting) finish();
    peer.send('test.echo', 'after');
    const tags = [await peer.next(), await peer.next(), await peer.next(), await peer.next()].map(
      (m) => text(m)[1],
    );
    expect(tags).toEqual(['1', '2', '3', 'after']);
    expect(waiting).toHaveLength(3);
  });

  test('on hold leave their places to others, and learn when their caller goes', async () => {
    await using a = await listener();
    a.omq.category('one', { access: 'none', maxConcurrent: 1, maxQueued: 1 });
    const held: (() => void)[] = [];
    let gone = 0;
    a.omq.register('one.hold', (_context, parts, exchange) => {
      exchange.hold(() => gone++);
      exchange.hold(() => gone++); // in place of the first
      return new Promise((resolve) => held.push(() => resolve(parts)));
    });
    let over: (() => void) | undefined;
    a.omq.register('one.busy', (_context, parts) => {
      return new Promise((resolve) => {
        over = () => resolve(parts);
      });
    });
    const peer = new RawPeer(a.peer);
    await peer.ready();
    for (let i = 0; i < 20; i++) peer.send('one.hold', String(i), String(i));
    peer.send('one.busy', 'busy', 'busy');
    peer.send('one.hold', 'queued', 'queued');
    await until(() => over !== undefined, 'the one that is not held');
    expect(held).toHaveLength(20);
    over?.();
    await until(() => held.length === 21, 'the queued one');
    expect(text(await peer.next())[1]).toBe('busy');
    held[0]?.();
    expect(text(await peer.next())[1]).toBe('0');
    await peer[Symbol.asyncDispose]();
    await until(() => gone === 20, 'word of the connection');
    for (const finish of held) finish();
  });

  test('push to the connection, learn of its end, and one-way commands have no reply', async () => {
    await using a = await listener();
    await using b = await connector();
    let ended = 0;
    a.omq.register('test.subscribe', (context) => {
      context.connection.onClose(() => ended++);
      const cancelled = context.connection.onClose(() => (ended += 100));
      cancelled();
      context.connection.send('test.notify', ['pushed']);
      return [];
    });
    const pushed: string[] = [];
    b.omq.register(
      'test.notify',
      (_context, parts) => {
        pushed.push(...text(parts));
        return ['ignored'];
      },
      { oneWay: true },
    );
    await b.omq.request(a.peer, 'test.subscribe', []);
    await until(() => pushed.length === 1, 'the push');
    await b.omq.send(a.peer, 'test.echo', []); // refused without tag, which nobody waits for
    await b.omq.stop();
    await until(() => ended === 1, 'the end');
    expect(pushed).toEqual(['pushed']);
  });
});

describe('connections', () => {
  test('that we opened are closed after 30 s without use', async () => {
    const { clock, env } = manualEnv();
    await using a = await listener();
    await using b = await connector({}, env);
    await b.omq.request(a.peer, 'test.echo', []);
    await clock.advance(29_000);
    await b.omq.request(a.peer, 'test.echo', []);
    await clock.advance(29_000);
    expect(b.omq.statistics().outgoing).toBe(1);
    await clock.advance(4_000);
    expect(b.omq.statistics().outgoing).toBe(0);
  });

  test('are pinged every 15 s and kept while the peer answers', async () => {
    const { clock, env } = manualEnv();
    await using a = await listener({}, env);
    await using peer = new RawPeer(a.peer);
    await peer.ready();
    await clock.advance(62_000);
    expect(peer.commands).toEqual(['PING', 'PING', 'PING', 'PING']);
    expect(peer.isClosed).toBe(false);
  });

  test('are dropped when the peer is silent for 30 s after a PING', async () => {
    const { clock, env } = manualEnv();
    await using a = await listener({}, env);
    await using peer = new RawPeer(a.peer);
    peer.answersPing = false;
    await peer.ready();
    await clock.advance(44_000);
    expect(peer.isClosed).toBe(false);
    await clock.advance(3_000);
    await peer.closed();
    expect(a.omq.statistics().incoming).toBe(0);
  });

  test('that do not finish the handshake within 10 s are dropped', async () => {
    const { clock, env } = manualEnv();
    await using a = await listener({}, env);
    const socket = connect(a.peer.port, a.peer.host);
    let closed = false;
    socket.resume();
    socket.on('close', () => {
      closed = true;
    });
    await until(() => a.omq.statistics().incoming === 1, 'the connection');
    socket.write(encodeGreeting({ isServer: false, identityLength: 0 }));
    await clock.advance(9_000);
    expect(closed).toBe(false);
    await clock.advance(2_000);
    await until(() => closed, 'the end');
  });

  test('to a listener that never answers fail within 10 s', async () => {
    const { clock, env } = manualEnv();
    const mute = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as { port: number };
    await using b = await connector({}, env);
    const peer = { host: '127.0.0.1', port, publicKey: x25519KeyPair().publicKey };
    const outcome = expect(b.omq.request(peer, 'test.echo', [], { timeoutMs: 60_000 })).rejects.toMatchObject(
      { code: 'handshake' },
    );
    await clock.advance(12_000);
    await outcome;
    mute.close();
  });

  test('end on BYE when we opened them, and a stopping listener says BYE', async () => {
    await using a = await listener();
    await using b = await connector();
    await using peer = new RawPeer(a.peer);
    await peer.ready();
    a.omq.register('test.bye', (context) => {
      context.connection.send('BYE', []);
      return undefined;
    });
    await b.omq.send(a.peer, 'test.bye', ['tag']);
    await until(() => b.omq.statistics().outgoing === 0, 'the end');
    peer.send('BYE'); // means nothing to the listener
    peer.send('test.echo', 'tag');
    expect(text(await peer.next())).toEqual(['REPLY', 'tag']);
    await a.omq.stop();
    expect(text(await peer.next())).toEqual(['BYE']);
    await peer.closed();
  });

  test('are limited in number, in all and per address', async () => {
    for (const limit of [{ maxConnections: 2 }, { maxConnectionsPerAddress: 2 }]) {
      await using a = await listener(limit);
      await using first = new RawPeer(a.peer);
      await using second = new RawPeer(a.peer);
      await first.ready();
      await second.ready();
      await using third = new RawPeer(a.peer);
      await third.closed();
      first.socket.destroy();
      await until(() => a.omq.statistics().incoming === 1, 'room');
      await using fourth = new RawPeer(a.peer);
      await fourth.ready();
    }
  });

  test('opened too fast from one address are refused, handshakes being dear', async () => {
    const { clock, env } = manualEnv();
    const refused: string[] = [];
    await using a = await listener(
      { maxConnectionsPerAddress: 1000, onRefused: (limit) => refused.push(limit) },
      env,
    );
    const sockets = Array.from({ length: 610 }, () => {
      const socket = connect(a.peer.port, a.peer.host);
      socket.on('error', () => {});
      socket.resume();
      return socket;
    });
    await until(() => sockets.filter((socket) => socket.closed).length === 10, 'the refusals');
    expect(a.omq.statistics().incoming).toBe(600);
    for (const socket of sockets) socket.destroy();
    await until(() => a.omq.statistics().incoming === 0, 'the end');
    await using late = new RawPeer(a.peer);
    await late.closed();
    await clock.advance(1000);
    await using later = new RawPeer(a.peer);
    await later.ready();
    expect(refused).toEqual(Array.from({ length: 11 }, () => 'connection_rate_per_address'));
  });

  test('start and stop may be called twice, and a stopped endpoint starts again', async () => {
    const a = await listener();
    expect(await a.omq.start()).toEqual({ port: a.peer.port });
    await Promise.all([a.omq.stop(), a.omq.stop()]);
    await a.omq.stop();
    const { port } = await a.omq.start();
    await using b = await connector();
    expect(await b.omq.request({ ...a.peer, port: port ?? 0 }, 'test.echo', [])).toEqual([]);
    await a.omq.stop();
  });

  test('a port in use is an error of start', async () => {
    await using a = await listener();
    await expect(listener({ listen: { host: '127.0.0.1', port: a.peer.port } })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});

describe('hostile peers lose their connection, and only that', () => {
  async function attack(run: (peer: RawPeer) => void | Promise<void>, options: object = {}) {
    await using a = await listener(options);
    await using bystander = await connector();
    await bystander.omq.request(a.peer, 'test.echo', []);
    await using peer = new RawPeer(a.peer);
    await peer.ready();
    await run(peer);
    await peer.closed();
    expect(a.omq.statistics().incoming).toBe(1);
    expect(text(await bystander.omq.request(a.peer, 'test.echo', ['fine']))).toEqual(['fine']);
  }

  test('bytes that are no ZMTP', async () => {
    await using a = await listener();
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4)),
      Buffer.alloc(64, 0xff),
      Buffer.concat([encodeGreeting({ isServer: false, identityLength: 0 }), Buffer.from([0x00, 0x05])]),
      Buffer.concat([
        encodeGreeting({ isServer: false, identityLength: 0 }),
        Buffer.from([FrameFlag.command | FrameFlag.long, 0, 0, 0, 0, 0, 0x10, 0, 1]),
      ]),
    ]) {
      const socket = connect(a.peer.port, a.peer.host);
      socket.on('error', () => {});
      socket.resume();
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.write(bytes);
      socket.write(Buffer.alloc(300, 1));
      await closed;
    }
    expect(a.omq.statistics().incoming).toBe(0);
  });

  test('a vouch for a key that is not theirs', async () => {
    await using a = await listener();
    await using thief = new RawPeer(a.peer, { shownKey: x25519KeyPair().publicKey });
    await thief.closed();
    expect(thief.isReady).toBe(false);
  });

  test('a socket type that does not fit', async () => {
    await using a = await listener();
    await using peer = new RawPeer(a.peer, { socketType: 'PUB' });
    await peer.closed();
    expect(peer.isReady).toBe(false);
  });

  test('a frame that does not decrypt', () => attack((peer) => void peer.socket.write(Buffer.alloc(50, 0))));

  test('a frame beyond 10 MiB, by its head alone', () =>
    attack((peer) => void peer.socket.write(Buffer.from([2, 0, 0, 0, 0, 0, 0xa0, 0, 1]))));

  test('reserved flags', () => attack((peer) => void peer.socket.write(Buffer.from([0x80, 5]))));

  test('a message without end', () =>
    attack(async (peer) => {
      const part = Buffer.alloc(1_000_000);
      for (let i = 0; i < 30 && !peer.isClosed; i++) {
        peer.sendPart(part, MessageFlag.more);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }));

  test('a message of endlessly many empty parts', () =>
    attack((peer) => {
      for (let i = 0; i < 1100; i++) peer.sendPart(Buffer.alloc(0), MessageFlag.more);
    }));

  test('who holds the most unfinished messages gives way', async () => {
    const refused: string[] = [];
    await using a = await listener({
      maxStrangersPartialBytes: 2_000_000,
      onRefused: (limit) => refused.push(limit),
    });
    await using small = new RawPeer(a.peer);
    await using large = new RawPeer(a.peer);
    await using last = new RawPeer(a.peer);
    for (const peer of [small, large, last]) await peer.ready();
    small.sendPart(Buffer.alloc(400_000), MessageFlag.more);
    large.sendPart(Buffer.alloc(1_000_000), MessageFlag.more);
    last.sendPart(Buffer.alloc(800_000), MessageFlag.more);
    await large.closed();
    expect(refused).toEqual(['message_bytes']);
    expect([small.isClosed, last.isClosed]).toEqual([false, false]);
  });

  test('strangers are read no faster than 4 MiB a second after 16 MiB', async () => {
    const { clock, env } = manualEnv();
    const refused: string[] = [];
    let seen = 0;
    await using a = await listener({ onRefused: (limit) => refused.push(limit) }, env);
    a.omq.register('test.count', (_, [part]) => {
      seen += part?.length ?? 0;
      return [];
    });
    await using peer = await connector();
    const part = Buffer.alloc(5_000_000);
    const all = Promise.all(Array.from({ length: 5 }, () => peer.omq.request(a.peer, 'test.count', [part])));
    await until(() => refused.includes('byte_rate'), 'the limit');
    expect(seen).toBe(15_000_000);
    await clock.advance(3_000);
    await all;
    expect(seen).toBe(25_000_000);
  });

  test('a reader that never reads', () =>
    attack(
      async (peer) => {
        peer.socket.pause();
        const body = Buffer.alloc(1_000_000);
        let ended = false;
        peer.socket.on('close', () => {
          ended = true;
        });
        for (let i = 0; i < 40 && !ended; i++) {
          peer.send('test.echo', 't', body);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        peer.socket.resume(); // to see the end
      },
      { maxQueuedBytes: 4_000_000 },
    ));

  test('floods of PING are answered only as fast as they are read', () =>
    attack(
      async (peer) => {
        peer.answersPing = false;
        peer.socket.pause();
        const ping = Buffer.from('\x04PING\x00\x00', 'latin1');
        for (let i = 0; i < 300 && !peer.isClosed; i++) {
          for (let k = 0; k < 1000; k++) peer.sendPart(ping, MessageFlag.command);
          await new Promise((resolve) => setImmediate(resolve));
        }
        peer.socket.resume();
      },
      { maxQueuedBytes: 200_000 },
    ));
});
