// SPDX-License-Identifier: MIT
// Registrations by cheats, slots, and exits (spec/chain §4.5, §4.8, §4.13, §5.3).
import { fromHex } from '@allium/protocol/bytes';
import type { Abi } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { boundKey } from '../../src/registration.ts';
import { refusal } from '../support/evm.ts';
import { abi as hostileAbi, deployedBytecode as hostileToken } from '../support/generated/HostileToken.ts';
import {
  addressNamed,
  DEPLOYER,
  DEPLOYER_KEY,
  nodeKeys,
  RegistryFixture,
  TOKEN,
} from '../support/registry-fixture.ts';

const STAKE = 100n * TOKEN;
let net: RegistryFixture;
let clean: Hex;
let timelock: Hex;

beforeAll(async () => {
  net = await RegistryFixture.deploy();
  timelock = net.deployment.timelock as Hex;
  await net.evm.fund(timelock);
  for (let number = 1; number <= 6; number++) await net.register(number);
  await net.toEpoch(1, 0);
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

describe('registration', () => {
  test('front-run with a copied signature: the victim registers all the same, and off chain only his is valid', async () => {
    const victim = net.know(nodeKeys(20));
    const thief = addressNamed('thief');
    const copied = net.registration(victim);
    await net.provide(thief, STAKE, net.registry.address);
    await net.evm.send(thief, net.registry, 'register', copied);
    const receipt = await (async () => {
      await net.provide(victim.operator, STAKE, net.registry.address);
      return net.evm.send(victim.operator, net.registry, 'register', copied);
    })();
    const event = net.evm.events(receipt, net.registry).find(({ name }) => name === 'NodeRegistered');
    expect(event?.args).toMatchObject({ nodeId: 8, ed25519: copied.ed25519 });
    const bytes = (name: string) => (copied[name] as string).slice(2);
    const bound = (operator: Hex) =>
      boundKey(
        {
          chainId: net.deployment.chainId,
          registry: net.deployment.registry,
          operator,
          votingKey: victim.votingKey,
          beaconAnchor: copied.beaconAnchor as Hex,
        },
        fromHex(bytes('ed25519'), 32),
        fromHex(bytes('edSig0') + bytes('edSig1'), 64),
      );
    expect(bound(thief)).toBeUndefined();
    expect(bound(victim.operator)).toBeInstanceOf(Uint8Array);
  });

  test('rate limit: spam gets ten an epoch, each with a stake', async () => {
    const calls: [string, ...unknown[]][] = Array.from({ length: 12 }, () => [
      'register',
      net.registration(nodeKeys(21)),
    ]);
    await net.evm.send(DEPLOYER, net.token, 'approve', net.registry.address, 100n * STAKE);
    expect(await net.evm.sendTogether(DEPLOYER, net.registry, calls)).toEqual([
      ...Array.from({ length: 10 }, () => true),
      false,
      false,
    ]);
    expect(await net.balance(net.registry.address)).toBe(16n * STAKE);
  });

  test('fee 10,000 and 10,001', async () => {
    expect(await refusal(net.register(22, { feeBps: 10_000 }))).toBe('none');
    expect(await refusal(net.register(23, { feeBps: 10_001 }))).toBe('BadFee');
  });

  test('requirement changed between approval and call: never more than was approved', async () => {
    const keys = nodeKeys(24);
    await net.provide(keys.operator, STAKE, net.registry.address);
    await net.evm.send(DEPLOYER, net.token, 'transfer', keys.operator, STAKE);
    const register = () =>
      refusal(net.evm.send(keys.operator, net.registry, 'register', net.registration(keys)));
    await net.evm.send(timelock, net.registry, 'setParam', 0, STAKE + 1n);
    expect(await register()).toBe('ERC20InsufficientAllowance');
    expect(await net.balance(keys.operator)).toBe(2n * STAKE);
    await net.evm.send(timelock, net.registry, 'setParam', 0, STAKE - 1n);
    expect(await register()).toBe('none');
    expect(await net.balance(keys.operator)).toBe(STAKE + 1n);
  });

  test('permit replay', async () => {
    const account = privateKeyToAccount(DEPLOYER_KEY);
    const registry = net.registry.address;
    await net.evm.send(DEPLOYER, net.token, 'approve', registry, 0n);
    const deadline = BigInt(net.evm.now + 100);
    const signature = await account.signTypedData({
      domain: {
        name: await net.evm.read<string>(net.token, 'name'),
        version: '1',
        chainId: net.deployment.chainId,
        verifyingContract: net.token.address,
      },
      types: {
        Permit: [
          { name: 'owner', type: 'address' },
          { name: 'spender', type: 'address' },
          { name: 'value', type: 'uint256' },
          { name: 'nonce', type: 'uint256' },
          { name: 'deadline', type: 'uint256' },
        ],
      },
      primaryType: 'Permit',
      message: { owner: account.address, spender: registry, value: STAKE, nonce: 0n, deadline },
    });
    const [r, s, v] = [
      signature.slice(0, 66),
      `0x${signature.slice(66, 130)}`,
      Number(`0x${signature.slice(130)}`),
    ];
    const registration = net.registration(nodeKeys(25));
    const register = () =>
      refusal(net.evm.send(DEPLOYER, net.registry, 'registerWithPermit', registration, deadline, v, r, s));
    const thief = addressNamed('thief');
    await net.evm.fund(thief);
    const permit = () =>
      refusal(net.evm.send(thief, net.token, 'permit', DEPLOYER, registry, STAKE, deadline, v, r, s));
    // Sent before us by somebody else: our call takes the allowance that it left.
    expect(await permit()).toBe('none');
    expect(await register()).toBe('none');
    expect(await permit()).toBe('PermitNotSigned');
    expect(await register()).toBe('ERC20InsufficientAllowance');
  });

  test('fee-on-transfer token rejected', async () => {
    await net.provide(nodeKeys(26).operator, STAKE, net.registry.address);
    await net.evm.setCode(net.token, hostileToken);
    const setFee = { address: net.token.address, abi: hostileAbi as Abi };
    await net.evm.send(DEPLOYER, setFee, 'setFee', 1n);
    const { operator } = nodeKeys(26);
    const refused = await refusal(
      net.evm.send(operator, net.registry, 'register', net.registration(nodeKeys(26))),
    );
    expect(refused).toBe('TransferMismatch');
    await net.evm.send(operator, net.token, 'approve', net.pools.address, STAKE);
    expect(
      await refusal(
        net.evm.send(operator, net.pools, 'open', net.registration(nodeKeys(26)), [], false, STAKE / 2n),
      ),
    ).toBe('TransferMismatch');
  });
});

describe('slots', () => {
  const leave = async (nodeId: number) => {
    await net.evm.send(nodeKeys(nodeId).operator, net.registry, 'requestExit', nodeId, 0);
    const { unlockAt } = await net.node(nodeId);
    return unlockAt;
  };

  test('reuse not before the third epoch after the end', async () => {
    await net.evm.goTo(await leave(2));
    await net.evm.send(DEPLOYER, net.registry, 'poke', 10);
    const { until } = await net.slotOf(2);
    await net.toEpoch(until + 2, 29);
    expect((await net.node(await net.register(30))).slot).toBe(6);
    await net.toEpoch(until + 3, 0);
    expect((await net.node(await net.register(31))).slot).toBe(1);
    expect(await net.slotOf(8)).toMatchObject({ nodeId: 8, from: until + 5 });
  });

  test('a reused slot never makes an old vote valid', async () => {
    await net.toEpoch(3);
    const before = await Promise.all([1, 3, 4].map((id) => net.quorum(id)));
    const votes = await net.drawVotes(1, 1);
    await net.evm.goTo(await leave(2));
    await net.evm.send(DEPLOYER, net.registry, 'poke', 10);
    const { until } = await net.slotOf(2);
    await net.toEpoch(until + 3, 6);
    const epoch = net.votingEpoch;
    const quorum = await net.quorum(1);
    const nodeId = await net.register(31);
    expect((await net.node(nodeId)).slot).toBe(1);
    // The quorums that can be voted on stay as they were, without old and new holder of the slot.
    expect(await net.quorum(1, epoch)).toEqual(quorum);
    expect(quorum.nodeIds).not.toContain(2);
    expect(quorum.nodeIds).not.toContain(nodeId);
    expect(before.some(({ nodeIds }) => nodeIds.includes(2))).toBe(true);
    expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 1, 1, 3, 0, votes))).toBe(
      'StaleEpoch',
    );
    expect(
      await refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 1, 1, epoch, 0, votes)),
    ).toBe('BadSignature');
  });

  test('the list shrinks to zero and grows again', async () => {
    let last = 0;
    for (let nodeId = 1; nodeId <= 6; nodeId++) last = await leave(nodeId);
    await net.evm.goTo(last);
    await net.evm.send(DEPLOYER, net.registry, 'poke', 20);
    expect(await net.evm.read(net.lens, 'accounting')).toMatchObject({ activeCount: 0, payableCount: 0 });
    await net.toEpoch(net.epoch + 5, 0);
    expect(await net.evm.read(net.registry, 'proposerOf', net.epoch)).toBe(0);
    expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'reveal', `0x${'11'.repeat(32)}`))).toBe(
      'WrongPreimage',
    );
    for (let number = 40; number < 45; number++) await net.register(number);
    const slots = await Promise.all([7, 8, 9, 10, 11].map(async (id) => (await net.node(id)).slot));
    expect(slots).toEqual([0, 1, 2, 3, 4]);
    await net.toEpoch(net.epoch + 2);
    expect((await net.quorum(7)).nodeIds.toSorted((a, b) => a - b)).toEqual([8, 9, 10, 11]);
    expect(await refusal(net.change(7, 1))).toBe('none');
  });
});

