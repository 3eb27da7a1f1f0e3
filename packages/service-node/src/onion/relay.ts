// SPDX-License-Identifier: AGPL-3.0-or-later
// Onion requests: opens one layer and does what it says (spec/storage-server §4). Answers of this node as the
// destination, and its complaints about a layer that it could open, are encrypted for the layer's key; all others are plain
// and visible to the hops before us (§4.8).
import type { Omq } from '@allium/net/omq';
import { OmqError } from '@allium/net/omq';
import { fromUtf8 } from '@allium/protocol/bytes';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { openLayer, type ReplyKey } from '@allium/protocol/onion/layer';
import {
  encodeHop,
  type FinalLayer,
  type Hop,
  type Layer,
  MAX_HOPS,
  type NodeRelayLayer,
  parseEntry,
  parseHop,
  parseLayer,
  relayedStatus,
  type ServerRelayLayer,
  sealFinalReply,
} from '@allium/protocol/onion/request';
import { decodeJsonBody, RequestError } from '@allium/protocol/storage/requests';
import type { Metrics } from '../metrics.ts';
import type { Executor } from '../rpc/executor.ts';
import { failure, jsonOf, type Outcome } from '../rpc/outcome.ts';
import { hasAddress } from '../swarm/replication.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { relayTarget, type ServerRelay } from './server-relay.ts';

// From the specification.
const HOP_TIMEOUT_MS = 30_000;

export interface OnionAnswer {
  readonly status: number;
  readonly body: Uint8Array | string;
  /** Of a relayed server, for the entry node only. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface OnionRelayParts {
  readonly keyPair: KeyPair;
  readonly ownHex: string;
  readonly executor: Executor;
  readonly swarm: Swarm;
  readonly omq: Omq;
  readonly relay: ServerRelay;
  readonly metrics: Metrics;
  readonly isReady: () => boolean;
  readonly maxHops: number;
  readonly relayHttp: boolean;
}

const plain = (status: number, body: string): OnionAnswer => ({ status, body });

export class OnionRelay {
  readonly #parts: OnionRelayParts;
  readonly #env: Env;
  #waiting = 0;
  /** … by next node, Ed25519 hex. */
  readonly #waitingFor = new Map<string, number>();

  constructor(parts: OnionRelayParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Body of `POST /onion_req/v2`. */
  entry(body: Uint8Array): OnionAnswer | Promise<OnionAnswer> {
    let hop: Hop;
    try {
      hop = parseEntry(body);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return plain(400, `Error parsing onion request: ${error.message}`);
    }
    return this.#hop({ ...hop, hopNo: Math.max(0, hop.hopNo) });
  }

  /** The data part of `sn.onion_request`. */
  hop(part: Uint8Array | undefined): OnionAnswer | Promise<OnionAnswer> {
    let hop: Hop;
    try {
      if (part === undefined) throw new ParseError('onion', 'expected one part');
      hop = parseHop(part);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return plain(400, `Invalid internal onion request: ${error.message}`);
    }
    return this.#hop({ ...hop, hopNo: Math.max(1, hop.hopNo) });
  }

  #hop(hop: Hop): OnionAnswer | Promise<OnionAnswer> {
    const { metrics, keyPair, ownHex } = this.#parts;
    // §9.3.4: at the entry as well.
    if (hop.hopNo > MAX_HOPS) return plain(400, 'onion request max path length exceeded');
    metrics.count('onion');
    metrics.onionLayers++;
    const opened = openLayer(hop.encType, hop.ciphertext, hop.ephemeralKey, keyPair);
    if (opened === undefined) return plain(400, 'Invalid ciphertext');
    let layer: Layer;
    try {
      layer = parseLayer(opened.plaintext);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return encrypted(opened.replyKey, 400, 'Invalid json');
    }
    if (layer.kind === 'final') return this.#final(layer, opened.replyKey);
    if (!this.#parts.isReady()) return plain(503, `Snode not ready: ${ownHex}`);
    if (layer.kind === 'server') return this.#server(layer, opened.replyKey);
    return this.#next(layer, hop.hopNo);
  }

  async #final(layer: FinalLayer, replyKey: ReplyKey): Promise<OnionAnswer> {
    const outcome = await this.#execute(layer.body);
    const reply =
      outcome.kind === 'json'
        ? { status: outcome.status, body: jsonOf(outcome), isJson: true }
        : { status: outcome.status, body: outcome.kind === 'text' ? outcome.text : outcome.bytes };
    return { status: 200, body: sealFinalReply(reply, layer, replyKey) };
  }

