// SPDX-License-Identifier: AGPL-3.0-or-later
// Compares our clock with those of other members: a clock that is off by more than the tolerances of
// spec/storage-server §2.9 makes this node refuse good requests, and nobody sees why; one that is off by more than those of
// spec/chain §4.18 would make it accuse all others. It asks nobody: the tests of other nodes tell it what they heard.
import type { Env } from '@allium/protocol/env';

// From the specification (§2.9.1): a message may come from the future by this much.
export const CLOCK_TOLERANCE_MS = 10_000;

// From the specification (spec/chain §4.18).
/** Another node's clock is wrong when it is off by more. */
export const PEER_CLOCK_TOLERANCE_MS = 30_000;
/** Our own is presumed to be the wrong one when more than this share of the others differ from it. */
const OWN_FAULT_SHARE = 0.8;

// Ours.
/** So many that no single member decides; few enough that nobody notices the questions. */
export const CLOCKS_TO_ASK = 5;
/** Answers kept, the newest of each member: enough for a share, few enough to forget what was. */
const ANSWERS = 25;
/** With fewer answers a liar might be the one in the middle. */
const FEWEST_ANSWERS = 3;
/** Our clock was set when it moves by more than this against the time since the start. */
const JUMP_MS = 2_000;
/** An operator is told again after this time. */
const REMIND_MS = 600_000;

/** The offset in the middle: one liar of three or two of five change nothing. Undefined for no offsets. */
export function medianOffset(offsets: readonly number[]): number | undefined {
  return [...offsets].sort((a, b) => a - b)[offsets.length >> 1];
}

/** A clock's offset in words, as a person would say it. */
export function offsetText(ms: number): string {
  const seconds = Math.abs(ms) / 1000;
  const amount = seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} minutes`;
  return `${amount} ${ms > 0 ? 'ahead of' : 'behind'}`;
}

export class ClockWatch {
  readonly #others: () => number;
  readonly #env: Env;
  /** Our clock minus theirs, by member; the newest last. */
  readonly #offsets = new Map<string, number>();
  /** Wall clock minus monotonic clock. */
  #shift: number;
  #wasOff = false;
  #warnedAt = 0;

  /** `others`: how many other members could answer. */
  constructor(others: () => number, env: Env) {
    this.#others = others;
    this.#env = env;
    this.#shift = env.clock.now() - env.clock.monotonic();
  }

  /** Our clock minus those of the others; undefined while too few have answered. */
  get offsetMs(): number | undefined {
    const needed = Math.min(FEWEST_ANSWERS, Math.max(1, this.#others()));
    return this.#offsets.size < needed ? undefined : medianOffset([...this.#offsets.values()]);
  }

  /** Whether the others differ from us so unanimously that it must be our clock (spec/chain §4.18). */
  get isPresumedWrong(): boolean {
    if (this.#offsets.size === 0) return false;
    let off = 0;
    for (const offset of this.#offsets.values()) if (Math.abs(offset) > PEER_CLOCK_TOLERANCE_MS) off++;
    return off / this.#offsets.size > OWN_FAULT_SHARE;
  }

  /** Whether our clock was set since the last look; what was measured before is forgotten then. */
  wasSet(): boolean {
    const shift = this.#env.clock.now() - this.#env.clock.monotonic();
    if (Math.abs(shift - this.#shift) <= JUMP_MS) return false;
    this.#shift = shift;
    this.#offsets.clear();
    return true;
  }

  /** What a member's answer says: our clock minus its clock, ms. */
  heard(ed25519Hex: string, offsetMs: number): void {
    this.#offsets.delete(ed25519Hex);
    this.#offsets.set(ed25519Hex, offsetMs);
    for (const oldest of this.#offsets.keys()) {
      if (this.#offsets.size <= ANSWERS) break;
      this.#offsets.delete(oldest);
    }
    const offset = this.offsetMs;
    if (offset === undefined) return;
    const isOff = Math.abs(offset) > CLOCK_TOLERANCE_MS;
    const now = this.#env.clock.monotonic();
    if (isOff && (!this.#wasOff || now - this.#warnedAt >= REMIND_MS)) {
      this.#warnedAt = now;
      this.#env.log.warn(
        { offsetSeconds: Math.round(offset / 1000) },
        'the clock of this machine is wrong: requests will be refused until it is set (for instance "timedatectl set-ntp true")',
      );
    } else if (!isOff && this.#wasOff) {
      this.#env.log.info({ offsetSeconds: Math.round(offset / 1000) }, 'the clock is right again');
    }
    this.#wasOff = isOff;
  }
}