describe('exit', () => {
  const request = (from: Hex, nodeId = 2, index = 0) =>
    refusal(net.evm.send(from, net.registry, 'requestExit', nodeId, index));
  const withdraw = (from: Hex, nodeId = 2, index = 0) =>
    refusal(net.evm.send(from, net.registry, 'withdrawStake', nodeId, index));

  test('by a non-contributor, twice, withdrawal early, by another, with a wrong index, twice', async () => {
    const { operator } = nodeKeys(2);
    expect(await request(nodeKeys(3).operator)).toBe('NotContributor');
    expect(await request(operator, 2, 1)).toBe('NotContributor');
    expect(await request(operator, 99)).toBe('NotContributor');
    expect(await withdraw(operator)).toBe('BadState');
    expect(await request(operator)).toBe('none');
    expect(await request(operator)).toBe('ExitAlreadyRequested');
    const { unlockAt } = await net.node(2);
    await net.evm.goTo(unlockAt - 1);
    expect(await withdraw(operator)).toBe('BadState');
    await net.evm.goTo(unlockAt);
    await net.evm.send(DEPLOYER, net.registry, 'poke', 10);
    expect(await withdraw(nodeKeys(3).operator)).toBe('NotContributor');
    expect(await withdraw(operator, 2, 1)).toBe('NotContributor');
    expect(await withdraw(operator, 99)).toBe('BadState');
    expect(await withdraw(operator)).toBe('none');
    expect(await withdraw(operator)).toBe('AlreadyWithdrawn');
    expect(await request(operator)).toBe('BadState');
  });

  test('exit due while decommissioned', async () => {
    await net.toEpoch(3);
    await net.change(2, 1);
    expect(await request(nodeKeys(2).operator)).toBe('none');
    const { unlockAt } = await net.node(2);
    await net.evm.goTo(unlockAt);
    expect(await refusal(net.change(2, 2))).toBe('BadState');
    expect(await withdraw(nodeKeys(2).operator)).toBe('none');
    expect(await net.node(2)).toMatchObject({ state: 5, penalty: 0n });
    expect(await net.balance(nodeKeys(2).operator)).toBe(STAKE);
  });

  test('queue backlog of 200 entries worked off in pieces', async () => {
    await net.evm.send(timelock, net.registry, 'setParam', 15, 10_000n);
    await net.evm.send(DEPLOYER, net.token, 'approve', net.registry.address, 1000n * STAKE);
    const registration = net.registration(nodeKeys(21));
    // As many as are active may come in each epoch.
    for (let total = 6; total < 206; ) {
      const count = Math.min(206 - total, Math.max(10, total));
      await net.toEpoch(net.epoch + 1, 0);
      const calls = Array.from({ length: count }, (): [string, unknown] => ['register', registration]);
      const done = await net.evm.sendTogether(DEPLOYER, net.registry, calls);
      total += done.filter(Boolean).length;
    }
    const exits = Array.from({ length: 200 }, (_, n): [string, ...unknown[]] => ['requestExit', 7 + n, 0]);
    expect((await net.evm.sendTogether(DEPLOYER, net.registry, exits)).every(Boolean)).toBe(true);
    await net.evm.pass(61);
    const rounds: boolean[] = [];
    let working = 0;
    while (rounds.at(-1) !== true && rounds.length < 20) {
      rounds.push(await net.evm.callAs<boolean>(DEPLOYER, net.registry, 'poke', 40));
      await net.evm.send(DEPLOYER, net.registry, 'poke', 40);
      working = (await net.evm.read<{ activeCount: number }>(net.lens, 'accounting')).activeCount;
    }
    expect(rounds.length).toBeGreaterThanOrEqual(5);
    expect(working).toBe(6);
    const before = await net.balance(DEPLOYER);
    const out = Array.from({ length: 200 }, (_, n): [string, ...unknown[]] => ['withdrawStake', 7 + n, 0]);
    expect((await net.evm.sendTogether(DEPLOYER, net.registry, out)).every(Boolean)).toBe(true);
    expect((await net.balance(DEPLOYER)) - before).toBe(200n * STAKE);
  });
});
