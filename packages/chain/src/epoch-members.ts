// SPDX-License-Identifier: MIT
// Who belongs to an epoch, and to which swarm (spec/chain §4.16, §4.20): from the slots as they are when it is closed, and the
// swarms of the epoch before.
import { runAssignment, type SwarmMap } from '@allium/protocol/swarm/assignment';
import type { EpochView, Slot } from './chain-view.ts';
import { swarmSeed } from './seeds.ts';

/** M_e, ascending; `quietUntil`: the next epoch in which a membership begins or ends. */
export function membersAt(
  epoch: number,
  slots: readonly Slot[],
  isValid: (nodeId: number) => boolean,
): { readonly memberIds: readonly number[]; readonly quietUntil: number } {
  // By slots, as the draw sees them: a node that came back at once has an old interval beside its new one.
  const ids: number[] = [];
  let quietUntil = Number.MAX_SAFE_INTEGER;
  for (const { nodeId, from, until } of slots) {
    if (!isValid(nodeId)) continue;
    if (from <= epoch && epoch < until) ids.push(nodeId);
    if (from > epoch && from < quietUntil) quietUntil = from;
    if (until > epoch && until < quietUntil) quietUntil = until;
  }
  ids.sort((a, b) => a - b);
  return { memberIds: ids.filter((id, index) => id !== ids[index - 1]), quietUntil };
}

/** W_e: one run, however many members changed; the map of the epoch before when none did. */
export function nextSwarms(
  previous: EpochView | undefined,
  memberIds: readonly number[],
  seed: Uint8Array,
  keyOf: (nodeId: number) => string,
): SwarmMap {
  if (previous === undefined && memberIds.length === 0) return new Map();
  if (previous !== undefined && memberIds === previous.memberIds) return previous.swarms;
  const [leaving, arriving] = differences(previous?.memberIds ?? [], memberIds);
  const left = new Set(leaving.map(keyOf));
  const kept = new Map<bigint, readonly string[]>();
  for (const [id, keys] of previous?.swarms ?? []) {
    const isTouched = left.size > 0 && keys.some((key) => left.has(key));
    kept.set(id, isTouched ? keys.filter((key) => !left.has(key)) : keys);
  }
  return runAssignment(kept, arriving.map(keyOf), swarmSeed(seed)).swarms;
}

export function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

/** What is only in the one, and only in the other, of two ascending lists. */
function differences(a: readonly number[], b: readonly number[]): [number[], number[]] {
  const onlyA: number[] = [];
  const onlyB: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const x = a[i] ?? Number.POSITIVE_INFINITY;
    const y = b[j] ?? Number.POSITIVE_INFINITY;
    if (x <= y) i++;
    if (y <= x) j++;
    if (x < y) onlyA.push(x);
    if (y < x) onlyB.push(y);
  }
  return [onlyA, onlyB];
}
