// SPDX-License-Identifier: AGPL-3.0-or-later
// The nonces of this node's beacon chains (spec/chain §4.7), in `beacon.json` of its data folder. A chain is made for one
// registration and never used again; the chains themselves follow from the nonces and the identity key.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BeaconChain } from '@allium/chain/beacon-chain';
import type { ChainNetwork, Hex } from '@allium/chain/chain-view';
import { bytesOf, hexOf } from '@allium/chain/packed';
import { AlliumError } from '@allium/protocol/errors';
import { writeSecret } from '../data-folder.ts';

/** `unreadable`: the file is there, but is none of ours. */
class BeaconError extends AlliumError<'unreadable'> {
  override readonly name = 'BeaconError';
}

const NAME = 'beacon.json';

/** Ours: registrations of one node, the newest of which count. */
const MAX_NONCES = 100;

interface Entry {
  readonly chainId: number;
  readonly registry: Hex;
  readonly nonce: number;
}

type Registry = Pick<ChainNetwork, 'chainId' | 'registry'>;

/**
 * Makes a beacon chain for a registration that is about to be sent, and keeps its nonce.
 * @param nowSeconds unix time, the nonce unless a newer one was used already
 * @returns the anchor to register
 * @throws BeaconError, DataFolderError
 */
export function prepareBeaconChain(
  dataDir: string,
  ed25519Seed: Uint8Array,
  { chainId, registry }: Registry,
  nowSeconds: number,
): Hex {
  const entries = readEntries(dataDir);
  const nonce = entries.reduce((next, entry) => Math.max(next, entry.nonce + 1), nowSeconds);
  const chain = new BeaconChain({ ed25519Seed, chainId, registry, nonce });
  const kept = [...entries, { chainId, registry, nonce }].slice(-MAX_NONCES);
  writeSecret(join(dataDir, NAME), `${JSON.stringify({ chains: kept }, undefined, 2)}\n`);
  return hexOf(chain.anchor);
}

/** Finds pre-images. Chains are made when they are needed, which takes up to a second each. */
export class BeaconStore {
  readonly #dataDir: string;
  readonly #ed25519Seed: Uint8Array;
  readonly #network: Registry;
  /** The one in use: others are not worth their memory. */
  #chain: BeaconChain | undefined;

  constructor(dataDir: string, ed25519Seed: Uint8Array, network: Registry) {
    this.#dataDir = dataDir;
    this.#ed25519Seed = ed25519Seed;
    this.#network = network;
  }

  /** What has to be revealed next to a node with this anchor; undefined: its chain was not made here, or is used up. */
  preimageOf(anchor: Hex): Hex | undefined {
    const { chainId, registry } = this.#network;
    const bytes = bytesOf(anchor, 32);
    const known = this.#chain?.preimageOf(bytes);
    if (known !== undefined) return hexOf(known);
    const own = readEntries(this.#dataDir).filter(
      (entry) => entry.chainId === chainId && entry.registry === registry,
    );
    for (const { nonce } of own.reverse()) {
      if (nonce === this.#chain?.nonce) continue;
      const chain = new BeaconChain({ ed25519Seed: this.#ed25519Seed, chainId, registry, nonce });
      const preimage = chain.preimageOf(bytes);
      if (preimage === undefined) continue;
      this.#chain = chain;
      return hexOf(preimage);
    }
    return undefined;
  }
}

function readEntries(dataDir: string): Entry[] {
  const path = join(dataDir, NAME);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  try {
    const { chains } = JSON.parse(text) as { chains: unknown };
    if (Array.isArray(chains) && chains.every(isEntry)) return chains;
  } catch {
    // Told below.
  }
  throw new BeaconError(
    'unreadable',
    `${path} is damaged: bring it back from a backup. Without it this node cannot reveal seeds and has to register again`,
  );
}

function isEntry(value: unknown): value is Entry {
  const { chainId, registry, nonce } = (value ?? {}) as Record<string, unknown>;
  return (
    Number.isSafeInteger(chainId) &&
    typeof registry === 'string' &&
    /^0x[0-9a-f]{40}$/.test(registry) &&
    Number.isSafeInteger(nonce)
  );
}
