// SPDX-License-Identifier: MIT
// The life of nodes on the registry: registered alone and together, active, suspended, reinstated, removed, gone, paid
// (spec/chain §4.5–4.13), to the second where a second decides.
import { type Abi, encodeFunctionData } from 'viem';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import { abi as timelockAbi } from '../src/contracts/generated/TimelockController.ts';
import { type Contract, Revert } from './support/evm.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from './support/registry-fixture.ts';

const NODES = 12;
const STAKE = 100n * TOKEN;
const INF = 2 ** 32 - 1;
let net: RegistryFixture;
let clean: Hex;

beforeAll(async () => {
  net = await RegistryFixture.withNodes(NODES);
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

/** The name of the custom error that ends the call. */
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Revert) return error.errorName;
    throw error;
  }
  return 'none';
}

test('a registration is on duty two epochs later, and its stake lies with the registry', async () => {
  const node = await net.node(3);
  expect(node).toMatchObject({ state: 2, stake: STAKE, stateNonce: 0, credit: 60 });
  expect(await net.slotOf(3)).toEqual({
    key: expect.stringMatching(new RegExp(nodeKeys(3).votingKey, 'i')),
    nodeId: 3,
    from: 2,
    until: INF,
  });
  expect(await net.balance(net.registry.address)).toBe(STAKE * BigInt(NODES));
  await net.toEpoch(1);
  expect((await net.quorum(3)).nodeIds).toEqual([]);
  await net.toEpoch(2);
  const quorum = await net.quorum(3);
  expect(quorum.nodeIds).toHaveLength(10);
  expect(new Set(quorum.nodeIds)).not.toContain(3);
  expect(quorum.threshold).toBe(7);
});

test('suspended, reinstated, suspended again, removed: seven votes each time, the stake comes back less the penalty', async () => {
  await net.toEpoch(3);
  const suspended = await net.change(5, 1, { reasons: 9 });
  expect(net.evm.events(suspended, net.registry)).toContainEqual({
    name: 'StateChanged',
    args: { nodeId: 5, state: 3, epoch: 3, stateNonce: 1, reasonsAll: 9, reasonsAny: 9 },
  });
  expect((await net.slotOf(5)).until).toBe(4);
  // Registered 96 s ago in second 0 of epoch 0 …: 60 s of credit at first and a thirtieth of the time on duty.
  const { credit, registeredAt, decommissionedAt } = await net.node(5);
  expect(credit).toBe(60 + Math.floor((decommissionedAt - registeredAt) / 30));

  await net.toEpoch(5);
  await net.change(5, 2);
  const back = await net.node(5);
  expect(back).toMatchObject({ state: 2, stateNonce: 2, decommissionCount: 1 });
  expect(back.credit).toBe(Math.max(0, credit - 2 * (net.evm.now - decommissionedAt)));
  expect(await net.slotOf(5)).toMatchObject({ nodeId: 5, from: 7, until: INF });

  await net.toEpoch(8);
  await net.change(5, 1);
  const again = await net.node(5);
  const graceEnd = again.decommissionedAt + Math.max(again.credit, 60);
  await net.evm.goTo(graceEnd - 1);
  expect(await refusal(net.change(5, 3))).toBe('GraceNotOver');
  await net.evm.goTo(graceEnd);
  await net.change(5, 3);
  const removed = await net.node(5);
  expect(removed).toMatchObject({
    state: 4,
    lockedUntil: net.evm.now + 90,
    penalty: (STAKE * 20n) / 10_000n,
  });

  const { operator } = nodeKeys(5);
  await net.evm.goTo(removed.lockedUntil - 1);
  expect(await refusal(net.evm.send(operator, net.registry, 'withdrawStake', 5, 0))).toBe('Locked');
  await net.evm.goTo(removed.lockedUntil);
  await net.evm.send(operator, net.registry, 'withdrawStake', 5, 0);
  expect(await net.balance(operator)).toBe(STAKE - removed.penalty);
  expect(await refusal(net.evm.send(operator, net.registry, 'withdrawStake', 5, 0))).toBe('AlreadyWithdrawn');
  expect(await net.balance(net.registry.address)).toBe(STAKE * BigInt(NODES - 1));
});

