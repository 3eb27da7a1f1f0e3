// SPDX-License-Identifier: AGPL-3.0-or-later
// What a gateway does with those who want it to reach something else, or to cost it something.
import { connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { AddressRules } from '@allium/net/address-rules';
import { requestFrames } from '@allium/protocol/onion/entry';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ask, Browser, certificate, GUARD, world } from './support.ts';

const ONION = `/v1/onion/${GUARD}`;
const BODY = new Uint8Array([1, 2, 3]);

/** Writes bytes, and returns what came until the connection closed or `ms` passed. */
async function raw(port: number, text: string | Uint8Array, ms = 500): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  let seen = '';
  socket.on('data', (data) => {
    seen += data.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write(text);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  socket.destroy();
  return seen;
}

describe('no open proxy', () => {
  test.each([
    ['a key that is not in the list', `/v1/onion/${'ff'.repeat(32)}`],
    ['an address instead of a key', '/v1/onion/127.0.0.1:22'],
    ['a URL', '/v1/onion/https://127.0.0.1:22/'],
    ['an encoded URL', '/v1/onion/https%3A%2F%2F127.0.0.1%3A22'],
    ['another endpoint behind the key', `${ONION}/storage_rpc/v1`],
    ['a step upwards', `${ONION}/../../json_rpc`],
    ['an encoded step upwards', `${ONION}/%2e%2e/json_rpc`],
    ['a query', `${ONION}?target=/storage_rpc/v1`],
    ['a fragment', `${ONION}%23`],
    ['upper case', `/v1/onion/${GUARD.toUpperCase()}`],
    ['a longer key', `${ONION}00`],
    ['no key', '/v1/onion/'],
    ['a doubled slash', `/v1//onion/${GUARD}`],
    ['the endpoint itself', '/onion_req/v2'],
    ['storage RPC', '/storage_rpc/v1'],
  ])('%s reaches nobody', async (_, path) => {
    await using made = await world();
    const { status } = await ask(made.port, path, { body: BODY });
    expect([404, 400]).toContain(status);
    expect(made.asked).toEqual([]);
  });

  test.each([
    [
      'an absolute URL',
      `POST http://127.0.0.1:22/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    ],
    ['CONNECT', `CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n`],
    ['another protocol', `GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`],
    [
      'an upgrade elsewhere',
      `GET /onion_req/v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    ],
  ])('%s is refused', async (_, text) => {
    await using made = await world();
    const seen = await raw(made.port, text);
    expect(seen).not.toMatch(/^HTTP\/1\.1 (?:2|101)/);
    expect(made.asked).toEqual([]);
  });

  test('whatever the Host header says, the guard is asked', async () => {
    await using made = await world();
    const { status } = await ask(made.port, ONION, { body: BODY, headers: { host: '169.254.169.254' } });
    expect(status).toBe(200);
    expect(made.asked[0]?.headers.host).toMatch(/^127\.0\.0\.1:/);
  });

  test.each(['127.0.0.1', '10.0.0.5', '169.254.169.254', '192.168.1.1', '::1', 'metadata.internal'])(
    'a node of the list at %s is no member',
    async (host) => {
      const rules = new AddressRules();
      await using made = await world({ allows: (address) => rules.allows(address) });
      made.nodes = [{ key: GUARD, host, port: 22 }];
      const { headers } = await ask(made.port, ONION, { body: BODY });
      expect(headers['x-entry-failure']).toBe('no_list');
      expect(made.asked).toEqual([]);
      expect(made.gateway.trouble).toMatch(/not public|empty/);
    },
  );

  test('a redirection of the guard is not followed', async () => {
    await using made = await world();
    made.answer = () => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' });
    const { status, headers } = await ask(made.port, ONION, { body: BODY });
    expect([status, headers.location]).toEqual([302, undefined]);
    expect(made.asked).toHaveLength(1);
  });
});

describe('guards that misbehave', () => {
  async function behind(bytes: string | undefined) {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      if (bytes !== undefined) socket.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const made = await world({ timeoutMs: bytes === undefined ? 300 : 60_000 }, port);
    return { made, close: () => server.close() };
  }

  test.each([
    ['garbage', 'this is not TLS at all', 'bad_response'],
    ['nothing', '', 'unreachable'],
    ['silence', undefined, 'timeout'],
  ])('%s is a failure with a name', async (_, bytes, expected) => {
    const { made, close } = await behind(bytes);
    const { headers } = await ask(made.port, ONION, { body: BODY });
    expect(headers['x-entry-failure']).toBe(expected);
    expect(made.gateway.numbers.pending).toBe(0);
    await made[Symbol.asyncDispose]();
    close();
  });

  test('an answer without end is cut', async () => {
    await using made = await world();
    made.answer = () => ({ status: 200, body: new Uint8Array(17 * 1024 * 1024) });
    const { headers } = await ask(made.port, ONION, { body: BODY });
    expect(headers['x-entry-failure']).toBe('too_large');
  });

  test('answers that never end hold no more memory than all may: the largest gives way', async () => {
    const sockets: Socket[] = [];
    const drip = createTlsServer({ cert: certificate.certificatePem, key: certificate.keyPem }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n');
      socket.write(new Uint8Array(3_000_000));
    });
    await new Promise<void>((resolve) => drip.listen(0, '127.0.0.1', resolve));
    const { port } = drip.address() as { port: number };
    const made = await world({ maxBufferedBytes: 4 * 1024 * 1024, timeoutMs: 60_000 }, port);
    const failures: unknown[] = [];
    const answers = [1, 2, 3].map(async () => {
      failures.push((await ask(made.port, ONION, { body: BODY })).headers['x-entry-failure']);
    });
    await expect.poll(() => failures).toEqual(['too_large', 'too_large']);
    // The last one has the room, until its guard is gone.
    for (const socket of sockets) socket.destroy();
    await Promise.all(answers);
    expect(failures).toHaveLength(3);
    expect(failures[2]).not.toBe('too_large');
    await made[Symbol.asyncDispose]();
    drip.close();
  });

  test('one that hangs has a share of the places only', async () => {
    await using made = await world({ maxPending: 8 });
    made.answer = () => new Promise(() => {});
    made.nodes = [];
    const browser = await Browser.open(made.port);
    for (let id = 1; id <= 5; id++) browser.send(id, BODY);
    expect(await browser.failure(3)).toBe('busy');
    await expect.poll(() => made.gateway.numbers.pending).toBe(2);
    browser.ws.close();
  });
});

