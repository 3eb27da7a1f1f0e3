// SPDX-License-Identifier: AGPL-3.0-or-later
// Onion requests: opens one layer and does what it says (spec/storage-server §4). Answers of this node as the
// destination, and its complaints about a layer that it could open, are encrypted for the layer's key; all others are plain
// and visible to the hops before us (§4.8).
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { fromUtf8 } from '@allium/protocol/bytes';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member } from '@allium/protocol/membership';
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
  type ReplyForm,
  relayedStatus,
  type ServerRelayLayer,
  sealFinalReply,
} from '@allium/protocol/onion/request';
import { decodeJsonBody } from '@allium/protocol/storage/request-reader';
import { RequestError } from '@allium/protocol/storage/requests';
import type { Metrics } from '../metrics.ts';
import type { Carrier } from '../monitor/long-polls.ts';
import { hasAddress, peerOf } from '../peers.ts';
import type { Executor } from '../rpc/executor.ts';
import { failure, jsonOf, type Outcome } from '../rpc/outcome.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { relayTarget, type ServerRelay } from './server-relay.ts';

// From the specification.
const HOP_TIMEOUT_MS = 30_000;
// Ours.
/** When the node stops, ordinary requests have that long to end; held ones are given up then. */
const STOP_MS = 1_000;

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
  readonly omq: OmqEndpoint;
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
  /** Gives a hop up that waits for the next node. */
  readonly #waiting = new Set<() => void>();
  /** … how many, by next node, Ed25519 hex. */
  readonly #waitingFor = new Map<string, number>();
  #onNoneWaiting: (() => void) | undefined;

  constructor(parts: OnionRelayParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Onion requests that wait for the next node. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves when no hop waits any more: after a moment the others are answered that this node is going. */
  async stop(): Promise<void> {
    if (this.#waiting.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#env.clock.after(STOP_MS, () => {
        for (const giveUp of [...this.#waiting]) giveUp();
      });
      this.#onNoneWaiting = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Body of `POST /onion_req/v2`. */
  entry(body: Uint8Array, carrier?: Carrier): OnionAnswer | Promise<OnionAnswer> {
    let hop: Hop;
    try {
      hop = parseEntry(body);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return plain(400, `Error parsing onion request: ${error.message}`);
    }
    return this.#hop({ ...hop, hopNo: Math.max(0, hop.hopNo) }, carrier);
  }

  /** The data part of `sn.onion_request`. */
  hop(part: Uint8Array | undefined, carrier?: Carrier): OnionAnswer | Promise<OnionAnswer> {
    let hop: Hop;
    try {
      if (part === undefined) throw new ParseError('onion', 'expected one part');
      hop = parseHop(part);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return plain(400, `Invalid internal onion request: ${error.message}`);
    }
    return this.#hop({ ...hop, hopNo: Math.max(1, hop.hopNo) }, carrier);
  }

  #hop(hop: Hop, carrier: Carrier | undefined): OnionAnswer | Promise<OnionAnswer> {
    const { metrics, keyPair, ownHex } = this.#parts;
    // §9.3.4: at the entry as well.
    if (hop.hopNo > MAX_HOPS) {
      metrics.refused('onion_depth');
      return plain(400, 'onion request max path length exceeded');
    }
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
    if (layer.kind === 'final') return this.#final(layer, opened.replyKey, carrier);
    if (!this.#parts.isReady()) return plain(503, `Snode not ready: ${ownHex}`);
    if (layer.kind === 'server') return this.#server(layer, opened.replyKey);
    return this.#next(layer, hop.hopNo, carrier);
  }

  #final(
    { body, ...form }: FinalLayer,
    replyKey: ReplyKey,
    carrier: Carrier | undefined,
  ): OnionAnswer | Promise<OnionAnswer> {
    const answer = (outcome: Outcome): OnionAnswer => {
      const reply =
        outcome.kind === 'json'
          ? { status: outcome.status, body: jsonOf(outcome), isJson: true }
          : { status: outcome.status, body: outcome.kind === 'text' ? outcome.text : outcome.bytes };
      return { status: 200, body: sealFinalReply(reply, form, replyKey) };
    };
    if (!this.#parts.isReady()) return answer(failure(503, 'Snode not ready'));
    try {
      // Nothing of the layer is kept while the answer is held.
      const outcome = this.#parts.executor.execute(decodeJsonBody(body), carrier);
      if (!(outcome instanceof Promise)) return answer(outcome);
      return outcome.catch((error: unknown) => this.#failed(error)).then(answer);
    } catch (error) {
      if (error instanceof RequestError) return answer(failure(error.status, error.text));
      return answer(this.#failed(error));
    }
  }

  #failed(error: unknown): Outcome {
    this.#env.log.error({ error: String(error) }, 'an onion request failed');
    return failure(500, 'request failed');
  }

  async #server(layer: ServerRelayLayer, replyKey: ReplyKey): Promise<OnionAnswer> {
    const target = relayTarget(layer, this.#parts.relayHttp);
    if (target === undefined) return encrypted(replyKey, 400, 'Invalid url');
    this.#parts.metrics.count('proxy');
    return this.#parts.relay.relay(target, layer.payload);
  }

  #next(
    layer: NodeRelayLayer,
    hopNo: number,
    carrier: Carrier | undefined,
  ): OnionAnswer | Promise<OnionAnswer> {
    const { swarm, maxHops, metrics } = this.#parts;
    const { destination } = layer;
    const member = swarm.membership.byEd25519.get(destination);
    if (member === undefined) return plain(502, `Next node not found: ${destination}`);
    if (!hasAddress(member)) return plain(502, `Next node is currently unreachable: ${destination}`);
    // One node that does not answer may take half of the places at most.
    const waitingFor = this.#waitingFor.get(destination) ?? 0;
    const isFull = this.#waiting.size >= maxHops;
    if (isFull || waitingFor >= maxHops / 2) {
      metrics.refused(isFull ? 'hops' : 'hops_per_node');
      return plain(503, 'Next hop congested');
    }
    const { ciphertext, ephemeralKey, encType } = layer;
    const part = encodeHop({ ciphertext, ephemeralKey, encType, hopNo: hopNo + 1 });
    // §9.3.16: what we relay may be held for 25 s. Neither the layer nor the part is kept meanwhile.
    carrier?.hold();
    return this.#send(member, part).then(
      (reply) => this.#relayed(reply),
      (error: unknown) => {
        if (error instanceof OmqError) return hopFailure(error, destination);
        if (error === GIVEN_UP) return plain(503, `Snode not ready: ${this.#parts.ownHex}`);
        throw error;
      },
    );
  }

  #send(member: Member, part: Uint8Array): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      const next = member.ed25519Hex;
      this.#waitingFor.set(next, (this.#waitingFor.get(next) ?? 0) + 1);
      const giveUp = () => {
        if (!this.#waiting.delete(giveUp)) return;
        const left = (this.#waitingFor.get(next) ?? 1) - 1;
        if (left === 0) this.#waitingFor.delete(next);
        else this.#waitingFor.set(next, left);
        if (this.#waiting.size === 0) this.#onNoneWaiting?.();
        reject(GIVEN_UP); // unless it has the reply
      };
      this.#waiting.add(giveUp);
      this.#parts.omq
        .request(peerOf(member), 'sn.onion_request', [part], { timeoutMs: HOP_TIMEOUT_MS })
        .then(resolve, reject)
        .finally(giveUp);
    });
  }

  #relayed(reply: readonly Uint8Array[]): OnionAnswer {
    this.#parts.metrics.hopsRelayed++;
    const [status, body] = reply;
    const code = status === undefined ? Number.NaN : statusCode(status);
    if (body === undefined || Number.isNaN(code)) return plain(500, 'Invalid response from snode');
    return { status: relayedStatus(code), body };
  }
}

const GIVEN_UP = new Error('the node stops');

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

const COMPLAINT: ReplyForm = { embedJson: false, base64: true };
