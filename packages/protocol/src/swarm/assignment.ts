// SPDX-License-Identifier: MIT
// Which nodes form which swarm (spec/chain §3): a deterministic run that every node repeats with the same result.
// Node keys are 64 lower-case hex digits, whose text order is the byte order of the keys.
import { sha256 } from '#crypto';
import { concat, fromHex } from '../bytes.ts';
import { MersenneTwister } from './mersenne-twister.ts';

/** Swarm id → node keys, in the internal order that the next draws depend on. */
export type SwarmMap = Map<bigint, string[]>;

// From the specification (spec/chain §3.1).
const MIN_SIZE = 5;
const NEW_SIZE = 7;
const EXCESS_BASE = MIN_SIZE;
const SPLIT_MARGIN_PER_SWARM = 2;
const FILL_PERCENTILE = 25;
const REDISTRIBUTION_PERCENTILE = 0;
const STEALING_PERCENTILE = 75;
const MAX_ID = 2n ** 64n - 2n;

/** The id of a node that is in no swarm: new, or decommissioned. Never a swarm's own. */
export const UNASSIGNED_SWARM = 2n ** 64n - 1n;

export interface AssignmentResult {
  readonly swarms: SwarmMap;
  /** How many random outputs the run took; for comparison with other implementations. */
  readonly draws: number;
}

/**
 * One run of the algorithm (spec/chain §3.6). `current` holds the nodes that stay, under their swarms; `unassigned` the
 * new ones. Neither is changed. Swarms without nodes count as absent. `seed` is a u64.
 */
export function runAssignment(
  current: ReadonlyMap<bigint, readonly string[]>,
  unassigned: readonly string[],
  seed: bigint,
): AssignmentResult {
  const swarms: SwarmMap = new Map();
  for (const id of sortedIds(current.keys())) {
    const nodes = current.get(id) ?? [];
    // spec/chain §3.1: within each list the nodes are in key order at the start of every run.
    if (nodes.length > 0) swarms.set(id, [...nodes].sort());
  }
  if (swarms.size === 0 && unassigned.length === 0) return { swarms, draws: 0 };
  const run = new AssignmentRun(swarms, MersenneTwister.fromSeed(seed));
  run.all([...unassigned].sort());
  return { swarms: run.swarms, draws: run.random.draws };
}

/** The id that a swarm added to those of `ids` gets (spec/chain §3.3). */
export function newSwarmId(ids: Iterable<bigint>): bigint {
  const sorted = sortedIds(ids);
  const first = sorted[0];
  const last = sorted.at(-1);
  if (first === undefined || last === undefined) return 0n;
  let left = first;
  let largest = -1n;
  for (const [index, id] of sorted.entries()) {
    const next = sorted[index + 1];
    const gap = next === undefined ? MAX_ID - last + first + 1n : next - id;
    if (gap > largest) {
      largest = gap;
      left = id;
    }
  }
  const half = largest / 2n;
  const room = MAX_ID - left;
  return half > room ? half - room - 1n : left + half;
}

/** SHA-256 of a map (spec/chain §3.9): equal maps, equal digests. */
export function swarmMapDigest(swarms: ReadonlyMap<bigint, readonly string[]>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const id of sortedIds(swarms.keys())) {
    const nodes = [...(swarms.get(id) ?? [])].sort();
    const head = new Uint8Array(12);
    const view = new DataView(head.buffer);
    view.setBigUint64(0, id);
    view.setUint32(8, nodes.length);
    parts.push(head, ...nodes.map((node) => fromHex(node, 32)));
  }
  return sha256(concat(...parts));
}

/** The steps of spec/chain §3.5 and §3.6 over one map. `swarms` keeps its ids in ascending order. */
class AssignmentRun {
  swarms: SwarmMap;
  readonly random: MersenneTwister;

  constructor(swarms: SwarmMap, random: MersenneTwister) {
    this.swarms = swarms;
    this.random = random;
  }

  all(unassigned: readonly string[]): void {
    if (this.swarms.size === 0) this.swarms.set(0n, []);
    this.assign(unassigned, FILL_PERCENTILE);
    this.steal();
    this.split();
    this.dissolve();
  }

