// SPDX-License-Identifier: MIT
// A way out through a proxy: SOCKS5 (RFC 1928, 1929) or HTTP CONNECT (RFC 9110 §9.3.6). Names of hosts go to the proxy as
// they are, so nothing here asks a DNS server; and there is no other way out, so nothing here connects past the proxy.
import { randomBytes } from 'node:crypto';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { SocksProxyAgent } from 'socks-proxy-agent';

/** Where all connections of one account go out. */
export interface ProxyAddress {
  readonly kind: 'socks5' | 'http';
  /** An IP address. */
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  /** Secret. */
  readonly password?: string;
}

// Ours.
const MAX_TEXT = 1_024;
/** RFC 1929: one byte says how long. */
const MAX_CREDENTIAL_BYTES = 255;
const DEFAULT_PORTS = { socks5: 1080, http: 80 } as const;
const CONNECT_TIMEOUT_MS = 30_000;
const MAX_HEADERS_BYTES = 16_384;
const MAX_REASON = 80;
const USE = 'such as socks5://127.0.0.1:9050 or http://USER:PASSWORD@10.0.0.1:3128';

/**
 * `socks5://` or `http://`, perhaps `USER:PASSWORD@`, an address, perhaps `:PORT` (1080, 80). The address is an IP address or
 * `localhost`: a name would have to be looked up past the proxy.
 * @throws ParseError `proxy`
 */
export function parseProxy(text: string): ProxyAddress {
  const bad = (what: string) => new ParseError('proxy', `${what}: write a proxy as a URL, ${USE}`);
  if (text.length > MAX_TEXT) throw bad('too long for a proxy');
  const url = URL.parse(text.trim());
  if (url === null) throw bad('not the URL of a proxy');
  const kind = { 'socks5:': 'socks5', 'socks5h:': 'socks5', 'http:': 'http' }[url.protocol];
  if (kind !== 'socks5' && kind !== 'http') throw bad('a proxy is socks5:// or http://');
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    throw bad('nothing follows the port of a proxy');
  }
  const named = url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const host = named === 'localhost' ? '127.0.0.1' : named;
  if (isIP(host) === 0) {
    throw bad('the proxy needs an IP address, because looking up its name would ask a server past the proxy');
  }
  const port = url.port === '' ? DEFAULT_PORTS[kind] : Number(url.port);
  if (port === 0) throw bad('a proxy has no port 0');
  const username = credential(url.username, bad);
  const password = credential(url.password, bad);
  if (password !== undefined && username === undefined) throw bad('a password without a user');
  return {
    kind,
    host,
    port,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  };
}

/** For people and files that may be read by others: without user and password. */
export function proxyText({ kind, host, port }: ProxyAddress): string {
  return `${kind}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/**
 * The same proxy with a name of its own for whoever uses it: Tor gives each name circuits of its own, so that two accounts
 * do not leave through the same relay at the same time. One that was given a name keeps it.
 */
export function isolated(proxy: ProxyAddress): ProxyAddress {
  if (proxy.username !== undefined) return proxy;
  const name = randomBytes(8).toString('hex');
  return { ...proxy, username: name, password: name };
}

/**
 * A connection to `host` and `port` through the proxy.
 * @throws TransportError: `proxy_unreachable`: the proxy does not answer as one. `proxy_refused`: it lets nothing of ours
 * through. `unreachable`: it could not reach the host
 */
export function connectThrough(proxy: ProxyAddress, host: string, port: number): Promise<Socket> {
  return proxy.kind === 'socks5' ? overSocks(proxy, host, port) : overHttp(proxy, host, port);
}

const REJECTED = /^Socks5 proxy rejected connection - (\w+)/;
/** The proxy tried, and the host did not answer (RFC 1928 §6: 4, 5, 6). */
const OF_THE_HOST = new Set(['HostUnreachable', 'ConnectionRefused', 'TTLExpired']);

async function overSocks(proxy: ProxyAddress, host: string, port: number): Promise<Socket> {
  const { username, password } = proxy;
  // `socks5h`: names are the proxy's to look up; with `socks5` this library asks the machine's resolver.
  const url = new URL(`socks5h://${isIP(proxy.host) === 6 ? `[${proxy.host}]` : proxy.host}:${proxy.port}`);
  if (username !== undefined) url.username = encodeURIComponent(username);
  if (password !== undefined) url.password = encodeURIComponent(password);
  // It only makes the tunnel: connections are kept by the transport.
  const agent = new SocksProxyAgent(url);
  const noRequest = { emit: () => true, destroy: () => {} } as unknown as ClientRequest;
  try {
    return (await agent.connect(noRequest, { host, port, secureEndpoint: false })) as Socket;
  } catch (cause) {
    throw socksError(cause);
  }
}

