// SPDX-License-Identifier: MIT
// The way to guards through one entry, a gateway or a node that lets pages in: a WebSocket that is opened when it is needed and
// again when it breaks, single requests where none gets through, and all that waits meanwhile.

import type { TransportRequest, TransportResponse } from '@allium/protocol/env';
import { type Cancel, type Env, TransportError } from '@allium/protocol/env';
import {
  ENTRY_FAILURE_HEADER,
  ENTRY_FAILURES,
  type EntryFailure,
  MAX_ANSWER_BYTES,
} from '@allium/protocol/onion/entry';
import { EntryLink, type LinkResult, type MakeSocket } from './entry-link.ts';

/**
 * `idle`: nothing was asked yet, or not of late. `connecting`. `connected`: over the WebSocket. `fallback`: by single
 * requests, since WebSockets do not get through. `unreachable`: the entry does not answer; tried again and again.
 */
export type EntryState = 'idle' | 'connecting' | 'connected' | 'fallback' | 'unreachable';

export interface EntryChannelOptions {
  readonly socketUrl: string;
  /** Where one envelope for this node (Ed25519 key in hex) is posted. */
  readonly postUrl: (node: string) => string;
  readonly env: Env;
  readonly fetch: typeof globalThis.fetch;
  readonly makeSocket: MakeSocket;
  readonly onState: (state: EntryState) => void;
}

// Ours.
/** So long a request waits for an entry that is away, sent before or not. */
const AWAY_MS = 5_000;
/**
 * Between two connections that are tried, doubling, each half or more of it by chance. An entry that was switched off for a
 * moment is found within seconds; one that stays away is asked twice a minute. One connection at a time.
 */
const FIRST_PAUSE_MS = 250;
/** Over so long those who lose an entry together, since it began anew, come back to it. */
const SPREAD_MS = 1_500;
const LONGEST_PAUSE_MS = 5_000;
const STAYS_AWAY_MS = 10 * 60_000;
const PAUSE_WHEN_IT_STAYS_AWAY_MS = 30_000;
/** However often somebody thinks that it may be back. */
const BETWEEN_WAKES_MS = 1_000;
/** Connections that break off one request; it may be what breaks them. */
const MAX_LOSSES = 3;
/** Where WebSockets do not get through, one is tried so often. */
const SOCKET_AGAIN_MS = 60_000;
/** An entry that was silent for so long when an answer is overdue is taken for dead; it pings every 20 s, which pages do not see. */
const SILENT_MS = 15_000;
/** Pause before an entry that is busy is asked again; doubles. */
const BUSY_PAUSE_MS = 500;

interface Waiting {
  readonly request: TransportRequest;
  readonly node: string;
  readonly body: Uint8Array;
  /** By the monotonic clock. */
  readonly deadline: number;
  readonly settle: (result: TransportResponse | TransportError) => void;
  /** By a single request, which is left to end. */
  isFetching: boolean;
  losses: number;
  refusals: number;
  /** Ends whatever is under way. */
  cancel: Cancel;
}

export class EntryChannel {
  readonly #options: EntryChannelOptions;
  readonly #env: Env;
  readonly #waiting = new Set<Waiting>();
  #link: EntryLink | undefined;
  #state: EntryState = 'idle';
  #failedConnects = 0;
  /** Since it was last heard of, by the monotonic clock; while it is there, and before it was asked, none. */
  #awaySince: number | undefined;
  #wokenAt = Number.NEGATIVE_INFINITY;
  #noSocketUntil = Number.NEGATIVE_INFINITY;
  #cancelReconnect: Cancel | undefined;
  #isClosed = false;

  constructor(options: EntryChannelOptions) {
    this.#options = options;
    this.#env = options.env;
  }

  get state(): EntryState {
    return this.#state;
  }

