// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium stake contribute | withdraw | claim | exit | cancel | finalize | release | set-voting-key | set-beneficiary | send`.
import { tokens } from '@allium/chain/stake/amounts';
import {
  type NodeHolding,
  type PoolHolding,
  readNode,
  readNodes,
  readPool,
  type Share,
} from '@allium/chain/stake/holdings';
import type { StakeSession } from '@allium/chain/stake/session';
import {
  cancelPool,
  claim,
  contribute,
  finalizePool,
  releaseReservation,
  requestExit,
  setBeneficiary,
  setPoolBeneficiary,
  setVotingKey,
  transfer,
  withdrawFromPool,
  withdrawStake,
} from '@allium/chain/stake/transactions';
import { addressOption } from '../../chain-options.ts';
import { CliError, usage } from '../../cli-error.ts';
import { progress } from '../../terminal.ts';
import { carryOut } from './plan.ts';
import { openSession, type StakeOptions, tokensOption } from './session.ts';
import { when } from './words.ts';

/** Ours: so many claims stay far below the gas of a block. */
const MAX_CLAIMS = 100;

interface TargetOptions extends StakeOptions {
  readonly node?: number;
  readonly pool?: number;
}

export async function contributeTo(
  poolId: number,
  amountText: string,
  options: StakeOptions & { beneficiary?: string; part?: boolean; atLeast?: string },
): Promise<number> {
  const amount = tokensOption('the amount', amountText);
  const minAccepted = options.atLeast === undefined ? 0n : tokensOption('--at-least', options.atLeast);
  if (minAccepted > amount) throw usage('--at-least is more than the amount');
  const beneficiary =
    options.beneficiary === undefined ? undefined : addressOption('--beneficiary', options.beneficiary);
  const session = await openSession(options);
  const pool = await needPool(session, poolId);
  if (pool.state !== 'open') throw new CliError(`pool ${poolId} takes no contributions: it is ${pool.state}`);
  const [least, most] = await session.read<[bigint, bigint]>(
    'pools',
    'limitsOf',
    BigInt(poolId),
    session.address,
  );
  if (most === 0n) throw new CliError(`pool ${poolId} has no place for this wallet`);
  if (amount < least) {
    throw new CliError(`pool ${poolId} takes ${tokens(least)} to ${tokens(most)} tokens from this wallet`);
  }
  if (amount > most && options.part !== true) {
    throw new CliError(`only ${tokens(most)} tokens are missing in pool ${poolId}: give that, or add --part`);
  }
  await session.needTokens(amount);
  const { pools } = session.deployment;
  const step = contribute(pools, {
    poolId,
    amount,
    allowPartial: options.part === true,
    minAccepted,
    ...(beneficiary !== undefined && { beneficiary }),
  });
  return carryOut(session, [...(await session.approvalFor('pools', amount)), step], options);
}

export async function withdraw(options: TargetOptions): Promise<number> {
  const { node, pool: poolId } = oneTarget(options);
  const session = await openSession(options);
  const { registry, pools } = session.deployment;
  if (poolId !== undefined) {
    const pool = await needPool(session, poolId);
    if (pool.amount === 0n) throw new CliError(`this wallet has nothing in pool ${poolId}`);
    if (pool.operator === session.address && pool.state !== 'cancelled') {
      throw new CliError(
        `whoever opened a pool leaves it by "allium stake cancel ${poolId}"; then withdraw again`,
      );
    }
    return carryOut(session, [withdrawFromPool(pools, poolId)], options);
  }
  const holding = await needNode(session, node!);
  const share = ownShare(holding, session);
  if (share.isWithdrawn)
    throw new CliError(`the stake of this wallet in node ${node} has been paid back already`);
  await checkLeft(holding, session);
  return carryOut(session, [withdrawStake(registry, holding.nodeId, share.index)], options);
}

async function checkLeft(
  { nodeId, state, unlockAt, lockedUntil }: NodeHolding,
  session: StakeSession,
): Promise<void> {
  const now = Math.max(await session.now(), Math.floor(Date.now() / 1000));
  const isOnDuty = state === 'active' || state === 'decommissioned';
  if (isOnDuty && unlockAt === 0) {
    throw new CliError(`node ${nodeId} has not been asked to leave: "allium stake exit ${nodeId}" first`);
  }
  const until = isOnDuty ? unlockAt : state === 'deregistered' ? lockedUntil : 0;
  if (until > now) throw new CliError(`the stake in node ${nodeId} is locked until ${when(until)}`);
}

