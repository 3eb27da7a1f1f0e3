// SPDX-License-Identifier: MIT
// Contribution pools under pressure, the limits of those who govern, and that nobody can lock a stake (spec/chain §4.6,
// §4.14, §5.3).
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { refusal } from '../support/evm.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from '../support/registry-fixture.ts';

const STAKE = 100n * TOKEN;
const DAY = 86_400;
const NODES = 8;
const keys = nodeKeys(50);
const [ann, bob, eve] = ['ann', 'bob', 'eve'].map(addressNamed) as [Hex, Hex, Hex];
const PEOPLE = [keys.operator, ann, bob, eve];
let net: RegistryFixture;
let clean: Hex;
let timelock: Hex;

beforeAll(async () => {
  net = await RegistryFixture.deploy();
  timelock = net.deployment.timelock as Hex;
  await net.evm.fund(timelock);
  for (let number = 1; number <= NODES; number++) await net.register(number);
  net.know(keys);
  for (const person of PEOPLE) await net.provide(person, 2n * STAKE, net.pools.address);
  await net.toEpoch(3);
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

const open = (amount: bigint, reserved: { staker: Hex; amount: bigint }[] = [], manual = false) =>
  net.evm.send(keys.operator, net.pools, 'open', net.registration(keys), reserved, manual, amount);
const contribute = (from: Hex, amount: bigint, partial = false, least = 0n) =>
  net.evm.send(from, net.pools, 'contribute', 1, amount, from, partial, least);
const registry = (from: Hex, name: string, ...args: unknown[]) =>
  net.evm.send(from, net.registry, name, ...args);

describe('pools', () => {
  test('last-slot races with and without allowPartial', async () => {
    await open(60n * TOKEN);
    await contribute(ann, 30n * TOKEN);
    // Bob was first; what Eve offers no longer fits.
    await contribute(bob, 8n * TOKEN);
    expect(await refusal(contribute(eve, 10n * TOKEN))).toBe('AboveRemaining');
    const race = await net.evm.snapshot();
    await contribute(eve, 10n * TOKEN, true);
    expect(await net.balance(eve)).toBe(2n * STAKE - 2n * TOKEN);
    expect(await net.node(NODES + 1)).toMatchObject({ state: 2, stake: STAKE });
    await net.evm.revert(race);
    expect(await refusal(contribute(eve, 10n * TOKEN, true, 3n * TOKEN))).toBe('BelowMinimum');
    await contribute(ann, 2n * TOKEN);
    expect(await refusal(contribute(eve, TOKEN, true))).toBe('BadState');
    expect(await net.balance(eve)).toBe(2n * STAKE);
  });

  test('reservation unfilled: the pool waits, the place is free when it is released', async () => {
    await open(50n * TOKEN, [{ staker: ann, amount: 40n * TOKEN }]);
    await contribute(bob, 10n * TOKEN);
    expect(await refusal(contribute(eve, TOKEN, true))).toBe('BelowMinimum');
    expect((await net.evm.read<[{ state: number }]>(net.pools, 'poolOf', 1))[0].state).toBe(1);
    await net.evm.send(keys.operator, net.pools, 'releaseReservation', 1, ann);
    await contribute(eve, 40n * TOKEN);
    expect(await net.node(NODES + 1)).toMatchObject({ state: 2 });
  });

  test('top-up by existing contributor above the reserved remainder', async () => {
    await open(50n * TOKEN, [{ staker: ann, amount: 40n * TOKEN }]);
    await contribute(bob, 5n * TOKEN);
    expect(await refusal(contribute(bob, 6n * TOKEN))).toBe('AboveRemaining');
    await contribute(bob, 6n * TOKEN, true);
    expect(await net.balance(bob)).toBe(2n * STAKE - 10n * TOKEN);
    await contribute(ann, 40n * TOKEN);
    expect(await net.node(NODES + 1)).toMatchObject({ state: 2, stake: STAKE });
  });

  test('11th contributor', async () => {
    await open(25n * TOKEN);
    for (let n = 0; n < 8; n++) {
      const staker = addressNamed(`staker ${n}`);
      const [minimum] = await net.evm.read<[bigint, bigint]>(net.pools, 'limitsOf', 1, staker);
      await net.provide(staker, minimum, net.pools.address);
      await contribute(staker, minimum);
    }
    // Nine are in: the tenth must bring all that is missing, so that an eleventh never finds room.
    const [minimum, remaining] = await net.evm.read<[bigint, bigint]>(net.pools, 'limitsOf', 1, ann);
    expect(minimum).toBe(remaining);
    expect(await refusal(contribute(ann, remaining - 1n))).toBe('BelowMinimum');
    await contribute(ann, remaining);
    expect(await refusal(contribute(bob, TOKEN, true))).toBe('BadState');
    await net.evm.send(timelock, net.registry, 'setParam', 1, 2n);
    const reserved = { staker: ann, amount: 50n * TOKEN };
    expect(await refusal(open(50n * TOKEN, [reserved, { staker: bob, amount: 25n * TOKEN }]))).toBe(
      'TooManyContributors',
    );
  });

  test('dust', async () => {
    await open(50n * TOKEN);
    for (const amount of [0n, 1n]) expect(await refusal(contribute(ann, amount, true))).toBe('BelowMinimum');
    await contribute(ann, 10n * TOKEN);
    expect(await refusal(contribute(ann, 0n, true))).toBe('BelowMinimum');
    // A top-up is free in its size.
    expect(await refusal(contribute(ann, 1n))).toBe('none');
  });

  test('who did not contribute takes nothing, who did takes his own once', async () => {
    await open(50n * TOKEN);
    await contribute(ann, 20n * TOKEN);
    expect(await refusal(net.evm.send(eve, net.pools, 'withdraw', 1))).toBe('NotContributor');
    expect(await refusal(net.evm.send(eve, net.pools, 'cancel', 1))).toBe('NotOperator');
    expect(await refusal(net.evm.send(keys.operator, net.pools, 'withdraw', 1))).toBe('BadState');
    await net.evm.send(keys.operator, net.pools, 'cancel', 1);
    expect(await refusal(contribute(bob, 20n * TOKEN))).toBe('BadState');
    await net.evm.send(ann, net.pools, 'withdraw', 1);
    expect(await refusal(net.evm.send(ann, net.pools, 'withdraw', 1))).toBe('NotContributor');
  });
});

describe('governance', () => {
  test('direct calls: what belongs to one is refused to all others', async () => {
    await net.evm.fund(eve);
    for (const from of [eve, DEPLOYER] as const) {
      expect(await refusal(registry(from, 'setParam', 0, STAKE))).toBe('NotGovernor');
      expect(await refusal(registry(from, 'nameSuccessor', eve))).toBe('NotGovernor');
      expect(await refusal(registry(from, 'announceMinimumVersion', 1, 2, 3))).toBe('NotGovernor');
      expect(await refusal(net.evm.send(from, net.pool, 'setPayCap', 0))).toBe('NotGovernor');
      expect(await refusal(net.evm.send(from, net.pool, 'pay', from, TOKEN))).toBe('NotRegistry');
      expect(await refusal(registry(from, 'registerPooled', from, net.registration(keys), []))).toBe(
        'NotPools',
      );
      expect(await refusal(net.evm.send(from, net.pools, 'registerFilled', 1))).toBe('NotOperator');
    }
    for (const from of [eve, timelock] as const) {
      expect(await refusal(registry(from, 'pauseRegistrations', 1))).toBe('NotGuardian');
      expect(await refusal(registry(from, 'resumeRegistrations'))).toBe('NotGuardian');
      expect(await refusal(net.evm.send(from, net.pool, 'bind', from))).toBe('NotDeployer');
      expect(await refusal(net.evm.send(from, net.pools, 'bind', from))).toBe('NotDeployer');
      expect(await refusal(net.evm.send(from, net.pool, 'pay', from, TOKEN))).toBe('NotRegistry');
    }
    expect(await refusal(net.evm.send(DEPLOYER, net.pool, 'bind', eve))).toBe('AlreadyBound');
    expect(await refusal(net.evm.send(DEPLOYER, net.pools, 'bind', eve))).toBe('AlreadyBound');
  });

  test('pausing anything but registration: all else goes on during a pause', async () => {
    await registry(DEPLOYER, 'pauseRegistrations', 14 * DAY);
    await net.provide(nodeKeys(60).operator, STAKE, net.registry.address);
    const register = () => registry(nodeKeys(60).operator, 'register', net.registration(nodeKeys(60)));
    expect(await refusal(register())).toBe('NotOpen');
    expect(await refusal(net.change(5, 1))).toBe('none');
    expect(await refusal(net.change(5, 2))).toBe('none');
    await net.toEpoch(4, 0);
    const pre = await net.preimageOf(await net.evm.read<number>(net.registry, 'proposerOf', 4));
    expect(await refusal(registry(DEPLOYER, 'reveal', pre))).toBe('none');
    const { operator } = nodeKeys(2);
    expect(await refusal(registry(operator, 'claim', [{ nodeId: 2, index: 0 }]))).toBe('none');
    expect(await refusal(registry(operator, 'requestExit', 2, 0))).toBe('none');
    await net.evm.goTo((await net.node(2)).unlockAt);
    expect(await refusal(registry(operator, 'withdrawStake', 2, 0))).toBe('none');
    expect(await refusal(open(50n * TOKEN))).toBe('none');
    expect(await refusal(net.evm.send(keys.operator, net.pools, 'cancel', 1))).toBe('none');
    await registry(DEPLOYER, 'resumeRegistrations');
    expect(await refusal(register())).toBe('none');
  });

  test('successor migration without consent', async () => {
    await registry(timelock, 'nameSuccessor', eve);
    await net.evm.pass(14 * DAY);
    expect(await refusal(registry(timelock, 'migrate', 1, '0x'))).toBe('NotOperator');
    expect(await refusal(registry(eve, 'migrate', 1, '0x'))).toBe('NotOperator');
    expect(await refusal(registry(eve, 'agreeToMigrate', 1, 0, eve))).toBe('NotContributor');
    // Not even the operator, as long as he has not agreed as a contributor, or has agreed to another.
    const { operator } = nodeKeys(1);
    expect(await refusal(registry(operator, 'migrate', 1, '0x'))).toBe('NotAgreed');
    await registry(operator, 'agreeToMigrate', 1, 0, bob);
    expect(await refusal(registry(operator, 'migrate', 1, '0x'))).toBe('NotAgreed');
    expect(await net.balance(net.registry.address)).toBe(BigInt(NODES) * STAKE);
  });
});

describe('nobody can lock', () => {
  /** The longest that the bounds allow, with nobody left who votes. */
  async function hostileParameters(): Promise<void> {
    const day = BigInt(DAY);
    for (const [key, value] of [
      [2, 30n * day],
      [3, 60n * day],
      [4, 500n],
      [7, 60n * day],
    ] as const) {
      await net.evm.send(timelock, net.registry, 'setParam', key, value);
    }
    await registry(DEPLOYER, 'pauseRegistrations', 14 * DAY);
  }
  const withdraw = (from: Hex, nodeId: number, index = 0) =>
    refusal(registry(from, 'withdrawStake', nodeId, index));
  const { operator } = nodeKeys(5);
  const outOf: Record<string, () => Promise<void>> = {
    active: async () => {},
    'active, an exit requested': async () => {
      await registry(operator, 'requestExit', 5, 0);
    },
    decommissioned: async () => {
      await net.change(5, 1);
    },
    'decommissioned, an exit requested': async () => {
      await net.change(5, 1);
      await registry(operator, 'requestExit', 5, 0);
    },
    'recommissioned in the same epoch': async () => {
      await net.change(5, 1);
      await net.change(5, 2);
    },
    'recommissioned with an exit running': async () => {
      await registry(operator, 'requestExit', 5, 0);
      await net.change(5, 1);
      await net.change(5, 2);
    },
    deregistered: async () => {
      await net.change(5, 1);
      const { decommissionedAt, credit } = await net.node(5);
      await net.evm.goTo(decommissionedAt + Math.max(60, credit));
      await net.change(5, 3);
    },
  };
  for (const [state, reach] of Object.entries(outOf)) {
    test(`${state}: the owner gets his stake by himself`, async () => {
      await hostileParameters();
      await reach();
      const { penalty } = await net.node(5);
      await refusal(registry(operator, 'requestExit', 5, 0));
      // All others stop: only its owner and time go on.
      await net.evm.pass(60 * DAY);
      expect(await withdraw(operator, 5)).toBe('none');
      expect(await net.balance(operator)).toBe(STAKE - penalty);
    });
  }

  test('pooled: each contributor gets his own without the others, in every state of the pool', async () => {
    await open(50n * TOKEN, [], true);
    await contribute(ann, 30n * TOKEN);
    const unfinished = await net.evm.snapshot();
    for (const fill of [false, true]) {
      if (fill) {
        await net.evm.revert(unfinished);
        await contribute(bob, 20n * TOKEN);
      }
      await hostileParameters();
      await net.evm.pass(DAY);
      await net.evm.send(ann, net.pools, 'withdraw', 1);
      expect(await net.balance(ann)).toBe(2n * STAKE);
      await net.evm.send(keys.operator, net.pools, 'cancel', 1);
      await net.evm.send(keys.operator, net.pools, 'withdraw', 1);
      expect(await net.balance(keys.operator)).toBe(2n * STAKE);
    }
  });

  test('registered from a pool: one contributor of enough stake is enough to end it for all', async () => {
    await open(50n * TOKEN);
    await contribute(ann, 30n * TOKEN);
    await contribute(bob, 20n * TOKEN);
    const nodeId = NODES + 1;
    await hostileParameters();
    const small = await net.evm.snapshot();
    await registry(ann, 'requestExit', nodeId, 1);
    await net.evm.pass(30 * DAY);
    expect(await withdraw(bob, nodeId, 2)).toBe('none');
    expect(await withdraw(ann, nodeId, 1)).toBe('none');
    expect(await withdraw(keys.operator, nodeId, 0)).toBe('none');
    await net.evm.revert(small);
    // A small one waits longer, and then needs nobody either.
    expect(await refusal(registry(bob, 'requestExit', nodeId, 2))).toBe('SmallContributorLocked');
    await net.evm.pass(60 * DAY);
    await registry(bob, 'requestExit', nodeId, 2);
    await net.evm.pass(30 * DAY);
    expect(await withdraw(bob, nodeId, 2)).toBe('none');
    expect(await net.balance(bob)).toBe(2n * STAKE);
  });
});