  /** The network may be back: connects at once instead of after a pause. */
  wake(): void {
    const now = this.#env.clock.monotonic();
    if (this.#cancelReconnect === undefined || now < this.#wokenAt + BETWEEN_WAKES_MS) return;
    this.#wokenAt = now;
    this.#failedConnects = 0;
    this.#awaySince = undefined;
    this.#connect();
  }

  /** Ends the connection, and with `aborted` what waits. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelReconnect?.();
    for (const waiting of [...this.#waiting]) {
      waiting.settle(new TransportError('aborted', 'the transport is closed'));
    }
    this.#link?.close();
    this.#becomes('idle');
  }

  /** @throws TransportError */
  carry(request: TransportRequest, node: string, body: Uint8Array): Promise<TransportResponse> {
    const { clock } = this.#env;
    return new Promise((resolve, reject) => {
      const onAbort = () => waiting.settle(aborted(request.signal));
      const cancelDeadline = clock.after(request.timeoutMs, () => this.#overdue(waiting));
      const waiting: Waiting = {
        request,
        node,
        body,
        deadline: clock.monotonic() + request.timeoutMs,
        isFetching: false,
        losses: 0,
        refusals: 0,
        cancel: () => {},
        settle: (result) => {
          if (!this.#waiting.delete(waiting)) return;
          cancelDeadline();
          request.signal?.removeEventListener('abort', onAbort);
          waiting.cancel();
          if (result instanceof TransportError) reject(result);
          else resolve(result);
        },
      };
      this.#waiting.add(waiting);
      request.signal?.addEventListener('abort', onAbort, { once: true });
      this.#start(waiting);
    });
  }

  #start(waiting: Waiting): void {
    if (this.#link?.isOpen === true) {
      this.#overLink(this.#link, waiting);
      return;
    }
    if (this.#env.clock.monotonic() < this.#noSocketUntil) {
      this.#byFetch(waiting);
      return;
    }
    // It waits for a connection, but not for ever.
    waiting.cancel = this.#env.clock.after(AWAY_MS, () => waiting.settle(away()));
    if (this.#link === undefined && this.#cancelReconnect === undefined) this.#connect();
  }

  #overLink(link: EntryLink, waiting: Waiting): void {
    waiting.cancel();
    waiting.cancel = link.send(waiting.node, waiting.body, (result) => this.#onResult(waiting, result));
  }

  #onResult(waiting: Waiting, result: LinkResult): void {
    waiting.cancel = () => {};
    if (!this.#waiting.has(waiting)) return;
    switch (result.kind) {
      case 'answer':
        waiting.settle({ status: result.status, headers: {}, body: result.body });
        return;
      case 'failure':
        this.#onFailure(waiting, result.code);
        return;
      case 'lost':
        if (++waiting.losses >= MAX_LOSSES) {
          waiting.settle(away());
          return;
        }
        this.#start(waiting);
        return;
    }
  }

  #onFailure(waiting: Waiting, code: EntryFailure): void {
    const { clock, random } = this.#env;
    switch (code) {
      case 'limited':
      case 'busy':
      case 'no_list': {
        const pause = BUSY_PAUSE_MS * 2 ** waiting.refusals++ * (1 + random.unit() / 2);
        if (clock.monotonic() + pause >= waiting.deadline) {
          waiting.settle(new TransportError('no_network', `the entry is ${REASONS[code]}`));
          return;
        }
        waiting.cancel = clock.after(pause, () => this.#start(waiting));
        return;
      }
      case 'unknown_node':
        waiting.settle(new TransportError('unreachable', 'the entry does not know this node'));
        return;
      default:
        waiting.settle(new TransportError(code, `the entry got no answer of the guard: ${code}`));
        return;
    }
  }

  #overdue(waiting: Waiting): void {
    const { clock } = this.#env;
    if (!this.#waiting.has(waiting)) return;
    const link = this.#link;
    const isAway = this.#state === 'unreachable' || this.#state === 'connecting';
    waiting.settle(
      isAway ? away() : new TransportError('timeout', `no answer within ${waiting.request.timeoutMs} ms`),
    );
    // Networks change without a word; a page cannot ping.
    if (link?.isOpen === true && clock.monotonic() - link.heardAt > SILENT_MS) link.close();
  }

  #connect(): void {
    this.#cancelReconnect?.();
    this.#cancelReconnect = undefined;
    if (this.#isClosed || this.#link !== undefined) return;
    if (this.#state !== 'unreachable' && this.#state !== 'fallback') this.#becomes('connecting');
    const { socketUrl: url, makeSocket } = this.#options;
    try {
      this.#link = new EntryLink(makeSocket, url, this.#env.clock, {
        open: () => this.#onOpen(),
        close: (wasOpen) => this.#onClose(wasOpen),
      });
    } catch (error) {
      this.#env.log.debug({ error: String(error) }, 'no WebSocket');
      this.#link = undefined;
      this.#onClose(false);
    }
  }

  #onOpen(): void {
    this.#failedConnects = 0;
    this.#awaySince = undefined;
    this.#noSocketUntil = Number.NEGATIVE_INFINITY;
    this.#becomes('connected');
    for (const waiting of this.#waiting) if (!waiting.isFetching) this.#overLink(this.#link!, waiting);
  }

  #onClose(wasOpen: boolean): void {
    this.#link = undefined;
    if (this.#isClosed) return;
    const wasAway = this.#state === 'unreachable';
    if (!wasOpen) {
      this.#failedConnects++;
      this.#awaySince ??= this.#env.clock.monotonic();
    }
    this.#scheduleReconnect(wasOpen);
    if (wasOpen) {
      this.#becomes(this.#waiting.size > 0 ? 'connecting' : 'idle');
      return;
    }
    if (this.#state !== 'fallback') this.#becomes(this.#failedConnects > 1 ? 'unreachable' : 'connecting');
    // Perhaps only WebSockets do not get through. Of an entry that is away one request finds that out for all.
    const silent = [...this.#waiting].filter(({ isFetching }) => !isFetching);
    for (const waiting of wasAway ? silent.slice(0, 1) : silent) this.#byFetch(waiting);
  }

  #scheduleReconnect(wasOpen = false): void {
    if (this.#isClosed || this.#cancelReconnect !== undefined) return;
    const { clock, random } = this.#env;
    const isFallback = clock.monotonic() < this.#noSocketUntil;
    const staysAway = clock.monotonic() - (this.#awaySince ?? clock.monotonic()) > STAYS_AWAY_MS;
    const longest = staysAway ? PAUSE_WHEN_IT_STAYS_AWAY_MS : LONGEST_PAUSE_MS;
    const pause = isFallback
      ? SOCKET_AGAIN_MS
      : Math.min(FIRST_PAUSE_MS * 2 ** this.#failedConnects, longest);
    // Pages that lost the entry together must not come back together.
    const chance = random.unit();
    const after = wasOpen ? FIRST_PAUSE_MS / 2 + chance * SPREAD_MS : pause * (0.5 + chance / 2);
    this.#cancelReconnect = clock.after(after, () => {
      this.#cancelReconnect = undefined;
      this.#connect();
    });
  }

  /** Single requests do not get through either: the entry is away, and is not waited for as long as for WebSockets alone. */
  #endFallback(): void {
    if (this.#noSocketUntil === Number.NEGATIVE_INFINITY) return;
    this.#noSocketUntil = Number.NEGATIVE_INFINITY;
    this.#failedConnects = 0;
    this.#cancelReconnect?.();
    this.#cancelReconnect = undefined;
    if (this.#link === undefined) this.#scheduleReconnect();
  }

  #byFetch(waiting: Waiting): void {
    waiting.cancel();
    waiting.isFetching = true;
    const over = new AbortController();
    waiting.cancel = () => over.abort();
    const timeoutMs = Math.max(1, waiting.deadline - this.#env.clock.monotonic());
    const url = this.#options.postUrl(waiting.node);
    const request = { url, body: waiting.body, timeoutMs, signal: over.signal };
    void askByFetch(request, this.#options).then((answer) => {
      waiting.isFetching = false;
      if (!this.#waiting.has(waiting) || over.signal.aborted) return;
      if (answer instanceof TransportError) {
        if (answer.code !== 'no_network') return waiting.settle(answer);
        if (this.#state !== 'connected') this.#becomes('unreachable');
        this.#endFallback();
        if (++waiting.losses >= MAX_LOSSES) return waiting.settle(away());
        return this.#start(waiting);
      }
      this.#awaySince = undefined;
      if (this.#link?.isOpen !== true) {
        this.#noSocketUntil = this.#env.clock.monotonic() + SOCKET_AGAIN_MS;
        const waited = this.#state === 'fallback' ? [] : [...this.#waiting];
        this.#becomes('fallback');
        for (const other of waited) if (other !== waiting && !other.isFetching) this.#byFetch(other);
      }
      const failure = failureOf(answer);
      if (failure !== undefined) this.#onFailure(waiting, failure);
      else waiting.settle(answer);
    });
  }

  #becomes(state: EntryState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#env.log.debug({ state }, 'browser entry');
    this.#options.onState(state);
  }
}

/** One request by `fetch`. Never rejects. */
export async function askByFetch(
  { url, body, headers, timeoutMs, signal }: TransportRequest,
  { env, fetch }: { readonly env: Env; readonly fetch: typeof globalThis.fetch },
): Promise<TransportResponse | TransportError> {
  const over = new AbortController();
  let isLate = false;
  const cancel = env.clock.after(timeoutMs, () => {
    isLate = true;
    over.abort();
  });
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const type = headers?.['content-type'] ?? 'application/octet-stream';
  try {
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      ...(body !== undefined && {
        body: body as Uint8Array<ArrayBuffer>,
        headers: { 'content-type': type },
      }),
      signal: either,
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
    });
    const bytes = await readBody(response, MAX_ANSWER_BYTES);
    if (bytes === undefined) return new TransportError('too_large', 'the answer is too large');
    return { status: response.status, headers: Object.fromEntries(response.headers), body: bytes };
  } catch (cause) {
    if (isLate) return new TransportError('timeout', `no answer within ${timeoutMs} ms`, { cause });
    if (signal?.aborted) return aborted(signal);
    // Browsers do not tell why; the entry is all that we talk to.
    return new TransportError('no_network', 'the entry does not answer', { cause });
  } finally {
    cancel();
  }
}

const REASONS = { limited: 'asked too much from here', busy: 'busy', no_list: 'not ready' } as const;

const away = () => new TransportError('no_network', 'the entry does not answer');

export function aborted(signal: AbortSignal | undefined): TransportError {
  return new TransportError('aborted', 'the request was aborted', { cause: signal?.reason });
}

/** What the entry itself says instead of an answer of the guard. */
function failureOf({ headers, status }: TransportResponse): EntryFailure | undefined {
  const name = headers[ENTRY_FAILURE_HEADER];
  if (name === undefined) return undefined;
  return ENTRY_FAILURES.find((code) => code === name) ?? (status === 429 ? 'limited' : 'busy');
}

async function readBody(response: Response, limit: number): Promise<Uint8Array | undefined> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      return undefined;
    }
    parts.push(value);
  }
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
