// SPDX-License-Identifier: MIT
// Nodes of several stakers before they are registered (spec/chain §4.6), and what the lens reads (§4.15).
import { encodeFunctionData } from 'viem';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import { PARAMETER_KEYS } from '../src/parameters.ts';
import { Revert } from './support/evm.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from './support/registry-fixture.ts';

const DAY = 86_400;
const keys = nodeKeys(50);
const [ann, bob, eve] = ['ann', 'bob', 'eve'].map(addressNamed) as [Hex, Hex, Hex];
let net: RegistryFixture;
let clean: Hex;

beforeAll(async () => {
  net = await RegistryFixture.deploy();
  net.know(keys);
  for (const holder of [keys.operator, ann, bob, eve])
    await net.provide(holder, 200n * TOKEN, net.pools.address);
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Revert) return error.errorName;
    throw error;
  }
  return 'none';
}
const open = (amount: bigint, reserved: { staker: Hex; amount: bigint }[] = [], manual = false) =>
  net.evm.send(keys.operator, net.pools, 'open', net.registration(keys), reserved, manual, amount);
const contribute = (from: Hex, amount: bigint, partial = false, least = 0n) =>
  net.evm.send(from, net.pools, 'contribute', 1, amount, from, partial, least);
const limits = (staker: Hex) => net.evm.read<[bigint, bigint]>(net.pools, 'limitsOf', 1, staker);
const poolState = async () => (await net.evm.read<[{ state: number }]>(net.pools, 'poolOf', 1))[0].state;

test('the operator brings a quarter, and no more than all', async () => {
  expect(await refusal(open(25n * TOKEN - 1n))).toBe('BelowMinimum');
  expect(await refusal(open(100n * TOKEN + 1n))).toBe('AboveRemaining');
  expect(await refusal(open(25n * TOKEN))).toBe('none');
});

test('a pool that its operator fills is a node at once', async () => {
  await open(100n * TOKEN);
  expect(await poolState()).toBe(3);
  expect(await net.node(1)).toMatchObject({ state: 2, stake: 100n * TOKEN });
});

test('a reservation keeps its place until it is used or released', async () => {
  expect(await refusal(open(25n * TOKEN, [{ staker: ann, amount: 8n * TOKEN }]))).toBe('BadReservation');
  const reserved = { staker: ann, amount: 40n * TOKEN };
  expect(await refusal(open(25n * TOKEN, [reserved, reserved]))).toBe('BadReservation');
  await open(25n * TOKEN, [reserved]);
  // Two of ten places are taken; 35 are left to the eight others.
  expect(await limits(bob)).toEqual([4_375_000_000n, 35n * TOKEN]);
  expect(await limits(ann)).toEqual([40n * TOKEN, 75n * TOKEN]);
  expect(await refusal(contribute(bob, 36n * TOKEN))).toBe('AboveRemaining');
  await contribute(bob, 36n * TOKEN, true);
  expect(await limits(eve)).toEqual([0n, 0n]);
  expect(await refusal(contribute(eve, TOKEN, true))).toBe('BelowMinimum');
  expect(await refusal(contribute(ann, 39n * TOKEN))).toBe('BelowMinimum');
  const unused = await net.evm.snapshot();
  await contribute(ann, 40n * TOKEN);
  expect(await poolState()).toBe(3);
  await net.evm.revert(unused);
  expect(await refusal(net.evm.send(bob, net.pools, 'releaseReservation', 1, ann))).toBe('NotOperator');
  await net.evm.send(keys.operator, net.pools, 'releaseReservation', 1, ann);
  expect(await limits(eve)).toEqual([5n * TOKEN, 40n * TOKEN]);
});

test('who contributes leaves after 24 h, to the second, also from a full pool, which opens again', async () => {
  await open(50n * TOKEN, [], true);
  await contribute(ann, 50n * TOKEN);
  expect(await poolState()).toBe(2);
  const at = net.evm.now;
  await net.evm.goTo(at + DAY - 1);
  expect(await refusal(net.evm.send(ann, net.pools, 'withdraw', 1))).toBe('TooEarly');
  await net.evm.goTo(at + DAY);
  await net.evm.send(ann, net.pools, 'withdraw', 1);
  expect(await net.balance(ann)).toBe(200n * TOKEN);
  expect(await poolState()).toBe(1);
  expect(await refusal(net.evm.send(keys.operator, net.pools, 'finalize', 1))).toBe('BadState');
  expect(await refusal(net.evm.send(ann, net.pools, 'withdraw', 1))).toBe('NotContributor');
});

