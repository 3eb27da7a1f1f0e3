// SPDX-License-Identifier: MIT
// The transactions of a voting key (spec/chain §4.19): simulated first, so that what the registry would refuse costs
// nothing; sent again with a higher price when blocks pass it by.

import { toHex } from '@allium/protocol/bytes';
import { delay, type Env } from '@allium/protocol/env';
import { decodeErrorResult, encodeFunctionData, keccak256, type TransactionSerializable } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { ChainError } from './chain-error.ts';
import type { ChainNetwork, ChainWriter, Hex, StateChange, Submission } from './chain-view.ts';
import { abi } from './contracts/generated/IServiceNodeRegistry.ts';
import { Endpoints } from './endpoints.ts';
import { FieldReader } from './fields.ts';
import type { RpcEndpoint } from './json-rpc.ts';
import { hexOf } from './packed.ts';
import type { PresetName } from './presets.ts';
import { wordsOf } from './stake/reverts.ts';

// From the specification.
const MAX_TRIES = 3;
const MAX_BUMPS = 3;

// Ours. Nodes ask for at least a tenth more to replace a transaction; a quarter is also noticed by the market.
const BUMP_PERCENT = 125n;
/** The state may change between the estimate and the block. */
const GAS_MARGIN_PERCENT = 130n;
const MAX_GAS = 3_000_000n;
const DEFAULT_TIP = 1_000_000_000n;
/** How long a transaction may wait before it is sent with a higher price, ms. */
const PATIENCE_MS: Readonly<Record<PresetName, number>> = { production: 30_000, test: 10_000, local: 4000 };
const RECEIPT_POLLS = 20;
const MAX_RECEIPT_BYTES = 32;

export interface WriterOptions {
  readonly network: ChainNetwork;
  readonly endpoints: readonly string[];
  /** 32 bytes. Not copied, not changed. */
  readonly secretKey: Uint8Array;
  /** Default by the preset. */
  readonly patienceMs?: number;
  readonly requestTimeoutMs?: number;
}

/** Price of a transaction: of EIP-1559 where blocks have a base fee. */
interface Price {
  readonly max: bigint;
  /** Undefined: a chain without a base fee. */
  readonly tip: bigint | undefined;
}

interface Receipt {
  readonly hash: Hex;
  readonly isGood: boolean;
  readonly gasUsed: bigint;
}

/** Names of the refusals that mean: somebody else was faster. */
const DONE_BY_OTHERS = new Set(['BadNonce', 'AlreadyRevealed']);

