// SPDX-License-Identifier: MIT
// What a refused transaction means and what to do about it, in words: every error of the registry, the pools, the reward
// pool and the token (spec/chain §4.15).
import { BaseError, ContractFunctionRevertedError } from 'viem';

type Arguments = readonly unknown[];

const when = (value: unknown) => new Date(Number(value) * 1000).toISOString().replace('.000Z', 'Z');
const STATES = ['not registered', '', 'active', 'suspended', 'removed', 'gone'];
const state = (value: unknown) => STATES[Number(value)] || `in state ${String(value)}`;

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
  AboveRemaining: ([remaining]) => `only ${tokens(remaining)} tokens are missing; allow a part, or give less`,
  RequirementChanged: () =>
    'the required stake has changed since the pool was opened; it cannot fill any more',
  // Token
  ERC20InsufficientBalance: ([, balance, needed]) =>
    `the wallet holds ${tokens(balance)} tokens, ${tokens(needed)} are needed`,
  ERC20InsufficientAllowance: ([, allowance, needed]) =>
    `the contract may take ${tokens(allowance)} tokens of this wallet, ${tokens(needed)} are needed`,
};

const DECIMALS = 9;

/** An amount of atomic units as people write it: `15000`, `0.5`. */
export function tokens(amount: unknown): string {
  const digits = String(amount).padStart(DECIMALS + 1, '0');
  const rest = digits.slice(-DECIMALS).replace(/0+$/, '');
  return rest === '' ? digits.slice(0, -DECIMALS) : `${digits.slice(0, -DECIMALS)}.${rest}`;
}

export interface Refusal {
  /** Name of the contract's error; undefined: it gave none. */
  readonly error: string | undefined;
  readonly words: string;
}

/** Undefined when no contract refused: then the endpoint, or the wallet, is the matter. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof BaseError)) return undefined;
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  if (!(reverted instanceof ContractFunctionRevertedError)) return undefined;
  const name = reverted.data?.errorName;
  if (name === undefined) {
    return { error: undefined, words: `the contract refuses: ${reverted.reason ?? 'without a reason'}` };
  }
  if (name === 'Error')
    return { error: name, words: `the contract refuses: ${String(reverted.data?.args?.[0])}` };
  return { error: name, words: wordsOf(name, reverted.data?.args ?? []) };
}

/** What a contract's error means. */
export function wordsOf(name: string, args: readonly unknown[]): string {
  return WORDS[name]?.(args) ?? `the contract refuses with ${name}`;
}

/** Errors that have words; for the test that none was forgotten. */
export const explainedErrors: ReadonlySet<string> = new Set(Object.keys(WORDS));
