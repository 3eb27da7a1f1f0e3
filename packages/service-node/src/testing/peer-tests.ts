// SPDX-License-Identifier: AGPL-3.0-or-later
// All about testing others, put together (spec/chain §4.18): what asks, what remembers, what tells.
import type { PresetName } from '@allium/chain/presets';
import { HttpsTransport } from '@allium/net/https-transport';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import type { Cancel, Env, Transport } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import type { ListedTests } from '@allium/protocol/storage/service-node-list';
import { ClockWatch } from '../membership/clock-watch.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { FailureLog } from './failure-log.ts';
import { IncomingPings } from './incoming-pings.ts';
import { PeerBook } from './peer-book.ts';
import { type ChainFacts, type PeerReport, PeerReporter } from './peer-report.ts';
import { Questions } from './questions.ts';
import { SampledTargets } from './sampled-targets.ts';
import { StorageProbe } from './storage-probe.ts';
import { type Targets, Testers } from './testers.ts';
import { testTimings } from './timings.ts';

/** What judges nodes by more than the answers that they give: only where there is a chain. */
export interface ChainJudge {
  readonly targets: Targets;
  /** Bits of all failed tests, given those of the tests that only need asking. */
  reasonsOf(ed25519Hex: string, asked: number): number;
  factsOf(ed25519Hex: string): ChainFacts;
}

export interface PeerTestsParts {
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly ownHex: string;
  readonly pace: PresetName;
  /** False: this node tests nobody, but still sees whether it is tested. */
  readonly isOn: boolean;
  /** Default: sockets. */
  readonly transport?: Transport;
  /** Absent in a network with a static list. */
  readonly judge?: ChainJudge;
}

export class PeerTests {
  readonly book: PeerBook;
  readonly clocks: ClockWatch;
  readonly incoming: IncomingPings;
  readonly #parts: PeerTestsParts;
  readonly #testers: Testers;
  readonly #sampled: SampledTargets | undefined;
  readonly #failures: FailureLog;
  readonly #reporter: PeerReporter;
  readonly #ownTransport: HttpsTransport | undefined;
  readonly #targets: Targets;
  #cancel: Cancel | undefined;

  constructor(parts: PeerTestsParts, env: Env) {
    const { omq, swarm, ownHex, pace, judge } = parts;
    const timings = testTimings(pace);
    this.#parts = parts;
    if (parts.transport === undefined) this.#ownTransport = new HttpsTransport();
    const transport = parts.transport ?? (this.#ownTransport as HttpsTransport);
    const others = () => swarm.membership.members.length - (swarm.self === undefined ? 0 : 1);
    this.clocks = new ClockWatch(others, env);
    this.book = new PeerBook({ clocks: this.clocks, timings }, env);
    this.incoming = new IncomingPings(
      { untestedMs: timings.untested, isExpected: () => swarm.id !== undefined && others() > 0 },
      env,
    );
    if (judge === undefined) this.#sampled = new SampledTargets({ swarm, epochMs: timings.epoch }, env);
    this.#targets = judge?.targets ?? (this.#sampled as SampledTargets);
    this.#testers = new Testers(
      {
        swarm,
        book: this.book,
        questions: new Questions({ omq, transport, clock: env.clock, timeoutMs: timings.timeout }),
        probe: new StorageProbe(
          {
            transport,
            membership: () => swarm.membership,
            ownHex,
            timeoutMs: timings.timeout,
            waitMs: timings.probeWait,
          },
          env,
        ),
        targets: this.#targets,
        timings,
        ownHex,
      },
      env,
    );
    const reasonsOf = (key: string) => this.reasonsOf(key);
    this.#failures = new FailureLog(
      {
        book: this.book,
        reasonsOf,
        togetherMs: timings.pingMean,
        consequence:
          judge === undefined
            ? 'a node fails its tests: the admins of the list should see to it'
            : 'a node fails its tests',
      },
      env,
    );
    this.#reporter = new PeerReporter(
      {
        swarm,
        book: this.book,
        clocks: this.clocks,
        incoming: this.incoming,
        pace,
        membership: judge === undefined ? 'static' : 'chain',
        ownHex,
        reasonsOf,
        isTarget: (key) => this.#targets.current().some(({ ed25519Hex }) => ed25519Hex === key),
        ...(judge !== undefined && { factsOf: (key) => judge.factsOf(key) }),
      },
      env,
    );
  }

  /** Bits of the tests that the node fails (`REASON`). */
  reasonsOf(ed25519Hex: string): number {
    const asked = this.book.reasons(ed25519Hex);
    return this.#parts.judge?.reasonsOf(ed25519Hex, asked) ?? asked;
  }

  /** For `get_service_nodes`; undefined: this node tests nobody. */
  get listed(): ((ed25519Hex: string) => ListedTests) | undefined {
    if (!this.#parts.isOn) return undefined;
    // A node that is cut off itself accuses nobody, here as little as in a quorum.
    const { isCutOff } = this.book;
    return (key) => {
      const tests = this.book.tests(key);
      const seconds = (ms: number | undefined) => Math.floor((ms ?? 0) / 1000);
      const { timeAnswers = 0, timeQuestions = 0, clocksAgreed = 0, clocksCompared = 0 } = tests ?? {};
      return {
        reachable: isCutOff || (this.book.reasons(key) & REASON.storage) === 0,
        firstUnreachable: seconds(tests?.failingSince),
        lastUnreachable: seconds(tests?.failedAt),
        lastReachable: seconds(tests?.reachableAt),
        answers: [timeAnswers, timeQuestions - timeAnswers],
        clocks: [clocksAgreed, clocksCompared - clocksAgreed],
      };
    };
  }

  /** A test of this node ended. The listener must not throw. */
  onTested(listener: (ed25519Hex: string) => void): Cancel {
    return this.#testers.onTested(listener);
  }

  report(): PeerReport {
    return this.#reporter.report();
  }

  counts(): ReadonlyMap<string, number> {
    return this.#reporter.counts();
  }

  start(): void {
    this.incoming.start();
    if (!this.#parts.isOn) return;
    this.#cancel = this.#testers.onTested((key) => this.#failures.look(key));
    this.#sampled?.start();
    this.#testers.start();
  }

  async stop(): Promise<void> {
    this.incoming.stop();
    this.#sampled?.stop();
    this.#cancel?.();
    this.#failures.stop();
    await this.#testers.stop();
    this.#ownTransport?.close();
  }
}
