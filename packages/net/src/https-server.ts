// SPDX-License-Identifier: MIT
// HTTPS listener of a node (spec/storage-server §3.1, §3.2, §9.3.15): HTTP/1.1 with keep-alive over TLS ≥ 1.2.
//
// A connection passes `Admission` before TLS. A request passes, in this order: `precheck` (sees the head only and may
// answer), Content-Length and Content-Encoding, the limit of requests at once, the body (bounded in size and time while
// it is read), `handler`. Bench: omq.bench.ts.
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Env } from '@allium/protocol/env';
import { clientKey } from './address.ts';
import { Admission, type AdmissionLimit, type AdmissionOptions } from './admission.ts';
import { Exchange } from './https-exchange.ts';
import { Load, type LoadLimit } from './https-load.ts';
import { Pieces } from './pieces.ts';

/** The head of a request, which is all that `precheck` sees. */
export interface HttpsRequestHead {
  readonly method: string;
  /** As received: path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** IPv4 or IPv6 text; mapped IPv4 as IPv4. */
  readonly remoteAddress: string;
}

export interface HttpsRequest extends HttpsRequestHead {
  /** A view of the read buffer, owned by the handler. */
  readonly body: Uint8Array;
  /** Aborts when the client goes away before its answer is out. Made on first use. */
  readonly signal: AbortSignal;
  /**
   * For handlers that from now on only wait, until they answer: the request gives its place in `maxConcurrentRequests`
   * and its body back. How many may wait is for the caller to limit. `onGone` runs when the client goes away before;
   * the one given last.
   */
  hold(onGone?: () => void): void;
}

export interface HttpsResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text goes out as UTF-8. Absent: empty. */
  readonly body?: Uint8Array | string;
  /** Closes the connection after this answer. */
  readonly close?: boolean;
}

/** Which limit was met, for `onRefused`. */
export type HttpsLimit =
  | AdmissionLimit
  | LoadLimit
  | 'tls_time'
  | 'head_size'
  | 'head_time'
  | 'body_time'
  | 'content_encoding'
  | 'pipelined'
  | 'answer_time';

export interface HttpsServerOptions extends AdmissionOptions {
  readonly host: string;
  /** 0: chosen by the system. */
  readonly port: number;
  /** Absent: plain HTTP, for servers behind a proxy that has the certificate. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
  /** Whom limits of requests mean; default the address of the socket. For servers behind a proxy that tells it. */
  readonly clientAddress?: (request: IncomingMessage) => string | undefined;
  /**
   * Takes over a connection whose client asks for another protocol. Absent: such a request is answered as if it had not
   * asked. It has passed `Admission`; all other limits are the handler's.
   */
  readonly upgrade?: (
    head: HttpsRequestHead,
    request: IncomingMessage,
    socket: Socket,
    first: Buffer,
  ) => void;
  readonly handler: (request: HttpsRequest) => HttpsResponse | Promise<HttpsResponse>;
  /** Answers before the body is read, or returns undefined to let the request through. */
  readonly precheck?: (head: HttpsRequestHead) => HttpsResponse | undefined;
  /** Sent with every answer, those made here included (`Server`, …). Default none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 10 485 760. */
  readonly maxBodyBytes?: number;
  /** From the head to the last byte of the body, default 30 000. */
  readonly bodyTimeoutMs?: number;
  /** From the first byte of a request to the end of its head, default 10 000. */
  readonly headTimeoutMs?: number;
  /** An idle connection is kept that long, default 60 000. */
  readonly keepAliveMs?: number;
  /** Requests read or handled at once, those on hold not counted, default 1000; further ones get 503. */
  readonly maxConcurrentRequests?: number;
  /** … of them from one address or IPv6 /64, so that one slow client cannot take all places; default: no other limit. */
  readonly maxConcurrentPerAddress?: number;
  /**
   * Bytes of bodies being read or handled, default 256 MiB, and again of large answers on their way; further ones get 503.
   * One address or IPv6 /64 has a quarter of each, and at least room for one body.
   */
  readonly maxBufferedBytes?: number;
  /** How long `stop` waits for running requests, default 5 000. */
  readonly stopTimeoutMs?: number;
  /** Told each time that a limit was met, whatever the client got to hear of it. */
  readonly onRefused?: (limit: HttpsLimit) => void;
}

