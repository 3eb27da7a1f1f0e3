// SPDX-License-Identifier: AGPL-3.0-or-later
// The browser entry of a node whose operator has a real certificate (spec/storage-server §9.3.12,
// docs/formats/browser-entry.md): pages may post onions to this node, and send them over a WebSocket. Of both the node sees no
// more than of any client that has it as its guard.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { CertificateFileError, type CertificatePaths } from '@allium/net/certificate-files';
import { EntrySockets, type Envelope, type EnvelopeResult } from '@allium/net/entry-sockets';
import type { HttpsRequestHead, HttpsResponse } from '@allium/net/https-server';
import type { RateLimiter } from '@allium/net/rate-limiter';
import { utf8 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { NODE_SOCKET_PATH } from '@allium/protocol/onion/entry';
import type { ServiceNodeOptions } from './config.ts';
import type { Metrics } from './metrics.ts';
import type { OnionRelay } from './onion/relay.ts';

/** No cookie or login exists here, so any page may ask. */
const OPEN = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };
const PREFLIGHT: HttpsResponse = {
  status: 204,
  headers: {
    ...OPEN,
    'Access-Control-Allow-Methods': 'POST, OPTIONS',
    'Access-Control-Allow-Headers': 'content-type',
    'Access-Control-Max-Age': '86400',
  },
};
/** What pages may ask: onions, and the list with which they begin. */
const PATHS = new Set(['/onion_req/v2', '/json_rpc']);

export interface BrowserEntryParts {
  readonly ownHex: string;
  readonly onions: OnionRelay;
  readonly onionLimit: RateLimiter;
  readonly metrics: Metrics;
  readonly extraRequests: (bytes: number) => number;
  readonly maxSockets: number;
  readonly maxBufferedBytes: number;
  readonly notReady: () => readonly string[];
}

export class BrowserEntry {
  readonly #parts: BrowserEntryParts;
  readonly #sockets: EntrySockets;
  readonly #env: Env;

  constructor(parts: BrowserEntryParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#sockets = new EntrySockets(
      {
        carry: (envelope) => this.#carry(envelope),
        admits: (address, bytes) => parts.onionLimit.take(address, 1 + parts.extraRequests(bytes)),
        maxSockets: parts.maxSockets,
        maxBufferedBytes: parts.maxBufferedBytes,
        onRefused: (limit) => parts.metrics.refused(limit),
      },
      env,
    );
  }

  /** Open WebSockets. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** The answer to what a browser asks before it asks. */
  preflight({ method, path }: HttpsRequestHead): HttpsResponse | undefined {
    return method === 'OPTIONS' && PATHS.has(path) ? PREFLIGHT : undefined;
  }

  /** Lets pages read an answer that they may have. */
  open({ path }: HttpsRequestHead, answer: HttpsResponse): HttpsResponse {
    return PATHS.has(path) ? { ...answer, headers: { ...answer.headers, ...OPEN } } : answer;
  }

  upgrade(head: HttpsRequestHead, request: IncomingMessage, socket: Socket, first: Buffer): void {
    if (head.path === NODE_SOCKET_PATH && this.#parts.notReady().length === 0) {
      this.#sockets.upgrade(request, socket, first, head.remoteAddress);
      return;
    }
    const status = head.path === NODE_SOCKET_PATH ? '503 Service Unavailable' : '404 Not Found';
    socket.on('error', () => socket.destroy());
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    socket.destroySoon();
  }

  stop(): Promise<void> {
    return this.#sockets.stop();
  }

  async #carry({ node, body, signal }: Envelope): Promise<EnvelopeResult> {
    if (node !== this.#parts.ownHex) return { kind: 'failure', code: 'unknown_node' };
    try {
      const answer = await this.#parts.onions.entry(body, {
        hold: (onGone) => {
          if (onGone !== undefined) signal.addEventListener('abort', onGone, { once: true });
        },
      });
      this.#parts.metrics.request('onion', answer.status);
      const bytes = typeof answer.body === 'string' ? utf8(answer.body) : answer.body;
      return { kind: 'answer', status: answer.status, body: bytes };
    } catch (error) {
      this.#env.log.error({ error: String(error) }, 'a request failed');
      return { kind: 'answer', status: 500, body: utf8('request failed') };
    }
  }
}

/** Undefined: no browser entry. @throws CertificateFileError for one without the other */
export function browserCertificatePaths(options: ServiceNodeOptions): CertificatePaths | undefined {
  const { browserCertificate: certificate, browserKey: key } = options;
  if (certificate === '' && key === '') return undefined;
  if (certificate !== '' && key !== '') return { certificate, key };
  throw new CertificateFileError(
    'unreadable',
    'browserCertificate and browserKey go together: name both or none',
  );
}
