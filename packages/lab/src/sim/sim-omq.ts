// SPDX-License-Identifier: AGPL-3.0-or-later
// OMQ over the simulated network (spec/storage-server §5.1, §5.3): requests, replies and one-way commands between keys.
// What is done with a command is the code of @allium/net; handshake, frames and idle connections are left out, and
// nobody can pretend to have another's key.

import { type Caller, Commands } from '@allium/net/omq/commands';
import type {
  OmqCategoryOptions,
  OmqCommandOptions,
  OmqConnection,
  OmqContext,
  OmqEndpoint,
  OmqHandler,
  OmqOptions,
  OmqPart,
  OmqPeer,
  OmqRequestOptions,
  OmqStatistics,
} from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { equal, toHex, utf8 } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import type { Host, Lane, Wire } from './wire.ts';

// From the specification, as in @allium/net.
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_PENDING_PER_PEER = 10_000;
const STOP_MS = 2_000;

interface Pending {
  readonly command: string;
  settle(result: Uint8Array[] | OmqError): void;
}

/** A connection between two endpoints, used by both. */
class Connection {
  readonly ends: readonly [End, End];
  isOpen = true;

  constructor(wire: Wire, a: SimOmq, b: SimOmq) {
    const toB: Lane = { lastAt: 0 };
    const toA: Lane = { lastAt: 0 };
    const endA = new End(this, wire, a, b, toB);
    const endB = new End(this, wire, b, a, toA);
    endA.other = endB;
    endB.other = endA;
    this.ends = [endA, endB];
  }

  /** Both ends notice; the far one when the news gets there, if it does. */
  close(by: End): void {
    const { wire, owner, peer } = by;
    if (this.isOpen && wire.isOpen(owner.host, peer.host)) {
      wire.time.after(wire.delay(owner.host, peer.host), () => by.other.closed());
    }
    this.isOpen = false;
    by.closed();
  }
}

/** One side of a connection: whoever sends us something over it is our caller. */
class End implements Caller {
  readonly connection: Connection;
  readonly wire: Wire;
  readonly owner: SimOmq;
  readonly peer: SimOmq;
  readonly #lane: Lane;
  other!: End;
  running = 0;
  /** What has come in so far: a time-out without anything since means that the connection is dead. */
  received = 0;
  #nextTag = 0;
  readonly pending = new Map<string, Pending>();
  readonly #onClose = new Set<() => void>();
  #isClosed = false;
  readonly context: OmqContext;

  constructor(connection: Connection, wire: Wire, owner: SimOmq, peer: SimOmq, lane: Lane) {
    this.connection = connection;
    this.wire = wire;
    this.owner = owner;
    this.peer = peer;
    this.#lane = lane;
    const isOpen = () => connection.isOpen;
    const face: OmqConnection = {
      get isOpen() {
        return isOpen();
      },
      send: (command, parts) => this.send([command, ...parts]),
      onClose: (run) => this.#whenClosed(run),
    };
    this.context = {
      peerKey: peer.publicKey,
      peerKeyHex: peer.keyHex,
      remoteAddress: peer.host.address,
      connection: face,
    };
  }

  access() {
    return this.owner.accessOf(this.peer.keyHex);
  }

  send(parts: readonly OmqPart[]): void {
    if (!this.connection.isOpen) return;
    // Copies: the receiver's views must not be the sender's buffers.
    const sent = parts.map((part) => (typeof part === 'string' ? utf8(part) : part.slice()));
    this.wire.carry(
      this.owner.host,
      this.peer.host,
      () => {
        if (this.connection.isOpen) this.other.receive(sent);
      },
      () => this.connection.close(this),
      this.#lane,
    );
  }