function socksError(cause: unknown): TransportError {
  const message = cause instanceof Error ? cause.message : '';
  const reason = REJECTED.exec(message)?.[1];
  if (reason !== undefined && OF_THE_HOST.has(reason)) {
    return new TransportError('unreachable', `the proxy cannot reach the host (${reason})`, { cause });
  }
  if (message === 'Socks5 Authentication failed' || message.includes('no accepted authentication type')) {
    return new TransportError('proxy_refused', 'the proxy does not know this user and password', { cause });
  }
  if (message.startsWith('Socks5 proxy rejected connection')) {
    return new TransportError('proxy_refused', `the proxy refuses (${reason ?? 'unknown reason'})`, {
      cause,
    });
  }
  return new TransportError(
    'proxy_unreachable',
    `the proxy does not answer (${message.slice(0, MAX_REASON)})`,
    {
      cause,
    },
  );
}

function overHttp(proxy: ProxyAddress, host: string, port: number): Promise<Socket> {
  const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const { username, password = '' } = proxy;
  const credentials =
    username === undefined ? undefined : Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      method: 'CONNECT',
      host: proxy.host,
      port: proxy.port,
      path: target,
      agent: false,
      maxHeaderSize: MAX_HEADERS_BYTES,
      headers: {
        host: target,
        ...(credentials !== undefined && { 'proxy-authorization': `Basic ${credentials}` }),
      },
    });
    const fail = (code: TransportError['code'], text: string, cause?: unknown) => {
      clearTimeout(deadline);
      sent.destroy();
      reject(new TransportError(code, text, { cause }));
    };
    const deadline = setTimeout(
      () => fail('proxy_unreachable', 'the proxy does not answer in time'),
      CONNECT_TIMEOUT_MS,
    );
    sent.once('error', (cause: NodeJS.ErrnoException) =>
      fail('proxy_unreachable', `the proxy does not answer (${cause.code ?? 'unknown reason'})`, cause),
    );
    // A success has no other form: RFC 9110 §9.3.6.
    sent.once('response', () => fail('proxy_unreachable', 'what stands there is no HTTP proxy'));
    sent.once('connect', ({ statusCode = 0 }, socket: Socket, head) => {
      if (statusCode === 200 && head.length === 0) {
        clearTimeout(deadline);
        resolve(socket);
        return;
      }
      socket.destroy();
      if (statusCode === 200) fail('proxy_unreachable', 'the proxy speaks before the host could');
      else if (statusCode === 502 || statusCode === 504) {
        fail('unreachable', `the proxy cannot reach the host (${statusCode})`);
      } else if (statusCode === 407) {
        fail('proxy_refused', 'the proxy does not know this user and password (407)');
      } else fail('proxy_refused', `the proxy refuses (${statusCode})`);
    });
    sent.end();
  });
}

function credential(text: string, bad: (what: string) => ParseError): string | undefined {
  if (text === '') return undefined;
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    throw bad('user and password hold a "%" that is no escape');
  }
  if (Buffer.byteLength(plain) > MAX_CREDENTIAL_BYTES) throw bad('user and password have at most 255 bytes');
  return plain;
}
