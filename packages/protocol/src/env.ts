// SPDX-License-Identifier: MIT
// The ports through which logic reaches time, chance, logs and the network. Programs and tests choose the
// implementation; `protocol`, `client` and the logic of `service-node` never call the platform themselves.

import { AlliumError } from './errors.ts';

/** Cancels what it was returned for; harmless when called late or twice. */
export type Cancel = () => void;

/** Wall clock and timers. */
export interface Clock {
  /** Unix time in ms. May jump when the machine's clock is set. */
  now(): number;
  /** Ms since an arbitrary start; never goes backwards. */
  monotonic(): number;
  /** Calls `run` once after `ms`; soon when that is 0 or less. Timers of a stopped program must be cancelled by their owner. */
  after(ms: number, run: () => void): Cancel;
}

/** Chance. Cryptographic keys and nonces do not come from here but from the crypto module. */
export interface Random {
  /** A whole number in 0 … `below` − 1. */
  below(below: number): number;
  /** A number in [0, 1). */
  unit(): number;
}

/** The same chance for the same seed (mulberry32): for simulations, tests and benchmarks, never for a program at work. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { unit, below: (below) => Math.floor(unit() * below) };
}

/** So many of the items, or all there are, in random order. */
export function sample<T>(items: readonly T[], count: number, random: Pick<Random, 'below'>): T[] {
  const shuffled = [...items];
  const wanted = Math.min(count, shuffled.length);
  // The first steps of a Fisher–Yates shuffle.
  for (let i = 0; i < wanted; i++) {
    const other = i + random.below(shuffled.length - i);
    [shuffled[i], shuffled[other]] = [shuffled[other]!, shuffled[i]!];
  }
  return shuffled.slice(0, wanted);
}

export type LogFields = Readonly<Record<string, string | number | boolean | bigint | undefined | unknown>>;

/** Structured log: fields first, then a constant sentence. Account ids and IP addresses only at `debug`. */
export interface Logger {
  error(fields: LogFields, sentence: string): void;
  warn(fields: LogFields, sentence: string): void;
  info(fields: LogFields, sentence: string): void;
  debug(fields: LogFields, sentence: string): void;
  child(fields: LogFields): Logger;
}

export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** One HTTPS POST (or GET when `body` is absent) as clients make it. */
export interface TransportRequest {
  readonly url: string;
  readonly body?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Time for the whole exchange, connecting included, in ms. */
  readonly timeoutMs: number;
  /** SHA-256 pins of a seed server's public key and certificate (spec/client §2.1). Absent: the certificate is not checked. */
  readonly pins?: { readonly publicKey: string; readonly certificate: string };
  /** Ed25519 key in hex of the service node that is asked, for transports that go through an entry. */
  readonly node?: string;
  readonly signal?: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * Carries requests of a client to guards and seeds.
 * @throws TransportError; an answer of any status is not an error.
 */
export interface Transport {
  /** Service nodes are reached through an entry that passes on onions and nothing else. Default false. */
  readonly onlyOnions?: boolean;
  /** Nodes at which paths can begin at present, Ed25519 keys in hex. Undefined: any. */
  readonly guards?: ReadonlySet<string> | undefined;
  request(request: TransportRequest): Promise<TransportResponse>;
}

/** Waits `ms` on `clock`; rejects with the signal's reason as soon as it aborts. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Why no answer came. `no_network`: nothing is reachable from here, so nobody is to blame; `proxy_unreachable`,
 * `proxy_refused`: the proxy that is the only way out does not answer as one, or lets nothing through.
 */
export class TransportError extends AlliumError<
  | 'no_network'
  | 'proxy_unreachable'
  | 'proxy_refused'
  | 'unreachable'
  | 'timeout'
  | 'aborted'
  | 'too_large'
  | 'bad_certificate'
  | 'bad_response'
> {
  override readonly name = 'TransportError';
}
