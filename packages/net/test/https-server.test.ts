// SPDX-License-Identifier: MIT
// spec/storage-server §3.1, §3.2, §9.3.15, over real TLS on loopback.
import { request as plainRequest } from 'node:http';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import type { Logger } from '@allium/protocol/env';
import { describe, expect, test } from 'vitest';
import type { HttpsRequest } from '../src/https-server.ts';
import { silentLog, systemEnv } from '../src/system-env.ts';
import { until } from '../src/testing/until.ts';
import { ask, raw, serve } from './https-support.ts';

describe('a request', () => {
  test('reaches the handler whole, its answer has exact length and the common headers', async () => {
    let seen: HttpsRequest | undefined;
    await using made = await serve({
      headers: { Server: 'Oxen Storage Server/2.11.0' },
      handler: (received) => {
        seen = received;
        return { status: 201, headers: { 'Content-Type': 'application/json' }, body: '{"ü":1}' };
      },
    });
    const answer = await ask(made.port, {
      path: '/storage_rpc/v1?a=b',
      headers: { 'X-Test': 'yes' },
      body: 'body',
    });
    expect(answer.status).toBe(201);
    expect(answer.body.toString()).toBe('{"ü":1}');
    expect(answer.headers).toMatchObject({
      server: 'Oxen Storage Server/2.11.0',
      'content-type': 'application/json',
      'content-length': '8',
    });
    expect(seen).toMatchObject({ method: 'POST', path: '/storage_rpc/v1?a=b', remoteAddress: '127.0.0.1' });
    expect(seen?.headers['x-test']).toBe('yes');
    expect(Buffer.from(seen?.body ?? []).toString()).toBe('body');
    expect(seen?.body.constructor).toBe(Uint8Array);
  });

  test('of any size up to the limit, with a length or chunked', async () => {
    await using made = await serve();
    for (const size of [0, 1, 16_384, 65_537, 1_000_000, 10_485_760]) {
      const body = Buffer.alloc(size, size % 251);
      for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
        const answer = await ask(made.port, { body, headers });
        expect(answer.status).toBe(200);
        expect(answer.body.equals(body)).toBe(true);
      }
    }
  });

  test('without a body, with an empty answer, or HEAD', async () => {
    await using made = await serve({ handler: ({ method }) => ({ status: method === 'GET' ? 204 : 200 }) });
    expect((await ask(made.port, { method: 'GET' })).status).toBe(204);
    expect(await ask(made.port)).toMatchObject({ status: 200, headers: { 'content-length': '0' } });
    expect((await ask(made.port, { method: 'HEAD' })).status).toBe(200);
  });

  test('keeps the connection for the next', async () => {
    await using made = await serve();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) await ask(made.port, { agent, body: String(i) });
    expect(made.server.connections).toBe(1);
    agent.destroy();
  });

  test('pipelined behind another gets its answer behind the other’s', async () => {
    await using made = await serve({
      handler: async ({ path }) => {
        if (path === '/slow') await new Promise((resolve) => setTimeout(resolve, 30));
        return { status: 200, body: `[${path}]` };
      },
    });
    const { socket, seen } = await raw(made.port);
    socket.write('GET /slow HTTP/1.1\r\n\r\nGET /fast HTTP/1.1\r\n\r\n');
    await until(() => seen.text.includes('[/fast]'), 'both answers');
    expect(seen.text.indexOf('[/slow]')).toBeLessThan(seen.text.indexOf('[/fast]'));
    socket.destroy();
  });

  test('may wait for 100 Continue', async () => {
    await using made = await serve();
    const { socket, seen } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
    await until(() => seen.text.includes('100 Continue'), '100');
    socket.write('body');
    await until(() => seen.text.endsWith('body'), 'the answer');
    socket.destroy();
  });
});

