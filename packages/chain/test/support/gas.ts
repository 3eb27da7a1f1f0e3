// SPDX-License-Identifier: MIT
// Gas of each operation of spec/chain §4.26, on a network of 60 nodes whose storage is warm as in daily use.
import { encodeFunctionData } from 'viem';
import type { Hex } from '../../src/chain-view.ts';
import { deployedBytecode } from '../../src/contracts/generated/ServiceNodeRegistry.ts';
import { PRESETS } from '../../src/presets.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from './registry-fixture.ts';

/**
 * spec/chain §4.26; the last row is in bytes. As there: not the first of its kind ever, which writes words that were
 * empty, and who gets tokens has some (one who has none costs 17,100 more).
 */
export const BUDGETS = {
  'register, solo': 340_000,
  'register, 10 contributors': 850_000,
  reveal: 70_000,
  'decommission, 7 of 10': 185_000,
  'recommission, 7 of 10': 205_000,
  'deregister, 7 of 10': 200_000,
  'decommission, 14 of 20': 330_000,
  'recommission, 14 of 20': 330_000,
  requestExit: 95_000,
  withdrawStake: 65_000,
  'claim, one node': 100_000,
  'claim, each further node': 24_000,
  'poke, a node becomes payable again': 32_000,
  'poke, a node becomes payable first': 45_000,
  'poke, a node exits': 60_000,
  'code of the registry, bytes': 23_000,
} as const;
export type GasRow = keyof typeof BUDGETS;

const NODES = 60;
/** Of one operator, so that one claim can take several. */
const SHARED = 4;

