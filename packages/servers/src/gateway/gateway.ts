// SPDX-License-Identifier: AGPL-3.0-or-later
// A gateway for browsers (spec/storage-server §9.3.12, docs/formats/browser-entry.md): carries onion envelopes to the guard that a
// browser chose, tells it the node list, and serves the web app if it is given one. It sees what a network neighbour of
// the guard sees, and can do nothing else for anybody.
//
//   POST /v1/onion/<guard>   one envelope            GET /v1/socket    many of them, as a WebSocket
//   POST /json_rpc           what seeds answer       GET /v1/network   which network it leads into
//   GET  /v1/nodes           the list itself         GET /health       for whoever watches it
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { forwardedAddress } from '@allium/net/address';
import { EntrySockets, type EntrySocketsOptions } from '@allium/net/entry-sockets';
import {
  type HttpsRequest,
  type HttpsRequestHead,
  type HttpsResponse,
  HttpsServer,
  type HttpsServerOptions,
} from '@allium/net/https-server';
import { HttpsTransport } from '@allium/net/https-transport';
import { RateLimiter } from '@allium/net/rate-limiter';
import { utf8 } from '@allium/protocol/bytes';
import type { Env, Transport } from '@allium/protocol/env';
import { stringifyJson } from '@allium/protocol/json';
import {
  ENTRY_FAILURE_HEADER,
  type EntryFailure,
  GATEWAY_ONION_PATH,
  GATEWAY_SOCKET_PATH,
} from '@allium/protocol/onion/entry';
import { MAX_ONION_BYTES } from '@allium/protocol/onion/request';
import { encodeSeedRequest } from '@allium/protocol/storage/service-node-list';
import { Guards, type GuardsOptions } from './guards.ts';
import { type GatewaySeed, Seeds } from './seeds.ts';
import type { WebApp } from './web-app.ts';

export interface GatewayOptions extends GuardsOptions {
  /** Default: loopback. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /** Absent: plain HTTP, for this machine or behind a proxy that has the certificate. */
  readonly tls?: { readonly certificatePem: string; readonly keyPem: string };
  /** Take clients' addresses from the last of X-Forwarded-For. */
  readonly behindProxy?: boolean;
  /** Name of the preset that browsers begin with: `main`, `test` or `local`. */
  readonly network: string;
  /** Tells one network of that name from another; a browser that knows another one begins anew. */
  readonly networkId?: string;
  readonly seeds: readonly GatewaySeed[];
  readonly fileServers?: readonly { readonly url: string; readonly ed25519Hex: string }[];
  /** Nodes that let pages in themselves; pages then need the gateway for a part of their guards only. */
  readonly entries?: readonly { readonly url: string; readonly ed25519Hex: string }[];
  /** File of an anchor that a browser takes at its first start: a signed list, or a certificate in JSON. */
  readonly anchor?: string;
  /** Which addresses of members may be connected to. */
  readonly allows: (host: string) => boolean;
  readonly web?: WebApp;
  /** Envelopes of one address or IPv6 /64 at once, and per second; default 600 and 100. */
  readonly burst?: number;
  readonly perSecond?: number;
  /** Pages, questions and new WebSockets of one address or IPv6 /64 at once, and per second; default 1000 and 50. */
  readonly pageBurst?: number;
  readonly pagesPerSecond?: number;
  /** WebSockets in all, and of one address or IPv6 /64; default 10 000 and 100. */
  readonly maxSockets?: number;
  readonly maxSocketsPerAddress?: number;
  /** Bytes of envelopes and answers in memory: of WebSockets, of requests, and of answers that come in; default 256 MiB each. */
  readonly maxBufferedBytes?: number;
  /** More for the listener and for WebSockets: tests use them. */
  readonly listener?: Partial<HttpsServerOptions>;
  readonly sockets?: Partial<EntrySocketsOptions>;
  readonly seedsEveryMs?: number;
  /** Default: HTTPS, certificates of guards unchecked, as nodes sign their own. */
  readonly transport?: Transport;
}

// Ours.
const BURST = 600;
const PER_SECOND = 100;
/** Questions to seeds that no kept answer fits, of one address. */
const QUESTIONS_BURST = 40;
const QUESTIONS_PER_SECOND = 2;
const PAGES_BURST = 1_000;
const PAGES_PER_SECOND = 50;
/** One for each envelope under way; a guard takes 2,000 of one address. */
const CONNECTIONS_TO_GUARD = 1_000;
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
/** Most of what is under way is held by a node, and asked again by the browser. */
const STOP_MS = 2_000;
/** A larger envelope keeps its place and memory until it has its answer. */
const HELD_BYTES = 16_384;
const MAX_QUESTION_BYTES = 4_096;
/** An envelope counts once more for each full 64 KiB. */
const BYTES_PER_TOKEN = 65_536;

