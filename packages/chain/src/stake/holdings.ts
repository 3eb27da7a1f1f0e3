// SPDX-License-Identifier: MIT
// What a wallet has in a network: shares of nodes, and of pools that are not nodes yet (spec/chain §4.5, §4.6, §4.12).
import { type Hex, type NodeState, STATE_NUMBERS } from '../chain-view.ts';
import type { StakeSession } from './session.ts';

/** A contributor of a node. Atomic units; times unix seconds, 0: not. */
export interface Share {
  readonly nodeId: number;
  readonly index: number;
  readonly staker: Hex;
  readonly beneficiary: Hex;
  readonly amount: bigint;
  readonly isWithdrawn: boolean;
  readonly claimed: bigint;
  readonly claimable: bigint;
}

/** A node in which the wallet has a share, as staker, beneficiary or operator. */
export interface NodeHolding {
  readonly nodeId: number;
  readonly ed25519: Hex;
  readonly operator: Hex;
  readonly votingKey: Hex | undefined;
  readonly state: NodeState;
  readonly stake: bigint;
  readonly feeBps: number;
  readonly registeredAt: number;
  readonly activeSince: number;
  readonly decommissionedAt: number;
  /** Seconds of absence that it can still afford. */
  readonly creditSeconds: number;
  /** From when on it earns rewards; 0: not, as long as nothing changes. */
  readonly earnsFrom: number;
  /** When a requested exit is due. */
  readonly unlockAt: number;
  /** Of a deregistered node: until when its stake is locked. */
  readonly lockedUntil: number;
  readonly reasonsAny: number;
  readonly shares: readonly Share[];
}

export const POOL_STATES = ['none', 'open', 'filled', 'registered', 'cancelled'] as const;
export type PoolState = (typeof POOL_STATES)[number];

export interface PoolHolding {
  readonly poolId: number;
  readonly state: PoolState;
  readonly operator: Hex;
  readonly ed25519: Hex;
  readonly feeBps: number;
  readonly requirement: bigint;
  readonly contributed: bigint;
  readonly manualFinalize: boolean;
  readonly filledAt: number;
  /** What the wallet has in it, and what is reserved for it. */
  readonly amount: bigint;
  readonly reserved: bigint;
  /** When the contribution can be withdrawn. */
  readonly withdrawableAt: number;
}

/** From the contract. */
const WITHDRAW_SECONDS = 24 * 3600;
// Ours: as many as one call may read, and as many pools as are looked through, from the newest on.
const NODES_PER_CALL = 100;
const MAX_POOLS = 2000;
const POOLS_AT_ONCE = 50;

interface WholeNode {
  nodeId: number;
  node: {
    operator: Hex;
    state: number;
    feeBps: number;
    registeredAt: number;
    activeSince: number;
    decommissionedAt: number;
    unlockAt: number;
    lockedUntil: number;
    flags: number;
    payableAt: number;
    ed25519: Hex;
    stake: bigint;
    reasonsAny: number;
  };
  contributors: readonly {
    staker: Hex;
    amount: bigint;
    withdrawn: boolean;
    beneficiary: Hex;
    claimed: bigint;
  }[];
  votingKey: Hex;
  slotNodeId: number;
  credit: number;
}

const STATES = new Map<number, NodeState>(
  Object.entries(STATE_NUMBERS).map(([name, number]) => [number, name as NodeState]),
);

/** One node with all its shares. Undefined: there is none of this number. */
export async function readNode(session: StakeSession, nodeId: number): Promise<NodeHolding | undefined> {
  const [whole] = await session.read<WholeNode[]>('lens', 'nodes', nodeId, 1);
  if (whole === undefined || whole.nodeId !== nodeId) return undefined;
  const [held] = await withClaims(session, [whole]);
  return held;
}

/** The nodes in which the address has something, or had. Looks through all nodes of the network. */
export function readNodes(
  session: StakeSession,
  address: Hex = session.address,
  onProgress: (seen: number) => void = () => {},
): Promise<NodeHolding[]> {
  const isMine = (one: Hex) => one.toLowerCase() === address;
  const concerns = ({ node, contributors }: WholeNode) =>
    isMine(node.operator) ||
    contributors.some(({ staker, beneficiary }) => isMine(staker) || isMine(beneficiary));
  return scan(session, concerns, onProgress);
}

/** Nodes with this identity key that have not left, valid or not. */
export function nodesWithKey(session: StakeSession, ed25519: Hex): Promise<NodeHolding[]> {
  const { active, decommissioned } = STATE_NUMBERS;
  return scan(
    session,
    ({ node }) => node.ed25519 === ed25519 && [active, decommissioned].some((one) => one === node.state),
  );
}

async function scan(
  session: StakeSession,
  wanted: (whole: WholeNode) => boolean,
  onProgress: (seen: number) => void = () => {},
): Promise<NodeHolding[]> {
  const found: WholeNode[] = [];
  for (let from = 1; ; from += NODES_PER_CALL) {
    const part = await session.read<WholeNode[]>('lens', 'nodes', from, NODES_PER_CALL);
    found.push(...part.filter(wanted));
    onProgress(from - 1 + part.length);
    if (part.length < NODES_PER_CALL) return withClaims(session, found);
  }
}

