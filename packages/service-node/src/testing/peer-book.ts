// SPDX-License-Identifier: AGPL-3.0-or-later
// What this node has found out about the others by testing them (spec/chain §1.11, §4.18). Not kept on disk: a node
// accuses nobody before it has been up for the validity time, and until then it has learnt all of it anew.
//
// Times inside are of the monotonic clock, so that setting the machine's clock changes no verdict.
import type { Env } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import { type ClockWatch, PEER_CLOCK_TOLERANCE_MS } from '../membership/clock-watch.ts';
import type { TestTimings } from './timings.ts';

// From the specification (§4.18).
const ANSWERS = 8;
const MOST_MISSES = 4;
const PROBES_TO_FAIL = 3;

/** Outcome of one reachability test: what went wrong, by listener. */
export interface PingResult {
  readonly https?: string;
  readonly omq?: string;
}

/** What an operator sees of a peer; times in Unix ms. */
export interface PeerTests {
  readonly lastTestAt: number | undefined;
  readonly reachableAt: number | undefined;
  /** Since when it has failed without a success. */
  readonly failingSince: number | undefined;
  readonly failedAt: number | undefined;
  /** What went wrong last. */
  readonly fault: string | undefined;
  /** Of the last eight questions for the time. */
  readonly timeAnswers: number;
  readonly timeQuestions: number;
  /** Of its last eight answers, those with a clock that agrees with ours, and all that count. */
  readonly clocksAgreed: number;
  readonly clocksCompared: number;
  /** Our clock minus its clock at the last answer, ms. */
  readonly clockOffsetMs: number | undefined;
  readonly probeAt: number | undefined;
  readonly probesMissed: number;
}

interface Entry {
  lastTest: number | undefined;
  lastReachable: number | undefined;
  /** First success after the last failure. */
  reachableSince: number | undefined;
  /** First failure after the last success. */
  failingSince: number | undefined;
  lastFailure: number | undefined;
  /** Failures in a row. */
  failures: number;
  fault: string | undefined;
  /** Whether it answered, the newest last. */
  readonly answered: boolean[];
  /** Whether its clock agreed, the newest last. */
  readonly agreed: boolean[];
  offsetMs: number | undefined;
  lastProbe: number | undefined;
  probesMissed: number;
}

export class PeerBook {
  readonly #entries = new Map<string, Entry>();
  readonly #clocks: ClockWatch;
  readonly #timings: TestTimings;
  readonly #env: Env;

