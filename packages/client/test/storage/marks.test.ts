// SPDX-License-Identifier: MIT
// Marks converge: any order, any repetition, the same end.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Marks, marked, mergeMarks } from '../../src/storage/marks.ts';

const time = fc.integer({ min: 1, max: 6 });
const one: fc.Arbitrary<Marks> = fc.oneof(
  time.map((deliveredAt) => ({ deliveredAt })),
  time.map((readAt) => ({ readAt })),
  time.map((deletedAt) => ({ deletedAt })),
  time.map((expiresAt) => ({ expiresAt })),
  fc.record({ at: time, text: fc.constantFrom('x', 'y', 'z') }).map((edit) => ({ edits: [edit] })),
  fc.record({ stored: fc.nat(3), of: fc.nat(3) }),
  fc
    .record({
      by: fc.constantFrom('a', 'b'),
      emoji: fc.constantFrom('👍', '❤', '😂'),
      at: time,
      on: fc.boolean(),
    })
    .map((reaction) => ({ reactions: [reaction] })),
);
interface Shown {
  readonly text: string;
  readonly original?: string;
  readonly marks?: Marks;
}
const all = (list: readonly Marks[]): Marks | undefined =>
  list.reduce<Marks | undefined>((sum, next) => mergeMarks(sum, next), {});

test('marks end equal in any order, however often they are told', () => {
  fc.assert(
    fc.property(
      fc
        .array(one, { maxLength: 12 })
        .chain((list) =>
          fc.tuple(
            fc.constant(list),
            fc.shuffledSubarray([...list, ...list], { minLength: 2 * list.length }),
          ),
        ),
      ([list, shuffled]) => {
        expect(all(shuffled)).toEqual(all(list));
        expect(mergeMarks(all(list), all(shuffled))).toEqual(all(list));
      },
    ),
  );
});

test('marks that are merged in parts are the same', () => {
  fc.assert(
    fc.property(fc.array(one), fc.array(one), fc.array(one), (a, b, c) => {
      const left = mergeMarks(mergeMarks(all(a), all(b)), all(c));
      expect(left).toEqual(mergeMarks(all(a), mergeMarks(all(b), all(c))));
    }),
  );
});

test('whatever happens to a message, in any order: the same text at the end, none when it was deleted', () => {
  const written: Shown = { text: 'first' };
  fc.assert(
    fc.property(
      fc
        .array(one, { maxLength: 10 })
        .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
      // It may be written anew, as it was sent, at any point.
      fc.nat(10),
      ([list, shuffled], again) => {
        const apply = (marks: readonly Marks[], at = -1) =>
          marks.reduce((message: Shown, next, i) => {
            const now = marked(message, next);
            return i === at ? marked<Shown>({ ...written }, now.marks) : now;
          }, written);
        const end = apply(list);
        expect(apply(shuffled, again)).toEqual(end);
        const newest = [...list.flatMap(({ edits = [] }) => edits)].sort(
          (a, b) => a.at - b.at || (a.text < b.text ? -1 : 1),
        );
        const isDeleted = list.some(({ deletedAt }) => deletedAt !== undefined);
        expect(end.text).toBe(isDeleted ? '' : (newest.at(-1)?.text ?? 'first'));
        expect(end.original).toBe(isDeleted || newest.length === 0 ? undefined : 'first');
        const ends = list.flatMap(({ expiresAt }) => expiresAt ?? []);
        expect(end.marks?.expiresAt).toBe(ends.length === 0 ? undefined : Math.min(...ends));
      },
    ),
  );
});

test('a message keeps its newest 20 versions, whatever the order', () => {
  const many = Array.from({ length: 30 }, (_, at) => ({ edits: [{ at, text: `v${at}` }] }));
  expect(all(many)?.edits?.map(({ at }) => at)).toEqual(many.slice(10).map(({ edits }) => edits[0]!.at));
  expect(all(many.toReversed())).toEqual(all(many));
});

test('a message keeps 40 000 characters of versions, and its newest one', () => {
  const many = Array.from({ length: 9 }, (_, at) => ({ edits: [{ at, text: `${at}`.repeat(10_000) }] }));
  expect(all(many)?.edits?.map(({ at }) => at)).toEqual([5, 6, 7, 8]);
  expect(all(many.toReversed())).toEqual(all(many));
  const long = { edits: [{ at: 9, text: 'x'.repeat(50_000) }] };
  expect(all([...many, long])?.edits).toEqual(long.edits);
  expect(all([long, ...many])?.edits).toEqual(long.edits);
});

test('a message keeps the newest 200 reactions, and 20 of one person, whatever the order', () => {
  const many = Array.from({ length: 600 }, (_, at) => ({
    reactions: [{ by: `${at % 15}`, emoji: `e${at}`, at, on: true }],
  }));
  const kept = all(many)?.reactions;
  expect(kept).toHaveLength(200);
  expect(Math.min(...kept!.map(({ at }) => at))).toBe(400);
  expect(all(many.toReversed())).toEqual(all(many));
  const flood = Array.from({ length: 300 }, (_, at) => ({
    reactions: [{ by: 'a', emoji: `e${at}`, at: at + 1_000, on: true }],
  }));
  const both = all([...many.slice(-30), ...flood])?.reactions;
  expect(both?.filter(({ by }) => by === 'a').map(({ at }) => at)).toHaveLength(20);
  expect(both?.filter(({ by }) => by !== 'a')).toHaveLength(30);
  expect(all([...flood.toReversed(), ...many.slice(-30)])?.reactions).toEqual(both);
});

test('a deleted message has no text, quote or reactions, and stays deleted', () => {
  const message = { text: 'secret', quote: { author: 'a', timestamp: 1 }, marks: { readAt: 2 } };
  const deleted = marked(message, { deletedAt: 3 });
  expect(deleted).toEqual({ text: '', marks: { readAt: 2, deletedAt: 3 } });
  const again = marked(message, deleted.marks);
  expect(again).toEqual(deleted);
});
