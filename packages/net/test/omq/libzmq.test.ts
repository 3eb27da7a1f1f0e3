// SPDX-License-Identifier: MIT
// Our endpoint against the real libzmq, in both roles (spec/storage-server §5.2, §5.3).
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { describe, expect, test } from 'vitest';
import { Dealer, Router } from 'zeromq';
import { silentLog, systemRandom } from '../../src/system-env.ts';
import { until } from '../../src/testing/until.ts';
import { connector, type Endpoint, Line, listener, ManualClock, text, z85 } from './support.ts';

const MANY = 100_000;
const MAX_FRAME = 10_485_760;
/** Of libzmq: often, and without haste. */
const HEARTBEATS = { heartbeatInterval: 50, heartbeatTimeout: 60_000, heartbeatTimeToLive: 120_000 };

function dealerTo(
  endpoint: Endpoint,
  keyPair: KeyPair = x25519KeyPair(),
  serverKey = endpoint.keyPair.publicKey,
) {
  const dealer = new Dealer({
    curvePublicKey: z85(keyPair.publicKey),
    curveSecretKey: z85(keyPair.secretKey),
    curveServerKey: z85(serverKey),
    linger: 0,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    receiveTimeout: 60_000,
  });
  dealer.connect(`tcp://127.0.0.1:${endpoint.peer.port}`);
  return dealer;
}

async function router(options: object = {}) {
  const keyPair = x25519KeyPair();
  const socket = new Router({
    curveServer: true,
    curveSecretKey: z85(keyPair.secretKey),
    linger: 0,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    receiveTimeout: 60_000,
    ...options,
  });
  await socket.bind('tcp://127.0.0.1:*');
  const port = Number(socket.lastEndpoint?.split(':').at(-1));
  return { socket, keyPair, port, peer: { host: '127.0.0.1', port, publicKey: keyPair.publicKey } };
}

/** Answers every request as `test.echo` would, until closed. */
async function echo(socket: Router): Promise<void> {
  try {
    for await (const [route, command, tag, ...data] of socket) {
      if (command?.toString() === 'HI') await socket.send([route!, 'HELLO']);
      else if (command?.toString() === 'test.echo') await socket.send([route!, 'REPLY', tag!, ...data]);
    }
  } catch {
    // closed
  }
}

