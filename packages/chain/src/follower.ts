// SPDX-License-Identifier: MIT
// Follows a chain and shows what it says as a `ChainView` (spec/chain §4.16): reads the registry's events from the
// deployment on, folds them, notices reorganisations, and brings each epoch into force at start(e) + R + confirm.

import { equal } from '@allium/protocol/bytes';
import type { Cancel, Env, Logger } from '@allium/protocol/env';
import { delay } from '@allium/protocol/env';
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';
import { ChainError } from './chain-error.ts';
import {
  type ChainBlock,
  type ChainNetwork,
  type ChainParameters,
  type ChainView,
  type EpochView,
  epochAt,
  type NodeRecord,
  type Quorum,
  type Version,
} from './chain-view.ts';
import { drawQuorum } from './draw.ts';
import { Endpoints, markOf, type ReadStretch, readRanges } from './endpoints.ts';
import { ChainFold, type FoldState } from './fold.ts';
import { parseSnapshot } from './fold-snapshot.ts';
import type { BlockTag, RpcBlock, RpcEndpoint, RpcLog } from './json-rpc.ts';
import { initialParameters, parametersAt } from './parameters.ts';
import { PRESETS, type PresetName } from './presets.ts';
import { blockOf, RecentBlocks } from './recent-blocks.ts';
import { isNeeded, readEvent } from './registry-logs.ts';
import { SnapshotKeeper, type SnapshotStore } from './snapshot-keeper.ts';

export interface FollowTimings {
  readonly pollMs: number;
  /** Between two comparisons of the endpoints. */
  readonly compareMs: number;
  /** An endpoint whose newest block is so much older than another's is left. */
  readonly maxBehindSeconds: number;
  /** A view, or a newest block, that is older is not acted upon. */
  readonly maxAgeSeconds: number;
}

/** spec/chain §4.16 and §4.17 for production, scaled like the timings of §4.3 for the others. */
export const FOLLOW_TIMINGS: Readonly<Record<PresetName, FollowTimings>> = {
  production: { pollMs: 5000, compareMs: 180_000, maxBehindSeconds: 30, maxAgeSeconds: 600 },
  test: { pollMs: 2000, compareMs: 30_000, maxBehindSeconds: 10, maxAgeSeconds: 120 },
  local: { pollMs: 500, compareMs: 5000, maxBehindSeconds: 5, maxAgeSeconds: 20 },
};

export interface FollowerOptions {
  readonly network: ChainNetwork;
  /** Addresses of JSON-RPC endpoints of the same chain; two or more are held against each other. */
  readonly endpoints: readonly string[];
  /** Default `latest`. */
  readonly blockTag?: BlockTag;
  readonly timings?: Partial<FollowTimings>;
  readonly snapshots?: SnapshotStore;
  readonly requestTimeoutMs?: number;
}

// Ours: how far back is looked, and how long a failing endpoint is left alone.
/** Further back than the slowest confirmation on the quickest chain. */
const MAX_STEP_BACK = 256;
const MAX_BACKOFF_MS = 30_000;
const BACKOFFS_PER_AGE = 10;
const PROGRESS_MS = 5000;
const COMPLAINT_MS = 60_000;
/** Failures of the fold in a row, after which everything is read again. */
const REWINDS_BEFORE_REREAD = 2;

