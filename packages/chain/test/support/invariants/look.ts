// SPDX-License-Identifier: MIT
// What the contract Probe tells, taken apart (layout: spec/chain §4.4).
import { encodeFunctionData } from 'viem';
import type { Hex } from '../../../src/chain-view.ts';
import { abi as probeAbi } from '../generated/Probe.ts';

interface SeenContributor {
  readonly staker: Hex;
  readonly beneficiary: Hex;
  readonly amount: bigint;
  readonly withdrawn: boolean;
  readonly claimed: bigint;
}

export interface SeenNode {
  readonly nodeId: number;
  readonly operator: Hex;
  readonly slot: number;
  readonly state: number;
  readonly feeBps: bigint;
  readonly stateNonce: number;
  readonly registeredAt: number;
  readonly decommissionedAt: number;
  readonly credit: number;
  readonly unlockAt: number;
  readonly lockedUntil: number;
  readonly isPayable: boolean;
  readonly reward: bigint;
  readonly accSnap: bigint;
  readonly stake: bigint;
  readonly penalty: bigint;
  readonly anchor: Hex;
  readonly slotNodeId: number;
  readonly from: number;
  readonly until: number;
  readonly contributors: readonly SeenContributor[];
}

export interface QueueEntry {
  readonly time: number;
  readonly nodeId: number;
}

export interface Look {
  readonly time: number;
  readonly supply: bigint;
  readonly held: {
    readonly registry: bigint;
    readonly pools: bigint;
    readonly pool: bigint;
    readonly others: bigint;
  };
  /** S of the running epoch and of the next. */
  readonly slotCounts: readonly [number, number];
  readonly params: {
    readonly creditMax: number;
    readonly minGrace: number;
    readonly rateNum: bigint;
    readonly rateDen: bigint;
    readonly deactivationBps: number;
    readonly requirement: bigint;
  };
  readonly accPerNode: bigint;
  readonly allocated: bigint;
  readonly lastAccrual: number;
  readonly payableCount: number;
  readonly activeCount: number;
  readonly counterEpoch: number;
  readonly activeBase: number;
  readonly nodes: readonly SeenNode[];
  readonly payQueue: readonly QueueEntry[];
  readonly exitQueue: readonly QueueEntry[];
  readonly funds: readonly {
    readonly state: number;
    readonly contributed: bigint;
    readonly members: bigint;
  }[];
}

export interface ProbeAddresses {
  readonly registry: Hex;
  readonly pools: Hex;
  readonly token: Hex;
  readonly rewardPool: Hex;
  readonly holders: readonly Hex[];
}

export function lookCall(addresses: ProbeAddresses): Hex {
  return encodeFunctionData({ abi: probeAbi, functionName: 'look', args: [addresses] });
}

const bits = (word: bigint, at: number, width: number) => (word >> BigInt(at)) & ((1n << BigInt(width)) - 1n);
const num = (word: bigint, at: number, width: number) => Number(bits(word, at, width));
const address = (word: bigint): Hex => `0x${bits(word, 0, 160).toString(16).padStart(40, '0')}`;

/** `data`: what `look` returned. */
export function readLook(data: Hex): Look {
  const wordAt = (index: number) => BigInt(`0x${data.slice(2 + index * 64, 66 + index * 64)}`);
  const arrays = [0, 1, 2, 3, 4].map((place) => {
    const at = Number(wordAt(place)) / 32;
    return Array.from({ length: Number(wordAt(at)) }, (_, index) => wordAt(at + 1 + index));
  });
  const [facts, nodes, payQueue, exitQueue, funds] = arrays as [
    bigint[],
    bigint[],
    bigint[],
    bigint[],
    bigint[],
  ];
  const fact = (index: number) => facts[index] as bigint;
  const [p0, p1, a0, a1] = [fact(8), fact(9), fact(11), fact(12)];
  return {
    time: Number(fact(0)),
    supply: fact(1),
    held: { registry: fact(2), pools: fact(3), pool: fact(4), others: fact(5) },
    slotCounts: [Number(fact(6)), Number(fact(7))],
    params: {
      requirement: bits(p0, 0, 64),
      creditMax: num(p1, 32, 32),
      minGrace: num(p1, 96, 32),
      rateDen: bits(p1, 128, 32),
      rateNum: bits(p1, 160, 32),
      deactivationBps: num(p1, 208, 16),
    },
    accPerNode: bits(a0, 0, 128),
    allocated: bits(a0, 128, 128),
    lastAccrual: num(a1, 0, 40),
    payableCount: num(a1, 40, 32),
    activeCount: num(a1, 72, 32),
    counterEpoch: num(a1, 104, 32),
    activeBase: num(a1, 200, 32),
    nodes: readNodes(nodes),
    payQueue: payQueue.map(readEntry),
    exitQueue: exitQueue.map(readEntry),
    funds: Array.from({ length: funds.length / 3 }, (_, i) => ({
      state: Number(funds[i * 3]),
      contributed: funds[i * 3 + 1] as bigint,
      members: funds[i * 3 + 2] as bigint,
    })),
  };
}

function readEntry(word: bigint): QueueEntry {
  return { time: num(word, 32, 40), nodeId: num(word, 0, 32) };
}

function readNodes(words: readonly bigint[]): SeenNode[] {
  const nodes: SeenNode[] = [];
  let at = 0;
  const next = () => words[at++] as bigint;
  while (at < words.length) {
    const [w0, w1, , w3, w4, w5, slot] = [next(), next(), next(), next(), next(), next(), next()];
    const contributors = Array.from({ length: num(w0, 216, 8) }, (): SeenContributor => {
      const [c0, c1] = [next(), next()];
      return {
        staker: address(c0),
        amount: bits(c0, 160, 88),
        withdrawn: c0 >> 248n !== 0n,
        beneficiary: address(c1),
        claimed: bits(c1, 160, 96),
      };
    });
    nodes.push({
      nodeId: nodes.length + 1,
      operator: address(w0),
      slot: num(w0, 160, 32),
      state: num(w0, 192, 8),
      feeBps: bits(w0, 200, 16),
      stateNonce: num(w0, 224, 32),
      registeredAt: num(w1, 0, 40),
      decommissionedAt: num(w1, 80, 40),
      credit: num(w1, 120, 32),
      unlockAt: num(w1, 152, 40),
      lockedUntil: num(w1, 192, 40),
      isPayable: (num(w1, 248, 8) & 1) === 1,
      reward: bits(w3, 0, 128),
      accSnap: bits(w3, 128, 128),
      stake: bits(w4, 0, 128),
      penalty: bits(w4, 200, 56),
      anchor: `0x${w5.toString(16).padStart(64, '0')}`,
      slotNodeId: num(slot, 64, 32),
      from: num(slot, 32, 32),
      until: num(slot, 0, 32),
      contributors,
    });
  }
  return nodes;
}

/** W of spec/chain §4.12. */
export function earned(node: SeenNode, accPerNode: bigint): bigint {
  return node.reward + (node.isPayable ? (accPerNode - node.accSnap) / 10n ** 18n : 0n);
}

/** What the contributor was ever owed. */
export function entitlement(node: SeenNode, index: number, accPerNode: bigint): bigint {
  const total = earned(node, accPerNode);
  const fee = (total * node.feeBps) / 10_000n;
  const amount = node.contributors[index]?.amount ?? 0n;
  return ((total - fee) * amount) / node.stake + (index === 0 ? fee : 0n);
}
