// SPDX-License-Identifier: AGPL-3.0-or-later
// Rewards of a devnet, held against each other: what the registry accrued, what was claimed, what the pool lost, what is left
// (spec/chain §4.12). Whole units; nothing is rounded here.
import { PRESETS } from '@allium/chain/presets';
import { claim } from '@allium/chain/stake/transactions';
import type { DevChain } from './dev-chain.ts';

/** Atomic units. */
interface Ledger {
  readonly accrued: bigint;
  readonly claimed: bigint;
  /** Set aside by the registry for what nobody has claimed yet. */
  readonly allocated: bigint;
  /** What nodes could claim in the block of these figures. */
  readonly claimable: bigint;
  readonly poolBalance: bigint;
  /** What the pool must hold: its share at the deployment and penalties, less what was claimed. */
  readonly poolExpected: bigint;
}

/** Each operator claims for all its nodes. @returns what was paid, by operator */
export async function claimAll(chain: DevChain): Promise<Map<string, bigint>> {
  const paid = new Map<string, bigint>();
  for (const operator of chain.operators) {
    const session = await chain.session(operator);
    const entries = chain.registrations
      .filter((one) => one.operator === operator)
      .map(({ nodeId }) => ({ nodeId, index: 0 }));
    const before = (await session.funds()).tokens;
    await session.send(claim(chain.deployment.registry, entries));
    paid.set(operator, (await session.funds()).tokens - before);
  }
  return paid;
}

/** Of one and the same block. */
export async function readLedger(chain: DevChain): Promise<Ledger> {
  const session = await chain.treasury();
  const entries = chain.registrations.map(({ nodeId }) => ({ nodeId, index: 0 }));
  for (;;) {
    await chain.history.update();
    const seen = chain.history.entries.length;
    const { allocated } = await session.read<{ allocated: bigint }>('lens', 'accounting');
    const claimable: bigint[] = [];
    for (const { nodeId, index } of entries) {
      claimable.push(await session.read<bigint>('registry', 'claimable', nodeId, index));
    }
    const poolBalance = await session.read<bigint>('token', 'balanceOf', chain.deployment.pool);
    await chain.history.update();
    // An event in between: the figures are of different blocks.
    if (chain.history.entries.length !== seen) continue;
    const sumOf = (name: string) =>
      chain.history.entries
        .filter((entry) => entry.name === name)
        .reduce((sum, entry) => sum + (entry.args.amount as bigint), 0n);
    const claimed = sumOf('RewardsClaimed');
    return {
      accrued: sumOf('Accrued'),
      claimed,
      allocated,
      claimable: claimable.reduce((sum, one) => sum + one, 0n),
      poolBalance,
      poolExpected: PRESETS.local.poolShare + penalties(chain) - claimed,
    };
  }
}

function penalties(chain: DevChain): bigint {
  const { stakingRequirement, penaltyBps } = PRESETS.local.params;
  const deregistered = chain.history.entries.filter(
    ({ name, args }) => name === 'StateChanged' && args.state === 4,
  );
  return (BigInt(deregistered.length) * stakingRequirement * BigInt(penaltyBps)) / 10_000n;
}
