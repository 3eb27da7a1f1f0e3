// SPDX-License-Identifier: MIT
// What the member of our swarm that we ask did not tell although others keep it: because it hides it, or has lost it. How
// much that was is counted, and a member that does it again and again is asked no more.

// Ours.
/** A message that was stored so shortly before the question may not have reached the member yet. */
const SPREAD_MS = 30_000;
/** Gaps of one member, before it is left. */
const MAX_GAPS = 3;
/** Between two checks that a suspicion leads to: whoever can delete messages can raise suspicions. */
const CHECK_EVERY_MS = 10 * 60_000;

export interface GapCounts {
  /** Times when other members kept messages that the one we ask did not tell. */
  readonly found: number;
  /** Messages that were fetched from others then. */
  readonly filled: number;
}

export class Gaps {
  #counts: GapCounts = { found: 0, filled: 0 };
  readonly #byMember = new Map<string, number>();
  #checkedAt = Number.NEGATIVE_INFINITY;

  get counts(): GapCounts {
    return this.#counts;
  }

  /**
   * Another member told messages that were new to us, stored at these times; `askedAt`: when the member that we ask was
   * asked last and answered, both network time. How many it should have told.
   */
  missing(storedAt: readonly number[], askedAt: number | undefined): number {
    if (askedAt === undefined) return 0;
    return storedAt.filter((time) => time < askedAt - SPREAD_MS).length;
  }

  /** Whether the member is to be left. */
  found(member: string | undefined, messages: number): boolean {
    this.#counts = { found: this.#counts.found + 1, filled: this.#counts.filled + messages };
    if (member === undefined) return false;
    const times = (this.#byMember.get(member) ?? 0) + 1;
    if (times < MAX_GAPS) this.#byMember.set(member, times);
    else this.#byMember.delete(member);
    return times >= MAX_GAPS;
  }

  /** More of a gap that was found. */
  filled(messages: number): void {
    this.#counts = { ...this.#counts, filled: this.#counts.filled + messages };
  }

  /** A member did not know what it had told last. Whether another one is to be asked now; by the monotonic clock. */
  isToBeChecked(now: number): boolean {
    if (now - this.#checkedAt < CHECK_EVERY_MS) return false;
    this.#checkedAt = now;
    return true;
  }
}
