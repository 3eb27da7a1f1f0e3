// SPDX-License-Identifier: MIT
// Places and memory that requests of a listener take, in all and by client, and who gives way when they run out: those
// who only keep what others could use. A body that comes slowly yields its place to a new request, the largest
// unfinished body its memory to others, an answer that its client does not read to other answers.
import type { Clock } from '@allium/protocol/env';

/** Which limit a request has met. */
export type LoadLimit =
  | 'requests'
  | 'requests_per_address'
  | 'body_size'
  | 'body_bytes'
  | 'body_bytes_per_address'
  | 'answer_bytes'
  | 'answer_bytes_per_address';

export interface LoadOptions {
  readonly maxRequests: number;
  readonly maxRequestsPerClient: number;
  readonly maxBodyBytes: number;
  /** Of bodies that are read or handled, and again of answers; a client has a quarter of each. */
  readonly maxBytes: number;
}

/** A request as far as it costs. */
export interface Holder {
  readonly client: string;
  /** While it has a place. */
  ofClient: ClientLoad | undefined;
  bufferedBytes: number;
  answerBytes: number;
  /** When reading its body, or sending its answer, began. By the monotonic clock. */
  since: number;
  /** Its place or memory is needed by others. Gives both back before it returns. */
  giveWay(limit: LoadLimit): void;
}

export interface ClientLoad {
  running: number;
  bufferedBytes: number;
  answerBytes: number;
}

// Ours.
/** A body that took longer so far gives its place to another request when there is no other. */
const SLOW_BODY_MS = 2_000;
/** A large answer that took longer so far gives its memory to another when there is no other. */
const SLOW_ANSWER_MS = 10_000;

export class Load {
  readonly #options: LoadOptions;
  readonly #maxBytesPerClient: number;
  readonly #clock: Clock;
  readonly #clients = new Map<string, ClientLoad>();
  /** Requests whose body is not complete, oldest first. */
  readonly #reading = new Set<Holder>();
  /** Requests whose large answer is not out, oldest first. */
  readonly #answering = new Set<Holder>();
  #bufferedBytes = 0;
  #answerBytes = 0;
  #running = 0;

  constructor(options: LoadOptions, clock: Clock) {
    this.#options = options;
    this.#maxBytesPerClient = Math.max(options.maxBytes / 4, options.maxBodyBytes);
    this.#clock = clock;
  }

  get running(): number {
    return this.#running;
  }

  /** Takes a place, or tells the limit that was met. */
  enter(holder: Holder): LoadLimit | undefined {
    const { maxRequests, maxRequestsPerClient } = this.#options;
    const { client } = holder;
    if ((this.#clients.get(client)?.running ?? 0) >= maxRequestsPerClient) return 'requests_per_address';
    if (this.#running >= maxRequests) {
      if (!yieldOldest(this.#reading, this.#clock.monotonic() - SLOW_BODY_MS, 'requests')) return 'requests';
    }
    const ofClient = this.#ofClient(client);
    ofClient.running++;
    holder.ofClient = ofClient;
    this.#running++;
    return undefined;
  }

  startReading(holder: Holder): void {
    holder.since = this.#clock.monotonic();
    this.#reading.add(holder);
  }

  endReading(holder: Holder): void {
    this.#reading.delete(holder);
  }

  /** Counts bytes that were read, or tells the limit that they exceed. */
  read(holder: Holder, bytes: number): LoadLimit | undefined {
    const { ofClient } = holder;
    if (ofClient === undefined) return undefined;
    const { maxBodyBytes, maxBytes } = this.#options;
    holder.bufferedBytes += bytes;
    ofClient.bufferedBytes += bytes;
    this.#bufferedBytes += bytes;
    if (holder.bufferedBytes > maxBodyBytes) return 'body_size';
    if (ofClient.bufferedBytes > this.#maxBytesPerClient) return 'body_bytes_per_address';
    while (this.#bufferedBytes > maxBytes) {
      let largest = holder;
      for (const other of this.#reading) if (other.bufferedBytes > largest.bufferedBytes) largest = other;
      if (largest === holder) return 'body_bytes';
      largest.giveWay('body_bytes');
    }
    return undefined;
  }

  /** Counts a large answer, or tells the limit that it exceeds. */
  answer(holder: Holder, bytes: number): LoadLimit | undefined {
    const ofClient = this.#ofClient(holder.client);
    const limit = this.#answerLimit(ofClient, bytes);
    if (limit === undefined) {
      holder.answerBytes = bytes;
      holder.since = this.#clock.monotonic();
      ofClient.answerBytes += bytes;
      this.#answerBytes += bytes;
      this.#answering.add(holder);
    }
    this.#forget(holder.client, ofClient);
    return limit;
  }

  #answerLimit(ofClient: ClientLoad, bytes: number): LoadLimit | undefined {
    const { maxBytes } = this.#options;
    if (ofClient.answerBytes + bytes > this.#maxBytesPerClient) return 'answer_bytes_per_address';
    const before = this.#clock.monotonic() - SLOW_ANSWER_MS;
    while (this.#answerBytes + bytes > maxBytes) {
      if (!yieldOldest(this.#answering, before, 'answer_bytes')) return 'answer_bytes';
    }
    return undefined;
  }

  /** Gives the place and the memory of the body back. Harmless when there is none. */
  leave(holder: Holder): void {
    this.#reading.delete(holder);
    const { ofClient } = holder;
    if (ofClient === undefined) return;
    holder.ofClient = undefined;
    this.#bufferedBytes -= holder.bufferedBytes;
    ofClient.bufferedBytes -= holder.bufferedBytes;
    holder.bufferedBytes = 0;
    ofClient.running--;
    this.#running--;
    this.#forget(holder.client, ofClient);
  }

  /** The request is over, its answer out or not. */
  end(holder: Holder): void {
    this.leave(holder);
    if (!this.#answering.delete(holder)) return;
    const ofClient = this.#ofClient(holder.client);
    ofClient.answerBytes -= holder.answerBytes;
    this.#answerBytes -= holder.answerBytes;
    holder.answerBytes = 0;
    this.#forget(holder.client, ofClient);
  }

  #ofClient(client: string): ClientLoad {
    let ofClient = this.#clients.get(client);
    if (ofClient === undefined) {
      ofClient = { running: 0, bufferedBytes: 0, answerBytes: 0 };
      this.#clients.set(client, ofClient);
    }
    return ofClient;
  }

  #forget(client: string, ofClient: ClientLoad): void {
    if (ofClient.running === 0 && ofClient.answerBytes === 0) this.#clients.delete(client);
  }
}

/** False when the oldest of them is not old enough to give way. */
function yieldOldest(holders: ReadonlySet<Holder>, before: number, limit: LoadLimit): boolean {
  for (const oldest of holders) {
    if (oldest.since > before) return false;
    oldest.giveWay(limit);
    return true;
  }
  return false;
}
