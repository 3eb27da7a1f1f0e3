// SPDX-License-Identifier: MIT
// How much one `retrieve` returns (spec/storage-server §2.9.2): limits of count and size, and what a message costs.

/** RMAX: the most that one answer may cost. */
const MAX_COST = 7_800_000;
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

/** Takes messages in order until a limit is met; at least one is always taken. */
export function selectMessages<M extends { readonly data: Uint8Array }>(
  messages: Iterable<M>,
  limits: RetrieveLimits,
): { readonly messages: M[]; readonly more: boolean } {
  const taken: M[] = [];
  let cost = 0;
  for (const message of messages) {
    if (taken.length >= limits.maxCount) return { messages: taken, more: true };
    cost += messageCost(message.data.length);
    if (cost > limits.maxCost && taken.length > 0) return { messages: taken, more: true };
    taken.push(message);
  }
  return { messages: taken, more: false };
}
