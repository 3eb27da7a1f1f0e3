// SPDX-License-Identifier: MIT
// WebSockets of browsers that carry onion envelopes to guards and answers back (spec/storage-server §9.3.12,
// docs/formats/browser-entry.md): the side of the gateway or service node. Everything is bounded: connections and envelopes in
// all and by address, bytes of envelopes and answers in memory, and how slowly a browser may send or read.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Cancel, Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  Assembly,
  answerFrames,
  ENTRY_PROTOCOL,
  type EntryFailure,
  failureFrame,
  MAX_FRAME_BYTES,
  parseEntryFrame,
} from '@allium/protocol/onion/entry';
import { type WebSocket, WebSocketServer } from 'ws';
import { clientKey } from './address.ts';

/** One envelope on its way. */
export interface Envelope {
  /** Ed25519 key of the guard, hex. */
  readonly node: string;
  readonly body: Uint8Array;
  /** Address of the browser. */
  readonly remoteAddress: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export type EnvelopeResult =
  | { readonly kind: 'answer'; readonly status: number; readonly body: Uint8Array }
  | { readonly kind: 'failure'; readonly code: EntryFailure };

export interface EntrySocketsOptions {
  /** Never rejects. */
  readonly carry: (envelope: Envelope) => Promise<EnvelopeResult>;
  /** Whether one more envelope of this size is within the rates of the address. */
  readonly admits: (remoteAddress: string, bytes: number) => boolean;
  /** Default 10 000. */
  readonly maxSockets?: number;
  /** … of one address or IPv6 /64; default 100. */
  readonly maxSocketsPerAddress?: number;
  /** Envelopes without answer on one connection; default 64. */
  readonly maxPerSocket?: number;
  /** Bytes of envelopes and answers in memory; default 256 MiB. One address or IPv6 /64 has a quarter. */
  readonly maxBufferedBytes?: number;
  /** Default 20 000. */
  readonly pingEveryMs?: number;
  /** How long `stop` waits for answers; default 5 000. */
  readonly stopTimeoutMs?: number;
  readonly onRefused?: (limit: EntrySocketLimit) => void;
}

export type EntrySocketLimit =
  | 'sockets'
  | 'sockets_per_address'
  | 'socket_bytes'
  | 'socket_bytes_per_address'
  | 'socket_envelopes'
  | 'socket_rate'
  | 'socket_slow'
  | 'socket_silent'
  | 'socket_malformed';

// Ours.
const MAX_SOCKETS = 10_000;
const MAX_SOCKETS_PER_ADDRESS = 100;
const MAX_PER_SOCKET = 64;
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const PING_EVERY_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;
/** An envelope must be whole by then, an answer be taken by then: else the connection ends. */
const SLOW_MS = 120_000;
/** What `ws` and the system hold of answers; beyond it the rest waits here, so that each gets its turn. */
const MOST_BUFFERED = 256 * 1024;
/** Failures that the system has not taken: whoever asks on and reads nothing is cut off. */
const MAX_UNSENT_FAILURES = 4_096;
const CLOSING_MS = 1_000;
/** RFC 6455 §7.4.1. */
const GOING_AWAY = 1001;
const PROTOCOL_ERROR = 1002;
const UNSUPPORTED = 1003;
const TRY_AGAIN = 1013;

export class EntrySockets {
  readonly #options: EntrySocketsOptions;
  readonly #env: Env;
  readonly #server: WebSocketServer;
  readonly #sockets = new Set<Connection>();
  readonly #socketsOf = new Map<string, number>();
  readonly #memory: Memory;
  #stopping = false;
  #onIdle: (() => void) | undefined;