export class VotingKeyWriter implements ChainWriter {
  readonly address: Hex;
  readonly #account: ReturnType<typeof privateKeyToAccount>;
  readonly #network: ChainNetwork;
  readonly #endpoints: Endpoints;
  readonly #patienceMs: number;
  readonly #env: Env;
  readonly #stopping = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  /** @throws ChainError `unreachable` when an endpoint's address is none */
  constructor(options: WriterOptions, env: Env) {
    this.#account = privateKeyToAccount(`0x${toHex(options.secretKey)}`);
    this.address = this.#account.address.toLowerCase() as Hex;
    this.#network = options.network;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS[options.network.preset];
    this.#env = env;
    const timeout = options.requestTimeoutMs === undefined ? {} : { timeoutMs: options.requestTimeoutMs };
    this.#endpoints = new Endpoints(
      { urls: options.endpoints, network: options.network, ...timeout },
      env.log,
    );
  }

  submitStateChange(change: StateChange, signal?: AbortSignal): Promise<Submission> {
    const { nodeId, action, epoch, stateNonce } = change;
    const votes = change.votes.map(({ index, reasons, signature }) => ({
      index,
      reasons,
      r: hexOf(signature.subarray(0, 32)),
      vs: hexOf(signature.subarray(32)),
    }));
    const args = [nodeId, action, epoch, stateNonce, votes] as const;
    return this.#enqueue(encodeFunctionData({ abi, functionName: 'submitStateChange', args }), signal);
  }

  reveal(preimage: Hex, signal?: AbortSignal): Promise<Submission> {
    return this.#enqueue(encodeFunctionData({ abi, functionName: 'reveal', args: [preimage] }), signal);
  }

  poke(max: number, signal?: AbortSignal): Promise<Submission> {
    return this.#enqueue(encodeFunctionData({ abi, functionName: 'poke', args: [BigInt(max)] }), signal);
  }

  /** @throws ChainError when no endpoint answers */
  balance(): Promise<bigint> {
    const { signal } = this.#stopping;
    const params = [this.address, 'latest'];
    return this.#endpoints.any(
      async (one) => amountOf(await one.call('eth_getBalance', params, signal)),
      signal,
    );
  }

  /** Gives up what waits. What was sent may still be mined. */
  async stop(): Promise<void> {
    this.#stopping.abort(new ChainError('stopped', 'the program stops'));
    await this.#last;
  }

  /** One after the other: two with one nonce would replace each other. */
  #enqueue(data: Hex, given?: AbortSignal): Promise<Submission> {
    const own = this.#stopping.signal;
    const signal = given === undefined ? own : AbortSignal.any([own, given]);
    const turn = this.#last.then(() => this.#submit(data, signal));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #submit(data: Hex, signal: AbortSignal): Promise<Submission> {
    let failure = 'no endpoint answers';
    /** Hashes of what any endpoint was given, whatever it answered. */
    const sent: Hex[] = [];
    for (let n = 0; n < MAX_TRIES; n++) {
      if (signal.aborted) return { outcome: 'failed', reason: 'given up' };
      try {
        return await this.#endpoints.any((endpoint) => this.#tryOn(endpoint, data, sent, signal), signal);
      } catch (error) {
        if (!(error instanceof ChainError) && !signal.aborted) throw error;
        const refusal = refusalIn(error);
        if (refusal !== undefined) return refusal;
        failure = error instanceof Error ? error.message : failure;
      }
      await delay(this.#env.clock, this.#patienceMs / 10, signal).catch(() => {});
    }
    return { outcome: 'failed', reason: failure };
  }

  /** @throws ChainError; one whose cause holds the bytes of a refusal ends the submission */
  async #tryOn(endpoint: RpcEndpoint, data: Hex, sent: Hex[], signal: AbortSignal): Promise<Submission> {
    const call = { from: this.address, to: this.#network.registry, data };
    try {
      await endpoint.call('eth_call', [call, 'latest'], signal);
      const gas = amountOf(await endpoint.call('eth_estimateGas', [call], signal));
      if (gas > MAX_GAS) throw new ChainError('bad_answer', `${endpoint.name} says that it takes ${gas} gas`);
      return await this.#send(endpoint, data, (gas * GAS_MARGIN_PERCENT) / 100n, sent, signal);
    } catch (error) {
      const refusal = refusalIn(error);
      if (refusal === undefined) throw error;
      if (refusal.outcome !== 'already') return refusal;
      // It may have been ourselves, with a transaction whose answer was lost.
      const receipt = await this.#receipt(endpoint, sent, signal);
      return receipt?.isGood ? done(receipt) : refusal;
    }
  }

  async #send(
    endpoint: RpcEndpoint,
    data: Hex,
    gas: bigint,
    sent: Hex[],
    signal: AbortSignal,
  ): Promise<Submission> {
    // Of what is mined, not of what waits: an older transaction of ours that is stuck is replaced.
    const count = await endpoint.call('eth_getTransactionCount', [this.address, 'latest'], signal);
    const nonce = Number(amountOf(count));
    let price = await this.#price(endpoint, signal);
    for (let bump = 0; bump <= MAX_BUMPS; bump++) {
      await this.#checkFunds(endpoint, gas * price.max, signal);
      await this.#sendOnce(endpoint, { data, gas, nonce, price }, sent, signal);
      const receipt = await this.#awaitReceipt(endpoint, sent, signal);
      if (receipt?.isGood) return done(receipt);
      if (receipt !== undefined) {
        // Mined and refused: somebody was faster, or the time was over. The next simulation says which.
        throw new ChainError('rpc_error', 'the transaction was mined, and the registry refused it');
      }
      price = { max: raise(price.max), tip: price.tip && raise(price.tip) };
    }
    throw new ChainError('rpc_error', `the transaction was not mined at ${price.max} wei per gas`);
  }

  /** Its hash is put into `sent`. One with this nonce and price may be there already: then the endpoint need not take it. */
  async #sendOnce(
    endpoint: RpcEndpoint,
    { data, gas, nonce, price }: { data: Hex; gas: bigint; nonce: number; price: Price },
    sent: Hex[],
    signal: AbortSignal,
  ): Promise<void> {
    const base = { to: this.#network.registry, data, gas, nonce, chainId: this.#network.chainId };
    const transaction: TransactionSerializable =
      price.tip === undefined
        ? { ...base, type: 'legacy', gasPrice: price.max }
        : { ...base, type: 'eip1559', maxFeePerGas: price.max, maxPriorityFeePerGas: price.tip };
    const raw = await this.#account.signTransaction(transaction);
    const hash = keccak256(raw);
    if (!sent.includes(hash)) sent.push(hash);
    try {
      await endpoint.call('eth_sendRawTransaction', [raw], signal);
    } catch (error) {
      const isThere =
        error instanceof ChainError && /already known|underpriced|already imported/i.test(error.message);
      if (!isThere) throw error;
    }
  }

  async #awaitReceipt(
    endpoint: RpcEndpoint,
    sent: readonly Hex[],
    signal: AbortSignal,
  ): Promise<Receipt | undefined> {
    for (let poll = 0; poll < RECEIPT_POLLS; poll++) {
      const receipt = await this.#receipt(endpoint, sent, signal);
      if (receipt !== undefined) return receipt;
      await delay(this.#env.clock, this.#patienceMs / RECEIPT_POLLS, signal);
    }
    return undefined;
  }

  /** Of the newest of them that is mined. */
  async #receipt(
    endpoint: RpcEndpoint,
    sent: readonly Hex[],
    signal: AbortSignal,
  ): Promise<Receipt | undefined> {
    const reader = new FieldReader(
      'bad_answer',
      `the answer of ${endpoint.name} to eth_getTransactionReceipt`,
    );
    for (const hash of [...sent].reverse()) {
      const answer = await endpoint.call('eth_getTransactionReceipt', [hash], signal);
      if (answer === null) continue;
      const receipt = reader.object(answer, 'it');
      const isGood = reader.quantity(receipt.status, 'status') === 1;
      return { hash, isGood, gasUsed: amountOf(receipt.gasUsed) };
    }
    return undefined;
  }

  async #price(endpoint: RpcEndpoint, signal: AbortSignal): Promise<Price> {
    const reader = new FieldReader('bad_answer', `the answer of ${endpoint.name}`);
    const block = reader.object(
      await endpoint.call('eth_getBlockByNumber', ['latest', false], signal),
      'block',
    );
    if (block.baseFeePerGas === undefined) {
      return { max: amountOf(await endpoint.call('eth_gasPrice', [], signal)), tip: undefined };
    }
    const tip = await endpoint
      .call('eth_maxPriorityFeePerGas', [], signal)
      .then(amountOf)
      .catch(() => DEFAULT_TIP);
    return { max: 2n * amountOf(block.baseFeePerGas) + tip, tip };
  }

  async #checkFunds(endpoint: RpcEndpoint, cost: bigint, signal: AbortSignal): Promise<void> {
    const funds = amountOf(await endpoint.call('eth_getBalance', [this.address, 'latest'], signal));
    if (funds >= cost) return;
    const words = `the voting key ${this.address} holds ${ether(funds)} for gas, up to ${ether(cost)} are needed: send it some`;
    throw new ChainError('rpc_error', words);
  }
}