  constructor(parts: { clocks: ClockWatch; timings: TestTimings }, env: Env) {
    this.#clocks = parts.clocks;
    this.#timings = parts.timings;
    this.#env = env;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Forgets all nodes but these. */
  retain(isKnown: (ed25519Hex: string) => boolean): void {
    for (const key of this.#entries.keys()) if (!isKnown(key)) this.#entries.delete(key);
  }

  /** A reachability test ended; without any fault the node passed. @returns failures in a row */
  pinged(ed25519Hex: string, result: PingResult): number {
    const entry = this.#entry(ed25519Hex);
    const now = this.#now();
    entry.lastTest = now;
    const faults = Object.entries(result).map(([listener, fault]) => `${listener}: ${fault}`);
    if (faults.length === 0) {
      entry.lastReachable = now;
      entry.reachableSince ??= now;
      entry.failingSince = undefined;
      entry.failures = 0;
      entry.fault = undefined;
    } else {
      entry.lastFailure = now;
      entry.failingSince ??= now;
      entry.reachableSince = undefined;
      entry.failures++;
      entry.fault = faults.join(', ');
    }
    return entry.failures;
  }

  /** The node was asked for the time; undefined: it did not answer, though it was reachable. */
  timeAsked(ed25519Hex: string, offsetMs: number | undefined): void {
    const entry = this.#entry(ed25519Hex);
    push(entry.answered, offsetMs !== undefined);
    if (this.#clocks.wasSet()) this.#forgetClocks();
    if (offsetMs === undefined) return;
    entry.offsetMs = offsetMs;
    this.#clocks.heard(ed25519Hex, offsetMs);
    // spec/chain §4.18: nobody is accused while it is our own clock that seems wrong, nor later for what was seen then.
    if (this.#clocks.isPresumedWrong) this.#forgetClocks();
    else push(entry.agreed, Math.abs(offsetMs) <= PEER_CLOCK_TOLERANCE_MS);
  }

  probed(ed25519Hex: string, found: boolean): void {
    const entry = this.#entry(ed25519Hex);
    entry.lastProbe = this.#now();
    entry.probesMissed = found ? 0 : entry.probesMissed + 1;
  }

  /** Whether its last test failed. */
  isFailing(ed25519Hex: string): boolean {
    return this.#entries.get(ed25519Hex)?.failingSince !== undefined;
  }

  probesMissed(ed25519Hex: string): number {
    return this.#entries.get(ed25519Hex)?.probesMissed ?? 0;
  }

  /** Bits of the tests that the node fails (`REASON`): those that need nothing but asking it. */
  reasons(ed25519Hex: string): number {
    const entry = this.#entries.get(ed25519Hex);
    if (entry === undefined) return 0;
    let bits = 0;
    if (this.#isUnreachable(entry)) bits |= REASON.storage;
    if (misses(entry.answered) > MOST_MISSES) bits |= REASON.timecheck;
    if (misses(entry.agreed) > MOST_MISSES && !this.#clocks.isPresumedWrong) bits |= REASON.timesync;
    if (entry.probesMissed >= PROBES_TO_FAIL) bits |= REASON.probe;
    return bits;
  }

  /**
   * Whether most of the nodes tested fail: more likely it is us who are cut off (ours, after the rule for clocks). Nobody
   * is accused of being unreachable then.
   */
  get isCutOff(): boolean {
    let tested = 0;
    let failing = 0;
    for (const { lastTest, failingSince } of this.#entries.values()) {
      if (lastTest === undefined) continue;
      tested++;
      if (failingSince !== undefined) failing++;
    }
    return 2 * failing > tested;
  }

  /** Whether a node that was away has been reachable long enough, without a failure since (spec/chain §4.19). */
  isBack(ed25519Hex: string): boolean {
    const entry = this.#entries.get(ed25519Hex);
    if (entry?.reachableSince === undefined || entry.lastReachable === undefined) return false;
    return entry.lastReachable - entry.reachableSince >= this.#timings.back;
  }

  tests(ed25519Hex: string): PeerTests | undefined {
    const entry = this.#entries.get(ed25519Hex);
    if (entry === undefined) return undefined;
    const shift = this.#env.clock.now() - this.#now();
    const wall = (at: number | undefined) => (at === undefined ? undefined : Math.round(at + shift));
    return {
      lastTestAt: wall(entry.lastTest),
      reachableAt: wall(entry.lastReachable),
      failingSince: wall(entry.failingSince),
      failedAt: wall(entry.lastFailure),
      fault: entry.fault,
      timeAnswers: entry.answered.length - misses(entry.answered),
      timeQuestions: entry.answered.length,
      clocksAgreed: entry.agreed.length - misses(entry.agreed),
      clocksCompared: entry.agreed.length,
      clockOffsetMs: entry.offsetMs,
      probeAt: wall(entry.lastProbe),
      probesMissed: entry.probesMissed,
    };
  }

  /** spec/chain §1.11: failing for long, and still. */
  #isUnreachable({ failingSince, lastFailure }: Entry): boolean {
    if (failingSince === undefined || lastFailure === undefined) return false;
    const now = this.#now();
    return now - failingSince >= this.#timings.unreachable && now - lastFailure < this.#timings.lastFailure;
  }

  #forgetClocks(): void {
    for (const { agreed } of this.#entries.values()) agreed.length = 0;
  }

  #now(): number {
    return this.#env.clock.monotonic();
  }

  #entry(ed25519Hex: string): Entry {
    let entry = this.#entries.get(ed25519Hex);
    if (entry === undefined) {
      entry = {
        lastTest: undefined,
        lastReachable: undefined,
        reachableSince: undefined,
        failingSince: undefined,
        lastFailure: undefined,
        failures: 0,
        fault: undefined,
        answered: [],
        agreed: [],
        offsetMs: undefined,
        lastProbe: undefined,
        probesMissed: 0,
      };
      this.#entries.set(ed25519Hex, entry);
    }
    return entry;
  }
}

function push(ring: boolean[], value: boolean): void {
  ring.push(value);
  if (ring.length > ANSWERS) ring.shift();
}

const misses = (ring: readonly boolean[]) => ring.reduce((count, hit) => count + (hit ? 0 : 1), 0);
