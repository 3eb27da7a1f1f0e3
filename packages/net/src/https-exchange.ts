// SPDX-License-Identifier: MIT
// One request at an HTTPS listener, from its head until its answer is out: what the handler sees of it, the places and
// memory that it has, and who is told when its client goes (spec/storage-server §3.1).
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Cancel } from '@allium/protocol/env';
import { clientKey, plainAddress } from './address.ts';
import type { ClientLoad, Holder, Load, LoadLimit } from './https-load.ts';
import type { HttpsRequest } from './https-server.ts';

const EMPTY = new Uint8Array(0);

/** One exchange: what the handler sees of it, and what has to be given back when it ends. */
export class Exchange implements HttpsRequest, Holder {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
  readonly client: string;
  readonly socket: Socket;
  body: Uint8Array = EMPTY;
  bufferedBytes = 0;
  answerBytes = 0;
  since = 0;
  ofClient: ClientLoad | undefined;
  giveWay: (limit: LoadLimit) => void = () => {};
  isClosed = false;
  isAnswered = false;
  cancelDeadline: Cancel | undefined;
  #abort: AbortController | undefined;
  #onGone: (() => void) | undefined;
  readonly #load: Load;

  /** @param address whom limits mean, where it is not who connected */
  constructor(request: IncomingMessage, load: Load, address?: string) {
    this.#load = load;
    this.method = request.method ?? '';
    this.path = request.url ?? '';
    this.headers = request.headers;
    this.socket = request.socket;
    this.remoteAddress = plainAddress(address ?? request.socket.remoteAddress);
    this.client = clientKey(this.remoteAddress);
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.isClosed) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  hold(onGone?: () => void): void {
    if (this.isClosed) {
      onGone?.();
      return;
    }
    this.#onGone = onGone;
    this.body = EMPTY;
    this.#load.leave(this);
  }

  close(): void {
    this.isClosed = true;
    this.#load.end(this);
    this.cancelDeadline?.();
    this.#abort?.abort();
    if (!this.isAnswered) this.#onGone?.();
  }
}