describe('our listener and a DEALER of libzmq', () => {
  test('handshake, request and reply of several parts, the proven key', async () => {
    await using endpoint = await listener();
    const keyPair = x25519KeyPair();
    let seen = '';
    endpoint.omq.register('test.key', (context) => {
      seen = context.peerKeyHex;
      return [context.remoteAddress];
    });
    const dealer = dealerTo(endpoint, keyPair);
    await dealer.send(['test.echo', 'tag', 'one', '', Buffer.alloc(70_000, 7)]);
    const [name, tag, one, empty, large] = await dealer.receive();
    expect(text([name!, tag!, one!, empty!])).toEqual(['REPLY', 'tag', 'one', '']);
    expect(large).toEqual(Buffer.alloc(70_000, 7));
    await dealer.send(['test.key', 'tag']);
    expect(text(await dealer.receive())).toEqual(['REPLY', 'tag', '127.0.0.1']);
    expect(seen).toBe(Buffer.from(keyPair.publicKey).toString('hex'));
    dealer.close();
  });

  test('every refusal of §5.3', async () => {
    await using endpoint = await listener();
    endpoint.omq.category('sn', { access: 'service_node' });
    endpoint.omq.register('sn.ping', () => ['pong']);
    endpoint.omq.category('service', { access: 'admin' });
    endpoint.omq.register('service.get_stats', () => ['{}']);
    const dealer = dealerTo(endpoint);
    const ask = async (...parts: string[]) => {
      await dealer.send(parts);
      return text(await dealer.receive());
    };
    expect(await ask('HI')).toEqual(['HELLO']);
    expect(await ask('sn.nosuch', 'tag')).toEqual(['UNKNOWNCOMMAND', 'sn.nosuch']);
    expect(await ask('nodot')).toEqual(['UNKNOWNCOMMAND', 'nodot']);
    expect(await ask('sn.ping', 'tag')).toEqual(['FORBIDDEN_SN', 'REPLY', 'tag']);
    expect(await ask('sn.ping')).toEqual(['FORBIDDEN_SN', 'sn.ping']);
    expect(await ask('service.get_stats', 'tag')).toEqual(['FORBIDDEN', 'REPLY', 'tag']);
    expect(await ask('test.echo')).toEqual(['NO_REPLY_TAG', 'test.echo']);
    dealer.close();
  });

  test('a client that means another server key gets nowhere', async () => {
    await using endpoint = await listener();
    const dealer = dealerTo(endpoint, x25519KeyPair(), x25519KeyPair().publicKey);
    dealer.receiveTimeout = 500;
    await dealer.send(['test.echo', 'tag', 'x']);
    await expect(dealer.receive()).rejects.toThrow();
    expect(endpoint.omq.statistics().pendingRequests).toBe(0);
    dealer.close();
  });

  test('a part of 10 MiB less its envelope passes, a larger one closes the connection', async () => {
    await using endpoint = await listener();
    const dealer = dealerTo(endpoint);
    const largest = Buffer.alloc(MAX_FRAME - 33, 5);
    await dealer.send(['test.echo', 'tag', largest]);
    const reply = await dealer.receive();
    expect(reply[2]?.equals(largest)).toBe(true);
    let handled = 0;
    endpoint.omq.register('test.count', () => {
      handled++;
      return [];
    });
    await dealer.send(['test.count', 'tag', Buffer.alloc(MAX_FRAME - 32)]);
    dealer.receiveTimeout = 300;
    await expect(dealer.receive()).rejects.toThrow();
    expect(handled).toBe(0);
    dealer.close();
  });

  test('PING of libzmq is answered, so it keeps the connection', async () => {
    await using endpoint = await listener();
    let closed = 0;
    endpoint.omq.register('test.watch', (context) => {
      context.connection.onClose(() => closed++);
      return [];
    });
    const keyPair = x25519KeyPair();
    const dealer = new Dealer({
      curvePublicKey: z85(keyPair.publicKey),
      curveSecretKey: z85(keyPair.secretKey),
      curveServerKey: z85(endpoint.keyPair.publicKey),
      ...HEARTBEATS,
      linger: 0,
      receiveTimeout: 60_000,
    });
    await using line = new Line(endpoint.peer.port);
    dealer.connect(`tcp://127.0.0.1:${await line.open()}`);
    await dealer.send(['test.watch', 'tag']);
    await dealer.receive();
    for (let count = 0; count < 5; count++) {
      const { back } = line;
      await until(() => line.back > back, 'a PONG of ours');
    }
    await dealer.send(['test.echo', 'tag', 'still here']);
    expect(text(await dealer.receive())).toEqual(['REPLY', 'tag', 'still here']);
    expect(closed).toBe(0);
    dealer.close();
  });

  test(`${MANY} requests from libzmq, none lost, none out of order`, async () => {
    await using endpoint = await listener();
    const dealer = dealerTo(endpoint);
    const body = Buffer.alloc(100, 1);
    const sending = (async () => {
      for (let i = 0; i < MANY; i++) await dealer.send(['test.echo', String(i), body]);
    })();
    for (let i = 0; i < MANY; i++) {
      const [, tag] = await dealer.receive();
      if (tag?.toString() !== String(i)) throw new Error(`reply ${tag} where ${i} was due`);
    }
    await sending;
    dealer.close();
  });
});

