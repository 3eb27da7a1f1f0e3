// SPDX-License-Identifier: AGPL-3.0-or-later
// Blobs of `sn.data` on their way to one member (spec/storage-server §5.5): a few at a time, so that one is read here while
// the member stores another, and no more, so that it sets the pace.
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import type { Member } from '@allium/protocol/membership';
import { type Delivery, sendData } from './data-push.ts';

// Ours.
const IN_FLIGHT = 3;

export class Flight {
  readonly #omq: OmqEndpoint;
  readonly #signal: AbortSignal;
  /** In the order of sending; each says whether its blob was taken, and all before it. */
  readonly #blobs: Promise<boolean>[] = [];
  #last: Promise<boolean> = Promise.resolve(true);
  #hasFailed = false;

  constructor(omq: OmqEndpoint, signal: AbortSignal) {
    this.#omq = omq;
    this.#signal = signal;
  }

  /** One was not taken: nothing more is sent. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Sends a blob as soon as there is a place; `onTaken` runs once it and all before it were taken. */
  async send(member: Member, blob: Uint8Array, onTaken: () => void): Promise<void> {
    while (this.#blobs.length >= IN_FLIGHT) await this.#blobs.shift();
    if (this.#hasFailed) return;
    const delivery = sendData(this.#omq, member, blob, this.#signal);
    this.#last = this.#settle(this.#last, delivery, onTaken);
    this.#blobs.push(this.#last);
  }

  /** Waits for all; true when all were taken. */
  land(): Promise<boolean> {
    return this.#last;
  }

  async #settle(
    before: Promise<boolean>,
    delivery: Promise<Delivery>,
    onTaken: () => void,
  ): Promise<boolean> {
    const [isFree, taken] = await Promise.all([before, delivery]);
    if (!isFree || taken !== 'taken') this.#hasFailed = true;
    else onTaken();
    return !this.#hasFailed;
  }
}
