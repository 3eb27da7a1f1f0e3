// SPDX-License-Identifier: MIT
// What changed between two versions of a config's data (spec/config-and-groups §2.3), and how a change is replayed on
// the data of another branch (§2.5). The values themselves are not in a diff but in the data beside it.
import type { BtReader } from './bt-reader.ts';
import {
  type ConfigDict,
  type ConfigScalar,
  type ConfigSet,
  type ConfigValue,
  compareScalars,
  MAX_DEPTH,
  readSorted,
  without,
  writeDict,
  writeList,
  writeString,
} from './data.ts';

const ASSIGNED = '';
const REMOVED = '-';

interface SetChange {
  /** Both ascend. */
  readonly added: readonly ConfigScalar[];
  readonly removed: readonly ConfigScalar[];
}

type Change = typeof ASSIGNED | typeof REMOVED | SetChange | Diff;
export type Diff = Map<string, Change>;

const NOTHING: ConfigDict = new Map();

/** From `old` to `next`, both without empty sets and dicts. */
export function computeDiff(old: ConfigDict, next: ConfigDict): Diff {
  const diff: Diff = new Map();
  for (const [key, value] of old) if (!next.has(key)) diff.set(key, removal(value));
  for (const [key, value] of next) {
    const change = changeOf(old.get(key), value);
    if (change !== undefined) diff.set(key, change);
  }
  return diff;
}

function removal(value: ConfigValue): Change {
  if (value instanceof Map) return computeDiff(value, NOTHING);
  if (value instanceof Set) return { added: [], removed: [...value].sort(compareScalars) };
  return REMOVED;
}

function changeOf(old: ConfigValue | undefined, value: ConfigValue): Change | undefined {
  if (value instanceof Map) {
    const isNew = !(old instanceof Map);
    const diff = computeDiff(isNew ? NOTHING : old, value);
    return isNew || diff.size > 0 ? diff : undefined;
  }
  if (value instanceof Set) {
    const before: ConfigSet = old instanceof Set ? old : new Set();
    const added = without(value, before);
    const removed = without(before, value);
    return added.length + removed.length > 0 ? { added, removed } : undefined;
  }
  return old === value ? undefined : ASSIGNED;
}

/** Replays `diff` on `data`; `source` is the data of the message that brought the diff. */
export function applyDiff(data: ConfigDict, diff: Diff, source: ConfigDict): void {
  for (const [key, change] of diff) {
    const from = source.get(key);
    if (from === undefined || !isOfKind(from, change) || change === REMOVED) {
      data.delete(key);
    } else if (change === ASSIGNED) {
      data.set(key, from);
    } else if (change instanceof Map) {
      const present = data.get(key);
      const dict: ConfigDict = present instanceof Map ? present : new Map();
      data.set(key, dict);
      applyDiff(dict, change, from as ConfigDict);
    } else {
      const present = data.get(key);
      const set: ConfigSet = present instanceof Set ? present : new Set();
      for (const item of change.added) set.add(item);
      for (const item of change.removed) set.delete(item);
      data.set(key, set);
    }
  }
}

/** A diff said once more, of data that it led to and that others have changed since: nothing that is not so any more. */
export function restated(diff: Diff, data: ConfigDict): Diff {
  const again: Diff = new Map();
  for (const [key, change] of diff) {
    const value = data.get(key);
    // Of another kind by now: replayed, the old change would delete it.
    if (value !== undefined && change !== REMOVED && !isOfKind(value, change)) continue;
    if (change instanceof Map) {
      const inner = restated(change, value instanceof Map ? value : NOTHING);
      if (inner.size > 0) again.set(key, inner);
    } else if (typeof change === 'string') {
      if (value === undefined) again.set(key, REMOVED);
      else if (isOfKind(value, ASSIGNED)) again.set(key, ASSIGNED);
    } else {
      const present: ConfigSet = value instanceof Set ? value : new Set();
      const added = change.added.filter((item) => present.has(item));
      const removed = change.removed.filter((item) => !present.has(item));
      if (added.length + removed.length > 0) again.set(key, { added, removed });
    }
  }
  return again;
}

/** Both diffs of one version, neither of which says what is not so in it; where they speak of the same value `later` counts. */
export function combined(earlier: Diff, later: Diff): Diff {
  if (earlier.size === 0) return later;
  const all = new Map(earlier);
  for (const [key, change] of later) {
    const before = all.get(key);
    if (change instanceof Map && before instanceof Map) all.set(key, combined(before, change));
    else if (isSetChange(change) && isSetChange(before)) {
      all.set(key, {
        added: union(before.added, change.added),
        removed: union(before.removed, change.removed),
      });
    } else all.set(key, change);
  }
  return all;
}

const isSetChange = (change: Change | undefined): change is SetChange =>
  typeof change === 'object' && !(change instanceof Map);

const union = (a: readonly ConfigScalar[], b: readonly ConfigScalar[]): readonly ConfigScalar[] =>
  [...new Set([...a, ...b])].sort(compareScalars);

function isOfKind(value: ConfigValue, change: Change): boolean {
  if (typeof change === 'string') return !(value instanceof Map) && !(value instanceof Set);
  return change instanceof Map ? value instanceof Map : value instanceof Set;
}

/** @throws ParseError `config` */
export function readDiff(reader: BtReader, depth = MAX_DEPTH): Diff {
  const diff: Diff = new Map();
  reader.dict(depth, (key) => diff.set(key, readChange(reader, depth - 1)));
  return diff;
}

function readChange(reader: BtReader, depth: number): Change {
  if (reader.isDict()) return readDiff(reader, depth);
  if (!reader.isList()) {
    const mark = reader.string();
    if (mark !== ASSIGNED && mark !== REMOVED) throw reader.error('a change that is neither "" nor "-"');
    return mark;
  }
  reader.step();
  const added = readSorted(reader);
  const removed = readSorted(reader);
  if (!reader.isEnd()) throw reader.error('a change of a set with more than two lists');
  reader.step();
  return { added, removed };
}

/** bt-encoded, as a binary string. */
export function writeDiff(diff: Diff): string {
  return writeDict(diff, (change) => {
    if (typeof change === 'string') return writeString(change);
    if (change instanceof Map) return writeDiff(change);
    return `l${writeList(change.added)}${writeList(change.removed)}e`;
  });
}

/** What a message says that has every value as new. */
export function fullDiff(data: ConfigDict): Diff {
  return computeDiff(NOTHING, data);
}
