// SPDX-License-Identifier: MIT
// Requests to servers beyond the network, through three hops (spec/client §7.3): file servers, communities. Who fails is
// hard to tell, for the last hop speaks for the server: a path is blamed only once another one has had an answer from
// the same server. Else anybody could have us drop good nodes by naming a server that does not answer.
import { fromHex } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519 } from '@allium/protocol/crypto';
import { ParseError, quote } from '@allium/protocol/errors';
import type { V4Request, V4Response } from '@allium/protocol/onion/v4';
import { ClientError, noWayOut } from '../errors.ts';
import type { Onions, ServerAddress } from './onions.ts';
import type { Path, Paths } from './paths.ts';
import type { Semaphore } from './semaphore.ts';
import { type Blame, judge } from './status.ts';

const DEFAULT_ATTEMPTS = 3; // spec/client §2.6

export interface ServerRequestOptions {
  readonly timeoutMs: number;
  readonly attempts?: number;
  readonly signal?: AbortSignal | undefined;
}

/** @throws ParseError `file_url` for a URL with more than scheme, host and port; or a key that is no point */
export function serverAddress(url: string, ed25519Hex: string): ServerAddress {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new ParseError('file_url', `${quote(url)} is no URL`, { cause });
  }
  const { protocol, hostname, port } = parsed;
  if ((protocol !== 'http:' && protocol !== 'https:') || parsed.origin !== url.replace(/\/$/, '')) {
    throw new ParseError('file_url', `${quote(url)} is not the address of a server`);
  }
  const x25519Key = ed25519PublicKeyToX25519(fromHex(ed25519Hex, 32));
  if (x25519Key === undefined) throw new ParseError('file_url', 'the key of the server is no key');
  const isHttps = protocol === 'https:';
  return {
    protocol: isHttps ? 'https' : 'http',
    host: hostname,
    port: port === '' ? (isHttps ? 443 : 80) : Number(port),
    x25519Key,
  };
}

export class Servers {
  readonly #paths: Paths;
  readonly #onions: Onions;
  readonly #slots: Semaphore;
  readonly #end: AbortSignal;

  constructor(paths: Paths, onions: Onions, slots: Semaphore, end: AbortSignal) {
    this.#paths = paths;
    this.#onions = onions;
    this.#slots = slots;
    this.#end = end;
  }

  /**
   * The server's answer, of any status; another path is tried when none came.
   * @throws ClientError `unreachable` when no attempt brought one; `no_path`, `no_nodes`, `no_network`; the reason of
   * the signal; OnionError `too_large`
   */
  async ask(server: ServerAddress, request: V4Request, options: ServerRequestOptions): Promise<V4Response> {
    const { timeoutMs, attempts = DEFAULT_ATTEMPTS } = options;
    const signal = options.signal === undefined ? this.#end : AbortSignal.any([options.signal, this.#end]);
    using _slot = await this.#slots.acquire(signal);
    const failed = new Map<Path, Blame>();
    let why = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      const path = await this.#paths.get(undefined, new Set(failed.keys()), signal);
      const hops = path.hops;
      const { outcome, response } = await this.#onions.sendToServer(hops, server, request, timeoutMs, signal);
      signal.throwIfAborted();
      if (response !== undefined) {
        this.#paths.succeeded(path);
        for (const [other, blame] of failed) if (other !== path) this.#paths.blame(other, blame);
        return response;
      }
      const route = { hops: hops.map((hop) => hop.ed25519Hex), destination: undefined };
      const { blame, error } = judge(outcome, route);
      const trapped = noWayOut(error);
      if (trapped !== undefined) throw trapped;
      // That the guard is unreachable, or a named hop, has nothing to do with the server.
      if (blame.kind === 'path') failed.set(path, blame);
      else this.#paths.blame(path, blame);
      why = 'status' in outcome ? `${outcome.status} ${outcome.body.slice(0, 80)}` : outcome.at;
    }
    throw new ClientError('unreachable', `the server did not answer: ${why.trimEnd()}`);
  }
}
