// SPDX-License-Identifier: AGPL-3.0-or-later
// Votes that came in, each held against the quorum as this node draws it (spec/chain §4.19). What cannot matter here is
// refused before any signature is looked at, and there is one place for each voter, so that a flood fills nothing.
import {
  type ChainView,
  epochAt,
  type NodeRecord,
  type Quorum,
  StateAction,
  type Vote,
} from '@allium/chain/chain-view';
import type { VoteMessage } from '@allium/chain/vote-message';
import { domainSeparator, recoverSigner, voteDigest } from '@allium/chain/votes';
import type { Clock } from '@allium/protocol/env';

/**
 * `new`: kept. `known`: there is a vote in its place. `stale`, `early`: of a state or an epoch that is over, or that this
 * node has not seen yet, perhaps since it lags. `other`: of a quorum that this node has no part in. `invalid`: nobody
 * with the same view of the chain can have sent it in good faith.
 */
export type VoteVerdict = 'new' | 'known' | 'stale' | 'early' | 'other' | 'invalid';

/** All votes for one action on one state of a node in one epoch. */
export interface Tally {
  readonly nodeId: number;
  readonly epoch: number;
  readonly stateNonce: number;
  readonly action: StateAction;
  readonly threshold: number;
  /** Ascending by index. */
  readonly votes: readonly Vote[];
}

interface Entry {
  readonly nodeId: number;
  readonly epoch: number;
  readonly stateNonce: number;
  readonly action: StateAction;
  quorum: Quorum;
  readonly votes: Map<number, Vote>;
}

export class VotePool {
  readonly #view: ChainView;
  readonly #clock: Clock;
  /** Of this node: it may not be drawn yet, or no more. */
  readonly #ownNodeId: () => number | undefined;
  readonly #domain: Uint8Array;
  readonly #entries = new Map<string, Entry>();

  constructor(parts: { view: ChainView; ownNodeId: () => number | undefined }, clock: Clock) {
    const { chainId, registry } = parts.view.network;
    this.#view = parts.view;
    this.#ownNodeId = parts.ownNodeId;
    this.#clock = clock;
    this.#domain = domainSeparator(chainId, registry);
  }

  /** Votes held. */
  get size(): number {
    let count = 0;
    for (const { votes } of this.#entries.values()) count += votes.size;
    return count;
  }

  offer(message: VoteMessage): VoteVerdict {
    const { nodeId, epoch, stateNonce, action, index } = message;
    const current = this.#view.epochView()?.epoch;
    if (current === undefined) return 'early';
    if (epoch < current - 1) return 'stale';
    if (epoch > current) {
      // Others may act on an epoch a moment before we do.
      return epoch <= epochAt(this.#view.network, this.#clock.now() / 1000) + 1 ? 'early' : 'invalid';
    }
    const node = this.#view.nodes().get(nodeId);
    if (node === undefined) return this.#view.isFresh() ? 'invalid' : 'early';
    if (stateNonce !== node.stateNonce) return stateNonce < node.stateNonce ? 'stale' : 'early';
    if (!isLegal(node, action)) return 'invalid';
    const quorum = this.#view.quorumOf(nodeId, epoch);
    if (quorum?.threshold === undefined) return 'invalid';
    const own = this.#ownNodeId();
    if (nodeId !== own && !quorum.members.some((member) => member.nodeId === own)) return 'other';
    const voter = quorum.members.find((member) => member.index === index);
    if (voter === undefined) return 'invalid';
    const key = keyOf(message);
    if (this.#entries.get(key)?.votes.has(index) === true) return 'known';
    if (recoverSigner(voteDigest(this.#domain, message), message.signature) !== voter.votingKey) {
      return 'invalid';
    }
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { nodeId, epoch, stateNonce, action, quorum, votes: new Map() };
      this.#entries.set(key, entry);
    }
    entry.votes.set(index, { index, reasons: message.reasons, signature: message.signature });
    return 'new';
  }

  /** Forgets what is on the chain or dead. */
  prune(): void {
    const current = this.#view.epochView()?.epoch ?? 0;
    const nodes = this.#view.nodes();
    for (const [key, entry] of this.#entries) {
      const { nodeId, epoch, stateNonce } = entry;
      const isAlive = epoch >= current - 1 && nodes.get(nodeId)?.stateNonce === stateNonce;
      const quorum = isAlive ? this.#view.quorumOf(nodeId, epoch) : undefined;
      if (quorum?.threshold === undefined) {
        this.#entries.delete(key);
        continue;
      }
      // A reorganisation may have drawn others, and a voter may have another key now: the registry would refuse its vote.
      const keys = new Map(quorum.members.map(({ index, votingKey }) => [index, votingKey]));
      for (const { index, votingKey } of entry.quorum.members) {
        if (keys.get(index) !== votingKey) entry.votes.delete(index);
      }
      entry.quorum = quorum;
    }
  }

  tally(vote: Pick<VoteMessage, 'nodeId' | 'epoch' | 'stateNonce' | 'action'>): Tally | undefined {
    const entry = this.#entries.get(keyOf(vote));
    return entry === undefined ? undefined : tallyOf(entry);
  }

  /** Whether this very vote is held. */
  has(vote: VoteMessage): boolean {
    return this.#entries.get(keyOf(vote))?.votes.has(vote.index) === true;
  }

  /** Of which the threshold is reached. */
  decided(): Tally[] {
    return [...this.#entries.values()]
      .map(tallyOf)
      .filter(({ votes, threshold }) => votes.length >= threshold);
  }
}

/** spec/chain §4.11. */
function isLegal({ state }: NodeRecord, action: StateAction): boolean {
  if (state === 'active') return action === StateAction.decommission;
  return state === 'decommissioned' && action !== StateAction.decommission;
}

function tallyOf({ nodeId, epoch, stateNonce, action, quorum, votes }: Entry): Tally {
  return {
    nodeId,
    epoch,
    stateNonce,
    action,
    threshold: quorum.threshold as number,
    votes: [...votes.values()].sort((a, b) => a.index - b.index),
  };
}

const keyOf = ({
  nodeId,
  epoch,
  stateNonce,
  action,
}: Pick<VoteMessage, 'nodeId' | 'epoch' | 'stateNonce' | 'action'>) =>
  `${nodeId}/${epoch}/${stateNonce}/${action}`;
