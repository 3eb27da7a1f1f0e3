// SPDX-License-Identifier: MIT
// One WebSocket to a browser entry: envelopes go out and answers come back in frames, many at once
// (docs/formats/browser-entry.md). When it closes, whoever waits is told; what to do then is the transport's business.
import type { Cancel, Clock } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  Assembly,
  cancelFrame,
  ENTRY_PROTOCOL,
  type EntryFailure,
  type EntryFrame,
  parseEntryFrame,
  requestFrames,
} from '@allium/protocol/onion/entry';

/** What we use of the WebSocket of browsers, which Node has too. */
export interface SocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: (() => void) | null;
  onclose: (() => void) | null;
  send(data: Uint8Array): void;
  close(code?: number): void;
}
export type MakeSocket = (url: string, protocol: string) => SocketLike;

export type LinkResult =
  | { readonly kind: 'answer'; readonly status: number; readonly body: Uint8Array }
  | { readonly kind: 'failure'; readonly code: EntryFailure }
  /** The connection closed before the answer was complete. */
  | { readonly kind: 'lost' };

// Ours.
const OPEN_TIMEOUT_MS = 8_000;
/** The socket holds no more than this of what was not sent; the rest waits, so that every envelope gets its turn. */
const MOST_BUFFERED = 256 * 1024;
const LOOK_AGAIN_MS = 20;

interface Exchange {
  readonly onResult: (result: LinkResult) => void;
  frames: Iterator<Uint8Array> | undefined;
  status: number;
  answer: Assembly | undefined;
}

export class EntryLink {
  readonly #socket: SocketLike;
  readonly #clock: Clock;
  readonly #onClose: (wasOpen: boolean) => void;
  readonly #exchanges = new Map<number, Exchange>();
  /** Those whose envelope is not out, in turn. */
  #sending: number[] = [];
  #nextId = 1;
  #isOpen = false;
  #isClosed = false;
  #cancelTimer: Cancel;
  #cancelPump: Cancel | undefined;
  /** When the entry last said something, by the monotonic clock. */
  heardAt: number;

  constructor(
    make: MakeSocket,
    url: string,
    clock: Clock,
    on: { readonly open: () => void; readonly close: (wasOpen: boolean) => void },
  ) {
    this.#clock = clock;
    this.#onClose = on.close;
    this.heardAt = clock.monotonic();
    this.#socket = make(url, ENTRY_PROTOCOL);
    this.#cancelTimer = clock.after(OPEN_TIMEOUT_MS, () => this.close());
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => {
      if (this.#isClosed) return;
      this.#cancelTimer();
      this.#isOpen = true;
      this.heardAt = clock.monotonic();
      on.open();
    };
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = () => this.close();
    this.#socket.onerror = () => this.close();
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#isClosed;
  }

  /** Envelopes without answer. */
  get pending(): number {
    return this.#exchanges.size;
  }

  /** Sends an envelope to a guard (Ed25519 key in hex). The result cancels. Only while it is open. */
  send(node: string, envelope: Uint8Array, onResult: (result: LinkResult) => void): Cancel {
    const id = this.#nextId++ >>> 0;
    this.#exchanges.set(id, {
      onResult,
      frames: requestFrames(id, node, envelope),
      status: 0,
      answer: undefined,
    });
    this.#sending.push(id);
    this.#pump();
    return () => {
      const exchange = this.#exchanges.get(id);
      if (exchange === undefined) return;
      this.#exchanges.delete(id);
      this.#sending = this.#sending.filter((other) => other !== id);
      if (this.isOpen) this.#socket.send(cancelFrame(id));
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    this.#cancelPump?.();
    this.#socket.onmessage = null;
    try {
      this.#socket.close();
    } catch {
      // It was never opened.
    }
    const exchanges = [...this.#exchanges.values()];
    this.#exchanges.clear();
    this.#sending = [];
    this.#onClose(this.#isOpen);
    for (const { onResult } of exchanges) onResult({ kind: 'lost' });
  }

  /** A frame of each envelope in turn, as long as the socket takes them. */
  #pump(): void {
    this.#cancelPump?.();
    this.#cancelPump = undefined;
    while (this.isOpen && this.#sending.length > 0) {
      if (this.#socket.bufferedAmount > MOST_BUFFERED) {
        // Browsers do not tell when it has gone out.
        this.#cancelPump = this.#clock.after(LOOK_AGAIN_MS, () => this.#pump());
        return;
      }
      const id = this.#sending.shift()!;
      const frame = this.#exchanges.get(id)?.frames?.next();
      if (frame === undefined || frame.done === true) continue;
      this.#socket.send(frame.value);
      this.#sending.push(id);
    }
  }

  #receive(data: unknown): void {
    if (this.#isClosed) return;
    this.heardAt = this.#clock.monotonic();
    try {
      if (!(data instanceof ArrayBuffer)) throw new ParseError('entry', 'text from an entry');
      this.#take(parseEntryFrame(new Uint8Array(data)));
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.close();
    }
  }

  #take(frame: EntryFrame): void {
    if (frame.kind === 'request' || frame.kind === 'cancel') {
      throw new ParseError('entry', 'an entry asks nothing');
    }
    const exchange = this.#exchanges.get(frame.id);
    if (exchange === undefined) return; // cancelled meanwhile
    if (frame.kind === 'failure') {
      this.#finish(frame.id, { kind: 'failure', code: frame.code });
      return;
    }
    if (frame.kind === 'answer') {
      if (exchange.answer !== undefined) throw new ParseError('entry', 'a second answer');
      exchange.answer = new Assembly(frame.size);
      exchange.status = frame.status;
    }
    const { answer, status } = exchange;
    if (answer === undefined) throw new ParseError('entry', 'a part before its answer');
    answer.add(frame.bytes);
    if (answer.isComplete) this.#finish(frame.id, { kind: 'answer', status, body: answer.take() });
  }

  #finish(id: number, result: LinkResult): void {
    const exchange = this.#exchanges.get(id);
    this.#exchanges.delete(id);
    this.#sending = this.#sending.filter((other) => other !== id);
    exchange?.onResult(result);
  }
}
