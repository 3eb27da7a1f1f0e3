// SPDX-License-Identifier: AGPL-3.0-or-later
// The uptime proof of this node (spec/chain §4.17): when a new one is due, what keeps it from being made, and who else
// sends some with our key. proof-gossip.ts carries it.
import type { ChainView } from '@allium/chain/chain-view';
import { epochAt } from '@allium/chain/chain-view';
import type { Env } from '@allium/protocol/env';
import {
  type SignedUptimeProof,
  signUptimeProof,
  type Version,
  verifyUptimeProof,
} from '@allium/protocol/membership/uptime-proof';
import type { NodeKeys } from '../node-keys.ts';
import { hasMoved, isBelow, type ProofBook } from './proof-book.ts';

// From the specification (spec/chain §4.17).
const FIRST_SEND_MS = 30_000;
const EARLY_MS = 15_000;

// Ours.
/** Waits of the specification that are made for an hour between proofs shrink to this share of a shorter one. */
const SHARE_OF_FREQUENCY = 10;
const REMIND_MS = 600_000;

/** A wait that is made for an hour between proofs, on this network. */
export const scaledWait = (ms: number, { frequencyMs }: ProofBook['rules']): number =>
  Math.min(ms, frequencyMs / SHARE_OF_FREQUENCY);

export interface OwnProofFacts {
  /** Dotted IPv4 under which others reach this node. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly storageVersion: Version;
  readonly nodeVersion: Version;
}

export interface OwnProofParts {
  readonly chain: ChainView;
  readonly book: ProofBook;
  readonly keys: NodeKeys;
  /** Whether the mailbox answers. */
  readonly storageAnswers: () => boolean;
}

/** Why no own proof goes out. */
export type Silence = 'not_registered' | 'stale_chain' | 'storage' | 'other_process' | 'address' | 'version';

const SENTENCES: Readonly<Record<Silence, string>> = {
  not_registered:
    'this node is not registered on the chain: it sends no uptime proofs, and serves no accounts until it is',
  stale_chain:
    'the chain cannot be read, its newest block is not of now by the clock of this machine, or its endpoints contradict each ' +
    'other: no uptime proofs are sent until that ends',
  storage: 'the mailbox does not answer: no uptime proofs are sent until it does',
  other_process:
    'another process uses the key of this node at another address: no uptime proofs are sent. Stop one of the two, and ' +
    'never copy the key of a node that goes on running',
  version:
    'this node is older than the version that the network asks for: others refuse its uptime proofs and will suspend it. ' +
    'Update it',
  address: 'the address of --public-ip is not public: others refuse the uptime proofs of this node',
};

export class OwnProof {
  readonly #parts: OwnProofParts;
  readonly #env: Env;
  #facts: OwnProofFacts | undefined;
  /** Unix ms. */
  #startedAt = 0;
  /** By the monotonic clock, all of them. */
  #firstSend = 0;
  #storageAt = 0;
  #foreignUntil = Number.NEGATIVE_INFINITY;
  #toldAt = 0;
  /** Our newest proof while nobody has taken it. */
  #untaken: SignedUptimeProof | undefined;
  #silence: Silence | undefined;

