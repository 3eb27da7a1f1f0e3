// SPDX-License-Identifier: AGPL-3.0-or-later
// What this node has found out about the others, for its operator (`allium node peers`) and, in a network with a static
// list, for its admins, who decide there what quorums decide on a chain (spec/chain §4.23). One JSON object; the same at
// `/peers` of the local listeners and as answer to `service.get_peers`.
import type { PresetName } from '@allium/chain/presets';
import type { Env } from '@allium/protocol/env';
import type { Member } from '@allium/protocol/membership';
import { type ReasonCode, reasonCodes } from '@allium/protocol/membership/reasons';
import type { ClockWatch } from '../membership/clock-watch.ts';
import { hasAddress } from '../peers.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { IncomingPings } from './incoming-pings.ts';
import type { PeerBook } from './peer-book.ts';

/** Times in Unix ms, `null`: never or unknown. */
export interface PeerEntry {
  readonly ed25519: string;
  readonly nodeId?: number;
  readonly state: 'active' | 'decommissioned';
  /** Hex; `null`: in none. */
  readonly swarm: string | null;
  /** `host:httpsPort:omqPort`; `null`: not announced. */
  readonly address: string | null;
  readonly version: string;
  /** Tests that it fails at present. */
  readonly failing: readonly ReasonCode[];
  /** Who votes on it now, if this node does. */
  readonly isTarget: boolean;
  readonly lastTestAt: number | null;
  readonly reachableAt: number | null;
  readonly unreachableSince: number | null;
  readonly fault: string | null;
  readonly timeAnswers: number;
  readonly timeQuestions: number;
  /** Our clock minus its clock. */
  readonly clockOffsetMs: number | null;
  readonly probeAt: number | null;
  readonly probesMissed: number;
  readonly proofAt?: number | null;
  readonly missedTurns?: number;
}

export interface PeerReport {
  readonly at: number;
  readonly node: string;
  readonly membership: 'static' | 'chain';
  readonly pace: PresetName;
  readonly upSeconds: number;
  /** Our clock minus those of the others. */
  readonly clockOffsetMs: number | null;
  /** So many differ that it is our clock which is presumed wrong, or our network which is presumed cut off. */
  readonly ownClockSuspect: boolean;
  readonly ownNetworkSuspect: boolean;
  /** When another node last tested this one. */
  readonly testedAt: { readonly https: number | null; readonly omq: number | null };
  readonly failing: number;
  /** Failing ones first, then by key. */
  readonly peers: readonly PeerEntry[];
}

/** What only the chain knows of a node. */
export type ChainFacts = Pick<PeerEntry, 'nodeId' | 'proofAt' | 'missedTurns'>;

export interface PeerReportParts {
  readonly swarm: Swarm;
  readonly book: PeerBook;
  readonly clocks: ClockWatch;
  readonly incoming: IncomingPings;
  readonly pace: PresetName;
  readonly membership: PeerReport['membership'];
  readonly ownHex: string;
  readonly reasonsOf: (ed25519Hex: string) => number;
  readonly isTarget: (ed25519Hex: string) => boolean;
  readonly factsOf?: (ed25519Hex: string) => ChainFacts;
}

export class PeerReporter {
  readonly #parts: PeerReportParts;
  readonly #env: Env;
  readonly #startedAt: number;

  constructor(parts: PeerReportParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#startedAt = env.clock.monotonic();
  }

  report(): PeerReport {
    const { swarm, book, clocks, incoming, pace, membership, ownHex } = this.#parts;
    const { clock } = this.#env;
    const peers = swarm.membership.members
      .filter((member) => member.ed25519Hex !== ownHex)
      .map((member) => this.#entry(member))
      .sort((a, b) => Number(b.failing.length > 0) - Number(a.failing.length > 0));
    return {
      at: clock.now(),
      node: ownHex,
      membership,
      pace,
      upSeconds: Math.round((clock.monotonic() - this.#startedAt) / 1000),
      clockOffsetMs: rounded(clocks.offsetMs),
      ownClockSuspect: clocks.isPresumedWrong,
      ownNetworkSuspect: book.isCutOff,
      testedAt: { https: incoming.lastAt('https') ?? null, omq: incoming.lastAt('omq') ?? null },
      failing: peers.filter(({ failing }) => failing.length > 0).length,
      peers,
    };
  }

  /** Numbers of peers by what they fail, for metrics; `none`: they pass. */
  counts(): Map<ReasonCode | 'none', number> {
    const { swarm, ownHex, reasonsOf } = this.#parts;
    const counts = new Map<ReasonCode | 'none', number>();
    const count = (name: ReasonCode | 'none') => counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const { ed25519Hex } of swarm.membership.members) {
      if (ed25519Hex === ownHex) continue;
      const codes = reasonCodes(reasonsOf(ed25519Hex));
      if (codes.length === 0) count('none');
      for (const code of codes) count(code);
    }
    return counts;
  }

  #entry(member: Member): PeerEntry {
    const { book, reasonsOf, isTarget, factsOf } = this.#parts;
    const { ed25519Hex, host, httpsPort, omqPort, active, swarmId, version } = member;
    const tests = book.tests(ed25519Hex);
    return {
      ed25519: ed25519Hex,
      state: active ? 'active' : 'decommissioned',
      swarm: active ? swarmId.toString(16) : null,
      address: hasAddress(member)
        ? `${host.includes(':') ? `[${host}]` : host}:${httpsPort}:${omqPort}`
        : null,
      version: version.join('.'),
      failing: reasonCodes(reasonsOf(ed25519Hex)),
      isTarget: isTarget(ed25519Hex),
      lastTestAt: tests?.lastTestAt ?? null,
      reachableAt: tests?.reachableAt ?? null,
      unreachableSince: tests?.failingSince ?? null,
      fault: tests?.fault ?? null,
      timeAnswers: tests?.timeAnswers ?? 0,
      timeQuestions: tests?.timeQuestions ?? 0,
      clockOffsetMs: rounded(tests?.clockOffsetMs),
      probeAt: tests?.probeAt ?? null,
      probesMissed: tests?.probesMissed ?? 0,
      ...factsOf?.(ed25519Hex),
    };
  }
}

const rounded = (value: number | undefined) => (value === undefined ? null : Math.round(value));
