// SPDX-License-Identifier: AGPL-3.0-or-later
// Forwards recursive requests to the other members of the swarm (spec/storage-server §2.7, §5.6) and reads what
// they answer.
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { decodeBtDict } from '@allium/protocol/bencode';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import type { Member } from '@allium/protocol/membership';
import { encodeForward } from '@allium/protocol/storage/request-writer';
import type { RecursiveRequest } from '@allium/protocol/storage/requests';
import { type NodeFailure, parseNodeReply } from '@allium/protocol/storage/responses';
import type { Metrics } from '../metrics.ts';
import { hasAddress, peerOf } from '../peers.ts';
import type { NodeEntry } from '../rpc/apply.ts';

// From the specification (§5.6).
const FORWARD_TIMEOUT_MS = 5_000;
/** §2.5: the peer's clock and the request's time differ too much. */
const WRONG_TIME = '406';
/** §2.5: by the peer's node list the account is another swarm's. */
const WRONG_SWARM = '421';

// Ours.
/** A client gets the reason of a peer, which may be anything, along with those of others. */
const MAX_REASON = 200;

/**
 * What became of a forward. `undelivered`: the peer may not have got it, because it did not answer, or refused for the
 * sake of a clock or a node list that is not ours: it passed our own checks.
 */
export interface Forwarded {
  readonly member: Member;
  readonly entry: NodeEntry;
  readonly undelivered: boolean;
}

export interface Forwards {
  /** One per peer, in any order. */
  readonly results: Promise<Forwarded[]>;
  readonly body: Uint8Array;
}

export class Replication {
  readonly #omq: OmqEndpoint;
  readonly #metrics: Metrics;

  constructor(omq: OmqEndpoint, metrics: Metrics) {
    this.#omq = omq;
    this.#metrics = metrics;
  }

  /** Sends at once; the caller executes locally while the peers work. */
  forward(request: RecursiveRequest, peers: readonly Member[]): Forwards {
    if (peers.length === 0) return NOTHING;
    const body = encodeForward(request);
    const parts = [utf8(request.method), body];
    return { body, results: Promise.all(peers.map((peer) => this.#one(request, parts, peer))) };
  }

  async #one(request: RecursiveRequest, parts: Uint8Array[], member: Member): Promise<Forwarded> {
    const lost = (): Forwarded => {
      this.#metrics.forwardsFailed++;
      this.#metrics.peerFailed(member.ed25519Hex, 'requests');
      return { member, entry: { failed: true, timeout: true }, undelivered: true };
    };
    if (!hasAddress(member)) return lost();
    let reply: Uint8Array[];
    try {
      reply = await this.send(member, parts);
    } catch (error) {
      if (!(error instanceof OmqError) || error.code !== 'refused') return lost();
      // The peer does not take us for a service node: it holds an older list.
      this.#metrics.forwardsFailed++;
      return { member, entry: { failed: true, code: '403', reason: 'refused' }, undelivered: true };
    }
    const entry = readReply(request, reply);
    if ('failed' in entry) this.#metrics.forwardsFailed++;
    else this.#metrics.forwardsOk++;
    const code = request.method === 'store' && 'failed' in entry ? entry.code : undefined;
    return { member, entry, undelivered: code === WRONG_TIME || code === WRONG_SWARM };
  }

  /** @throws OmqError */
  send(member: Member, parts: Uint8Array[]): Promise<Uint8Array[]> {
    return this.#omq.request(peerOf(member), 'sn.storage_cc', parts, { timeoutMs: FORWARD_TIMEOUT_MS });
  }
}

const NOTHING: Forwards = { body: new Uint8Array(0), results: Promise.resolve([]) };

/** Two parts are an error of the peer, one is its entry (§5.6). */
function readReply(request: RecursiveRequest, reply: readonly Uint8Array[]): NodeEntry {
  const [first, second] = reply;
  try {
    if (second !== undefined) {
      const [code, reason] = [fromUtf8(first!), fromUtf8(second)].map((part) =>
        part.slice(0, MAX_REASON).toWellFormed(),
      );
      const failed: NodeFailure = { failed: true, code: code!, reason: reason! };
      return failed;
    }
    if (first !== undefined) return parseNodeReply(request.method, decodeBtDict(first));
  } catch {
    // Falls through: whatever it is, it is not an answer.
  }
  return { failed: true, bad_peer_response: true };
}
