// SPDX-License-Identifier: MIT
// A connection and what hangs on it: requests of ours that wait for replies, the caller that handlers see, those who
// want to know when it closes. Encodes messages of parts within the limits that peers keep.
import { randomBytes } from '@allium/protocol/crypto';
import type { Cancel } from '@allium/protocol/env';
import type { Caller } from './commands.ts';
import { type Connection, MAX_MESSAGE, MAX_PART, MAX_PARTS } from './connection.ts';
import type { Deadlines, Expiring } from './deadlines.ts';
import { type OmqAccess, type OmqConnection, type OmqContext, OmqError, type OmqPart } from './endpoint.ts';

// Ours: the peer echoes a tag without looking into it. Four random bytes per connection, then a counter.
const TAG_BYTES = 8;
const TAG_PREFIX = 4;

/** What a link needs of its endpoint. */
export interface LinkOwner {
  readonly deadlines: Deadlines;
  accessOf(peerKeyHex: string): OmqAccess;
}

/** A request of ours under way. */
export class Pending implements Expiring {
  bucket = -1;
  link: Link;
  counter: number;
  readonly command: string;
  readonly timeoutMs: number;
  readonly resolve: (parts: Uint8Array[]) => void;
  readonly reject: (error: OmqError) => void;
  /** Reads of the connection when the request was made. */
  reads: number;
  onSettled: (() => void) | undefined;

  constructor(
    link: Link,
    counter: number,
    command: string,
    timeoutMs: number,
    resolve: (parts: Uint8Array[]) => void,
    reject: (error: OmqError) => void,
  ) {
    this.link = link;
    this.counter = counter;
    this.command = command;
    this.timeoutMs = timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
    this.reads = link.connection.reads;
  }

  expire(): void {
    this.link.suspect(this.reads);
    this.link.settle(
      this,
      new OmqError('timeout', `no reply to ${this.command} within ${this.timeoutMs} ms`),
    );
  }
}

export class Link implements Caller {
  readonly isOutgoing: boolean;
  readonly openedAt: number;
  connection!: Connection;
  /** Set when the handshake is done. */
  context!: OmqContext;
  running = 0;
  /** The peer has answered HI, or need not. */
  isGreeted = true;
  readonly #owner: LinkOwner;
  readonly #pending = new Map<number, Pending>();
  readonly #tagPrefix: Uint8Array = randomBytes(TAG_PREFIX);
  readonly #onClose = new Set<() => void>();
  #counter = 0;
  #suspectReads = -1;

  constructor(owner: LinkOwner, isOutgoing: boolean, openedAt: number) {
    this.#owner = owner;
    this.isOutgoing = isOutgoing;
    this.openedAt = openedAt;
  }

  get pendingRequests(): number {
    return this.#pending.size;
  }

  /** A request timed out and the peer has given no sign of life since it was made. */
  get isSuspect(): boolean {
    return this.#suspectReads === this.connection.reads;
  }

  /** @param reads of the connection, when the peer was asked something that it has not answered */
  suspect(reads: number): void {
    this.#suspectReads = reads;
  }

  access(): OmqAccess {
    return this.#owner.accessOf(this.context.peerKeyHex);
  }

  /** @throws OmqError `too_large` */
  send(parts: readonly OmqPart[]): void {
    this.connection.send(encodeParts(parts));
  }

  /** @throws OmqError `too_large`; all else goes to `reject` */
  request(
    command: string,
    parts: readonly OmqPart[],
    timeoutMs: number,
    resolve: (parts: Uint8Array[]) => void,
    reject: (error: OmqError) => void,
  ): Pending {
    const counter = this.#nextCounter();
    const message = encodeParts([command, this.#tag(counter), ...parts]);
    const pending = new Pending(this, counter, command, timeoutMs, resolve, reject);
    this.#pending.set(counter, pending);
    this.#owner.deadlines.add(pending, timeoutMs);
    this.connection.send(message);
    return pending;
  }

  /** Takes over a request that another connection could not send any more. Its deadline stays. */
  adopt(pending: Pending, message: readonly Uint8Array[]): void {
    pending.link.#pending.delete(pending.counter);
    pending.link = this;
    pending.counter = this.#nextCounter();
    pending.reads = this.connection.reads;
    this.#pending.set(pending.counter, pending);
    const [command, , ...data] = message;
    this.connection.send([command!, this.#tag(pending.counter), ...data]);
  }

  #nextCounter(): number {
    this.#counter = (this.#counter + 1) >>> 0;
    return this.#counter;
  }

  #tag(counter: number): Uint8Array {
    const tag = Buffer.allocUnsafe(TAG_BYTES);
    tag.set(this.#tagPrefix);
    tag.writeUInt32BE(counter, TAG_PREFIX);
    return tag;
  }

  /** The request that a reply with this tag belongs to. */
  pendingOf(tag: Uint8Array | undefined): Pending | undefined {
    if (tag === undefined || tag.length !== TAG_BYTES) return undefined;
    for (let i = 0; i < TAG_PREFIX; i++) if (tag[i] !== this.#tagPrefix[i]) return undefined;
    return this.#pending.get(((tag[4]! << 24) | (tag[5]! << 16) | (tag[6]! << 8) | tag[7]!) >>> 0);
  }

  /** Ends a request: with its reply, or with an error. */
  settle(pending: Pending, result: Uint8Array[] | OmqError): void {
    if (!this.#pending.delete(pending.counter)) return;
    this.#owner.deadlines.remove(pending);
    pending.onSettled?.();
    if (result instanceof OmqError) pending.reject(result);
    else pending.resolve(result);
  }

  /** Fails all requests, or those of one command. */
  failAll(error: OmqError, command?: string): void {
    for (const pending of [...this.#pending.values()]) {
      if (command === undefined || pending.command === command) this.settle(pending, error);
    }
  }

  becomeReady(peerKey: Uint8Array, peerKeyHex: string): void {
    const { remoteAddress } = this.connection;
    this.context = { peerKey, peerKeyHex, remoteAddress, connection: new HandlerConnection(this) };
  }

  onClose(run: () => void): Cancel {
    if (this.connection.isClosed) {
      run();
      return () => {};
    }
    const entry = () => run(); // of its own, so that one function may be registered twice
    this.#onClose.add(entry);
    return () => this.#onClose.delete(entry);
  }

  closed(): void {
    for (const run of [...this.#onClose]) run();
    this.#onClose.clear();
  }
}

/** What handlers see of a connection. */
class HandlerConnection implements OmqConnection {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  get isOpen(): boolean {
    return this.#link.connection.isReady;
  }

  send(command: string, parts: readonly OmqPart[]): void {
    this.#link.send([command, ...parts]);
  }

  onClose(run: () => void): Cancel {
    return this.#link.onClose(run);
  }
}

function encodeParts(parts: readonly OmqPart[]): Uint8Array[] {
  if (parts.length > MAX_PARTS) throw new OmqError('too_large', `a message of ${parts.length} parts`);
  const encoded: Uint8Array[] = [];
  let total = 0;
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    total += bytes.length;
    if (bytes.length > MAX_PART || total > MAX_MESSAGE) {
      throw new OmqError('too_large', `a part of ${bytes.length} bytes in a message of ${total}`);
    }
    encoded.push(bytes);
  }
  return encoded;
}
