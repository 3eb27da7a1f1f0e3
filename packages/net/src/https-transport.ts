// SPDX-License-Identifier: MIT
// Transport over HTTPS for clients in Node (spec/client §2.1, §7.2): keep-alive connections per origin, a deadline for
// the whole exchange, a limit on answers. Guards show self-signed certificates that nobody checks, because onion
// layers authenticate them; seeds are pinned. `http:` URLs are for local networks. Two transports share no connection and
// no TLS session; with a proxy, everything goes through it or fails.
import { createHash, X509Certificate } from 'node:crypto';
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import {
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '@allium/protocol/env';
import { Pieces } from './pieces.ts';
import { ProxiedHttpAgent, ProxiedHttpsAgent, Tunnels } from './proxied-agent.ts';
import { isolated, type ProxyAddress } from './proxy.ts';

export interface HttpsTransportOptions {
  /** The only way out. Where it takes names, it gets one for this transport alone (`isolated`). */
  readonly proxy?: ProxyAddress;
  /** Default 16 MiB: an answer of 7.8 MB, in base64 once or twice. */
  readonly maxResponseBytes?: number;
  /** Bytes of all answers that are not complete; beyond it the largest one is given up. Default: no other limit. */
  readonly maxReceivingBytes?: number;
  /** Connections to one origin at once, default 32. */
  readonly maxConnectionsPerOrigin?: number;
  /** An idle connection is kept that long, default 50 000: less than servers keep it. */
  readonly keepAliveMs?: number;
}

// Ours.
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;
const MAX_CONNECTIONS_PER_ORIGIN = 32;
const KEEP_ALIVE_MS = 50_000;
const MAX_HEADERS_BYTES = 16_384;
/** More time for each exchange over a proxy: Tor first builds a circuit of relays all over the world. */
const PROXY_PATIENCE_MS = 10_000;

/** spec/client §2.10: these stop retries and penalise nobody. */
const NO_NETWORK = new Set(['ENETUNREACH', 'ENETDOWN', 'EAI_AGAIN']);
/** Theirs or ours, depending on whether this machine has any network. */
const UNCLEAR = new Set(['EHOSTUNREACH', 'ENOTFOUND', 'EADDRNOTAVAIL']);
/** What a kept connection says that the other side had already closed. */
const STALE = new Set(['ECONNRESET', 'EPIPE']);

/** Request and its deadline while attempts come and go. */
interface Exchange {
  readonly request: TransportRequest;
  readonly url: URL;
  readonly fail: (error: unknown) => void;
  readonly succeed: (response: TransportResponse) => void;
  isOver: boolean;
  /** Bytes of its answer so far. */
  received: number;
  /** What to destroy at the deadline. */
  current: ClientRequest | TLSSocket | undefined;
}

/** What only says how to speak TLS: one for all, as each holds some 30 kB. Sessions and keys are of each connection. */
let context: ReturnType<typeof createSecureContext> | undefined;
const secureContext = () => (context ??= createSecureContext({ minVersion: 'TLSv1.2' }));

/** The URL of a node's HTTPS listener, without path. `host`: an IP address of either family. */
export function httpsOrigin(host: string, port: number): string {
  return `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

export class HttpsTransport implements Transport {
  readonly #maxResponseBytes: number;
  readonly #maxReceivingBytes: number;
  /** Those whose answer has begun. */
  readonly #receiving = new Set<Exchange>();
  #receivingBytes = 0;
  readonly #secure: HttpsAgent;
  readonly #plain: HttpAgent;
  readonly #tunnels: Tunnels | undefined;
  #isClosed = false;

  constructor(options: HttpsTransportOptions = {}) {
    this.#maxResponseBytes = options.maxResponseBytes ?? MAX_RESPONSE_BYTES;
    this.#maxReceivingBytes = options.maxReceivingBytes ?? Number.POSITIVE_INFINITY;
    const agent = {
      keepAlive: true,
      maxSockets: options.maxConnectionsPerOrigin ?? MAX_CONNECTIONS_PER_ORIGIN,
      timeout: options.keepAliveMs ?? KEEP_ALIVE_MS,
      scheduling: 'lifo',
      // A session that is taken up again tells whoever watches that it is the same client, wherever it comes from.
      maxCachedSessions: 0,
    } as const;
    const { proxy } = options;
    this.#tunnels = proxy === undefined ? undefined : new Tunnels(isolated(proxy));
    this.#secure =
      this.#tunnels === undefined
        ? new HttpsAgent(agent)
        : new ProxiedHttpsAgent(agent, this.#tunnels, secureContext());
    this.#plain =
      this.#tunnels === undefined ? new HttpAgent(agent) : new ProxiedHttpAgent(agent, this.#tunnels);
  }

  /** @throws TransportError */
  request(request: TransportRequest): Promise<TransportResponse> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new TransportError('aborted', 'the transport is closed'));
      if (request.signal?.aborted) return reject(aborted(request.signal));
      const url = URL.parse(request.url);
      if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && !request.pins))) {
        return reject(new TransportError('unreachable', 'not a URL that can be asked'));
      }
      const finish = () => {
        exchange.isOver = true;
        if (this.#receiving.delete(exchange)) this.#receivingBytes -= exchange.received;
        clearTimeout(deadline);
        request.signal?.removeEventListener('abort', onAbort);
      };
      const exchange: Exchange = {
        request,
        url,
        isOver: false,
        received: 0,
        current: undefined,
        fail: (error) => {
          if (exchange.isOver) return;
          finish();
          exchange.current?.destroy();
          reject(asTransportError(error));
        },
        succeed: (response) => {
          if (exchange.isOver) return;
          finish();
          resolve(response);
        },
      };
      const timeoutMs = request.timeoutMs + (this.#tunnels === undefined ? 0 : PROXY_PATIENCE_MS);
      const deadline = setTimeout(
        () => exchange.fail(new TransportError('timeout', `no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const onAbort = () => exchange.fail(aborted(request.signal));
      request.signal?.addEventListener('abort', onAbort, { once: true });
      try {
        if (request.pins !== undefined) void this.#sendPinned(exchange, request.pins);
        else this.#send(exchange, { agent: url.protocol === 'https:' ? this.#secure : this.#plain }, true);
      } catch (error) {
        exchange.fail(error); // header names or values that HTTP does not have
      }
    });
  }

  /** Ends kept connections; further requests fail with `aborted`. */
  close(): void {
    this.#isClosed = true;
    this.#tunnels?.close();
    this.#secure.destroy();
    this.#plain.destroy();
  }

  #send(exchange: Exchange, connection: RequestOptions, mayRetry: boolean): void {
    const { request, url } = exchange;
    const make = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const sent = make(url, {
      ...connection,
      method: request.body === undefined ? 'GET' : 'POST',
      ...(request.headers !== undefined && { headers: request.headers }),
      rejectUnauthorized: false,
      secureContext: secureContext(),
      maxHeaderSize: MAX_HEADERS_BYTES,
    } as RequestOptions);
    exchange.current = sent;
    let hasAnswer = false;
    sent.on('response', (response) => {
      hasAnswer = true;
      this.#receive(exchange, response);
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (exchange.isOver) return;
      if (mayRetry && !hasAnswer && sent.reusedSocket && STALE.has(error.code ?? '')) {
        this.#send(exchange, connection, false);
      } else this.#failed(exchange, error);
    });
    sent.end(request.body);
  }

  /** A connection that broke: with the proxy gone it is not the fault of whom it led to. */
  #failed(exchange: Exchange, error: NodeJS.ErrnoException): void {
    if (this.#tunnels === undefined || !STALE.has(error.code ?? '')) {
      exchange.fail(error);
      return;
    }
    this.#tunnels.check().then(
      () => exchange.fail(error),
      (gone: unknown) => exchange.fail(gone),
    );
  }

  #receive(exchange: Exchange, response: IncomingMessage): void {
    const tooLarge = () =>
      new TransportError('too_large', `an answer of more than ${this.#maxResponseBytes} bytes`);
    if (Number(response.headers['content-length'] ?? 0) > this.#maxResponseBytes) {
      exchange.fail(tooLarge());
      return;
    }
    const pieces = new Pieces();
    response.on('data', (chunk: Buffer) => {
      if (exchange.isOver) return;
      this.#receiving.add(exchange);
      exchange.received += chunk.length;
      this.#receivingBytes += chunk.length;
      if (exchange.received > this.#maxResponseBytes) exchange.fail(tooLarge());
      else this.#makeRoom();
      if (exchange.isOver) pieces.clear();
      else pieces.add(chunk);
    });
    response.on('close', () => pieces.clear());
    response.on('error', (error) => this.#failed(exchange, error));
    response.on('end', () => {
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(response.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
      }
      exchange.succeed({ status: response.statusCode ?? 0, headers, body: pieces.take() });
    });
  }

  #makeRoom(): void {
    while (this.#receivingBytes > this.#maxReceivingBytes) {
      let largest: Exchange | undefined;
      for (const one of this.#receiving) if (one.received > (largest?.received ?? 0)) largest = one;
      if (largest === undefined) return;
      largest.fail(new TransportError('too_large', 'too many answers at once'));
    }
  }

  /** Seeds are asked rarely: a connection of its own, and nothing is sent before the certificate is known. */
  async #sendPinned(exchange: Exchange, pins: NonNullable<TransportRequest['pins']>): Promise<void> {
    const { hostname, port } = exchange.url;
    const host = hostname.replace(/^\[|\]$/g, '');
    const portNumber = port === '' ? 443 : Number(port);
    let tunnel: Socket | undefined;
    try {
      tunnel = await this.#tunnels?.open(host, portNumber);
    } catch (error) {
      return exchange.fail(error);
    }
    if (exchange.isOver) {
      tunnel?.destroy();
      return;
    }
    const socket = connect({
      ...(tunnel === undefined ? { host, port: portNumber } : { socket: tunnel }),
      ...(isIP(host) === 0 && { servername: host }),
      rejectUnauthorized: false, // replaced by `checkPins`, which is stricter
      secureContext: secureContext(),
      ALPNProtocols: ['http/1.1'],
    });
    exchange.current = socket;
    socket.on('error', exchange.fail);
    socket.once('secureConnect', () => {
      if (exchange.isOver) return;
      const problem = checkPins(socket, host, pins);
      if (problem !== undefined) return exchange.fail(new TransportError('bad_certificate', problem));
      socket.off('error', exchange.fail);
      this.#send(exchange, { createConnection: () => socket }, false);
    });
  }
}

