// SPDX-License-Identifier: AGPL-3.0-or-later
// Takes what peers hand over by `sn.data` (spec/storage-server §5.5, §9.3.2): one blob at a time, in steps, within a
// volume per peer, so that no peer can keep the node busy.
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { decodeDataPush, type PushedMessage } from '@allium/protocol/storage/data-push';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { Trouble } from '../mailbox/trouble.ts';
import type { Metrics } from '../metrics.ts';
import { acceptPushed, isAheadOf } from './data-push.ts';
import type { Swarm } from './swarm.ts';

// Ours.
/** A complete mailbox (3.5 GiB) fits; repeated ones do not. */
const VOLUME_BYTES = 4 * 1024 ** 3;
const VOLUME_WINDOW_MS = 3_600_000;
/** Of a node that is not in the list any more. */
const DEPARTED_VOLUME_BYTES = VOLUME_BYTES / 4;
/** Bytes of blobs waiting for their turn. */
const MAX_WAITING_BYTES = 128 * 1024 ** 2;
/**
 * Messages checked and stored in one turn of the event loop: some fifteen milliseconds. Fewer would write the same pages of
 * the index of hashes again with every transaction.
 */
const STEP = 1000;
/** As to clients: any text but OK has the sender try again later. */
const CLOCK_ERROR = 'Timestamp error: check your clock';
/** As to greetings: the sender's list is newer than ours, or older. */
const WRONG_SWARM = 'Swarm mismatch';
const NOT_STORED = 'Mailbox is not available, try again later';

export class Intake {
  readonly #parts: { mailbox: Mailbox; swarm: Swarm; metrics: Metrics };
  readonly #env: Env;
  readonly #trouble: Trouble;
  readonly #volumes = new Map<string, { since: number; bytes: number }>();
  #last: Promise<void> = Promise.resolve();
  #waitingBytes = 0;

  constructor(parts: { mailbox: Mailbox; swarm: Swarm; metrics: Metrics }, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#trouble = new Trouble(parts.metrics, env);
  }

  /** Resolves with the reply's parts when all that is acceptable is stored. `isMember`: of the list in force. */
  async take(peerHex: string, blob: Uint8Array | undefined, isMember = true): Promise<Uint8Array[]> {
    if (blob === undefined) return [];
    const volume = isMember ? VOLUME_BYTES : DEPARTED_VOLUME_BYTES;
    if (!this.#allows(peerHex, blob.length, volume) || this.#waitingBytes + blob.length > MAX_WAITING_BYTES) {
      return [Buffer.from('Too much data, try again later')];
    }
    let messages: PushedMessage[];
    try {
      messages = decodeDataPush(blob);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#env.log.debug({ peer: peerHex.slice(0, 8) }, 'data push dropped: malformed');
      return [];
    }
    this.#waitingBytes += blob.length;
    const mine = this.#last.then(() => this.#store(messages));
    this.#last = mine.catch(() => undefined);
    try {
      await mine;
    } catch (error) {
      // A full disk, for instance. The sender keeps what was refused and comes again.
      this.#trouble.report('sn.data', error);
      return [Buffer.from(NOT_STORED)];
    } finally {
      this.#waitingBytes -= blob.length;
    }
    // Ours: silence would count as taken, and what our clock or our node list forbids now may be good in a moment.
    const { swarm } = this.#parts;
    if (messages.some(({ account }) => account.length === 33 && !swarm.serves(account.subarray(1)))) {
      return [Buffer.from(WRONG_SWARM)];
    }
    return messages.some((message) => isAheadOf(message, this.#env.clock)) ? [Buffer.from(CLOCK_ERROR)] : [];
  }

  async #store(messages: readonly PushedMessage[]): Promise<void> {
    const { mailbox, swarm, metrics } = this.#parts;
    for (let i = 0; i < messages.length; i += STEP) {
      const accepted = [];
      for (const message of messages.slice(i, i + STEP)) {
        const good = acceptPushed(message, swarm, this.#env.clock);
        if (good !== undefined) accepted.push(good);
      }
      if (accepted.length > 0) metrics.messagesReceived += await mailbox.storeMany(accepted);
    }
  }

  #allows(peerHex: string, bytes: number, most: number): boolean {
    const now = this.#env.clock.monotonic();
    let volume = this.#volumes.get(peerHex);
    if (volume === undefined || now - volume.since > VOLUME_WINDOW_MS) {
      volume = { since: now, bytes: 0 };
      this.#volumes.set(peerHex, volume);
    }
    volume.bytes += bytes;
    return volume.bytes <= most;
  }
}
