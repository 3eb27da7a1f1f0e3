// SPDX-License-Identifier: MIT
// The transactions of operators and stakers, as data: what is called with what, and how to tell it to a person before
// he signs. Nothing here talks to a chain.
import { type Abi, encodeFunctionData, erc20Abi } from 'viem';
import type { Hex } from '../chain-view.ts';
import { abi as poolsAbi } from '../contracts/generated/ContributionPools.ts';
import { abi as registryAbi } from '../contracts/generated/IServiceNodeRegistry.ts';
import { tokens } from './amounts.ts';

export interface PlannedTransaction {
  /** What it does, for a person: "Allow the registry to take 15000 tokens". */
  readonly title: string;
  readonly to: Hex;
  readonly contract: string;
  readonly abi: Abi;
  readonly functionName: string;
  readonly args: readonly unknown[];
  /** As it goes onto the chain. */
  readonly data: Hex;
  /** A part of it may fail without the whole failing: estimates of its gas are too low then. */
  readonly catchesFailure?: boolean;
}

/** What a node prepares for its operator; 0x-hex. */
export interface RegistrationKeys {
  /** Identity key and its signature, 32 and 64 bytes. */
  readonly ed25519: Hex;
  readonly signature: Hex;
  readonly votingKey: Hex;
  readonly beaconAnchor: Hex;
}

export interface RegistrationTerms {
  readonly keys: RegistrationKeys;
  /** Basis points of all rewards that the operator gets before they are shared out. */
  readonly feeBps: number;
  /** Who gets the operator's rewards; default: the operator. */
  readonly beneficiary?: Hex;
}

const ZERO_ADDRESS = `0x${'00'.repeat(20)}` as Hex;

export function approve(token: Hex, spender: Hex, who: string, amount: bigint): PlannedTransaction {
  return plan(
    `Allow the ${who} to take ${tokens(amount)} tokens`,
    token,
    'SessionToken',
    erc20Abi,
    'approve',
    [spender, amount],
  );
}

export function register(registry: Hex, terms: RegistrationTerms, stake: bigint): PlannedTransaction {
  return onRegistry(registry, `Lock ${tokens(stake)} tokens and register the node`, 'register', [
    registrationOf(terms),
  ]);
}

export function requestExit(registry: Hex, nodeId: number, index: number): PlannedTransaction {
  return onRegistry(registry, `Ask for the exit of node ${nodeId}`, 'requestExit', [nodeId, index]);
}

export function withdrawStake(registry: Hex, nodeId: number, index: number): PlannedTransaction {
  return onRegistry(registry, `Take back the stake of share ${index} in node ${nodeId}`, 'withdrawStake', [
    nodeId,
    index,
  ]);
}

/** `expected`: what is due by now, in atomic units; it goes on growing. */
export function claim(
  registry: Hex,
  entries: readonly { readonly nodeId: number; readonly index: number }[],
  expected?: bigint,
): PlannedTransaction {
  const due = expected === undefined ? '' : `: ${tokens(expected)} tokens so far`;
  const nodes = [...new Set(entries.map((entry) => entry.nodeId))].join(', ');
  return onRegistry(registry, `Claim the rewards of node ${nodes}${due}`, 'claim', [entries]);
}

export function setVotingKey(registry: Hex, nodeId: number, key: Hex): PlannedTransaction {
  return onRegistry(registry, `Let node ${nodeId} vote with the key ${key}`, 'setVotingKey', [nodeId, key]);
}

export function setBeneficiary(
  registry: Hex,
  nodeId: number,
  index: number,
  beneficiary: Hex,
): PlannedTransaction {
  return onRegistry(
    registry,
    `Pay the rewards of share ${index} in node ${nodeId} to ${beneficiary}`,
    'setBeneficiary',
    [nodeId, index, beneficiary],
  );
}

export function transfer(token: Hex, to: Hex, amount: bigint): PlannedTransaction {
  return plan(`Send ${tokens(amount)} tokens to ${to}`, token, 'SessionToken', erc20Abi, 'transfer', [
    to,
    amount,
  ]);
}