test('a node reinstated in the epoch of its suspension takes another slot, and the quorums it sits in stay the same', async () => {
  await net.toEpoch(3);
  const quorumsBefore = await Promise.all([1, 2, 3, 4].map((id) => net.quorum(id, 3)));
  await net.change(7, 1);
  const { slot } = await net.node(7);
  await net.change(7, 2);
  expect((await net.node(7)).slot).not.toBe(slot);
  expect(await net.slotOf(7)).toMatchObject({ nodeId: 7, from: 5, until: INF });
  expect(await Promise.all([1, 2, 3, 4].map((id) => net.quorum(id, 3)))).toEqual(quorumsBefore);
  await net.toEpoch(4);
  expect(await Promise.all([1, 2, 3, 4].map((id) => net.quorum(id, 3)))).toEqual(quorumsBefore);
});

test('an exit pays back after the delay, to the second, and ends the membership at an epoch', async () => {
  await net.toEpoch(3);
  const { operator } = nodeKeys(2);
  await net.evm.send(operator, net.registry, 'requestExit', 2, 0);
  const { unlockAt } = await net.node(2);
  expect(unlockAt).toBe(net.evm.now + 60);
  expect((await net.slotOf(2)).until).toBe(Math.floor((unlockAt - net.deployment.t0) / 30) + 1);
  expect(await refusal(net.evm.send(operator, net.registry, 'requestExit', 2, 0))).toBe(
    'ExitAlreadyRequested',
  );
  await net.evm.goTo(unlockAt - 1);
  expect(await refusal(net.evm.send(operator, net.registry, 'withdrawStake', 2, 0))).toBe('BadState');
  await net.evm.goTo(unlockAt);
  await net.evm.send(operator, net.registry, 'withdrawStake', 2, 0);
  expect(await net.balance(operator)).toBe(STAKE);
  expect((await net.node(2)).state).toBe(5);
  // The slot rests for three epochs after its end.
  const { until } = await net.slotOf(2);
  await net.toEpoch(until + 2);
  const early = await net.register(40);
  expect((await net.node(early)).slot).toBe(NODES);
  await net.toEpoch(until + 3);
  const late = await net.register(41);
  expect((await net.node(late)).slot).toBe(1);
});

test('ten contributors fill a pool, are registered with the last of them, share the rewards and leave', async () => {
  await net.toEpoch(1);
  const keys = net.know(nodeKeys(50));
  const stakers = Array.from({ length: 9 }, (_, i) => addressNamed(`staker ${i}`));
  await net.provide(keys.operator, 25n * TOKEN, net.pools.address);
  await net.evm.send(keys.operator, net.pools, 'open', net.registration(keys), [], false, 25n * TOKEN);
  expect(await net.evm.read(net.pools, 'limitsOf', 1, stakers[0])).toEqual([8_333_333_334n, 75n * TOKEN]);
  for (const [i, staker] of stakers.entries()) {
    const [minimum, remaining] = await net.evm.read<[bigint, bigint]>(net.pools, 'limitsOf', 1, staker);
    await net.provide(staker, 50n * TOKEN, net.pools.address);
    if (i === 0) {
      expect(
        await refusal(net.evm.send(staker, net.pools, 'contribute', 1, minimum - 1n, staker, false, 0)),
      ).toBe('BelowMinimum');
    }
    // The last one offers too much and is taken with what is missing.
    const amount = i === 8 ? remaining + 7n * TOKEN : minimum;
    await net.evm.send(staker, net.pools, 'contribute', 1, amount, staker, true, 0);
  }
  const nodeId = NODES + 1;
  const node = await net.node(nodeId);
  expect(node).toMatchObject({ state: 2, stake: STAKE });
  const contributors = await net.evm.read<{ staker: string; amount: bigint }[]>(
    net.lens,
    'contributors',
    nodeId,
  );
  expect(contributors).toHaveLength(10);
  expect(contributors.reduce((sum, { amount }) => sum + amount, 0n)).toBe(STAKE);
  expect(await net.balance(net.pools.address)).toBe(0n);

  await net.evm.goTo(node.payableAt + 100);
  const all = [keys.operator, ...stakers];
  for (const [index, staker] of all.entries()) {
    const before = await net.balance(staker);
    await net.evm.send(staker, net.registry, 'claim', [{ nodeId, index }]);
    expect((await net.balance(staker)) - before).toBeGreaterThan(0n);
  }
  // Small contributors wait before they may end it for the others; the operator may at once.
  expect(await refusal(net.evm.send(stakers[0] as Hex, net.registry, 'requestExit', nodeId, 1))).toBe('none');
  await net.evm.pass(60);
  for (const [index, staker] of all.entries()) {
    const before = await net.balance(staker);
    await net.evm.send(staker, net.registry, 'withdrawStake', nodeId, index);
    expect((await net.balance(staker)) - before).toBe(contributors[index]?.amount);
  }
});

