// SPDX-License-Identifier: MIT
// The three parameter sets of a chain network (spec/chain §4.3): what the contracts are deployed with, and the
// timings off chain that scale with it. Amounts are atomic units (10^-9 token), times seconds.

export type PresetName = 'production' | 'test' | 'local';

export const TOKEN_DECIMALS = 9;
const TOKEN = 10n ** BigInt(TOKEN_DECIMALS);
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** The parameters that governance may change within bounds; names as in the contract's `Params`. */
export interface ContractParams {
  stakingRequirement: bigint;
  maxContributors: number;
  unlockDelay: number;
  deregLock: number;
  penaltyBps: number;
  payableDelay: number;
  shortOutage: number;
  smallDelay: number;
  creditInitial: number;
  creditMax: number;
  creditRateNum: number;
  creditRateDen: number;
  minGrace: number;
  rateNum: number;
  rateDen: number;
  quorumSize: number;
  minVoters: number;
  deactivationBps: number;
  registrationBps: number;
}

/** Timings of the node software (spec/chain §4.17–4.19), seconds. */
export interface NetworkTimings {
  proofFrequency: number;
  proofValidity: number;
  proofTolerance: number;
  /** A peer that has failed for so long without a success is unreachable … */
  unreachableAfter: number;
  /** … if its last failure is not older than this. */
  lastFailureWithin: number;
  targetPingPeriod: number;
  voteRepetition: number;
  submissionStagger: number;
  /** After the reveal window, before a node acts on the epoch's view. */
  confirm: number;
  /** How long requests under the previous swarm map are accepted. */
  swarmOverlap: number;
}

export interface NetworkPreset {
  readonly name: PresetName;
  /** L */
  readonly epochLength: number;
  /** R */
  readonly revealWindow: number;
  /** Every so many epochs the members sign the list (spec/chain §4.22). */
  readonly certifyEvery: number;
  readonly params: Readonly<ContractParams>;
  readonly timings: Readonly<NetworkTimings>;
  readonly totalSupply: bigint;
  /** Part of the supply that starts in the reward pool (spec/chain §2.2 for production). */
  readonly poolShare: bigint;
  /** At most so much leaves the pool in 12 h; 0: no limit. */
  readonly payCap: bigint;
  readonly timelockDelay: number;
}

const FIXED = {
  maxContributors: 10,
  penaltyBps: 20,
  creditRateNum: 1,
  creditRateDen: 30,
  rateNum: 151,
  rateDen: 1000,
  quorumSize: 10,
};
const MONEY = {
  totalSupply: 240_000_000n * TOKEN,
  poolShare: 40_000_000n * TOKEN,
  payCap: 1_000_000n * TOKEN,
};

export const PRESETS: Readonly<Record<PresetName, NetworkPreset>> = {
  production: {
    name: 'production',
    epochLength: HOUR,
    revealWindow: 5 * MINUTE,
    certifyEvery: 24,
    params: {
      ...FIXED,
      stakingRequirement: 15_000n * TOKEN,
      unlockDelay: 15 * DAY,
      deregLock: 30 * DAY,
      payableDelay: DAY,
      shortOutage: 2 * HOUR,
      smallDelay: 30 * DAY,
      creditInitial: 2 * HOUR,
      creditMax: 48 * HOUR,
      minGrace: 2 * HOUR,
      minVoters: 7,
      deactivationBps: 500,
      registrationBps: 500,
    },
    timings: {
      proofFrequency: HOUR,
      proofValidity: 2 * HOUR + 5 * MINUTE,
      proofTolerance: 5 * MINUTE,
      unreachableAfter: 65 * MINUTE,
      lastFailureWithin: 5 * MINUTE,
      targetPingPeriod: 5 * MINUTE,
      voteRepetition: 2 * MINUTE,
      submissionStagger: 15,
      confirm: 30,
      swarmOverlap: 5 * MINUTE,
    },
    ...MONEY,
    timelockDelay: 7 * DAY,
  },
  test: {
    name: 'test',
    epochLength: 10 * MINUTE,
    revealWindow: MINUTE,
    certifyEvery: 6,
    params: {
      ...FIXED,
      stakingRequirement: 100n * TOKEN,
      unlockDelay: 2 * HOUR,
      deregLock: 4 * HOUR,
      payableDelay: 10 * MINUTE,
      shortOutage: 10 * MINUTE,
      smallDelay: 2 * HOUR,
      creditInitial: 20 * MINUTE,
      creditMax: 8 * HOUR,
      minGrace: 20 * MINUTE,
      minVoters: 3,
      deactivationBps: 2000,
      registrationBps: 10_000,
    },
    timings: {
      proofFrequency: 10 * MINUTE,
      proofValidity: 21 * MINUTE,
      proofTolerance: 5 * MINUTE,
      unreachableAfter: 11 * MINUTE,
      lastFailureWithin: 2 * MINUTE,
      targetPingPeriod: MINUTE,
      voteRepetition: 20,
      submissionStagger: 5,
      confirm: 5,
      swarmOverlap: MINUTE,
    },
    ...MONEY,
    timelockDelay: HOUR,
  },
  local: {
    name: 'local',
    epochLength: 30,
    revealWindow: 6,
    certifyEvery: 2,
    params: {
      ...FIXED,
      stakingRequirement: 100n * TOKEN,
      unlockDelay: 60,
      deregLock: 90,
      payableDelay: 20,
      shortOutage: 20,
      smallDelay: 60,
      creditInitial: 60,
      creditMax: 600,
      minGrace: 60,
      minVoters: 3,
      deactivationBps: 10_000,
      registrationBps: 10_000,
    },
    timings: {
      proofFrequency: 10,
      proofValidity: 25,
      proofTolerance: 5,
      unreachableAfter: 15,
      lastFailureWithin: 5,
      targetPingPeriod: 2,
      voteRepetition: 2,
      submissionStagger: 1,
      confirm: 1,
      swarmOverlap: 3,
    },
    ...MONEY,
    timelockDelay: 30,
  },
};
