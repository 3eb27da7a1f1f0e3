// SPDX-License-Identifier: MIT
// Everything through a proxy, or nothing: SOCKS5 and HTTP CONNECT, good and bad ones.
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { ParseError } from '@allium/protocol/errors';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCertificate } from '../src/certificate.ts';
import { HttpsServer } from '../src/https-server.ts';
import { HttpsTransport } from '../src/https-transport.ts';
import { isolated, parseProxy, proxyText } from '../src/proxy.ts';
import { systemEnv } from '../src/system-env.ts';
import { ProxyServer, type ProxyServerOptions } from '../src/testing/proxy-server.ts';

const certificate = createCertificate();
const body = Buffer.from('body');

/** An HTTPS server that tells from where it is asked, a proxy, and a transport that knows only the proxy. */
async function through(options: ProxyServerOptions, credentials = '') {
  const server = new HttpsServer(
    {
      host: '127.0.0.1',
      port: 0,
      ...certificate,
      handler: ({ body }) => ({ status: 200, body }),
      stopTimeoutMs: 20,
    },
    systemEnv(),
  );
  const { port } = await server.start();
  const proxy = new ProxyServer({ names: { 'node.test': '127.0.0.1', localhost: '127.0.0.1' }, ...options });
  await proxy.start();
  const transport = new HttpsTransport({
    proxy: parseProxy(proxy.url.replace('//', `//${credentials}`)),
  });
  return {
    proxy,
    port,
    transport,
    ask: (host = '127.0.0.1', more = {}) =>
      transport.request({ url: `https://${host}:${port}/x`, body, timeoutMs: 5_000, ...more }),
    async [Symbol.asyncDispose]() {
      transport.close();
      await proxy.stop();
      await server.stop();
    },
  };
}

