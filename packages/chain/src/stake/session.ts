// SPDX-License-Identifier: MIT
// One wallet at one network: what it has, what its transactions would do, and sending them (spec/chain §4.5–§4.13). Nothing
// is sent that was not tried first.
import {
  type Account,
  createPublicClient,
  createWalletClient,
  decodeFunctionResult,
  encodeFunctionData,
  http,
  numberToHex,
  type PublicClient,
  type TransactionReceipt,
  type WalletClient,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import type { Hex } from '../chain-view.ts';
import { abi as poolsAbi } from '../contracts/generated/ContributionPools.ts';
import { abi as lensAbi } from '../contracts/generated/RegistryLens.ts';
import { abi as registryAbi } from '../contracts/generated/ServiceNodeRegistry.ts';
import { abi as tokenAbi } from '../contracts/generated/SessionToken.ts';
import type { Deployment } from '../deployment.ts';
import { ether, tokens } from './amounts.ts';
import { type Outcome, outcomesOf } from './outcomes.ts';
import { refusalOf } from './reverts.ts';
import { hostOf, StakeError, stakeError } from './stake-error.ts';
import { approve, type PlannedTransaction } from './transactions.ts';

/** A key that we hold; an account that the endpoint signs for; or nobody, who can only look. */
export type StakeSigner =
  | { readonly kind: 'key'; readonly privateKey: Hex }
  | { readonly kind: 'endpoint'; readonly address: Hex }
  | { readonly kind: 'nobody'; readonly address: Hex };

export interface StakeSessionOptions {
  /** URL of a JSON-RPC endpoint. */
  readonly rpc: string;
  readonly deployment: Deployment;
  readonly signer: StakeSigner;
  /** Of one request. Default 20 s. */
  readonly timeoutMs?: number;
}

/** What the network asks of registrations now. Atomic units. */
export interface StakeTerms {
  readonly requirement: bigint;
  readonly maxContributors: number;
}

/** What a plan would do and cost. */
export interface Trial {
  /** By step. Undefined: it follows from a step before, and the endpoint cannot try both. */
  readonly gas: readonly (bigint | undefined)[];
  /** Wei per gas, at most. */
  readonly gasPrice: bigint;
  /** Wei, of the steps whose gas is known. */
  readonly cost: bigint;
  /** Every step was tried on the state that those before it leave. */
  readonly isWhole: boolean;
}

export interface Mined {
  readonly hash: Hex;
  readonly block: number;
  readonly gasUsed: bigint;
  /** Wei. */
  readonly cost: bigint;
  readonly outcomes: readonly Outcome[];
}

// Ours.
const TIMEOUT_MS = 20_000;
const RECEIPT_TIMEOUT_MS = 180_000;
/** The state may change between the estimate and the block. */
const GAS_MARGIN_PERCENT = 125n;

/** For a registration with ten contributors, where the endpoint cannot tell. */
const CAUGHT_GAS = 1_500_000n;

interface SimulatedCall {
  readonly status?: string;
  readonly gasUsed?: string;
  readonly returnData?: string;
  readonly error?: { readonly message?: string; readonly data?: string };
}

export class StakeSession {
  readonly deployment: Deployment;
  readonly address: Hex;
  readonly #rpc: string;
  readonly #signer: StakeSigner;
  readonly #account: Account | Hex;
  readonly #public: PublicClient;
  readonly #wallet: WalletClient;

  private constructor({ rpc, deployment, signer, timeoutMs = TIMEOUT_MS }: StakeSessionOptions) {
    this.#rpc = rpc;
    this.#signer = signer;
    this.#account = signer.kind === 'key' ? privateKeyToAccount(signer.privateKey) : signer.address;
    const address = typeof this.#account === 'string' ? this.#account : this.#account.address;
    this.address = address.toLowerCase() as Hex;
    this.deployment = deployment;
    const isLocal = /^(127\.|localhost\b|\[::1\])/.test(hostOf(rpc));
    const transport = http(rpc, { timeout: timeoutMs, retryCount: 1, batch: { batchSize: 50 } });
    const common = { transport, pollingInterval: isLocal ? 50 : 2000, cacheTime: 0 };
    this.#public = createPublicClient(common);
    this.#wallet = createWalletClient(common);
  }

  /** Makes sure that the endpoint serves the network of the deployment. @throws StakeError */
  static async open(options: StakeSessionOptions): Promise<StakeSession> {
    if (!/^https?:\/\/[^/]/.test(options.rpc)) {
      throw new StakeError('bad_endpoint', 'a chain endpoint is written as http://… or https://…');
    }
    const session = new StakeSession(options);
    const { chainId, registry } = options.deployment;
    await session.#guard(async () => {
      const found = await session.#public.getChainId();
      if (found !== chainId) {
        throw new StakeError(
          'wrong_chain',
          `the endpoint ${hostOf(options.rpc)} serves chain ${found}, the contracts are on chain ${chainId}`,
        );
      }
      if ((await session.#public.getCode({ address: registry })) === undefined) {
        throw new StakeError(
          'wrong_chain',
          `there is no registry at ${registry} on the chain of ${hostOf(options.rpc)}: is it the right network?`,
        );
      }
    });
    return session;
  }

  async terms(): Promise<StakeTerms> {
    const requirement = await this.read<bigint>('registry', 'stakingRequirement');
    return { requirement, maxContributors: await this.read<number>('registry', 'maxContributors') };
  }

  /** Atomic units of the token, and wei. */
  funds(): Promise<{ readonly tokens: bigint; readonly wei: bigint }> {
    return this.#guard(async () => ({
      tokens: await this.read<bigint>('token', 'balanceOf', this.address),
      wei: await this.#public.getBalance({ address: this.address }),
    }));
  }

  /** Time of the newest block, unix seconds. */
  now(): Promise<number> {
    return this.#guard(async () => Number((await this.#public.getBlock()).timestamp));
  }

  /** The result of a view. @throws StakeError */
  read<T>(
    contract: 'registry' | 'pools' | 'lens' | 'token',
    functionName: string,
    ...args: unknown[]
  ): Promise<T> {
    const abi = { registry: registryAbi, pools: poolsAbi, lens: lensAbi, token: tokenAbi }[contract];
    const call = { address: this.deployment[contract], abi, functionName, args };
    return this.#guard(() => this.#public.readContract(call as never) as Promise<T>, contractName(contract));
  }

  /** What a claim of these shares would pay now, in atomic units. */
  async claimable(entries: readonly { nodeId: number; index: number }[]): Promise<bigint[]> {
    if (entries.length === 0) return [];
    const { lens } = this.deployment;
    const call = { abi: lensAbi, functionName: 'claimable', args: [entries] } as const;
    const data = encodeFunctionData(call);
    const [done] = (await this.#simulate([{ to: lens, data }])) ?? [];
    if (done?.status === '0x1') return [...decodeFunctionResult({ ...call, data: done.returnData as Hex })];
    return this.#guard(async () => {
      const result = await this.#public.call({ to: lens, data, blockTag: 'pending' });
      return [...decodeFunctionResult({ ...call, data: result.data as Hex })];
    });
  }

  /** The approval that is missing before `spender` can take the amount; nothing when it may already. */
  async approvalFor(contract: 'registry' | 'pools', amount: bigint): Promise<PlannedTransaction[]> {
    const spender = this.deployment[contract];
    const allowed = await this.read<bigint>('token', 'allowance', this.address, spender);
    if (allowed >= amount) return [];
    const name = contract === 'registry' ? 'registry' : 'contract of pools';
    return [approve(this.deployment.token, spender, name, amount)];
  }

  /** @throws StakeError `no_tokens` */
  async needTokens(amount: bigint): Promise<void> {
    const { tokens: held } = await this.funds();
    if (held >= amount) return;
    throw new StakeError(
      'no_tokens',
      `the wallet ${this.address} holds ${tokens(held)} tokens, ${tokens(amount)} are needed`,
    );
  }

  /**
   * Tries the steps one after the other, without sending any.
   * @throws StakeError `refused` with the step that a contract would refuse, `no_gas`
   */
  async tryOut(steps: readonly PlannedTransaction[]): Promise<Trial> {
    return this.#guard(async () => {
      const gas = (await this.#tryAll(steps)) ?? (await this.#tryFirst(steps));
      const { maxFeePerGas: gasPrice } = await this.#price();
      const known = gas.filter((one) => one !== undefined);
      const cost = known.reduce((sum, one) => sum + one, 0n) * gasPrice;
      const wei = await this.#public.getBalance({ address: this.address });
      if (wei < cost) {
        throw new StakeError(
          'no_gas',
          `the wallet ${this.address} holds ${ether(wei)} ETH, gas may cost up to ${ether(cost)}: send it some`,
        );
      }
      return { gas, gasPrice, cost, isWhole: known.length === gas.length };
    });
  }

  /** @throws StakeError; `not_mined` when it is in no block after three minutes */
  async send(step: PlannedTransaction, onSent: (hash: Hex) => void = () => {}): Promise<Mined> {
    if (this.#signer.kind === 'nobody') {
      throw new StakeError('not_signed', 'nobody can sign: name a keystore, or an account of the endpoint');
    }
    const { to, data, contract } = step;
    const account = this.#account;
    const hash = await this.#guard(async () => {
      const estimate = await this.#public.estimateGas({ account, to, data });
      const gas = await this.#gasFor(step, estimate);
      return this.#wallet.sendTransaction({ account, to, data, gas, chain: null });
    }, contract);
    onSent(hash);
    const receipt = await this.#receipt(hash);
    if (receipt.status !== 'success') throw await this.#whyReverted(step, receipt);
    return {
      hash,
      block: Number(receipt.blockNumber),
      gasUsed: receipt.gasUsed,
      cost: receipt.gasUsed * receipt.effectiveGasPrice,
      outcomes: outcomesOf(receipt.logs, this.deployment),
    };
  }

  /**
   * An estimate is the least gas with which the transaction does not fail. Where the contract catches a failure inside,
   * as of the registration by whoever fills a pool, that is too little for what is meant.
   */
  async #gasFor(step: PlannedTransaction, estimate: bigint): Promise<bigint> {
    const usual = (estimate * GAS_MARGIN_PERCENT) / 100n;
    if (step.catchesFailure !== true) return usual;
    const [tried] = (await this.#simulate([step])) ?? [];
    // What is refunded at the end, at most a fifth, is needed on the way.
    const used = tried?.status === '0x1' ? BigInt(tried.gasUsed ?? 0) : 0n;
    const whole = used === 0n ? estimate + CAUGHT_GAS : (used * 3n) / 2n;
    return whole > usual ? whole : usual;
  }

  async #receipt(hash: Hex): Promise<TransactionReceipt> {
    try {
      return await this.#guard(() =>
        this.#public.waitForTransactionReceipt({ hash, timeout: RECEIPT_TIMEOUT_MS }),
      );
    } catch (error) {
      throw new StakeError(
        'not_mined',
        `transaction ${hash} was sent, but it is not known what became of it (${(error as Error).message}): look it up before ` +
          'you try again',
        { cause: error },
      );
    }
  }

  async #whyReverted(step: PlannedTransaction, { transactionHash, blockNumber }: TransactionReceipt) {
    const call = { account: this.address, to: step.to, data: step.data, blockNumber };
    const why = await this.#public.call(call).then(
      () => undefined,
      (error) => stakeError(error, this.#rpc, step.contract),
    );
    const words =
      why instanceof StakeError && why.code === 'refused' ? why.message : 'the state changed meanwhile';
    return new StakeError('reverted', `transaction ${transactionHash} was mined and refused: ${words}`);
  }

  /** Gas of each step; undefined: the endpoint cannot try several. */
  async #tryAll(steps: readonly PlannedTransaction[]): Promise<bigint[] | undefined> {
    const results = await this.#simulate(steps);
    return results?.map((result, index) => {
      const step = steps[index] as PlannedTransaction;
      if (result.status === '0x1') return BigInt(result.gasUsed ?? 0);
      const data = [result.error?.data, result.returnData].find((text) => /^0x[0-9a-f]{8}/i.test(text ?? ''));
      throw refused(step, (data ?? '0x') as Hex);
    });
  }

  /** The first alone. */
  async #tryFirst(steps: readonly PlannedTransaction[]): Promise<(bigint | undefined)[]> {
    const [first, ...others] = steps;
    if (first === undefined) return [];
    try {
      const { to, data } = first;
      const gas = await this.#public.estimateGas({ account: this.address, to, data });
      return [gas, ...others.map(() => undefined)];
    } catch (error) {
      throw stakeError(error, this.#rpc, first.contract);
    }
  }

  /** eth_simulateV1 at the present time; undefined where the endpoint does not know it. */
  async #simulate(calls: readonly { to: Hex; data: Hex }[]): Promise<SimulatedCall[] | undefined> {
    const { timestamp } = await this.#guard(() => this.#public.getBlock());
    const now = BigInt(Math.floor(Date.now() / 1000));
    const time = numberToHex(now > timestamp ? now : timestamp + 1n);
    const block = {
      blockOverrides: { time },
      calls: calls.map(({ to, data }) => ({ from: this.address, to, data })),
    };
    try {
      const answer = (await this.#public.request({
        method: 'eth_simulateV1',
        params: [{ blockStateCalls: [block], validation: false }, 'latest'],
      } as never)) as { calls?: SimulatedCall[] }[];
      const results = answer[0]?.calls;
      return results?.length === calls.length ? results : undefined;
    } catch {
      return undefined;
    }
  }

  async #price(): Promise<{ maxFeePerGas: bigint }> {
    try {
      return await this.#public.estimateFeesPerGas();
    } catch {
      return { maxFeePerGas: await this.#public.getGasPrice() };
    }
  }

  async #guard<T>(run: () => Promise<T>, contract?: string): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw stakeError(error, this.#rpc, contract);
    }
  }
}

function refused(step: PlannedTransaction, data: Hex): StakeError {
  const { error, words } = refusalOf(data, step.contract);
  return new StakeError('refused', words, error === undefined ? {} : { contractError: error });
}

function contractName(contract: string): string | undefined {
  return contract === 'pools' ? 'ContributionPools' : undefined;
}
