// SPDX-License-Identifier: AGPL-3.0-or-later
// What the HTTPS listener answers (spec/storage-server §3.1, §3.3): storage RPC, onion requests, the bootstrap API of
// seeds, the ping of testers.
import type { HttpsRequest, HttpsRequestHead, HttpsResponse } from '@allium/net/https-server';
import type { RateLimiter } from '@allium/net/rate-limiter';
import { toBase64 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { decodeJsonBody } from '@allium/protocol/storage/request-reader';
import { RequestError } from '@allium/protocol/storage/requests';
import { decodeJsonRpc, jsonRpcError, jsonRpcResult } from '@allium/protocol/storage/service-node-list';
import type { BrowserEntry } from './browser-entry.ts';
import type { Metrics } from './metrics.ts';
import type { OnionRelay } from './onion/relay.ts';
import { SERVER_HEADER, WIRE_VERSION_TEXT } from './protocol-version.ts';
import type { Executor } from './rpc/executor.ts';
import { type ContentType, httpBody, type Outcome } from './rpc/outcome.ts';
import type { IncomingPings } from './testing/incoming-pings.ts';

const TEXT = { 'content-type': 'text/plain' };
const JSON_TYPE = { 'content-type': 'application/json' };

/** §3.1: with every answer. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = { server: SERVER_HEADER };

const text = (status: number, body: string): HttpsResponse => ({ status, headers: TEXT, body });

/** Ours: a body costs CPU by its size, so each full 16 KiB counts as one more request. */
export const extraRequests = (bytes: number): number =>
  bytes > MAX_BODY_BYTES ? 0 : Math.floor(bytes / 16_384);
/** Beyond it the listener refuses with 413. */
const MAX_BODY_BYTES = 10_485_760;

export interface HttpRoutesParts {
  readonly executor: Executor;
  readonly onions: OnionRelay;
  readonly rpcLimit: RateLimiter;
  readonly onionLimit: RateLimiter;
  readonly metrics: Metrics;
  readonly incoming: IncomingPings;
  /** Of a node that has one. */
  readonly entry?: BrowserEntry | undefined;
  readonly ed25519Key: Uint8Array;
  /** Why requests are not served at present; empty when they are. */
  readonly notReady: () => readonly string[];
}

export class HttpRoutes {
  readonly #parts: HttpRoutesParts;
  readonly #env: Env;
  readonly #ping: HttpsResponse;

  constructor(parts: HttpRoutesParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#ping = { status: 200, headers: { 'X-Oxen-Snode-Pubkey': toBase64(parts.ed25519Key) }, body: '' };
  }

  /** Answers that need no body, in the order of §3.1. */
  precheck(head: HttpsRequestHead): HttpsResponse | undefined {
    const { entry } = this.#parts;
    if (entry === undefined) return this.#precheck(head);
    const preflight = entry.preflight(head);
    const answer = preflight === undefined ? this.#precheck(head) : (this.#limited('rpc', head) ?? preflight);
    return answer === undefined ? undefined : entry.open(head, answer);
  }

  handle(request: HttpsRequest): HttpsResponse | Promise<HttpsResponse> {
    const { entry } = this.#parts;
    const answer = this.#handle(request);
    if (entry === undefined) return answer;
    return answer instanceof Promise
      ? answer.then((late) => entry.open(request, late))
      : entry.open(request, answer);
  }

  #precheck(head: HttpsRequestHead): HttpsResponse | undefined {
    switch (route(head)) {
      case 'POST /storage_rpc/v1': {
        const refused = this.#notReady() ?? this.#limited('rpc', head);
        if (refused !== undefined) return refused;
        if (head.headers['x-loki-long-poll'] === undefined) return undefined;
        return text(410, 'long polling is no longer supported, client upgrade required');
      }
      case 'POST /onion_req/v2':
        return this.#notReady() ?? this.#limited('onion', head);
      case 'POST /json_rpc':
        return this.#limited('rpc', head);
      // Ours: nothing that costs an answer is free of limits.
      case 'POST /ping_test/v1':
      case 'GET /get_stats/v1':
        return this.#limited('rpc', head);
      default:
        return this.#limited('rpc', head) ?? text(404, `${head.method} ${pathOf(head)} Not Found`);
    }
  }

  #handle(request: HttpsRequest): HttpsResponse | Promise<HttpsResponse> {
    // What was announced is counted before it is read.
    const isCounted = request.headers['content-length'] !== undefined;
    const extra = isCounted ? 0 : extraRequests(request.body.length);
    const limited = (limit: 'rpc' | 'onion') =>
      extra === 0 ? undefined : this.#limited(limit, request, extra);
    switch (route(request)) {
      case 'POST /storage_rpc/v1':
        return limited('rpc') ?? this.#rpc(request);
      case 'POST /onion_req/v2':
        return limited('onion') ?? this.#onion(request);
      case 'POST /json_rpc':
        return limited('rpc') ?? this.#jsonRpc(request.body);
      case 'POST /ping_test/v1':
        this.#parts.incoming.arrived('https');
        return this.#ping;
      default:
        return { status: 200, headers: JSON_TYPE, body: `{"version":"${WIRE_VERSION_TEXT}"}` };
    }
  }

  #notReady(): HttpsResponse | undefined {
    const reasons = this.#parts.notReady();
    return reasons.length === 0 ? undefined : text(503, `Service node is not ready: ${reasons.join('; ')}\n`);
  }

  #limited(
    limit: 'rpc' | 'onion',
    head: HttpsRequestHead,
    requests = 1 + extraRequests(Number(head.headers['content-length'] ?? 0)),
  ): HttpsResponse | undefined {
    const { rpcLimit, onionLimit, metrics } = this.#parts;
    if ((limit === 'rpc' ? rpcLimit : onionLimit).take(head.remoteAddress, requests)) return undefined;
    metrics.refused(`${limit}_rate`);
    return text(429, 'Too Many Requests\n');
  }

  #rpc(http: HttpsRequest): HttpsResponse | Promise<HttpsResponse> {
    try {
      const outcome = this.#parts.executor.execute(decodeJsonBody(http.body), http);
      return outcome instanceof Promise ? outcome.then(answerOf, this.#failed) : answerOf(outcome);
    } catch (error) {
      if (!(error instanceof RequestError)) return this.#failed(error);
      this.#parts.metrics.request('invalid', error.status);
      return text(error.status, error.text);
    }
  }

  readonly #failed = (error: unknown): HttpsResponse => {
    this.#env.log.error({ error: String(error) }, 'a request failed');
    return text(500, 'request failed');
  };

  async #onion(request: HttpsRequest): Promise<HttpsResponse> {
    const answer = await this.#parts.onions.entry(request.body, request);
    this.#parts.metrics.request('onion', answer.status);
    return { status: answer.status, headers: answer.headers ?? TEXT, body: answer.body };
  }

  #jsonRpc(body: Uint8Array): HttpsResponse {
    const call = decodeJsonRpc(body);
    if ('error' in call)
      return { status: 200, headers: JSON_TYPE, body: jsonRpcError(undefined, call.error) };
    let answer: string;
    try {
      const result = this.#parts.executor.question(call.method, call.params);
      answer = result === undefined ? jsonRpcError(call.id, -32601) : jsonRpcResult(call.id, result);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      answer = jsonRpcError(call.id, -32600, error.message);
    }
    this.#parts.metrics.request('json_rpc', 200);
    return { status: 200, headers: JSON_TYPE, body: answer };
  }
}

const HEADERS_OF: Readonly<Record<ContentType, Readonly<Record<string, string>>>> = {
  'text/plain': TEXT,
  'application/json': JSON_TYPE,
  'application/octet-stream': { 'content-type': 'application/octet-stream' },
};

function answerOf(outcome: Outcome): HttpsResponse {
  const { contentType, body } = httpBody(outcome);
  return { status: outcome.status, headers: HEADERS_OF[contentType], body };
}

function pathOf(head: HttpsRequestHead): string {
  const query = head.path.indexOf('?');
  return query < 0 ? head.path : head.path.slice(0, query);
}

const route = (head: HttpsRequestHead): string => `${head.method} ${pathOf(head)}`;
