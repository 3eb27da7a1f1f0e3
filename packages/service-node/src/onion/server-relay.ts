// SPDX-License-Identifier: AGPL-3.0-or-later
// The last hop of an onion to a server: one POST to a community or file server (spec/storage-server §4.6), to public
// addresses only (§9.3.3): names are resolved first, the connection goes to the addresses that were checked, redirects
// are not followed.
import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { AddressRules } from '@allium/net/address-rules';
import type { Env } from '@allium/protocol/env';
import { relayUrl, type ServerRelayLayer } from '@allium/protocol/onion/request';

// From the specification.
const TIMEOUT_MS = 25_000;

// Ours.
/** §9.3.3 allows 10 MiB; a little less, so that the answer still fits into one OMQ message to the previous hop. */
const MAX_ANSWER_BYTES = 10 * 1024 * 1024 - 1024;

/** What belongs to one connection and is not passed on. */
const HOP_HEADERS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'alt-svc',
  'strict-transport-security',
]);

export interface RelayTarget {
  readonly protocol: 'http' | 'https';
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

export interface RelayAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type Resolve = (
  host: string,
) => Promise<readonly { readonly address: string; readonly family: number }[]>;

export interface ServerRelayOptions {
  readonly rules: AddressRules;
  readonly maxConcurrent: number;
  readonly userAgent: string;
  /** Also relay without TLS. */
  readonly http: boolean;
  /** Told when there is no place for another relay. */
  readonly onRefused?: () => void;
  /** Name resolution; the system's by default. */
  readonly resolve?: Resolve;
}

/**
 * The server that the control JSON of a layer names, or undefined when a rule of §4.6 refuses it: the answer is then
 * `Invalid url`.
 */
export function relayTarget(
  layer: Omit<ServerRelayLayer, 'kind' | 'payload'>,
  http: boolean,
): RelayTarget | undefined {
  const { protocol, port, target } = layer;
  const url = relayUrl(layer);
  if (url === undefined || (protocol === 'http' && !http)) return undefined;
  // Lower-case name or canonical address: `127.1` and `0x7f000001` come out as 127.0.0.1.
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
  return { protocol: protocol === 'http' ? 'http' : 'https', host, port, path: target };
}

const failure = (status: number, text: string): RelayAnswer => ({
  status,
  headers: { 'content-type': 'text/plain' },
  body: Buffer.from(text),
});

export class ServerRelay {
  readonly #options: ServerRelayOptions;
  readonly #env: Env;
  readonly #resolve: Resolve;
  readonly #open = new Set<() => void>();
  #active = 0;

  constructor(options: ServerRelayOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#resolve = options.resolve ?? ((host) => dnsLookup(host, { all: true, verbatim: true }));
  }

  /** Posts `body` and resolves with the server's answer, or with 502, 503, 504 and a text. Never rejects. */
  async relay(target: RelayTarget, body: Uint8Array): Promise<RelayAnswer> {
    if (this.#active >= this.#options.maxConcurrent) {
      this.#options.onRefused?.();
      return failure(503, 'Too many relayed requests, try again later');
    }
    this.#active++;
    let expire: (() => void) | undefined;
    const deadline = new Promise<RelayAnswer>((resolve) => {
      expire = () => resolve(failure(504, 'Request to the server timed out'));
    });
    const abort = new AbortController();
    const give = () => {
      abort.abort();
      expire?.();
    };
    const cancel = this.#env.clock.after(TIMEOUT_MS, give);
    this.#open.add(give);
    try {
      return await Promise.race([this.#exchange(target, body, abort.signal), deadline]);
    } finally {
      cancel();
      this.#open.delete(give);
      this.#active--;
    }
  }

  async #exchange(target: RelayTarget, body: Uint8Array, signal: AbortSignal): Promise<RelayAnswer> {
    try {
      const addresses = await this.#addresses(target.host);
      if (addresses.length === 0) {
        this.#env.log.debug({ host: target.host }, 'relay refused: no public address');
        return failure(502, 'The server has no address that may be relayed to');
      }
      if (signal.aborted) throw new Error('aborted');
      return await this.#post(target, addresses, body, signal);
    } catch (error) {
      return failure(502, error instanceof Error ? error.message : 'Request to the server failed');
    }
  }

  async #addresses(host: string): Promise<{ address: string; family: number }[]> {
    const family = isIP(host);
    const found = family > 0 ? [{ address: host, family }] : await this.#resolve(host);
    return found.filter(({ address }) => this.#options.rules.allows(address));
  }

  #post(
    target: RelayTarget,
    addresses: { address: string; family: number }[],
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<RelayAnswer> {
    // The connection may only go where the check allowed: a second resolution could give another answer.
    const pinned: LookupFunction = (_host, options, callback) => {
      if (options.all === true) callback(null, addresses);
      else callback(null, addresses[0]!.address, addresses[0]!.family);
    };
    return new Promise((resolve, reject) => {
      const post = target.protocol === 'https' ? httpsRequest : httpRequest;
      const outgoing = post({
        host: target.host,
        port: target.port,
        path: target.path,
        method: 'POST',
        // A connection of its own: repeating a POST after a dropped idle connection could do it twice.
        agent: false,
        lookup: pinned,
        signal,
        headers: {
          'user-agent': this.#options.userAgent,
          'content-type': 'application/octet-stream',
          'content-length': body.length,
        },
        ...(target.protocol === 'https' && { minVersion: 'TLSv1.2' as const }),
      });
      outgoing.on('error', reject);
      outgoing.on('response', (answer) => {
        readAnswer(answer).then(resolve, (error) => {
          outgoing.destroy();
          reject(error);
        });
      });
      outgoing.end(body);
    });
  }

  /** Gives up all exchanges; their callers get 504. */
  stop(): void {
    for (const give of this.#open) give();
  }
}

function readAnswer(answer: IncomingMessage): Promise<RelayAnswer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    answer.on('data', (part: Buffer) => {
      size += part.length;
      if (size > MAX_ANSWER_BYTES) reject(new Error('The answer of the server is too large'));
      else parts.push(part);
    });
    answer.on('error', reject);
    answer.on('aborted', () => reject(new Error('The server closed the connection')));
    answer.on('end', () => {
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(answer.headers)) {
        if (!HOP_HEADERS.has(name) && typeof value === 'string') headers[name] = value;
      }
      resolve({
        status: answer.statusCode ?? 502,
        headers,
        body: parts.length === 1 ? parts[0]! : Buffer.concat(parts),
      });
    });
  });
}
