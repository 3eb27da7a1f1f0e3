// SPDX-License-Identifier: AGPL-3.0-or-later
// The explorer before a real registry: nodes, votes with reasons, exits, payments, rewards.
import { networkOf } from '@allium/chain/deployment';
import { ChainFollower } from '@allium/chain/follower';
import { ChainHistory } from '@allium/chain/history';
import { systemClock, systemEnv } from '@allium/net/system-env';
import type { Clock } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressNamed, nodeKeys, RegistryFixture } from '../../../chain/test/support/registry-fixture.ts';
import { explorerApp } from '../../src/explorer/api.ts';
import { ChainSource } from '../../src/explorer/chain-source.ts';

let fixture: RegistryFixture;
let source: ChainSource;
let history: ChainHistory;

beforeAll(async () => {
  fixture = await RegistryFixture.withNodes(12);
  const { evm, registry, deployment, preset } = fixture;
  await fixture.toEpoch(3);
  await fixture.change(3, 1, { reasons: REASON.storage | REASON.timesync });
  await fixture.change(4, 1, { reasons: REASON.uptime });
  await fixture.nextEpoch();
  await fixture.change(4, 2);
  await evm.send(nodeKeys(1).operator, registry, 'requestExit', 1, 0);
  await evm.goTo(evm.now + preset.params.unlockDelay + preset.params.creditInitial + preset.params.minGrace);
  await fixture.nextEpoch();
  await fixture.change(3, 3, { reasons: REASON.storage });
  await evm.send(nodeKeys(1).operator, registry, 'withdrawStake', 1, 0);
  await evm.send(nodeKeys(2).operator, registry, 'claim', [{ nodeId: 2, index: 0 }]);

  const aheadMs = evm.now * 1000 - systemClock.now();
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const env = { ...systemEnv(), clock };
  const options = { network: networkOf(deployment), endpoints: [evm.anvil.url] };
  history = new ChainHistory({ ...options, pollMs: 50 }, env);
  const view = new ChainFollower({ ...options, timings: { pollMs: 50, maxAgeSeconds: 600 } }, env);
  source = new ChainSource({ view, history, rpc: evm.anvil.url, deployment, clock });
  await source.start();
});
afterAll(async () => {
  await source?.stop();
  await fixture?.[Symbol.asyncDispose]();
});

const get = async (path: string) => (await explorerApp(source).request(path)).json();

test('nodes have a state, an operator and a stake; who left is not among them', async () => {
  const nodes = await get('/api/service_nodes');
  expect(nodes).toHaveLength(10);
  const byId = new Map(nodes.map((node: { chain: { node_id: number } }) => [node.chain.node_id, node]));
  expect([...byId.keys()]).not.toContain(1); // left
  expect([...byId.keys()]).not.toContain(3); // removed
  expect(byId.get(4)).toMatchObject({
    active: true,
    state: 'active',
    chain: {
      operator: addressNamed('operator 4'),
      stake: '100000000000',
      fee_percent: 10,
      valid: true,
      contributors: [{ staker: addressNamed('operator 4'), amount: '100000000000' }],
    },
  });
  expect((byId.get(2) as { swarm: string }).swarm).toMatch(/^[0-9a-f]{16}$/);
});

test('votes carry their reasons, as codes and in words, newest first', async () => {
  const votes = await get('/api/events?type=decommission,recommission,deregister');
  expect(votes.map(({ type, node_id }: { type: string; node_id: number }) => [type, node_id])).toEqual([
    ['deregister', 3],
    ['recommission', 4],
    ['decommission', 4],
    ['decommission', 3],
  ]);
  expect(votes[3]).toMatchObject({
    reasons_all: ['storage', 'timesync'],
    reasons_any: ['storage', 'timesync'],
    reason: 'it cannot be reached; its clock is wrong',
    transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/),
  });
  expect(votes[3].pubkey_ed25519).toMatch(/^[0-9a-f]{64}$/);
});

test('exits and payments are told with their amounts', async () => {
  const [claim, withdraw] = await get('/api/events?type=claim,withdraw');
  expect(withdraw).toMatchObject({ type: 'withdraw', node_id: 1, amount: '100000000000', reason: null });
  expect(claim).toMatchObject({ type: 'claim', node_id: 2 });
  expect(BigInt(claim.amount)).toBe(await fixture.balance(nodeKeys(2).operator));
  const left = await get('/api/events?type=exit_requested,exit');
  expect(left.map(({ type }: { type: string }) => type)).toEqual(['exit', 'exit_requested']);
});

test('network and statistics are those of the chain', async () => {
  const { mode, chain, trouble } = await get('/api/network');
  expect(mode).toBe('chain');
  expect(trouble).toBeNull();
  expect(chain).toMatchObject({ chain_id: 31337, epoch: fixture.epoch, staking_requirement: '100000000000' });
  expect(BigInt(chain.rewards.pool)).toBe(await fixture.balance(fixture.pool.address));
  expect(chain.rewards.earning_nodes).toBe(10);
  expect(BigInt(chain.rewards.per_node_and_day)).toBe(BigInt(chain.rewards.per_day) / 10n);
  expect(await get('/api/stats')).toMatchObject({
    nodes: 10,
    active: 10,
    operators: { count: 10, third: 4 },
    paths_by: 'operator',
  });
});

test('what happens next is shown, and what a reorganisation took back is not', async () => {
  const before = await fixture.evm.snapshot();
  await fixture.evm.send(nodeKeys(5).operator, fixture.registry, 'requestExit', 5, 0);
  const exits = () =>
    history.events().filter(({ type, nodeId }) => type === 'exit_requested' && nodeId === 5).length;
  await expect.poll(exits).toBe(1);
  await fixture.evm.revert(before);
  for (let n = 0; n < 3; n++) await fixture.evm.pass(1);
  await expect.poll(exits).toBe(0);
  expect(history.events().length).toBeGreaterThan(12);
});
