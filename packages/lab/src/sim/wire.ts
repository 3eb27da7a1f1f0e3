// SPDX-License-Identifier: AGPL-3.0-or-later
// The simulated network below OMQ and HTTPS: hosts with an address, and the ways between them. A way has a latency of
// its own, may lose what goes over it, and may be cut. What is lost stands for a connection that broke: TCP hides
// anything less.
import type { SeededRandom, VirtualTime } from './virtual-time.ts';

export interface WireOptions {
  /** One way, drawn once per pair of hosts, in ms. Default 5 to 80. */
  readonly latencyMs?: readonly [number, number];
  /** Mean of what is added at random each time, in ms. Default 2. */
  readonly jitterMs?: number;
  /** Share of what is carried that never arrives, in 0 … 1. Default 0. */
  readonly loss?: number;
}

/** What became of something carried. `lost`: nobody hears of it, `broken`: the sender does. */
type Fate = 'arrives' | 'lost' | 'broken';

/** One machine with one address. */
export class Host {
  readonly address: string;
  /** Nobody reaches it and it reaches nobody. */
  isCut = false;
  /** Hosts on different sides of a split do not reach each other; without a side: all do. */
  side: number | undefined;
  /** Told when all connections of the host break off. */
  readonly onReset = new Set<() => void>();
  /** Listeners by port. */
  readonly listeners = new Map<number, unknown>();

  constructor(address: string) {
    this.address = address;
  }

  /** All connections break off, as when a process dies; those at the other ends notice. */
  reset(): void {
    for (const run of [...this.onReset]) run();
  }
}

export class Wire {
  readonly time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #hosts = new Map<string, Host>();
  readonly #latencies = new Map<string, number>();
  readonly #from: number;
  readonly #to: number;
  readonly #jitterMs: number;
  loss: number;

  constructor(options: WireOptions, time: VirtualTime, random: SeededRandom) {
    [this.#from, this.#to] = options.latencyMs ?? [5, 80];
    this.#jitterMs = options.jitterMs ?? 2;
    this.loss = options.loss ?? 0;
    this.time = time;
    this.#random = random;
  }

  host(address: string): Host {
    let host = this.#hosts.get(address);
    if (host === undefined) {
      host = new Host(address);
      this.#hosts.set(address, host);
    }
    return host;
  }

  /** What listens there; undefined when nothing does. */
  listenerAt(address: string, port: number): { host: Host; listener: unknown } | undefined {
    const host = this.#hosts.get(address);
    const listener = host?.listeners.get(port);
    return host === undefined || listener === undefined ? undefined : { host, listener };
  }

  isOpen(from: Host, to: Host): boolean {
    if (from === to) return true;
    return (
      !from.isCut && !to.isCut && (from.side === undefined || to.side === undefined || from.side === to.side)
    );
  }

  /** A delay for this time. */
  delay(from: Host, to: Host): number {
    const key = from.address < to.address ? `${from.address} ${to.address}` : `${to.address} ${from.address}`;
    let base = this.#latencies.get(key);
    if (base === undefined) {
      base = this.#from + this.#random.unit() * (this.#to - this.#from);
      this.#latencies.set(key, base);
    }
    return base - this.#jitterMs * Math.log(1 - this.#random.unit());
  }

  /**
   * Calls `arrive` after the way, `broken` when the sender notices that it will not. Neither is called for what
   * vanishes, and for what is under way when the way is cut.
   */
  carry(from: Host, to: Host, arrive: () => void, broken: () => void, lane?: Lane): void {
    const fate = this.#fate(from, to);
    if (fate === 'lost') return;
    const delay = this.delay(from, to);
    if (fate === 'broken') {
      this.time.after(2 * delay, broken);
      return;
    }
    const at = Math.max(this.time.ms + delay, lane?.lastAt ?? 0);
    if (lane !== undefined) lane.lastAt = at;
    this.time.after(at - this.time.ms, () => {
      if (this.isOpen(from, to)) arrive();
    });
  }

  #fate(from: Host, to: Host): Fate {
    if (!this.isOpen(from, to)) return 'lost';
    if (this.loss === 0 || this.#random.unit() >= this.loss) return 'arrives';
    return this.#random.unit() < 0.5 ? 'lost' : 'broken';
  }
}

/** One direction of a connection: what goes over it stays in order. */
export interface Lane {
  lastAt: number;
}
