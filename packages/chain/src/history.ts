// SPDX-License-Identifier: MIT
// What became of nodes, for people to look at: registrations, votes with their reasons, exits, payments (spec/chain §4.15).
// Beside the fold, which needs no transactions and no amounts. The newest events only; a file saves reading them again.
import { delay, type Env, type Logger } from '@allium/protocol/env';
import { decodeEventLog, toEventSelector } from 'viem/utils';
import { ChainError } from './chain-error.ts';
import { type ChainNetwork, type Hex, STATE_NUMBERS } from './chain-view.ts';
import { abi } from './contracts/generated/IServiceNodeRegistry.ts';
import { Endpoints, readRanges } from './endpoints.ts';
import { FieldReader } from './fields.ts';
import { FOLLOW_TIMINGS } from './follower.ts';
import { HISTORY_TYPES, type HistoryType } from './history-types.ts';
import type { RpcBlock, RpcEndpoint, RpcLog } from './json-rpc.ts';
import type { SnapshotStore } from './snapshot-keeper.ts';

export interface HistoryEvent {
  readonly type: HistoryType;
  /** Of its block, unix seconds. */
  readonly time: number;
  readonly block: number;
  readonly logIndex: number;
  /** Undefined: the endpoint did not tell. */
  readonly transaction: Hex | undefined;
  readonly nodeId: number;
  /** Of votes: bits of the reasons that all, and that any, of the voters gave. */
  readonly reasonsAll: number;
  readonly reasonsAny: number;
  /** Of withdrawals and claims, in atomic units. */
  readonly amount: bigint | undefined;
}

export interface HistoryOptions {
  readonly network: ChainNetwork;
  readonly endpoints: readonly string[];
  /** How many are kept. Default 10,000. */
  readonly maxEvents?: number;
  readonly cache?: SnapshotStore;
  readonly pollMs?: number;
}

interface Checkpoint {
  readonly block: number;
  readonly hash: Hex;
}

// Ours.
const MAX_EVENTS = 10_000;
const MAX_CHECKPOINTS = 64;
const MAX_BACKOFF_MS = 30_000;
const SAVE_EVERY_MS = 60_000;
const CACHE_VERSION = 1;
const MAX_CACHE_TEXT = 16 * 1024 * 1024;

const NEEDED = [
  'NodeRegistered',
  'StateChanged',
  'ExitRequested',
  'StakeWithdrawn',
  'RewardsClaimed',
] as const;
const neededAbi = abi.filter(
  (item): item is Extract<(typeof abi)[number], { type: 'event'; name: (typeof NEEDED)[number] }> =>
    item.type === 'event' && NEEDED.some((name) => name === item.name),
);
const selectors = new Set<Hex>(neededAbi.map((item) => toEventSelector(item)));
const STATE_EVENTS: ReadonlyMap<number, HistoryType> = new Map([
  [STATE_NUMBERS.active, 'recommission'],
  [STATE_NUMBERS.decommissioned, 'decommission'],
  [STATE_NUMBERS.deregistered, 'deregister'],
  [STATE_NUMBERS.exited, 'exit'],
]);

export class ChainHistory {
  readonly #options: HistoryOptions;
  readonly #endpoints: Endpoints;
  readonly #env: Env;
  readonly #log: Logger;
  /** Ascending. */
  #events: HistoryEvent[] = [];
  /** Blocks up to which was read, ascending; to find where a reorganisation began. */
  #checkpoints: Checkpoint[] = [];
  #trouble: string | undefined;
  #savedAt = Number.NEGATIVE_INFINITY;
  #savedBlock = -1;
  #abort: AbortController | undefined;
  #running: Promise<void> | undefined;

  /** @throws ChainError `unreachable` when an endpoint's address is none */
  constructor(options: HistoryOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#log = env.log.child({ part: 'history' });
    this.#endpoints = new Endpoints({ urls: options.endpoints, network: options.network }, this.#log);
  }

  /** Newest first. */
  events(): readonly HistoryEvent[] {
    return this.#events.toReversed();
  }

  /** Why the newest events may be missing; undefined: all is well. */
  trouble(): string | undefined {
    return this.#trouble;
  }

