// SPDX-License-Identifier: MIT
// What a refused transaction means and what to do about it, in words: every error of the contracts (spec/chain §4.15).
import { type Abi, decodeErrorResult } from 'viem';
import type { Hex } from '../chain-view.ts';
import * as contributionPools from '../contracts/generated/ContributionPools.ts';
import * as rewardPool from '../contracts/generated/RewardPool.ts';
import * as serviceNodeRegistry from '../contracts/generated/ServiceNodeRegistry.ts';
import * as sessionToken from '../contracts/generated/SessionToken.ts';
import * as timelockController from '../contracts/generated/TimelockController.ts';
import { tokens } from './amounts.ts';

type Arguments = readonly unknown[];

const when = (value: unknown) => new Date(Number(value) * 1000).toISOString().replace('.000Z', 'Z');
const STATES = ['not registered', '', 'active', 'suspended', 'removed', 'gone'];
const state = (value: unknown) => STATES[Number(value)] || `in state ${String(value)}`;
const POOL_STATES = [
  'there is no pool of this number',
  'the pool is still open',
  'the pool is full',
  'the pool is registered as a node',
  'the pool was cancelled',
];

const WORDS: Readonly<Record<string, (args: Arguments) => string>> = {
  // Registry
  NotOpen: () => 'registration is not open, or paused for now',
  RateLimited: () => 'as many nodes have entered in this epoch as may; try again in the next one',
  BadFee: () => 'the fee must be from 0 to 100 %',
  ZeroKey: () => 'a key of the registration is missing; make the registration file anew on the node',
  NotOperator: () => 'only the operator of this node may do that; use the wallet that registered it',
  NotContributor: () => 'this wallet has no such share in the node',
  NotGovernor: () => 'only the governor may do that, through the timelock',
  NotGuardian: () => 'only the guardian may do that',
  NotPools: () => 'only the contract of contribution pools may do that',
  BadState: ([value]) => `that is not possible now: it is ${state(value)}`,
  BadAction: () => 'the vote asks for something that does not exist',
  BadStake: () => 'the contributions do not add up to the stake that is required',
  StaleEpoch: () => 'too late: the epoch of these votes is over',
  TooEarly: ([until]) =>
    until === undefined
      ? 'too early: the seed of this epoch is not final yet'
      : `too early: possible from ${when(until)} on`,
  BadNonce: () => 'the node has changed its state since these votes were made',
  TooFewVoters: () => 'the quorum has too few members to decide',
  TooFewVotes: () => 'too few votes',
  TooManyVotes: () => 'more votes than the quorum has members',
  BadIndex: () => 'the votes are not in order, or not of this quorum',
  BadSignature: ([index]) => `the vote of member ${String(index)} is not signed by its key`,
  GraceNotOver: ([until]) => `the node may still come back until ${when(until)}`,
  AlreadyRevealed: () => 'the seed of this epoch is revealed already',
  WindowClosed: () => 'the time to reveal the seed of this epoch is over, or has not begun',
  WrongPreimage: () => 'that is not the pre-image of whose turn it is',
  WrongSeedMode: () => 'this network makes its seeds in another way',
  ExitAlreadyRequested: () =>
    'an exit has been requested already; "allium stake status" shows when it is due',
  SmallContributorLocked: ([until]) =>
    `a share of less than a quarter can ask to leave only from ${when(until)} on`,
  Locked: ([until]) => `the stake is locked until ${when(until)}`,
  AlreadyWithdrawn: () => 'this share has been paid back already',
  NothingToClaim: () => 'there is nothing to claim yet',
  CapExceeded: () => 'the reward pool has paid all that it may within twelve hours; try again later',
  OutOfBounds: () => 'the value lies outside the bounds of this parameter',
  NoSuccessor: () => 'no successor has been named for long enough',
  NotAgreed: () => 'contributors with three quarters of the stake must agree first',
  TransferMismatch: () => 'the token did not move the whole amount',
  ZeroAddress: () => 'an address is missing',
  // Contribution pools
  BadReservation: () => 'a reservation is too small, given twice, or of the operator',
  TooManyContributors: () => 'the pool has no place for one more contributor',
  BelowMinimum: ([minimum]) => `at least ${tokens(minimum)} tokens are needed here`,
  TooLittleGas: () => 'the last contribution to a pool also registers the node: give it a million gas more',
  AboveRemaining: ([remaining]) => `only ${tokens(remaining)} tokens are missing; allow a part, or give less`,
  RequirementChanged: () =>
    'the required stake has changed since the pool was opened; it cannot fill any more',
  NotDeployer: () => 'only whoever deployed the contracts may do that',
  AlreadyBound: () => 'the contract belongs to a registry already',
  NotRegistry: () => 'only the registry may do that',
  ReentrancyGuardReentrantCall: () => 'the contract was called from within itself',
  SafeERC20FailedOperation: () => 'the token did not move; look at balance and allowance',
  // Token
  ERC20InsufficientBalance: ([, balance, needed]) =>
    `the wallet holds ${tokens(balance)} tokens, ${tokens(needed)} are needed`,
  ERC20InsufficientAllowance: ([, allowance, needed]) =>
    `the contract may take ${tokens(allowance)} tokens of this wallet, ${tokens(needed)} are needed`,
  ERC20InvalidApprover: () => 'nobody can allow anything for the zero address',
  ERC20InvalidReceiver: ([address]) => `tokens cannot be sent to ${String(address)}`,
  ERC20InvalidSender: () => 'tokens cannot come from the zero address',
  ERC20InvalidSpender: () => 'the zero address cannot be allowed to take tokens',
  InvalidAccountNonce: () => 'the permit was signed for another state of the wallet; sign it anew',
  PermitExpired: () => 'the permit is no longer valid; sign it anew',
  PermitNotSigned: () => 'the permit is not signed by this wallet',
  SupplyTooLarge: () => 'more tokens than the contracts can count',
  // Timelock
  AccessControlUnauthorizedAccount: ([account]) => `the timelock does not take that from ${String(account)}`,
  AccessControlBadConfirmation: () => 'a role can be given up only by whoever holds it',
  FailedCall: () => 'what the timelock should have done was refused',
  TimelockInsufficientDelay: ([, least]) => `the timelock wants a delay of at least ${String(least)} seconds`,
  TimelockInvalidOperationLength: () => 'the operation of the timelock has lists of different lengths',
  TimelockUnauthorizedCaller: () => 'only the timelock itself may do that',
  TimelockUnexecutedPredecessor: () => 'another operation of the timelock has to come first',
  TimelockUnexpectedOperationState: () => 'the operation of the timelock is not due, or was done already',
};