  request(command: string, parts: readonly OmqPart[], pending: Pending): string {
    const tag = String(this.#nextTag++);
    this.pending.set(tag, pending);
    this.send([command, tag, ...parts]);
    return tag;
  }

  receive(parts: Uint8Array[]): void {
    this.received++;
    const name = latin1(parts[0]);
    if (name === 'REPLY') this.#settle(latin1(parts[1]), parts.slice(2));
    else if (name === 'FORBIDDEN' || name === 'FORBIDDEN_SN' || name === 'NOT_A_SERVICE_NODE') {
      if (latin1(parts[1]) === 'REPLY') {
        this.#settle(latin1(parts[2]), new OmqError('refused', `the peer refused the command (${name})`));
      }
    } else if (name === 'UNKNOWNCOMMAND') {
      const command = latin1(parts[1]);
      for (const [tag, { command: asked }] of [...this.pending]) {
        if (asked === command)
          this.#settle(tag, new OmqError('refused', 'the peer does not know this command'));
      }
    } else if (name !== 'NO_REPLY_TAG') this.owner.commands.dispatch(this, name, parts);
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.owner.forget(this);
    for (const tag of [...this.pending.keys()]) {
      this.#settle(tag, new OmqError('closed', 'the connection closed'));
    }
    for (const run of [...this.#onClose]) run();
    this.#onClose.clear();
  }

  #settle(tag: string, result: Uint8Array[] | OmqError): void {
    const pending = this.pending.get(tag);
    this.pending.delete(tag);
    pending?.settle(result);
  }

  #whenClosed(run: () => void): Cancel {
    if (this.#isClosed) run();
    else this.#onClose.add(run);
    return () => this.#onClose.delete(run);
  }
}

export class SimOmq implements OmqEndpoint {
  readonly host: Host;
  readonly publicKey: Uint8Array;
  readonly keyHex: string;
  readonly commands: Commands;
  readonly #wire: Wire;
  readonly #options: OmqOptions;
  readonly #env: Env;
  readonly #ends = new Map<string, End>();
  #isRunning = false;
  readonly #reset = () => {
    for (const end of [...this.#ends.values()]) end.connection.close(end);
  };

  constructor(wire: Wire, host: Host, options: OmqOptions, env: Env) {
    this.#wire = wire;
    this.host = host;
    this.#options = options;
    this.#env = env;
    this.publicKey = options.keyPair.publicKey;
    this.keyHex = toHex(this.publicKey);
    this.commands = new Commands({ isServiceNode: options.isServiceNode }, env.log);
  }

  accessOf(keyHex: string) {
    return this.#options.accessOf?.(keyHex) ?? 'none';
  }

  category(name: string, options: OmqCategoryOptions): void {
    this.commands.category(name, options);
  }

  register(command: string, handler: OmqHandler, options?: OmqCommandOptions): void {
    this.commands.register(command, handler, options);
  }

  async start(): Promise<{ port?: number }> {
    const { listen } = this.#options;
    this.commands.start();
    this.#isRunning = true;
    this.host.onReset.add(this.#reset);
    if (listen === undefined) return {};
    this.host.listeners.set(listen.port, this);
    return { port: listen.port };
  }

  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    const { listen } = this.#options;
    if (listen !== undefined) this.host.listeners.delete(listen.port);
    const ends = [...this.#ends.values()];
    const failing = new OmqError('closed', 'this endpoint is stopping');
    for (const end of ends) {
      for (const pending of [...end.pending.values()]) pending.settle(failing);
      end.pending.clear();
    }
    await new Promise<void>((resolve) => {
      const cancel = this.#env.clock.after(STOP_MS, resolve);
      this.commands.stop(() => {
        cancel();
        resolve();
      });
    });
    for (const end of ends) end.connection.close(end);
    this.host.onReset.delete(this.#reset);
  }

  forget(end: End): void {
    if (this.#ends.get(end.peer.keyHex) === end) this.#ends.delete(end.peer.keyHex);
  }

  async request(
    peer: OmqPeer,
    command: string,
    parts: readonly OmqPart[],
    options: OmqRequestOptions = {},
  ): Promise<Uint8Array[]> {
    const { signal, timeoutMs = REQUEST_TIMEOUT_MS } = options;
    this.#check();
    if (signal?.aborted) throw new OmqError('aborted', 'the request was aborted');
    return new Promise((resolve, reject) => {
      let end: End | undefined;
      let tag: string | undefined;
      const settle = (result: Uint8Array[] | OmqError) => {
        cancel();
        signal?.removeEventListener('abort', onAbort);
        if (end !== undefined && tag !== undefined) end.pending.delete(tag);
        if (result instanceof OmqError) reject(result);
        else resolve(result);
      };
      const onAbort = () => settle(new OmqError('aborted', 'the request was aborted'));
      let receivedBefore = 0;
      const cancel = this.#env.clock.after(timeoutMs, () => {
        const dead = end?.received === receivedBefore ? end : undefined;
        settle(new OmqError('timeout', `no reply to ${command} within ${timeoutMs} ms`));
        dead?.connection.close(dead);
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      const found = this.#endTo(peer);
      if (found === 'silent') return;
      if (found instanceof OmqError) {
        this.#wire.time.after(1, () => settle(found));
        return;
      }
      if (found.pending.size >= MAX_PENDING_PER_PEER) {
        settle(new OmqError('busy', `${found.pending.size} requests wait for this peer`));
        return;
      }
      end = found;
      receivedBefore = found.received;
      tag = found.request(command, parts, { command, settle });
    });
  }

  async send(peer: OmqPeer, command: string, parts: readonly OmqPart[]): Promise<void> {
    this.#check();
    const end = this.#endTo(peer);
    if (end instanceof OmqError) throw end;
    if (end !== 'silent') end.send([command, ...parts]);
  }

  statistics(): OmqStatistics {
    let pendingRequests = 0;
    for (const end of this.#ends.values()) pendingRequests += end.pending.size;
    return { incoming: 0, outgoing: this.#ends.size, pendingRequests, queuedBytes: 0 };
  }

  #check(): void {
    if (!this.#isRunning) throw new OmqError('closed', 'this endpoint is not running');
  }

  /** `silent`: packets vanish on the way, so that only the time-out tells. */
  #endTo(peer: OmqPeer): End | OmqError | 'silent' {
    const known = this.#ends.get(toHex(peer.publicKey));
    if (known !== undefined) return known;
    const to = this.#wire.host(peer.host);
    if (!this.#wire.isOpen(this.host, to)) return 'silent';
    const listener = to.listeners.get(peer.port);
    if (!(listener instanceof SimOmq)) return new OmqError('unreachable', 'nobody listens there');
    if (!equal(listener.publicKey, peer.publicKey))
      return new OmqError('handshake', 'another key answers there');
    const [mine, theirs] = new Connection(this.#wire, this, listener).ends;
    this.#ends.set(listener.keyHex, mine);
    listener.#ends.set(this.keyHex, theirs);
    return mine;
  }
}

function latin1(bytes: Uint8Array | undefined): string {
  return bytes === undefined
    ? ''
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
