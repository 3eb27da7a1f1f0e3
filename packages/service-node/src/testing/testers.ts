// SPDX-License-Identifier: AGPL-3.0-or-later
// Tests the other nodes without pause (spec/chain §4.18, spec/storage-server §5.10): a random one every ten seconds or so,
// failing ones with growing patience, and those that this node has to judge more often and more closely. What comes out
// stands in the `PeerBook`.

import { type Cancel, type Env, sample } from '@allium/protocol/env';
import type { Member } from '@allium/protocol/membership';
import { Background } from '../background.ts';
import { CLOCKS_TO_ASK } from '../membership/clock-watch.ts';
import { hasAddress } from '../peers.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { PeerBook } from './peer-book.ts';
import type { Questions } from './questions.ts';
import type { StorageProbe } from './storage-probe.ts';
import type { TestTimings } from './timings.ts';

// From the specification.
const PROBES_TO_FAIL = 3;

// Ours.
/** Tests at work at once: a cut network must not pile them up. */
const MAX_RUNNING = 40;

/** A node that this one has to look at closely. */
export interface Target {
  readonly ed25519Hex: string;
  /** Each round a target is probed once. */
  readonly round: number;
}

export interface Targets {
  current(): readonly Target[];
  /** The listener must not throw. */
  onChange(listener: () => void): Cancel;
}

export interface TestersParts {
  readonly swarm: Swarm;
  readonly book: PeerBook;
  readonly questions: Pick<Questions, 'ping' | 'clockOffset'>;
  readonly probe: Pick<StorageProbe, 'run'>;
  readonly targets: Targets;
  readonly timings: TestTimings;
  readonly ownHex: string;
}

export class Testers {
  readonly #parts: TestersParts;
  readonly #env: Env;
  readonly #running: Background;
  readonly #inWork = new Set<string>();
  /** Nodes still to be tested in this turn through the list, in any order. */
  #candidates: string[] = [];
  readonly #retests = new Map<string, Cancel>();
  readonly #targetTests = new Map<string, Cancel>();
  readonly #probes = new Map<string, { readonly round: number; readonly cancel: Cancel }>();
  readonly #listeners = new Set<(ed25519Hex: string) => void>();
  #cancels: Cancel[] = [];
  #next: Cancel | undefined;
  #stopping = new AbortController();

  constructor(parts: TestersParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#running = new Background('a test failed', env, () => this.#stopping.signal.aborted);
  }

