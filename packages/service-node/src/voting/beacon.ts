// SPDX-License-Identifier: AGPL-3.0-or-later
// Reveals the pre-image of this node when it is its turn (spec/chain §4.7, §4.19), and helps others whose transaction does
// not come through.

import {
  type ChainView,
  type ChainWriter,
  epochAt,
  epochStart,
  type Hex,
  type NodeRecord,
} from '@allium/chain/chain-view';
import { bytesOf, hexOf, keccak256 } from '@allium/chain/packed';
import { decodeReveal, encodeReveal, type RevealMessage } from '@allium/chain/vote-message';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { type Cancel, delay, type Env, sample } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member } from '@allium/protocol/membership';
import { Background } from '../background.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { Offenders } from './offenders.ts';

// From the specification.
/** The proposer submits within so long after the start of its epoch, unless a third of the window is shorter. */
const FIRST_MS = 10_000;
const HELPERS = 3;
const NO_PART: Hex = `0x${'00'.repeat(32)}`;

// Ours.
const TIMEOUT_MS = 5_000;
/** A window of reveals has so many parts: the proposer's third, a moment for helpers to differ by, and the rest. */
const HELPERS_DIFFER = 6;

export interface BeaconParts {
  readonly view: ChainView;
  readonly writer: ChainWriter;
  /** Of this node's chains. */
  readonly preimageOf: (anchor: Hex) => Hex | undefined;
  readonly ownHex: string;
  readonly omq: Pick<OmqEndpoint, 'request'>;
  readonly swarm: Pick<Swarm, 'membership'>;
}

export class Beacon {
  readonly #parts: BeaconParts;
  readonly #env: Env;
  readonly #offenders: Offenders;
  readonly #running: Background;
  /** The epoch whose turn this node took last. */
  #begun: number | undefined;
  /** The epoch for which we help, once each. */
  #helped: number | undefined;
  #cancel: Cancel | undefined;
  #turn: Cancel | undefined;
  #stopping = new AbortController();
  #revealed = 0;
  #missed = 0;

  constructor(parts: BeaconParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#running = new Background('revealing a seed failed', env, () => this.#stopping.signal.aborted);
    this.#offenders = new Offenders(env.clock);
  }