export async function claimRewards(nodeIds: readonly number[], options: StakeOptions): Promise<number> {
  const session = await openSession(options);
  const holdings =
    nodeIds.length === 0
      ? await lookThrough(session)
      : await Promise.all([...new Set(nodeIds)].map((nodeId) => needNode(session, nodeId)));
  const mine = holdings.flatMap(({ shares }) =>
    shares.filter(({ staker, beneficiary }) => staker === session.address || beneficiary === session.address),
  );
  if (mine.length === 0)
    throw new CliError(
      `the wallet ${session.address} has no share in ${nodeIds.length === 0 ? 'any node' : 'these nodes'}`,
    );
  const due = mine.filter(({ claimable }) => claimable > 0n).slice(0, MAX_CLAIMS);
  if (due.length === 0) throw new CliError('there is nothing to claim yet');
  const sum = due.reduce((whole, { claimable }) => whole + claimable, 0n);
  const entries = due.map(({ nodeId, index }) => ({ nodeId, index }));
  return carryOut(session, [claim(session.deployment.registry, entries, sum)], options);
}

async function lookThrough(session: StakeSession): Promise<NodeHolding[]> {
  const line = progress('Looking through the nodes', 'seen');
  try {
    return await readNodes(session, session.address, (seen) => line.update(seen));
  } finally {
    line.done();
  }
}

export async function exit(nodeId: number, options: StakeOptions): Promise<number> {
  const session = await openSession(options);
  const holding = await needNode(session, nodeId);
  const { index } = ownShare(holding, session);
  if (holding.unlockAt > 0) {
    throw new CliError(
      `the exit of node ${nodeId} has been asked for already: it is due at ${when(holding.unlockAt)}`,
    );
  }
  return carryOut(session, [requestExit(session.deployment.registry, nodeId, index)], options);
}

export async function cancel(poolId: number, options: StakeOptions): Promise<number> {
  const session = await openSession(options);
  await needPool(session, poolId);
  return carryOut(session, [cancelPool(session.deployment.pools, poolId)], options);
}

export async function finalize(poolId: number, options: StakeOptions): Promise<number> {
  const session = await openSession(options);
  await needPool(session, poolId);
  return carryOut(session, [finalizePool(session.deployment.pools, poolId)], options);
}

export async function release(poolId: number, staker: string, options: StakeOptions): Promise<number> {
  const address = addressOption('the contributor', staker);
  const session = await openSession(options);
  await needPool(session, poolId);
  return carryOut(session, [releaseReservation(session.deployment.pools, poolId, address)], options);
}

export async function changeVotingKey(nodeId: number, key: string, options: StakeOptions): Promise<number> {
  const address = addressOption('the voting key', key);
  const session = await openSession(options);
  await needNode(session, nodeId);
  return carryOut(session, [setVotingKey(session.deployment.registry, nodeId, address)], options);
}

export async function changeBeneficiary(to: string, options: TargetOptions): Promise<number> {
  const beneficiary = addressOption('the beneficiary', to);
  const { node, pool } = oneTarget(options);
  const session = await openSession(options);
  const { registry, pools } = session.deployment;
  if (pool !== undefined) {
    await needPool(session, pool);
    return carryOut(session, [setPoolBeneficiary(pools, pool, beneficiary)], options);
  }
  const { index } = ownShare(await needNode(session, node!), session);
  return carryOut(session, [setBeneficiary(registry, node!, index, beneficiary)], options);
}

export async function sendTokens(amountText: string, to: string, options: StakeOptions): Promise<number> {
  const amount = tokensOption('the amount', amountText);
  const address = addressOption('the recipient', to);
  const session = await openSession(options);
  await session.needTokens(amount);
  return carryOut(session, [transfer(session.deployment.token, address, amount)], options);
}

function oneTarget({ node, pool }: TargetOptions): { node: number | undefined; pool: number | undefined } {
  if ((node === undefined) === (pool === undefined)) throw usage('name one of --node N and --pool N');
  return { node, pool };
}

async function needNode(session: StakeSession, nodeId: number): Promise<NodeHolding> {
  const holding = await readNode(session, nodeId);
  if (holding === undefined) throw new CliError(`there is no node ${nodeId}`);
  return holding;
}

async function needPool(session: StakeSession, poolId: number): Promise<PoolHolding> {
  const pool = await readPool(session, poolId);
  if (pool === undefined) throw new CliError(`there is no pool ${poolId}`);
  return pool;
}

function ownShare({ nodeId, shares }: NodeHolding, session: StakeSession): Share {
  const share = shares.find(({ staker }) => staker === session.address);
  if (share === undefined) throw new CliError(`the wallet ${session.address} has no share in node ${nodeId}`);
  return share;
}