const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' };
const BYTES = { 'Content-Type': 'application/octet-stream', 'Cache-Control': 'no-store' };
const JSON_TYPE = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
/** No cookie or login exists here, so any page may ask. */
const OPEN = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': ENTRY_FAILURE_HEADER,
  'Cross-Origin-Resource-Policy': 'cross-origin',
};
const PREFLIGHT: HttpsResponse = {
  status: 204,
  headers: {
    ...OPEN,
    'Access-Control-Allow-Methods': 'GET, POST, OPTIONS',
    'Access-Control-Allow-Headers': 'content-type',
    'Access-Control-Max-Age': '86400',
  },
};
const OPEN_JSON = { ...OPEN, ...JSON_TYPE };
const OPEN_BYTES = { ...OPEN, ...BYTES };

/** Status of an answer by `POST` that is a failure of ours. */
const STATUS: Readonly<Record<EntryFailure, number>> = {
  unknown_node: 404,
  unreachable: 502,
  timeout: 504,
  too_large: 502,
  bad_response: 502,
  limited: 429,
  busy: 503,
  no_list: 503,
};

export interface GatewayNumbers {
  readonly sockets: number;
  readonly pending: number;
  readonly bufferedBytes: number;
  readonly connections: number;
  readonly nodes: number;
  readonly listedAt: number | undefined;
  /** Envelopes so far, by how they ended: `answer` or a failure. */
  readonly envelopes: ReadonlyMap<string, number>;
  /** How often a limit was met. */
  readonly refused: ReadonlyMap<string, number>;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #env: Env;
  readonly #seeds: Seeds;
  readonly #guards: Guards;
  readonly #server: HttpsServer;
  readonly #sockets: EntrySockets;
  readonly #envelopeRate: RateLimiter;
  readonly #pageRate: RateLimiter;
  readonly #ownTransport: HttpsTransport | undefined;
  readonly #envelopes = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  readonly #info: HttpsResponse['headers'] & object = OPEN_JSON;
  #bytesIn = 0;
  #bytesOut = 0;
  #port = 0;