const ALL_ERRORS: Abi = [
  contributionPools,
  rewardPool,
  serviceNodeRegistry,
  sessionToken,
  timelockController,
].flatMap(({ abi }) => (abi as Abi).filter((item) => item.type === 'error'));

export interface Refusal {
  /** Name of the contract's error; undefined: it gave none that we know. */
  readonly error: string | undefined;
  readonly words: string;
}

/** `data`: what the call returned when it was reverted; `contract`: which one was called. */
export function refusalOf(data: Hex, contract?: string): Refusal {
  try {
    const { errorName, args = [] } = decodeErrorResult({ abi: ALL_ERRORS, data });
    if (errorName === 'Error' || errorName === 'Panic') {
      return { error: errorName, words: `the contract refuses: ${String(args[0]).slice(0, 200)}` };
    }
    const ofPool = contract === 'ContributionPools' && errorName === 'BadState';
    const poolState = ofPool ? POOL_STATES[Number(args[0])] : undefined;
    return {
      error: errorName,
      words: poolState === undefined ? wordsOf(errorName, args) : `that is not possible now: ${poolState}`,
    };
  } catch {
    return { error: undefined, words: 'the contract refuses, for a reason that it does not name' };
  }
}

/** What a contract's error means. */
export function wordsOf(name: string, args: readonly unknown[]): string {
  return WORDS[name]?.(args) ?? `the contract refuses with ${name}`;
}

/** Errors that have words; for the test that none was forgotten. */
export const explainedErrors: ReadonlySet<string> = new Set(Object.keys(WORDS));