describe.each(['socks5', 'http'] as const)('over a proxy of kind %s', (kind) => {
  test('requests arrive over one connection that is kept, and names are looked up by the proxy', async () => {
    await using net = await through({ kind });
    for (let i = 0; i < 3; i++) expect((await net.ask('node.test')).body).toEqual(new Uint8Array(body));
    expect(net.proxy.asked).toEqual([{ host: 'node.test', port: net.port, username: expect.any(String) }]);
    expect((await net.ask()).status).toBe(200);
    expect(net.proxy.asked.map(({ host }) => host)).toEqual(['node.test', '127.0.0.1']);
  });

  test('each transport has a name of its own at the proxy', async () => {
    await using net = await through({ kind });
    await net.ask();
    const other = new HttpsTransport({ proxy: parseProxy(net.proxy.url) });
    await other.request({ url: `https://127.0.0.1:${net.port}/x`, body, timeoutMs: 5_000 });
    other.close();
    const [first, second] = net.proxy.asked.map(({ username }) => username);
    expect(first).toMatch(/^[0-9a-f]{16}$/);
    expect(second).toMatch(/^[0-9a-f]{16}$/);
    expect(first).not.toBe(second);
  });

  test('user and password are those that were given', async () => {
    const known = { username: 'al:ice'.replace(':', '%'), password: 'pass word@' };
    await using net = await through({ kind, ...known }, 'al%25ice:pass%20word%40@');
    expect((await net.ask()).status).toBe(200);
    expect(net.proxy.asked[0]?.username).toBe('al%ice');
    await using wrong = await through({ kind, ...known }, 'alice:other@');
    await expect(wrong.ask()).rejects.toMatchObject({ name: 'TransportError', code: 'proxy_refused' });
    expect(wrong.proxy.asked).toEqual([]);
  });

  test('pins are checked through it, and requests without TLS go through it too', async () => {
    await using net = await through({ kind });
    const { fingerprint256 } = new X509Certificate(certificate.certificatePem);
    const shown = connect({ host: '127.0.0.1', port: net.port, rejectUnauthorized: false });
    await once(shown, 'secureConnect');
    const key = shown.getPeerCertificate().pubkey ?? '';
    shown.destroy();
    const pins = {
      publicKey: createHash('sha256').update(key).digest('base64'),
      certificate: fingerprint256,
    };
    expect((await net.ask('localhost', { pins })).status).toBe(200);
    const other = { ...pins, certificate: '00'.repeat(32) };
    await expect(net.ask('localhost', { pins: other })).rejects.toMatchObject({ code: 'bad_certificate' });
    expect(net.proxy.asked.map(({ host }) => host)).toEqual(['localhost', 'localhost']);
    const plain = net.transport.request({ url: `http://127.0.0.1:${net.port}/`, timeoutMs: 2_000 });
    await plain.catch(() => undefined);
    expect(net.proxy.asked).toHaveLength(3);
  });

  test('a host that does not answer is the fault of the host', async () => {
    await using net = await through({ kind });
    for (const url of ['https://127.0.0.1:9/', 'https://nobody.test/']) {
      await expect(net.transport.request({ url, timeoutMs: 2_000 })).rejects.toMatchObject({
        code: 'unreachable',
      });
    }
  });

  test('a proxy that is not there, or gone, is told, and nothing goes past it', async () => {
    await using net = await through({ kind });
    await net.ask();
    await net.proxy.stop();
    let direct = 0;
    await using host = new ProxyServer({ kind: 'socks5', instead: () => direct++ });
    await host.start();
    for (const url of [`https://127.0.0.1:${net.port}/`, `https://127.0.0.1:${host.port}/`]) {
      await expect(net.transport.request({ url, timeoutMs: 2_000 })).rejects.toMatchObject({
        code: 'proxy_unreachable',
      });
    }
    const pins = { publicKey: '', certificate: '' };
    const pinned = net.transport.request({ url: `https://127.0.0.1:${host.port}/`, pins, timeoutMs: 2_000 });
    await expect(pinned).rejects.toMatchObject({ code: 'proxy_unreachable' });
    expect(direct).toBe(0);
  });

  test('a proxy that goes in the middle of an answer is at fault, not the host', async () => {
    await using slow = new ProxyServer({ kind: 'socks5', instead: () => {} });
    await slow.start();
    await using net = await through({ kind });
    const asked = net.transport.request({ url: `http://127.0.0.1:${slow.port}/`, timeoutMs: 5_000 });
    asked.catch(() => undefined);
    await expect.poll(() => slow.open).toBe(1);
    await net.proxy.stop();
    await expect(asked).rejects.toMatchObject({ code: 'proxy_unreachable' });
  });

  test.each([
    ['says nothing and closes', '', true],
    ['speaks another language', 'SSH-2.0-OpenSSH_9.6\r\n', false],
    ['never ends its greeting', `HTTP/1.1 200 OK\r\n${'X: yyyyyyyyyyyyyyyy\r\n'.repeat(5_000)}`, true],
    ['answers half', kind === 'http' ? 'HTTP/1.1 200' : '\x05', true],
    [
      'answers for the host',
      kind === 'http' ? 'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n' : '\x05\x09',
      false,
    ],
  ])('a proxy that %s', async (_what, says, closes) => {
    await using net = await through({
      kind,
      instead: (socket) => {
        socket.once('data', () => {
          socket.write(Buffer.from(says, 'latin1'));
          if (closes) socket.end();
        });
      },
    });
    await expect(net.ask()).rejects.toMatchObject({ code: expect.stringMatching(/^proxy_/) });
  });

  test('a proxy that hangs holds nobody longer than the deadline', async () => {
    await using net = await through({ kind, instead: () => {} });
    const abort = new AbortController();
    const asked = net.ask('127.0.0.1', { signal: abort.signal });
    await expect.poll(() => net.proxy.open).toBe(1);
    abort.abort();
    await expect(asked).rejects.toMatchObject({ code: 'aborted' });
  });
});

