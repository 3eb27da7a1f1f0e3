// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium stake status`: what a wallet has in a network, and what it can do next. Needs no passphrase.
import { withChecksum } from '@allium/chain/address';
import { ether, tokens } from '@allium/chain/stake/amounts';
import { type NodeHolding, type PoolHolding, readNodes, readPools } from '@allium/chain/stake/holdings';
import { StakeSession } from '@allium/chain/stake/session';
import { chosenAddress, chosenDeployment, chosenRpc } from '../../chain-options.ts';
import { print, printJson, progress, styled } from '../../terminal.ts';
import type { StakeOptions } from './session.ts';
import { nextForNode, nextForPool, nodeInWords, poolInWords } from './words.ts';

export async function status(options: StakeOptions & { wallet?: string }): Promise<number> {
  const address = await chosenAddress(options);
  const signer = { kind: 'nobody', address } as const;
  const rpc = chosenRpc(options);
  const session = await StakeSession.open({ rpc, deployment: chosenDeployment(options), signer });
  const line = progress('Looking through the nodes', 'seen');
  let nodes: NodeHolding[];
  let pools: PoolHolding[];
  try {
    nodes = await readNodes(session, address, (seen) => line.update(seen));
    pools = await readPools(session, address);
  } finally {
    line.done();
  }
  const funds = await session.funds();
  const now = Math.max(await session.now(), Math.floor(Date.now() / 1000));
  const { smallDelay } = await session.read<{ smallDelay: number }>('lens', 'params');
  if (options.json === true) printJson(asJson(address, funds, nodes, pools));
  else show({ address, funds, nodes, pools, now, smallDelay });
  return 0;
}

interface Shown {
  readonly address: `0x${string}`;
  readonly funds: { readonly tokens: bigint; readonly wei: bigint };
  readonly nodes: readonly NodeHolding[];
  readonly pools: readonly PoolHolding[];
  readonly now: number;
  readonly smallDelay: number;
}

function show({ address, funds, nodes, pools, now, smallDelay }: Shown): void {
  print(`Wallet ${withChecksum(address)}: ${tokens(funds.tokens)} tokens, ${ether(funds.wei)} ETH for gas`);
  for (const node of nodes) {
    print();
    print(`${styled('bold', `Node ${node.nodeId}`)}  ${nodeInWords(node, now)}`);
    print(`  key         ${node.ed25519.slice(2)}`);
    if (node.operator !== address) print(`  operator    ${node.operator}, fee ${node.feeBps / 100} %`);
    for (const share of node.shares) {
      if (share.staker !== address && share.beneficiary !== address) continue;
      const back = share.isWithdrawn ? ', paid back' : '';
      const whole = share.amount === node.stake ? '' : ` of ${tokens(node.stake)}`;
      print(`  stake       ${tokens(share.amount)}${whole} tokens${back}`);
      if (share.staker !== address) print(`  staker      ${share.staker}; the rewards are yours`);
      else if (share.beneficiary !== address) print(`  rewards to  ${share.beneficiary}`);
      print(`  claimable   ${tokens(share.claimable)} tokens; claimed so far ${tokens(share.claimed)}`);
    }
    for (const step of nextForNode(node, address, now, smallDelay)) print(`  next        ${step}`);
  }
  for (const pool of pools) {
    print();
    print(`${styled('bold', `Pool ${pool.poolId}`)}  ${poolInWords(pool)}`);
    print(`  key         ${pool.ed25519.slice(2)}`);
    if (pool.operator !== address) print(`  operator    ${pool.operator}, fee ${pool.feeBps / 100} %`);
    if (pool.amount > 0n) print(`  yours       ${tokens(pool.amount)} tokens`);
    for (const step of nextForPool(pool, address, now)) print(`  next        ${step}`);
  }
  if (nodes.length === 0 && pools.length === 0) {
    print();
    print(
      'It has no share in any node or pool. "allium stake register" and "allium stake contribute" begin one.',
    );
  }
}

function asJson(
  address: string,
  funds: Shown['funds'],
  nodes: readonly NodeHolding[],
  pools: readonly PoolHolding[],
): unknown {
  const whole = { address, tokens: funds.tokens, wei: funds.wei, nodes, pools };
  return JSON.parse(JSON.stringify(whole, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
}
