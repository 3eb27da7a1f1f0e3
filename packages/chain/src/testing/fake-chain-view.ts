// SPDX-License-Identifier: MIT
// A chain set by hand, for tests of what follows the chain: no contract, no endpoint, no time of its own.
import type { Cancel } from '@allium/protocol/env';
import { runAssignment, type SwarmMap } from '@allium/protocol/swarm/assignment';
import {
  type ChainBlock,
  type ChainNetwork,
  type ChainParameters,
  type ChainView,
  type ChainWriter,
  type EpochView,
  epochStart,
  type Hex,
  INFINITE_EPOCH,
  type NodeRecord,
  type Quorum,
  type Slot,
  type StateChange,
  type Submission,
  type Version,
} from '../chain-view.ts';
import { PRESETS } from '../presets.ts';

const NETWORK: ChainNetwork = {
  chainId: 31337,
  registry: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
  deploymentBlock: 1n,
  t0: 1_700_000_000,
  epochSeconds: 30,
  revealSeconds: 6,
  preset: 'local',
};

/** What must be given of a record; the rest has values of a node that is active since the epoch 2. */
export type NodeFacts = Partial<NodeRecord> & Pick<NodeRecord, 'nodeId' | 'ed25519Hex'>;

export class FakeChainView implements ChainView {
  readonly network: ChainNetwork;
  readonly #nodes = new Map<number, NodeRecord>();
  readonly #epochs = new Map<number, EpochView>();
  readonly #quorums = new Map<string, Quorum>();
  readonly #proposers = new Map<number, number>();
  readonly #blocks = new Map<bigint, ChainBlock>();
  readonly #epochListeners = new Set<(next: EpochView, previous: EpochView | undefined) => void>();
  readonly #nodeListeners = new Set<() => void>();
  #parameters: ChainParameters = PRESETS.local.params;
  #current: EpochView | undefined;
  #previous: EpochView | undefined;
  #head: ChainBlock | undefined;
  #safeHead: ChainBlock | undefined;
  #minimumVersion: Version | undefined;
  #fresh = true;

  constructor(network: Partial<ChainNetwork> = {}) {
    this.network = { ...NETWORK, ...network };
  }

