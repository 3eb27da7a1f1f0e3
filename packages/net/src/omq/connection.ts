// SPDX-License-Identifier: MIT
// One ZMTP connection over TCP, either role (spec/storage-server §5.2): greeting, CURVE handshake, messages of parts,
// PING and PONG, and the limits that keep a peer from costing more than it should.
//
// Sending: parts wait as plaintext until the end of the event-loop turn; then all that waits is encrypted into one
// buffer and written at once. Receiving: parts are decrypted where they were read and handed on as views.
import type { Socket } from 'node:net';
import { plainAddress } from '../address.ts';
import {
  type CurveClient,
  type CurveServer,
  type CurveSession,
  MESSAGE_OVERHEAD,
  MessageFlag,
} from './curve.ts';
import {
  checkGreeting,
  encodeFrame,
  encodeGreeting,
  FrameFlag,
  FrameReader,
  type FrameSink,
  frameHeadSize,
  type Metadata,
  writeFrameHead,
  ZmtpError,
} from './zmtp.ts';

// From the specification, spec/storage-server §5.2.
const MAX_FRAME = 10_485_760;
const HANDSHAKE_MS = 10_000;
const PING_MS = 15_000;
const SILENCE_MS = 30_000;
const MAX_PING_CONTEXT = 16;
/** Types that may be at the other end of a ROUTER, and of a DEALER. */
const FITS: Readonly<Record<'ROUTER' | 'DEALER', readonly string[]>> = {
  ROUTER: ['DEALER', 'ROUTER'],
  DEALER: ['ROUTER', 'DEALER'],
};

/** libzmq holds the limit against the frame as it travels, so this much of a part fits. */
export const MAX_PART = MAX_FRAME - MESSAGE_OVERHEAD;

// Ours.
/** The parts of one message together; the largest real message is one part of 9 MB. */
export const MAX_MESSAGE = 16 * 1024 * 1024;
export const MAX_PARTS = 1024;
const MAX_HANDSHAKE_FRAME = 4096;
/** Encrypted per write; one part may be larger. */
const WRITE_BYTES = 256 * 1024;

const PING = Buffer.from('\x04PING\x00\x00', 'latin1');
const PONG = Buffer.from('\x04PONG', 'latin1');
const PING_HEAD = PING.length;

/** `peer`: the other side closed. `network`: the system reported an error. */
export type CloseReason =
  | 'stopped'
  | 'idle'
  | 'peer'
  | 'network'
  | 'handshake_timeout'
  | 'silent'
  | 'malformed'
  | 'slow_reader'
  | 'memory';

export interface ConnectionEvents {
  /** The handshake is done. `peerKey` is proven. */
  onReady(peerKey: Uint8Array, metadata: Metadata): void;
  /** Parts are views of a read buffer that nobody else uses. */
  onMessage(parts: Uint8Array[]): void;
  /** After so many bytes were read and taken care of. */
  onRead(bytes: number): void;
  /** Once. `unsent`: messages of which the peer has got nothing. */
  onClose(reason: CloseReason, error: Error | undefined, unsent: Uint8Array[][]): void;
}

export type ConnectionRole =
  | { readonly client: CurveClient; readonly serverKey: Uint8Array; readonly identityLength: number }
  | { readonly server: CurveServer };

/** Bytes of unfinished messages over all connections that share it. */
export interface MemoryBudget {
  used: number;
  readonly max: number;
  /** Frees some, by closing a connection. */
  exceeded(): void;
}

export class Connection implements FrameSink {
  readonly #socket: Socket;
  readonly #role: ConnectionRole;
  readonly #events: ConnectionEvents;
  #budget: MemoryBudget;
  readonly #maxQueuedBytes: number;
  readonly #reader = new FrameReader(MAX_HANDSHAKE_FRAME);
  readonly remoteAddress: string;