describe('our connector and a ROUTER of libzmq', () => {
  test('request and reply, with our identity of a service node', async () => {
    const { socket, peer } = await router();
    await using endpoint = await connector();
    const reply = endpoint.omq.request(peer, 'sn.ping', ['data']);
    const [route, command, tag, data] = await socket.receive();
    expect(route?.toString('hex')).toBe(`4c${Buffer.from(endpoint.keyPair.publicKey).toString('hex')}`);
    expect(text([command!, data!])).toEqual(['sn.ping', 'data']);
    await socket.send([route!, 'REPLY', tag!, 'pong', '']);
    expect(text(await reply)).toEqual(['pong', '']);
    // The other end may ask, too.
    await socket.send([route!, 'test.echo', 'theirs', 'x']);
    expect(text((await socket.receive()).slice(1))).toEqual(['REPLY', 'theirs', 'x']);
    socket.close();
  });

  test('a client greets with HI', async () => {
    const { socket, peer } = await router();
    await using endpoint = await connector({ isServiceNode: false });
    const reply = endpoint.omq.request(peer, 'test.echo', ['x']);
    const [route, greeting] = await socket.receive();
    expect(greeting?.toString()).toBe('HI');
    await socket.send([route!, 'HELLO']);
    const [, , tag, data] = await socket.receive();
    await socket.send([route!, 'REPLY', tag!, data!]);
    expect(text(await reply)).toEqual(['x']);
    socket.close();
  });

  test('refusals fail the request at once', async () => {
    const { socket, peer } = await router();
    await using endpoint = await connector();
    for (const refusal of ['FORBIDDEN', 'FORBIDDEN_SN', 'NOT_A_SERVICE_NODE']) {
      const reply = expect(endpoint.omq.request(peer, 'sn.ping', [])).rejects.toMatchObject({
        code: 'refused',
      });
      const [route, , tag] = await socket.receive();
      await socket.send([route!, refusal, 'REPLY', tag!]);
      await reply;
    }
    const reply = expect(endpoint.omq.request(peer, 'sn.x', [])).rejects.toMatchObject({ code: 'refused' });
    const [route] = await socket.receive();
    await socket.send([route!, 'UNKNOWNCOMMAND', 'sn.x']);
    await reply;
    socket.close();
  });

  test('a server with another key is not accepted', async () => {
    const { socket, port } = await router();
    await using endpoint = await connector();
    const wrong = { host: '127.0.0.1', port, publicKey: x25519KeyPair().publicKey };
    const outcome = endpoint.omq.request(wrong, 'sn.ping', [], { timeoutMs: 2000 });
    await expect(outcome).rejects.toMatchObject({ code: expect.stringMatching(/handshake|timeout/) });
    socket.close();
  });

  test('it survives heartbeats of libzmq', async () => {
    const { socket, peer: far } = await router(HEARTBEATS);
    void echo(socket);
    await using endpoint = await connector();
    await using line = new Line(far.port);
    const peer = { ...far, port: await line.open() };
    await endpoint.omq.request(peer, 'test.echo', ['x']);
    for (let count = 0; count < 5; count++) {
      const { there } = line;
      await until(() => line.there > there, 'a PONG of ours');
    }
    expect(endpoint.omq.statistics().outgoing).toBe(1);
    expect(text(await endpoint.omq.request(peer, 'test.echo', ['y']))).toEqual(['y']);
    socket.close();
  });

  test('it answers our PING, so we keep the connection', async () => {
    const { socket, peer: far } = await router();
    void echo(socket);
    const clock = new ManualClock();
    const env = { clock, random: systemRandom, log: silentLog };
    await using endpoint = await connector({ idleCloseMs: 3_600_000 }, env);
    await using line = new Line(far.port);
    const peer = { ...far, port: await line.open() };
    await endpoint.omq.request(peer, 'test.echo', ['x']);
    let answers = 0;
    // Without PONG it would end after 45 s. The other program lives in its own time: each answer is waited for.
    for (let seconds = 0; seconds < 65; seconds++) {
      const { there, back } = line;
      await clock.advance(1_000);
      if (line.there === there) continue;
      await until(() => line.back > back, 'its PONG');
      answers++;
    }
    expect(answers).toBe(4);
    expect(endpoint.omq.statistics().outgoing).toBe(1);
    socket.close();
  });

  test('the largest part that libzmq accepts with a limit of 10 MiB', async () => {
    const { socket, peer } = await router({ maxMessageSize: MAX_FRAME });
    void echo(socket);
    await using endpoint = await connector();
    const largest = Buffer.alloc(MAX_FRAME - 33, 9);
    const [back] = await endpoint.omq.request(peer, 'test.echo', [largest]);
    expect(Buffer.from(back!).equals(largest)).toBe(true);
    await expect(
      endpoint.omq.request(peer, 'test.echo', [Buffer.alloc(MAX_FRAME - 32)]),
    ).rejects.toMatchObject({
      code: 'too_large',
    });
    socket.close();
  });

  test('it connects again after a restart of the peer', async () => {
    const first = await router();
    void echo(first.socket);
    await using endpoint = await connector();
    await endpoint.omq.request(first.peer, 'test.echo', ['x']);
    first.socket.close();
    await until(() => endpoint.omq.statistics().outgoing === 0, 'the connection to end');
    await expect(endpoint.omq.request(first.peer, 'test.echo', ['x'])).rejects.toMatchObject({
      code: 'unreachable',
    });
    const second = new Router({ curveServer: true, curveSecretKey: z85(first.keyPair.secretKey), linger: 0 });
    await second.bind(`tcp://127.0.0.1:${first.port}`);
    void echo(second);
    let reply: string[] | undefined;
    await until(() => {
      endpoint.omq.request(first.peer, 'test.echo', ['again']).then(
        (parts) => {
          reply = text(parts);
        },
        () => {},
      );
      return reply !== undefined;
    }, 'a reply of the restarted peer');
    expect(reply).toEqual(['again']);
    second.close();
  });

  test(`${MANY} requests to libzmq, none lost`, async () => {
    const { socket, peer } = await router();
    void echo(socket);
    await using endpoint = await connector({ maxPendingPerPeer: MANY });
    const body = Buffer.alloc(100, 1);
    let wrong = 0;
    for (let start = 0; start < MANY; start += 1000) {
      const replies: Promise<Uint8Array[]>[] = [];
      for (let i = start; i < start + 1000; i++) {
        replies.push(endpoint.omq.request(peer, 'test.echo', [String(i), body], { timeoutMs: 30_000 }));
      }
      const parts = await Promise.all(replies);
      for (let i = 0; i < 1000; i++) if (Buffer.from(parts[i]![0]!).toString() !== String(start + i)) wrong++;
    }
    expect(wrong).toBe(0);
    expect(endpoint.omq.statistics().pendingRequests).toBe(0);
    socket.close();
  });
});