// From the specification, spec/storage-server §3.1 and §7.
const MAX_BODY_BYTES = 10_485_760;
const INVALID_LENGTH = 'invalid Content-Length';
const TOO_LARGE = 'Request body too large';
const BUSY = 'Server busy, try again later';
const FAILED = 'request failed';
const ENCODED = 'Content-Encoding is not supported, send the body as it is';

// Ours.
const BODY_TIMEOUT_MS = 30_000;
const HEAD_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const STOP_TIMEOUT_MS = 5_000;
/** Nothing read or written for this long ends a connection; handlers answer within 30 s. */
const SILENT_SOCKET_MS = 90_000;
/** A large answer must be out by then, or a slow reader could hold its memory for ever. */
const ANSWER_TIMEOUT_MS = 120_000;
const LARGE_ANSWER_BYTES = 65_536;
const MAX_CONCURRENT_REQUESTS = 1000;
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const MAX_HEADERS_BYTES = 16_384;
const MAX_HEADERS = 100;
/** Requests of one connection that wait for their answers; clients of the network send one after another. */
const MAX_PIPELINED = 32;
/** What one read brings beyond is parsed all the same: it counts as so many refusals. */
const PIPELINED_WEIGHT = 300;
/** A head that is none cost a handshake. */
const MALFORMED_WEIGHT = 20;
/** A body of a refused request is read up to this size, so that the connection can go on; beyond, it counts for more. */
const DRAINED_BYTES = 262_144;
const CLOSED_WEIGHT = 10;
const TEXT = { 'Content-Type': 'text/plain' };

/** What a node needs of its listener; a simulated network has its own. */
export interface HttpsListener {
  /** Resolves when it listens. */
  start(): Promise<{ port: number }>;
  /** Resolves when no request is being answered, or after a while. Still listens. */
  drained(): Promise<void>;
  /** Lets running requests end, within limits. */
  stop(): Promise<void>;
  /** Open at present. */
  readonly connections: number;
  /** Shown to connections from now on. */
  setCertificate?(certificate: { readonly certificatePem: string; readonly keyPem: string }): void;
}

export class HttpsServer implements HttpsListener {
  readonly #options: HttpsServerOptions;
  readonly #env: Env;
  readonly #headers: readonly string[];
  readonly #headerLists = new WeakMap<object, readonly string[]>();
  readonly #maxBodyBytes: number;
  readonly #admission: Admission;
  #server: Server | undefined;
  #stopping: Promise<void> | undefined;
  /** Requests whose answer is not out. */
  readonly #open = new Set<Exchange>();
  /** … of them those past the checks, and their bodies. */
  readonly #load: Load;
  /** … of them, by connection. */
  readonly #openOf = new Map<Socket, number>();
  /** Connections whose request is not complete. */
  readonly #reading = new Set<Socket>();
  #onNoneOpen: (() => void) | undefined;