  #state: 'greeting' | 'hello' | 'initiate' | 'ready' | 'closed' = 'greeting';
  #isConnected: boolean;
  #session: CurveSession | undefined;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #budgeted = 0;

  // Waiting to be sent: parts and their flags, from `#head` on.
  #queue: Uint8Array[] = [];
  #queueFlags: number[] = [];
  #head = 0;
  #queuedBytes = 0;
  /** The last part sent was not the last of its message. */
  #isMidMessage = false;
  #isScheduled = false;
  #isBlocked = false;

  // Times of the clock that `sweep` is called with.
  readonly #openedAt: number;
  #pingedAt: number;
  #askedAt: number | undefined;
  #usedAt: number;
  #hasReceived = false;
  #isUsed = false;
  /** Reads from the socket so far: tells whether the peer gave any sign of life since some moment. */
  reads = 0;

  constructor(
    socket: Socket,
    role: ConnectionRole,
    events: ConnectionEvents,
    options: { readonly now: number; readonly maxQueuedBytes: number; readonly budget: MemoryBudget },
  ) {
    this.#socket = socket;
    this.#role = role;
    this.#events = events;
    this.#budget = options.budget;
    this.#maxQueuedBytes = options.maxQueuedBytes;
    this.#openedAt = this.#pingedAt = this.#usedAt = options.now;
    this.#isConnected = !socket.connecting;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
    socket.on('connect', () => {
      this.#isConnected = true;
    });
    socket.on('error', (error) => this.close('network', error));
    socket.on('end', () => this.close('peer'));
    socket.on('close', () => this.close('peer'));
    socket.write(
      encodeGreeting(
        'server' in role
          ? { isServer: true, identityLength: 0 }
          : { isServer: false, identityLength: role.identityLength },
      ),
    );
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Whether TCP has come up: afterwards a failure is one of the handshake. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  get budget(): MemoryBudget {
    return this.#budget;
  }

  /** Moves what is held to another budget. */
  set budget(budget: MemoryBudget) {
    this.#budget.used -= this.#budgeted;
    this.#budget = budget;
    budget.used += this.#budgeted;
  }

  /** Of unfinished messages. */
  get heldBytes(): number {
    return this.#budgeted;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Queues one message; before the handshake is done it waits for it. The caller keeps to `MAX_PART`, and does not
   * change the parts any more.
   */
  send(parts: readonly Uint8Array[]): void {
    if (this.#state === 'closed') return;
    this.#isUsed = true;
    const last = parts.length - 1;
    for (let i = 0; i <= last; i++) this.#enqueue(parts[i]!, i === last ? 0 : MessageFlag.more);
    if (this.#queuedBytes + this.#socket.writableLength > this.#maxQueuedBytes) this.close('slow_reader');
  }

  /** To be called about every second: handshake deadline, PING, silence. */
  sweep(now: number): void {
    if (this.#state === 'closed') return;
    if (this.#state !== 'ready') {
      if (now - this.#openedAt >= HANDSHAKE_MS) this.close('handshake_timeout');
      return;
    }
    if (this.#isUsed) {
      this.#isUsed = false;
      this.#usedAt = now;
    }
    if (this.#hasReceived) {
      this.#hasReceived = false;
      this.#askedAt = undefined;
    }
    if (this.#askedAt !== undefined && now - this.#askedAt >= SILENCE_MS) {
      this.close('silent');
      return;
    }
    if (now - this.#pingedAt >= PING_MS) {
      this.#pingedAt = now;
      this.#askedAt ??= now;
      this.#enqueue(PING, MessageFlag.command);
    }
  }

  /** Since the last message in either direction, as `sweep` has seen it. */
  idleMs(now: number): number {
    return this.#isUsed ? 0 : now - this.#usedAt;
  }

  /** Sends what waits, then closes. */
  finish(): void {
    if (this.#state === 'closed') return;
    while (this.#state === 'ready' && this.#head < this.#queue.length) {
      this.#isBlocked = false;
      this.#flush();
    }
    this.#end('stopped', undefined);
    // Ends after what is buffered is written; a peer that does not read is cut by the caller's `destroy`.
    this.#socket.destroySoon();
  }

  /** Reads no more until `resume`; the peer feels it when the buffers of TCP are full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  close(reason: CloseReason, error?: Error): void {
    if (this.#state === 'closed') return;
    this.#end(reason, error);
    this.#socket.destroy();
  }

  #end(reason: CloseReason, error: Error | undefined): void {
    this.#state = 'closed';
    this.#reader.stop();
    this.#budget.used -= this.#budgeted;
    this.#budgeted = 0;
    this.#parts = [];
    const unsent = this.#unsent();
    this.#queue = [];
    this.#queueFlags = [];
    this.#queuedBytes = 0;
    this.#events.onClose(reason, error, unsent);
  }

  #unsent(): Uint8Array[][] {
    const messages: Uint8Array[][] = [];
    let parts: Uint8Array[] = [];
    let isPartial = this.#isMidMessage;
    for (let i = this.#head; i < this.#queue.length; i++) {
      const flags = this.#queueFlags[i]!;
      if ((flags & MessageFlag.command) !== 0) continue;
      parts.push(this.#queue[i]!);
      if ((flags & MessageFlag.more) !== 0) continue;
      if (!isPartial) messages.push(parts);
      isPartial = false;
      parts = [];
    }
    return messages;
  }

  // Receiving

  #read(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    this.reads++;
    this.#hasReceived = true;
    try {
      this.#reader.read(chunk, this);
    } catch (error) {
      if (!(error instanceof ZmtpError)) throw error; // a fault of ours
      this.close('malformed', error);
      return;
    }
    const held = this.#reader.heldBytes + this.#partBytes;
    if (held !== this.#budgeted) {
      this.#budget.used += held - this.#budgeted;
      this.#budgeted = held;
      if (this.#budget.used > this.#budget.max) this.#budget.exceeded();
    }
    this.#events.onRead(chunk.length);
  }

  onGreeting(greeting: Uint8Array): void {
    checkGreeting(greeting);
    this.#state = 'hello';
    if ('client' in this.#role) this.#sendCommand(this.#role.client.hello());
  }

  onFrame(flags: number, body: Uint8Array): void {
    if (this.#state === 'ready') {
      this.#receivePart(flags, body);
      return;
    }
    if ((flags & FrameFlag.command) === 0) throw new ZmtpError('handshake', 'a message before the handshake');
    if ('server' in this.#role) {
      const { server } = this.#role;
      if (this.#state === 'hello') {
        this.#state = 'initiate';
        this.#sendCommand(server.welcome(body));
        return;
      }
      const { ready, session, metadata, clientKey } = server.ready(body);
      this.#checkSocketType('ROUTER', metadata);
      this.#sendCommand(ready);
      this.#becomeReady(session, clientKey, metadata);
      return;
    }
    const { client, serverKey } = this.#role;
    if (this.#state === 'hello') {
      this.#state = 'initiate';
      this.#sendCommand(client.initiate(body));
      return;
    }
    const { session, metadata } = client.finish(body);
    this.#checkSocketType('DEALER', metadata);
    this.#becomeReady(session, serverKey, metadata);
  }

  #checkSocketType(own: 'ROUTER' | 'DEALER', metadata: Metadata): void {
    if (!FITS[own].includes(metadata.socketType))
      throw new ZmtpError('handshake', 'a socket type that does not fit');
  }

  #sendCommand(body: Uint8Array): void {
    this.#socket.write(encodeFrame(FrameFlag.command, body));
  }

  #becomeReady(session: CurveSession, peerKey: Uint8Array, metadata: Metadata): void {
    this.#session = session;
    this.#state = 'ready';
    this.#isUsed = true;
    this.#reader.maxBodyBytes = MAX_FRAME;
    this.#events.onReady(peerKey, metadata);
    this.#flush();
  }

  #receivePart(flags: number, body: Uint8Array): void {
    // Compat: libzmq leaves MORE and COMMAND of the outer frame unset and does not look at them.
    if ((flags & FrameFlag.more) !== 0) throw new ZmtpError('frame', 'MORE outside of the box');
    const plain = this.#session!.open(body);
    const inner = plain[0]!;
    const payload = new Uint8Array(plain.buffer, plain.byteOffset + 1, plain.length - 1);
    if ((inner & MessageFlag.command) !== 0) {
      this.#receiveCommand(payload);
      return;
    }
    const parts = this.#parts;
    parts.push(payload);
    if ((inner & MessageFlag.more) !== 0) {
      // A part costs memory beyond its bytes.
      this.#partBytes += payload.length + 128;
      if (parts.length >= MAX_PARTS || this.#partBytes > MAX_MESSAGE) {
        throw new ZmtpError('too_large', 'a message of too many parts or bytes');
      }
      return;
    }
    this.#parts = [];
    this.#partBytes = 0;
    this.#isUsed = true;
    this.#events.onMessage(parts);
  }

  #receiveCommand(payload: Uint8Array): void {
    // PONG needs no more than having been received; unknown commands are ignored.
    if (payload.length < PING_HEAD || payload.length > PING_HEAD + MAX_PING_CONTEXT) return;
    for (let i = 0; i < 5; i++) if (payload[i] !== PING[i]) return;
    this.#enqueue(Buffer.concat([PONG, payload.subarray(PING_HEAD)]), MessageFlag.command);
    if (this.#queuedBytes > this.#maxQueuedBytes) this.close('slow_reader');
  }

  // Sending

  #enqueue(payload: Uint8Array, flags: number): void {
    this.#queue.push(payload);
    this.#queueFlags.push(flags);
    // What the entry itself costs counts too, or empty parts would be free.
    this.#queuedBytes += payload.length + MESSAGE_OVERHEAD;
    if (!this.#isScheduled && this.#state === 'ready') {
      this.#isScheduled = true;
      scheduleFlush(this);
    }
  }

  /** Called at the end of the event-loop turn. */
  flushScheduled(): void {
    this.#isScheduled = false;
    this.#flush();
  }

  #flush(): void {
    while (this.#state === 'ready' && !this.#isBlocked && this.#head < this.#queue.length) {
      const first = this.#head;
      let end = first;
      let size = 0;
      do {
        const length = this.#queue[end]!.length + MESSAGE_OVERHEAD;
        size += frameHeadSize(length) + length;
        end++;
      } while (end < this.#queue.length && size < WRITE_BYTES);
      const out = Buffer.allocUnsafe(size);
      let offset = 0;
      for (let i = first; i < end; i++) {
        const payload = this.#queue[i]!;
        const length = payload.length + MESSAGE_OVERHEAD;
        offset = writeFrameHead(out, offset, 0, length);
        offset = this.#session!.seal(out, offset, this.#queueFlags[i]!, payload);
        this.#queuedBytes -= length;
      }
      this.#isMidMessage = (this.#queueFlags[end - 1]! & MessageFlag.more) !== 0;
      if (end === this.#queue.length) {
        this.#queue = [];
        this.#queueFlags = [];
        this.#head = 0;
      } else this.#head = end;
      if (!this.#socket.write(out)) this.#isBlocked = true;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#queueFlags.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

let scheduled: Connection[] = [];

/** All connections with something to send flush together, after the sockets of this turn have been read. */
function scheduleFlush(connection: Connection): void {
  if (scheduled.length === 0) setImmediate(flushAll);
  scheduled.push(connection);
}

function flushAll(): void {
  const connections = scheduled;
  scheduled = [];
  for (const connection of connections) connection.flushScheduled();
}
