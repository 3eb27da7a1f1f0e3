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

test('a message keeps the newest 200 reactions, whatever the order', () => {
  const many = Array.from({ length: 300 }, (_, at) => ({
    reactions: [{ by: 'a', emoji: `e${at}`, at, on: true }],
  }));
  const kept = all(many)?.reactions;
  expect(kept).toHaveLength(200);
  expect(Math.min(...kept!.map(({ at }) => at))).toBe(100);
  expect(all(many.toReversed())).toEqual(all(many));
});

test('a deleted message has no text, quote or reactions, and stays deleted', () => {
  const message = { text: 'secret', quote: { author: 'a', timestamp: 1 }, marks: { readAt: 2 } };
  const deleted = marked(message, { deletedAt: 3 });
  expect(deleted).toEqual({ text: '', marks: { readAt: 2, deletedAt: 3 } });
  const again = marked(message, deleted.marks);
  expect(again).toEqual(deleted);
});