  async #execute(body: Uint8Array): Promise<Outcome> {
    if (!this.#parts.isReady()) return failure(503, 'Snode not ready');
    try {
      return await this.#parts.executor.execute(decodeJsonBody(body));
    } catch (error) {
      if (error instanceof RequestError) return failure(error.status, error.text);
      this.#env.log.error({ error: String(error) }, 'an onion request failed');
      return failure(500, 'request failed');
    }
  }

  async #server(layer: ServerRelayLayer, replyKey: ReplyKey): Promise<OnionAnswer> {
    const target = relayTarget(layer, this.#parts.relayHttp);
    if (target === undefined) return encrypted(replyKey, 400, 'Invalid url');
    this.#parts.metrics.count('proxy');
    return this.#parts.relay.relay(target, layer.payload);
  }

  async #next(layer: NodeRelayLayer, hopNo: number): Promise<OnionAnswer> {
    const { swarm, omq, metrics, maxHops } = this.#parts;
    const { destination } = layer;
    const member = swarm.membership.byEd25519.get(destination);
    if (member === undefined) return plain(502, `Next node not found: ${destination}`);
    if (!hasAddress(member)) return plain(502, `Next node is currently unreachable: ${destination}`);
    // One node that does not answer may take half of the places at most.
    const waitingFor = this.#waitingFor.get(destination) ?? 0;
    if (this.#waiting >= maxHops || waitingFor >= maxHops / 2) return plain(503, 'Next hop congested');
    const { ciphertext, ephemeralKey, encType } = layer;
    const part = encodeHop({ ciphertext, ephemeralKey, encType, hopNo: hopNo + 1 });
    this.#waiting++;
    this.#waitingFor.set(destination, waitingFor + 1);
    let reply: Uint8Array[];
    try {
      reply = await omq.request(
        { host: member.host, port: member.omqPort, publicKey: member.x25519Key },
        'sn.onion_request',
        [part],
        { timeoutMs: HOP_TIMEOUT_MS },
      );
    } catch (error) {
      if (!(error instanceof OmqError)) throw error;
      return hopFailure(error, destination);
    } finally {
      this.#waiting--;
      const left = (this.#waitingFor.get(destination) ?? 1) - 1;
      if (left === 0) this.#waitingFor.delete(destination);
      else this.#waitingFor.set(destination, left);
    }
    metrics.hopsRelayed++;
    const [status, body] = reply;
    const code = status === undefined ? Number.NaN : statusCode(status);
    if (body === undefined || Number.isNaN(code)) return plain(500, 'Invalid response from snode');
    return { status: relayedStatus(code), body };
  }
}

function hopFailure(error: OmqError, destination: string): OnionAnswer {
  switch (error.code) {
    case 'refused':
      return plain(500, 'Invalid response from snode');
    case 'too_large':
      return plain(413, 'Onion request too large');
    case 'busy':
      return plain(503, 'Next hop congested');
    case 'unreachable':
    case 'handshake':
      return plain(502, `Next node is currently unreachable: ${destination}`);
    default:
      return plain(504, 'Request time out');
  }
}

function statusCode(part: Uint8Array): number {
  if (part.length !== 3) return Number.NaN;
  try {
    const text = fromUtf8(part);
    return /^[1-5]\d\d$/.test(text) ? Number(text) : Number.NaN;
  } catch {
    return Number.NaN;
  }
}

/**
 * §4.8: a complaint that only the owner of the layer's key can read, wrapped like the answer of a destination
 * (§4.5: the status is inside, the outer one 200), so that a client reads both the same way.
 */
function encrypted(replyKey: ReplyKey, status: number, text: string): OnionAnswer {
  return { status: 200, body: sealFinalReply({ status, body: text }, COMPLAINT, replyKey) };
}

const COMPLAINT: FinalLayer = { kind: 'final', body: new Uint8Array(0), embedJson: false, base64: true };
