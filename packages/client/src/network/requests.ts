// SPDX-License-Identifier: MIT
// One request to one node over one path (spec/client §2.4–2.6): sent, its answer judged (status.ts), failures laid where they
// belong, the node's time noted. What to ask whom next is `network.ts`.
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Json } from '@allium/protocol/json';
import type { SimpleRequest, StorageRequest } from '@allium/protocol/storage/requests';
import { parseInfoResult } from '@allium/protocol/storage/responses';
import { noWayOut } from '../errors.ts';
import type { PoolNode } from '../storage/storage.ts';
import type { NetworkClock } from './clock.ts';
import type { NodeAnswer } from './names.ts';
import type { Onions } from './onions.ts';
import type { Path, Paths, ProbeResult } from './paths.ts';
import { ANY_NODES, type NodePool } from './pool.ts';
import type { Semaphore } from './semaphore.ts';
import { judge, type Route, type Verdict } from './status.ts';

// From the specification.
const REQUEST_TIMEOUT_MS = 10_000; // §2.6
const PROBE_TIMEOUT_MS = 5_000; // §2.4, Android
// Ours.
const PROBE_TARGETS = 2;
const PATH_LOST: Verdict = { next: 'retry', blame: { kind: 'nobody' }, error: 'unreachable' };

/** The opened answer of a node, its status being a success; or what to make of anything else. */
export type Answer =
  | { readonly ok: true; readonly json: Json; readonly path: Path }
  | {
      readonly ok: false;
      readonly verdict: Verdict;
      readonly body: string;
      readonly path: Path;
      /** The path went before the answer came: nothing is known of the node. */
      readonly pathLost?: boolean;
    };

export interface AskOptions {
  readonly timeoutMs?: number;
  readonly avoid?: ReadonlySet<Path>;
  readonly preferPath?: Path | undefined;
  readonly onSent?: ((path: Path) => void) | undefined;
  readonly endsWithPath?: boolean | undefined;
  readonly signal: AbortSignal;
}

interface RequestsDeps {
  readonly paths: Paths;
  readonly onions: Onions;
  readonly pool: NodePool;
  readonly clock: NetworkClock;
  readonly slots: Semaphore;
  readonly env: Env;
  /** Ends all of them. */
  readonly signal: AbortSignal;
}

export class Requests {
  readonly #deps: RequestsDeps;
  /** Requests that end with their path. */
  readonly #pathWatchers = new Set<() => void>();

  constructor(deps: RequestsDeps) {
    this.#deps = deps;
  }