/**
 * spec/client §2.1: host name, pin of the public key, pin of the certificate. A certificate that has its pin is the
 * only one trusted, so no authority is asked; TLS itself has proven that the peer holds its key.
 */
function checkPins(
  socket: TLSSocket,
  host: string,
  pins: NonNullable<TransportRequest['pins']>,
): string | undefined {
  const shown = socket.getPeerCertificate();
  if (shown.raw === undefined || shown.pubkey === undefined) return 'no certificate';
  const certificate = new X509Certificate(shown.raw);
  const matchesHost = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  if (matchesHost === undefined) return 'the certificate is of another host';
  const publicKey = createHash('sha256').update(shown.pubkey).digest('base64');
  if (publicKey !== pins.publicKey) return 'the public key is not the pinned one';
  const wanted = pins.certificate.replaceAll(':', '').toLowerCase();
  if (createHash('sha256').update(shown.raw).digest('hex') !== wanted) {
    return 'the certificate is not the pinned one';
  }
  const now = Date.now();
  if (now < certificate.validFromDate.getTime() || now > certificate.validToDate.getTime()) {
    return 'the certificate is not valid now';
  }
  return undefined;
}

function aborted(signal: AbortSignal | undefined): TransportError {
  return new TransportError('aborted', 'the request was aborted', { cause: signal?.reason });
}

function asTransportError(error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  const options = { cause: error };
  if (NO_NETWORK.has(code) || (UNCLEAR.has(code) && !hasNetwork())) {
    return new TransportError('no_network', `no network from here (${code})`, options);
  }
  if (code.startsWith('HPE_') || code.startsWith('ERR_SSL') || code === 'EPROTO') {
    return new TransportError('bad_response', `the answer is not HTTPS (${code})`, options);
  }
  return new TransportError('unreachable', `the connection failed (${code || 'unknown reason'})`, options);
}

/** Whether any interface leads out of this machine. */
function hasNetwork(): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => !entry.internal));
}
