// SPDX-License-Identifier: MIT
// A node moves to a successor with the agreement of those who own three quarters of it (spec/chain §4.13).
import { type Abi, encodeDeployData, getContractAddress } from 'viem';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import { type Contract, Revert } from './support/evm.ts';
import { abi, bytecode } from './support/generated/Successor.ts';
import { addressNamed, DEPLOYER, nodeKeys, RegistryFixture, TOKEN } from './support/registry-fixture.ts';

const DAY = 86_400;
const keys = nodeKeys(50);
const ann = addressNamed('ann');
let net: RegistryFixture;
let successor: Contract;

beforeAll(async () => {
  net = await RegistryFixture.deploy();
  await net.provide(keys.operator, 70n * TOKEN, net.pools.address);
  await net.provide(ann, 30n * TOKEN, net.pools.address);
  await net.evm.send(keys.operator, net.pools, 'open', net.registration(keys), [], false, 70n * TOKEN);
  await net.evm.send(ann, net.pools, 'contribute', 1, 30n * TOKEN, ann, false, 0);
  const nonce = BigInt(await net.evm.rpc<Hex>('eth_getTransactionCount', DEPLOYER, 'latest'));
  const address = getContractAddress({ from: DEPLOYER, nonce }).toLowerCase() as Hex;
  await net.evm.sendRaw({
    from: DEPLOYER,
    data: encodeDeployData({ abi, bytecode, args: [net.token.address] }),
  });
  successor = { address, abi: abi as Abi };
});
afterAll(() => net?.[Symbol.asyncDispose]());

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Revert) return error.errorName;
    throw error;
  }
  return 'none';
}

test('stake and keys move after 14 d, with consent, whole or not at all; rewards stay claimable', async () => {
  const migrate = (from: Hex) => net.evm.send(from, net.registry, 'migrate', 1, '0x1234');
  const agree = (from: Hex, index: number) =>
    net.evm.send(from, net.registry, 'agreeToMigrate', 1, index, successor.address);
  const { timelock } = net.deployment as { timelock: Hex };
  await net.evm.fund(timelock);
  expect(await refusal(migrate(keys.operator))).toBe('NoSuccessor');
  await net.evm.send(timelock, net.registry, 'nameSuccessor', successor.address);
  const named = net.evm.now;
  expect(await net.evm.read(net.lens, 'successor')).toEqual([
    expect.stringMatching(new RegExp(successor.address, 'i')),
    named,
  ]);
  await net.evm.goTo(named + 14 * DAY - 1);
  expect(await refusal(migrate(keys.operator))).toBe('TooEarly');
  await net.evm.goTo(named + 14 * DAY);
  expect(await refusal(migrate(ann))).toBe('NotOperator');
  await agree(keys.operator, 0);
  expect(await refusal(migrate(keys.operator))).toBe('NotAgreed'); // 70 %
  expect(await refusal(agree(ann, 0))).toBe('NotContributor');
  await agree(ann, 1);
  await net.evm.send(DEPLOYER, successor, 'setTaken', 9_999);
  expect(await refusal(migrate(keys.operator))).toBe('TransferMismatch');
  await net.evm.send(DEPLOYER, successor, 'setTaken', 10_000);

  const receipt = await migrate(keys.operator);
  expect(net.evm.events(receipt, successor)[0]).toMatchObject({
    name: 'Accepted',
    args: {
      oldNodeId: 1,
      feeBps: 1000,
      data: '0x1234',
      contributions: [{ amount: 70n * TOKEN }, { amount: 30n * TOKEN }],
    },
  });
  expect(await net.balance(successor.address)).toBe(100n * TOKEN);
  expect(await net.balance(net.registry.address)).toBe(0n);
  expect((await net.node(1)).state).toBe(5);
  expect((await net.slotOf(1)).until).toBe(net.epoch + 2);
  expect(await refusal(net.evm.send(ann, net.registry, 'withdrawStake', 1, 1))).toBe('AlreadyWithdrawn');
  await net.evm.send(ann, net.registry, 'claim', [{ nodeId: 1, index: 1 }]);
  expect(await net.balance(ann)).toBeGreaterThan(0n);
});