  /** A test of this node ended. The listener must not throw. */
  onTested(listener: (ed25519Hex: string) => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    const { timings, targets } = this.#parts;
    this.#stopping = new AbortController();
    // Not at once: nodes that start together are not up yet.
    this.#cancels = [
      this.#env.clock.after(1.5 * timings.pingMean, () => {
        for (const member of this.#someOthers(CLOCKS_TO_ASK)) this.#test(member.ed25519Hex);
        this.#takeTargets();
        this.#cancels.push(targets.onChange(() => this.#takeTargets()));
      }),
    ];
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#next?.();
    for (const cancel of this.#cancels) cancel();
    for (const cancel of this.#retests.values()) cancel();
    for (const cancel of this.#targetTests.values()) cancel();
    for (const { cancel } of this.#probes.values()) cancel();
    this.#retests.clear();
    this.#targetTests.clear();
    this.#probes.clear();
    await this.#running.settled();
  }

  #schedule(): void {
    const { pingMean, pingSpread } = this.#parts.timings;
    this.#next = this.#env.clock.after(this.#normal(pingMean, pingSpread), () => {
      const next = this.#candidate();
      if (next !== undefined) this.#test(next);
      this.#schedule();
    });
  }

  /** The next node of the turn; a failing one has its own timer. */
  #candidate(): string | undefined {
    const { swarm, book } = this.#parts;
    const { byEd25519 } = swarm.membership;
    const usable = (key: string) => {
      const member = byEd25519.get(key);
      return member !== undefined && this.#isOther(member) && !book.isFailing(key);
    };
    for (let turn = 0; turn < 2; turn++) {
      for (let key = this.#candidates.pop(); key !== undefined; key = this.#candidates.pop()) {
        if (usable(key)) return key;
      }
      if (turn > 0) break;
      book.retain((key) => byEd25519.has(key));
      this.#candidates = sample([...byEd25519.keys()], byEd25519.size, this.#env.random);
    }
    return undefined;
  }

  /** Begins to look after new targets, and ends to look after former ones. */
  #takeTargets(): void {
    const current = this.#parts.targets.current();
    const keys = new Set(current.map(({ ed25519Hex }) => ed25519Hex));
    for (const [key, cancel] of this.#targetTests) {
      if (keys.has(key)) continue;
      cancel();
      this.#targetTests.delete(key);
    }
    for (const [key, { cancel }] of this.#probes) {
      if (keys.has(key)) continue;
      cancel();
      this.#probes.delete(key);
    }
    for (const { ed25519Hex, round } of current) {
      if (!this.#targetTests.has(ed25519Hex)) {
        this.#test(ed25519Hex);
        this.#testAgain(ed25519Hex);
      }
      const probe = this.#probes.get(ed25519Hex);
      if (probe === undefined || probe.round < round) {
        probe?.cancel();
        this.#probeLater(ed25519Hex, round, this.#env.random.unit() * this.#parts.timings.target);
      }
    }
  }

  #testAgain(key: string): void {
    const { target, targetSpread } = this.#parts.timings;
    const ms = target + (2 * this.#env.random.unit() - 1) * targetSpread;
    const cancel = this.#env.clock.after(ms, () => {
      this.#test(key);
      this.#testAgain(key);
    });
    this.#targetTests.set(key, cancel);
  }

  #probeLater(key: string, round: number, ms: number): void {
    const cancel = this.#env.clock.after(ms, () => this.#running.run(this.#probe(key, round)));
    this.#probes.set(key, { round, cancel });
  }

  /** Ours: a node that missed one is probed again soon, so that one tester in one epoch can tell a pattern from a slip. */
  async #probe(key: string, round: number): Promise<void> {
    const { book, probe, swarm, timings } = this.#parts;
    if (swarm.id === undefined) return;
    const outcome = await probe.run(key, this.#stopping.signal);
    let again = outcome === 'missed';
    // Ours: a node that is away misses its probes as well; that is a fault of its own, and no other.
    if (outcome === 'missed' && (await this.#isThere(key))) {
      book.probed(key, false);
      again = book.probesMissed(key) < PROBES_TO_FAIL;
    }
    if (outcome === 'found') book.probed(key, true);
    this.#tell(key);
    if (again && this.#probes.get(key)?.round === round) this.#probeLater(key, round, timings.target / 2);
  }

  async #isThere(key: string): Promise<boolean> {
    const member = this.#parts.swarm.membership.byEd25519.get(key);
    if (member === undefined) return false;
    const result = await this.#parts.questions.ping(member, this.#stopping.signal);
    return Object.keys(result).length === 0;
  }

  #test(key: string): void {
    const member = this.#parts.swarm.membership.byEd25519.get(key);
    if (member === undefined || !this.#isOther(member) || this.#inWork.has(key)) return;
    // §5.10: only active nodes test others.
    if (this.#parts.swarm.id === undefined || this.#running.size >= MAX_RUNNING) return;
    this.#inWork.add(key);
    this.#running.run(this.#testNow(member).finally(() => this.#inWork.delete(key)));
  }

  async #testNow(member: Member): Promise<void> {
    const { book, questions } = this.#parts;
    const { signal } = this.#stopping;
    const key = member.ed25519Hex;
    const failures = book.pinged(key, await questions.ping(member, signal));
    if (failures === 0) {
      this.#retests.get(key)?.();
      this.#retests.delete(key);
      // Ours: a node that is not there is not asked for the time; that it is away is a fault of its own.
      book.timeAsked(key, await questions.clockOffset(member, signal));
    } else {
      this.#retest(key, failures);
    }
    this.#tell(key);
  }

  /** §5.10: the more failures in a row, the later. */
  #retest(key: string, failures: number): void {
    const { pingMean, pingSpread, retestMost } = this.#parts.timings;
    const ms = Math.min(retestMost, (failures - 1) * pingMean + this.#normal(pingMean, pingSpread));
    this.#retests.get(key)?.();
    const cancel = this.#env.clock.after(ms, () => {
      this.#retests.delete(key);
      if (!this.#parts.swarm.membership.byEd25519.has(key)) return;
      this.#test(key);
      // Where it could not be tested just now.
      if (!this.#inWork.has(key)) this.#retest(key, failures);
    });
    this.#retests.set(key, cancel);
  }

  #tell(key: string): void {
    for (const listener of [...this.#listeners]) listener(key);
  }

  #isOther(member: Member): boolean {
    return member.ed25519Hex !== this.#parts.ownHex && hasAddress(member);
  }

  #someOthers(count: number): Member[] {
    const others = this.#parts.swarm.membership.members.filter((member) => this.#isOther(member));
    return sample(others, count, this.#env.random);
  }

  /** Normally distributed, by Box and Muller; never less than a tenth of the mean. */
  #normal(mean: number, spread: number): number {
    const { random } = this.#env;
    const radius = Math.sqrt(-2 * Math.log(1 - random.unit()));
    return Math.max(mean / 10, mean + spread * radius * Math.cos(2 * Math.PI * random.unit()));
  }
}