function done({ hash, gasUsed }: Receipt): Submission {
  return { outcome: 'done', hash, gasUsed };
}

/** What a refusal by the registry means; undefined for another error. */
function refusalIn(error: unknown): Submission | undefined {
  const data = error instanceof ChainError ? error.cause : undefined;
  if (typeof data !== 'string' || !/^0x[0-9a-f]{8,}$/i.test(data)) return undefined;
  try {
    const { errorName, args } = decodeErrorResult({ abi, data: data as Hex });
    if (DONE_BY_OTHERS.has(errorName)) return { outcome: 'already' };
    // The words for this error are those of a registration.
    if (errorName === 'RateLimited') {
      return { outcome: 'refused', reason: 'as many nodes have been suspended in this epoch as may' };
    }
    return { outcome: 'refused', reason: wordsOf(errorName, args ?? []) };
  } catch {
    return { outcome: 'refused', reason: 'the registry refuses it, for a reason that it does not name' };
  }
}

function raise(price: bigint): bigint {
  return (price * BUMP_PERCENT) / 100n + 1n;
}

function ether(wei: bigint): string {
  return `${Number(wei / 10n ** 12n) / 1e6} ETH`;
}

function amountOf(value: unknown): bigint {
  const isAmount =
    typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value) && value.length <= 2 + 2 * MAX_RECEIPT_BYTES;
  if (!isAmount) throw new ChainError('bad_answer', 'an amount of the endpoint is malformed');
  return BigInt(value);
}
