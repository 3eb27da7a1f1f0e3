// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { messageCost, retrieveLimits } from '../../src/storage/retrieve-limits.ts';

test.each(vectors.retrieve_limits)('$data_sizes within size $max_size and count $max_count', (vector) => {
  const { data_sizes, max_size, max_count } = vector;
  const sizes: number[] =
    typeof data_sizes === 'string' ? new Array(120).fill(70_000) : (data_sizes as number[]);
  if (typeof data_sizes === 'string') expect(data_sizes).toBe('120 messages of 70000 bytes');
  expect(sizes.map(messageCost)).toEqual(
    'costs' in vector ? vector.costs : new Array(120).fill(vector.cost_each),
  );
  const limits = retrieveLimits({ maxSize: max_size ?? undefined, maxCount: max_count ?? undefined });
  expect(limits.maxCost).toBe(vector.limit);
});

test.each([
  [{ maxCount: 0, maxSize: 0 }, Number.POSITIVE_INFINITY, 1_560_000],
  [{ maxCount: -1 }, Number.POSITIVE_INFINITY, 1_560_000],
  [{ maxCount: 3 }, 3, 7_800_000],
  [{ maxCount: 3, maxSize: 0 }, 3, 7_800_000],
  [{ maxSize: 10_000_000 }, Number.POSITIVE_INFINITY, 7_800_000],
  [{ maxSize: -7 }, Number.POSITIVE_INFINITY, 1_114_285],
  [{ maxSize: Number.MIN_SAFE_INTEGER }, Number.POSITIVE_INFINITY, 0],
])('%j', (request, maxCount, maxCost) => {
  expect(retrieveLimits(request)).toEqual({ maxCount, maxCost });
});
