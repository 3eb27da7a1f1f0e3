// SPDX-License-Identifier: AGPL-3.0-or-later
// HTTPS over the simulated network: a listener that calls a node's handlers, and the transport of a client. TLS is
// left out, the bytes of bodies are real.
import type {
  HttpsListener,
  HttpsRequest,
  HttpsRequestHead,
  HttpsResponse,
  HttpsServerOptions,
} from '@allium/net/https-server';
import { utf8 } from '@allium/protocol/bytes';
import {
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '@allium/protocol/env';
import type { Host, Wire } from './wire.ts';

const EMPTY = new Uint8Array(0);

export class SimHttps implements HttpsListener {
  readonly #host: Host;
  readonly #options: HttpsServerOptions;
  /** Requests come one by one here. */
  readonly connections = 0;

  constructor(host: Host, options: HttpsServerOptions) {
    this.#host = host;
    this.#options = options;
  }

  async start(): Promise<{ port: number }> {
    this.#host.listeners.set(this.#options.port, this);
    return { port: this.#options.port };
  }

  async drained(): Promise<void> {}

  async stop(): Promise<void> {
    this.#host.listeners.delete(this.#options.port);
  }

  async answer(head: HttpsRequestHead, body: Uint8Array, onGone: AbortSignal): Promise<TransportResponse> {
    const { precheck, handler, headers } = this.#options;
    const request: HttpsRequest = {
      ...head,
      body,
      signal: onGone,
      hold: (gone) => {
        if (gone === undefined) return;
        if (onGone.aborted) gone();
        else onGone.addEventListener('abort', gone, { once: true });
      },
    };
    let response: HttpsResponse;
    try {
      response = precheck?.(head) ?? (await handler(request));
    } catch {
      response = { status: 500, body: 'request failed' };
    }
    const named = Object.entries({ ...headers, ...response.headers });
    return {
      status: response.status,
      headers: Object.fromEntries(named.map(([name, value]) => [name.toLowerCase(), value])),
      body: typeof response.body === 'string' ? utf8(response.body) : (response.body?.slice() ?? EMPTY),
    };
  }
}

/** Requests of one machine. */
export class SimTransport implements Transport {
  readonly #wire: Wire;
  readonly #host: Host;

  constructor(wire: Wire, host: Host) {
    this.#wire = wire;
    this.#host = host;
  }

  request(request: TransportRequest): Promise<TransportResponse> {
    const { signal, timeoutMs } = request;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new TransportError('aborted', 'the request was aborted'));
      const url = new URL(request.url);
      const to = this.#wire.host(url.hostname);
      const gone = new AbortController();
      let isOver = false;
      const end = () => {
        isOver = true;
        cancel();
        signal?.removeEventListener('abort', onAbort);
        to.onReset.delete(onReset);
      };
      const fail = (code: TransportError['code'], message: string) => {
        if (isOver) return;
        end();
        gone.abort();
        reject(new TransportError(code, message));
      };
      const broken = () => fail('unreachable', 'the connection broke');
      const onReset = () => this.#wire.time.after(this.#wire.delay(to, this.#host), broken);
      const onAbort = () => fail('aborted', 'the request was aborted');
      const cancel = this.#wire.time.after(timeoutMs, () =>
        fail('timeout', `no answer within ${timeoutMs} ms`),
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      const arrive = () => {
        const listener = to.listeners.get(Number(url.port));
        if (!(listener instanceof SimHttps)) {
          this.#wire.time.after(this.#wire.delay(to, this.#host), broken);
          return;
        }
        to.onReset.add(onReset);
        const head: HttpsRequestHead = {
          method: request.body === undefined ? 'GET' : 'POST',
          path: url.pathname + url.search,
          headers: { ...request.headers },
          remoteAddress: this.#host.address,
        };
        listener.answer(head, request.body?.slice() ?? EMPTY, gone.signal).then((response) => {
          this.#wire.carry(
            to,
            this.#host,
            () => {
              end();
              resolve(response);
            },
            broken,
          );
        }, broken);
      };
      this.#wire.carry(this.#host, to, arrive, broken);
    });
  }
}
