// SPDX-License-Identifier: MIT
// Who may connect: decided from the address alone, before a socket exists and before TLS, because a handshake costs the
// node half a millisecond and a connection that is turned away here 20 µs.
import { BlockList, type Socket, type SocketAddress } from 'node:net';
import type { Clock } from '@allium/protocol/env';
import { clientKey, plainAddress } from './address.ts';
import { RateLimiter } from './rate-limiter.ts';

export interface AdmissionOptions {
  /** Open at once, default 20 000. */
  readonly maxConnections?: number;
  /** … from one address or IPv6 /64, default 2000. */
  readonly maxConnectionsPerAddress?: number;
  /** New ones that one address or IPv6 /64 may open at once, default 300. */
  readonly connectionBurst?: number;
  /** … and per second from then on, default 30. */
  readonly connectionsPerSecond?: number;
  /** New ones per second from all addresses, default 250; four times as many at once. */
  readonly allConnectionsPerSecond?: number;
  /**
   * An address that made a listener refuse so many requests within ten seconds loses its connections, and may open none
   * for ten seconds; default 300.
   */
  readonly maxRefusals?: number;
}

/** Which limit kept somebody out. */
export type AdmissionLimit =
  | 'connections'
  | 'connections_per_address'
  | 'connection_rate'
  | 'connection_rate_per_address'
  | 'shut_out';

// Ours.
const MAX_CONNECTIONS = 20_000;
const MAX_CONNECTIONS_PER_ADDRESS = 2_000;
const CONNECTION_BURST = 300;
const CONNECTIONS_PER_SECOND = 30;
const ALL_CONNECTIONS_PER_SECOND = 250;
const ALL_CONNECTIONS_BURST_SECONDS = 4;
const MAX_REFUSALS = 300;
const REFUSALS_WINDOW_MS = 10_000;
const SHUT_OUT_MS = 10_000;
/** Beyond this many addresses of which refusals are counted, counting starts again. */
const MAX_COUNTED = 10_000;

interface Refusals {
  count: number;
  readonly since: number;
}

export class Admission {
  readonly #maxConnections: number;
  readonly #maxPerAddress: number;
  readonly #maxRefusals: number;
  readonly #rate: RateLimiter;
  readonly #rateOfAll: RateLimiter;
  readonly #clock: Clock;
  readonly #onRefused: ((limit: AdmissionLimit) => void) | undefined;
  /** With the client that each belongs to. */
  readonly #sockets = new Map<Socket, string>();
  /** By client: address, IPv6 by /64. */
  readonly #socketsOf = new Map<string, number>();
  readonly #refusals = new Map<string, Refusals>();
  readonly #shutOutUntil = new Map<string, number>();
  #onNone: (() => void) | undefined;

  constructor(options: AdmissionOptions, clock: Clock, onRefused?: (limit: AdmissionLimit) => void) {
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    this.#maxPerAddress = options.maxConnectionsPerAddress ?? MAX_CONNECTIONS_PER_ADDRESS;
    this.#maxRefusals = options.maxRefusals ?? MAX_REFUSALS;
    this.#rate = perSecond(
      options.connectionsPerSecond ?? CONNECTIONS_PER_SECOND,
      options.connectionBurst ?? CONNECTION_BURST,
      clock,
    );
    const all = options.allConnectionsPerSecond ?? ALL_CONNECTIONS_PER_SECOND;
    this.#rateOfAll = perSecond(all, all * ALL_CONNECTIONS_BURST_SECONDS, clock);
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** For the option `blockList` of a listener, which asks it about each connection that it has accepted. */
  get gate(): BlockList {
    return new Gate(this);
  }

  get sockets(): Iterable<Socket> {
    return this.#sockets.keys();
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Whether a new connection may come in; counts it against the rates when it may. */
  admits(remoteAddress: string): boolean {
    const limit = this.#limitOf(remoteAddress);
    if (limit === undefined) return true;
    this.#onRefused?.(limit);
    return false;
  }

  #limitOf(remoteAddress: string): AdmissionLimit | undefined {
    const client = clientKey(remoteAddress);
    if (this.#isShutOut(client)) return 'shut_out';
    if (this.#sockets.size >= this.#maxConnections) return 'connections';
    if ((this.#socketsOf.get(client) ?? 0) >= this.#maxPerAddress) return 'connections_per_address';
    if (!this.#rate.take(plainAddress(remoteAddress))) return 'connection_rate_per_address';
    return this.#rateOfAll.take(EVERYBODY) ? undefined : 'connection_rate';
  }

  #isShutOut(client: string): boolean {
    const until = this.#shutOutUntil.get(client);
    if (until === undefined) return false;
    if (this.#clock.monotonic() < until) return true;
    this.#shutOutUntil.delete(client);
    return false;
  }

  /** Counts a connection that was admitted, until it closes. */
  enter(socket: Socket): void {
    const client = clientKey(socket.remoteAddress);
    this.#socketsOf.set(client, (this.#socketsOf.get(client) ?? 0) + 1);
    this.#sockets.set(socket, client);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onNone?.();
      const left = (this.#socketsOf.get(client) ?? 1) - 1;
      if (left === 0) this.#socketsOf.delete(client);
      else this.#socketsOf.set(client, left);
    });
  }

  /** A request of the client was refused, or `weight` of them. Who goes on regardless is shut out. */
  refused(client: string, weight = 1): void {
    const now = this.#clock.monotonic();
    let refusals = this.#refusals.get(client);
    if (refusals === undefined || now - refusals.since >= REFUSALS_WINDOW_MS) {
      if (this.#refusals.size >= MAX_COUNTED) this.#refusals.clear();
      refusals = { count: 0, since: now };
      this.#refusals.set(client, refusals);
    }
    refusals.count += weight;
    if (refusals.count < this.#maxRefusals) return;
    this.#refusals.delete(client);
    if (this.#shutOutUntil.size >= MAX_COUNTED) this.#shutOutUntil.clear();
    this.#shutOutUntil.set(client, now + SHUT_OUT_MS);
    this.#onRefused?.('shut_out');
    for (const [socket, of] of this.#sockets) if (of === client) socket.destroy();
  }

  /** Resolves when no connection is left. */
  async empty(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onNone = resolve;
    });
    this.#onNone = undefined;
  }
}

/** Node asks it before it makes a socket. */
class Gate extends BlockList {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    super();
    this.#admission = admission;
  }

  override check(address: SocketAddress | string): boolean {
    return !this.#admission.admits(typeof address === 'string' ? address : address.address);
  }
}

/** An address as good as any: the rate of all connections is one bucket. */
const EVERYBODY = '0.0.0.0';

const perSecond = (rate: number, burst: number, clock: Clock) =>
  new RateLimiter(
    { capacity: burst, refillMicroseconds: rate === 0 ? Number.POSITIVE_INFINITY : 1e6 / rate },
    clock,
  );
