// SPDX-License-Identifier: MIT
// Several endpoints of one chain, of which one is read and the others are held against it (spec/chain §4.16). One that
// fails or falls behind is left for the next; two that contradict each other about the same block cannot both be
// believed, so nobody should act on either.
import { toHex, utf8 } from '@allium/protocol/bytes';
import type { Logger } from '@allium/protocol/env';
import { ChainError } from './chain-error.ts';
import type { ChainNetwork } from './chain-view.ts';
import { RpcEndpoint, type RpcLog } from './json-rpc.ts';
import { bytesOf, hexOf, keccak256 } from './packed.ts';
import { isNeeded } from './registry-logs.ts';

/** What was read of a stretch of the chain, short enough to be kept. */
export interface ReadStretch {
  readonly from: number;
  readonly to: number;
  /** Hash of block `to`. */
  readonly hash: string;
  /** `markOf` each log that the fold needs, ascending. */
  readonly marks: readonly string[];
}

/** `unknown`: no other endpoint could be asked. */
export type Agreement = 'agreed' | 'contradicted' | 'unknown';

/** Ours: a reorganisation that one endpoint saw before the other looks like a contradiction for a moment. */
const CONTRADICTIONS_TOLERATED = 2;
const MAX_RANGE = 10_000; // From the specification.

export interface EndpointsOptions {
  /** The first is read first. */
  readonly urls: readonly string[];
  readonly network: ChainNetwork;
  readonly timeoutMs?: number;
}

export class Endpoints {
  readonly #all: RpcEndpoint[];
  readonly #network: ChainNetwork;
  readonly #log: Logger;
  /** Endpoints that serve our chain, as they said when first asked. */
  readonly #checked = new Set<RpcEndpoint>();
  readonly #wrong = new Set<RpcEndpoint>();
  readonly #silent = new Set<RpcEndpoint>();
  #current = 0;
  #contradictions = 0;

  /** @throws ChainError `unreachable` for an address that is none, or no address at all */
  constructor(options: EndpointsOptions, log: Logger) {
    if (options.urls.length === 0) throw new ChainError('unreachable', 'no chain endpoint is configured');
    const timeout = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
    this.#all = options.urls.map((url) => new RpcEndpoint(url, timeout));
    this.#network = options.network;
    this.#log = log;
  }

  get count(): number {
    return this.#all.length;
  }

  get current(): RpcEndpoint {
    return this.#all[this.#current] as RpcEndpoint;
  }

  /** The endpoints do not tell the same story, and not only for a moment. */
  get areContradictory(): boolean {
    return this.#contradictions > CONTRADICTIONS_TOLERATED;
  }

  /** Every endpoint answered, and none serves our network. */
  get areAllWrong(): boolean {
    return this.#wrong.size === this.count;
  }

  /** The current endpoint after it proved that it serves our chain. @throws ChainError `wrong_chain` */
  async ready(signal?: AbortSignal): Promise<RpcEndpoint> {
    await this.#check(this.current, signal);
    return this.current;
  }

  /** Leaves the current endpoint for the next. */
  turn(why: ChainError): void {
    const before = this.current;
    this.#current = (this.#current + 1) % this.#all.length;
    if (this.count === 1) return;
    const fields = { endpoint: before.name, next: this.current.name, reason: why.message };
    this.#log.warn(fields, 'a chain endpoint failed; the next one is read');
  }

