// SPDX-License-Identifier: AGPL-3.0-or-later
// Judges nodes of a chain network (spec/chain §4.18): the tests that only need asking, and those that need uptime proofs and
// the chain. Its targets are the nodes in whose quorums this node sits, in the epoch in force and the one before, whose
// votes still count.
import type { ChainView, NodeRecord } from '@allium/chain/chain-view';
import { PRESETS } from '@allium/chain/presets';
import type { Cancel, Env } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import type { KnownProof, ProofBook } from '../membership/proof-book.ts';
import type { PeerBook } from '../testing/peer-book.ts';
import type { ChainFacts } from '../testing/peer-report.ts';
import type { ChainJudge } from '../testing/peer-tests.ts';
import type { Target, Targets } from '../testing/testers.ts';
import type { Verdict } from './decision.ts';
import type { Vigil } from './vigil.ts';

// From the specification.
const MOST_BLOCK_LAG_SECONDS = 3_600;
const TURNS_TO_FAIL = 3;

/** A seat of this node in a quorum. */
export interface Seat {
  readonly nodeId: number;
  readonly epoch: number;
  readonly index: number;
}

export interface JudgeParts {
  readonly view: ChainView;
  readonly proofs: ProofBook;
  readonly ownHex: string;
  readonly validityMs: number;
  readonly vigil: Pick<Vigil, 'watchedMs' | 'freshMs'>;
}

export class Judge implements ChainJudge {
  readonly #parts: JudgeParts;
  readonly #env: Env;
  readonly #listeners = new Set<() => void>();
  /** Proofs whose block was found wrong, by key. */
  readonly #wrongBlock = new Map<string, KnownProof>();
  #seats: readonly Seat[] = [];
  #cancels: Cancel[] = [];

