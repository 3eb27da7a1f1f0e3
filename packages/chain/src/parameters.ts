// SPDX-License-Identifier: MIT
// Parameters of the registry and when each value holds (spec/chain §4.3), and the arithmetic of credits (§4.11).
import type { ChainParameters, NodeRecord } from './chain-view.ts';
import type { ContractParams } from './presets.ts';

/** Keys of `ParamChanged`, by their number. */
export const PARAMETER_KEYS = [
  'stakingRequirement',
  'maxContributors',
  'unlockDelay',
  'deregLock',
  'penaltyBps',
  'payableDelay',
  'shortOutage',
  'smallDelay',
  'creditInitial',
  'creditMax',
  'creditRate',
  'minGrace',
  'rewardRate',
  'quorum',
  'deactivationBps',
  'registrationBps',
] as const;
export type ParameterKey = (typeof PARAMETER_KEYS)[number];

export interface ParameterChange {
  readonly key: ParameterKey;
  /** Two numbers in one value: `creditRate` num·2^16 + den, `rewardRate` num·2^32 + den, `quorum` size·2^8 + minVoters. */
  readonly value: bigint;
  /** The epoch from which it holds; 0: at once. */
  readonly fromEpoch: number;
}

/** What holds, and what was announced for later epochs, in the order in which it was announced. */
export interface ParameterHistory {
  readonly base: ChainParameters;
  readonly later: readonly ParameterChange[];
}

/** Ours: governance cannot announce more at one time, through a timelock, than the contract has parameters. */
const MAX_LATER = 256;

export function initialParameters(params: Readonly<ContractParams>): ParameterHistory {
  return { base: { ...params }, later: [] };
}

/** `epoch` is the one of the change. Values that hold by then become the base. */
export function withParameter(
  history: ParameterHistory,
  change: ParameterChange,
  epoch: number,
): ParameterHistory {
  let { base } = history;
  const later: ParameterChange[] = [];
  for (const one of [...history.later, change]) {
    if (one.fromEpoch <= epoch || later.length === MAX_LATER) base = withValue(base, one);
    else later.push(one);
  }
  return { base, later };
}

/** What holds in an epoch, which is not before that of the newest change. */
export function parametersAt(history: ParameterHistory, epoch: number): ChainParameters {
  let parameters = history.base;
  for (const change of history.later) {
    if (change.fromEpoch <= epoch) parameters = withValue(parameters, change);
  }
  return parameters;
}

/** Credit in seconds of an active node at a time (spec/chain §4.11). */
export function creditAfter(
  record: Pick<NodeRecord, 'credit' | 'activeSince'>,
  seconds: number,
  parameters: ChainParameters,
): number {
  const { creditMax, creditRateNum, creditRateDen } = parameters;
  const earned = Math.floor(((seconds - record.activeSince) * creditRateNum) / creditRateDen);
  return Math.min(creditMax, record.credit + earned);
}

/** When a decommissioned node may be deregistered (spec/chain §4.11), unix seconds. */
export function graceEnd(record: NodeRecord, parameters: ChainParameters): number {
  return record.decommissionedAt + Math.max(record.credit, parameters.minGrace);
}

function withValue(parameters: ChainParameters, { key, value }: ParameterChange): ChainParameters {
  const low = (bits: number) => Number(BigInt.asUintN(bits, value));
  switch (key) {
    case 'stakingRequirement':
      return { ...parameters, stakingRequirement: value };
    case 'creditRate':
      return { ...parameters, creditRateNum: Number(value >> 16n), creditRateDen: low(16) };
    case 'rewardRate':
      return { ...parameters, rateNum: Number(value >> 32n), rateDen: low(32) };
    case 'quorum':
      return { ...parameters, quorumSize: Number(value >> 8n), minVoters: low(8) };
    default:
      return { ...parameters, [key]: Number(value) };
  }
}
