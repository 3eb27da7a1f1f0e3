// SPDX-License-Identifier: MIT
// What a transaction did, from its events, in words (spec/chain §4.15).
import { type Abi, decodeEventLog } from 'viem';
import type { Hex } from '../chain-view.ts';
import { abi as poolsAbi } from '../contracts/generated/ContributionPools.ts';
import { abi as registryAbi } from '../contracts/generated/IServiceNodeRegistry.ts';
import { abi as tokenAbi } from '../contracts/generated/SessionToken.ts';
import type { Deployment } from '../deployment.ts';
import { tokens } from './amounts.ts';
import { refusalOf } from './reverts.ts';

export interface Outcome {
  /** Name of the contract's event. */
  readonly event: string;
  readonly words: string;
  /** The node or pool that it is about, where it names one. */
  readonly nodeId?: number;
  readonly poolId?: number;
}

type Args = Readonly<Record<string, unknown>>;

const when = (seconds: unknown) => new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z');

const WORDS: Readonly<Record<string, (args: Args) => string>> = {
  NodeRegistered: ({ nodeId, stake }) => `node ${nodeId} is registered with ${tokens(stake)} tokens`,
  ExitRequested: ({ nodeId, unlockAt }) =>
    `node ${nodeId} leaves at ${when(unlockAt)}; until then it goes on working and earning`,
  StakeWithdrawn: ({ nodeId, amount }) => `${tokens(amount)} tokens came back from node ${nodeId}`,
  RewardsClaimed: ({ nodeId, beneficiary, amount }) =>
    `${tokens(amount)} tokens of rewards of node ${nodeId} went to ${lower(beneficiary)}`,
  BeneficiaryChanged: ({ beneficiary }) => `rewards now go to ${lower(beneficiary)}`,
  VotingKeyChanged: ({ nodeId, key }) => `node ${nodeId} votes with the key ${lower(key)}`,
  PoolOpened: ({ poolId, requirement }) =>
    `pool ${poolId} is open; it fills at ${tokens(requirement)} tokens`,
  Contributed: ({ poolId, amount }) => `${tokens(amount)} tokens are in pool ${poolId}`,
  ContributionWithdrawn: ({ poolId, amount }) => `${tokens(amount)} tokens came back from pool ${poolId}`,
  ReservationReleased: ({ poolId, staker }) =>
    `nothing is reserved for ${lower(staker)} in pool ${poolId} any more`,
  PoolFilled: ({ poolId }) => `pool ${poolId} is full`,
  PoolRegistered: ({ poolId, nodeId }) => `pool ${poolId} is now node ${nodeId}`,
  PoolCancelled: ({ poolId }) => `pool ${poolId} is cancelled; everyone can withdraw his own`,
  RegistrationFailed: ({ poolId, reason }) =>
    `the registry did not take pool ${poolId} yet (${refusalOf(reason as Hex).words}): "allium stake finalize ${poolId}" tries again`,
};

export function outcomesOf(
  logs: readonly { readonly address: string; readonly topics: readonly Hex[]; readonly data: Hex }[],
  deployment: Pick<Deployment, 'registry' | 'pools' | 'token'>,
): Outcome[] {
  const abis = new Map<string, Abi>([
    [deployment.registry, registryAbi as Abi],
    [deployment.pools, poolsAbi as Abi],
    [deployment.token, tokenAbi as Abi],
  ]);
  return logs.flatMap(({ address, topics, data }): Outcome[] => {
    const abi = abis.get(address.toLowerCase());
    if (abi === undefined) return [];
    try {
      const decoded = decodeEventLog({ abi, topics: [...topics] as [Hex, ...Hex[]], data });
      const event = decoded.eventName as unknown as string;
      const args = (decoded.args ?? {}) as Args;
      const words = WORDS[event]?.(args);
      if (words === undefined) return [];
      const { nodeId, poolId } = args;
      return [
        {
          event,
          words,
          ...(nodeId !== undefined && { nodeId: Number(nodeId) }),
          ...(poolId !== undefined && { poolId: Number(poolId) }),
        },
      ];
    } catch {
      return []; // not an event of this version
    }
  });
}

const lower = (address: unknown) => String(address).toLowerCase();
