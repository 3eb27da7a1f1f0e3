// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node of a chain network does to govern it (spec/chain §4.18, §4.19), put together: judges, votes, reveals, and
// watches its money for gas. Loaded only where there is a chain.
import { PRESETS } from '@allium/chain/presets';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import type { Env } from '@allium/protocol/env';
import type { ChainAccess } from '../membership/chain-network.ts';
import type { NetworkCommand } from '../membership/node-network.ts';
import type { ProofBook } from '../membership/proof-book.ts';
import type { NodeKeys } from '../node-keys.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { PeerTests } from '../testing/peer-tests.ts';
import { Beacon } from './beacon.ts';
import { BeaconStore } from './beacon-store.ts';
import { GasTank } from './gas-tank.ts';
import { Judge } from './judge.ts';
import { Vigil } from './vigil.ts';
import { type VoteCounts, Voting } from './voting.ts';

export interface GovernanceParts {
  readonly chain: ChainAccess & { readonly book: ProofBook };
  readonly keys: NodeKeys;
  /** Where `beacon.json` is. */
  readonly dataDir: string;
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
}

/** For metrics. */
export interface GovernanceFigures {
  readonly votes: VoteCounts;
  /** Votes held at present. */
  readonly votesHeld: number;
  /** Seats in quorums of the epoch in force and the one before. */
  readonly seats: number;
  readonly turns: { readonly revealed: number; readonly missed: number };
  /** In wei. */
  readonly gasBalance: bigint | undefined;
  readonly gasDaysLeft: number | undefined;
}

export class Governance {
  /** Judges for the tests of peers as well. */
  readonly judge: Judge;
  readonly #parts: GovernanceParts;
  readonly #env: Env;
  readonly #vigil: Vigil;
  #voting: Voting | undefined;
  #beacon: Beacon | undefined;
  #tank: GasTank | undefined;

  constructor(parts: GovernanceParts, env: Env) {
    const { chain, keys } = parts;
    const { timings } = PRESETS[chain.view.network.preset];
    this.#parts = parts;
    this.#env = env;
    this.#vigil = new Vigil(chain.view, env);
    this.judge = new Judge(
      {
        view: chain.view,
        proofs: chain.book,
        ownHex: keys.ed25519Hex,
        validityMs: timings.proofValidity * 1000,
        vigil: this.#vigil,
      },
      env,
    );
  }

  /** Undefined: without a voting key this node judges, but does not vote. */
  get figures(): GovernanceFigures | undefined {
    if (this.#voting === undefined || this.#beacon === undefined) return undefined;
    return {
      votes: this.#voting.counts,
      votesHeld: this.#voting.held,
      seats: this.judge.seats.length,
      turns: this.#beacon.turns,
      gasBalance: this.#tank?.balance,
      gasDaysLeft: this.#tank?.daysLeft,
    };
  }

  /** Commands of the category `sn`, without that name. Before `start`. */
  commands({ book, clocks }: Pick<PeerTests, 'book' | 'clocks'>): Readonly<Record<string, NetworkCommand>> {
    const { chain, keys, dataDir, omq, swarm } = this.#parts;
    const { view, writer, votingKey } = chain;
    if (writer === undefined || votingKey === undefined) return {};
    const { timings } = PRESETS[view.network.preset];
    const { judge } = this;
    const ownHex = keys.ed25519Hex;
    const voting = new Voting(
      {
        view,
        writer,
        votingKey,
        ownHex,
        omq,
        swarm,
        judge,
        book,
        clocks,
        vigil: this.#vigil,
        timings: {
          repetition: timings.voteRepetition * 1000,
          stagger: timings.submissionStagger * 1000,
          validity: timings.proofValidity * 1000,
        },
      },
      this.#env,
    );
    const store = new BeaconStore(dataDir, keys.seed(), view.network);
    const preimageOf = (anchor: `0x${string}`) => store.preimageOf(anchor);
    const beacon = new Beacon({ view, writer, preimageOf, ownHex, omq, swarm }, this.#env);
    this.#voting = voting;
    this.#beacon = beacon;
    this.#tank = new GasTank({ writer, everyMs: view.network.epochSeconds * 1000 }, this.#env);
    return {
      chain_vote: (_, [part], { peerKeyHex }) => voting.answer(peerKeyHex, part),
      chain_reveal: (_, [part], { peerKeyHex }) => beacon.answer(peerKeyHex, part),
    };
  }

  start(): void {
    this.#vigil.start();
    this.judge.start();
    this.#voting?.start();
    this.#beacon?.start();
    this.#tank?.start();
  }

  async stop(): Promise<void> {
    this.#vigil.stop();
    this.judge.stop();
    await Promise.all([this.#voting?.stop(), this.#beacon?.stop(), this.#tank?.stop()]);
  }
}
