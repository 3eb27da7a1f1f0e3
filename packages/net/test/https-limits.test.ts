// SPDX-License-Identifier: MIT
// What a listener does with those who only want to cost it something (spec/storage-server §7, docs/limits.md).
import { connect as connectTcp, createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { until } from '../src/testing/until.ts';
import { ask, raw, serve } from './https-support.ts';
import { manualEnv } from './omq/support.ts';

/** Bytes only, no TLS. */
async function tcp(port: number, localAddress = '127.0.0.1') {
  const socket = connectTcp({ host: '127.0.0.1', port, localAddress });
  let isClosed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  socket.resume();
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, closed: () => until(() => isClosed, 'the connection to be closed') };
}

/** A request whose body never ends. */
async function slowBody(port: number, address: string, bytes: number, length = 1_000_000) {
  const peer = await raw(port, address);
  peer.socket.write(`POST / HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n`);
  peer.socket.write(Buffer.alloc(bytes));
  return peer;
}

describe('slow clients', () => {
  test('a head that drips is cut, and counted', async () => {
    await using made = await serve({ headTimeoutMs: 1_000 });
    const { socket, seen, closed } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 20);
    await closed();
    clearInterval(drip);
    expect(seen.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(made.refused).toEqual({ head_time: 1 });
  });

  test('a body that drips is cut, and counted', async () => {
    await using made = await serve({ headTimeoutMs: 1_000, bodyTimeoutMs: 100 });
    const { socket, closed } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n');
    const drip = setInterval(() => socket.write('x'), 20);
    await closed();
    clearInterval(drip);
    expect(made.refused).toEqual({ body_time: 1 });
    await until(() => made.server.runningRequests === 0, 'the place');
  });

  test('half-open connections, without TLS or with half of it, are cut', async () => {
    await using made = await serve({ headTimeoutMs: 100 });
    const silent = await tcp(made.port);
    const half = await tcp(made.port);
    half.socket.write(Buffer.from('1603010200010001fc0303', 'hex')); // the start of a ClientHello
    await Promise.all([silent.closed(), half.closed()]);
    expect(made.refused).toEqual({ tls_time: 2 });
    await until(() => made.server.connections === 0, 'the connections to be forgotten');
  });

  test('an idle connection is closed after a while', async () => {
    await using made = await serve({ keepAliveMs: 50 });
    const { socket, seen, closed } = await raw(made.port);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await closed();
    expect(seen.text).toMatch(/^HTTP\/1\.1 200 /);
    expect(made.refused).toEqual({});
  });

  test('who keeps all places with slow bodies gives way to who sends at once', async () => {
    const { clock, env } = manualEnv();
    await using made = await serve({ maxConcurrentRequests: 2 }, env);
    const slow = [
      await slowBody(made.port, '127.0.0.2', 1),
      await slowBody(made.port, '127.0.0.3', 1),
    ] as const;
    await until(() => made.server.runningRequests === 2, 'both');
    expect((await ask(made.port, { body: 'x' })).status).toBe(503);
    await clock.advance(2_000);
    expect((await ask(made.port, { body: 'x' })).status).toBe(200);
    await slow[0].closed();
    expect(slow[0].seen.text).toMatch(/^HTTP\/1\.1 503 [\s\S]*Server busy/);
    expect(made.refused).toEqual({ requests: 2 });
    expect(made.server.runningRequests).toBe(1);
    slow[1].socket.destroy();
  });

  test('the largest unfinished body gives way when there is no room for another', async () => {
    await using made = await serve({ maxBufferedBytes: 100_000, maxBodyBytes: 60_000 });
    const large = await slowBody(made.port, '127.0.0.2', 45_000, 60_000);
    const small = await slowBody(made.port, '127.0.0.3', 30_000, 60_000);
    await until(() => made.server.runningRequests === 2, 'both');
    const body = Buffer.alloc(40_000, 7);
    const answer = await ask(made.port, { body });
    expect(answer.status).toBe(200);
    expect(answer.body.equals(body)).toBe(true);
    await large.closed();
    expect(large.seen.text).toMatch(/^HTTP\/1\.1 503 /);
    expect(small.seen.text).toBe('');
    expect(made.refused).toEqual({ body_bytes: 1 });
    small.socket.destroy();
  });

  test('an answer that nobody reads gives way to others, one client has a quarter of the room', async () => {
    const { clock, env } = manualEnv();
    const large = Buffer.alloc(8_000_000);
    await using made = await serve(
      {
        maxBufferedBytes: 12_000_000,
        maxBodyBytes: 9_000_000,
        handler: () => ({ status: 200, body: large }),
      },
      env,
    );
    const lazy = await raw(made.port, '127.0.0.2');
    lazy.socket.pause();
    lazy.socket.write('GET / HTTP/1.1\r\n\r\n');
    await until(() => lazy.socket.bytesRead > 0 || lazy.socket.readableLength > 0, 'the answer to begin');
    const mine = await ask(made.port, { localAddress: '127.0.0.2' });
    expect(mine.status).toBe(503);
    expect((await ask(made.port)).status).toBe(503);
    expect(made.refused).toEqual({ answer_bytes_per_address: 1, answer_bytes: 1 });
    await clock.advance(10_000);
    expect((await ask(made.port)).body.length).toBe(large.length);
    lazy.socket.resume();
    await lazy.closed();
  });
});

