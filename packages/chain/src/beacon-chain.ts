// SPDX-License-Identifier: MIT
// The hash chain from which a node reveals one pre-image at each of its turns (spec/chain §4.7). Links are secret until
// they are revealed: whoever knows them early knows seeds early.
import { equal, u64be, utf8, wordOf } from '@allium/protocol/bytes';
import type { Hex } from './chain-view.ts';
import { bytesOf, keccak256 } from './packed.ts';

// From the specification.
const DOMAIN = utf8('SN-BEACON-CHAIN-v1');
const LENGTH = 65_536;

/** Ours: every so many-th link is kept, 8 KiB in all; a link between them costs at most as many hashes. */
const STEP = 256;

export interface BeaconChainFacts {
  /** 32 bytes: the seed of the identity key. */
  readonly ed25519Seed: Uint8Array;
  readonly chainId: number;
  readonly registry: Hex;
  /** Unix time at which the registration was prepared. A chain must not be used for two registrations. */
  readonly nonce: number;
}

/** Making one takes 65,536 hashes, a few tenths of a second. */
export class BeaconChain {
  readonly nonce: number;
  /** The last link, which is registered. */
  readonly anchor: Uint8Array;
  /** Links 0, STEP, 2·STEP, … LENGTH. */
  readonly #kept: Uint8Array[] = [];
  /** Where the newest anchor asked for was found. */
  #found = LENGTH;
  #segment: { readonly index: number; readonly links: readonly Uint8Array[] } | undefined;

  constructor(facts: BeaconChainFacts) {
    this.nonce = facts.nonce;
    const { ed25519Seed, chainId, registry, nonce } = facts;
    let link = keccak256(DOMAIN, ed25519Seed, wordOf(chainId), bytesOf(registry, 20), u64be(BigInt(nonce)));
    for (let k = 0; k < LENGTH; k++) {
      if (k % STEP === 0) this.#kept.push(link);
      link = keccak256(link);
    }
    this.#kept.push(link);
    this.anchor = link;
  }

  /**
   * The link whose hash is `anchor`; undefined when that is no link of this chain, or the first one, which has nothing
   * before it. Looks first where the last one was found.
   */
  preimageOf(anchor: Uint8Array): Uint8Array | undefined {
    const index = this.#indexOf(anchor);
    if (index === undefined) return undefined;
    this.#found = index;
    return index === 0 ? undefined : this.#link(index - 1);
  }

  /** How many pre-images remain below `anchor`; undefined when it is none of this chain. */
  remaining(anchor: Uint8Array): number | undefined {
    return this.#indexOf(anchor);
  }

  #link(index: number): Uint8Array {
    return this.#segmentOf(Math.floor(index / STEP))[index % STEP] as Uint8Array;
  }

  #indexOf(anchor: Uint8Array): number | undefined {
    if (equal(anchor, this.anchor)) return LENGTH;
    const count = LENGTH / STEP;
    const last = Math.min(Math.floor(this.#found / STEP), count - 1);
    // Reveals go downwards, so the link is near the last one found; the rest is for a chain that was restored.
    for (let n = 0; n < count; n++) {
      const segment = (last - n + count) % count;
      const place = this.#segmentOf(segment).findIndex((link) => equal(link, anchor));
      if (place !== -1) return segment * STEP + place;
    }
    return undefined;
  }

  /** All links from one kept to the next. */
  #segmentOf(index: number): readonly Uint8Array[] {
    if (this.#segment?.index === index) return this.#segment.links;
    const links = [this.#kept[index] as Uint8Array];
    while (links.length < STEP) links.push(keccak256(links.at(-1) as Uint8Array));
    this.#segment = { index, links };
    return links;
  }
}