  /** Turns of this node that it revealed, and that it could not. */
  get turns(): { readonly revealed: number; readonly missed: number } {
    return { revealed: this.#revealed, missed: this.#missed };
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#cancel = this.#parts.view.onEpoch(() => this.#prepare());
    this.#prepare();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    this.#turn?.();
    await this.#running.settled();
  }

  /** Handler of `sn.chain_reveal`. @returns a word about it; undefined: no reply */
  answer(peerKeyHex: string, part: Uint8Array | undefined): [string] | undefined {
    if (this.#offenders.isDropped(peerKeyHex)) return undefined;
    let message: RevealMessage;
    try {
      message = decodeReveal(part ?? new Uint8Array(0));
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#offenders.note(peerKeyHex);
      return ['invalid'];
    }
    const { network } = this.#parts.view;
    const { epoch, preimage } = message;
    if (epoch !== this.#epochNow() || !this.#isWindowOpen(epoch)) return ['stale'];
    const proposer = this.#parts.view.proposerOf(epoch);
    if (proposer === undefined) return ['early'];
    if (proposer.beaconAnchor === preimage || this.#helped === epoch) return ['OK'];
    if (hexOf(keccak256(bytesOf(preimage, 32))) !== proposer.beaconAnchor) {
      this.#offenders.note(peerKeyHex);
      return ['invalid'];
    }
    this.#helped = epoch;
    const wait = this.#env.random.unit() * ((network.revealSeconds * 1000) / HELPERS_DIFFER);
    this.#running.run(
      delay(this.#env.clock, wait, this.#stopping.signal).then(() => this.#submit(epoch, preimage, proposer)),
    );
    return ['OK'];
  }

  /** The proposer of an epoch is known when the one before it is in force. */
  #prepare(): void {
    const { view, ownHex } = this.#parts;
    const current = view.epochView()?.epoch;
    if (current === undefined) return;
    const epoch = current + 1;
    // A reorganisation may have given the turn to another, unless it began.
    if (this.#begun === epoch) return;
    this.#turn?.();
    const proposer = view.proposerOf(epoch);
    if (proposer === undefined || proposer.ed25519Hex !== ownHex || proposer.beaconAnchor === NO_PART) return;
    const starts = epochStart(view.network, epoch) * 1000;
    const early = Math.min(FIRST_MS, (view.network.revealSeconds * 1000) / 3);
    const wait = starts + early * this.#env.random.unit() - this.#env.clock.now();
    // Making the chain takes longer than the turn leaves time for; it is kept.
    this.#parts.preimageOf(proposer.beaconAnchor);
    // Started in the middle of the window: at once.
    this.#turn = this.#env.clock.after(Math.max(0, wait), () =>
      this.#running.run(this.#takeTurn(epoch, proposer.nodeId)),
    );
  }

  async #takeTurn(epoch: number, nodeId: number): Promise<void> {
    const { view, preimageOf } = this.#parts;
    const own = view.nodes().get(nodeId);
    if (own === undefined || !this.#isWindowOpen(epoch)) return;
    this.#begun = epoch;
    const preimage = preimageOf(own.beaconAnchor);
    if (preimage === undefined) {
      this.#missed++;
      this.#env.log.error(
        { epoch },
        'it is the turn of this node to reveal a seed, but beacon.json has no chain for it: bring the file back from a ' +
          'backup, or register again',
      );
      return;
    }
    const submitted = this.#submit(epoch, preimage, own);
    const third = (epochStart(view.network, epoch) + view.network.revealSeconds / 3) * 1000;
    await delay(this.#env.clock, Math.max(0, third - this.#env.clock.now()), this.#stopping.signal);
    if (!this.#isRevealed(nodeId, preimage)) {
      this.#env.log.info({ epoch }, 'the seed is not on the chain yet: other nodes are asked to help');
      const bytes = encodeReveal({ epoch, preimage });
      await Promise.all(this.#helpers().map((member) => this.#send(member, bytes)));
    }
    await submitted;
    const end = (epochStart(view.network, epoch) + view.network.revealSeconds) * 1000;
    await delay(this.#env.clock, Math.max(0, end - this.#env.clock.now()), this.#stopping.signal);
    if (this.#isRevealed(nodeId, preimage)) this.#revealed++;
    else {
      this.#missed++;
      this.#env.log.warn(
        { epoch },
        'this node missed its turn to reveal a seed; three in a row are a failed test',
      );
    }
  }

  async #submit(epoch: number, preimage: Hex, { nodeId }: NodeRecord): Promise<void> {
    if (this.#isRevealed(nodeId, preimage) || !this.#isWindowOpen(epoch)) return;
    const submission = await this.#parts.writer.reveal(preimage, this.#stopping.signal);
    if (submission.outcome === 'done') this.#env.log.debug({ epoch }, 'a seed was revealed');
    if ('reason' in submission) {
      this.#env.log.warn({ epoch, reason: submission.reason }, 'a seed could not be brought to the chain');
    }
  }

  /** Whether the chain has it: a reveal moves the anchor. */
  #isRevealed(nodeId: number, preimage: Hex): boolean {
    return this.#parts.view.nodes().get(nodeId)?.beaconAnchor === preimage;
  }

  #epochNow(): number {
    return epochAt(this.#parts.view.network, this.#env.clock.now() / 1000);
  }

  #isWindowOpen(epoch: number): boolean {
    const { network } = this.#parts.view;
    const now = this.#env.clock.now() / 1000;
    const starts = epochStart(network, epoch);
    return now >= starts && now < starts + network.revealSeconds;
  }

  #helpers(): Member[] {
    const { swarm, ownHex } = this.#parts;
    const others = swarm.membership.members.filter(
      (member) => member.active && member.ed25519Hex !== ownHex && hasAddress(member),
    );
    return sample(others, HELPERS, this.#env.random);
  }

  async #send(member: Member, bytes: Uint8Array): Promise<void> {
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal };
    await ask(this.#parts.omq, peerOf(member), 'sn.chain_reveal', [bytes], options);
  }
}