test('a small contributor cannot request the exit one second before his lock is over', async () => {
  await net.toEpoch(1);
  const keys = nodeKeys(51);
  const small = addressNamed('small');
  await net.provide(keys.operator, 80n * TOKEN, net.pools.address);
  await net.evm.send(keys.operator, net.pools, 'open', net.registration(keys), [], false, 80n * TOKEN);
  await net.provide(small, 20n * TOKEN, net.pools.address);
  await net.evm.send(small, net.pools, 'contribute', 1, 20n * TOKEN, small, false, 0);
  const nodeId = NODES + 1;
  const { registeredAt } = await net.node(nodeId);
  await net.evm.goTo(registeredAt + 59);
  expect(await refusal(net.evm.send(small, net.registry, 'requestExit', nodeId, 1))).toBe(
    'SmallContributorLocked',
  );
  await net.evm.goTo(registeredAt + 60);
  expect(await refusal(net.evm.send(small, net.registry, 'requestExit', nodeId, 1))).toBe('none');
});

test('rewards: what is released is claimed to the last unit, within the rounding of each share', async () => {
  await net.evm.goTo((await net.node(NODES)).payableAt + 1000);
  await net.evm.send(DEPLOYER, net.registry, 'poke', 100);
  const before = await net.balance(net.pool.address);
  let paid = 0n;
  for (let nodeId = 1; nodeId <= NODES; nodeId++) {
    const { operator } = nodeKeys(nodeId);
    await net.evm.send(operator, net.registry, 'claim', [{ nodeId, index: 0 }]);
    paid += await net.balance(operator);
  }
  expect(before - (await net.balance(net.pool.address))).toBe(paid);
  // 15.1 % a year of 40,000,000 tokens for 1000 s and the few in which the nodes became payable one after another.
  const released = (seconds: bigint) => (40_000_000n * TOKEN * 151n * seconds) / (1000n * 31_536_000n);
  expect(paid).toBeGreaterThanOrEqual(released(1000n) - 2n * BigInt(NODES));
  expect(paid).toBeLessThanOrEqual(released(1030n));
  const { allocated } = await net.evm.read<{ allocated: bigint }>(net.lens, 'accounting');
  expect(allocated).toBeLessThanOrEqual(BigInt(NODES) * 2n);
  expect(
    await refusal(
      net.evm.send(nodeKeys(NODES).operator, net.registry, 'claim', [{ nodeId: NODES, index: 0 }]),
    ),
  ).toBe('NothingToClaim');
});

test('a short outage keeps the place among the paid, one second more does not', async () => {
  for (const [downtime, flags] of [
    [20, 1],
    [21, 0],
  ] as const) {
    clean = await net.evm.revert(clean);
    await net.toEpoch(3);
    await net.change(4, 1);
    await net.evm.pass(downtime);
    await net.change(4, 2, { epoch: 3 });
    expect((await net.node(4)).flags).toBe(flags);
  }
});

test('payable begins with the very second of the delay', async () => {
  const { payableAt, registeredAt } = await net.node(1);
  expect(payableAt).toBe(registeredAt + 20);
  await net.evm.goTo(payableAt - 1);
  await net.evm.send(DEPLOYER, net.registry, 'poke', 100);
  expect((await net.node(1)).flags).toBe(0);
  await net.evm.goTo(payableAt);
  await net.evm.send(DEPLOYER, net.registry, 'poke', 100);
  expect((await net.node(1)).flags).toBe(1);
});

