// SPDX-License-Identifier: MIT
// The transactions of operators and stakers, as data: what is called with what, and how to tell it to a person before
// he signs. Nothing here talks to a chain.
import { type Abi, encodeFunctionData, erc20Abi } from 'viem';
import type { Hex } from '../chain-view.ts';
import { abi as registryAbi } from '../contracts/generated/IServiceNodeRegistry.ts';
import { tokens } from './reverts.ts';

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

export interface Addresses {
  readonly registry: Hex;
  readonly token: Hex;
}

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

export function claim(
  registry: Hex,
  entries: readonly { readonly nodeId: number; readonly index: number }[],
): PlannedTransaction {
  const nodes = [...new Set(entries.map((entry) => entry.nodeId))].join(', ');
  return onRegistry(registry, `Claim the rewards of node ${nodes}`, 'claim', [entries]);
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

/** The struct that registry and pools take. */
export function registrationOf(terms: RegistrationTerms) {
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

export function plan(
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
