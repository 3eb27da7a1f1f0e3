// SPDX-License-Identifier: MIT
// Transport of a client in a browser (spec/storage-server §9.3.12): everything goes to its entries, a gateway, nodes that let
// pages in, or both. An entry that is away for a moment is not noticed: what waits is sent again. Where none answers it is
// `no_network`, for no guard is to blame.
import {
  type Cancel,
  type Env,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '@allium/protocol/env';
import { GATEWAY_ONION_PATH, GATEWAY_SOCKET_PATH, NODE_SOCKET_PATH } from '@allium/protocol/onion/entry';
import { Events } from '../events.ts';
import { aborted, askByFetch, EntryChannel, type EntryState } from './entry-channel.ts';
import type { MakeSocket } from './entry-link.ts';

/** A service node that lets pages in. */
export interface NodeEntry {
  /** Origin that its certificate is for. */
  readonly url: string;
  readonly ed25519Hex: string;
}

export interface BrowserTransportOptions {
  /**
   * Origin of the gateway, with a path before its own where it has one; default: where the page comes from. False: none,
   * only `entries`.
   */
  readonly gateway?: string | false;
  /** Guards that are reached without a gateway. Without one, paths begin at them alone: two or more are needed. */
  readonly entries?: readonly NodeEntry[];
  readonly env: Env;
  /** Default: those of the browser. */
  readonly fetch?: typeof globalThis.fetch;
  readonly makeSocket?: MakeSocket;
  /** Whether the browser believes to have a network; default `navigator.onLine`. */
  readonly isOnline?: () => boolean;
}

export interface BrowserTransportEvents {
  /** Of all entries together: the best. */
  state: EntryState;
}

const BEST_FIRST: readonly EntryState[] = ['connected', 'fallback', 'connecting', 'unreachable', 'idle'];

export class BrowserTransport implements Transport {
  readonly onlyOnions = true;
  /** Origin of the gateway; empty: there is none. */
  readonly gateway: string;
  #entries: readonly NodeEntry[] = [];
  readonly events: Events<BrowserTransportEvents>;
  readonly #env: Env;
  readonly #fetch: typeof globalThis.fetch;
  readonly #isOnline: () => boolean;
  readonly #throughGateway: EntryChannel | undefined;
  /** By the key of the node. */
  readonly #direct = new Map<string, EntryChannel>();
  readonly #channel: (url: string, socketPath: string, postUrl: (node: string) => string) => EntryChannel;
  #state: EntryState = 'idle';
  readonly #stopWatching: Cancel;
  #isClosed = false;

  constructor(options: BrowserTransportOptions) {
    const { env, gateway = globalThis.location.origin, entries = [] } = options;
    this.gateway = gateway === false ? '' : withoutSlash(gateway);
    this.#env = env;
    this.events = new Events(env.log);
    this.#fetch = options.fetch ?? ((...given) => globalThis.fetch(...given));
    const makeSocket: MakeSocket =
      options.makeSocket ??
      ((url, protocol) => new WebSocket(url, protocol) as unknown as ReturnType<MakeSocket>);
    this.#isOnline = options.isOnline ?? (() => globalThis.navigator?.onLine !== false);
    this.#channel = (url, socketPath, postUrl) =>
      new EntryChannel({
        ...{ env, makeSocket, postUrl, fetch: this.#fetch },
        socketUrl: `${url.replace(/^http/, 'ws')}${socketPath}`,
        onState: () => this.#look(),
      });
    this.#throughGateway =
      this.gateway === ''
        ? undefined
        : this.#channel(
            this.gateway,
            GATEWAY_SOCKET_PATH,
            (node) => `${this.gateway}${GATEWAY_ONION_PATH}${node}`,
          );
    this.addEntries(entries);
    this.#stopWatching = watchOnline(() => this.wake());
  }

  get state(): EntryState {
    return this.#state;
  }

  get entries(): readonly NodeEntry[] {
    return this.#entries;
  }

  /** More guards that are reached without the gateway. */
  addEntries(entries: readonly NodeEntry[]): void {
    for (const { url: given, ed25519Hex } of entries) {
      if (this.#isClosed || this.#direct.has(ed25519Hex)) continue;
      const url = withoutSlash(given);
      this.#direct.set(
        ed25519Hex,
        this.#channel(url, NODE_SOCKET_PATH, () => `${url}/onion_req/v2`),
      );
      this.#entries = [...this.#entries, { url, ed25519Hex }];
    }
  }

  /** Where paths can begin; undefined: anywhere. */
  get guards(): ReadonlySet<string> | undefined {
    const isGone = this.#throughGateway === undefined || this.#throughGateway.state === 'unreachable';
    return isGone && this.#direct.size > 0 ? new Set(this.#direct.keys()) : undefined;
  }

  /** The network may be back: connects at once instead of after a pause. */
  wake(): void {
    for (const channel of this.#channels()) channel.wake();
  }

  /** @throws TransportError */
  async request(request: TransportRequest): Promise<TransportResponse> {
    if (this.#isClosed) throw new TransportError('aborted', 'the transport is closed');
    if (request.signal?.aborted) throw aborted(request.signal);
    const { node, body } = request;
    if (node !== undefined && body !== undefined && request.url.endsWith('/onion_req/v2')) {
      if (!this.#isOnline()) throw new TransportError('no_network', 'the browser is offline');
      return await this.#carry(request, node, body);
    }
    const origins = [this.gateway, ...this.entries.map(({ url }) => url)];
    if (!origins.some((origin) => origin !== '' && request.url.startsWith(`${origin}/`))) {
      throw new TransportError('unreachable', 'a page reaches nothing but its entry');
    }
    if (!this.#isOnline()) throw new TransportError('no_network', 'the browser is offline');
    const answer = await askByFetch(request, { env: this.#env, fetch: this.#fetch });
    if (answer instanceof TransportError) throw answer;
    // An entry answers: those that are waited for may be back, too.
    if (this.#state === 'unreachable') this.wake();
    return answer;
  }

  /** Ends the connections; further requests fail with `aborted`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopWatching();
    for (const channel of this.#channels()) channel.close();
    this.events.clear();
  }

  async #carry(request: TransportRequest, node: string, body: Uint8Array): Promise<TransportResponse> {
    const gateway = this.#throughGateway;
    const direct = this.#direct.get(node);
    if (direct !== undefined && (gateway === undefined || direct.state !== 'unreachable')) {
      try {
        return await direct.carry(request, node, body);
      } catch (error) {
        if (!isAway(error)) throw error;
        if (gateway === undefined) throw this.#othersAnswer(direct) ? nodeIsAway() : error;
      }
    }
    if (gateway === undefined) throw new TransportError('unreachable', 'no entry leads to this node');
    try {
      return await gateway.carry(request, node, body);
    } catch (error) {
      // With another way in, there is a network.
      throw isAway(error) && this.#othersAnswer(gateway) ? nodeIsAway() : error;
    }
  }

  #othersAnswer(than: EntryChannel): boolean {
    return [...this.#channels()].some(
      (channel) => channel !== than && (channel.state === 'connected' || channel.state === 'fallback'),
    );
  }

  *#channels(): Generator<EntryChannel> {
    if (this.#throughGateway !== undefined) yield this.#throughGateway;
    yield* this.#direct.values();
  }

  #look(): void {
    const states = new Set([...this.#channels()].map(({ state }) => state));
    const state = BEST_FIRST.find((each) => states.has(each)) ?? 'idle';
    if (state === this.#state) return;
    this.#state = state;
    this.events.emit('state', state);
  }
}

const withoutSlash = (url: string) => url.replace(/\/+$/, '');
const isAway = (error: unknown) => error instanceof TransportError && error.code === 'no_network';
const nodeIsAway = () => new TransportError('unreachable', 'the entry to this node does not answer');

function watchOnline(onOnline: () => void): Cancel {
  const target = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;
  target.addEventListener?.('online', onOnline);
  return () => target.removeEventListener?.('online', onOnline);
}
