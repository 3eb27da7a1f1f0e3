// SPDX-License-Identifier: MIT
// One request to one node, and what came back: through an onion over HTTPS to the guard (spec/storage-server §4), or
// directly to a node that may become a guard. What to make of it is decided elsewhere (status.ts).
import { accountIdOf } from '@allium/protocol/account-id';
import { fromHex, fromUtf8 } from '@allium/protocol/bytes';
import { randomBytes, x25519 } from '@allium/protocol/crypto';
import { CryptoError } from '@allium/protocol/crypto/provider';
import { type Env, type Transport, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, parseJson } from '@allium/protocol/json';
import { openReply } from '@allium/protocol/onion/layer';
import { type BuiltOnion, buildOnion, openFinalReply } from '@allium/protocol/onion/request';
import { encodeV4Request, parseV4Response, type V4Request, type V4Response } from '@allium/protocol/onion/v4';
import { encodeJsonBody } from '@allium/protocol/storage/request-writer';
import { parseAccountPubkey, type StorageRequest } from '@allium/protocol/storage/requests';
import { parseSwarm } from '@allium/protocol/storage/responses';
import type { PoolNode } from '../storage/storage.ts';
import type { NodePool } from './pool.ts';
import type { Outcome } from './status.ts';

const GUARD_TEST_TIMEOUT_MS = 10_000; // spec/client §2.4
// Ours.
/** spec/storage-server §9.3.13: hops are counted from a random number, so that a node cannot tell its place. */
const FIRST_HOP_NUMBERS = 6;

const V4_TARGET = '/oxen/v4/lsrpc'; // spec/client §7.3

/** A server beyond the network. */
export interface ServerAddress {
  readonly protocol: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly x25519Key: Uint8Array;
}

interface OnionsDeps {
  readonly pool: NodePool;
  readonly transport: Transport;
  readonly env: Env;
}

interface Exchange {
  readonly outcome: Outcome;
  readonly body: string;
  /** Of a destination that answered with a success. */
  readonly json?: Json;
}

export class Onions {
  readonly #deps: OnionsDeps;

  constructor(deps: OnionsDeps) {
    this.#deps = deps;
  }

  /** Through the hops to the node beyond them; without hops to that node itself. Never rejects but for faults of our own. */
  async send(
    hops: readonly PoolNode[],
    target: PoolNode,
    request: StorageRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Exchange> {
    const guard = hops[0] ?? target;
    let onion: BuiltOnion;
    try {
      onion = buildOnion({
        path: hops.map(keysOf),
        direct: hops.length === 0,
        destination: { kind: 'node', ...keysOf(target) },
        payload: encodeJsonBody(request),
        hopNo: this.#deps.env.random.below(FIRST_HOP_NUMBERS),
        padded: true,
      });
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      // A node list may hold keys with which nothing can be encrypted: their owners go.
      for (const node of [...hops, target]) if (!canEncryptTo(node)) this.#deps.pool.drop(node.ed25519Hex);
      return { outcome: { at: 'transport', code: 'bad_response' }, body: '' };
    }
    const response = await this.#post(guard, onion.body, timeoutMs, signal);
    if ('outcome' in response) return response;
    let opened = false;
    try {
      const reply = openFinalReply(response.bytes, onion.replyKey);
      if (reply === undefined) return { outcome: { at: 'unreadable', opened }, body: '' };
      opened = true;
      const outcome: Outcome = { at: 'destination', status: reply.status, body: reply.body };
      if (reply.status < 200 || reply.status > 299) return { outcome, body: reply.body };
      return { outcome, body: reply.body, json: parseJson(reply.body) };
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return { outcome: { at: 'unreadable', opened }, body: '' };
    }
  }

  /** Through the hops to a server beyond them (spec/client §7.3). Never rejects but for faults of our own. */
  async sendToServer(
    hops: readonly PoolNode[],
    server: ServerAddress,
    request: V4Request,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly outcome: Outcome; readonly response?: V4Response }> {
    const { protocol, host, port, x25519Key } = server;
    const onion = buildOnion({
      path: hops.map(keysOf),
      destination: { kind: 'server', protocol, host, port, target: V4_TARGET, x25519Key },
      payload: encodeV4Request(request),
      hopNo: this.#deps.env.random.below(FIRST_HOP_NUMBERS),
      padded: true,
    });
    const answer = await this.#post(hops[0]!, onion.body, timeoutMs, signal);
    if ('outcome' in answer) return answer;
    let opened = false;
    try {
      const plaintext = openReply(onion.replyKey, answer.bytes);
      if (plaintext === undefined) return { outcome: { at: 'unreadable', opened } };
      opened = true;
      const response = parseV4Response(plaintext);
      const body = response.code < 300 ? '' : textOfBody(response.body);
      return { outcome: { at: 'server', status: response.code, body, isOfficial: false }, response };
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return { outcome: { at: 'unreadable', opened } };
    }
  }

  /** To the guard; what is not 200 comes back as an outcome. */
  async #post(
    guard: PoolNode,
    body: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Exchange | { readonly bytes: Uint8Array }> {
    try {
      const url = `${urlOf(guard)}/onion_req/v2`;
      const request = { url, body, node: guard.ed25519Hex, timeoutMs, signal };
      const response = await this.#deps.transport.request(request);
      if (response.status === 200) return { bytes: response.body };
      const text = textOfBody(response.body);
      return { outcome: { at: 'hop', status: response.status, body: text }, body: text };
    } catch (error) {
      const code = error instanceof TransportError ? error.code : signal.aborted ? 'aborted' : 'bad_response';
      return { outcome: { at: 'transport', code }, body: '' };
    }
  }

  /** §2.4: a direct `get_swarm`. Ours: of a random account; our own id next to our address is none of its business. */
  async answersDirectly(node: PoolNode, signal: AbortSignal): Promise<boolean> {
    if (this.#deps.transport.onlyOnions === true) {
      // Ours: sealed to the node, since an entry passes on nothing else.
      const { outcome } = await this.send([], node, { method: 'info' }, GUARD_TEST_TIMEOUT_MS, signal);
      signal.throwIfAborted();
      return outcome.at === 'destination' && outcome.status === 200;
    }
    try {
      const answer = await this.#deps.transport.request({
        url: `${urlOf(node)}/storage_rpc/v1`,
        body: encodeJsonBody({
          method: 'get_swarm',
          account: parseAccountPubkey(accountIdOf(randomBytes(32))),
        }),
        headers: { 'content-type': 'application/json' },
        timeoutMs: GUARD_TEST_TIMEOUT_MS,
        signal,
      });
      if (answer.status !== 200) return false;
      parseSwarm(parseJson(fromUtf8(answer.body)));
      return true;
    } catch (error) {
      if (error instanceof TransportError || error instanceof ParseError) return false;
      signal.throwIfAborted();
      throw error;
    }
  }
}

function keysOf(node: PoolNode) {
  return { ed25519Key: fromHex(node.ed25519Hex, 32), x25519Key: fromHex(node.x25519Hex, 32) };
}

function canEncryptTo(node: PoolNode): boolean {
  try {
    x25519(randomBytes(32), fromHex(node.x25519Hex, 32));
    return true;
  } catch (error) {
    if (error instanceof CryptoError) return false;
    throw error;
  }
}

function urlOf(node: PoolNode): string {
  const host = node.host.includes(':') ? `[${node.host}]` : node.host;
  return `https://${host}:${node.httpsPort}`;
}

/** Foreign text in an answer that failed: the beginning is enough, and any bytes will do. */
function textOfBody(body: Uint8Array): string {
  return new TextDecoder().decode(body.subarray(0, 64 * 1024));
}
