// SPDX-License-Identifier: AGPL-3.0-or-later
// What a gateway knows of its network, all from seeds (spec/client §2.1): the members, to whom alone it passes envelopes, and
// the answers with which a browser's client begins and checks that list itself. Answers are kept for a moment, so that
// seeds are asked as often for a thousand browsers as for one.
import type { RateLimiter } from '@allium/net/rate-limiter';
import { utf8 } from '@allium/protocol/bytes';
import { delay, type Env, type Transport, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, stringifyJson } from '@allium/protocol/json';
import {
  CERTIFICATE_METHOD,
  parseCertificateQuery,
  STATIC_LIST_METHOD,
} from '@allium/protocol/membership/evidence';
import {
  decodeJsonRpc,
  decodeJsonRpcAnswer,
  encodeJsonRpc,
  encodeSeedRequest,
  type JsonRpcCall,
  jsonRpcError,
  jsonRpcResult,
  parseServiceNodeList,
  SERVICE_NODE_METHODS,
} from '@allium/protocol/storage/service-node-list';

export interface GatewaySeed {
  /** URL without `/json_rpc`. */
  readonly url: string;
  /** As in spec/client §2.1. Absent: the certificate is not checked. */
  readonly pins?: { readonly publicKey: string; readonly certificate: string };
}

/** A service node, as far as a gateway cares. */
export interface GatewayMember {
  readonly host: string;
  readonly httpsPort: number;
}

export interface SeedsOptions {
  /** Asked in this order until one answers. */
  readonly seeds: readonly GatewaySeed[];
  /** Which addresses of members may be connected to; others are not members for us. */
  readonly allows: (host: string) => boolean;
  /** Default five minutes; ten seconds while there is no list. */
  readonly everyMs?: number;
}

// Ours.
const EVERY_MS = 5 * 60_000;
const FIRST_EVERY_MS = 2_000;
const TIMEOUT_MS = 10_000;
/** How long an answer is given again. */
const KEPT_MS = 15_000;
const MAX_KEPT = 256;
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
const MAX_PARAMS = 2_048;
/** Different questions that are under way. */
const MAX_ASKING = 16;

interface Kept {
  readonly resultJson: string;
  readonly until: number;
}

export class Seeds {
  readonly #options: SeedsOptions;
  readonly #transport: Transport;
  readonly #env: Env;
  readonly #questions: RateLimiter;
  readonly #stopping = new AbortController();
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<string>>();
  #keptBytes = 0;
  #members: ReadonlyMap<string, GatewayMember> = new Map();
  #listedAt: number | undefined;
  #trouble: string | undefined;
  #running: Promise<void> = Promise.resolve();

  /** @param deps.questions limits the questions that no kept answer fits */
  constructor(
    options: SeedsOptions,
    deps: { readonly transport: Transport; readonly env: Env; readonly questions: RateLimiter },
  ) {
    this.#options = options;
    this.#transport = deps.transport;
    this.#env = deps.env;
    this.#questions = deps.questions;
  }

  /** Members by Ed25519 key in hex. */
  get members(): ReadonlyMap<string, GatewayMember> {
    return this.#members;
  }

  /** Unix ms of the newest list. */
  get listedAt(): number | undefined {
    return this.#listedAt;
  }

  /** Why the newest attempt gave no list. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Asks once; resolves whether or not anybody answered. */
  async start(): Promise<void> {
    await this.#refresh();
    this.#running = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    await this.#running;
  }