export class ChainFollower implements ChainView, AsyncDisposable {
  readonly network: ChainNetwork;
  readonly #options: FollowerOptions;
  readonly #timings: FollowTimings;
  /** Seconds after which a block is acted upon. */
  readonly #confirm: number;
  readonly #endpoints: Endpoints;
  readonly #snapshots: SnapshotKeeper | undefined;
  readonly #env: Env;
  readonly #log: Logger;
  readonly #epochListeners = new Set<(next: EpochView, previous: EpochView | undefined) => void>();
  readonly #nodeListeners = new Set<() => void>();
  readonly #blocks = new RecentBlocks();
  #fold: ChainFold;
  /** The fold, brought on to the present by our clock; the fold itself where nothing is to be added. */
  #present: ChainFold;
  #views: readonly EpochView[] = [];
  #current: EpochView | undefined;
  #nodes: ReadonlyMap<number, NodeRecord> = new Map();
  #byKey: ReadonlyMap<string, NodeRecord> = new Map();
  #records: readonly NodeRecord[] = [];
  #head: RpcBlock | undefined;
  #readAt: number | undefined;
  /** Logs folded since the last comparison. */
  #marks: { block: number; mark: string }[] = [];
  #markedFrom: number;
  #comparedAt: number | undefined;
  #isDoubtful = false;
  #failures = 0;
  #rewinds = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;
  #abort: AbortController | undefined;
  #running: Promise<void> | undefined;