test('votes count from the end of the reveal window to the end of the next epoch', async () => {
  await net.toEpoch(3, 5);
  expect(await refusal(net.evm.read(net.registry, 'seedOf', 3))).toBe('TooEarly');
  await net.toEpoch(3, 6);
  const votes = await net.drawVotes(5, 1);
  const submit = () => net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 5, 1, 3, 0, votes);
  await net.toEpoch(4, 29);
  const inTime = await net.evm.snapshot();
  expect(await refusal(submit())).toBe('none');
  await net.evm.revert(inTime);
  await net.toEpoch(5, 0);
  expect(await refusal(submit())).toBe('StaleEpoch');
});

test('refused votes are named: too few, twice the same, out of order, another nonce, a wrong key', async () => {
  await net.toEpoch(3);
  const votes = await net.drawVotes(5, 1);
  const submit = (list: unknown[], nonce = 0, action = 1) =>
    refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 5, action, 3, nonce, list));
  expect(await submit(votes.slice(1))).toBe('TooFewVotes');
  expect(await submit([votes[0], ...votes.slice(0, 6)])).toBe('BadIndex');
  expect(await submit([...votes].reverse())).toBe('BadIndex');
  expect(await submit(votes, 1)).toBe('BadNonce');
  expect(await submit(votes, 0, 3)).toBe('BadState');
  expect(await submit(votes.map((vote) => ({ ...vote, reasons: 2 })))).toBe('BadSignature');
  expect(await submit(votes)).toBe('none');
  expect(await submit(votes)).toBe('BadNonce');
});

test('the proposer reveals once, inside the window; a skipped epoch has the seed that all know', async () => {
  await net.toEpoch(3, 0);
  const proposer = await net.evm.read<number>(net.registry, 'proposerOf', 3);
  const pre = await net.preimageOf(proposer);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'reveal', `0x${'11'.repeat(32)}`))).toBe(
    'WrongPreimage',
  );
  await net.toEpoch(3, 5);
  const inTime = await net.evm.snapshot();
  const receipt = await net.evm.send(DEPLOYER, net.registry, 'reveal', pre);
  const [event] = net.evm.events(receipt, net.registry);
  expect(event).toMatchObject({ name: 'SeedRevealed', args: { epoch: 3, nodeId: proposer, pre } });
  expect(await net.evm.read(net.registry, 'seedOf', 3)).toBe(event?.args.seed);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'reveal', pre))).toBe('AlreadyRevealed');
  await net.evm.revert(inTime);
  await net.toEpoch(3, 6);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'reveal', pre))).toBe('WindowClosed');
  expect(await net.evm.read(net.registry, 'seedOf', 3)).not.toBe(event?.args.seed);
});

test('registration: not before the opening, then ten an epoch, fees up to all', async () => {
  expect(await refusal(net.register(60))).toBe('NotOpen');
  await net.toEpoch(1, 0);
  expect(await refusal(net.register(60, { feeBps: 10_001 }))).toBe('BadFee');
  // Twelve nodes are active: 10000 bps of them.
  for (let number = 61; number <= 72; number++) await net.register(number, { feeBps: 10_000 });
  expect(await refusal(net.register(73))).toBe('RateLimited');
  await net.toEpoch(2, 0);
  expect(await net.register(73)).toBe(25);
});

test('governance: only through the timelock, inside the bounds, and leaving stakes keep their old delay', async () => {
  const { timelock } = net.deployment as { timelock: Hex };
  await net.evm.fund(timelock);
  const set = (key: number, value: bigint) => net.evm.send(timelock, net.registry, 'setParam', key, value);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'setParam', 2, 0n))).toBe('NotGovernor');
  expect(await refusal(set(2, 2_592_001n))).toBe('OutOfBounds');
  await set(2, 2_592_000n);
  const { operator } = nodeKeys(1);
  await net.evm.send(operator, net.registry, 'requestExit', 1, 0);
  expect((await net.node(1)).unlockAt).toBe(net.evm.now + 60);
  await net.evm.pass(15 * 86_400);
  await net.evm.send(nodeKeys(2).operator, net.registry, 'requestExit', 2, 0);
  expect((await net.node(2)).unlockAt).toBe(net.evm.now + 2_592_000);
  // A quorum's size changes two epochs later.
  await set(13, (5n << 8n) | 3n);
  const epoch = net.epoch;
  expect(await net.evm.read(net.registry, 'quorumParams', epoch + 1)).toEqual([10, 3]);
  expect(await net.evm.read(net.registry, 'quorumParams', epoch + 2)).toEqual([5, 3]);
});