async function withClaims(session: StakeSession, list: readonly WholeNode[]): Promise<NodeHolding[]> {
  const entries = list.flatMap(({ nodeId, contributors }) =>
    contributors.map((_, index) => ({ nodeId, index })),
  );
  const amounts = await session.claimable(entries);
  let next = 0;
  return list.map(({ nodeId, node, contributors, votingKey, slotNodeId, credit }) => ({
    nodeId,
    ed25519: node.ed25519,
    operator: lower(node.operator),
    votingKey: slotNodeId === nodeId ? lower(votingKey) : undefined,
    state: STATES.get(node.state) ?? 'exited',
    stake: node.stake,
    feeBps: node.feeBps,
    registeredAt: node.registeredAt,
    activeSince: node.activeSince,
    decommissionedAt: node.decommissionedAt,
    creditSeconds: credit,
    earnsFrom: (node.flags & 1) === 1 ? node.activeSince : node.payableAt > 1 ? node.payableAt : 0,
    unlockAt: node.unlockAt,
    lockedUntil: node.lockedUntil,
    reasonsAny: node.reasonsAny,
    shares: contributors.map((one, index) => ({
      nodeId,
      index,
      staker: lower(one.staker),
      beneficiary: lower(one.beneficiary),
      amount: one.amount,
      isWithdrawn: one.withdrawn,
      claimed: one.claimed,
      claimable: amounts[next++] ?? 0n,
    })),
  }));
}

type PoolAnswer = [
  {
    operator: Hex;
    state: number;
    manualFinalize: boolean;
    filledAt: number;
    requirement: bigint;
    contributed: bigint;
  },
  { ed25519: Hex; feeBps: number },
  readonly { staker: Hex; amount: bigint; lastAt: number }[],
  readonly { staker: Hex; amount: bigint }[],
];

/** One pool as the address sees it. Undefined: there is none of this number. */
export async function readPool(
  session: StakeSession,
  poolId: number,
  address: Hex = session.address,
): Promise<PoolHolding | undefined> {
  const answer = await session.read<PoolAnswer>('pools', 'poolOf', BigInt(poolId));
  const [pool, registration, members, reserved] = answer;
  if (pool.state === 0) return undefined;
  const isMine = ({ staker }: { staker: Hex }) => lower(staker) === address;
  const own = members.find(isMine);
  return {
    poolId,
    state: POOL_STATES[pool.state] ?? 'none',
    operator: lower(pool.operator),
    ed25519: registration.ed25519,
    feeBps: registration.feeBps,
    requirement: pool.requirement,
    contributed: pool.contributed,
    manualFinalize: pool.manualFinalize,
    filledAt: pool.filledAt,
    amount: own?.amount ?? 0n,
    reserved: reserved.find(isMine)?.amount ?? 0n,
    withdrawableAt: own === undefined ? 0 : pool.state === 4 ? own.lastAt : own.lastAt + WITHDRAW_SECONDS,
  };
}

/** Pools, not yet nodes, in which the address has something, from the newest on. */
export function readPools(session: StakeSession, address: Hex = session.address): Promise<PoolHolding[]> {
  return scanPools(session, address, ({ state, amount, reserved, operator }) =>
    state === 'cancelled'
      ? amount > 0n
      : state !== 'registered' && (amount > 0n || reserved > 0n || operator === address),
  );
}

/** What a pool would take from an address now; atomic units. */
export interface OpenPool extends PoolHolding {
  readonly least: bigint;
  readonly most: bigint;
}

/** Pools that take contributions from the address, from the newest on. */
export async function readOpenPools(
  session: StakeSession,
  address: Hex = session.address,
): Promise<OpenPool[]> {
  const open = await scanPools(session, address, ({ state }) => state === 'open');
  const limits = await Promise.all(
    open.map(({ poolId }) => session.read<[bigint, bigint]>('pools', 'limitsOf', BigInt(poolId), address)),
  );
  return open
    .map((pool, n) => ({ ...pool, least: limits[n]![0], most: limits[n]![1] }))
    .filter(({ most }) => most > 0n);
}

async function scanPools(
  session: StakeSession,
  address: Hex,
  wanted: (pool: PoolHolding) => boolean,
): Promise<PoolHolding[]> {
  const count = Number(await session.read<bigint>('pools', 'poolCount'));
  const found: PoolHolding[] = [];
  const last = Math.max(1, count - MAX_POOLS + 1);
  for (let poolId = count; poolId >= last; poolId -= POOLS_AT_ONCE) {
    const ids = Array.from({ length: Math.min(POOLS_AT_ONCE, poolId - last + 1) }, (_, n) => poolId - n);
    for (const pool of await Promise.all(ids.map((id) => readPool(session, id, address)))) {
      if (pool !== undefined && wanted(pool)) found.push(pool);
    }
  }
  return found;
}

const lower = (address: Hex) => address.toLowerCase() as Hex;
