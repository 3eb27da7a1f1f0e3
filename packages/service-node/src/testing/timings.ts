// SPDX-License-Identifier: AGPL-3.0-or-later
// Pace and patience of the tests of other nodes, one set per preset (spec/chain §4.3, §4.18, spec/storage-server §5.10).
import { PRESETS, type PresetName } from '@allium/chain/presets';

/** Ms, all of them. */
export interface TestTimings {
  /** Mean time between tests of a random node, and its standard deviation. */
  readonly pingMean: number;
  readonly pingSpread: number;
  /** The longest that a failing node waits for its next test. */
  readonly retestMost: number;
  /** Between tests of a target, and how much that varies to either side. */
  readonly target: number;
  readonly targetSpread: number;
  /** How long the parts of one test may take. */
  readonly timeout: number;
  /** A node counts as unreachable when it has failed for this long without a success… */
  readonly unreachable: number;
  /** …and its last failure is not older than this. */
  readonly lastFailure: number;
  /** A decommissioned node counts as back when it has been reachable over such a time. */
  readonly back: number;
  /** From storing a probe to fetching it. */
  readonly probeWait: number;
  /** How long a node must have been up before it says of others that they fail; also how long a proof holds. */
  readonly validity: number;
  /** When nobody else has tested this node for so long, its operator is told. */
  readonly untested: number;
  /** Between two draws of targets where no quorum names them; an epoch. */
  readonly epoch: number;
}

/** What is not in the table of §4.3, seconds: the tests of a random node scale with those of targets. */
const OURS = {
  production: {
    pingMean: 10,
    pingSpread: 3,
    retestMost: 120,
    timeout: 5,
    back: 60,
    probeWait: 60,
    untested: 120,
  },
  test: { pingMean: 2, pingSpread: 0.6, retestMost: 20, timeout: 5, back: 10, probeWait: 10, untested: 60 },
  // A node that hangs must be seen as failing within `lastFailure`.
  local: { pingMean: 0.5, pingSpread: 0.15, retestMost: 2, timeout: 2, back: 1, probeWait: 1, untested: 20 },
} as const;

export function testTimings(preset: PresetName): TestTimings {
  const ours = OURS[preset];
  const { epochLength, timings } = PRESETS[preset];
  const ms = (seconds: number) => Math.round(seconds * 1000);
  return {
    pingMean: ms(ours.pingMean),
    pingSpread: ms(ours.pingSpread),
    retestMost: ms(ours.retestMost),
    target: ms(timings.targetPingPeriod),
    targetSpread: ms(timings.targetPingPeriod / 10),
    timeout: ms(ours.timeout),
    unreachable: ms(timings.unreachableAfter),
    lastFailure: ms(timings.lastFailureWithin),
    back: ms(ours.back),
    probeWait: ms(ours.probeWait),
    validity: ms(timings.proofValidity),
    untested: ms(ours.untested),
    epoch: ms(epochLength),
  };
}