  constructor(options: HttpsServerOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#headers = Object.entries(options.headers ?? {}).flat();
    this.#maxBodyBytes = options.maxBodyBytes ?? MAX_BODY_BYTES;
    this.#admission = new Admission(options, env.clock, options.onRefused);
    this.#load = new Load(
      {
        maxRequests: options.maxConcurrentRequests ?? MAX_CONCURRENT_REQUESTS,
        maxRequestsPerClient: options.maxConcurrentPerAddress ?? Number.POSITIVE_INFINITY,
        maxBodyBytes: this.#maxBodyBytes,
        maxBytes: options.maxBufferedBytes ?? MAX_BUFFERED_BYTES,
      },
      env.clock,
    );
  }

  /** Requests being read or handled. */
  get runningRequests(): number {
    return this.#load.running;
  }

  get connections(): number {
    return this.#admission.size;
  }

  /** @throws the error of the system when the address cannot be listened on */
  async start(): Promise<{ port: number }> {
    if (this.#server !== undefined) return { port: this.#port(this.#server) };
    const { host, port, certificatePem, keyPem } = this.#options;
    const headTimeoutMs = this.#options.headTimeoutMs ?? HEAD_TIMEOUT_MS;
    const bodyTimeoutMs = this.#options.bodyTimeoutMs ?? BODY_TIMEOUT_MS;
    const options = {
      headersTimeout: headTimeoutMs,
      requestTimeout: headTimeoutMs + bodyTimeoutMs,
      connectionsCheckingInterval: Math.max(50, Math.min(2000, headTimeoutMs / 2, bodyTimeoutMs / 2)),
      keepAliveTimeout: this.#options.keepAliveMs ?? KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADERS_BYTES,
      blockList: this.#admission.gate,
      requireHostHeader: false, // clients connect by address, and testers send what they like (§3.2)
    };
    const isPlain = certificatePem === undefined || keyPem === undefined;
    const server = isPlain
      ? (createHttpServer(options) as unknown as Server)
      : createServer({
          ...options,
          cert: certificatePem,
          key: keyPem,
          minVersion: 'TLSv1.2', // spec/storage-server §3.2
          handshakeTimeout: headTimeoutMs,
        });
    server.maxHeadersCount = MAX_HEADERS;
    server.timeout = SILENT_SOCKET_MS;
    server.on('connection', (socket: Socket) => this.#admission.enter(socket));
    server.on('request', (request, response) => this.#receive(request, response, false));
    server.on('checkContinue', (request, response) => this.#receive(request, response, true));
    const { upgrade } = this.#options;
    if (upgrade !== undefined) {
      server.on('upgrade', (request, socket, first) => {
        upgrade(this.#exchange(request), request, socket as Socket, first);
      });
    }
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#refuse(error, socket as Socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, 4096, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#env.log.error({ error }, 'https listener failed'));
    this.#server = server;
    this.#stopping = undefined;
    return { port: this.#port(server) };
  }

  /** @throws the error of TLS for one that is none; the old one stays then */
  setCertificate(certificate: { readonly certificatePem: string; readonly keyPem: string }): void {
    const { certificatePem: cert, keyPem: key } = certificate;
    this.#server?.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
  }

  /** Takes no more requests, ends idle connections, waits for running requests (bounded), then cuts what is left. */
  stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return this.#stopping ?? Promise.resolve();
    this.#server = undefined;
    this.#stopping = this.#finish(server);
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #finish(server: Server): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    // Not closeIdleConnections: it leaves those that have not sent a request yet. Sockets here are those below TLS.
    const busy = new Set(Array.from(this.#open, ({ socket }) => endpointOf(socket)));
    const { sockets } = this.#admission;
    for (const socket of sockets) if (!busy.has(endpointOf(socket))) socket.destroy();
    await this.drained();
    for (const socket of this.#admission.sockets) socket.destroy();
    await closed;
    await this.#admission.empty();
  }

  /**
   * Waits until no request is being answered, as long as `stop` would. A program that refuses new requests calls it
   * before `stop`, so that those who come meanwhile still hear why.
   */
  async drained(): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#env.clock.after(this.#options.stopTimeoutMs ?? STOP_TIMEOUT_MS, resolve);
      this.#onNoneOpen = () => {
        cancel();
        resolve();
      };
    });
    this.#onNoneOpen = undefined;
  }

  #port(server: Server): number {
    return (server.address() as AddressInfo).port;
  }

  /** A head that is no HTTP, a time-out, a failed TLS handshake. */
  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    const code = error.code ?? '';
    if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') this.#refused('tls_time');
    else if (code === 'HPE_HEADER_OVERFLOW') this.#refused('head_size');
    else if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      this.#refused(this.#reading.has(socket) ? 'body_time' : 'head_time');
    }
    if (code.startsWith('HPE_')) this.#admission.refused(clientKey(socket.remoteAddress), MALFORMED_WEIGHT);
    if (!socket.writable || !(code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT')) {
      socket.destroy();
      return;
    }
    const [status, text] =
      code === 'HPE_INVALID_CONTENT_LENGTH'
        ? ['400 Bad Request', INVALID_LENGTH]
        : code === 'HPE_HEADER_OVERFLOW'
          ? ['431 Request Header Fields Too Large', 'Request Header Fields Too Large\n']
          : code === 'ERR_HTTP_REQUEST_TIMEOUT'
            ? ['408 Request Timeout', 'Request Timeout\n']
            : ['400 Bad Request', 'Bad Request\n'];
    const headers = Object.entries(this.#options.headers ?? {}).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    socket.end(
      `HTTP/1.1 ${status}\r\n${headers.join('')}Content-Type: text/plain\r\nContent-Length: ${text.length}\r\n` +
        `Connection: close\r\n\r\n${text}`,
    );
    // What the client still sends is not read; the timer of the socket ends a client that does not close.
    socket.destroySoon();
  }

  #refused(limit: HttpsLimit): void {
    this.#options.onRefused?.(limit);
  }

  #receive(request: IncomingMessage, response: ServerResponse, wantsContinue: boolean): void {
    const { socket } = request;
    // More requests of a connection that was cut, all from one read.
    if (socket.destroyed) return;
    const open = (this.#openOf.get(socket) ?? 0) + 1;
    if (open > MAX_PIPELINED) {
      this.#refused('pipelined');
      this.#admission.refused(clientKey(socket.remoteAddress), PIPELINED_WEIGHT);
      socket.destroy();
      return;
    }
    this.#openOf.set(socket, open);
    const exchange = this.#exchange(request);
    this.#open.add(exchange);
    response.on('close', () => this.#release(exchange));
    let early: HttpsResponse | undefined;
    try {
      early = this.#options.precheck?.(exchange) ?? this.#checkHead(request);
    } catch (error) {
      early = this.#failed(error);
    }
    if (early?.status === 429) {
      const isClosing = Number(request.headers['content-length'] ?? 0) > DRAINED_BYTES;
      this.#admission.refused(exchange.client, isClosing ? CLOSED_WEIGHT : 1);
    }
    if (early === undefined) {
      const limit = this.#load.enter(exchange);
      if (limit !== undefined) early = this.#refusal(limit);
    }
    if (early !== undefined) {
      this.#answerUnread(request, response, exchange, early);
      return;
    }
    if (wantsContinue) response.writeContinue();
    const length = request.headers['content-length'];
    if (length === undefined ? request.headers['transfer-encoding'] === undefined : length === '0') {
      this.#handle(exchange, response);
      return;
    }
    this.#readBody(request, response, exchange);
  }

  #exchange(request: IncomingMessage): Exchange {
    return new Exchange(request, this.#load, this.#options.clientAddress?.(request));
  }

  /** The answer when a limit is met. */
  #refusal(limit: LoadLimit, close = false): HttpsResponse {
    this.#refused(limit);
    return limit === 'body_size' ? text(413, TOO_LARGE, close) : text(503, BUSY, close);
  }

  #checkHead(request: IncomingMessage): HttpsResponse | undefined {
    // Nothing is ever decompressed here, and a body that is taken for what it is not helps nobody.
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      this.#refused('content_encoding');
      return text(415, ENCODED, true);
    }
    return this.#checkLength(request);
  }

  #checkLength(request: IncomingMessage): HttpsResponse | undefined {
    const length = request.headers['content-length'];
    if (length === undefined) return undefined;
    // The parser of Node has refused all but digits already; this holds whatever it does.
    const bytes = Number(length);
    if (!Number.isSafeInteger(bytes) || bytes < 0) return text(400, INVALID_LENGTH, true);
    return bytes > this.#maxBodyBytes ? this.#refusal('body_size', true) : undefined;
  }

  #readBody(request: IncomingMessage, response: ServerResponse, exchange: Exchange): void {
    const pieces = new Pieces();
    let isRefused = false;
    const { socket } = exchange;
    this.#reading.add(socket);
    this.#load.startReading(exchange);
    exchange.giveWay = (limit) => {
      isRefused = true;
      pieces.clear();
      this.#load.leave(exchange);
      this.#reading.delete(socket);
      this.#answerUnread(request, response, exchange, this.#refusal(limit, true));
    };
    request.on('data', (chunk: Buffer) => {
      if (isRefused || exchange.isClosed) return;
      // spec/storage-server §3.1: a chunked body has the same limit.
      const limit = this.#load.read(exchange, chunk.length);
      if (limit !== undefined) exchange.giveWay(limit);
      else pieces.add(chunk);
    });
    request.on('end', () => {
      if (isRefused || exchange.isClosed) return;
      this.#reading.delete(socket);
      this.#load.endReading(exchange);
      exchange.body = pieces.take();
      this.#handle(exchange, response);
    });
  }

  #handle(exchange: Exchange, response: ServerResponse): void {
    try {
      const answer = this.#options.handler(exchange);
      if (answer instanceof Promise) {
        answer.then(
          (late) => this.#answer(response, exchange, late),
          (error) => this.#answer(response, exchange, this.#failed(error)),
        );
      } else this.#answer(response, exchange, answer);
    } catch (error) {
      this.#answer(response, exchange, this.#failed(error));
    }
  }

  #failed(error: unknown): HttpsResponse {
    this.#env.log.error({ error }, 'https request handler failed');
    return text(500, FAILED);
  }

  /** Answers while the client may still be sending; a body that nobody waits for closes the connection. */
  #answerUnread(
    request: IncomingMessage,
    response: ServerResponse,
    exchange: Exchange,
    answer: HttpsResponse,
  ): void {
    const length = request.headers['content-length'];
    const isShort =
      length === undefined
        ? request.headers['transfer-encoding'] === undefined
        : Number(length) <= DRAINED_BYTES;
    this.#answer(response, exchange, isShort || answer.close ? answer : { ...answer, close: true });
  }

  #answer(response: ServerResponse, exchange: Exchange, answer: HttpsResponse): void {
    if (exchange.isClosed || response.headersSent) return;
    exchange.isAnswered = true;
    // What waits now is the client's own answer, and that is counted apart.
    this.#load.leave(exchange);
    try {
      this.#write(response, exchange, answer);
    } catch (error) {
      // A status or header that HTTP does not have.
      this.#env.log.error({ error }, 'https answer cannot be sent');
      response.destroy();
    }
  }

  #write(response: ServerResponse, exchange: Exchange, answer: HttpsResponse): void {
    let body = answer.body ?? '';
    let { status } = answer;
    let length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    if (length > LARGE_ANSWER_BYTES) {
      const limit = this.#load.answer(exchange, length);
      if (limit !== undefined) {
        this.#refused(limit);
        status = 503;
        body = BUSY;
        length = body.length;
      } else {
        const cut = (met: HttpsLimit) => {
          this.#refused(met);
          response.destroy();
          this.#release(exchange);
        };
        exchange.giveWay = cut;
        exchange.cancelDeadline = this.#env.clock.after(ANSWER_TIMEOUT_MS, () => cut('answer_time'));
      }
    }
    const headers = this.#headersOf(answer.headers).concat('Content-Length', String(length));
    const isClosing = answer.close === true || this.#server === undefined;
    if (isClosing) headers.push('Connection', 'close');
    response.writeHead(status, headers);
    // ASCII text goes out with the head in one string, which is cheapest as latin1.
    if (typeof body === 'string') response.end(body, length === body.length ? 'latin1' : 'utf8');
    else response.end(body);
  }

  /** As a flat list, made once for each object: handlers answer with a few constant ones. */
  #headersOf(headers: HttpsResponse['headers']): readonly string[] {
    if (headers === undefined) return this.#headers;
    let list = this.#headerLists.get(headers);
    if (list === undefined) {
      list = [...this.#headers, ...Object.entries(headers).flat()];
      this.#headerLists.set(headers, list);
    }
    return list;
  }

  #release(exchange: Exchange): void {
    if (exchange.isClosed) return;
    exchange.close();
    this.#open.delete(exchange);
    const { socket } = exchange;
    this.#reading.delete(socket);
    const left = (this.#openOf.get(socket) ?? 1) - 1;
    if (left === 0) this.#openOf.delete(socket);
    else this.#openOf.set(socket, left);
    if (this.#open.size === 0) this.#onNoneOpen?.();
  }
}

function endpointOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function text(status: number, body: string, close = false): HttpsResponse {
  return { status, headers: TEXT, body, close };
}
