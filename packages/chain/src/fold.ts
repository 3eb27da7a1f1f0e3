// SPDX-License-Identifier: MIT
// From events to members, seeds and swarms (spec/chain §4.16, §4.20): a pure fold in (block, log index) order, so that
// everybody who reads the same chain holds the same state. It knows no clock: time passes with the events, and by `passTime`.
import { equal, fromHex, toHex } from '@allium/protocol/bytes';
import { ChainError } from './chain-error.ts';
import {
  type ChainNetwork,
  type EpochView,
  epochAt,
  epochStart,
  type Hex,
  type NodeRecord,
  type Slot,
  type Version,
} from './chain-view.ts';
import { drawProposer } from './draw.ts';
import { membersAt, nextSwarms, sameIds } from './epoch-members.ts';
import type { ChainEvent } from './events.ts';
import { bytesOf, hexOf, keccak256 } from './packed.ts';
import { creditAfter, type ParameterHistory, parametersAt, withParameter } from './parameters.ts';
import { boundKey } from './registration.ts';
import { genesisSeed, revealedSeed, skippedSeed } from './seeds.ts';

/** Views and snapshots are kept for so many epochs (spec/chain §4.16). */
export const KEPT_EPOCHS = 48;

/** Ours: more epochs than that cannot pass at once; 138 days of the local preset. */
const MAX_EPOCHS_AT_ONCE = 400_000;
/** Turns are counted so long after the newest reveal: fewer than the three in a row that are a failing test. */
const MAX_QUIET_EPOCHS = 2;
const NO_ANCHOR = `0x${'00'.repeat(32)}`;

/** The last block whose events are folded. */
export interface Cursor {
  readonly block: number;
  /** Empty at the deployment, when no block was read. */
  readonly hash: Hex | '';
  readonly timestamp: number;
}

interface RevealedSeed {
  readonly epoch: number;
  readonly seed: Uint8Array;
}

/** Everything that the fold remembers. Arrays and maps in it are shared between states and never changed. */
export interface FoldState {
  readonly cursor: Cursor;
  /** Place of the last event in the block of the cursor; −1: none. */
  readonly logIndex: number;
  /** By id − 1. */
  readonly records: readonly NodeRecord[];
  readonly slots: readonly Slot[];
  /** `from` of the first membership in each slot, which never falls. */
  readonly slotStarts: readonly number[];
  /** X25519 key, in hex, of each valid node that is neither deregistered nor exited → its id. */
  readonly holders: ReadonlyMap<string, number>;
  readonly parameters: ParameterHistory;
  /** The newest that governance announced; undefined: any. */
  readonly minimumVersion: Version | undefined;
  readonly lastSeed: RevealedSeed;
  /** Revealed for the epoch after `closed.epoch`. */
  readonly nextSeed: RevealedSeed | undefined;
  /** The newest epoch whose view is fixed. */
  readonly closed: EpochView | undefined;
  /** No membership begins or ends in the epochs after `closed` up to this one, this one excluded. */
  readonly quietUntil: number;
}

/** `records` and `slots` of the fold's own, which may be changed. */
type Owned = 'records' | 'slots' | 'slotStarts' | 'holders';
type Mutable = { -readonly [K in keyof FoldState]: FoldState[K] };

export class ChainFold {
  readonly network: ChainNetwork;
  #state: Mutable;
  /** Parts of the state that nobody else holds. */
  readonly #owned = new Set<Owned>();
  /** Newest last. */
  #views: EpochView[] = [];
  /** States before an epoch was closed, newest last; no two at one block. */
  #snapshots: FoldState[] = [];

  constructor(network: ChainNetwork, from: FoldState) {
    this.network = network;
    this.#state = { ...from };
    if (from.closed !== undefined) this.#views.push(from.closed);
  }