describe('large and strange requests', () => {
  test('compressed bodies are refused unread, whatever they would become', async () => {
    let handled = 0;
    await using made = await serve({
      handler: () => {
        handled++;
        return { status: 200 };
      },
    });
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    for (const encoding of ['gzip', 'deflate', 'br', 'gzip, identity']) {
      const answer = await ask(made.port, { headers: { 'Content-Encoding': encoding }, body: bomb });
      expect(answer.status).toBe(415);
      expect(answer.body.toString()).toBe('Content-Encoding is not supported, send the body as it is');
    }
    expect(handled).toBe(0);
    expect((await ask(made.port, { headers: { 'Content-Encoding': 'identity' }, body: 'x' })).status).toBe(
      200,
    );
    expect(made.refused).toEqual({ content_encoding: 4 });
  });

  test('a head of many or long lines: 431', async () => {
    await using made = await serve();
    const lines = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, 'y']));
    const { headers, status } = await ask(made.port, { headers: lines(101) });
    expect({ status, connection: headers.connection }).toEqual({ status: 431, connection: 'close' });
    expect((await ask(made.port, { headers: lines(90) })).status).toBe(200);
    expect((await ask(made.port, { headers: { 'x-long': 'x'.repeat(17_000) } })).status).toBe(431);
    expect(made.refused).toEqual({ head_size: 2 });
  });

  test('one connection may not ask endlessly without waiting for answers', async () => {
    await using made = await serve({ handler: () => new Promise(() => {}), stopTimeoutMs: 50 });
    const { socket, closed } = await raw(made.port);
    socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(1_000));
    await closed();
    expect(made.refused).toEqual({ pipelined: 1, shut_out: 1 });
    await until(() => made.server.runningRequests === 0, 'the places');
  });
});

describe('connections', () => {
  test('are limited in number, in all and per address', async () => {
    await using made = await serve({ maxConnections: 2, maxConnectionsPerAddress: 1 });
    const first = await tcp(made.port, '127.0.0.2');
    await (await tcp(made.port, '127.0.0.2')).closed();
    await tcp(made.port, '127.0.0.3');
    await (await tcp(made.port, '127.0.0.4')).closed();
    expect(made.refused).toEqual({ connections_per_address: 1, connections: 1 });
    first.socket.destroy();
    await until(() => made.server.connections === 1, 'room');
    expect((await ask(made.port, { localAddress: '127.0.0.4' })).status).toBe(200);
  });

  test('are limited in how fast they come, in all and per address', async () => {
    const { clock, env } = manualEnv();
    await using made = await serve(
      { connectionBurst: 2, connectionsPerSecond: 1, allConnectionsPerSecond: 1 },
      env,
    );
    const open = (address: string) => ask(made.port, { localAddress: address });
    await open('127.0.0.2');
    await open('127.0.0.2');
    await expect(open('127.0.0.2')).rejects.toThrow();
    expect(made.refused).toEqual({ connection_rate_per_address: 1 });
    for (const address of ['127.0.0.3', '127.0.0.4']) await open(address);
    await expect(open('127.0.0.6')).rejects.toThrow();
    expect(made.refused).toEqual({ connection_rate_per_address: 1, connection_rate: 1 });
    await clock.advance(1_000);
    expect((await open('127.0.0.2')).status).toBe(200);
  });

  test('of an address that goes on after many refusals are cut, for ten seconds', async () => {
    const { clock, env } = manualEnv();
    await using made = await serve(
      { maxRefusals: 3, precheck: ({ path }) => (path === '/over' ? { status: 429 } : undefined) },
      env,
    );
    const bystander = await raw(made.port, '127.0.0.3');
    const idle = await raw(made.port, '127.0.0.2');
    const flood = await raw(made.port, '127.0.0.2');
    for (let i = 0; i < 3; i++) flood.socket.write('GET /over HTTP/1.1\r\n\r\n');
    await Promise.all([flood.closed(), idle.closed()]);
    await (await tcp(made.port, '127.0.0.2')).closed();
    expect(made.refused).toEqual({ shut_out: 2 });
    bystander.socket.write('GET / HTTP/1.1\r\n\r\n');
    await until(() => bystander.seen.text.includes('200 OK'), 'the answer to another');
    bystander.socket.destroy();
    await clock.advance(10_000);
    expect((await ask(made.port, { localAddress: '127.0.0.2' })).status).toBe(200);
  });
});

test('a listener for both families counts a mapped address as the IPv4 client that it is', async ({
  skip,
}) => {
  if (!(await hasIpv6())) skip('this machine has no IPv6');
  await using made = await serve({ host: '::', maxConnectionsPerAddress: 1 });
  const four = await tcp(made.port);
  await (await tcp(made.port)).closed();
  const six = connectTcp({ host: '::1', port: made.port });
  six.on('error', () => {});
  await until(() => made.server.connections === 2, 'the client by IPv6');
  const again = connectTcp({ host: '::1', port: made.port });
  again.on('error', () => {}).resume();
  await new Promise((resolve) => again.once('close', resolve));
  expect(made.refused).toEqual({ connections_per_address: 2 });
  four.socket.destroy();
  six.destroy();
});

function hasIpv6(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(0, '::1', () => server.close(() => resolve(true)));
  });
}