describe('sizes and times', () => {
  test.each([
    ['announced', { 'content-length': String(11 * 1024 * 1024) }],
    ['not announced', { 'transfer-encoding': 'chunked' }],
  ])('a body that is too large, %s', async (_, headers) => {
    await using made = await world();
    const { status } = await ask(made.port, ONION, { body: new Uint8Array(11 * 1024 * 1024), headers }).catch(
      () => ({ status: 413 }), // the connection closed while we were sending
    );
    expect(status).toBe(413);
    expect(made.asked).toEqual([]);
  });

  test('a body that drips is cut', async () => {
    await using made = await world({ listener: { headTimeoutMs: 1_000, bodyTimeoutMs: 100 } });
    const seen = await raw(
      made.port,
      `POST ${ONION} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx`,
      60_000,
    );
    expect(seen).toMatch(/^HTTP\/1\.1 408/);
    expect(made.gateway.numbers.refused.get('body_time')).toBe(1);
  });

  test('unfinished envelopes of one address are bounded, and gone with the connection', async () => {
    await using made = await world({ maxBufferedBytes: 4 * 1024 * 1024 });
    const browser = await Browser.open(made.port);
    for (let id = 1; id <= 40; id++) {
      const frames = [...requestFrames(id, GUARD, new Uint8Array(200_000))];
      for (const frame of frames.slice(0, 1)) browser.ws.send(frame);
    }
    expect(await browser.failure(20)).toBe('limited');
    expect(made.gateway.numbers.bufferedBytes).toBeLessThanOrEqual(1024 * 1024);
    expect(made.gateway.numbers.refused.get('socket_bytes_per_address')).toBeGreaterThan(0);
    browser.ws.terminate();
    await expect.poll(() => made.gateway.numbers.bufferedBytes).toBe(0);
    expect(made.asked).toEqual([]);
  });

  test('a browser that does not read what it asked for is bounded', async () => {
    await using made = await world({ maxBufferedBytes: 40 * 1024 * 1024 });
    made.answer = () => ({ status: 200, body: new Uint8Array(4 * 1024 * 1024) });
    const browser = await Browser.open(made.port);
    browser.ws.pause();
    for (let id = 1; id <= 20; id++) browser.send(id, BODY);
    await expect
      .poll(() => made.gateway.numbers.refused.get('socket_bytes_per_address') ?? 0)
      .toBeGreaterThan(10);
    expect(made.gateway.numbers.bufferedBytes).toBeLessThanOrEqual(10 * 1024 * 1024);
    browser.ws.resume();
    await expect.poll(() => made.gateway.numbers.bufferedBytes).toBe(0);
    browser.ws.close();
  });

  test('a browser that answers no ping is cut off', async () => {
    await using made = await world({ sockets: { pingEveryMs: 30 } });
    const browser = await Browser.open(made.port);
    (browser.ws as unknown as { pong: () => void }).pong = () => {};
    browser.ws.pause();
    await expect.poll(() => made.gateway.numbers.sockets).toBe(0);
    expect(made.gateway.numbers.refused.get('socket_silent')).toBe(1);
  });
});