  /** Every swarm by size; equal sizes by id, which is the map's order (spec/chain §3.4). */
  private sizes(): { id: bigint; size: number }[] {
    return [...this.swarms]
      .map(([id, nodes]) => ({ id, size: nodes.length }))
      .sort((a, b) => a.size - b.size);
  }

  /** Nodes of the swarms larger than `threshold`, and by how many these pass EXCESS_BASE. */
  private pool(threshold: number): { size: number; excess: number } {
    let size = 0;
    let excess = 0;
    for (const members of this.swarms.values()) {
      if (members.length <= threshold) continue;
      size += members.length;
      excess += members.length - EXCESS_BASE;
    }
    return { size, excess };
  }

  /** Takes a random node out of the `size` ones of `pool(threshold)`, which stand in the order of their swarms. */
  private draw(threshold: number, size: number): string {
    let place = this.random.uniform(size);
    for (const members of this.swarms.values()) {
      if (members.length <= threshold) continue;
      if (place < members.length) return members.splice(place, 1)[0] as string;
      place -= members.length;
    }
    throw new RangeError('a pool has fewer nodes than it said');
  }

  private split(): void {
    for (;;) {
      let excess = 0;
      for (const { length } of this.swarms.values()) {
        if (length < MIN_SIZE) return;
        excess += length - EXCESS_BASE;
      }
      if (excess < NEW_SIZE + SPLIT_MARGIN_PER_SWARM * this.swarms.size) return;
      const members: string[] = [];
      for (let i = 0; i < NEW_SIZE; i++) members.push(this.draw(EXCESS_BASE, this.pool(EXCESS_BASE).size));
      const id = newSwarmId(this.swarms.keys());
      if (this.swarms.has(id)) throw new RangeError('the ring of swarm ids is full');
      this.swarms.set(id, members);
      this.sortById();
    }
  }

  private assign(nodes: readonly string[], percentile: number): void {
    for (const node of nodes) {
      this.pick(percentile).push(node);
      this.split();
    }
  }

  /**
   * A random one of the swarms up to the percentile by size, those as large as the last of them included. Counts sizes
   * instead of sorting swarms: this runs once per node.
   */
  private pick(percentile: number): string[] {
    const counts: number[] = [];
    for (const { length } of this.swarms.values()) counts[length] = (counts[length] ?? 0) + 1;
    let upTo = Math.floor((percentile * (this.swarms.size - 1)) / 100);
    let candidates = 0;
    for (const count of counts) {
      if (count === undefined) continue;
      candidates += count;
      if (upTo < count) break;
      upTo -= count;
    }
    let place = this.random.uniform(candidates);
    let size = 0;
    while (place >= (counts[size] ?? 0)) place -= counts[size++] ?? 0;
    // spec/chain §3.4: equal sizes stand by id, which is the map's order.
    for (const members of this.swarms.values()) if (members.length === size && place-- === 0) return members;
    throw new RangeError('there is no swarm to choose from');
  }

  private steal(): void {
    // spec/chain §3.6 step 5: the sizes are taken once and not refreshed in this step.
    const sizes = this.sizes();
    const bound = sizes[Math.floor((STEALING_PERCENTILE * (sizes.length - 1)) / 100)]?.size as number;
    const threshold = Math.max(MIN_SIZE, bound === 0 ? Number.POSITIVE_INFINITY : bound - 1);
    for (const { id, size } of sizes) {
      if (size >= MIN_SIZE) return;
      const poor = this.swarms.get(id) as string[];
      while (poor.length < MIN_SIZE) {
        const { size, excess } = this.pool(threshold);
        if (excess < MIN_SIZE - poor.length) return;
        poor.push(this.draw(threshold, size));
      }
    }
  }

  private dissolve(): void {
    for (;;) {
      const weak = [...this.swarms].find(([, nodes]) => nodes.length < MIN_SIZE);
      // Ours (spec/chain §3.6 step 7): the last swarm is kept however small it is.
      if (weak === undefined || this.swarms.size === 1) return;
      this.swarms.delete(weak[0]);
      this.assign(weak[1], REDISTRIBUTION_PERCENTILE);
    }
  }

  private sortById(): void {
    this.swarms = new Map(sortedIds(this.swarms.keys()).map((id) => [id, this.swarms.get(id) as string[]]));
  }
}

function sortedIds(ids: Iterable<bigint>): bigint[] {
  return [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
