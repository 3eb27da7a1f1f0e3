// SPDX-License-Identifier: MIT
// The newest blocks that were read of the chain that is followed: what others quote is looked up here first, and what is told
// to others is old enough to stay (spec/chain §4.16).
import type { ChainBlock } from './chain-view.ts';
import type { RpcBlock } from './json-rpc.ts';

// Ours.
const MAX_BLOCKS_KEPT = 256;

export class RecentBlocks {
  /** By number; those read last are last. */
  readonly #blocks = new Map<number, RpcBlock>();

  get(number: number): RpcBlock | undefined {
    return this.#blocks.get(number);
  }

  remember(block: RpcBlock): void {
    this.#blocks.delete(block.number);
    this.#blocks.set(block.number, block);
    for (const number of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_BLOCKS_KEPT) break;
      this.#blocks.delete(number);
    }
  }

  /** A reorganisation replaced this one and all that follow. */
  forgetFrom(first: number): void {
    for (const number of this.#blocks.keys()) if (number >= first) this.#blocks.delete(number);
  }

  /** The newest with a time of at most `seconds`. */
  newestUntil(seconds: number): ChainBlock | undefined {
    let newest: RpcBlock | undefined;
    for (const block of this.#blocks.values()) {
      if (block.timestamp <= seconds && block.number > (newest?.number ?? -1)) newest = block;
    }
    return newest && blockOf(newest);
  }
}

export function blockOf(block: RpcBlock): ChainBlock {
  return { number: BigInt(block.number), hash: block.hash, timestamp: block.timestamp };
}
