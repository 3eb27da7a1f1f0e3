// SPDX-License-Identifier: MIT
// How much one `retrieve` returns (spec/storage-server §2.9.2): limits of count and size, and what a message costs.

/** RMAX: the most that one answer may cost. */
export const MAX_COST = 7_800_000;
const DEFAULT_MAX_SIZE = -5;

export interface RetrieveLimits {
  /** Infinity: no limit. */
  readonly maxCount: number;
  readonly maxCost: number;
}

/** Limits of a request. A negative `maxSize` of −N is the Nth part of the greatest answer. */
export function retrieveLimits(request: {
  readonly maxCount?: number | undefined;
  readonly maxSize?: number | undefined;
}): RetrieveLimits {
  // Ours: negative counts are absent (upstream: nothing, or no limit).
  const count = (request.maxCount ?? 0) > 0 ? request.maxCount! : undefined;
  const size = request.maxSize || (count === undefined ? DEFAULT_MAX_SIZE : MAX_COST);
  return {
    maxCount: count ?? Number.POSITIVE_INFINITY,
    maxCost: size < 0 ? Math.floor(MAX_COST / -size) : Math.min(size, MAX_COST),
  };
}

/** What a message adds to the cost of an answer, for JSON and bt callers alike. */
export function messageCost(dataLength: number): number {
  return 143 + Math.floor((4 * dataLength) / 3);
}
