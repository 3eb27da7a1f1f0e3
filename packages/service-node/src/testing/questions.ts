// SPDX-License-Identifier: AGPL-3.0-or-later
// The questions that a tester asks another node: whether it is there (spec/storage-server §5.10), and what time it has
// (spec/chain §4.18). Ours: over HTTPS and OMQ; there is no QUIC in this network.
import { httpsOrigin } from '@allium/net/https-transport';
import { type OmqEndpoint, OmqError } from '@allium/net/omq/endpoint';
import { fromBase64, fromUtf8, toHex } from '@allium/protocol/bytes';
import { type Clock, type Transport, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member } from '@allium/protocol/membership';
import { peerOf } from '../peers.ts';
import type { PingResult } from './peer-book.ts';

const NOTHING = new Uint8Array(0);

export interface QuestionsParts {
  readonly omq: Pick<OmqEndpoint, 'request'>;
  readonly transport: Transport;
  readonly clock: Clock;
  /** For each question, ms. */
  readonly timeoutMs: number;
}

export class Questions {
  readonly #parts: QuestionsParts;

  constructor(parts: QuestionsParts) {
    this.#parts = parts;
  }

  /** Asks both listeners. Rejects only with what `signal` was aborted for. */
  async ping(member: Member, signal: AbortSignal): Promise<PingResult> {
    const [https, omq] = await Promise.all([this.#https(member, signal), this.#omq(member, signal)]);
    signal.throwIfAborted();
    return { ...(https !== undefined && { https }), ...(omq !== undefined && { omq }) };
  }

  /** Our clock minus the node's, ms; undefined when it does not say. Rejects only with what `signal` was aborted for. */
  async clockOffset(member: Member, signal: AbortSignal): Promise<number | undefined> {
    const { clock, omq, timeoutMs } = this.#parts;
    const [began, wall] = [clock.monotonic(), clock.now()];
    try {
      const [answer] = await omq.request(peerOf(member), 'sn.chain_time', [], { timeoutMs, signal });
      const took = clock.monotonic() - began;
      // The node dropped the fraction of the second: half of it on average.
      const seconds = parseTime(answer ?? NOTHING);
      return seconds === undefined ? undefined : wall + took / 2 - (seconds * 1000 + 500);
    } catch (error) {
      if (!(error instanceof OmqError)) throw error;
      signal.throwIfAborted();
      return undefined;
    }
  }

  /** What was wrong, or undefined. */
  async #https(member: Member, signal: AbortSignal): Promise<string | undefined> {
    const { transport, timeoutMs } = this.#parts;
    try {
      const { status, headers } = await transport.request({
        url: `${httpsOrigin(member.host, member.httpsPort)}/ping_test/v1`,
        body: NOTHING,
        timeoutMs,
        signal,
      });
      if (status !== 200) return `answered with status ${status}`;
      return isKey(headers['x-oxen-snode-pubkey'], member.ed25519Hex) ? undefined : 'another key answers';
    } catch (error) {
      if (error instanceof TransportError) return error.code === 'timeout' ? 'timeout' : 'unreachable';
      throw error;
    }
  }

  async #omq(member: Member, signal: AbortSignal): Promise<string | undefined> {
    const { omq, timeoutMs } = this.#parts;
    try {
      await omq.request(peerOf(member), 'sn.ping', [], { timeoutMs, signal, ownConnection: true });
      return undefined;
    } catch (error) {
      if (!(error instanceof OmqError)) throw error;
      // §5.10: any reply counts, even that it does not take us for a service node.
      if (error.code === 'refused') return undefined;
      return error.code === 'handshake' ? 'another key answers' : error.code;
    }
  }
}

/** Answer to `sn.chain_time`: unix seconds, in decimal. */
export const timeAnswer = (clock: Clock): string => String(Math.floor(clock.now() / 1000));

/** Undefined for anything but 1 to 12 digits. */
export function parseTime(answer: Uint8Array): number | undefined {
  if (answer.length === 0 || answer.length > 12) return undefined;
  for (const byte of answer) if (byte < 0x30 || byte > 0x39) return undefined;
  return Number(fromUtf8(answer));
}

function isKey(header: string | undefined, ed25519Hex: string): boolean {
  if (header === undefined || header.length > 64) return false;
  try {
    return header.toLowerCase() === ed25519Hex || toHex(fromBase64(header)) === ed25519Hex;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}
