// SPDX-License-Identifier: MIT
// What an attack on a network costs and how likely it succeeds (spec/chain §4.25): stakes for a share of the nodes, and the
// chance that a quorum or a swarm, drawn without replacement, falls to whoever holds that share.

export interface ShareCost {
  /** Nodes that the attacker must add to those of honest operators. */
  readonly nodes: number;
  /** Tokens to lock. */
  readonly tokens: number;
  /** Epochs that the entry limit makes it take. */
  readonly epochs: number;
}

/** @throws RangeError */
export function shareCost(options: {
  /** 0 … 1, of all nodes afterwards; 1 excluded. */
  readonly share: number;
  readonly honestNodes: number;
  /** Tokens for one node. */
  readonly stake: number;
  /** New nodes per epoch, in 1/10,000 of the active ones (§4.3); at least ten may always enter (§4.5). */
  readonly registrationBps: number;
}): ShareCost {
  const { share, honestNodes, stake, registrationBps } = options;
  if (!(share >= 0 && share < 1)) throw new RangeError('the share must be at least 0 and less than 1');
  // Less a hair, so that 0.5 / (1 − 0.5) of 1500 is 1500.
  const nodes = Math.max(0, Math.ceil((share * honestNodes) / (1 - share) - 1e-9));
  let epochs = 0;
  for (let entered = 0; entered < nodes; epochs++) {
    entered += Math.max(10, Math.floor(((honestNodes + entered) * registrationBps) / 10_000));
  }
  return { nodes, tokens: nodes * stake, epochs };
}

/** Votes that a quorum of that size needs (§4.9). */
export const quorumThreshold = (size: number) => Math.floor((2 * size) / 3) + 1;

export interface QuorumChances {
  readonly threshold: number;
  /** The attacker alone decides. */
  readonly capture: number;
  /** The attacker can hold up a decision for an epoch. */
  readonly block: number;
}

/** Chances for the quorum of one target in one epoch. @throws RangeError */
export function quorumChances(options: {
  readonly nodes: number;
  readonly share: number;
  readonly quorumSize: number;
}): QuorumChances {
  const { nodes, share, quorumSize } = options;
  const malicious = Math.round(share * nodes);
  // The target, an honest node, has no seat.
  const size = Math.min(quorumSize, nodes - 1);
  const threshold = quorumThreshold(size);
  return {
    threshold,
    capture: atLeast(threshold, size, malicious, nodes - 1),
    block: atLeast(size - threshold + 1, size, malicious, nodes - 1),
  };
}

export interface SwarmChances {
  /** At least one member: it sees the sizes and times of an account's messages, and that account's id. */
  readonly any: number;
  /** At least half: what they agree to hide, a client that asks one member has an even chance not to see. */
  readonly half: number;
  /** All: messages can be lost for good. */
  readonly all: number;
}

/** Chances for one swarm. @throws RangeError */
export function swarmChances(options: {
  readonly nodes: number;
  readonly share: number;
  readonly swarmSize: number;
}): SwarmChances {
  const { nodes, share, swarmSize } = options;
  const malicious = Math.round(share * nodes);
  const least = (count: number) => atLeast(count, swarmSize, malicious, nodes);
  return { any: least(1), half: least(Math.ceil(swarmSize / 2)), all: least(swarmSize) };
}

/**
 * Chance that `draws` nodes, drawn from `population` without replacement, hold at least `least` of the `marked`.
 * @throws RangeError
 */
export function atLeast(least: number, draws: number, marked: number, population: number): number {
  for (const value of [least, draws, marked, population]) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError('numbers of nodes are whole and not negative');
  }
  if (draws > population || marked > population) throw new RangeError('more nodes than there are');
  let sum = 0;
  for (let hit = Math.max(least, draws - (population - marked)); hit <= Math.min(draws, marked); hit++) {
    sum += Math.exp(
      choose(marked, hit) + choose(population - marked, draws - hit) - choose(population, draws),
    );
  }
  return Math.min(1, sum);
}

/** ln of n over k. */
function choose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= k; i++) sum += Math.log((n - k + i) / i);
  return sum;
}