  constructor(options: EntrySocketsOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#memory = new Memory(options.maxBufferedBytes ?? MAX_BUFFERED_BYTES);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      skipUTF8Validation: true, // text is refused
      handleProtocols: (offered) => (offered.has(ENTRY_PROTOCOL) ? ENTRY_PROTOCOL : false),
    });
  }

  /** Open connections. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Envelopes without answer. */
  get pending(): number {
    let pending = 0;
    for (const socket of this.#sockets) pending += socket.pending;
    return pending;
  }

  /** Bytes of envelopes and answers in memory. */
  get bufferedBytes(): number {
    return this.#memory.used;
  }

  /** Makes a WebSocket of a connection, or refuses it in HTTP. */
  upgrade(request: IncomingMessage, socket: Socket, first: Buffer, remoteAddress: string): void {
    const client = clientKey(remoteAddress);
    const { maxSockets = MAX_SOCKETS, maxSocketsPerAddress = MAX_SOCKETS_PER_ADDRESS } = this.#options;
    if (this.#stopping) {
      refuse(socket, '503 Service Unavailable');
      return;
    }
    if (this.#sockets.size >= maxSockets) {
      this.#options.onRefused?.('sockets');
      refuse(socket, '503 Service Unavailable');
      return;
    }
    if ((this.#socketsOf.get(client) ?? 0) >= maxSocketsPerAddress) {
      this.#options.onRefused?.('sockets_per_address');
      refuse(socket, '429 Too Many Requests');
      return;
    }
    const offered = request.headers['sec-websocket-protocol'] ?? '';
    if (!offered.split(',').some((name) => name.trim() === ENTRY_PROTOCOL)) {
      refuse(socket, '400 Bad Request');
      return;
    }
    this.#server.handleUpgrade(request, socket, first, (ws) => this.#enter(ws, client, remoteAddress));
  }

  /** Takes no new envelopes, gives those under way a moment, and closes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.pending > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#env.clock.after(this.#options.stopTimeoutMs ?? STOP_TIMEOUT_MS, resolve);
        this.#onIdle = () => {
          cancel();
          resolve();
        };
      });
    }
    const gone = [...this.#sockets].map((socket) => socket.close(GOING_AWAY));
    await Promise.all(gone);
    this.#server.close();
  }

  #enter(ws: WebSocket, client: string, remoteAddress: string): void {
    this.#socketsOf.set(client, (this.#socketsOf.get(client) ?? 0) + 1);
    const connection = new Connection(ws, {
      options: this.#options,
      env: this.#env,
      memory: this.#memory,
      client,
      remoteAddress,
      isStopping: () => this.#stopping,
      onAnswered: () => {
        if (this.#stopping && this.pending === 0) this.#onIdle?.();
      },
      onClose: () => {
        this.#sockets.delete(connection);
        const left = (this.#socketsOf.get(client) ?? 1) - 1;
        if (left === 0) this.#socketsOf.delete(client);
        else this.#socketsOf.set(client, left);
      },
    });
    this.#sockets.add(connection);
  }
}

function refuse(socket: Socket, status: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroySoon();
}

/** Bytes in memory, in all and by client. */
class Memory {
  readonly #max: number;
  readonly #of = new Map<string, number>();
  used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  take(client: string, bytes: number): EntrySocketLimit | undefined {
    const own = (this.#of.get(client) ?? 0) + bytes;
    if (own > this.#max / 4) return 'socket_bytes_per_address';
    if (this.used + bytes > this.#max) return 'socket_bytes';
    this.#of.set(client, own);
    this.used += bytes;
    return undefined;
  }

  give(client: string, bytes: number): void {
    this.used -= bytes;
    const own = (this.#of.get(client) ?? 0) - bytes;
    if (own <= 0) this.#of.delete(client);
    else this.#of.set(client, own);
  }
}

interface ConnectionDeps {
  readonly options: EntrySocketsOptions;
  readonly env: Env;
  readonly memory: Memory;
  readonly client: string;
  readonly remoteAddress: string;
  readonly isStopping: () => boolean;
  readonly onAnswered: () => void;
  readonly onClose: () => void;
}

interface Exchange {
  /** While the envelope comes in. */
  envelope: Assembly | undefined;
  readonly node: string;
  /** Counted in the memory. */
  bytes: number;
  abort: AbortController | undefined;
  /** While the answer goes out. */
  frames: Iterator<Uint8Array> | undefined;
  /** Frames that `ws` has and the system has not. */
  unsent: number;
  /** Ends the connection when the browser is too slow. */
  cancelSlow: Cancel | undefined;
}

class Connection {
  readonly #ws: WebSocket;
  readonly #deps: ConnectionDeps;
  readonly #exchanges = new Map<number, Exchange>();
  /** Whose answers go out, in turn. */
  #answering: number[] = [];
  #unsentFailures = 0;
  #isAlive = true;
  #cancelPing: Cancel = () => {};
  #isClosed = false;

  constructor(ws: WebSocket, deps: ConnectionDeps) {
    this.#ws = ws;
    this.#deps = deps;
    ws.binaryType = 'nodebuffer';
    ws.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    ws.on('pong', () => {
      this.#isAlive = true;
    });
    ws.on('error', () => this.#refused('socket_malformed')); // `ws` closes it
    ws.on('close', () => this.#end());
    this.#ping();
  }

  get pending(): number {
    return this.#exchanges.size;
  }

  /** Resolves when it is closed. */
  close(code: number): Promise<void> {
    this.#ws.close(code);
    // Whoever does not answer the closing is cut off.
    const cancel = this.#deps.env.clock.after(CLOSING_MS, () => this.#ws.terminate());
    return new Promise((resolve) => {
      this.#ws.once('close', () => {
        cancel();
        resolve();
      });
    });
  }

  #refused(limit: EntrySocketLimit): void {
    this.#deps.options.onRefused?.(limit);
  }

  #ping(): void {
    this.#cancelPing = this.#deps.env.clock.after(this.#deps.options.pingEveryMs ?? PING_EVERY_MS, () => {
      if (!this.#isAlive) {
        this.#refused('socket_silent');
        this.#ws.terminate();
        return;
      }
      this.#isAlive = false;
      this.#ws.ping();
      this.#ping();
    });
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelPing();
    for (const id of [...this.#exchanges.keys()]) this.#drop(id);
    this.#deps.onClose();
  }

  /** Forgets an exchange and gives back what it holds. */
  #drop(id: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    this.#exchanges.delete(id);
    this.#answering = this.#answering.filter((other) => other !== id);
    this.#deps.memory.give(this.#deps.client, exchange.bytes);
    exchange.cancelSlow?.();
    exchange.abort?.abort();
    this.#deps.onAnswered();
  }

  #fail(id: number, code: EntryFailure): void {
    this.#drop(id);
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (++this.#unsentFailures > MAX_UNSENT_FAILURES) {
      this.#refused('socket_slow');
      this.#ws.terminate();
      return;
    }
    this.#ws.send(failureFrame(id, code), () => {
      this.#unsentFailures--;
    });
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#isAlive = true;
    if (this.#isClosed || this.#ws.readyState !== this.#ws.OPEN) return;
    if (!isBinary) {
      this.#refused('socket_malformed');
      void this.close(UNSUPPORTED);
      return;
    }
    try {
      this.#take(data);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#refused('socket_malformed');
      void this.close(PROTOCOL_ERROR);
    }
  }

  #take(data: Buffer): void {
    const frame = parseEntryFrame(data);
    switch (frame.kind) {
      case 'request':
        this.#begin(frame.id, frame.node, frame.size, frame.bytes);
        return;
      case 'part': {
        const exchange = this.#exchanges.get(frame.id);
        // What was refused may still be coming; what is complete may not grow.
        if (exchange === undefined) return;
        if (exchange.envelope === undefined) throw new ParseError('entry', 'a part of a complete envelope');
        this.#add(frame.id, exchange, exchange.envelope, frame.bytes);
        return;
      }
      case 'cancel':
        this.#drop(frame.id);
        return;
      default:
        throw new ParseError('entry', 'a browser answers nothing');
    }
  }

  #begin(id: number, node: string, size: number, bytes: Uint8Array): void {
    const { options, env, remoteAddress } = this.#deps;
    if (this.#exchanges.has(id)) throw new ParseError('entry', 'an id that is in use');
    if (this.#deps.isStopping()) {
      this.#fail(id, 'busy');
      return;
    }
    if (this.#exchanges.size >= (options.maxPerSocket ?? MAX_PER_SOCKET)) {
      this.#refused('socket_envelopes');
      this.#fail(id, 'limited');
      return;
    }
    if (!options.admits(remoteAddress, size)) {
      this.#refused('socket_rate');
      this.#fail(id, 'limited');
      return;
    }
    const exchange: Exchange = {
      envelope: new Assembly(size),
      node,
      bytes: 0,
      abort: undefined,
      frames: undefined,
      unsent: 0,
      cancelSlow: undefined,
    };
    this.#exchanges.set(id, exchange);
    if (bytes.length < size) exchange.cancelSlow = env.clock.after(SLOW_MS, () => this.#tooSlow());
    this.#add(id, exchange, exchange.envelope!, bytes);
  }

  #tooSlow(): void {
    this.#refused('socket_slow');
    void this.close(TRY_AGAIN);
  }

  #holds(id: number, exchange: Exchange, bytes: number): boolean {
    const limit = this.#deps.memory.take(this.#deps.client, bytes);
    if (limit === undefined) {
      exchange.bytes += bytes;
      return true;
    }
    this.#refused(limit);
    this.#fail(id, limit === 'socket_bytes' ? 'busy' : 'limited');
    return false;
  }

  #add(id: number, exchange: Exchange, envelope: Assembly, bytes: Uint8Array): void {
    if (!this.#holds(id, exchange, bytes.length)) return;
    envelope.add(bytes);
    if (!envelope.isComplete) return;
    exchange.envelope = undefined;
    exchange.cancelSlow?.();
    exchange.cancelSlow = undefined;
    this.#carry(id, exchange, envelope.take());
  }

  #carry(id: number, exchange: Exchange, body: Uint8Array): void {
    const { options, remoteAddress, client, memory } = this.#deps;
    const abort = new AbortController();
    exchange.abort = abort;
    const { node } = exchange;
    void options.carry({ node, body, remoteAddress, signal: abort.signal }).then((result) => {
      exchange.abort = undefined;
      if (this.#exchanges.get(id) !== exchange) return;
      memory.give(client, exchange.bytes);
      exchange.bytes = 0;
      if (result.kind === 'failure') return this.#fail(id, result.code);
      if (!this.#holds(id, exchange, result.body.length)) return;
      exchange.frames = answerFrames(id, result.status, result.body);
      exchange.cancelSlow = this.#deps.env.clock.after(SLOW_MS, () => this.#tooSlow());
      this.#answering.push(id);
      this.#pump();
    });
  }

  /** A frame of each answer in turn, as long as the browser takes them. */
  #pump(): void {
    while (this.#answering.length > 0 && this.#ws.readyState === this.#ws.OPEN) {
      if (this.#ws.bufferedAmount > MOST_BUFFERED) return; // a frame that goes out calls again
      const id = this.#answering.shift()!;
      const exchange = this.#exchanges.get(id);
      const frame = exchange?.frames?.next();
      if (exchange === undefined || frame === undefined) continue;
      if (frame.done === true) {
        if (exchange.unsent === 0) this.#drop(id);
        continue;
      }
      exchange.unsent++;
      this.#answering.push(id);
      this.#ws.send(frame.value, () => {
        // Its memory counts until the browser, or the system for it, has taken everything.
        const isOver = --exchange.unsent === 0 && !this.#answering.includes(id);
        if (isOver && this.#exchanges.get(id) === exchange) this.#drop(id);
        if (this.#answering.length > 0) this.#pump();
      });
    }
  }
}
