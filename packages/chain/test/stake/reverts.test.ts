// SPDX-License-Identifier: MIT
// Every refusal of the contracts has words (spec/chain §4.15).
import { type Abi, encodeErrorResult } from 'viem';
import { expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import * as contributionPools from '../../src/contracts/generated/ContributionPools.ts';
import * as registryLens from '../../src/contracts/generated/RegistryLens.ts';
import * as rewardPool from '../../src/contracts/generated/RewardPool.ts';
import * as serviceNodeRegistry from '../../src/contracts/generated/ServiceNodeRegistry.ts';
import * as sessionToken from '../../src/contracts/generated/SessionToken.ts';
import * as timelockController from '../../src/contracts/generated/TimelockController.ts';
import { explainedErrors, refusalOf } from '../../src/stake/reverts.ts';

const CONTRACTS = {
  contributionPools,
  registryLens,
  rewardPool,
  serviceNodeRegistry,
  sessionToken,
  timelockController,
};
const errors = Object.entries(CONTRACTS).flatMap(([name, { abi }]) =>
  (abi as Abi).filter((item) => item.type === 'error').map((item) => ({ contract: name, item })),
);

test.each(errors.map(({ contract, item }) => [`${contract}.${item.name}`, item] as const))(
  '%s has words',
  (_name, item) => {
    expect(explainedErrors.has(item.name)).toBe(true);
    const values: Record<string, unknown> = {
      address: `0x${'11'.repeat(20)}`,
      bytes32: `0x${'22'.repeat(32)}`,
    };
    const args = item.inputs.map(
      ({ type }) => values[type] ?? (type === 'uint8' || type === 'uint40' ? 7 : 7n),
    );
    const data = encodeErrorResult({ abi: [item], errorName: item.name, args } as never);
    const { error, words } = refusalOf(data);
    expect(error).toBe(item.name);
    expect(words).not.toContain(item.name);
    expect(words).not.toMatch(/undefined|NaN|Invalid/);
    expect(words.length).toBeGreaterThan(10);
  },
);

test('there are no words for errors that no contract has', () => {
  const known = new Set(errors.map(({ item }) => item.name));
  expect([...explainedErrors].filter((name) => !known.has(name))).toEqual([]);
});

test('times, amounts and states are told as people read them', () => {
  const encode = (errorName: string, args: unknown[]): Hex => {
    const item = errors.find(
      ({ item: one }) => one.name === errorName && one.inputs.length === args.length,
    )!.item;
    return encodeErrorResult({ abi: [item], errorName, args } as never);
  };
  expect(refusalOf(encode('Locked', [1_900_000_000])).words).toBe(
    'the stake is locked until 2030-03-17T17:46:40Z',
  );
  expect(refusalOf(encode('BelowMinimum', [12_500_000_000n])).words).toBe(
    'at least 12.5 tokens are needed here',
  );
  expect(refusalOf(encode('BadState', [3])).words).toBe('that is not possible now: it is suspended');
  expect(refusalOf(encode('BadState', [2]), 'ContributionPools').words).toBe(
    'that is not possible now: the pool is full',
  );
});

test.each(['0x', '0x12345678', `0x${'ff'.repeat(100)}`] as const)(
  'a refusal that nobody knows is told as one: %s',
  (data) => {
    expect(refusalOf(data)).toEqual({
      error: undefined,
      words: 'the contract refuses, for a reason that it does not name',
    });
  },
);
