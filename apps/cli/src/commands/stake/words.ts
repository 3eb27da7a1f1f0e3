// SPDX-License-Identifier: AGPL-3.0-or-later
// What the state of a node or pool means for a wallet, and what it can do next.
import { tokens } from '@allium/chain/stake/amounts';
import type { NodeHolding, PoolHolding } from '@allium/chain/stake/holdings';
import { reasonWords } from '@allium/protocol/membership/reasons';

export const when = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Smaller shares cannot make a node leave at once. */
const SMALL_PARTS = 4n;

export function nodeInWords(node: NodeHolding, now: number): string {
  switch (node.state) {
    case 'active':
      if (node.unlockAt > 0)
        return node.unlockAt > now ? `active, leaves at ${when(node.unlockAt)}` : 'has left';
      if (node.earnsFrom === 0) return 'active, does not earn';
      return node.earnsFrom <= now
        ? 'active, earns rewards'
        : `active, earns from ${when(node.earnsFrom)} on`;
    case 'decommissioned': {
      const why = reasonWords(node.reasonsAny);
      const rest =
        node.creditSeconds > 0 ? `; ${duration(node.creditSeconds)} of credit left` : '; no credit left';
      return `suspended since ${when(node.decommissionedAt)}${why === '' ? '' : ` (${why})`}${rest}`;
    }
    case 'deregistered': {
      const why = reasonWords(node.reasonsAny);
      const until = node.lockedUntil > now ? `; stake locked until ${when(node.lockedUntil)}` : '';
      return `removed by vote${why === '' ? '' : ` (${why})`}${until}`;
    }
    case 'exited':
      return 'has left';
  }
}

/** What the wallet can do with its share, the next thing first. */
export function nextForNode(node: NodeHolding, address: string, now: number, smallDelay: number): string[] {
  const { nodeId, state, unlockAt } = node;
  const steps: string[] = [];
  const own = node.shares.find(({ staker }) => staker === address);
  const mine = node.shares.filter(({ staker, beneficiary }) => staker === address || beneficiary === address);
  const due = mine.reduce((sum, { claimable }) => sum + claimable, 0n);
  if (due > 0n) steps.push(`claim ${tokens(due)} tokens: allium stake claim ${nodeId}`);
  const isOnDuty = state === 'active' || state === 'decommissioned';
  if (state === 'decommissioned')
    steps.push('bring the node back before its credit ends: allium node doctor, on its machine');
  if (own === undefined || own.isWithdrawn) return steps;
  if (isOnDuty && unlockAt === 0) {
    const isSmall = own.amount * SMALL_PARTS < node.stake;
    const from = isSmall ? node.registeredAt + smallDelay : 0;
    steps.push(`${from > now ? `from ${when(from)} on ` : ''}leave: allium stake exit ${nodeId}`);
    return steps;
  }
  const until = isOnDuty ? unlockAt : state === 'deregistered' ? node.lockedUntil : 0;
  steps.push(
    `${until > now ? `from ${when(until)} on ` : ''}take back the stake: allium stake withdraw --node ${nodeId}`,
  );
  return steps;
}

export function poolInWords(pool: PoolHolding): string {
  const filled = `${tokens(pool.contributed)} of ${tokens(pool.requirement)} tokens`;
  switch (pool.state) {
    case 'open':
      return `open, ${filled}`;
    case 'filled':
      return `full since ${when(pool.filledAt)}, not yet a node`;
    case 'cancelled':
      return 'cancelled';
    default:
      return pool.state;
  }
}

export function nextForPool(pool: PoolHolding, address: string, now: number): string[] {
  const { poolId, state } = pool;
  const isOperator = pool.operator === address;
  const steps: string[] = [];
  if (state === 'filled' && (isOperator || !pool.manualFinalize))
    steps.push(`make it a node: allium stake finalize ${poolId}`);
  if (state === 'open' && pool.reserved > 0n) {
    steps.push(
      `${tokens(pool.reserved)} tokens are reserved for you: allium stake contribute ${poolId} ${tokens(pool.reserved)}`,
    );
  }
  if (isOperator && state !== 'cancelled') steps.push(`give it up: allium stake cancel ${poolId}`);
  else if (pool.amount > 0n) {
    const from = state === 'cancelled' ? 0 : pool.withdrawableAt;
    steps.push(
      `${from > now ? `from ${when(from)} on ` : ''}take back the contribution: allium stake withdraw --pool ${poolId}`,
    );
  }
  return steps;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