test('only the operator finalizes by hand; after 14 d without it anyone cancels, and all get theirs back', async () => {
  await open(50n * TOKEN, [], true);
  await contribute(ann, 50n * TOKEN);
  const filled = net.evm.now;
  expect(await refusal(net.evm.send(ann, net.pools, 'finalize', 1))).toBe('NotOperator');
  await net.evm.goTo(filled + 14 * DAY - 1);
  expect(await refusal(net.evm.send(eve, net.pools, 'cancel', 1))).toBe('TooEarly');
  const waiting = await net.evm.snapshot();
  await net.evm.send(keys.operator, net.pools, 'finalize', 1);
  expect(await net.balance(net.registry.address)).toBe(100n * TOKEN);
  await net.evm.revert(waiting);
  await net.evm.goTo(filled + 14 * DAY);
  await net.evm.send(eve, net.pools, 'cancel', 1);
  await net.evm.send(ann, net.pools, 'withdraw', 1);
  await net.evm.send(keys.operator, net.pools, 'withdraw', 1);
  expect(await net.balance(net.pools.address)).toBe(0n);
});

test('with the gas that an estimate names, the last contribution registers the node', async () => {
  await open(50n * TOKEN);
  const { abi, address: to } = net.pools;
  const data = encodeFunctionData({
    abi,
    functionName: 'contribute',
    args: [1n, 50n * TOKEN, ann, false, 0n],
  });
  const gas = await net.evm.rpc<Hex>('eth_estimateGas', { from: ann, to, data });
  expect(await refusal(net.evm.sendRaw({ from: ann, to, data, gas: '0xf0000' }))).toBe('TooLittleGas');
  await net.evm.sendRaw({ from: ann, to, data, gas });
  expect(await poolState()).toBe(3);
});

test('the contributor who completes the pool is not turned away by a paused registry', async () => {
  await open(50n * TOKEN);
  await net.evm.send(DEPLOYER, net.registry, 'pauseRegistrations', DAY);
  const receipt = await contribute(ann, 50n * TOKEN);
  expect(net.evm.events(receipt, net.pools).map(({ name }) => name)).toContain('RegistrationFailed');
  expect(await poolState()).toBe(2);
  expect(await refusal(net.evm.send(eve, net.pools, 'finalize', 1))).toBe('NotOpen');
  await net.evm.pass(DAY);
  await net.evm.send(eve, net.pools, 'finalize', 1);
  expect(await net.node(1)).toMatchObject({ state: 2 });
  // Not again before 90 d after the start of the last pause.
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'pauseRegistrations', 1))).toBe('TooEarly');
  await net.evm.pass(89 * DAY);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'pauseRegistrations', 14 * DAY + 1))).toBe(
    'OutOfBounds',
  );
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'pauseRegistrations', 14 * DAY))).toBe('none');
});

test('contributions stop when the requirement has changed', async () => {
  await open(50n * TOKEN);
  const { timelock } = net.deployment as { timelock: Hex };
  await net.evm.fund(timelock);
  await net.evm.send(timelock, net.registry, 'setParam', 0, 200n * TOKEN);
  expect(await refusal(contribute(ann, 50n * TOKEN))).toBe('RequirementChanged');
});