describe('what is refused', () => {
  test('precheck answers before the body is read', async () => {
    let handled = 0;
    await using made = await serve({
      precheck: ({ path, remoteAddress }) =>
        path === '/limited' ? { status: 429, body: `Too Many Requests\n${remoteAddress}` } : undefined,
      handler: () => {
        handled++;
        return { status: 200 };
      },
    });
    const { socket, seen } = await raw(made.port);
    socket.write('POST /limited HTTP/1.1\r\nContent-Length: 4\r\n\r\n');
    await until(() => seen.text.includes('Too Many Requests\n127.0.0.1'), 'the answer');
    socket.write('body'); // the connection goes on
    socket.write('POST /fine HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody');
    await until(() => seen.text.includes('200 OK'), 'the next answer');
    expect(handled).toBe(1);
    socket.destroy();
  });

  test('a length that is none: 400 and closed', async () => {
    await using made = await serve({ headers: { Server: 'ours' } });
    for (const length of ['abc', '-1', '1e3', '4, 5', '99999999999999999999999999']) {
      const { socket, seen, closed } = await raw(made.port);
      socket.write(`POST / HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n`);
      await closed();
      expect(seen.text).toMatch(/^HTTP\/1\.1 (400|413) /);
      if (seen.text.startsWith('HTTP/1.1 400')) expect(seen.text).toMatch(/invalid Content-Length$/);
      expect(seen.text).toContain('Server: ours');
    }
  });

  test('a length beyond the limit: 413 and closed, without reading', async () => {
    await using made = await serve();
    const { socket, seen, closed } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nContent-Length: 10485761\r\n\r\n');
    await closed();
    expect(seen.text).toMatch(/^HTTP\/1\.1 413 /);
    expect(seen.text).toMatch(/connection: close/i);
    expect(seen.text).toMatch(/Request body too large$/);
    expect(made.server.runningRequests).toBe(0);
  });

  test('a chunked body beyond the limit: 413 while it is read', async () => {
    let handled = 0;
    await using made = await serve({
      maxBodyBytes: 100_000,
      handler: () => {
        handled++;
        return { status: 200 };
      },
    });
    const { socket, seen, closed } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 3; i++) socket.write(`c350\r\n${'x'.repeat(50_000)}\r\n`);
    await closed();
    expect(seen.text).toMatch(/^HTTP\/1\.1 413 [\s\S]*Request body too large$/);
    expect(handled).toBe(0);
  });

  test('a body that does not end in time: 408 and closed', async () => {
    await using made = await serve({ bodyTimeoutMs: 100, headTimeoutMs: 1_000 });
    const { socket, seen, closed } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc');
    await closed();
    expect(seen.text).toMatch(/^(HTTP\/1\.1 408 |$)/);
    await until(() => made.server.runningRequests === 0, 'the request to be forgotten');
  });

  test('a head that does not end in time or is too large', async () => {
    await using made = await serve({ headTimeoutMs: 1_000 });
    const slow = await raw(made.port);
    slow.socket.write('POST / HTTP/1.1\r\nHost: x');
    await slow.closed();
    const large = await raw(made.port);
    large.socket.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    await large.closed();
    expect(large.seen.text).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('what is no HTTP, and no TLS, without harm to others', async () => {
    await using made = await serve();
    const { socket, seen, closed } = await raw(made.port);
    socket.write('\x00\x01\x02 nonsense\r\n\r\n');
    await closed();
    expect(seen.text).toMatch(/^HTTP\/1\.1 400 /);
    const plain = plainRequest({ host: '127.0.0.1', port: made.port });
    await new Promise((resolve) => plain.on('error', resolve).end());
    expect((await ask(made.port, { body: 'fine' })).status).toBe(200);
  });

  test('more requests at once than allowed: 503', async () => {
    const finish: (() => void)[] = [];
    await using made = await serve({
      maxConcurrentRequests: 2,
      handler: () => new Promise((resolve) => finish.push(() => resolve({ status: 200 }))),
    });
    const first = [ask(made.port, { body: 'x' }), ask(made.port, { body: 'x' })];
    await until(() => finish.length === 2, 'two running');
    const third = await ask(made.port, { body: 'x' });
    expect(third.status).toBe(503);
    expect(third.body.toString()).toBe('Server busy, try again later');
    for (const run of finish) run();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('one address cannot take all places', async () => {
    const finish: (() => void)[] = [];
    await using made = await serve({
      maxConcurrentRequests: 3,
      maxConcurrentPerAddress: 2,
      handler: () => new Promise((resolve) => finish.push(() => resolve({ status: 200 }))),
    });
    const first = [ask(made.port, { body: 'x' }), ask(made.port, { body: 'x' })];
    await until(() => finish.length === 2, 'two running');
    expect((await ask(made.port, { body: 'x' })).status).toBe(503);
    const other = ask(made.port, { body: 'x', localAddress: '127.0.0.2' });
    await until(() => finish.length === 3, 'the other address');
    for (const run of finish) run();
    expect((await Promise.all([...first, other])).map(({ status }) => status)).toEqual([200, 200, 200]);
    const again = ask(made.port, { body: 'x' });
    await until(() => finish.length === 4, 'room again');
    finish[3]?.();
    expect((await again).status).toBe(200);
  });

  test('more bytes of bodies at once than allowed: 503', async () => {
    const finish: (() => void)[] = [];
    await using made = await serve({
      maxBufferedBytes: 100_000,
      handler: () => new Promise((resolve) => finish.push(() => resolve({ status: 200 }))),
    });
    const first = ask(made.port, { body: Buffer.alloc(80_000) });
    await until(() => finish.length === 1, 'one running');
    expect((await ask(made.port, { body: Buffer.alloc(30_000) })).status).toBe(503);
    finish[0]?.();
    expect((await first).status).toBe(200);
    const again = ask(made.port, { body: Buffer.alloc(30_000) });
    await until(() => finish.length === 2, 'room again');
    finish[1]?.();
    expect((await again).status).toBe(200);
  });

  test('one address cannot fill the room for bodies', async () => {
    const finish: (() => void)[] = [];
    await using made = await serve({
      maxBufferedBytes: 100_000,
      maxBodyBytes: 20_000,
      handler: () => new Promise((resolve) => finish.push(() => resolve({ status: 200 }))),
    });
    const body = Buffer.alloc(15_000);
    const first = ask(made.port, { body });
    await until(() => finish.length === 1, 'one running');
    expect((await ask(made.port, { body })).status).toBe(503);
    const other = ask(made.port, { body, localAddress: '127.0.0.2' });
    await until(() => finish.length === 2, 'the other address');
    for (const run of finish) run();
    expect((await Promise.all([first, other])).map(({ status }) => status)).toEqual([200, 200]);
    const again = ask(made.port, { body });
    await until(() => finish.length === 3, 'room again');
    finish[2]?.();
    expect((await again).status).toBe(200);
  });
});

describe('a handler', () => {
  test('that throws, rejects or answers nonsense costs its request alone', async () => {
    const errors: unknown[] = [];
    const log: Logger = { ...silentLog, error: (fields) => errors.push(fields.error) };
    await using made = await serve(
      {
        precheck: ({ path }) => {
          if (path === '/precheck') throw new Error('fault');
          return undefined;
        },
        handler: ({ path }) => {
          if (path === '/throw') throw new Error('fault');
          if (path === '/reject') return Promise.reject(new Error('fault'));
          return { status: 200, headers: path === '/header' ? { Bad: 'a\r\nb' } : {} };
        },
      },
      systemEnv(log),
    );
    for (const path of ['/throw', '/reject', '/precheck']) {
      const answer = await ask(made.port, { path, body: 'x' });
      expect(answer.status).toBe(500);
      expect(answer.body.toString()).toBe('request failed');
    }
    await expect(ask(made.port, { path: '/header', body: 'x' })).rejects.toThrow();
    expect(errors).toHaveLength(4);
    expect((await ask(made.port, { body: 'x' })).status).toBe(200);
    expect(made.server.runningRequests).toBe(0);
  });

  test('learns by its signal that the client has gone', async () => {
    let signal: AbortSignal | undefined;
    await using made = await serve({
      handler: (received) => {
        signal = received.signal;
        return new Promise(() => {});
      },
    });
    const { socket } = await raw(made.port);
    socket.write('POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx');
    await until(() => signal !== undefined, 'the handler');
    expect(signal?.aborted).toBe(false);
    socket.destroy();
    await until(() => signal?.aborted === true, 'the abort');
    expect(made.server.runningRequests).toBe(0);
  });
});

describe('stop', () => {
  test('waits for what runs, closes what idles, and may be called twice', async () => {
    let finish: () => void = () => {};
    const made = await serve({
      handler: () => new Promise((resolve) => (finish = () => resolve({ status: 200, body: 'done' }))),
    });
    const idle = await raw(made.port);
    const silent = connectTcp(made.port, '127.0.0.1'); // never begins TLS
    silent.on('error', () => {});
    const agent = new Agent({ keepAlive: true });
    const running = ask(made.port, { agent, body: 'x' });
    await until(() => made.server.runningRequests === 1, 'the request');
    let stopped = false;
    const stopping = Promise.all([made.server.stop(), made.server.stop()]).then(() => {
      stopped = true;
    });
    await idle.closed();
    expect(stopped).toBe(false);
    finish();
    const answer = await running;
    expect(answer.body.toString()).toBe('done');
    expect(answer.headers.connection).toBe('close');
    await stopping;
    expect(made.server.connections).toBe(0);
    agent.destroy();
    silent.destroy();
  });

  test('does not wait for ever', async () => {
    const made = await serve({ stopTimeoutMs: 50, handler: () => new Promise(() => {}) });
    const outcome = expect(ask(made.port, { body: 'x' })).rejects.toThrow();
    await until(() => made.server.runningRequests === 1, 'the request');
    await made.server.stop();
    await outcome;
  });

  test('leaves the port free for a new start', async () => {
    const made = await serve();
    await made.server.stop();
    const { port } = await made.server.start();
    expect((await ask(port, { body: 'x' })).status).toBe(200);
    expect(await made.server.start()).toEqual({ port });
    await made.server.stop();
  });
});

test('TLS below 1.2 is refused', async () => {
  await using made = await serve();
  const tried = connect({
    host: '127.0.0.1',
    port: made.port,
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  const outcome = await new Promise((resolve) => {
    tried.on('secureConnect', () => resolve('connected'));
    tried.on('error', () => resolve('refused'));
  });
  expect(outcome).toBe('refused');
});
