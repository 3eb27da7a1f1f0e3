// SPDX-License-Identifier: MIT
// OMQ endpoint: requests, replies and one-way commands between nodes, and between nodes and clients
// (spec/storage-server §5.1, §5.3).
//
//   endpoint.ts    what users and handlers see
//   omq.ts         this: who is connected           link.ts       requests under way, on one connection
//   commands.ts    what is done with a command      deadlines.ts  their time-outs
//   connection.ts  TCP: handshake, messages, PING
//   zmtp.ts        frames                           curve.ts      handshake and encryption
//
// A peer is its CURVE key, which the handshake proves; the identity that it announces is never looked at. Requests
// use any connection with the peer, whoever opened it. If there is none, one is opened; its opener closes it when it
// was idle for 30 s.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { toHex } from '@allium/protocol/bytes';
import type { Cancel, Clock, Env } from '@allium/protocol/env';
import { Admission } from '../admission.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { Commands } from './commands.ts';
import { type CloseReason, Connection, type ConnectionRole, type MemoryBudget } from './connection.ts';
import { CurveClient, CurveServer } from './curve.ts';
import { Deadlines } from './deadlines.ts';
import {
  type OmqCategoryOptions,
  type OmqCommandOptions,
  type OmqEndpoint,
  OmqError,
  type OmqHandler,
  type OmqLimit,
  type OmqOptions,
  type OmqPart,
  type OmqPeer,
  type OmqRequestOptions,
  type OmqStatistics,
} from './endpoint.ts';
import { Link, type LinkOwner } from './link.ts';
import { encodeMetadata, ZmtpError } from './zmtp.ts';

// From the specification, spec/storage-server §5.3.
const REQUEST_TIMEOUT_MS = 15_000;
const IDLE_CLOSE_MS = 30_000;
const GREETING_MS = 10_000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 5_000;
const IDENTITY_PREFIX = 0x4c; // "L", §5.2
const REFUSALS = new Set(['FORBIDDEN', 'FORBIDDEN_SN', 'NOT_A_SERVICE_NODE']);

// Ours.
const SWEEP_MS = 1000;
const MAX_CONNECTIONS = 4000;
const MAX_CONNECTIONS_PER_ADDRESS = 400;
/** A handshake costs 0.2 ms, also one that fails. */
const CONNECTION_BURST = 600;
const CONNECTIONS_PER_SECOND = 300;
const ALL_CONNECTIONS_PER_SECOND = 1000;
/** Most of them long polls that a relay passes on. */
const MAX_PENDING_PER_PEER = 20_000;
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
/** Of unfinished messages, from service nodes and from all others; the largest gives way. */
const MAX_PARTIAL_BYTES = 256 * 1024 * 1024;
const MAX_STRANGERS_PARTIAL_BYTES = 64 * 1024 * 1024;
/** What is read of all strangers at one address, in KiB: one message of any size at once, then so much per second. */
const STRANGER_BURST_KIB = 16 * 1024;
const STRANGER_KIB_PER_SECOND = 4 * 1024;
/** How long `stop` waits for handlers, and then for what they answered to go out. */
const STOP_MS = 2000;
const LINGER_MS = 500;
const NO_IDENTITY = new Uint8Array(0);

/** What is known of a key: connections with it and, if it could not be reached, when to try again. */
interface Peer {
  readonly keyHex: string;
  /** Where we were last asked to reach it. */
  address: OmqPeer | undefined;
  outgoing: Link | undefined;
  /** Ready ones, oldest first. */
  readonly incoming: Link[];
  failures: number;
  retryAt: number;
}

export class Omq implements OmqEndpoint {
  readonly #options: OmqOptions;
  readonly #env: Env;
  readonly #owner: LinkOwner;
  readonly #commands: Commands;
  readonly #links = new Set<Link>();
  readonly #sockets = new Set<Socket>();
  readonly #peers = new Map<string, Peer>();
  readonly #admission: Admission;
  readonly #ofNodes = this.#budget(MAX_PARTIAL_BYTES);
  readonly #ofStrangers: MemoryBudget;
  readonly #strangerRate: RateLimiter;
  /** Links to strangers that sent too much; nothing is read of them until the next sweep. */
  readonly #paused = new Set<Link>();
  #server: Server | undefined;
  #cancelSweep: Cancel | undefined;
  #state: 'stopped' | 'running' | 'stopping' = 'stopped';
  #stopping: Promise<void> | undefined;
  #onNoSocket: (() => void) | undefined;