describe('floods', () => {
  test('envelopes of one address have a rate, by POST and over WebSockets together', async () => {
    await using made = await world({ burst: 5, perSecond: 0.001 });
    const browser = await Browser.open(made.port);
    for (let id = 1; id <= 3; id++) browser.send(id, BODY);
    await browser.answer(3);
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await ask(made.port, ONION, { body: BODY })).status);
    expect(statuses).toEqual([200, 200, 429, 429]);
    browser.send(9, BODY);
    expect(await browser.failure(9)).toBe('limited');
    expect(made.asked).toHaveLength(5);
    // Another address is not concerned.
    expect((await ask(made.port, ONION, { body: BODY, localAddress: '127.0.0.2' })).status).toBe(200);
    browser.ws.close();
  });

  test('large envelopes cost more', async () => {
    await using made = await world({ burst: 10, perSecond: 0.001 });
    const large = () => ask(made.port, ONION, { body: new Uint8Array(6 * 65_536) });
    expect((await large()).status).toBe(200);
    expect((await large()).status).toBe(429);
  });

  test('sockets have limits, of one address and in all', async () => {
    await using made = await world({ maxSockets: 300, maxSocketsPerAddress: 100 });
    const open = (host: number, count: number) =>
      Promise.allSettled(
        Array.from({ length: count }, () => Browser.open(made.port, { localAddress: `127.0.0.${host}` })),
      );
    const tries = (await Promise.all([open(1, 130), open(2, 130), open(3, 130), open(4, 130)])).flat();
    const reasons = tries.flatMap((one) =>
      one.status === 'rejected' ? [(one.reason as Error).message] : [],
    );
    expect(made.gateway.numbers.sockets).toBe(300);
    expect(new Set(reasons)).toEqual(new Set(['429', '503']));
    expect(reasons).toHaveLength(220);
    for (const one of tries) if (one.status === 'fulfilled') one.value.ws.terminate();
    await expect.poll(() => made.gateway.numbers.sockets).toBe(0);
    const again = await Browser.open(made.port);
    again.ws.close();
  });

  test('new WebSockets of one address have a rate', async () => {
    await using made = await world({ pageBurst: 2, pagesPerSecond: 0.001 });
    const open = () => Browser.open(made.port);
    const browsers = [await open(), await open()];
    await expect(open()).rejects.toThrow('429');
    expect(made.gateway.numbers.refused.get('page_rate')).toBe(1);
    for (const { ws } of browsers) ws.close();
  });

  test('one connection has so many envelopes under way and no more', async () => {
    await using made = await world();
    made.answer = () => new Promise(() => {});
    const browser = await Browser.open(made.port);
    for (let id = 1; id <= 70; id++) browser.send(id, BODY);
    expect(await browser.failure(65)).toBe('limited');
    await expect.poll(() => made.gateway.numbers.pending).toBe(64);
    browser.ws.terminate();
    await expect.poll(() => made.gateway.numbers.pending).toBe(0);
  });

  test('behind a proxy the address is what that proxy says, an IPv6 /64 being one', async () => {
    await using made = await world({ burst: 2, perSecond: 0.001, behindProxy: true });
    const from = async (...addresses: string[]) => {
      const headers = { 'x-forwarded-for': addresses.join(', ') };
      return (await ask(made.port, ONION, { body: BODY, headers })).status;
    };
    expect([await from('198.51.100.1'), await from('198.51.100.1'), await from('198.51.100.1')]).toEqual([
      200, 200, 429,
    ]);
    // A proxy that adds ports makes nobody new.
    expect(await from('198.51.100.1:40001')).toBe(429);
    // What the client itself claims stands before what the proxy says.
    expect(await from('203.0.113.9', '198.51.100.1')).toBe(429);
    expect([
      await from('2001:db8:0:1::1'),
      await from('2001:db8:0:1:ffff::2'),
      await from('2001:db8:0:1::3'),
      await from('2001:db8:0:2::1'),
    ]).toEqual([200, 200, 429, 200]);
  });

  test('without that switch nobody can claim another address', async () => {
    await using made = await world({ burst: 1, perSecond: 0.001 });
    const from = async (address: string) =>
      (await ask(made.port, ONION, { body: BODY, headers: { 'x-forwarded-for': address } })).status;
    expect([await from('198.51.100.1'), await from('198.51.100.2')]).toEqual([200, 429]);
  });
});