  /** Reads what there is, then follows; resolves also when no endpoint answers. */
  async start(): Promise<void> {
    if (this.#abort !== undefined) throw new ChainError('stopped', 'the history is already being followed');
    const abort = new AbortController();
    this.#abort = abort;
    await this.#load();
    await this.#poll(abort.signal);
    this.#running = this.#follow(abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort?.abort(new ChainError('stopped', 'the history is no longer followed'));
    await this.#running;
    if (this.#abort !== undefined) await this.#save();
    this.#abort = undefined;
    this.#running = undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { pollMs = FOLLOW_TIMINGS[this.#options.network.preset].pollMs } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      await delay(this.#env.clock, Math.min(MAX_BACKOFF_MS, pollMs * 2 ** failures), signal).catch(() => {});
      if (signal.aborted) return;
      await this.#poll(signal);
      failures = this.#trouble === undefined ? 0 : Math.min(failures + 1, 8);
      if (this.#env.clock.monotonic() - this.#savedAt >= SAVE_EVERY_MS) await this.#save();
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    try {
      await this.#endpoints.any((endpoint) => this.#read(endpoint, signal), signal);
      this.#trouble = undefined;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ChainError)) this.#log.error({ error }, 'reading the history failed');
      this.#trouble = error instanceof Error ? error.message : String(error);
    }
  }

  /** All that is new, taken over at the end or not at all. */
  async #read(endpoint: RpcEndpoint, signal: AbortSignal): Promise<void> {
    const head = await endpoint.head('latest', signal);
    const kept = await this.#keptCheckpoints(endpoint, head, signal);
    const last = kept.at(-1)?.block ?? Number(this.#options.network.deploymentBlock) - 1;
    if (head.number < last) return; // an endpoint that lags behind
    const max = this.#options.maxEvents ?? MAX_EVENTS;
    let events = this.#events.filter((event) => event.block <= last);
    const onRange = async (logs: readonly RpcLog[]) => {
      const needed = logs.filter(
        ({ topics: [selector] }) => selector !== undefined && selectors.has(selector),
      );
      const times = await timesOf(endpoint, needed.slice(-max), signal);
      const read = needed
        .slice(-max)
        .map((log) => historyEvent(log, log.timestamp ?? times.get(log.block) ?? 0));
      events = [...events, ...read].slice(-max);
    };
    if (head.number > last)
      await readRanges(endpoint, this.#options.network, last + 1, head.number, onRange, signal);
    const still = await endpoint.block(head.number, signal);
    if (still?.hash !== head.hash) {
      throw new ChainError('reorganised', `block ${head.number} was replaced while it was read`);
    }
    this.#events = events;
    const isNew = kept.at(-1)?.block !== head.number;
    this.#checkpoints = (isNew ? [...kept, { block: head.number, hash: head.hash }] : kept).slice(
      -MAX_CHECKPOINTS,
    );
  }

  /** Those that are still part of the chain. */
  async #keptCheckpoints(endpoint: RpcEndpoint, head: RpcBlock, signal: AbortSignal): Promise<Checkpoint[]> {
    const kept = [...this.#checkpoints];
    for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
      if (head.number < last.block && head.timestamp <= this.#env.clock.now() / 1000 - 60) return kept;
      const block = last.block === head.number ? head : await endpoint.block(last.block, signal);
      if (block?.hash === last.hash) return kept;
      kept.pop();
    }
    return kept;
  }

  async #load(): Promise<void> {
    try {
      const text = await this.#options.cache?.load();
      if (text === undefined) return;
      const { checkpoint, events } = parseHistory(this.#options.network, text);
      this.#checkpoints = [checkpoint];
      this.#events = events;
      this.#savedBlock = checkpoint.block;
    } catch (error) {
      this.#log.warn({ reason: String(error) }, 'the stored history is of no use; it is read again');
    }
  }

  async #save(): Promise<void> {
    this.#savedAt = this.#env.clock.monotonic();
    const { cache, network } = this.#options;
    // Not the newest block: it may be replaced, and everything would be read again.
    const checkpoint = this.#checkpoints.at(-Math.min(8, this.#checkpoints.length));
    if (cache === undefined || checkpoint === undefined || checkpoint.block <= this.#savedBlock) return;
    const events = this.#events.filter(({ block }) => block <= checkpoint.block);
    try {
      await cache.save(encodeHistory(network, checkpoint, events));
      this.#savedBlock = checkpoint.block;
    } catch (error) {
      this.#log.warn({ reason: String(error) }, 'the history of the chain could not be stored');
    }
  }
}

/** `time`: of the log's block. @throws ChainError `bad_answer` for a log that the registry cannot have made */
export function historyEvent(log: RpcLog, time: number): HistoryEvent {
  const { block, logIndex, transaction } = log;
  const event = decode(log);
  return { time, block, logIndex, transaction, reasonsAll: 0, reasonsAny: 0, amount: undefined, ...event };
}

function decode(log: RpcLog): Pick<HistoryEvent, 'type' | 'nodeId'> & Partial<HistoryEvent> {
  try {
    const { eventName, args } = decodeEventLog({
      abi: neededAbi,
      topics: [...log.topics] as [Hex, ...Hex[]],
      data: log.data,
      strict: true,
    });
    switch (eventName) {
      case 'NodeRegistered':
        return { type: 'register', nodeId: args.nodeId };
      case 'StateChanged': {
        const type = STATE_EVENTS.get(args.state);
        if (type === undefined) break;
        const { nodeId, reasonsAll, reasonsAny } = args;
        return { type, nodeId, reasonsAll, reasonsAny };
      }
      case 'ExitRequested':
        return { type: 'exit_requested', nodeId: args.nodeId };
      case 'StakeWithdrawn':
        return { type: 'withdraw', nodeId: args.nodeId, amount: args.amount };
      case 'RewardsClaimed':
        return { type: 'claim', nodeId: args.nodeId, amount: args.amount };
    }
  } catch (error) {
    throw new ChainError('bad_answer', `an event in block ${log.block} is not of this registry`, {
      cause: error,
    });
  }
  throw new ChainError('bad_answer', `an event in block ${log.block} names a state that there is not`);
}

async function timesOf(
  endpoint: RpcEndpoint,
  logs: readonly RpcLog[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, number>> {
  const untimed = new Map(
    logs.filter((log) => log.timestamp === undefined).map((log) => [log.block, log.blockHash]),
  );
  if (untimed.size === 0) return new Map();
  return endpoint.timestamps(
    [...untimed].map(([number, hash]) => ({ number, hash })),
    signal,
  );
}

export function encodeHistory(
  { chainId, registry }: ChainNetwork,
  checkpoint: Checkpoint,
  events: readonly HistoryEvent[],
): string {
  const rows = events.map((event) => ({ ...event, amount: event.amount?.toString() }));
  return JSON.stringify({ version: CACHE_VERSION, chainId, registry, checkpoint, events: rows });
}

/** @throws ChainError `bad_snapshot` */
export function parseHistory(
  network: ChainNetwork,
  text: string,
): { checkpoint: Checkpoint; events: HistoryEvent[] } {
  const reader = new FieldReader('bad_snapshot', 'the stored history');
  if (text.length > MAX_CACHE_TEXT) reader.fail('it is too large');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return reader.fail('it is no JSON');
  }
  const file = reader.object(json, 'it');
  const isOurs =
    file.version === CACHE_VERSION && file.chainId === network.chainId && file.registry === network.registry;
  if (!isOurs) return reader.fail('it is of another network or version');
  const point = reader.object(file.checkpoint, 'checkpoint');
  const checkpoint = {
    block: reader.integer(point.block, 'block'),
    hash: reader.bytes(point.hash, 'hash', 32),
  };
  let before = -1;
  const events = reader.array(file.events, 'events', MAX_EVENTS * 10).map((value): HistoryEvent => {
    const row = reader.object(value, 'event');
    const block = reader.integer(row.block, 'block', checkpoint.block);
    if (block < before) reader.fail('its events are out of order');
    before = block;
    return {
      type: reader.oneOf(row.type, 'type', HISTORY_TYPES),
      time: reader.integer(row.time, 'time'),
      block,
      logIndex: reader.integer(row.logIndex, 'logIndex'),
      transaction:
        row.transaction === undefined ? undefined : reader.bytes(row.transaction, 'transaction', 32),
      nodeId: reader.integer(row.nodeId, 'nodeId', 2 ** 32 - 1),
      reasonsAll: reader.integer(row.reasonsAll, 'reasonsAll', 0xffff),
      reasonsAny: reader.integer(row.reasonsAny, 'reasonsAny', 0xffff),
      amount: row.amount === undefined ? undefined : reader.decimal(row.amount, 'amount'),
    };
  });
  return { checkpoint, events };
}
