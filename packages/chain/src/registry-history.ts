// SPDX-License-Identifier: MIT
// All that a registry ever told (spec/chain §4.15), with time and sender: for people and scenarios that want to see what
// happened. What nodes act upon is the fold.
import { createPublicClient, http, type PublicClient, parseEventLogs } from 'viem';
import type { Hex } from './chain-view.ts';
import { abi } from './contracts/generated/IServiceNodeRegistry.ts';
import type { Deployment } from './deployment.ts';

type EventItem = Extract<(typeof abi)[number], { type: 'event' }>;

export interface HistoryEntry {
  /** As in the contract: `StateChanged`, … */
  readonly name: EventItem['name'];
  /** As in the contract; addresses as checksummed text. */
  readonly args: Readonly<Record<string, unknown>>;
  readonly block: number;
  /** Of the block, unix seconds. */
  readonly timestamp: number;
  readonly transaction: Hex;
  /** Who sent the transaction. Lower case. */
  readonly sender: Hex;
}

/** Reads on where it stood each time. One endpoint, believed: for a chain of one's own. */
export class RegistryHistory {
  readonly #deployment: Deployment;
  readonly #client: PublicClient;
  readonly #entries: HistoryEntry[] = [];
  #next: bigint;
  #reading: Promise<void> = Promise.resolve();

  constructor(rpc: string, deployment: Deployment) {
    this.#deployment = deployment;
    this.#client = createPublicClient({ transport: http(rpc, { batch: true }), cacheTime: 0 });
    this.#next = BigInt(deployment.deploymentBlock);
  }

  /** In the order of the chain. */
  get entries(): readonly HistoryEntry[] {
    return this.#entries;
  }

  /** Reads up to the newest block. Errors of the endpoint come as viem's. */
  update(): Promise<void> {
    const turn = this.#reading.then(() => this.#read());
    this.#reading = turn.catch(() => {});
    return turn;
  }

  async #read(): Promise<void> {
    const head = await this.#client.getBlockNumber();
    if (head < this.#next) return;
    const address = this.#deployment.registry;
    const logs = await this.#client.getLogs({ address, fromBlock: this.#next, toBlock: head });
    const events = parseEventLogs({ abi, logs });
    const blocks = new Map<bigint, Promise<{ timestamp: bigint }>>();
    const senders = new Map<Hex, Promise<{ from: Hex }>>();
    for (const { blockNumber, transactionHash } of events) {
      if (!blocks.has(blockNumber)) blocks.set(blockNumber, this.#client.getBlock({ blockNumber }));
      if (!senders.has(transactionHash)) {
        senders.set(transactionHash, this.#client.getTransaction({ hash: transactionHash }));
      }
    }
    const entries = events.map(async (event): Promise<HistoryEntry> => {
      const { eventName, args, blockNumber, transactionHash } = event;
      const [block, transaction] = await Promise.all([
        blocks.get(blockNumber)!,
        senders.get(transactionHash)!,
      ]);
      return {
        name: eventName,
        args: args as Readonly<Record<string, unknown>>,
        block: Number(blockNumber),
        timestamp: Number(block.timestamp),
        transaction: transactionHash,
        sender: transaction.from.toLowerCase() as Hex,
      };
    });
    this.#entries.push(...(await Promise.all(entries)));
    this.#next = head + 1n;
  }
}