describe('malformed WebSockets', () => {
  const beginning = [...requestFrames(1, GUARD, new Uint8Array(200_000))][0]!;
  test.each<[string, (browser: Browser) => void, number]>([
    ['text', ({ ws }) => ws.send('hello'), 1003],
    ['an empty frame', ({ ws }) => ws.send(new Uint8Array(0)), 1002],
    ['an unknown type', ({ ws }) => ws.send(new Uint8Array([99, 0, 0, 0, 0])), 1002],
    ['an answer', ({ ws }) => ws.send(new Uint8Array([4, 1, 0, 0, 0, 200, 0, 0, 0, 0, 0])), 1002],
    ['a failure', ({ ws }) => ws.send(new Uint8Array([5, 1, 0, 0, 0, 1])), 1002],
    ['a frame that is too long', ({ ws }) => ws.send(new Uint8Array(100_000)), 1009],
    [
      'an id that is in use',
      ({ ws }) => {
        ws.send(beginning);
        ws.send(beginning);
      },
      1002,
    ],
    [
      'more than was announced',
      ({ ws }) => {
        ws.send(beginning);
        for (let i = 0; i < 4; i++) ws.send(new Uint8Array(65_541).fill(2, 0, 1).fill(1, 1, 2).fill(0, 2, 5));
      },
      1002,
    ],
  ])('%s ends the connection', async (_, say, expected) => {
    await using made = await world();
    const browser = await Browser.open(made.port);
    say(browser);
    expect(await browser.closed()).toBe(expected);
    await expect.poll(() => made.gateway.numbers.bufferedBytes).toBe(0);
    expect(made.asked).toEqual([]);
    expect(made.gateway.numbers.refused.get('socket_malformed')).toBeGreaterThan(0);
  });

  test('who does not speak our protocol gets no WebSocket, and compression is not had', async () => {
    await using made = await world();
    const plain = new WebSocket(`ws://127.0.0.1:${made.port}/v1/socket`);
    const status = await new Promise((resolve) => {
      plain.on('unexpected-response', (_, response) => resolve(response.statusCode));
      plain.on('error', () => {});
    });
    expect(status).toBe(400);
    const browser = await Browser.open(made.port);
    expect(browser.ws.extensions).toBe('');
    browser.ws.close();
  });

  test('a part that nobody began is ignored', async () => {
    await using made = await world();
    const browser = await Browser.open(made.port);
    browser.ws.send(new Uint8Array([2, 7, 0, 0, 0, 1]));
    browser.ws.send(new Uint8Array([3, 8, 0, 0, 0]));
    browser.send(1, BODY);
    expect((await browser.answer(1)).length).toBe(3);
    browser.ws.close();
  });
});
