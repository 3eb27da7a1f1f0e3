// SPDX-License-Identifier: AGPL-3.0-or-later
// What all our servers share: a hono app behind a plain HTTP listener with limits, for a machine of its own or behind a
// reverse proxy that has the certificate.
import type { Server } from 'node:http';
import { forwardedAddress } from '@allium/net/address';
import { RateLimiter } from '@allium/net/rate-limiter';
import { systemClock } from '@allium/net/system-env';
import { type HttpBindings, serve as listen } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import { createMiddleware } from 'hono/factory';

// Ours.
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
const MAX_CONNECTIONS = 10_000;
const STOP_GRACE_MS = 5_000;
const IDLE_CHECK_MS = 50;

/** What a hono app of ours knows of the connection. */
export interface ServerEnv {
  Bindings: HttpBindings;
}

export interface ServeOptions {
  /** Default: loopback. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /** Time for one whole request, its body included; default a minute. */
  readonly requestTimeoutMs?: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Takes no new connections, ends idle ones, gives requests in work five seconds. */
  stop(): Promise<void>;
}

/** Resolves when it listens. @throws the error of the listener, e.g. `EADDRINUSE` */
export function serve(app: Hono<ServerEnv>, options: ServeOptions): Promise<RunningServer> {
  const { host = '127.0.0.1', port } = options;
  return new Promise((resolve, reject) => {
    const server = listen({ fetch: app.fetch, hostname: host, port }, (address) => {
      server.off('error', reject);
      const name = host.includes(':') ? `[${host}]` : host;
      resolve({ url: `http://${name}:${address.port}`, port: address.port, stop: () => close(server) });
    }) as Server;
    server.once('error', reject);
    server.headersTimeout = HEAD_TIMEOUT_MS;
    server.requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    server.maxConnections = MAX_CONNECTIONS;
  });
}

/**
 * Who asks. Behind a proxy of the operator's own it is what that proxy says: the last of X-Forwarded-For, since whatever
 * stands before it came from outside. Undefined in tests, which call the app without a socket.
 */
export function clientAddress(context: Context<ServerEnv>, behindProxy = false): string | undefined {
  const forwarded = behindProxy ? forwardedAddress(context.req.header('x-forwarded-for')) : undefined;
  return forwarded ?? context.env?.incoming?.socket.remoteAddress;
}

/** At most `burst` requests of one client at once, `perSecond` on average; others get 429. */
export function rateLimit(options: {
  readonly burst: number;
  readonly perSecond: number;
  readonly behindProxy?: boolean;
}) {
  const limiter = new RateLimiter(
    { capacity: options.burst, refillMicroseconds: 1_000_000 / options.perSecond },
    systemClock,
  );
  return createMiddleware<ServerEnv>(async (context, next) => {
    const address = clientAddress(context, options.behindProxy);
    if (address !== undefined && !limiter.take(address)) return context.text('Too many requests', 429);
    return next();
  });
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // Those that become idle only now would stay open for their client.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const timer = setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}