  constructor(options: OmqOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#ofStrangers = this.#budget(options.maxStrangersPartialBytes ?? MAX_STRANGERS_PARTIAL_BYTES);
    const refused = (limit: OmqLimit) => options.onRefused?.(limit);
    this.#commands = new Commands({ isServiceNode: options.isServiceNode, onRefused: refused }, env.log);
    this.#admission = new Admission(
      {
        maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
        maxConnectionsPerAddress: options.maxConnectionsPerAddress ?? MAX_CONNECTIONS_PER_ADDRESS,
        connectionBurst: CONNECTION_BURST,
        connectionsPerSecond: CONNECTIONS_PER_SECOND,
        allConnectionsPerSecond: ALL_CONNECTIONS_PER_SECOND,
      },
      env.clock,
      refused,
    );
    this.#strangerRate = new RateLimiter(
      { capacity: STRANGER_BURST_KIB, refillMicroseconds: 1e6 / STRANGER_KIB_PER_SECOND },
      env.clock,
    );
    const { accessOf } = options;
    this.#owner = { deadlines: new Deadlines(env.clock), accessOf: (keyHex) => accessOf?.(keyHex) ?? 'none' };
  }

  /** Declares a category, before its commands. */
  category(name: string, options: OmqCategoryOptions): void {
    this.#commands.category(name, options);
  }

  /** Registers `category.command`. */
  register(command: string, handler: OmqHandler, options?: OmqCommandOptions): void {
    this.#commands.register(command, handler, options);
  }

  /**
   * Must come before requests, also without `listen`.
   * @returns the port, when listening
   * @throws the error of the system when the address cannot be listened on
   */
  async start(): Promise<{ port?: number }> {
    await this.#stopping;
    if (this.#state === 'stopped') {
      const { listen } = this.#options;
      if (listen !== undefined) this.#server = await this.#listen(listen.host, listen.port);
      this.#commands.start();
      this.#state = 'running';
      this.#armSweep();
    }
    return this.#server === undefined ? {} : { port: (this.#server.address() as AddressInfo).port };
  }

  /**
   * Fails waiting requests with `closed`, waits a moment for handlers at work, says BYE to those who connected to us,
   * closes everything.
   */
  stop(): Promise<void> {
    if (this.#state === 'running') {
      this.#state = 'stopping';
      this.#stopping = this.#finish();
    }
    return this.#stopping ?? Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Sends a request, opening a connection unless there is one with the peer.
   * @returns the data parts of the reply, views of a read buffer
   * @throws OmqError
   */
  request(
    peer: OmqPeer,
    command: string,
    parts: readonly OmqPart[],
    options: OmqRequestOptions = {},
  ): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs = REQUEST_TIMEOUT_MS } = options;
      if (signal?.aborted) throw abortError(signal);
      const link = this.#linkTo(peer, options.ownConnection === true);
      if (link.pendingRequests >= (this.#options.maxPendingPerPeer ?? MAX_PENDING_PER_PEER)) {
        this.#options.onRefused?.('pending');
        throw new OmqError('busy', `${link.pendingRequests} requests wait for this peer`);
      }
      const pending = link.request(command, parts, timeoutMs, resolve, reject);
      if (signal === undefined) return;
      const onAbort = () => pending.link.settle(pending, abortError(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      pending.onSettled = () => signal.removeEventListener('abort', onAbort);
    });
  }

  /**
   * Sends a one-way command; resolves when a connection has taken it, which is no promise that it arrives.
   * @throws OmqError
   */
  async send(peer: OmqPeer, command: string, parts: readonly OmqPart[]): Promise<void> {
    this.#linkTo(peer, false).send([command, ...parts]);
  }

  statistics(): OmqStatistics {
    let pendingRequests = 0;
    let queuedBytes = 0;
    let outgoing = 0;
    for (const link of this.#links) {
      pendingRequests += link.pendingRequests;
      queuedBytes += link.connection.queuedBytes;
      if (link.isOutgoing) outgoing++;
    }
    return { incoming: this.#links.size - outgoing, outgoing, pendingRequests, queuedBytes };
  }

  // Connections

  async #listen(host: string, port: number): Promise<Server> {
    const server = createServer({ blockList: this.#admission.gate }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: 1024 }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#env.log.error({ error }, 'omq listener failed'));
    return server;
  }

  #accept(socket: Socket): void {
    if (this.#state !== 'running') {
      socket.destroy();
      return;
    }
    this.#admission.enter(socket);
    const metadata = encodeMetadata({ socketType: 'ROUTER', identity: NO_IDENTITY });
    this.#attach(
      socket,
      { server: new CurveServer({ keyPair: this.#options.keyPair, metadata }) },
      undefined,
    );
  }

  /** @throws OmqError when the peer cannot be tried now */
  #linkTo(to: OmqPeer, ownConnection: boolean): Link {
    if (this.#state !== 'running') throw new OmqError('closed', 'this endpoint is not running');
    if (to.publicKey.length !== 32) throw new OmqError('handshake', 'a peer key that is not of 32 bytes');
    const peer = this.#peer(toHex(to.publicKey));
    peer.address = to;
    const outgoing = peer.outgoing?.isSuspect === false ? peer.outgoing : undefined;
    if (outgoing !== undefined && (ownConnection || outgoing.connection.isReady)) return outgoing;
    const incoming = ownConnection ? undefined : peer.incoming.findLast((link) => !link.isSuspect);
    return incoming ?? outgoing ?? this.#open(peer, to);
  }

  #open(peer: Peer, to: OmqPeer): Link {
    if (this.#env.clock.monotonic() < peer.retryAt) {
      throw new OmqError('unreachable', 'the peer was found unreachable a moment ago');
    }
    let socket: Socket;
    try {
      socket = connect({ host: to.host, port: to.port });
    } catch (error) {
      throw new OmqError('unreachable', 'an address that cannot be connected to', { cause: error });
    }
    const { keyPair, isServiceNode } = this.#options;
    const identity = isServiceNode
      ? Buffer.concat([Buffer.of(IDENTITY_PREFIX), keyPair.publicKey])
      : NO_IDENTITY;
    const metadata = encodeMetadata({ socketType: 'DEALER', identity });
    const client = new CurveClient({ keyPair, serverKey: to.publicKey, metadata });
    const role = { client, serverKey: to.publicKey, identityLength: identity.length };
    const link = this.#attach(socket, role, peer);
    peer.outgoing = link;
    if (!isServiceNode) {
      // Clients greet. Requests need not wait for the answer, but it must come.
      link.isGreeted = false;
      link.send(['HI']);
    }
    return link;
  }

  /** @param to whom we connect to; absent for those who connect to us */
  #attach(socket: Socket, role: ConnectionRole, to: Peer | undefined): Link {
    const now = this.#env.clock.monotonic();
    const link = new Link(this.#owner, to !== undefined, now);
    let peer = to;
    this.#links.add(link);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onNoSocket?.();
    });
    link.connection = new Connection(
      socket,
      role,
      {
        onReady: (peerKey) => {
          const keyHex = toHex(peerKey);
          link.becomeReady(peerKey, keyHex);
          if (link.isOutgoing || this.#owner.accessOf(keyHex) === 'service_node') {
            link.connection.budget = this.#ofNodes;
          }
          peer ??= this.#peer(keyHex);
          // Also a connection from the peer tells that it is back.
          peer.failures = 0;
          peer.retryAt = 0;
          if (!link.isOutgoing) peer.incoming.push(link);
        },
        onMessage: (parts) => {
          try {
            this.#receive(link, parts);
          } catch (error) {
            this.#env.log.error({ error }, 'omq message not handled'); // `accessOf` threw
          }
        },
        onRead: (bytes) => this.#pace(link, bytes),
        onClose: (reason, error, unsent) => {
          this.#closed(link, peer, reason, error);
          if (isUsable(link) && peer?.address !== undefined) this.#sendAgain(link, peer.address, unsent);
          link.failAll(closeError(reason, isUsable(link), link.connection.isConnected, error));
          link.closed();
        },
      },
      { now, maxQueuedBytes: this.#options.maxQueuedBytes ?? MAX_QUEUED_BYTES, budget: this.#ofStrangers },
    );
    return link;
  }

  #closed(link: Link, peer: Peer | undefined, reason: CloseReason, error: Error | undefined): void {
    this.#links.delete(link);
    this.#paused.delete(link);
    const limit = limitOf(reason, error);
    if (limit !== undefined) this.#options.onRefused?.(limit);
    const wasReady = isUsable(link);
    const { isOutgoing } = link;
    this.#env.log.debug({ reason, error: error?.message, wasReady, isOutgoing }, 'omq connection closed');
    if (peer !== undefined) {
      if (peer.outgoing === link) peer.outgoing = undefined;
      const index = peer.incoming.indexOf(link);
      if (index >= 0) peer.incoming.splice(index, 1);
      if (isOutgoing && !wasReady && reason !== 'stopped') {
        peer.retryAt =
          this.#env.clock.monotonic() + Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** peer.failures);
        peer.failures = Math.min(peer.failures + 1, 10);
      }
      this.#forget(peer);
    }
  }

  /** The other side closed a connection while requests waited to be written: they lose nothing but a moment. */
  #sendAgain(link: Link, to: OmqPeer, unsent: readonly Uint8Array[][]): void {
    for (const message of unsent) {
      const pending =
        message.length > 1 && latin1(message[0]!) !== 'REPLY' ? link.pendingOf(message[1]) : undefined;
      if (pending === undefined) continue;
      try {
        this.#linkTo(to, false).adopt(pending, message);
      } catch (error) {
        if (!(error instanceof OmqError)) throw error;
        link.settle(pending, error);
      }
    }
  }

  /** A message costs its decryption, whatever becomes of it. */
  #pace(link: Link, bytes: number): void {
    const { connection } = link;
    if (link.isOutgoing || connection.isClosed || connection.budget === this.#ofNodes) return;
    if (this.#strangerRate.take(connection.remoteAddress, Math.ceil(bytes / 1024))) return;
    this.#options.onRefused?.('byte_rate');
    this.#paused.add(link);
    connection.pause();
  }

  #budget(max: number): MemoryBudget {
    const budget: MemoryBudget = {
      used: 0,
      max,
      exceeded: () => {
        let largest: Connection | undefined;
        for (const { connection } of this.#links) {
          if (connection.budget !== budget) continue;
          if (largest === undefined || connection.heldBytes > largest.heldBytes) largest = connection;
        }
        largest?.close('memory');
      },
    };
    return budget;
  }

  #peer(keyHex: string): Peer {
    let peer = this.#peers.get(keyHex);
    if (peer === undefined) {
      peer = { keyHex, address: undefined, outgoing: undefined, incoming: [], failures: 0, retryAt: 0 };
      this.#peers.set(keyHex, peer);
    }
    return peer;
  }

  /** Drops a peer of whom there is nothing to remember. */
  #forget(peer: Peer): void {
    if (peer.outgoing !== undefined || peer.incoming.length > 0) return;
    if (peer.failures > 0 && this.#env.clock.monotonic() < peer.retryAt + BACKOFF_MAX_MS) return;
    this.#peers.delete(peer.keyHex);
  }

  #armSweep(): void {
    this.#cancelSweep = this.#env.clock.after(SWEEP_MS, () => {
      const now = this.#env.clock.monotonic();
      for (const link of this.#links) this.#sweep(link, now);
      for (const { connection } of this.#paused) connection.resume();
      this.#paused.clear();
      for (const peer of this.#peers.values()) this.#forget(peer);
      this.#armSweep();
    });
  }

  #sweep(link: Link, now: number): void {
    const { connection } = link;
    connection.sweep(now);
    if (!link.isOutgoing || !connection.isReady) return;
    if (!link.isGreeted && now - link.openedAt >= 2 * GREETING_MS) connection.close('handshake_timeout');
    else if (
      link.pendingRequests === 0 &&
      link.running === 0 &&
      connection.idleMs(now) >= (this.#options.idleCloseMs ?? IDLE_CLOSE_MS)
    ) {
      connection.close('idle');
    }
  }

  async #finish(): Promise<void> {
    const { clock } = this.#env;
    this.#cancelSweep?.();
    const server = this.#server;
    const closed = new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
    for (const link of this.#links) link.failAll(new OmqError('closed', 'this endpoint is stopping'));
    await bounded(clock, STOP_MS, (done) => this.#commands.stop(done));
    for (const link of [...this.#links]) {
      if (!link.isOutgoing && link.connection.isReady) link.send(['BYE']);
      link.connection.finish();
    }
    if (this.#sockets.size > 0) {
      await bounded(clock, LINGER_MS, (done) => {
        this.#onNoSocket = done;
      });
      this.#onNoSocket = undefined;
      for (const socket of this.#sockets) socket.destroy();
    }
    await closed;
    this.#owner.deadlines.clear();
    this.#peers.clear();
    this.#server = undefined;
    this.#state = 'stopped';
  }

  // Messages

  #receive(link: Link, parts: Uint8Array[]): void {
    const name = latin1(parts[0]!);
    if (name === 'REPLY') {
      const pending = link.pendingOf(parts[1]);
      if (pending !== undefined) link.settle(pending, parts.slice(2));
    } else if (name.includes('.')) this.#commands.dispatch(link, name, parts);
    else if (name === 'HI') link.send(['HELLO']);
    else if (name === 'HELLO') link.isGreeted = true;
    else if (name === 'BYE') {
      if (link.isOutgoing) link.connection.close('peer');
    } else if (REFUSALS.has(name)) {
      const pending =
        parts.length > 2 && latin1(parts[1]!) === 'REPLY' ? link.pendingOf(parts[2]) : undefined;
      if (pending !== undefined) {
        link.settle(pending, new OmqError('refused', `the peer refused ${pending.command} (${name})`));
      }
    } else if (name === 'UNKNOWNCOMMAND') {
      // It names no tag, but what one request of this command gets, all get.
      const command = parts[1] === undefined ? '' : latin1(parts[1]);
      link.failAll(new OmqError('refused', 'the peer does not know this command'), command);
    } else if (name !== 'NO_REPLY_TAG') this.#commands.dispatch(link, name, parts);
  }
}

/** The limit that ended a connection, if one did. */
function limitOf(reason: CloseReason, error: Error | undefined): OmqLimit | undefined {
  switch (reason) {
    case 'handshake_timeout':
      return 'handshake_time';
    case 'silent':
      return 'silence';
    case 'slow_reader':
      return 'unread_bytes';
    case 'memory':
      return 'message_bytes';
    case 'malformed':
      return error instanceof ZmtpError && error.code === 'too_large' ? 'message_size' : 'malformed';
    default:
      return undefined;
  }
}

/** The handshake is done, and the greeting where it is needed. */
function isUsable(link: Link): boolean {
  return link.context !== undefined && link.isGreeted;
}

function closeError(
  reason: CloseReason,
  wasReady: boolean,
  isConnected: boolean,
  cause: Error | undefined,
): OmqError {
  const options = cause === undefined ? {} : { cause };
  if (wasReady || reason === 'stopped')
    return new OmqError('closed', `the connection closed (${reason})`, options);
  if (isConnected) return new OmqError('handshake', `the handshake failed (${reason})`, options);
  return new OmqError('unreachable', `the peer cannot be reached (${reason})`, options);
}

function abortError(signal: AbortSignal): OmqError {
  return new OmqError('aborted', 'the request was aborted', { cause: signal.reason });
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Waits until `start` calls back, at most `ms`. */
function bounded(clock: Clock, ms: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    start(() => {
      cancel();
      resolve();
    });
  });
}