  constructor(parts: OwnProofParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Why none is sent at the moment. */
  get silence(): Silence | undefined {
    return this.#silence;
  }

  /** From here on some are due: at once where the node has moved. */
  begin(facts: OwnProofFacts): void {
    const { clock } = this.#env;
    const { book, keys } = this.#parts;
    this.#facts = facts;
    this.#startedAt = clock.now();
    this.#storageAt = clock.monotonic();
    const known = book.proofOf(keys.ed25519Hex);
    const moved = known !== undefined && hasMoved(known.proof, { ...known.proof, ...facts });
    this.#firstSend = clock.monotonic() + (moved ? 0 : scaledWait(FIRST_SEND_MS, book.rules));
  }

  /** The proof to send now, if any; asked now and then, since it also looks after the mailbox. */
  due({ isSending }: { readonly isSending: boolean }): SignedUptimeProof | undefined {
    const now = this.#env.clock.monotonic();
    if (this.#parts.storageAnswers()) this.#storageAt = now;
    if (now < this.#firstSend || isSending) return undefined;
    const reason = this.#reasonForSilence(now);
    this.#tell(reason, now);
    return reason === undefined ? this.#proofNow() : undefined;
  }

  /** Somebody has it. */
  taken(signed: SignedUptimeProof): void {
    if (this.#untaken === signed) this.#untaken = undefined;
  }

  /** A proof with our key: what we said before, or another process that has the key. */
  heard(signed: SignedUptimeProof): void {
    const { book } = this.#parts;
    const { proof } = signed;
    const { registry, chainId, validityMs } = book.rules;
    if (proof.registry !== registry || proof.chainId !== chainId) return;
    const own = this.#facts;
    const isOfThisRun = proof.time * 1000 > this.#startedAt;
    if (!isOfThisRun) {
      // The file with it may be lost: others count its time.
      book.take(signed, 'pulled');
      return;
    }
    if (own === undefined || !hasMoved(proof, { ...proof, ...own }) || !verifyUptimeProof(signed)) return;
    if (Math.abs(this.#env.clock.now() - proof.time * 1000) > validityMs) return;
    const now = this.#env.clock.monotonic();
    this.#foreignUntil = now + validityMs;
    this.#env.log.debug({ host: proof.host, omq: proof.omqPort }, 'a proof of ours by another process');
    this.#tell('other_process', now);
  }

  #reasonForSilence(now: number): Silence | undefined {
    const { chain, keys, book } = this.#parts;
    const { frequencyMs } = book.rules;
    if (now < this.#foreignUntil) return 'other_process';
    if (chain.nodeByEd25519(keys.ed25519Hex) === undefined) return 'not_registered';
    // A view is fresh for ten minutes in production (spec/chain §4.17), and as long as its endpoints agree.
    if (!chain.isFresh()) return 'stale_chain';
    if (isBelow(this.#facts!.nodeVersion, book.rules.minimumVersion())) return 'version';
    if (now - this.#storageAt > frequencyMs) return 'storage';
    return this.#silence === 'address' ? 'address' : undefined;
  }

  #tell(reason: Silence | undefined, now: number): void {
    if (reason === this.#silence && (reason === undefined || now - this.#toldAt < REMIND_MS)) return;
    if (reason === undefined) this.#env.log.info({}, 'uptime proofs are sent again');
    else if (reason === 'not_registered') this.#env.log.info({}, SENTENCES[reason]);
    else this.#env.log.error({}, SENTENCES[reason]);
    this.#silence = reason;
    this.#toldAt = now;
  }

  /** The proof to send now: a new one, or one that nobody has taken yet. */
  #proofNow(): SignedUptimeProof | undefined {
    const { book, keys, chain } = this.#parts;
    const { frequencyMs, toleranceMs } = book.rules;
    const now = this.#env.clock.now();
    const own = this.#facts!;
    // Not the newest: one that a small reorganisation takes back would speak against us until the next proof.
    const block = chain.safeHead();
    if (block === undefined) return undefined;
    const known = book.proofOf(keys.ed25519Hex);
    const moved = known !== undefined && hasMoved(known.proof, { ...known.proof, ...own });
    if (
      known !== undefined &&
      !moved &&
      now - known.receivedAt < frequencyMs - scaledWait(EARLY_MS, book.rules)
    ) {
      const isYoung = Math.abs(now - known.proof.time * 1000) < toleranceMs / 2;
      return this.#untaken !== undefined && isYoung ? this.#untaken : undefined;
    }
    const { registry, chainId } = chain.network;
    const time = Math.floor(now / 1000);
    const signed = signUptimeProof(
      {
        ...own,
        registry,
        chainId,
        epoch: chain.epochView()?.epoch ?? Math.max(0, epochAt(chain.network, time)),
        blockNumber: Number(block.number),
        blockHash: block.hash,
        time,
      },
      keys,
    );
    const verdict = book.take(signed, 'pushed');
    if (verdict.accepted) {
      this.#untaken = signed;
      return signed;
    }
    if (verdict.reason === 'address') this.#tell('address', this.#env.clock.monotonic());
    return undefined;
  }
}