test('the pool pays no more than its cap in twelve hours; what is left over waits for the next', async () => {
  const timelock: Contract = { address: net.deployment.timelock as Hex, abi: timelockAbi as Abi };
  const cap = net.preset.totalSupply / 1000n;
  const data = encodeFunctionData({ abi: net.pool.abi, functionName: 'setPayCap', args: [cap] });
  const zero = `0x${'00'.repeat(32)}`;
  await net.evm.send(DEPLOYER, timelock, 'schedule', net.pool.address, 0, data, zero, zero, 30);
  const execute = () => net.evm.send(DEPLOYER, timelock, 'execute', net.pool.address, 0, data, zero, zero);
  await net.evm.pass(29);
  await expect(execute()).rejects.toThrow();
  await net.evm.pass(1);
  await execute();
  expect(await net.evm.read(net.pool, 'payCap')).toBe(cap);

  // 30 days of 15.1 % of 40,000,000 a year: twice the cap.
  await net.evm.goTo(Math.ceil((net.evm.now + 30 * 86_400) / 43_200) * 43_200);
  await net.evm.send(DEPLOYER, net.registry, 'poke', 100);
  const before = await net.balance(net.pool.address);
  const refused: string[] = [];
  for (let nodeId = 1; nodeId <= NODES; nodeId++) {
    const { operator } = nodeKeys(nodeId);
    refused.push(await refusal(net.evm.send(operator, net.registry, 'claim', [{ nodeId, index: 0 }])));
  }
  expect(before - (await net.balance(net.pool.address))).toBe(cap);
  const first = refused.indexOf('CapExceeded');
  expect(first).toBeGreaterThan(1);
  expect(refused.slice(first)).toEqual(Array.from({ length: NODES - first }, () => 'CapExceeded'));
  // The last one that was paid got a part, and gets the rest.
  await net.evm.pass(43_200);
  const due = await net.evm.read<bigint>(net.registry, 'claimable', first, 0);
  expect(due).toBeGreaterThan(1n * TOKEN);
  await net.evm.send(nodeKeys(first).operator, net.registry, 'claim', [{ nodeId: first, index: 0 }]);
  expect(await net.evm.read<bigint>(net.registry, 'claimable', first, 0)).toBe(0n);
});

test('at most so many are suspended in an epoch, and the next epoch counts anew', async () => {
  const { timelock } = net.deployment as { timelock: Hex };
  await net.evm.fund(timelock);
  // 20 % of twelve, rounded up.
  await net.evm.send(timelock, net.registry, 'setParam', 14, 2000n);
  await net.toEpoch(3);
  for (const nodeId of [1, 2, 3]) await net.change(nodeId, 1);
  expect(await refusal(net.change(4, 1))).toBe('RateLimited');
  await net.nextEpoch();
  expect(await refusal(net.change(4, 1))).toBe('none');
});

test('a new voting key counts at once, and only the operator sets it', async () => {
  await net.toEpoch(3);
  const { nodeIds } = await net.quorum(5);
  const voter = nodeIds[0] as number;
  const other = net.know(nodeKeys(80));
  const old = await net.drawVotes(5, 1);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'setVotingKey', voter, other.votingKey))).toBe(
    'NotOperator',
  );
  await net.evm.send(nodeKeys(voter).operator, net.registry, 'setVotingKey', voter, other.votingKey);
  expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 5, 1, 3, 0, old))).toBe(
    'BadSignature',
  );
  expect(await refusal(net.change(5, 1))).toBe('none');
});
