// SPDX-License-Identifier: MIT
// Node's HTTP agents with a proxy as the only way out: every connection that they open is a tunnel. There is no code here
// that could connect to a host directly, so a proxy that is gone leaves nothing but errors.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type SecureContext } from 'node:tls';
import { TransportError } from '@allium/protocol/env';
import { connectThrough, type ProxyAddress } from './proxy.ts';

/** Ours: a proxy is near, or it is gone. */
const CHECK_TIMEOUT_MS = 5_000;

/** Connections through one proxy. */
export class Tunnels {
  readonly #proxy: ProxyAddress;
  #isClosed = false;

  constructor(proxy: ProxyAddress) {
    this.#proxy = proxy;
  }

  /** @throws TransportError as `connectThrough`; `aborted` when closed meanwhile */
  async open(host: string, port: number): Promise<Socket> {
    const socket = await connectThrough(this.#proxy, host, port);
    if (!this.#isClosed) return socket;
    socket.destroy();
    throw new TransportError('aborted', 'the transport is closed');
  }

  /** Whether anybody stands where the proxy should. @throws TransportError `proxy_unreachable` */
  check(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { host, port } = this.#proxy;
      const socket = connectTcp({ host, port, timeout: CHECK_TIMEOUT_MS });
      const gone = (cause?: unknown) => {
        socket.destroy();
        reject(new TransportError('proxy_unreachable', 'the proxy is gone', { cause }));
      };
      socket.once('error', gone).once('timeout', gone);
      socket.once('connect', () => {
        socket.destroy();
        resolve();
      });
    });
  }

  close(): void {
    this.#isClosed = true;
  }
}

/** What agents pass to `createConnection`. */
interface Wanted {
  readonly host?: string;
  readonly port?: number | string;
}

type OnConnection = (error: Error | null, stream: Duplex) => void;

export class ProxiedHttpAgent extends HttpAgent {
  readonly #tunnels: Tunnels;

  constructor(options: ConstructorParameters<typeof HttpAgent>[0], tunnels: Tunnels) {
    super(options);
    this.#tunnels = tunnels;
  }

  override createConnection(wanted: Wanted, done?: OnConnection): undefined {
    this.#tunnels.open(bare(wanted.host), Number(wanted.port)).then(
      (socket) => done?.(null, socket),
      (error: Error) => done?.(error, NONE),
    );
  }
}

/** As `HttpsAgent` with `rejectUnauthorized: false`: certificates of guards are checked by nobody. */
export class ProxiedHttpsAgent extends HttpsAgent {
  readonly #tunnels: Tunnels;
  readonly #secureContext: SecureContext;

  constructor(
    options: ConstructorParameters<typeof HttpsAgent>[0],
    tunnels: Tunnels,
    secureContext: SecureContext,
  ) {
    super(options);
    this.#tunnels = tunnels;
    this.#secureContext = secureContext;
  }

  override createConnection(wanted: Wanted, done?: OnConnection): undefined {
    const host = bare(wanted.host);
    const names = isIP(host) === 0 ? { servername: host } : {};
    this.#tunnels.open(host, Number(wanted.port)).then(
      (socket) => {
        const secure = { socket, secureContext: this.#secureContext, rejectUnauthorized: false, ...names };
        done?.(null, connect(secure));
      },
      (error: Error) => done?.(error, NONE),
    );
  }
}

/** Beside an error nobody looks at the stream. */
const NONE = undefined as unknown as Duplex;

const bare = (host = '') => host.replace(/^\[|\]$/g, '');