/** Takes some seconds: registers a network and leads some of its nodes through their lives. */
export async function measureGas(): Promise<Record<GasRow, number>> {
  await using net = await RegistryFixture.withNodes(NODES, { preset: PRESETS.local });
  const { evm, registry, pools } = net;
  const gasOf = async (work: Promise<{ gasUsed: number }>) => (await work).gasUsed;
  const owner = nodeKeys(1).operator;

  // Registered after the opening, by somebody who owns other nodes; the queue has nothing due.
  await net.toEpoch(1, 0);
  await net.evm.send(DEPLOYER, registry, 'poke', 100);
  await net.provide(owner, BigInt(SHARED) * 100n * TOKEN, registry.address);
  const register = (number: number) =>
    evm.send(
      owner,
      registry,
      'register',
      net.registration(net.know(nodeKeys(number)), { beneficiary: owner }),
    );
  await net.provide(nodeKeys(11).operator, TOKEN, registry.address);
  const solo: number[] = [];
  for (let n = 0; n < SHARED; n++) solo.push(await gasOf(register(100 + n)));

  const gasPerEntry = async () => {
    const nothing = await gasOf(evm.send(DEPLOYER, registry, 'poke', 0));
    return Math.round(((await gasOf(evm.send(DEPLOYER, registry, 'poke', SHARED))) - nothing) / SHARED);
  };
  await evm.pass(20);
  const payable = await gasPerEntry();

  // The registration itself: the pool is filled before.
  const keys = net.know(nodeKeys(120));
  await net.provide(keys.operator, 28n * TOKEN, pools.address);
  await evm.send(keys.operator, pools, 'open', net.registration(keys), [], true, 28n * TOKEN);
  for (let n = 0; n < 9; n++) {
    const staker = addressNamed(`staker ${n}`);
    await net.provide(staker, 8n * TOKEN, pools.address);
    await evm.send(staker, pools, 'contribute', 1, 8n * TOKEN, staker, false, 0);
  }
  const pooled = await gasOf(evm.send(keys.operator, pools, 'finalize', 1));

  const reveals: number[] = [];
  for (let epoch = 3; epoch <= 5; epoch++) {
    await net.toEpoch(epoch, 0);
    await evm.send(DEPLOYER, registry, 'poke', 100);
    const pre = await net.preimageOf(await evm.read<number>(registry, 'proposerOf', epoch));
    if (pre === undefined) throw new Error('the proposer has no pre-image');
    reveals.push(await gasOf(evm.send(DEPLOYER, registry, 'reveal', pre)));
  }

  await net.toEpoch(5);
  await gasOf(net.change(30, 1));
  const decommission = await gasOf(net.change(31, 1));
  for (const nodeId of [32, 33]) await net.change(nodeId, 1);
  await net.toEpoch(8);
  await evm.send(DEPLOYER, registry, 'poke', 100);
  await net.change(30, 2);
  const recommission = await gasOf(net.change(31, 2));
  await net.change(33, 3);
  const deregister = await gasOf(net.change(32, 3));

  // Suspended for too long to be paid again at once.
  await evm.pass(20);
  await evm.send(DEPLOYER, registry, 'poke', 0);
  const idle = await gasOf(evm.send(DEPLOYER, registry, 'poke', 0));
  const payableAgain = (await gasOf(evm.send(DEPLOYER, registry, 'poke', 2))) - idle;
  await evm.pass(10);
  const entries = Array.from({ length: SHARED }, (_, n) => ({ nodeId: NODES + 1 + n, index: 0 }));
  await evm.send(owner, registry, 'claim', entries);
  await evm.pass(10);
  const single = await gasOf(evm.send(owner, registry, 'claim', entries.slice(0, 1)));
  await evm.pass(10);
  const again = await gasOf(evm.send(owner, registry, 'claim', entries));

  const exits: number[] = [];
  for (let nodeId = 10; nodeId < 20; nodeId++) {
    exits.push(await gasOf(evm.send(nodeKeys(nodeId).operator, registry, 'requestExit', nodeId, 0)));
  }
  await evm.pass(60);
  const leaving = await gasPerEntry();
  const withdraw = await gasOf(evm.send(nodeKeys(11).operator, registry, 'withdrawStake', 11, 0));

  const timelock = net.deployment.timelock as Hex;
  await evm.fund(timelock);
  const data = encodeFunctionData({
    abi: registry.abi,
    functionName: 'setParam',
    args: [13, (20n << 8n) | 7n],
  });
  await evm.sendRaw({ from: timelock, to: registry.address, data });
  await net.toEpoch(net.epoch + 3);
  await evm.send(DEPLOYER, registry, 'poke', 100);
  const [first, second] = [50, 51];
  await net.change(first, 1);
  const large = await gasOf(net.change(second, 1));
  await net.toEpoch(net.epoch + 3);
  await evm.send(DEPLOYER, registry, 'poke', 100);
  await net.change(first, 2);
  const largeBack = await gasOf(net.change(second, 2));

  return {
    'register, solo': Math.max(...solo),
    'register, 10 contributors': pooled,
    reveal: reveals.at(-1) as number,
    'decommission, 7 of 10': decommission,
    'recommission, 7 of 10': recommission,
    'deregister, 7 of 10': deregister,
    'decommission, 14 of 20': large,
    'recommission, 14 of 20': largeBack,
    requestExit: exits.at(-1) as number,
    withdrawStake: withdraw,
    'claim, one node': single,
    'claim, each further node': Math.round((again - single) / (SHARED - 1)),
    'poke, a node becomes payable again': Math.round(payableAgain / 2),
    'poke, a node becomes payable first': payable,
    'poke, a node exits': leaving,
    'code of the registry, bytes': deployedBytecode.length / 2 - 1,
  };
}

export interface GasProblem {
  readonly row: string;
  readonly why: string;
}

/** Rows over their budget, or more than 1 % beside the committed table. */
export function gasProblems(
  measured: Record<string, number>,
  committed: Record<string, number>,
): GasProblem[] {
  const problems: GasProblem[] = [];
  for (const [row, gas] of Object.entries(measured)) {
    const budget = (BUDGETS as Record<string, number>)[row] ?? 0;
    const before = committed[row] ?? 0;
    if (gas > budget) problems.push({ row, why: `${gas} is over the budget of ${budget}` });
    if (Math.abs(gas - before) > before / 100) problems.push({ row, why: `${gas}, committed is ${before}` });
  }
  for (const row of Object.keys(committed))
    if (!(row in measured)) problems.push({ row, why: 'was not measured' });
  return problems;
}