  /** Tries each endpoint once, the current one first. @throws the last error */
  async any<T>(run: (endpoint: RpcEndpoint) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let failure: unknown;
    for (let n = 0; n < this.count; n++) {
      const endpoint = this.#all[(this.#current + n) % this.count] as RpcEndpoint;
      try {
        await this.#check(endpoint, signal);
        return await run(endpoint);
      } catch (error) {
        if (signal?.aborted || !(error instanceof ChainError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Does the current endpoint still tell what it told when it was read? */
  isUnchanged(read: ReadStretch, signal?: AbortSignal): Promise<boolean> {
    return isSame(this.current, this.#network, read, signal);
  }

  /**
   * Holds what was read against the other endpoints, and turns to one that is ahead by more than `maxBehindSeconds`.
   * With three or more the majority is believed: `outvoted` says that the current endpoint was left for it.
   */
  async compare(
    read: ReadStretch,
    headTime: number,
    nowSeconds: number,
    maxBehindSeconds: number,
    signal?: AbortSignal,
  ): Promise<{ agreement: Agreement; outvoted: boolean }> {
    let agreeing = 0;
    let ahead: number | undefined;
    const contradicting: number[] = [];
    for (const [index, endpoint] of this.#all.entries()) {
      if (index === this.#current) continue;
      try {
        await this.#check(endpoint, signal);
        const head = await endpoint.head('latest', signal);
        if (this.#silent.delete(endpoint)) {
          this.#log.info({ endpoint: endpoint.name }, 'the other chain endpoint answers again');
        }
        const isAhead = head.timestamp > headTime + maxBehindSeconds;
        // One that tells of the future is not believed for it.
        if (isAhead && head.timestamp <= nowSeconds + maxBehindSeconds) ahead ??= index;
        // One that is behind can be compared once it has caught up.
        if (head.number < read.to) continue;
        if (await isSame(endpoint, this.#network, read, signal)) agreeing++;
        else contradicting.push(index);
      } catch (error) {
        if (signal?.aborted || !(error instanceof ChainError)) throw error;
        if (!this.#silent.has(endpoint)) {
          this.#silent.add(endpoint);
          const fields = { endpoint: endpoint.name, reason: error.message };
          this.#log.warn(fields, 'the other chain endpoint cannot be compared with');
        }
      }
    }
    return this.#judge(agreeing, contradicting, ahead, read);
  }

  #judge(
    agreeing: number,
    contradicting: readonly number[],
    ahead: number | undefined,
    read: ReadStretch,
  ): { agreement: Agreement; outvoted: boolean } {
    const others = contradicting.map((index) => this.#all[index]?.name).join(', ');
    const fields = { endpoint: this.current.name, others, fromBlock: read.from, toBlock: read.to };
    if (contradicting.length < agreeing + 1) {
      if (contradicting.length > 0) this.#log.warn(fields, 'a chain endpoint contradicts the others');
      if (agreeing > 0 && this.areContradictory) this.#log.info({}, 'the chain endpoints agree again');
      if (agreeing > 0) this.#contradictions = 0;
      if (ahead !== undefined) this.#leaveFor(ahead, 'the chain endpoint is behind; another one is read');
      return { agreement: agreeing > 0 ? 'agreed' : 'unknown', outvoted: false };
    }
    this.#contradictions++;
    if (contradicting.length > agreeing + 1 && this.areContradictory) {
      this.#leaveFor(
        contradicting[0] as number,
        'most chain endpoints contradict the one that was read; one of them is read now',
      );
      this.#contradictions = 0;
      return { agreement: 'contradicted', outvoted: true };
    }
    if (this.#contradictions === CONTRADICTIONS_TOLERATED + 1) {
      this.#log.error(
        fields,
        'chain endpoints contradict each other: one of them is wrong or on another fork. No votes and no proofs until they agree: check them, or remove one',
      );
    }
    return { agreement: 'contradicted', outvoted: false };
  }

  #leaveFor(index: number, sentence: string): void {
    const before = this.current.name;
    this.#current = index;
    this.#log.warn({ endpoint: before, next: this.current.name }, sentence);
  }

  async #check(endpoint: RpcEndpoint, signal?: AbortSignal): Promise<void> {
    if (this.#checked.has(endpoint)) return;
    const { chainId, registry } = this.#network;
    const served = await endpoint.chainId(signal);
    if (served !== chainId) {
      this.#wrong.add(endpoint);
      throw new ChainError('wrong_chain', `${endpoint.name} serves chain ${served}, not ${chainId}`);
    }
    const call = { to: registry, data: CONFIG_SELECTOR };
    const answer = await endpoint.call('eth_call', [call, 'latest'], signal).catch((error: unknown) => {
      // Another contract lives there.
      if (error instanceof ChainError && /revert/.test(error.message)) return undefined;
      throw error;
    });
    const words = typeof answer === 'string' && answer.length < 4096 ? answer.slice(2).match(/.{64}/g) : null;
    const isOurs = CONFIG_WORDS.every(([index, key]) => {
      const word = words?.[index] ?? '';
      return /^[0-9a-f]{64}$/i.test(word) && BigInt(`0x${word}`) === BigInt(this.#network[key]);
    });
    if (!isOurs) {
      this.#wrong.add(endpoint);
      const message = `${endpoint.name} has no registry of this network at ${registry}: check the address, and that the endpoint has caught up`;
      throw new ChainError('wrong_chain', message);
    }
    this.#wrong.delete(endpoint);
    this.#checked.add(endpoint);
  }
}

const CONFIG_SELECTOR = hexOf(keccak256(utf8('config()')).subarray(0, 4));
/** Where the facts by which we know the network stand in the registry's `Config`. */
const CONFIG_WORDS = [
  [5, 'epochSeconds'],
  [6, 'revealSeconds'],
  [7, 't0'],
] as const;

/**
 * Reads the logs of the registry in ranges, which are halved where an endpoint says that they hold too much.
 * @param onRange all logs up to and including the block `to`
 */
export async function readRanges(
  endpoint: RpcEndpoint,
  network: ChainNetwork,
  from: number,
  to: number,
  onRange: (logs: readonly RpcLog[], to: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let span = MAX_RANGE;
  let start = from;
  while (start <= to) {
    const end = Math.min(to, start + span - 1);
    let logs: readonly RpcLog[];
    try {
      logs = await endpoint.logs(network.registry, start, end, signal);
    } catch (error) {
      const isTooMany =
        error instanceof ChainError && (error.code === 'too_many_results' || error.code === 'too_large');
      if (!isTooMany || end === start) throw error;
      span = Math.ceil((end - start + 1) / 2);
      continue;
    }
    await onRange(logs, end);
    start = end + 1;
    span = Math.min(MAX_RANGE, 2 * span);
  }
}

/** What is kept of a log for a later comparison. */
export function markOf(log: RpcLog): string {
  const digest = keccak256(...log.topics.map((topic) => bytesOf(topic)), bytesOf(log.data));
  return `${log.block}/${log.logIndex}/${toHex(digest.subarray(0, 16))}`;
}

async function isSame(
  endpoint: RpcEndpoint,
  network: ChainNetwork,
  read: ReadStretch,
  signal?: AbortSignal,
): Promise<boolean> {
  const block = await endpoint.block(read.to, signal);
  if (block?.hash !== read.hash) return false;
  let at = 0;
  let isEqual = true;
  const check = async (logs: readonly RpcLog[]) => {
    for (const log of logs) if (isNeeded(log) && markOf(log) !== read.marks[at++]) isEqual = false;
  };
  await readRanges(endpoint, network, read.from, read.to, check, signal);
  return isEqual && at === read.marks.length;
}
