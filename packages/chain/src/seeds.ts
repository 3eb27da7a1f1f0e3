// SPDX-License-Identifier: MIT
// Seeds of epochs (spec/chain §4.7): what the contract computes, computed again. All are 32 bytes.
import { u32be, utf8, wordOf } from '@allium/protocol/bytes';
import type { Hex } from './chain-view.ts';
import { bytesOf, keccak256 } from './packed.ts';

// From the specification.
const GENESIS = utf8('SN-GENESIS-v1');
const REVEALED = utf8('SN-SEED-v1');
const SKIPPED = utf8('SN-SKIP-v1');
const SWARM = utf8('SN-SWARM-v1');

/** s_0. */
export function genesisSeed(chainId: number, registry: Hex): Uint8Array {
  return keccak256(GENESIS, wordOf(chainId), bytesOf(registry, 20));
}

/** The seed of an epoch whose proposer revealed `preimage`. */
export function revealedSeed(previousSeed: Uint8Array, epoch: number, preimage: Uint8Array): Uint8Array {
  return keccak256(REVEALED, previousSeed, u32be(epoch), preimage);
}

/** The seed of an epoch without a reveal; `lastSeed` is the newest that was revealed before it (or the genesis). */
export function skippedSeed(lastSeed: Uint8Array, lastEpoch: number, epoch: number): Uint8Array {
  return keccak256(SKIPPED, lastSeed, u32be(lastEpoch), u32be(epoch));
}

/** What the swarm algorithm of an epoch starts from: a u64. */
export function swarmSeed(seed: Uint8Array): bigint {
  return new DataView(keccak256(SWARM, seed).buffer).getBigUint64(0, true);
}