  /** The state before the first event. */
  static genesis(network: ChainNetwork, parameters: ParameterHistory): FoldState {
    return {
      cursor: { block: Number(network.deploymentBlock) - 1, hash: '', timestamp: network.t0 },
      logIndex: -1,
      records: [],
      slots: [],
      slotStarts: [],
      holders: new Map(),
      parameters,
      minimumVersion: undefined,
      lastSeed: { epoch: 0, seed: genesisSeed(network.chainId, network.registry) },
      nextSeed: undefined,
      closed: undefined,
      quietUntil: 0,
    };
  }

  get cursor(): Cursor {
    return this.#state.cursor;
  }

  get records(): readonly NodeRecord[] {
    return this.#state.records;
  }

  get slots(): readonly Slot[] {
    return this.#state.slots;
  }

  get parameters(): ParameterHistory {
    return this.#state.parameters;
  }

  get minimumVersion(): Version | undefined {
    return this.#state.minimumVersion;
  }

  /** Views of the newest epochs that are closed, newest last. */
  get views(): readonly EpochView[] {
    return this.#views;
  }

  /** States from which a reorganisation can be replayed, newest last. */
  get snapshots(): readonly FoldState[] {
    return this.#snapshots;
  }

  /** Of the epoch after the newest that is closed. */
  nextProposer(): NodeRecord | undefined {
    const { closed, slots, records } = this.#state;
    if (closed === undefined) return undefined;
    const epoch = closed.epoch + 1;
    const seat = drawProposer(closed.seed, epoch, slots, this.#slotCount(epoch));
    return seat && records[seat.nodeId - 1];
  }

  nodeByKey(x25519Hex: string): NodeRecord | undefined {
    const id = this.#state.holders.get(x25519Hex);
    return id === undefined ? undefined : this.#state.records[id - 1];
  }

  /** The state as it is; later events do not change it. */
  state(): FoldState {
    this.#owned.clear();
    return { ...this.#state };
  }

  /** A second fold that goes on from here without changing this one. */
  fork(): ChainFold {
    const fork = new ChainFold(this.network, this.state());
    fork.#views = [...this.#views];
    fork.#snapshots = [...this.#snapshots];
    return fork;
  }

  /**
   * Goes back to the newest snapshot at or before `block`.
   * @returns false when there is none: everything must be read again
   */
  rewind(block: number): boolean {
    const at = this.#snapshots.findLastIndex((snapshot) => snapshot.cursor.block <= block);
    const snapshot = this.#snapshots[at];
    if (snapshot === undefined) return false;
    this.#state = { ...snapshot };
    this.#owned.clear();
    this.#snapshots = this.#snapshots.slice(0, at);
    const closed = snapshot.closed?.epoch ?? -1;
    this.#views = this.#views.filter((view) => view.epoch <= closed);
    return true;
  }

  /** Closes every epoch e with start(e) + R ≤ `seconds`: no event before that time may follow. */
  passTime(seconds: number): void {
    const last = epochAt(this.network, seconds - this.network.revealSeconds);
    const first = (this.#state.closed?.epoch ?? -1) + 1;
    if (last - first >= MAX_EPOCHS_AT_ONCE) {
      throw new ChainError('inconsistent', `the chain's time jumps by ${last - first} epochs`);
    }
    if (last < first) return;
    if (this.#snapshots.at(-1)?.cursor.block !== this.#state.cursor.block) {
      this.#snapshots.push(this.state());
      if (this.#snapshots.length > KEPT_EPOCHS) this.#snapshots.shift();
    }
    for (let epoch = first; epoch <= last; epoch++) this.#close(epoch);
    this.#views = this.#views.slice(-KEPT_EPOCHS);
  }

  /** All events up to and including this block were applied. */
  reached(block: Cursor): void {
    if (block.block < this.#state.cursor.block) throw new RangeError('blocks are folded in ascending order');
    this.passTime(block.timestamp);
    if (block.block > this.#state.cursor.block) this.#state.logIndex = -1;
    this.#state.cursor = block;
  }

  /** @throws ChainError `inconsistent` for an event that cannot follow those before it; the fold is then useless */
  apply(event: ChainEvent): void {
    const { cursor, logIndex } = this.#state;
    const isLater = event.block > cursor.block || (event.block === cursor.block && event.logIndex > logIndex);
    if (!isLater) throw wrong(event, `comes after block ${cursor.block}, log ${logIndex}`);
    if (event.timestamp < cursor.timestamp) throw wrong(event, 'is older than the event before it');
    this.passTime(event.timestamp);
    this.#state.cursor = { block: event.block, hash: event.blockHash, timestamp: event.timestamp };
    this.#state.logIndex = event.logIndex;
    this.#dispatch(event);
  }

  #dispatch(event: ChainEvent): void {
    switch (event.type) {
      case 'registered':
        this.#register(event);
        break;
      case 'membership':
        this.#setMembership(event);
        break;
      case 'state':
        this.#setState(event);
        break;
      case 'seed':
        this.#reveal(event);
        break;
      case 'votingKey':
        this.#setVotingKey(event);
        break;
      case 'payable':
        this.#change(event, { payable: event.payable });
        break;
      case 'exitRequested':
        this.#change(event, { unlockAt: event.unlockAt });
        break;
      case 'beneficiary':
        this.#setBeneficiary(event);
        break;
      case 'parameter':
        this.#state.parameters = withParameter(this.#state.parameters, event, this.#epochOf(event));
        break;
      case 'minimumVersion':
        this.#state.minimumVersion = event.version;
    }
  }

  #register(event: ChainEvent & { type: 'registered' }): void {
    const records = this.#own('records') as NodeRecord[];
    if (event.nodeId !== records.length + 1) {
      throw wrong(event, `follows a registration of node ${records.length}`);
    }
    const { chainId, registry } = this.network;
    const x25519Key = boundKey(
      { ...event, chainId, registry },
      fromHex(event.ed25519Hex, 32),
      fromHex(event.signatureHex, 64),
    );
    const key = x25519Key && toHex(x25519Key);
    // spec/chain §4.5, ours: compared by their X25519 form, which a key and its negative share.
    const valid = key !== undefined && !this.#state.holders.has(key);
    if (valid) (this.#own('holders') as Map<string, number>).set(key, event.nodeId);
    const parameters = parametersAt(this.#state.parameters, this.#epochOf(event));
    records.push({
      nodeId: event.nodeId,
      operator: event.operator,
      votingKey: event.votingKey,
      ed25519Hex: event.ed25519Hex,
      beaconAnchor: event.beaconAnchor,
      feeBps: event.feeBps,
      stake: event.stake,
      contributors: event.contributors,
      state: 'active',
      stateNonce: 0,
      valid,
      // Until its MembershipChanged, which the same transaction emits: a member of no epoch.
      slot: 0,
      from: 0,
      until: 0,
      registeredAt: event.timestamp,
      activeSince: event.timestamp,
      decommissionedAt: 0,
      credit: parameters.creditInitial,
      payable: false,
      unlockAt: 0,
      reasonsAll: 0,
      reasonsAny: 0,
      missedTurns: 0,
    });
  }

  #setMembership(event: ChainEvent & { type: 'membership' }): void {
    const { nodeId, slot, from, until } = event;
    const starts = this.#state.slotStarts;
    if (slot > starts.length) throw wrong(event, `takes slot ${slot} of ${starts.length}`);
    if (slot === starts.length) {
      const before = starts.at(-1);
      if (before !== undefined && from < before)
        throw wrong(event, `begins in epoch ${from} after ${before}`);
      (this.#own('slotStarts') as number[]).push(from);
    }
    const { votingKey } = this.#record(event);
    this.#change(event, { slot, from, until });
    (this.#own('slots') as Slot[])[slot] = { nodeId, votingKey, from, until };
    this.#state.quietUntil = 0;
  }

  /** An old seat of the node keeps the old key, as in the registry. */
  #setVotingKey(event: ChainEvent & { type: 'votingKey' }): void {
    const { votingKey, nodeId } = event;
    const { slot } = this.#record(event);
    this.#change(event, { votingKey });
    const seat = this.#state.slots[slot];
    if (seat?.nodeId === nodeId) (this.#own('slots') as Slot[])[slot] = { ...seat, votingKey };
  }

  #setState(event: ChainEvent & { type: 'state' }): void {
    const before = this.#record(event);
    const { stateNonce, reasonsAll, reasonsAny, state, timestamp } = event;
    if (stateNonce !== before.stateNonce && stateNonce !== before.stateNonce + 1) {
      throw wrong(event, `follows change ${before.stateNonce} with ${stateNonce}`);
    }
    const changes: Partial<NodeRecord> = { state, stateNonce, reasonsAll, reasonsAny };
    const parameters = parametersAt(this.#state.parameters, this.#epochOf(event));
    if (state === 'decommissioned') {
      if (before.state !== 'active') throw wrong(event, `decommissions a node that is ${before.state}`);
      const credit = creditAfter(before, timestamp, parameters);
      this.#change(event, { ...changes, credit, decommissionedAt: timestamp, missedTurns: 0 });
      return;
    }
    if (state === 'active') {
      if (before.state === 'deregistered' || before.state === 'exited') throw wrong(event, 'revives a node');
      // A registration may tell its state too.
      if (before.state === 'active') return;
      const downtime = timestamp - before.decommissionedAt;
      this.#change(event, {
        ...changes,
        credit: Math.max(0, before.credit - 2 * downtime),
        activeSince: timestamp,
      });
      return;
    }
    this.#change(event, changes);
    if (before.valid) {
      const holders = this.#own('holders') as Map<string, number>;
      for (const [key, id] of holders) if (id === before.nodeId) holders.delete(key);
    }
  }

  #reveal(event: ChainEvent & { type: 'seed' }): void {
    const { closed } = this.#state;
    const epoch = (closed?.epoch ?? -1) + 1;
    if (event.epoch !== epoch || closed === undefined || this.#state.nextSeed !== undefined) {
      throw wrong(event, `reveals epoch ${event.epoch} where ${epoch} is due`);
    }
    const preimage = bytesOf(event.preimage, 32);
    const seed = revealedSeed(closed.seed, epoch, preimage);
    if (!equal(seed, bytesOf(event.seed, 32))) throw wrong(event, 'does not lead to the seed that it names');
    this.#state.nextSeed = { epoch, seed };
    if (event.nodeId === 0) return;
    const proposer = drawProposer(closed.seed, epoch, this.#state.slots, this.#slotCount(epoch));
    const { beaconAnchor } = this.#record(event);
    if (proposer?.nodeId !== event.nodeId || hexOf(keccak256(preimage)) !== beaconAnchor) {
      throw wrong(event, `is a reveal by node ${event.nodeId}, which it cannot have made`);
    }
    this.#change(event, { beaconAnchor: event.preimage, missedTurns: 0 });
  }

  #setBeneficiary(event: ChainEvent & { type: 'beneficiary' }): void {
    const { contributors } = this.#record(event);
    if (event.index >= contributors.length) throw wrong(event, `names contributor ${event.index}`);
    this.#change(event, {
      contributors: contributors.map((contributor, index) =>
        index === event.index ? { ...contributor, beneficiary: event.beneficiary } : contributor,
      ),
    });
  }

  #close(epoch: number): void {
    const state = this.#state;
    const previous = state.closed;
    const isRevealed = state.nextSeed?.epoch === epoch;
    const slotCount = this.#slotCount(epoch);
    const { quorumSize, minVoters } = parametersAt(state.parameters, epoch);
    let { seed } = state.lastSeed;
    if (state.nextSeed !== undefined) {
      seed = state.nextSeed.seed;
      state.lastSeed = state.nextSeed;
      state.nextSeed = undefined;
    } else if (epoch > 0) {
      seed = skippedSeed(state.lastSeed.seed, state.lastSeed.epoch, epoch);
    }
    const proposer = previous && drawProposer(previous.seed, epoch, state.slots, slotCount);
    // Where nobody revealed for longer, the chain or the whole network was away, not this one node.
    const isQuiet = epoch - state.lastSeed.epoch > MAX_QUIET_EPOCHS;
    if (proposer !== undefined && !isRevealed && !isQuiet) this.#missTurn(proposer.nodeId);
    const memberIds = this.#membersAt(epoch, previous);
    this.#owned.delete('slots');
    state.closed = {
      epoch,
      startsAt: epochStart(this.network, epoch),
      seed,
      slotCount,
      slots: state.slots,
      quorumSize,
      minVoters,
      swarms: nextSwarms(previous, memberIds, seed, (id) => state.records[id - 1]?.ed25519Hex as string),
      memberIds,
      proposerId: proposer?.nodeId,
      revealed: isRevealed,
    };
    this.#views.push(state.closed);
    if (this.#views.length > 2 * KEPT_EPOCHS) this.#views = this.#views.slice(-KEPT_EPOCHS);
  }

  /** S(e), for an epoch after the one that was closed last. */
  #slotCount(epoch: number): number {
    const { slotStarts, closed } = this.#state;
    let count = closed?.slotCount ?? 0;
    while ((slotStarts[count] ?? Number.POSITIVE_INFINITY) <= epoch) count++;
    return count;
  }

  /** A node without a beacon chain, or out of duty, misses nothing. */
  #missTurn(nodeId: number): void {
    const record = this.#state.records[nodeId - 1];
    if (record === undefined || record.state !== 'active' || record.beaconAnchor === NO_ANCHOR) return;
    (this.#own('records') as NodeRecord[])[nodeId - 1] = { ...record, missedTurns: record.missedTurns + 1 };
  }

  /** M_e; the list of the epoch before when it holds the same. */
  #membersAt(epoch: number, previous: EpochView | undefined): readonly number[] {
    const state = this.#state;
    if (previous !== undefined && epoch < state.quietUntil) return previous.memberIds;
    const isValid = (id: number) => state.records[id - 1]?.valid === true;
    const { memberIds, quietUntil } = membersAt(epoch, state.slots, isValid);
    state.quietUntil = quietUntil;
    return previous !== undefined && sameIds(memberIds, previous.memberIds) ? previous.memberIds : memberIds;
  }

  #epochOf(event: ChainEvent): number {
    return epochAt(this.network, event.timestamp);
  }

  #record(event: ChainEvent & { nodeId: number }): NodeRecord {
    const record = this.#state.records[event.nodeId - 1];
    if (record === undefined) throw wrong(event, `is about node ${event.nodeId}, which never registered`);
    return record;
  }

  #change(event: ChainEvent & { nodeId: number }, changes: Partial<NodeRecord>): void {
    const record = this.#record(event);
    (this.#own('records') as NodeRecord[])[event.nodeId - 1] = { ...record, ...changes };
  }

  /** Copies what others hold, once. */
  #own(part: Owned): unknown {
    const state = this.#state;
    if (!this.#owned.has(part)) {
      this.#owned.add(part);
      if (part === 'holders') state.holders = new Map(state.holders);
      else if (part === 'records') state.records = [...state.records];
      else if (part === 'slots') state.slots = [...state.slots];
      else state.slotStarts = [...state.slotStarts];
    }
    return state[part];
  }
}

function wrong(event: ChainEvent, why: string): ChainError {
  return new ChainError(
    'inconsistent',
    `an event (${event.type}, block ${event.block}, log ${event.logIndex}) ${why}: the endpoint left events out or made them up`,
  );
}