  /** @throws ChainError `unreachable` when an endpoint's address is none */
  constructor(options: FollowerOptions, env: Env) {
    this.network = options.network;
    this.#options = options;
    this.#timings = { ...FOLLOW_TIMINGS[options.network.preset], ...options.timings };
    this.#confirm = PRESETS[options.network.preset].timings.confirm;
    this.#env = env;
    this.#log = env.log.child({ part: 'chain' });
    const timeout = options.requestTimeoutMs === undefined ? {} : { timeoutMs: options.requestTimeoutMs };
    this.#endpoints = new Endpoints(
      { urls: options.endpoints, network: options.network, ...timeout },
      this.#log,
    );
    const { snapshots } = options;
    this.#snapshots = snapshots && new SnapshotKeeper(snapshots, options.network, this.#log);
    this.#fold = this.#newFold();
    this.#present = this.#fold;
    this.#markedFrom = this.#fold.cursor.block + 1;
  }

  epochView(): EpochView | undefined {
    return this.#current;
  }

  previousEpochView(): EpochView | undefined {
    const epoch = this.#current?.epoch ?? 0;
    return this.#views.find((view) => view.epoch === epoch - 1);
  }

  nodes(): ReadonlyMap<number, NodeRecord> {
    return this.#nodes;
  }

  nodeByEd25519(ed25519Hex: string): NodeRecord | undefined {
    return this.#byKey.get(ed25519Hex);
  }

  parameters(): ChainParameters {
    return parametersAt(this.#fold.parameters, this.#current?.epoch ?? 0);
  }

  minimumVersion(): Version | undefined {
    return this.#fold.minimumVersion;
  }

  quorumOf(nodeId: number, epoch: number): Quorum | undefined {
    const view = this.#views.find((one) => one.epoch === epoch);
    if (view === undefined || !this.#nodes.has(nodeId) || epoch > (this.#current?.epoch ?? -1))
      return undefined;
    return drawQuorum(view, nodeId, this.#fold.slots);
  }

  proposerOf(epoch: number): NodeRecord | undefined {
    const id = this.#present.views.find((view) => view.epoch === epoch)?.proposerId;
    if (id !== undefined) return this.#nodes.get(id);
    const closed = this.#present.views.at(-1)?.epoch;
    return closed !== undefined && epoch === closed + 1 ? this.#present.nextProposer() : undefined;
  }

  head(): ChainBlock | undefined {
    return this.#head && blockOf(this.#head);
  }

  safeHead(): ChainBlock | undefined {
    return this.#blocks.newestUntil((this.#head?.timestamp ?? 0) - this.#confirm);
  }

  isFresh(): boolean {
    if (this.#head === undefined || this.#readAt === undefined || this.#endpoints.areContradictory)
      return false;
    const { maxAgeSeconds } = this.#timings;
    const readAge = (this.#env.clock.monotonic() - this.#readAt) / 1000;
    const blockAge = this.#env.clock.now() / 1000 - this.#head.timestamp;
    return readAge <= maxAgeSeconds && Math.abs(blockAge) <= maxAgeSeconds;
  }

  async blockAt(number: bigint): Promise<ChainBlock | undefined> {
    if (number < 0n || number > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    const wanted = Number(number);
    const known = this.#blocks.get(wanted);
    if (known !== undefined) return blockOf(known);
    try {
      const signal = this.#abort?.signal;
      const block = await this.#endpoints.any((endpoint) => endpoint.block(wanted, signal), signal);
      // Only what lies under the head was part of the chain that we follow.
      if (block !== undefined && wanted <= (this.#head?.number ?? -1)) this.#blocks.remember(block);
      return block && blockOf(block);
    } catch (error) {
      if (error instanceof ChainError) return undefined;
      throw error;
    }
  }

  onEpoch(listener: (next: EpochView, previous: EpochView | undefined) => void): Cancel {
    const own = (next: EpochView, previous: EpochView | undefined) => listener(next, previous);
    this.#epochListeners.add(own);
    return () => this.#epochListeners.delete(own);
  }

  onNodes(listener: () => void): Cancel {
    const own = () => listener();
    this.#nodeListeners.add(own);
    return () => this.#nodeListeners.delete(own);
  }

  /**
   * Reads the chain up to its head, then follows it. What a snapshot holds can be seen before that.
   * @throws ChainError `wrong_chain` when no endpoint serves this network; `stopped` when `stop` comes first. While no
   * endpoint answers it goes on trying.
   */
  async start(): Promise<void> {
    if (this.#abort !== undefined) throw new ChainError('stopped', 'the chain is already being followed');
    const abort = new AbortController();
    this.#abort = abort;
    await this.#restore();
    await new Promise<void>((resolve, reject) => {
      this.#running = this.#run(abort.signal, resolve).catch(reject);
    });
  }

  async stop(): Promise<void> {
    this.#abort?.abort(new ChainError('stopped', 'the chain is no longer followed'));
    await this.#running;
    await this.#snapshots?.settled();
    this.#abort = undefined;
    this.#running = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(signal: AbortSignal, onFirst: () => void): Promise<void> {
    let isFirst = true;
    while (!signal.aborted) {
      try {
        await this.#poll(signal);
        if (isFirst) onFirst();
        isFirst = false;
        const endpoint = this.#endpoints.current.name;
        if (this.#failures > 0) this.#log.info({ endpoint }, 'the chain can be read again');
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        this.#onFailure(error);
        if (isFirst && this.#endpoints.areAllWrong) throw error;
      }
      // A quick network notices soon that its chain is back.
      const most = Math.min(MAX_BACKOFF_MS, (this.#timings.maxAgeSeconds * 1000) / BACKOFFS_PER_AGE);
      const wait = Math.min(most, this.#timings.pollMs * 2 ** Math.min(this.#failures, 10));
      await delay(this.#env.clock, wait, signal).catch(() => {});
    }
    if (isFirst) throw signal.reason;
  }

  /** Reads what is new, once. */
  async #poll(signal: AbortSignal): Promise<void> {
    const endpoint = await this.#endpoints.ready(signal);
    const head = await endpoint.head(this.#options.blockTag ?? 'latest', signal);
    this.#checkTime(endpoint, head);
    await this.#findBranch(endpoint, head, signal);
    await this.#readUpTo(endpoint, head, signal);
    this.#rewinds = 0;
    this.#readAt = this.#env.clock.monotonic();
    if (head.number >= (this.#head?.number ?? 0) || this.#fold.cursor.block === head.number)
      this.#head = head;
    this.#blocks.remember(head);
    await this.#rememberSafe(endpoint, head, signal);
    this.#publish();
    this.#snapshots?.saveOnce(this.#fold.snapshots.at(-1));
    await this.#compareInTime(signal);
  }

  /** Ours: blocks of the future would bring epochs into force that have not begun. */
  #checkTime(endpoint: RpcEndpoint, head: RpcBlock): void {
    const ahead = Math.floor(head.timestamp - this.#env.clock.now() / 1000);
    if (ahead <= this.#timings.maxAgeSeconds) return;
    const words = `the newest block of ${endpoint.name} is ${ahead} s ahead of the clock of this machine: check both`;
    throw new ChainError('bad_answer', words);
  }

  /** At the start no block is known that is old enough to be told to others. */
  async #rememberSafe(endpoint: RpcEndpoint, head: RpcBlock, signal: AbortSignal): Promise<void> {
    for (let back = 1; back <= MAX_STEP_BACK && this.safeHead() === undefined; back *= 2) {
      const number = head.number - back;
      const block = number < 0 ? undefined : await endpoint.block(number, signal);
      if (block === undefined) return;
      this.#blocks.remember(block);
    }
  }

  /** Goes back to where our blocks and the endpoint's are the same, if they are not any more. */
  async #findBranch(endpoint: RpcEndpoint, head: RpcBlock, signal: AbortSignal): Promise<void> {
    const { block, hash } = this.#fold.cursor;
    if (hash === '') return;
    if (head.number === block + 1 && head.parentHash === hash) return;
    const own = head.number === block ? head : await endpoint.block(block, signal);
    if (own?.hash === hash) return;
    // An endpoint that we have just turned to may not be as far as the one before.
    if (own === undefined && head.timestamp < this.#fold.cursor.timestamp && this.#head !== undefined) {
      const at = this.#blocks.get(head.number);
      if (at === undefined || at.hash === head.hash) {
        throw new ChainError(
          'unreachable',
          `${endpoint.name} is behind: it has block ${head.number}, we have read ${block}`,
        );
      }
    }
    await this.#rewindTo(endpoint, signal, block);
  }

  async #rewindTo(endpoint: RpcEndpoint, signal: AbortSignal, from: number): Promise<void> {
    const candidates = [...this.#fold.snapshots].reverse();
    let found: FoldState | undefined;
    for (const candidate of candidates) {
      if (candidate.cursor.hash === '') continue;
      const block = await endpoint.block(candidate.cursor.block, signal);
      if (block?.hash !== candidate.cursor.hash) continue;
      found = candidate;
      break;
    }
    const fields = { endpoint: endpoint.name, fromBlock: from, toBlock: found?.cursor.block ?? 0 };
    this.#log.warn(fields, 'the chain was reorganised; its newest blocks are read again');
    this.#goBack(found);
  }

  /** To a snapshot, or to the beginning. */
  #goBack(to: FoldState | undefined): void {
    if (to === undefined || !this.#fold.rewind(to.cursor.block)) this.#fold = this.#newFold();
    this.#present = this.#fold;
    const next = this.#fold.cursor.block + 1;
    this.#marks = this.#marks.filter(({ block }) => block < next);
    this.#markedFrom = Math.min(this.#markedFrom, next);
    this.#blocks.forgetFrom(next);
  }

  async #readUpTo(endpoint: RpcEndpoint, head: RpcBlock, signal: AbortSignal): Promise<void> {
    const from = this.#fold.cursor.block + 1;
    if (head.number < from) return;
    let toldAt = this.#env.clock.monotonic();
    const onRange = async (logs: readonly RpcLog[], to: number) => {
      const needed = logs.filter(isNeeded);
      const times = await this.#timesOf(endpoint, needed, head, signal);
      this.#apply(needed, times);
      const end = to === head.number ? head : await endpoint.block(to, signal);
      if (end === undefined) throw new ChainError('reorganised', `block ${to} went while it was read`);
      this.#fold.reached({ block: end.number, hash: end.hash, timestamp: end.timestamp });
      const now = this.#env.clock.monotonic();
      if (now - toldAt < PROGRESS_MS) return;
      toldAt = now;
      this.#log.info({ block: to, of: head.number, nodes: this.#fold.records.length }, 'reading the chain');
    };
    try {
      await readRanges(endpoint, this.network, from, head.number, onRange, signal);
      // Read while the chain changed: the logs may be of two branches.
      const still = from === head.number ? head : await endpoint.block(head.number, signal);
      if (still?.hash !== head.hash) {
        throw new ChainError('reorganised', `block ${head.number} was replaced while the chain was read`);
      }
    } catch (error) {
      const isDoubted =
        error instanceof ChainError && ['reorganised', 'inconsistent', 'bad_answer'].includes(error.code);
      // What was read in this turn may not belong together.
      if (isDoubted) this.#distrust(error.code !== 'reorganised');
      throw error;
    }
  }

  #apply(logs: readonly RpcLog[], times: ReadonlyMap<number, number>): void {
    for (const log of logs) {
      this.#fold.apply(readEvent(log, log.timestamp ?? (times.get(log.block) as number)));
      this.#marks.push({ block: log.block, mark: markOf(log) });
    }
  }

  /** Of blocks whose logs do not tell their time. */
  async #timesOf(
    endpoint: RpcEndpoint,
    logs: readonly RpcLog[],
    head: RpcBlock,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, number>> {
    const asked = new Map<number, RpcLog>();
    for (const log of logs) {
      if (log.block === head.number && log.blockHash !== head.hash) {
        throw new ChainError('reorganised', `block ${log.block} was replaced while it was read`);
      }
      if (log.timestamp === undefined) asked.set(log.block, log);
    }
    const blocks = [...asked.values()].map((log) => ({ number: log.block, hash: log.blockHash }));
    return blocks.length === 0 ? new Map() : endpoint.timestamps(blocks, signal);
  }

  /** Back by an epoch; when that has not helped, to the beginning. */
  #distrust(isWrong: boolean): void {
    if (isWrong) this.#rewinds++;
    if (this.#rewinds <= REWINDS_BEFORE_REREAD) {
      this.#goBack(this.#fold.snapshots.at(-1));
      return;
    }
    this.#rewinds = 0;
    this.#log.warn({}, 'the events of the registry do not fit together; all of them are read again');
    this.#goBack(undefined);
  }

  /** Brings into force what is due, and tells. */
  #publish(): void {
    const { network } = this;
    const headTime = this.#fold.cursor.timestamp;
    // Our own clock says when no event can come any more; not where the chain stands still.
    const time =
      Math.max(headTime, this.isFresh() ? Math.floor(this.#env.clock.now() / 1000) : 0) - this.#confirm;
    const due = epochAt(network, time - network.revealSeconds);
    this.#advancePresent(due, time);
    this.#views = this.#present.views;
    const next = this.#views.findLast((view) => view.epoch <= due);
    const previous = this.#current;
    const isChanged = next !== undefined && (previous === undefined || !isSameView(next, previous));
    if (next !== undefined) this.#current = next;
    const hasNewNodes = this.#indexNodes();
    if (isChanged) for (const listener of [...this.#epochListeners]) listener(next, previous);
    if (hasNewNodes) for (const listener of [...this.#nodeListeners]) listener();
  }

  #advancePresent(due: number, time: number): void {
    const closed = (fold: ChainFold) => fold.views.at(-1)?.epoch ?? -1;
    if (due <= closed(this.#fold)) {
      this.#present = this.#fold;
      return;
    }
    const isUsable = this.#present !== this.#fold && this.#present.cursor === this.#fold.cursor;
    if (isUsable && due <= closed(this.#present)) return;
    this.#present = this.#fold.fork();
    this.#present.passTime(time);
  }

  /** @returns whether a record changed */
  #indexNodes(): boolean {
    const { records } = this.#fold;
    const { length } = this.#records;
    if (records.length === length && records.every((one, n) => one === this.#records[n])) return false;
    this.#records = records.slice();
    this.#nodes = new Map(records.map((record) => [record.nodeId, record]));
    const holding = records.filter(
      ({ valid, state }) => valid && (state === 'active' || state === 'decommissioned'),
    );
    this.#byKey = new Map(holding.map((record) => [record.ed25519Hex, record]));
    return true;
  }

  async #compareInTime(signal: AbortSignal): Promise<void> {
    const now = this.#env.clock.monotonic();
    const period = this.#isDoubtful ? this.#timings.pollMs : this.#timings.compareMs;
    const isFirst = this.#comparedAt === undefined;
    if (now - (this.#comparedAt ?? Number.NEGATIVE_INFINITY) < period) return;
    this.#comparedAt = now;
    if (isFirst && this.#endpoints.count === 1) return;
    const { block, hash, timestamp } = this.#fold.cursor;
    if (hash === '' || this.#markedFrom > block) return;
    const marks = this.#marks.map(({ mark }) => mark);
    const read: ReadStretch = { from: this.#markedFrom, to: block, hash, marks };
    // Endpoints that index late leave out the newest events at first.
    if (!isFirst && !(await this.#endpoints.isUnchanged(read, signal))) {
      this.#log.warn(
        { fromBlock: read.from },
        'the chain endpoint tells other events than before; they are read again',
      );
      this.#goBackBefore(read.from);
      return;
    }
    const { maxBehindSeconds } = this.#timings;
    const seconds = this.#env.clock.now() / 1000;
    const { agreement, outvoted } = await this.#endpoints.compare(
      read,
      timestamp,
      seconds,
      maxBehindSeconds,
      signal,
    );
    this.#isDoubtful = agreement === 'contradicted';
    if (outvoted) this.#goBackBefore(read.from);
    if (agreement === 'contradicted') return;
    if (agreement === 'unknown' && this.#endpoints.count > 1) return;
    this.#marks = [];
    this.#markedFrom = block + 1;
  }

  #goBackBefore(block: number): void {
    this.#goBack(this.#fold.snapshots.findLast((one) => one.cursor.block < block));
  }

  #onFailure(error: unknown): void {
    this.#failures++;
    const isChain = error instanceof ChainError;
    // A fault of ours must not stop the following either, but is told louder.
    if (!isChain) this.#log.error({ error }, 'reading the chain failed for an unexpected reason');
    else if (error.code !== 'reorganised') this.#endpoints.turn(error);
    const now = this.#env.clock.monotonic();
    if (!isChain || now - this.#complainedAt < COMPLAINT_MS) return;
    this.#complainedAt = now;
    const fields = { code: error.code, reason: error.message, failures: this.#failures };
    this.#log.warn(fields, 'the chain cannot be read; trying again');
  }

  #newFold(): ChainFold {
    const { network } = this.#options;
    // The registry tells its own parameters with its deployment; until that block is read these stand in.
    const initial = initialParameters(PRESETS[network.preset].params);
    return new ChainFold(network, ChainFold.genesis(network, initial));
  }

  async #restore(): Promise<void> {
    const text = await this.#snapshots?.load();
    if (text === undefined) return;
    try {
      this.#fold = new ChainFold(this.network, parseSnapshot(this.network, text));
      this.#markedFrom = this.#fold.cursor.block + 1;
      this.#snapshots?.startFrom(this.#fold.views.at(-1)?.epoch ?? -1);
      this.#publish();
    } catch (error) {
      if (!(error instanceof ChainError)) throw error;
      this.#log.warn(
        { reason: error.message },
        'the snapshot of the chain is of no use; all of it is read again',
      );
      this.#fold = this.#newFold();
      this.#present = this.#fold;
    }
  }
}

function isSameView(a: EpochView, b: EpochView): boolean {
  if (a === b) return true;
  const isAlike =
    a.epoch === b.epoch &&
    equal(a.seed, b.seed) &&
    a.slotCount === b.slotCount &&
    a.memberIds.length === b.memberIds.length &&
    a.memberIds.every((id, index) => id === b.memberIds[index]);
  return isAlike && equal(swarmMapDigest(a.swarms), swarmMapDigest(b.swarms));
}