  /** To be called when a path became usable, or is no more. */
  pathsChanged(): void {
    for (const look of [...this.#pathWatchers]) look();
  }

  /** One request to one node on one path; its outcome is judged and blamed. Rejects only when no path can be had. */
  async ask(target: PoolNode, request: StorageRequest, options: AskOptions): Promise<Answer> {
    using _slot = await this.#deps.slots.acquire(options.signal);
    const { avoid = new Set(), timeoutMs = REQUEST_TIMEOUT_MS, signal } = options;
    const path = await this.#deps.paths.get(target.ed25519Hex, avoid, signal, options.preferPath);
    options.onSent?.(path);
    if (options.endsWithPath !== true) return this.#askOver(path, target, request, timeoutMs, signal);
    const lost = new AbortController();
    const look = () => {
      if (!this.#deps.paths.isUsable(path)) lost.abort();
    };
    this.#pathWatchers.add(look);
    try {
      const either = AbortSignal.any([signal, lost.signal]);
      const answer = await this.#askOver(path, target, request, timeoutMs, either);
      if (answer.ok || !lost.signal.aborted || signal.aborted) return answer;
      return { ...answer, verdict: PATH_LOST, pathLost: answer.verdict.error === 'aborted' };
    } finally {
      this.#pathWatchers.delete(look);
    }
  }

  async #askOver(
    path: Path,
    target: PoolNode,
    request: StorageRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    // The hops may be exchanged while the request is under way.
    const hops = path.hops;
    const route = { hops: hops.map((hop) => hop.ed25519Hex), destination: target.ed25519Hex };
    const startedAt = this.#deps.env.clock.monotonic();
    const { outcome, body, json } = await this.#deps.onions.send(hops, target, request, timeoutMs, signal);
    const verdict = judge(outcome, route);
    if (outcome.at === 'destination' || (outcome.at === 'unreadable' && outcome.opened)) {
      this.#deps.paths.succeeded(path);
      const t = (json as { t?: Json } | undefined)?.t;
      if (typeof t === 'number') {
        // The machine may have slept, or its clock been set, meanwhile.
        const { clock } = this.#deps.env;
        const now = clock.now();
        this.#deps.clock.sample(target.ed25519Hex, t, now - (clock.monotonic() - startedAt), now);
      }
    }
    if (verdict.next === 'done' && json !== undefined) {
      this.#deps.pool.forgive(target.ed25519Hex);
      return { ok: true, json, path };
    }
    if (outcome.at !== 'destination' || verdict.next !== 'done') {
      this.#deps.env.log.debug(
        {
          at: outcome.at,
          status: 'status' in outcome ? outcome.status : undefined,
          method: request.method,
          node: target.ed25519Hex.slice(0, 8),
          next: verdict.next,
        },
        'request failed',
      );
    }
    if (verdict.blame.kind !== 'nobody') this.#deps.paths.blame(path, verdict.blame);
    return { ok: false, verdict, body, path };
  }

  /**
   * The parsed answer of one node, or undefined when it gave none that can be used.
   * @throws ClientError when no path can be had, or no network
   */
  async askOne<T>(node: PoolNode, request: SimpleRequest, read: (json: Json) => T): Promise<T | undefined> {
    const answer = await this.askNode(node, request, read, this.#deps.signal);
    return answer.kind === 'value' ? answer.value : undefined;
  }

  /** The same, with the difference between a node that does not want to and one that cannot. @throws as `askOne` */
  async askNode<T>(
    node: PoolNode,
    request: SimpleRequest,
    read: (json: Json) => T,
    given: AbortSignal,
  ): Promise<NodeAnswer<T>> {
    const signal = given === this.#deps.signal ? given : AbortSignal.any([given, this.#deps.signal]);
    const answer = await this.ask(node, request, { signal });
    if (!answer.ok) {
      signal.throwIfAborted();
      const trapped = noWayOut(answer.verdict.error);
      if (trapped !== undefined) throw trapped;
      return { kind: answer.verdict.error === 'bad_request' ? 'refused' : 'none' };
    }
    try {
      return { kind: 'value', value: read(answer.json) };
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#deps.pool.strike(node.ed25519Hex);
      return { kind: 'none' };
    }
  }

  /** `info` through the path to a node beyond it: proves every hop and tells the time. */
  async probe(path: Path, signal: AbortSignal): Promise<ProbeResult> {
    const startedAt = this.#deps.env.clock.monotonic();
    const exclude = new Set(path.hops.map((hop) => hop.ed25519Hex));
    let result: ProbeResult = { ok: false, blame: { kind: 'nobody' }, error: 'no_path' };
    for (const target of this.#deps.pool.random(PROBE_TARGETS, exclude, ANY_NODES)) {
      const hops = path.hops;
      const { outcome, json } = await this.#deps.onions.send(
        hops,
        target,
        { method: 'info' },
        PROBE_TIMEOUT_MS,
        signal,
      );
      signal.throwIfAborted();
      const { blame, error } = judge(outcome, routeOf({ hops }, target));
      if (outcome.at === 'destination' || (outcome.at === 'unreadable' && outcome.opened)) {
        // Whatever the node beyond it says: the path has carried it there and back.
        this.#sampleInfo(target, json, startedAt);
        if (json === undefined) this.#deps.paths.blame(path, blame);
        return { ok: true, ms: this.#deps.env.clock.monotonic() - startedAt };
      }
      result = { ok: false, blame, error };
      if (blame.kind === 'node' || blame.kind === 'drop' || blame.kind === 'path_and_node') {
        // It may be the destination's fault alone: another one tells.
        if (blame.ed25519Hex === target.ed25519Hex) {
          if (blame.kind !== 'path_and_node') this.#deps.paths.blame(path, blame);
          else this.#deps.pool.strike(target.ed25519Hex);
          result = { ok: false, blame: { kind: 'path' }, error };
          continue;
        }
      }
      return result;
    }
    return result;
  }

  #sampleInfo(node: PoolNode, json: Json | undefined, startedAt: number): void {
    if (json === undefined) return;
    const { clock } = this.#deps.env;
    try {
      const now = clock.now();
      this.#deps.clock.sample(
        node.ed25519Hex,
        parseInfoResult(json).timestamp,
        now - (clock.monotonic() - startedAt),
        now,
      );
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
    }
  }

  /** Notes what time it is there. */
  async askTime(node: PoolNode): Promise<void> {
    const startedAt = this.#deps.env.clock.monotonic();
    await this.askOne(node, { method: 'info' }, (json) => this.#sampleInfo(node, json, startedAt));
  }
}

export function routeOf(path: Pick<Path, 'hops'>, destination: PoolNode): Route {
  return { hops: path.hops.map((hop) => hop.ed25519Hex), destination: destination.ed25519Hex };
}
