// SPDX-License-Identifier: MIT
// A network whose parameters are in no list of ours: the events tell them (spec/chain §4.15, §4.16).
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { networkOf } from '../src/deployment.ts';
import { ChainFollower } from '../src/follower.ts';
import { PARAMETER_KEYS } from '../src/parameters.ts';
import { type NetworkPreset, PRESETS } from '../src/presets.ts';
import { RegistryFixture, TOKEN } from './support/registry-fixture.ts';
import { FrozenClock, testEnv } from './support/test-clock.ts';

const preset: NetworkPreset = {
  ...PRESETS.local,
  epochLength: 40,
  revealWindow: 10,
  params: {
    stakingRequirement: 77n * TOKEN,
    maxContributors: 4,
    unlockDelay: 61,
    deregLock: 91,
    penaltyBps: 21,
    payableDelay: 22,
    shortOutage: 23,
    smallDelay: 62,
    creditInitial: 63,
    creditMax: 601,
    creditRateNum: 2,
    creditRateDen: 31,
    minGrace: 81,
    rateNum: 150,
    rateDen: 999,
    quorumSize: 5,
    minVoters: 4,
    deactivationBps: 9_999,
    registrationBps: 9_998,
  },
};

test('a follower knows the parameters of a deployment that is like no preset, and their later changes', async () => {
  await using net = await RegistryFixture.deploy({ preset });
  const { registry, deploymentBlock, timelock } = net.deployment;
  const logs = await net.evm.rpc<unknown[]>('eth_getLogs', {
    address: registry,
    fromBlock: `0x${deploymentBlock.toString(16)}`,
  });
  expect(logs).toHaveLength(PARAMETER_KEYS.length);

  const network = networkOf(net.deployment);
  const clock = new FrozenClock(net.evm.now);
  await using follower = new ChainFollower({ network, endpoints: [net.evm.anvil.url] }, testEnv(clock).env);
  await follower.start();
  expect(follower.parameters()).toEqual(preset.params);

  await net.evm.fund(timelock as `0x${string}`);
  await net.evm.send(timelock as `0x${string}`, net.registry, 'setParam', 8, 64n);
  await net.toEpoch(1, preset.revealWindow + 2);
  clock.seconds = net.evm.now;
  while (!clock.isWaitedFor) await sleep(1);
  clock.tick();
  while (!clock.isWaitedFor) await sleep(1);
  expect(follower.parameters()).toEqual({ ...preset.params, creditInitial: 64 });
});