  constructor(options: GatewayOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#ownTransport =
      options.transport === undefined
        ? new HttpsTransport({
            maxConnectionsPerOrigin: CONNECTIONS_TO_GUARD,
            maxReceivingBytes: options.maxBufferedBytes ?? MAX_BUFFERED_BYTES,
          })
        : undefined;
    const transport = options.transport ?? this.#ownTransport!;
    const rate = (capacity: number, perSecond: number) =>
      new RateLimiter({ capacity, refillMicroseconds: 1e6 / perSecond }, env.clock);
    this.#envelopeRate = rate(options.burst ?? BURST, options.perSecond ?? PER_SECOND);
    this.#pageRate = rate(options.pageBurst ?? PAGES_BURST, options.pagesPerSecond ?? PAGES_PER_SECOND);
    this.#seeds = new Seeds(
      {
        seeds: options.seeds,
        allows: options.allows,
        ...(options.seedsEveryMs !== undefined && { everyMs: options.seedsEveryMs }),
      },
      { transport, env, questions: rate(QUESTIONS_BURST, QUESTIONS_PER_SECOND) },
    );
    this.#guards = new Guards(options, { members: () => this.#seeds.members, transport, env });
    const { maxBufferedBytes, maxSockets, maxSocketsPerAddress } = options;
    const buffered = maxBufferedBytes === undefined ? {} : { maxBufferedBytes };
    this.#sockets = new EntrySockets(
      {
        carry: ({ node, body, signal }) => this.#carry(node, body, signal),
        admits: (address, bytes) => this.#admitsEnvelope(address, bytes),
        onRefused: (limit) => this.#count(limit),
        stopTimeoutMs: STOP_MS,
        ...buffered,
        ...(maxSockets !== undefined && { maxSockets }),
        ...(maxSocketsPerAddress !== undefined && { maxSocketsPerAddress }),
        ...options.sockets,
      },
      env,
    );
    this.#server = new HttpsServer(
      {
        host: options.host ?? '127.0.0.1',
        port: options.port,
        ...options.tls,
        maxBodyBytes: MAX_ONION_BYTES,
        maxConcurrentPerAddress: 256,
        stopTimeoutMs: STOP_MS,
        ...buffered,
        // A proxy has one address for everybody.
        ...(options.behindProxy === true && {
          clientAddress: (request) => forwardedAddress(request.headers['x-forwarded-for']),
          maxConnectionsPerAddress: Number.POSITIVE_INFINITY,
          connectionBurst: 1e9,
          connectionsPerSecond: 1e9,
          allConnectionsPerSecond: 1e9,
          maxRefusals: Number.POSITIVE_INFINITY,
        }),
        precheck: (head) => this.#precheck(head),
        handler: (request) => this.#handle(request),
        upgrade: (head, request, socket, first) => this.#upgrade(head, request, socket, first),
        onRefused: (limit) => this.#count(limit),
        ...options.listener,
      },
      env,
    );
  }

  /** Listens; there may be no node list yet. @throws the error of the listener, e.g. `EADDRINUSE` */
  async start(): Promise<{ readonly url: string; readonly port: number }> {
    const { port } = await this.#server.start();
    this.#port = port;
    await this.#seeds.start();
    return { url: this.url, port };
  }

  get url(): string {
    const { host = '127.0.0.1', tls } = this.#options;
    const name = host.includes(':') ? `[${host}]` : host;
    return `${tls === undefined ? 'http' : 'https'}://${name}:${this.#port}`;
  }

  /** Why there is no node list; undefined when there is one, be it an old one. */
  get trouble(): string | undefined {
    return this.#seeds.members.size > 0 ? undefined : (this.#seeds.trouble ?? 'no seed was asked yet');
  }

  get numbers(): GatewayNumbers {
    return {
      sockets: this.#sockets.size,
      pending: this.#guards.pending,
      bufferedBytes: this.#sockets.bufferedBytes,
      connections: this.#server.connections,
      nodes: this.#seeds.members.size,
      listedAt: this.#seeds.listedAt,
      envelopes: this.#envelopes,
      refused: this.#refused,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
    };
  }

  /** Shown to connections from now on. @throws the error of TLS for one that is none */
  setCertificate(certificate: { readonly certificatePem: string; readonly keyPem: string }): void {
    this.#server.setCertificate(certificate);
  }

  /** Gives envelopes under way two seconds, then ends everything. */
  async stop(): Promise<void> {
    await this.#sockets.stop();
    await this.#server.stop();
    await this.#seeds.stop();
    this.#ownTransport?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #count(limit: string): void {
    this.#refused.set(limit, (this.#refused.get(limit) ?? 0) + 1);
  }

  #admitsEnvelope(remoteAddress: string, bytes: number): boolean {
    return this.#envelopeRate.take(remoteAddress, 1 + Math.floor(bytes / BYTES_PER_TOKEN));
  }

  async #carry(node: string, body: Uint8Array, signal: AbortSignal) {
    this.#bytesIn += body.length;
    const result = await this.#guards.pass(node, body, signal);
    const end = signal.aborted ? 'cancelled' : result.kind === 'answer' ? 'answer' : result.code;
    this.#envelopes.set(end, (this.#envelopes.get(end) ?? 0) + 1);
    if (result.kind === 'answer') this.#bytesOut += result.body.length;
    return result;
  }

  /** Before a body is read: what is not ours, and who asks too much. */
  #precheck(head: HttpsRequestHead): HttpsResponse | undefined {
    if (head.method === 'OPTIONS') return PREFLIGHT;
    const length = Number(head.headers['content-length'] ?? 0);
    if (head.method === 'POST' && guardOf(head.path) !== undefined) {
      if (this.#admitsEnvelope(head.remoteAddress, length)) return undefined;
      this.#count('envelope_rate');
      return failed('limited');
    }
    if (!this.#pageRate.take(head.remoteAddress)) {
      this.#count('page_rate');
      return { status: 429, headers: { ...OPEN, ...TEXT }, body: 'Too many requests\n' };
    }
    if (head.method === 'POST' && head.path === '/json_rpc') {
      return length <= MAX_QUESTION_BYTES ? undefined : refusal(413, 'Request body too large');
    }
    if (head.method === 'GET' || head.method === 'HEAD') return undefined;
    return refusal(404, 'Not found');
  }

  async #handle(request: HttpsRequest): Promise<HttpsResponse> {
    const { method, path } = request;
    if (method === 'POST') {
      const node = guardOf(path);
      if (node === undefined) return this.#question(request);
      return this.#onion(request, node);
    }
    switch (path) {
      case '/v1/network':
        return { status: 200, headers: this.#info, body: this.#network() };
      case '/v1/nodes': {
        const list = await this.#seeds.answer(encodeSeedRequest({ proofs: true }), request.remoteAddress);
        return { status: list.status, headers: OPEN_JSON, body: list.json };
      }
      case '/health':
        return this.#health();
      case GATEWAY_SOCKET_PATH:
        return {
          status: 426,
          headers: { ...OPEN, ...TEXT, Upgrade: 'websocket' },
          body: 'A WebSocket is here\n',
        };
      default:
        return this.#page(request) ?? refusal(404, 'Not found');
    }
  }

  #page({ method, path, headers }: HttpsRequest): HttpsResponse | undefined {
    const { web, tls } = this.#options;
    const page = web?.answer(path, headers, method === 'HEAD');
    if (page === undefined || tls === undefined) return page;
    return { ...page, headers: { ...page.headers, 'Strict-Transport-Security': 'max-age=31536000' } };
  }

  async #onion(request: HttpsRequest, node: string): Promise<HttpsResponse> {
    const { body, signal } = request;
    if (body.length === 0) return refusal(400, 'An envelope is missing');
    // A guard may hold its answer for 25 s.
    if (body.length <= HELD_BYTES) request.hold();
    const result = await this.#carry(node, body, signal);
    if (result.kind === 'failure') return failed(result.code);
    return { status: result.status, headers: OPEN_BYTES, body: result.body };
  }

  async #question(request: HttpsRequest): Promise<HttpsResponse> {
    if (request.body.length > MAX_QUESTION_BYTES) return refusal(413, 'Request body too large');
    const { status, json } = await this.#seeds.answer(request.body, request.remoteAddress);
    return { status, headers: OPEN_JSON, body: json };
  }

  #network(): string {
    const { network, networkId, fileServers = [], entries = [], anchor } = this.#options;
    const addressOf = ({ url, ed25519Hex }: { url: string; ed25519Hex: string }) => ({
      url,
      ed25519_key: ed25519Hex,
    });
    return stringifyJson({
      version: 1,
      network,
      ...(networkId !== undefined && { id: networkId }),
      nodes: this.#seeds.members.size,
      file_servers: fileServers.map(addressOf),
      ...(entries.length > 0 && { entries: entries.map(addressOf) }),
      ...(anchor !== undefined && { anchor }),
    });
  }

  #health(): HttpsResponse {
    const { trouble } = this;
    const { listedAt } = this.#seeds;
    const body = stringifyJson({
      ok: trouble === undefined,
      nodes: this.#seeds.members.size,
      ...(listedAt !== undefined && {
        list_age_seconds: Math.floor((this.#env.clock.now() - listedAt) / 1000),
      }),
    });
    return { status: trouble === undefined ? 200 : 503, headers: OPEN_JSON, body };
  }

  #upgrade(head: HttpsRequestHead, request: IncomingMessage, socket: Socket, first: Buffer): void {
    const isOurs = head.path === GATEWAY_SOCKET_PATH;
    if (isOurs && this.#pageRate.take(head.remoteAddress)) {
      this.#sockets.upgrade(request, socket, first, head.remoteAddress);
      return;
    }
    if (isOurs) this.#count('page_rate');
    socket.on('error', () => socket.destroy());
    const status = isOurs ? '429 Too Many Requests' : '404 Not Found';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    socket.destroySoon();
  }
}

/** The guard that a path names, Ed25519 key in hex; exactly so and nothing more. */
function guardOf(path: string): string | undefined {
  if (!path.startsWith(GATEWAY_ONION_PATH)) return undefined;
  const node = path.slice(GATEWAY_ONION_PATH.length);
  return /^[0-9a-f]{64}$/.test(node) ? node : undefined;
}

function failed(code: EntryFailure): HttpsResponse {
  return {
    status: STATUS[code],
    headers: { ...OPEN, ...JSON_TYPE, [ENTRY_FAILURE_HEADER]: code },
    body: utf8(stringifyJson({ error: code })),
  };
}

function refusal(status: number, text: string): HttpsResponse {
  return { status, headers: { ...OPEN, ...TEXT }, body: `${text}\n` };
}
