// SPDX-License-Identifier: MIT
// A chain under the test's control: calls and transactions in anybody's name, time set to the second, errors by name.
import { type Abi, decodeErrorResult, decodeEventLog, decodeFunctionResult, encodeFunctionData } from 'viem';
import { type Anvil, startAnvil } from '../../src/anvil.ts';
import type { Hex } from '../../src/chain-view.ts';

export interface Contract {
  readonly address: Hex;
  readonly abi: Abi;
}

export interface Receipt {
  readonly status: Hex;
  readonly gasUsed: number;
  readonly blockNumber: Hex;
  readonly transactionHash: Hex;
  readonly logs: readonly { address: Hex; topics: [Hex, ...Hex[]]; data: Hex }[];
}

/** A call or transaction that the contracts refused; `errorName` is that of the custom error. */
export class Revert extends Error {
  readonly errorName: string;
  readonly args: readonly unknown[];
  constructor(errorName: string, args: readonly unknown[]) {
    super(`reverted: ${errorName}(${args.join(', ')})`);
    this.errorName = errorName;
    this.args = args;
  }
}

/** The name of the custom error that ends the call; 'none' when nothing does. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Revert) return error.errorName;
    throw error;
  }
  return 'none';
}

export class Evm {
  readonly anvil: Anvil;
  /** ABIs whose errors are known by name. */
  readonly errorAbis: Abi[] = [];
  #now = 0;
  #snapshots = new Map<Hex, number>();

  private constructor(anvil: Anvil) {
    this.anvil = anvil;
  }

  static async start(options: { timestamp?: number; flags?: string[] } = {}): Promise<Evm> {
    const { timestamp = 1_900_000_000, flags = [] } = options;
    const anvil = await startAnvil({ timestamp, flags: ['--auto-impersonate', ...flags] });
    const evm = new Evm(anvil);
    evm.#now = timestamp;
    return evm;
  }

  async rpc<T>(method: string, ...params: unknown[]): Promise<T> {
    const response = await fetch(this.anvil.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    const { result, error } = (await response.json()) as {
      result: T;
      error?: { message: string; data?: Hex };
    };
    if (error === undefined) return result;
    if (typeof error.data === 'string' && error.data.length >= 10) throw this.#revert(error.data);
    throw new Error(`${method}: ${error.message}`);
  }

  /** Many requests at once; the first error ends it. */
  async rpcBatch<T>(requests: readonly (readonly [method: string, ...params: unknown[]])[]): Promise<T[]> {
    if (requests.length === 0) return [];
    const body = requests.map(([method, ...params], id) => ({ jsonrpc: '2.0', id, method, params }));
    const response = await fetch(this.anvil.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answers = (await response.json()) as { id: number; result: T; error?: { message: string } }[];
    const results: T[] = [];
    for (const { id, result, error } of answers) {
      if (error !== undefined) throw new Error(`${requests[id]?.[0]}: ${error.message}`);
      results[id] = result;
    }
    return results;
  }

  /** Unix seconds of the next block, and of the newest one if `goTo` made it. */
  get now(): number {
    return this.#now;
  }

  /** Mines an empty block with exactly this time. */
  async goTo(seconds: number): Promise<void> {
    this.#now = seconds;
    await this.rpc('evm_setNextBlockTimestamp', seconds);
    await this.rpc('evm_mine');
  }

  async pass(seconds: number): Promise<void> {
    await this.goTo(this.#now + seconds);
  }

  async snapshot(): Promise<Hex> {
    const id = await this.rpc<Hex>('evm_snapshot');
    this.#snapshots.set(id, this.#now);
    return id;
  }

  /** Goes back and keeps the snapshot for another time: the new id is returned. */
  async revert(id: Hex): Promise<Hex> {
    await this.rpc('evm_revert', id);
    // Else the pool counts on with the numbers of transactions that are gone.
    await this.rpc('anvil_dropAllTransactions');
    this.#now = this.#snapshots.get(id) ?? this.#now;
    return this.snapshot();
  }

  /** A transaction at the present second. @throws Revert */
  async send(from: Hex, contract: Contract, functionName: string, ...args: unknown[]): Promise<Receipt> {
    const data = encodeFunctionData({ abi: contract.abi, functionName, args });
    return this.sendRaw({ from, to: contract.address, data });
  }

  async sendRaw(transaction: { from: Hex; to?: Hex; data: Hex; gas?: Hex }): Promise<Receipt> {
    await this.rpc('evm_setNextBlockTimestamp', this.#now);
    // Named, so that anvil estimates nothing; a failure then shows its reason in the call.
    const gas = '0x1000000';
    const hash = await this.rpc<Hex>('eth_sendTransaction', { gas, ...transaction });
    const receipt = await this.#receipt(hash);
    if (receipt.status !== '0x1') {
      await this.rpc('eth_call', { gas, ...transaction }, 'latest');
      throw new Revert('unknown', []);
    }
    return { ...receipt, gasUsed: Number(receipt.gasUsed) };
  }

  /** anvil answers before the block is mined when the machine is busy. */
  async #receipt(hash: Hex): Promise<Omit<Receipt, 'gasUsed'> & { gasUsed: Hex }> {
    for (;;) {
      const receipt = await this.rpc<(Omit<Receipt, 'gasUsed'> & { gasUsed: Hex }) | null>(
        'eth_getTransactionReceipt',
        hash,
      );
      if (receipt !== null) return receipt;
    }
  }

  /** Read at the newest block. @throws Revert */
  async read<T>(contract: Contract, functionName: string, ...args: unknown[]): Promise<T> {
    return this.callAs('0x0000000000000000000000000000000000000001', contract, functionName, ...args);
  }

  /** What the transaction would return; changes nothing. */
  async callAs<T>(from: Hex, contract: Contract, functionName: string, ...args: unknown[]): Promise<T> {
    const data = encodeFunctionData({ abi: contract.abi, functionName, args });
    const result = await this.rpc<Hex>('eth_call', { from, to: contract.address, data }, 'latest');
    return decodeFunctionResult({ abi: contract.abi, functionName, data: result }) as T;
  }

  /** Several transactions in one block, in this order when they are of one sender. Which of them succeeded. */
  async sendTogether(from: Hex, contract: Contract, calls: [functionName: string, ...args: unknown[]][]) {
    await this.rpc('evm_setAutomine', false);
    const hashes: Hex[] = [];
    for (const [functionName, ...args] of calls) {
      const data = encodeFunctionData({ abi: contract.abi, functionName, args });
      const transaction = { from, to: contract.address, data, gas: '0x300000' };
      hashes.push(await this.rpc<Hex>('eth_sendTransaction', transaction));
    }
    await this.rpc('evm_setNextBlockTimestamp', this.#now);
    await this.rpc('evm_mine');
    await this.rpc('evm_setAutomine', true);
    const done: boolean[] = [];
    for (const hash of hashes) done.push((await this.#receipt(hash)).status === '0x1');
    return done;
  }

  /** Puts other code in a contract's place; its storage stays. */
  async setCode(contract: Contract, code: Hex): Promise<void> {
    await this.rpc('anvil_setCode', contract.address, code);
  }

  /** Deploys from an account that anvil knows. */
  async deploy(from: Hex, abi: Abi, code: Hex): Promise<Contract> {
    const receipt = await this.sendRaw({ from, data: code });
    this.errorAbis.push(abi);
    return { address: (receipt as unknown as { contractAddress: Hex }).contractAddress, abi };
  }

  async fund(address: Hex): Promise<void> {
    await this.rpc('anvil_setBalance', address, '0x56bc75e2d63100000');
  }

  /** Events of one contract in a receipt, by name. */
  events(receipt: Receipt, contract: Contract): { name: string; args: Record<string, unknown> }[] {
    return receipt.logs
      .filter((log) => log.address === contract.address)
      .map((log) => {
        const decoded: { eventName?: string; args?: unknown } = decodeEventLog({
          abi: contract.abi,
          data: log.data,
          topics: log.topics,
        });
        return { name: decoded.eventName ?? '', args: (decoded.args ?? {}) as Record<string, unknown> };
      });
  }

  #revert(data: Hex): Revert {
    for (const abi of this.errorAbis) {
      try {
        const { errorName, args } = decodeErrorResult({ abi, data });
        return new Revert(errorName, (args ?? []) as readonly unknown[]);
      } catch {}
    }
    return new Revert(data.slice(0, 138), []);
  }
}