  constructor(parts: JudgeParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  readonly targets: Targets = {
    current: () => this.#targets(),
    onChange: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  get seats(): readonly Seat[] {
    return this.#seats;
  }

  start(): void {
    const { view, proofs } = this.#parts;
    this.#draw();
    this.#cancels = [
      view.onEpoch(() => this.#draw()),
      proofs.onProof((known) => {
        this.#wrongBlock.delete(known.proof.ed25519Hex);
        this.#checkBlock(known);
      }),
    ];
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
  }

  /** All bits that the node fails, given those of the tests that only need asking. */
  reasonsOf(ed25519Hex: string, asked: number): number {
    const node = this.#parts.view.nodeByEd25519(ed25519Hex);
    return node === undefined ? asked : asked | this.#chainReasons(node);
  }

  factsOf(ed25519Hex: string): ChainFacts {
    const node = this.#parts.view.nodeByEd25519(ed25519Hex);
    return {
      ...(node !== undefined && { nodeId: node.nodeId, missedTurns: node.missedTurns }),
      proofAt: this.#parts.proofs.proofOf(ed25519Hex)?.receivedAt ?? null,
    };
  }

  /** What this node would say in a quorum. */
  verdictOf(node: NodeRecord, book: PeerBook): Verdict {
    const { ed25519Hex, valid } = node;
    // Its key may be that of another registration, which is not to blame.
    if (!valid) return { reasons: REASON.binding, proofAt: undefined, isBack: false, isFailing: false };
    let reasons = book.reasons(ed25519Hex) | this.#chainReasons(node);
    // Ours: a suspended node holds nothing that could be probed, and must not be held back by what was before.
    const probeAt = book.tests(ed25519Hex)?.probeAt ?? 0;
    if (node.state !== 'active' || probeAt < node.activeSince * 1000) reasons &= ~REASON.probe;
    if (book.isCutOff) reasons &= ~REASON.storage;
    if (this.#proofsAreSuspect()) reasons &= ~REASON.uptime;
    return {
      reasons,
      proofAt: this.#parts.proofs.proofOf(ed25519Hex)?.receivedAt,
      isBack: book.isBack(ed25519Hex),
      isFailing: book.isFailing(ed25519Hex) && !book.isCutOff,
    };
  }

  #chainReasons(node: NodeRecord): number {
    if (!node.valid) return REASON.binding;
    let bits = 0;
    if (this.#lacksProof(node)) bits |= REASON.uptime;
    const proof = this.#parts.proofs.proofOf(node.ed25519Hex);
    if (proof !== undefined && this.#wrongBlock.get(node.ed25519Hex) === proof) bits |= REASON.l2;
    if (node.state === 'active' && node.missedTurns >= TURNS_TO_FAIL) bits |= REASON.beacon;
    return bits;
  }

  #lacksProof(node: NodeRecord): boolean {
    const receivedAt = this.#parts.proofs.proofOf(node.ed25519Hex)?.receivedAt ?? 0;
    const { vigil, proofs, validityMs } = this.#parts;
    // Ours: nobody sends any while the chain stands still. When it goes on, some read it again later than others.
    if (vigil.freshMs < proofs.rules.frequencyMs) return false;
    const now = this.#env.clock.now();
    // Ours: nor is one missing that came, or would have come, while we were away.
    const since = Math.max(receivedAt, node.activeSince * 1000, now - vigil.watchedMs);
    return now - since > validityMs;
  }

  /** Ours: when the proofs of most nodes are missing, it is us whom they do not reach. */
  #proofsAreSuspect(): boolean {
    let active = 0;
    let lacking = 0;
    for (const node of this.#parts.view.nodes().values()) {
      if (node.state !== 'active' || !node.valid || node.ed25519Hex === this.#parts.ownHex) continue;
      active++;
      if (this.#lacksProof(node)) lacking++;
    }
    return 2 * lacking > active;
  }

  #draw(): void {
    const { view, ownHex, proofs } = this.#parts;
    const own = view.nodeByEd25519(ownHex);
    const [current, previous] = [view.epochView()?.epoch, view.previousEpochView()?.epoch];
    // Drawing the quorums of all nodes takes thousands of hashes: once per epoch.
    const kept = this.#seats.filter(({ epoch }) => epoch === previous && epoch !== current);
    const before = previous === undefined || kept.length > 0 ? kept : this.#seatsIn(previous, own);
    this.#seats = current === undefined ? [] : [...this.#seatsIn(current, own), ...before];
    for (const { ed25519Hex } of this.#targets()) {
      const known = proofs.proofOf(ed25519Hex);
      if (known !== undefined) this.#checkBlock(known);
    }
    for (const key of this.#wrongBlock.keys())
      if (proofs.proofOf(key) === undefined) this.#wrongBlock.delete(key);
    for (const listener of [...this.#listeners]) listener();
  }

  #seatsIn(epoch: number, own: NodeRecord | undefined): Seat[] {
    const { view } = this.#parts;
    const seats: Seat[] = [];
    if (own === undefined) return seats;
    for (const { nodeId, state } of view.nodes().values()) {
      if (state !== 'active' && state !== 'decommissioned') continue;
      for (const member of view.quorumOf(nodeId, epoch)?.members ?? []) {
        if (member.nodeId === own.nodeId) seats.push({ nodeId, epoch, index: member.index });
      }
    }
    return seats;
  }

  #targets(): Target[] {
    const newest = new Map<string, number>();
    for (const { nodeId, epoch } of this.#seats) {
      const node = this.#parts.view.nodes().get(nodeId);
      if (node?.valid !== true) continue;
      newest.set(node.ed25519Hex, Math.max(epoch, newest.get(node.ed25519Hex) ?? 0));
    }
    return [...newest].map(([ed25519Hex, round]) => ({ ed25519Hex, round }));
  }

  /** Chain view test: the block that the proof names, against ours. Only of targets: it asks an endpoint. */
  #checkBlock(known: KnownProof): void {
    const { view, proofs } = this.#parts;
    const { ed25519Hex, blockNumber, blockHash, time } = known.proof;
    const node = view.nodeByEd25519(ed25519Hex);
    const head = view.head();
    if (node === undefined || head === undefined || !this.#seats.some(({ nodeId }) => nodeId === node.nodeId))
      return;
    // We may lag behind it.
    if (BigInt(blockNumber) > head.number) return;
    const { confirm } = PRESETS[view.network.preset].timings;
    view.blockAt(BigInt(blockNumber)).then(
      (block) => {
        if (block === undefined || proofs.proofOf(ed25519Hex) !== known) return;
        // What may still be reorganised proves nothing; it is looked at again in the next epoch.
        if (block.timestamp > head.timestamp - confirm) return;
        const age = Math.max(0, this.#env.clock.now() / 1000 - time);
        const lag = head.timestamp - age - block.timestamp;
        if (block.hash !== blockHash || lag > MOST_BLOCK_LAG_SECONDS) this.#wrongBlock.set(ed25519Hex, known);
        // It may have been our own chain that was reorganised.
        else this.#wrongBlock.delete(ed25519Hex);
      },
      // No endpoint answers: nothing was learnt.
      () => undefined,
    );
  }
}
