// SPDX-License-Identifier: MIT
// What becomes of several versions of one config (spec/config-and-groups §2.5). Every device that sees the same
// versions comes to the same result, whatever their order; what a replay does to a partly removed dict is part of the
// protocol and not to be improved.
import { type ConfigDict, cloneDict, prune } from './data.ts';
import { applyDiff } from './diff.ts';
import { type ConfigMessage, compareRows, type HistoryRow, LAG } from './message.ts';

export type MergeResult =
  /** One of the messages, by its index, takes the place of all. */
  | { readonly kind: 'adopted'; readonly index: number }
  /** A version that nobody has sent yet. Its own diff is the caller's matter. */
  | {
      readonly kind: 'merged';
      readonly seqno: number;
      readonly data: ConfigDict;
      readonly history: readonly HistoryRow[];
    };

/**
 * Linear in the size of the messages. Bench: config.bench.ts.
 * @param messages valid ones, at least one; of equal ones the first counts
 * @param canMerge false for those who may only read: they adopt the greatest
 */
export function mergeMessages(messages: readonly ConfigMessage[], canMerge: boolean): MergeResult {
  const left = withoutRedundant(messages);
  const first = left[0] as number;
  if (left.length === 1) return { kind: 'adopted', index: first };
  const byAge = left.toSorted((a, b) => compareRows(messages[b]!, messages[a]!));
  if (!canMerge) return { kind: 'adopted', index: byAge[0]! };
  const sources = byAge.map((index) => messages[index]!);
  return { kind: 'merged', ...replay(sources) };
}

/** Indexes of the messages that no other one contains and that are not too old. */
function withoutRedundant(messages: readonly ConfigMessage[]): number[] {
  const contained = new Set<string>();
  let newest = Number.NEGATIVE_INFINITY;
  for (const { seqno, history } of messages) {
    newest = Math.max(newest, seqno);
    for (const row of history) contained.add(idOf(row));
  }
  const left: number[] = [];
  messages.forEach((message, index) => {
    const id = idOf(message);
    if (contained.has(id) || message.seqno + LAG <= newest) return;
    contained.add(id); // a later copy is redundant
    left.push(index);
  });
  return left;
}

function idOf({ seqno, hash }: Omit<HistoryRow, 'diff'>): string {
  return `${seqno}:${hash}`;
}

/** @param sources newest first */
function replay(sources: readonly ConfigMessage[]) {
  const newest = sources[0] as ConfigMessage;
  const steps = new Map<string, { row: HistoryRow; source: ConfigDict }>();
  for (const message of sources) {
    for (const row of [message, ...message.history]) {
      const id = idOf(row);
      if (!steps.has(id)) steps.set(id, { row, source: message.data });
    }
  }
  const data = cloneDict(newest.data);
  const history: HistoryRow[] = [];
  const ordered = [...steps.values()].sort((a, b) => compareRows(a.row, b.row));
  for (const { row, source } of ordered) {
    applyDiff(data, row.diff, source);
    history.push({ seqno: row.seqno, hash: row.hash, diff: row.diff });
  }
  prune(data);
  return { seqno: newest.seqno + 1, data, history };
}