  /** Answers the body of a `POST /json_rpc`. Questions that a client has no need of are refused. */
  async answer(body: Uint8Array, remoteAddress: string): Promise<{ status: number; json: string }> {
    const call = decodeJsonRpc(body);
    if ('error' in call) return { status: 200, json: jsonRpcError(undefined, call.error) };
    let question: Uint8Array;
    try {
      question = questionOf(call);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return { status: 200, json: jsonRpcError(call.id, -32600, error.message) };
    }
    if (question.length === 0) return { status: 200, json: jsonRpcError(call.id, -32601) };
    const key = `${call.method} ${stringifyJson(call.params ?? null)}`;
    try {
      const kept = this.#kept.get(key);
      if (kept !== undefined && kept.until > this.#env.clock.monotonic()) {
        return { status: 200, json: jsonRpcResult(call.id, kept.resultJson) };
      }
      let asking = this.#asking.get(key);
      if (asking === undefined) {
        if (this.#asking.size >= MAX_ASKING || !this.#questions.take(remoteAddress)) {
          return { status: 429, json: jsonRpcError(call.id, -32003) };
        }
        asking = this.#ask(question)
          .then((result) => this.#keep(key, stringifyJson(result)))
          .finally(() => this.#asking.delete(key));
        this.#asking.set(key, asking);
      }
      return { status: 200, json: jsonRpcResult(call.id, await asking) };
    } catch (error) {
      this.#env.log.debug({ error: String(error) }, 'no seed answered a question');
      return { status: 502, json: jsonRpcError(call.id, -32603, 'no seed of this gateway answers') };
    }
  }

  #keep(key: string, resultJson: string): string {
    const now = this.#env.clock.monotonic();
    for (const [old, { until, resultJson: text }] of this.#kept) {
      const isFull = this.#kept.size >= MAX_KEPT || this.#keptBytes + resultJson.length > MAX_KEPT_BYTES;
      if (until > now && old !== key && !isFull) continue;
      this.#kept.delete(old);
      this.#keptBytes -= text.length;
    }
    this.#kept.set(key, { resultJson, until: now + KEPT_MS });
    this.#keptBytes += resultJson.length;
    return resultJson;
  }

  async #follow(): Promise<void> {
    const { clock } = this.#env;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const pause = this.#members.size === 0 ? FIRST_EVERY_MS : (this.#options.everyMs ?? EVERY_MS);
      await delay(clock, pause, signal).catch(() => undefined);
      if (!signal.aborted) await this.#refresh();
    }
  }

  async #refresh(): Promise<void> {
    try {
      const { nodes } = parseServiceNodeList(await this.#ask(encodeSeedRequest()));
      const members = new Map<string, GatewayMember>();
      let refused = 0;
      for (const { ed25519Hex, host, httpsPort } of nodes) {
        if (httpsPort <= 0 || httpsPort > 65_535) continue;
        if (this.#options.allows(host)) members.set(ed25519Hex, { host, httpsPort });
        else refused++;
      }
      if (members.size === 0) {
        this.#trouble =
          refused > 0
            ? 'all nodes of the list have addresses that are not public'
            : 'the list of a seed is empty';
        return;
      }
      if (refused > 0)
        this.#env.log.warn({ refused }, 'nodes with addresses that are not public are left out');
      this.#members = members;
      this.#listedAt = this.#env.clock.now();
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : String(error);
      if (!this.#stopping.signal.aborted) {
        this.#env.log.warn({ error: this.#trouble }, 'no seed gave a node list: the last one stays');
      }
    }
  }

  /** The result of the first seed that gives one. Rejects with the reason of the last. */
  async #ask(body: Uint8Array): Promise<Json> {
    let last: unknown = new TransportError('unreachable', 'no seed is known');
    for (const { url, pins } of this.#options.seeds) {
      try {
        const answer = await this.#transport.request({
          url: `${url.replace(/\/+$/, '')}/json_rpc`,
          body,
          headers: { 'content-type': 'application/json' },
          timeoutMs: TIMEOUT_MS,
          ...(pins !== undefined && { pins }),
          signal: this.#stopping.signal,
        });
        if (answer.status !== 200) throw new TransportError('bad_response', `status ${answer.status}`);
        return decodeJsonRpcAnswer(answer.body);
      } catch (error) {
        last = error;
        if (this.#stopping.signal.aborted) break;
      }
    }
    throw last;
  }
}

/** The question in our own words; empty: not one that is passed on. @throws ParseError */
function questionOf({ method, params }: JsonRpcCall): Uint8Array {
  if (method === CERTIFICATE_METHOD) {
    return encodeJsonRpc(method, { ...parseCertificateQuery(params) });
  }
  if (method === STATIC_LIST_METHOD) return encodeJsonRpc(method, {});
  if (!SERVICE_NODE_METHODS.has(method)) return utf8('');
  const text = stringifyJson(params ?? {});
  if (text.length > MAX_PARAMS) throw new ParseError('node_list', 'too many parameters');
  return encodeJsonRpc(method, params ?? {});
}