export interface PoolTerms extends RegistrationTerms {
  /** The operator's own contribution. */
  readonly amount: bigint;
  readonly reserved: readonly { readonly staker: Hex; readonly amount: bigint }[];
  /** The operator registers the full pool himself. */
  readonly manualFinalize: boolean;
}

export function openPool(pools: Hex, terms: PoolTerms): PlannedTransaction {
  const { amount, reserved, manualFinalize } = terms;
  const title = `Lock ${tokens(amount)} tokens and open a pool for the node`;
  return onPools(pools, title, 'open', [registrationOf(terms), reserved, manualFinalize, amount]);
}

export interface Contribution {
  readonly poolId: number;
  readonly amount: bigint;
  /** Default: the wallet itself. */
  readonly beneficiary?: Hex;
  /** Take what is missing when the amount is more … */
  readonly allowPartial: boolean;
  /** … but not less than this. */
  readonly minAccepted: bigint;
}

export function contribute(pools: Hex, contribution: Contribution): PlannedTransaction {
  const { poolId, amount, beneficiary = ZERO_ADDRESS, allowPartial, minAccepted } = contribution;
  const title = `Lock ${allowPartial ? 'up to ' : ''}${tokens(amount)} tokens in pool ${poolId}`;
  const args = [BigInt(poolId), amount, beneficiary, allowPartial, minAccepted];
  return { ...onPools(pools, title, 'contribute', args), catchesFailure: true };
}

export function withdrawFromPool(pools: Hex, poolId: number): PlannedTransaction {
  return onPools(pools, `Take back the contribution to pool ${poolId}`, 'withdraw', [BigInt(poolId)]);
}

export function cancelPool(pools: Hex, poolId: number): PlannedTransaction {
  return onPools(pools, `Cancel pool ${poolId}; everyone can then take back his own`, 'cancel', [
    BigInt(poolId),
  ]);
}

export function finalizePool(pools: Hex, poolId: number): PlannedTransaction {
  return onPools(pools, `Register the full pool ${poolId} as a node`, 'finalize', [BigInt(poolId)]);
}

export function releaseReservation(pools: Hex, poolId: number, staker: Hex): PlannedTransaction {
  return onPools(pools, `Give up what is reserved for ${staker} in pool ${poolId}`, 'releaseReservation', [
    BigInt(poolId),
    staker,
  ]);
}

export function setPoolBeneficiary(pools: Hex, poolId: number, beneficiary: Hex): PlannedTransaction {
  return onPools(
    pools,
    `Pay the rewards of your share in pool ${poolId} to ${beneficiary}`,
    'setBeneficiary',
    [BigInt(poolId), beneficiary],
  );
}

/** The struct that registry and pools take. */
function registrationOf(terms: RegistrationTerms) {
  const { keys, feeBps, beneficiary } = terms;
  return {
    ed25519: keys.ed25519,
    edSig0: keys.signature.slice(0, 66) as Hex,
    edSig1: `0x${keys.signature.slice(66)}` as Hex,
    votingKey: keys.votingKey,
    beaconAnchor: keys.beaconAnchor,
    feeBps,
    beneficiary: beneficiary ?? ZERO_ADDRESS,
  };
}

const onRegistry = (to: Hex, title: string, functionName: string, args: readonly unknown[]) =>
  plan(title, to, 'ServiceNodeRegistry', registryAbi as Abi, functionName, args);

const onPools = (to: Hex, title: string, functionName: string, args: readonly unknown[]) =>
  plan(title, to, 'ContributionPools', poolsAbi as Abi, functionName, args);

function plan(
  title: string,
  to: Hex,
  contract: string,
  abi: Abi,
  functionName: string,
  args: readonly unknown[],
): PlannedTransaction {
  return {
    title,
    to,
    contract,
    abi,
    functionName,
    args,
    data: encodeFunctionData({ abi, functionName, args }),
  };
}
