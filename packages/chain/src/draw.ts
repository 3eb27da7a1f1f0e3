// SPDX-License-Identifier: MIT
// Who tests whom, and who reveals (spec/chain §4.9): the contract's draw over slots, step by step.
import { u32be, utf8 } from '@allium/protocol/bytes';
import type { EpochView, Quorum, Slot } from './chain-view.ts';
import { keccak256 } from './packed.ts';

// From the specification.
const QUORUM = utf8('SN-QUORUM-v1');
const BEACON = utf8('SN-BEACON-v1');

export interface DrawOptions {
  /** 32 bytes. */
  readonly seed: Uint8Array;
  readonly slots: readonly Slot[];
  /** S(e); at most `slots.length`. */
  readonly slotCount: number;
  readonly epoch: number;
  /** Id of a node that is passed over; 0: none. */
  readonly skipNode: number;
  readonly want: number;
}

export interface Drawn {
  readonly members: readonly Slot[];
  /** Their places in `slots`. */
  readonly places: readonly number[];
  /** Slots looked at. */
  readonly draws: number;
}

/** The seed of a target's quorum. */
export function quorumSeed(epochSeed: Uint8Array, targetId: number): Uint8Array {
  return keccak256(QUORUM, epochSeed, u32be(targetId));
}

/** The seed of the draw that names the proposer of an epoch. */
export function beaconSeed(previousSeed: Uint8Array, epoch: number): Uint8Array {
  return keccak256(BEACON, previousSeed, u32be(epoch));
}

export function isEligible(slot: Slot, epoch: number): boolean {
  return slot.from <= epoch && epoch < slot.until;
}

/** Draws without repetition. Cost: one hash per slot looked at, whatever their number. */
export function draw(options: DrawOptions): Drawn {
  const { slots, slotCount, epoch, skipNode, want } = options;
  const input = new Uint8Array(64);
  input.set(options.seed);
  const view = new DataView(input.buffer);
  const table = new Map<number, number>();
  const members: Slot[] = [];
  const places: number[] = [];
  let i = 0;
  for (; i < slotCount && members.length < want; i++) {
    view.setUint32(60, i);
    const j = i + remainder(keccak256(input), slotCount - i);
    const drawn = table.get(j) ?? j;
    table.set(j, table.get(i) ?? i);
    const slot = slots[drawn];
    if (slot === undefined || !isEligible(slot, epoch) || slot.nodeId === skipNode) continue;
    members.push(slot);
    places.push(drawn);
  }
  return { members, places, draws: i };
}

/** The slot whose turn it is to reveal in `epoch`; undefined when none is eligible. */
export function drawProposer(
  previousSeed: Uint8Array,
  epoch: number,
  slots: readonly Slot[],
  slotCount: number,
): Slot | undefined {
  const seed = beaconSeed(previousSeed, epoch);
  return draw({ seed, slots, slotCount, epoch, skipNode: 0, want: 1 }).members[0];
}

/** How many of `size` members decide; undefined: the quorum is too small to decide anything. */
export function voteThreshold(size: number, minVoters: number): number | undefined {
  return size < minVoters ? undefined : Math.floor((2 * size) / 3) + 1;
}

/** A big-endian number modulo `by` < 2^32. */
function remainder(bytes: Uint8Array, by: number): number {
  let rest = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    rest = (rest * 65536 + (((bytes[i] as number) << 8) | (bytes[i + 1] as number))) % by;
  }
  return rest;
}

/**
 * Who tests a node in the epoch of `view`. `now`: slots at the newest block, since a node that holds its slot still votes with
 * the key that it has now.
 */
export function drawQuorum(view: EpochView, nodeId: number, now: readonly Slot[]): Quorum {
  const { epoch, slots, slotCount, quorumSize, minVoters } = view;
  const seed = quorumSeed(view.seed, nodeId);
  const drawn = draw({ seed, slots, slotCount, epoch, skipNode: nodeId, want: quorumSize });
  const members = drawn.members.map((slot, index) => {
    const held = now[drawn.places[index] as number];
    const { votingKey } = held?.nodeId === slot.nodeId ? held : slot;
    return { index, nodeId: slot.nodeId, votingKey };
  });
  return { nodeId, epoch, members, threshold: voteThreshold(members.length, minVoters) };
}