  /** Adds a node, or replaces the one of this id. */
  setNode(facts: NodeFacts): NodeRecord {
    const address = (kind: number) =>
      `0x${kind.toString(16).padStart(2, '0')}${facts.nodeId.toString(16).padStart(38, '0')}` as Hex;
    const record: NodeRecord = {
      operator: address(1),
      votingKey: address(2),
      beaconAnchor: `0x${'00'.repeat(32)}`,
      feeBps: 0,
      stake: this.#parameters.stakingRequirement,
      contributors: [
        { staker: address(1), beneficiary: address(1), amount: this.#parameters.stakingRequirement },
      ],
      state: 'active',
      stateNonce: 0,
      valid: true,
      slot: facts.nodeId - 1,
      from: 2,
      until: INFINITE_EPOCH,
      registeredAt: this.network.t0,
      activeSince: this.network.t0,
      decommissionedAt: 0,
      credit: this.#parameters.creditInitial,
      payable: true,
      unlockAt: 0,
      reasonsAll: 0,
      reasonsAny: 0,
      missedTurns: 0,
      ...facts,
    };
    this.#nodes.set(facts.nodeId, record);
    for (const listener of [...this.#nodeListeners]) listener();
    return record;
  }

  /** Changes fields of a node that exists. */
  changeNode(nodeId: number, changes: Partial<NodeRecord>): NodeRecord {
    const record = this.#nodes.get(nodeId);
    if (record === undefined) throw new RangeError(`there is no node ${nodeId}`);
    return this.setNode({ ...record, ...changes });
  }

  /** Brings an epoch into force, with the valid nodes whose membership contains it, unless `facts` says otherwise. */
  setEpoch(epoch: number, facts: Partial<EpochView> = {}): EpochView {
    const members = [...this.#nodes.values()]
      .filter((node) => node.valid && node.from <= epoch && epoch < node.until)
      .sort((a, b) => a.nodeId - b.nodeId);
    const slots: Slot[] = [];
    for (const { nodeId, votingKey, slot, from, until } of this.#nodes.values()) {
      slots[slot] = { nodeId, votingKey, from, until };
    }
    const view: EpochView = {
      epoch,
      startsAt: epochStart(this.network, epoch),
      seed: new Uint8Array(32).fill(epoch),
      slotCount: slots.length,
      slots,
      quorumSize: this.#parameters.quorumSize,
      minVoters: this.#parameters.minVoters,
      swarms: this.#swarmsOf(members.map((node) => node.ed25519Hex)),
      memberIds: members.map((node) => node.nodeId),
      proposerId: undefined,
      revealed: false,
      ...facts,
    };
    this.#epochs.set(epoch, view);
    const before = this.#current;
    if (before !== undefined && before.epoch !== epoch) this.#previous = before;
    this.#current = view;
    for (const listener of [...this.#epochListeners]) listener(view, before);
    return view;
  }

  /** The members of a quorum by node id, in the order of the draw. */
  setQuorum(nodeId: number, epoch: number, memberIds: readonly number[], threshold?: number): Quorum {
    const members = memberIds.map((id, index) => {
      const votingKey = this.#nodes.get(id)?.votingKey;
      if (votingKey === undefined) throw new RangeError(`there is no node ${id}`);
      return { index, nodeId: id, votingKey };
    });
    const quorum: Quorum = {
      nodeId,
      epoch,
      members,
      threshold: threshold ?? Math.floor((2 * members.length) / 3) + 1,
    };
    this.#quorums.set(`${nodeId}/${epoch}`, quorum);
    return quorum;
  }

  setProposer(epoch: number, nodeId: number): void {
    this.#proposers.set(epoch, nodeId);
  }

  setHead(block: ChainBlock): void {
    this.#head = block;
    this.#blocks.set(block.number, block);
  }

  /** Otherwise the head is regarded as safe. */
  setSafeHead(block: ChainBlock): void {
    this.#safeHead = block;
    this.#blocks.set(block.number, block);
  }

  setMinimumVersion(version: Version): void {
    this.#minimumVersion = version;
  }

  setFresh(fresh: boolean): void {
    this.#fresh = fresh;
  }

  setParameters(parameters: Partial<ChainParameters>): void {
    this.#parameters = { ...this.#parameters, ...parameters };
  }

  epochView(): EpochView | undefined {
    return this.#current;
  }

  previousEpochView(): EpochView | undefined {
    return this.#previous;
  }

  nodes(): ReadonlyMap<number, NodeRecord> {
    return this.#nodes;
  }

  nodeByEd25519(ed25519Hex: string): NodeRecord | undefined {
    for (const node of this.#nodes.values()) {
      const finished = node.state === 'deregistered' || node.state === 'exited';
      if (node.ed25519Hex === ed25519Hex && node.valid && !finished) return node;
    }
    return undefined;
  }

  parameters(): ChainParameters {
    return this.#parameters;
  }

  quorumOf(nodeId: number, epoch: number): Quorum | undefined {
    return this.#quorums.get(`${nodeId}/${epoch}`);
  }

  proposerOf(epoch: number): NodeRecord | undefined {
    const id = this.#proposers.get(epoch);
    return id === undefined ? undefined : this.#nodes.get(id);
  }

  head(): ChainBlock | undefined {
    return this.#head;
  }

  safeHead(): ChainBlock | undefined {
    return this.#safeHead ?? this.#head;
  }

  minimumVersion(): Version | undefined {
    return this.#minimumVersion;
  }

  isFresh(): boolean {
    return this.#fresh;
  }

  async blockAt(number: bigint): Promise<ChainBlock | undefined> {
    return this.#blocks.get(number);
  }

  onEpoch(listener: (next: EpochView, previous: EpochView | undefined) => void): Cancel {
    this.#epochListeners.add(listener);
    return () => this.#epochListeners.delete(listener);
  }

  onNodes(listener: () => void): Cancel {
    this.#nodeListeners.add(listener);
    return () => this.#nodeListeners.delete(listener);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  #swarmsOf(keys: readonly string[]): SwarmMap {
    const kept = new Map<bigint, string[]>();
    const placed = new Set<string>();
    for (const [id, members] of this.#current?.swarms ?? []) {
      const stay = members.filter((key) => keys.includes(key));
      for (const key of stay) placed.add(key);
      kept.set(id, stay);
    }
    return runAssignment(
      kept,
      keys.filter((key) => !placed.has(key)),
      1n,
    ).swarms;
  }
}

/** Keeps what it was asked to send; answers with `answer`. */
export class FakeChainWriter implements ChainWriter {
  readonly address: Hex;
  readonly changes: StateChange[] = [];
  readonly reveals: Hex[] = [];
  answer: Submission = { outcome: 'done', hash: `0x${'00'.repeat(32)}`, gasUsed: 150_000n };
  wei = 10n ** 18n;

  constructor(address: Hex) {
    this.address = address;
  }

  async submitStateChange(change: StateChange): Promise<Submission> {
    this.changes.push(change);
    return this.answer;
  }

  async reveal(preimage: Hex): Promise<Submission> {
    this.reveals.push(preimage);
    return this.answer;
  }

  async poke(): Promise<Submission> {
    return this.answer;
  }

  async balance(): Promise<bigint> {
    return this.wei;
  }

  async stop(): Promise<void> {}
}