test.each([
  [{ kind: 'socks5', answer: 1 }, 'proxy_refused'],
  [{ kind: 'socks5', answer: 2 }, 'proxy_refused'],
  [{ kind: 'socks5', answer: 3 }, 'proxy_refused'],
  [{ kind: 'socks5', answer: 4 }, 'unreachable'],
  [{ kind: 'socks5', answer: 6 }, 'unreachable'],
  [{ kind: 'socks5', answer: 99 }, 'proxy_refused'],
  [{ kind: 'http', answer: 403 }, 'proxy_refused'],
  [{ kind: 'http', answer: 302 }, 'proxy_refused'],
  [{ kind: 'http', answer: 502 }, 'unreachable'],
  [{ kind: 'http', answer: 504 }, 'unreachable'],
] as const)('what %o means', async (options, code) => {
  await using net = await through(options);
  await expect(net.ask()).rejects.toMatchObject({ code });
});

test('a request without a proxy beside one with: connections are not shared', async () => {
  await using net = await through({ kind: 'socks5' });
  await net.ask();
  const direct = new HttpsTransport();
  await direct.request({ url: `https://127.0.0.1:${net.port}/x`, body, timeoutMs: 5_000 });
  direct.close();
  expect(net.proxy.asked).toHaveLength(1);
});

describe('the text of a proxy', () => {
  test('kinds, addresses, ports, users', () => {
    expect(parseProxy('socks5://127.0.0.1:9050')).toEqual({ kind: 'socks5', host: '127.0.0.1', port: 9050 });
    expect(parseProxy('socks5h://localhost')).toEqual({ kind: 'socks5', host: '127.0.0.1', port: 1080 });
    expect(parseProxy(' http://u:p%40@[::1]:3128/ ')).toEqual({
      kind: 'http',
      host: '::1',
      port: 3128,
      username: 'u',
      password: 'p@',
    });
    expect(proxyText(parseProxy('http://u:secret@[::1]:3128'))).toBe('http://[::1]:3128');
    expect(proxyText(parseProxy('http://10.0.0.1'))).toBe('http://10.0.0.1:80');
  });

  test.each([
    '',
    'tor',
    '127.0.0.1:9050',
    'socks4://127.0.0.1:9050',
    'https://127.0.0.1',
    'socks5://',
    'socks5://proxy.example.org:1080',
    'socks5://127.0.0.1:0',
    'socks5://127.0.0.1:99999',
    'socks5://127.0.0.1:9050/path',
    'socks5://127.0.0.1:9050?x',
    'http://:secret@127.0.0.1:80',
    'socks5://%ff:x@127.0.0.1',
    `socks5://${'u'.repeat(256)}:x@127.0.0.1`,
    `socks5://127.0.0.1:9050${' '.repeat(2_000)}`,
  ])('refuses %j', (text) => {
    const read = () => parseProxy(text);
    expect(read).toThrow(ParseError);
    expect(read).toThrow(/socks5:\/\/127/);
    expect(read).not.toThrow(/secret/);
  });

  test('never fails in another way, and what it accepts is written back the same', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('socks5://', 'http://', '@', ':', '127.0.0.1', '[::1]', '%'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          const proxy = parseProxy(pieces.join(''));
          const { username: _user, password: _password, ...rest } = proxy;
          expect(parseProxy(proxyText(proxy))).toEqual(rest);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
    );
  });

  test('a name of its own, unless it has one', () => {
    const bare = parseProxy('socks5://127.0.0.1:9050');
    expect(isolated(bare).username).not.toBe(isolated(bare).username);
    const named = parseProxy('socks5://me@127.0.0.1:9050');
    expect(isolated(named)).toBe(named);
  });
});

test('closing ends tunnels that come late', async () => {
  let late: (() => void) | undefined;
  const proxy = new ProxyServer({
    kind: 'socks5',
    instead: (socket) => {
      socket.once('data', () => {
        socket.write(Buffer.from([5, 0]));
        socket.once('data', () => {
          late = () => socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        });
      });
    },
  });
  await proxy.start();
  const transport = new HttpsTransport({ proxy: parseProxy(proxy.url) });
  const asked = transport.request({ url: 'http://127.0.0.1:9/', timeoutMs: 5_000 });
  await expect.poll(() => late).toBeDefined();
  transport.close();
  late?.();
  await expect(asked).rejects.toMatchObject({ code: 'aborted' });
  await expect.poll(() => proxy.open).toBe(0);
  await proxy.stop();
});