test('each parameter is set at its own place, and the lens reads it from there', async () => {
  const { timelock } = net.deployment as { timelock: Hex };
  await net.evm.fund(timelock);
  const params = () => net.evm.read<Record<string, number | bigint>>(net.lens, 'params');
  const expected: Record<string, number | bigint> = { ...net.preset.params };
  expect(await params()).toEqual(expected);
  const values: [
    name: (typeof PARAMETER_KEYS)[number],
    value: bigint,
    parts: Record<string, number | bigint>,
  ][] = [
    ['stakingRequirement', 10n ** 15n, { stakingRequirement: 10n ** 15n }],
    ['maxContributors', 7n, { maxContributors: 7 }],
    ['unlockDelay', 101n, { unlockDelay: 101 }],
    ['deregLock', 102n, { deregLock: 102 }],
    ['penaltyBps', 500n, { penaltyBps: 500 }],
    ['payableDelay', 604_800n, { payableDelay: 604_800 }],
    ['shortOutage', 21_600n, { shortOutage: 21_600 }],
    ['smallDelay', 5_184_000n, { smallDelay: 5_184_000 }],
    ['creditInitial', 103n, { creditInitial: 103 }],
    ['creditMax', 1_209_600n, { creditMax: 1_209_600 }],
    ['creditRate', (13n << 16n) | 65n, { creditRateNum: 13, creditRateDen: 65 }],
    ['minGrace', 104n, { minGrace: 104 }],
    ['rewardRate', (500n << 32n) | 1000n, { rateNum: 500, rateDen: 1000 }],
    ['quorum', (32n << 8n) | 31n, { quorumSize: 32, minVoters: 31 }],
    ['deactivationBps', 9_999n, { deactivationBps: 9_999 }],
    ['registrationBps', 9_998n, { registrationBps: 9_998 }],
  ];
  expect(values.map(([name]) => name)).toEqual([...PARAMETER_KEYS]);
  const waiting = ['unlockDelay', 'deregLock', 'penaltyBps', 'quorum'];
  const later: Record<string, number | bigint> = {};
  for (const [key, [name, value, parts]] of values.entries()) {
    const receipt = await net.evm.send(timelock, net.registry, 'setParam', key, value);
    const event = net.evm.events(receipt, net.registry).find((one) => one.name === 'ParamChanged');
    expect(event?.args).toMatchObject({ key, value });
    Object.assign(waiting.includes(name) ? later : expected, parts);
    expect(await params()).toEqual(expected);
  }
  expect(await refusal(net.evm.send(timelock, net.registry, 'setParam', 13, (5n << 8n) | 3n))).toBe(
    'TooEarly',
  );
  await net.evm.pass(15 * DAY);
  expect(await params()).toEqual({ ...expected, ...later });
  // One step beyond each bound.
  for (const [key, value] of [
    [0, TOKEN - 1n],
    [0, 10n ** 15n + 1n],
    [1, 0n],
    [1, 11n],
    [2, 2_592_001n],
    [3, 5_184_001n],
    [4, 501n],
    [5, 604_801n],
    [6, 21_601n],
    [7, 5_184_001n],
    [8, 1_209_601n],
    [9, 1_209_601n],
    [10, (14n << 16n) | 65n],
    [10, 0n],
    [11, 59n],
    [12, (501n << 32n) | 1000n],
    [13, (4n << 8n) | 3n],
    [13, (33n << 8n) | 3n],
    [13, (10n << 8n) | 2n],
    [14, 10_001n],
    [15, 10_001n],
    [1, 256n + 7n],
  ] as const) {
    expect([key, value, await refusal(net.evm.send(timelock, net.registry, 'setParam', key, value))]).toEqual(
      [key, value, 'OutOfBounds'],
    );
  }
});

test('the lens tells whole nodes, queues and positions', async () => {
  await open(60n * TOKEN);
  await contribute(ann, 40n * TOKEN);
  await net.evm.send(keys.operator, net.registry, 'requestExit', 1, 0);
  const [node] = await net.evm.read<Record<string, unknown>[]>(net.lens, 'nodes', 0, 10);
  const fixed = { withdrawn: false, claimed: 0n };
  expect(node).toMatchObject({ nodeId: 1, slotNodeId: 1, from: 2, until: 3, credit: 60 });
  expect(node?.contributors).toMatchObject([
    { amount: 60n * TOKEN, ...fixed },
    { amount: 40n * TOKEN, ...fixed },
  ]);
  const { registeredAt, unlockAt, payableAt } = await net.node(1);
  expect(await net.evm.read(net.lens, 'queue', false, 9)).toEqual([{ time: payableAt, nodeId: 1 }]);
  expect(await net.evm.read(net.lens, 'queue', true, 9)).toEqual([{ time: unlockAt, nodeId: 1 }]);
  expect(await net.evm.read(net.lens, 'positions')).toMatchObject({
    payHead: 0,
    payTail: 1,
    exitTail: 1,
    lastNodeId: 1,
  });
  expect(await net.evm.read(net.lens, 'accounting')).toMatchObject({
    activeCount: 1,
    payableCount: 0,
    registrations: 1,
  });
  await net.evm.goTo(registeredAt + 50);
  const [now] = await net.evm.callAs<bigint[]>(DEPLOYER, net.lens, 'claimable', [{ nodeId: 1, index: 1 }]);
  expect(now).toBeGreaterThan(0n);
  const before = await net.balance(ann);
  await net.evm.send(ann, net.registry, 'claim', [{ nodeId: 1, index: 1 }]);
  expect((await net.balance(ann)) - before).toBe(now);
});
