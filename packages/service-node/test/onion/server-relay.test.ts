// SPDX-License-Identifier: AGPL-3.0-or-later
// Server relays (spec/storage-server §4.6, §9.3.3) against real servers on loopback and a resolver of the test's own.
import { createServer, type RequestListener, type Server } from 'node:http';
import { AddressRules } from '@allium/net/address-rules';
import { systemEnv } from '@allium/net/system-env';
import { describe, expect, test } from 'vitest';
import { type RelayTarget, type Resolve, relayTarget, ServerRelay } from '../../src/onion/server-relay.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

class TestServer implements AsyncDisposable {
  readonly #server: Server;
  requests: { url: string; method: string; headers: Record<string, unknown>; body: string }[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(answer: RequestListener): Promise<TestServer> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { url = '', method = '', headers } = request;
        started.requests.push({ url, method, headers, body: Buffer.concat(parts).toString() });
        answer(request, response);
      });
    });
    const started = new TestServer(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return started;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

interface Options {
  readonly exempt?: readonly string[];
  readonly resolve?: Resolve;
  readonly maxConcurrent?: number;
}

function makeRelay(
  { exempt = ['127.0.0.0/8'], resolve, maxConcurrent = 10 }: Options = {},
  env = systemEnv(),
) {
  const rules = new AddressRules(exempt);
  const options = { rules, maxConcurrent, userAgent: 'test', http: true, ...(resolve && { resolve }) };
  return new ServerRelay(options, env);
}

const local = (port: number, host = '127.0.0.1'): RelayTarget => ({
  protocol: 'http',
  host,
  port,
  path: '/oxen/v4/lsrpc',
});
const text = (body: Uint8Array) => Buffer.from(body).toString();
const ok: RequestListener = (_, response) => response.writeHead(200, { 'x-own': 'yes' }).end('answer');

describe('what may be asked for', () => {
  const layer = { host: 'example.org', port: 443, protocol: 'https', target: '/oxen/v4/lsrpc' };

  test.each(['/loki/v3/lsrpc', '/loki/oxen/v4/lsrpc', '/oxen/v3/lsrpc'])('%s', (target) => {
    expect(relayTarget({ ...layer, target }, true)).toMatchObject({ path: target, host: 'example.org' });
  });

  test.each([
    ['another prefix', { target: '/other/v4/lsrpc' }],
    ['another suffix', { target: '/oxen/v4/lsrpc2' }],
    ['a query', { target: '/oxen/v4/lsrpc?x=/lsrpc' }],
    ['a fragment', { target: '/oxen/v4#/lsrpc' }],
    ['a second line', { target: '/oxen/v4\r\nhost: evil\r\n/lsrpc' }],
    ['a blank', { target: '/oxen/v4 /lsrpc' }],
    ['a step upwards', { target: '/oxen/../admin/lsrpc' }],
    ['a hidden step upwards', { target: '/oxen/%2e%2E/admin/lsrpc' }],
    ['another protocol', { protocol: 'ftp' }],
    ['a host with path', { host: 'example.org/x' }],
    ['a host with user', { host: 'a@example.org' }],
    ['a host with port', { host: 'example.org:80' }],
    ['an empty host', { host: '' }],
    ['port 0', { port: 0 }],
  ])('not %s', (_, change) => {
    expect(relayTarget({ ...layer, ...change }, true)).toBeUndefined();
  });

  test('http only when the operator allows it', () => {
    expect(relayTarget({ ...layer, protocol: 'http' }, true)).toBeDefined();
    expect(relayTarget({ ...layer, protocol: 'http' }, false)).toBeUndefined();
  });

  test.each([
    ['127.1', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['017700000001', '127.0.0.1'],
    ['[::1]', '::1'],
    ['EXAMPLE.org', 'example.org'],
  ])('%s is %s', (host, canonical) => {
    expect(relayTarget({ ...layer, host }, true)?.host).toBe(canonical);
  });
});

describe('the exchange', () => {
  test('posts the payload as it is, and passes status, body and headers back', async () => {
    await using server = await TestServer.start((_, response) =>
      response.writeHead(418, { 'x-own': 'yes', connection: 'close' }).end('teapot'),
    );
    const answer = await makeRelay().relay(local(server.port), Buffer.from('payload'));
    expect(answer).toMatchObject({ status: 418, headers: { 'x-own': 'yes' } });
    expect(answer.headers).not.toHaveProperty('connection');
    expect(text(answer.body)).toBe('teapot');
    expect(server.requests).toMatchObject([
      {
        method: 'POST',
        url: '/oxen/v4/lsrpc',
        body: 'payload',
        headers: { 'user-agent': 'test', 'content-type': 'application/octet-stream' },
      },
    ]);
  });

  test('redirects are passed back, not followed', async () => {
    await using server = await TestServer.start((_, response) =>
      response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    );
    expect((await makeRelay().relay(local(server.port), Buffer.from(''))).status).toBe(302);
    expect(server.requests).toHaveLength(1);
  });

  test('a closed port is 502, an answer beyond 10 MiB too', async () => {
    expect((await makeRelay().relay(local(1), Buffer.from(''))).status).toBe(502);
    await using server = await TestServer.start((_, response) => {
      response.on('error', () => {});
      response.end(Buffer.alloc(10 * 1024 * 1024 + 1));
    });
    const answer = await makeRelay().relay(local(server.port), Buffer.from(''));
    expect([answer.status, text(answer.body)]).toEqual([502, 'The answer of the server is too large']);
  });

  test('a server that says nothing is 504 after 25 s', async () => {
    let arrived: () => void = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await using server = await TestServer.start(() => arrived());
    const clock = new TestClock();
    const answer = makeRelay({}, testEnv(clock)).relay(local(server.port), Buffer.from(''));
    await arrival;
    clock.advance(24_999);
    clock.advance(1);
    expect((await answer).status).toBe(504);
  });

  test('more than the limit at once is 503; stopping gives the waiting ones up', async () => {
    await using server = await TestServer.start(() => {});
    const relay = makeRelay({ maxConcurrent: 1 });
    const first = relay.relay(local(server.port), Buffer.from(''));
    expect((await relay.relay(local(server.port), Buffer.from(''))).status).toBe(503);
    relay.stop();
    expect((await first).status).toBe(504);
  });
});

describe('addresses', () => {
  const REFUSED = [502, 'The server has no address that may be relayed to'];
  const resolveTo =
    (...addresses: string[]): Resolve =>
    async () =>
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

  test.each([
    ['a loopback literal', '127.0.0.1', undefined],
    ['an IPv6 literal', '::1', undefined],
    ['a name of loopback', 'server.test', resolveTo('127.0.0.1')],
    ['a name of a private network', 'server.test', resolveTo('10.1.2.3', '192.168.0.1')],
    ['a name of metadata', 'server.test', resolveTo('169.254.169.254')],
    ['a name of mapped loopback', 'server.test', resolveTo('::ffff:127.0.0.1')],
    ['a name of NAT64 loopback', 'server.test', resolveTo('64:ff9b::7f00:1')],
    ['a name without address', 'server.test', resolveTo()],
  ])('%s is refused without a connection', async (_, host, resolve) => {
    await using server = await TestServer.start(ok);
    const relay = makeRelay({ exempt: [], ...(resolve && { resolve }) });
    const { status, body } = await relay.relay(local(server.port, host), Buffer.from(''));
    expect([status, text(body)]).toEqual(REFUSED);
    expect(server.requests).toEqual([]);
  });

  test('the connection goes to the address that was checked, whatever the name says later', async () => {
    await using server = await TestServer.start(ok);
    let asked = 0;
    const resolve: Resolve = async () => {
      asked++;
      return [{ address: asked === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    };
    const relay = makeRelay({ resolve });
    const { status } = await relay.relay(local(server.port, 'server.test'), Buffer.from(''));
    expect([status, asked]).toEqual([200, 1]);
    expect(server.requests[0]?.headers.host).toBe(`server.test:${server.port}`);
  });

  test('of several addresses only the allowed ones are used', async () => {
    await using server = await TestServer.start(ok);
    const resolve = resolveTo('10.0.0.1', '127.0.0.1', '192.168.0.1');
    const relay = makeRelay({ resolve });
    expect((await relay.relay(local(server.port, 'server.test'), Buffer.from(''))).status).toBe(200);
  });

  test('a name that does not resolve is 502', async () => {
    const relay = makeRelay({ resolve: () => Promise.reject(new Error('ENOTFOUND')) });
    expect((await relay.relay(local(1, 'server.test'), Buffer.from(''))).status).toBe(502);
  });
});
