// SPDX-License-Identifier: MIT
// Rewards in every corner (spec/chain §4.12, §5.3), and tokens and beneficiaries that call back.
import { type Abi, encodeDeployData, encodeFunctionData } from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { PRESETS } from '../../src/presets.ts';
import { type Contract, refusal } from '../support/evm.ts';
import * as attackerArtifact from '../support/generated/Attacker.ts';
import * as hostileArtifact from '../support/generated/HostileToken.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from '../support/registry-fixture.ts';

const STAKE = 100n * TOKEN;
const YEAR = 31_536_000n;
/** A thousand tokens to begin with: what one second releases is some thousand units. */
const PRESET = { ...PRESETS.local, poolShare: 1000n * TOKEN, payCap: 0n };
let net: RegistryFixture;
let clean: Hex;

beforeAll(async () => {
  net = await RegistryFixture.deploy({ preset: PRESET });
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

interface Accounting {
  accPerNode: bigint;
  allocated: bigint;
  lastAccrual: number;
  payableCount: number;
}
const poke = () => net.evm.send(DEPLOYER, net.registry, 'poke', 100);
const accounting = () => net.evm.read<Accounting>(net.lens, 'accounting');
const claim = (from: Hex, ...nodeIds: number[]) =>
  net.evm.send(
    from,
    net.registry,
    'claim',
    nodeIds.map((nodeId) => ({ nodeId, index: 0 })),
  );
const released = (free: bigint, seconds: number) => (free * 151n * BigInt(seconds)) / (1000n * YEAR);
/** Leaves so much in the pool. */
async function poolHolds(amount: bigint): Promise<void> {
  await net.evm.rpc('anvil_impersonateAccount', net.pool.address);
  await net.evm.fund(net.pool.address);
  const held = await net.balance(net.pool.address);
  if (held > amount) await net.evm.send(net.pool.address, net.token, 'transfer', DEPLOYER, held - amount);
}
/** Registers the node of this number and waits until it is paid; its id. */
async function paidNode(number: number, overrides: Record<string, unknown> = {}): Promise<number> {
  const nodeId = await net.register(number, overrides);
  await net.evm.goTo((await net.node(nodeId)).payableAt);
  await poke();
  return nodeId;
}

describe('rewards', () => {
  test('no payable node: nothing is released, and the time does not count later', async () => {
    await net.evm.pass(10_000);
    await poke();
    expect(await accounting()).toMatchObject({ allocated: 0n, accPerNode: 0n, lastAccrual: net.evm.now });
    const nodeId = await paidNode(1);
    await net.evm.pass(100);
    await poke();
    expect((await accounting()).allocated).toBe(released(1000n * TOKEN, 100));
    expect(nodeId).toBe(1);
  });

  test('one node gets all that is released', async () => {
    await paidNode(1);
    await net.evm.pass(1000);
    await claim(nodeKeys(1).operator, 1);
    expect(await net.balance(nodeKeys(1).operator)).toBe(released(1000n * TOKEN, 1000));
  });

  test('join and leave inside one block', async () => {
    const { timelock } = net.deployment as { timelock: Hex };
    await net.evm.fund(timelock);
    for (const key of [2, 5]) await net.evm.send(timelock, net.registry, 'setParam', key, 0n);
    await net.evm.pass(15 * 86_400);
    await net.evm.send(DEPLOYER, net.token, 'approve', net.registry.address, STAKE);
    const done = await net.evm.sendTogether(DEPLOYER, net.registry, [
      ['register', net.registration(nodeKeys(9))],
      ['requestExit', 1, 0],
      ['poke', 10],
      ['claim', [{ nodeId: 1, index: 0 }]],
      ['withdrawStake', 1, 0],
    ]);
    expect(done).toEqual([true, true, true, false, true]);
    expect(await net.node(1)).toMatchObject({ state: 5, flags: 0, reward: 0n });
    expect(await accounting()).toMatchObject({ payableCount: 0, allocated: 0n });
  });

  test('poke every second for ten minutes equals one poke within 1 unit per poke', async () => {
    await paidNode(1);
    const start = await net.evm.snapshot();
    await net.evm.pass(600);
    await poke();
    const once = (await accounting()).allocated;
    await net.evm.revert(start);
    const data = encodeFunctionData({ abi: net.registry.abi, functionName: 'poke', args: [1] });
    const transaction = { from: DEPLOYER, to: net.registry.address, data, gas: '0x100000' };
    await net.evm.rpc('evm_setAutomine', false);
    for (let second = 1; second <= 600; second++) {
      await net.evm.rpc('eth_sendTransaction', transaction);
      await net.evm.pass(1);
    }
    await net.evm.rpc('evm_setAutomine', true);
    const often = (await accounting()).allocated;
    expect((await accounting()).payableCount).toBe(1);
    expect(once - often).toBeGreaterThanOrEqual(0n);
    expect(once - often).toBeLessThanOrEqual(600n + released(released(1000n * TOKEN, 600), 600));
    expect(often).toBeGreaterThan((once * 999n) / 1000n);
  });

  test('tiny pool: rel = 0 for a while, then it pays; time is not lost to rounding', async () => {
    await paidNode(1);
    // One unit in about 209 s.
    const { allocated } = await accounting();
    await poolHolds(1_000_000n + allocated);
    const from = net.evm.now;
    await net.evm.pass(100);
    await poke();
    expect(await accounting()).toMatchObject({ allocated, lastAccrual: from });
    await net.evm.pass(100);
    await poke();
    expect((await accounting()).lastAccrual).toBe(from);
    await net.evm.pass(10);
    await poke();
    expect(await accounting()).toMatchObject({ allocated: allocated + 1n, lastAccrual: net.evm.now });
  });

  test('a gift to a pool of dust is not paid for the time before it', async () => {
    await paidNode(1);
    const { allocated } = await accounting();
    await poolHolds(allocated + 1n);
    await net.evm.pass(300 * 86_400);
    await poke();
    await net.evm.send(DEPLOYER, net.token, 'transfer', net.pool.address, 1_000_000n * TOKEN);
    await net.evm.pass(10);
    await poke();
    expect((await accounting()).allocated - allocated).toBe(released(1_000_000n * TOKEN + 1n, 10));
  });

  test('pool topped up in between', async () => {
    await paidNode(1);
    await net.evm.pass(100);
    await poke();
    const first = (await accounting()).allocated;
    await net.evm.send(DEPLOYER, net.token, 'transfer', net.pool.address, 9000n * TOKEN);
    await net.evm.pass(100);
    await poke();
    expect((await accounting()).allocated - first).toBe(released(10_000n * TOKEN - first, 100));
  });

  test('fee 0 and 100 %', async () => {
    const ann = addressNamed('ann');
    for (const [pool, feeBps] of [
      [1, 0],
      [2, 10_000],
    ] as const) {
      const keys = nodeKeys(10 + pool);
      await net.provide(keys.operator, 50n * TOKEN, net.pools.address);
      const registration = net.registration(keys, { feeBps });
      await net.evm.send(keys.operator, net.pools, 'open', registration, [], false, 50n * TOKEN);
      await net.provide(ann, 50n * TOKEN, net.pools.address);
      await net.evm.send(ann, net.pools, 'contribute', pool, 50n * TOKEN, ann, false, 0);
    }
    await net.evm.pass(5000);
    await poke();
    const owed = (nodeId: number, index: number) =>
      net.evm.read<bigint>(net.registry, 'claimable', nodeId, index);
    expect(await owed(1, 0)).toBe(await owed(1, 1));
    expect(await owed(1, 0)).toBeGreaterThan(0n);
    expect(await owed(2, 0)).toBeGreaterThan(await owed(1, 0));
    expect(await owed(2, 1)).toBe(0n);
    expect(await refusal(net.evm.send(ann, net.registry, 'claim', [{ nodeId: 2, index: 1 }]))).toBe(
      'NothingToClaim',
    );
  });

  test('decommission before first becoming payable: due meanwhile counts, else the delay begins anew', async () => {
    for (let number = 1; number <= 6; number++) await net.register(number);
    await net.toEpoch(4);
    const fresh = await net.register(8);
    const { payableAt } = await net.node(fresh);
    await net.change(fresh, 1);
    expect(await net.node(fresh)).toMatchObject({ state: 3, flags: 0, payableAt });
    const suspended = await net.evm.snapshot();
    await net.evm.pass(5);
    await net.change(fresh, 2);
    expect(await net.node(fresh)).toMatchObject({ state: 2, flags: 0, payableAt: net.evm.now + 20 });
    await net.evm.revert(suspended);
    await net.evm.goTo(payableAt);
    await net.change(fresh, 2, { epoch: 4 });
    expect(await net.node(fresh)).toMatchObject({ state: 2, flags: 1, payableAt: 0 });
  });
});

describe('a token and beneficiaries that call back', () => {
  let attacker: Contract;
  const call = (contract: Contract, functionName: string, ...args: unknown[]) =>
    encodeFunctionData({ abi: contract.abi, functionName, args });
  const act = (contract: Contract, functionName: string, ...args: unknown[]) =>
    net.evm.send(DEPLOYER, attacker, 'act', contract.address, call(contract, functionName, ...args));
  const arm = (contract: Contract, functionName: string, ...args: unknown[]) =>
    net.evm.send(DEPLOYER, attacker, 'arm', contract.address, call(contract, functionName, ...args));
  /** It was called back, and its own call was refused by the guard. */
  async function expectRefused(): Promise<void> {
    expect(await net.evm.read(attacker, 'called')).toBe(true);
    expect(await net.evm.read(attacker, 'succeeded')).toBe(false);
    expect(await net.evm.read(attacker, 'answer')).toBe('0x3ee5aeb5'); // ReentrancyGuardReentrantCall()
  }

  beforeEach(async () => {
    const abi = attackerArtifact.abi as Abi;
    attacker = await net.evm.deploy(
      DEPLOYER,
      abi,
      encodeDeployData({ abi, bytecode: attackerArtifact.bytecode }),
    );
    await net.evm.setCode(net.token, hostileArtifact.deployedBytecode);
    const token = { address: net.token.address, abi: hostileArtifact.abi as Abi };
    await net.evm.send(DEPLOYER, net.token, 'transfer', attacker.address, 4n * STAKE);
    await net.evm.send(DEPLOYER, token, 'hook', attacker.address);
    await act(net.token, 'approve', net.registry.address, 10n * STAKE);
    await act(net.token, 'approve', net.pools.address, 10n * STAKE);
  });

  test('on register', async () => {
    const registration = net.registration(nodeKeys(30), { beneficiary: attacker.address });
    await arm(net.registry, 'register', registration);
    await act(net.registry, 'register', registration);
    await expectRefused();
    expect(await net.balance(net.registry.address)).toBe(STAKE);
    expect(await net.evm.read(net.lens, 'positions')).toMatchObject({ lastNodeId: 1 });
  });

  test('on claim', async () => {
    await act(net.registry, 'register', net.registration(nodeKeys(30), { beneficiary: attacker.address }));
    await net.evm.goTo((await net.node(1)).payableAt + 1000);
    const entries = [{ nodeId: 1, index: 0 }];
    await arm(net.registry, 'claim', entries);
    const before = await net.balance(attacker.address);
    await poke();
    const due = await net.evm.read<bigint>(net.registry, 'claimable', 1, 0);
    await act(net.registry, 'claim', entries);
    await expectRefused();
    expect((await net.balance(attacker.address)) - before).toBe(due);
    expect(await net.balance(net.pool.address)).toBeGreaterThanOrEqual((await accounting()).allocated);
  });

  test('between two payments of one claim no moment is wrong', async () => {
    await act(net.registry, 'register', net.registration(nodeKeys(30), { beneficiary: attacker.address }));
    await act(net.registry, 'register', net.registration(nodeKeys(31), { beneficiary: addressNamed('bob') }));
    await net.evm.goTo((await net.node(2)).payableAt + 1000);
    await poke();
    const allocated = (await accounting()).allocated;
    const due = await net.evm.read<bigint>(net.registry, 'claimable', 1, 0);
    await arm(net.lens, 'accounting');
    await act(net.registry, 'claim', [
      { nodeId: 1, index: 0 },
      { nodeId: 2, index: 0 },
    ]);
    expect(await net.evm.read(attacker, 'succeeded')).toBe(true);
    // Second word of what the lens answered in the middle of it.
    const answer = await net.evm.read<Hex>(attacker, 'answer');
    expect(BigInt(`0x${answer.slice(66, 130)}`)).toBe(allocated - due);
  });

  test('on withdraw', async () => {
    await act(net.registry, 'register', net.registration(nodeKeys(30)));
    await act(net.registry, 'register', net.registration(nodeKeys(31)));
    await act(net.registry, 'requestExit', 1, 0);
    await net.evm.goTo((await net.node(1)).unlockAt);
    await arm(net.registry, 'withdrawStake', 1, 0);
    await act(net.registry, 'withdrawStake', 1, 0);
    await expectRefused();
    expect(await net.balance(net.registry.address)).toBe(STAKE);
  });

  test('on pool withdraw', async () => {
    const { operator } = nodeKeys(32);
    await net.provide(operator, STAKE, net.pools.address);
    await net.evm.send(operator, net.pools, 'open', net.registration(nodeKeys(32)), [], false, STAKE / 2n);
    await act(net.pools, 'contribute', 1, STAKE / 4n, attacker.address, false, 0);
    await net.evm.pass(86_400);
    await arm(net.pools, 'withdraw', 1);
    await act(net.pools, 'withdraw', 1);
    await expectRefused();
    expect(await net.balance(net.pools.address)).toBe(STAKE / 2n);
  });

  test('beneficiary = contract that reverts affects only itself', async () => {
    await act(net.registry, 'register', net.registration(nodeKeys(30), { beneficiary: attacker.address }));
    await paidNode(1);
    await net.evm.pass(1000);
    await net.evm.send(DEPLOYER, attacker, 'setRefuses', true);
    const claimOwn = () => act(net.registry, 'claim', [{ nodeId: 1, index: 0 }]);
    await expect(claimOwn()).rejects.toThrow();
    await claim(nodeKeys(1).operator, 2);
    expect(await net.balance(nodeKeys(1).operator)).toBeGreaterThan(0n);
    // Another beneficiary, and its own reward is paid as well.
    await act(net.registry, 'setBeneficiary', 1, 0, addressNamed('bob'));
    await claimOwn();
    expect(await net.balance(addressNamed('bob'))).toBeGreaterThan(0n);
  });

  test('cancel of a pool with a contributor that cannot receive: the others get theirs', async () => {
    const { operator } = nodeKeys(32);
    await net.provide(operator, STAKE, net.pools.address);
    await net.evm.send(operator, net.pools, 'open', net.registration(nodeKeys(32)), [], false, STAKE / 2n);
    await act(net.pools, 'contribute', 1, STAKE / 4n, attacker.address, false, 0);
    await net.evm.send(DEPLOYER, attacker, 'setRefuses', true);
    await net.evm.send(operator, net.pools, 'cancel', 1);
    await expect(act(net.pools, 'withdraw', 1)).rejects.toThrow();
    await net.evm.send(operator, net.pools, 'withdraw', 1);
    expect(await net.balance(operator)).toBe(STAKE);
    await net.evm.send(DEPLOYER, attacker, 'setRefuses', false);
    await act(net.pools, 'withdraw', 1);
    expect(await net.balance(net.pools.address)).toBe(0n);
  });
});
