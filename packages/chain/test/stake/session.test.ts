// SPDX-License-Identifier: MIT
// A wallet at an endpoint that can do less, or does wrong (the commands: apps/cli/test/stake.test.ts).
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { readNode, readPool } from '../../src/stake/holdings.ts';
import { StakeSession } from '../../src/stake/session.ts';
import { contribute, openPool, register, requestExit } from '../../src/stake/transactions.ts';
import { nodeKeys, RegistryFixture } from '../support/registry-fixture.ts';

const FRIEND = nodeKeys(9).operator;

let fixture: RegistryFixture;
let proxy: Server;
/** Answers in place of the chain; undefined: the chain answers. */
let instead: (method: string) => unknown = () => undefined;

beforeAll(async () => {
  fixture = await RegistryFixture.deploy();
  // Before the first session: its transactions bring the chain's time on, which the fixture does not see.
  const { stakingRequirement: whole } = fixture.preset.params;
  const { token, pools } = fixture.deployment;
  await fixture.provide(nodeKeys(1).operator, whole, token);
  await fixture.provide(nodeKeys(2).operator, whole / 2n, pools);
  await fixture.provide(nodeKeys(3).operator, whole / 2n, pools);
  await fixture.provide(FRIEND, whole, pools);
  proxy = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const calls = JSON.parse(body) as { id: number; method: string } | { id: number; method: string }[];
    const one = async (call: { id: number; method: string }) => {
      const own = instead(call.method);
      if (own !== undefined) return { jsonrpc: '2.0', id: call.id, ...(own as object) };
      const answer = await fetch(fixture.evm.anvil.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(call),
      });
      return answer.json();
    };
    const answer = Array.isArray(calls) ? await Promise.all(calls.map(one)) : await one(calls);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  proxy?.close();
  await fixture?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  instead = (method) =>
    method === 'eth_simulateV1'
      ? { error: { code: -32601, message: 'the method does not exist' } }
      : undefined;
});

const url = () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/v2/secret-key`;
const openAs = (address: Hex) =>
  StakeSession.open({ rpc: url(), deployment: fixture.deployment, signer: { kind: 'endpoint', address } });
const terms = (number: number) => {
  const { ed25519, edSig0, edSig1, votingKey, beaconAnchor } = fixture.registration(
    nodeKeys(number),
  ) as Record<string, Hex>;
  const signature = `${edSig0}${edSig1!.slice(2)}` as Hex;
  return {
    keys: { ed25519: ed25519!, signature, votingKey: votingKey!, beaconAnchor: beaconAnchor! },
    feeBps: 500,
  };
};

test('where several steps cannot be tried at once, each is tried when its turn comes', async () => {
  const keys = nodeKeys(1);
  const { requirement } = await (await openAs(keys.operator)).terms();
  const session = await openAs(keys.operator);
  const steps = [
    ...(await session.approvalFor('registry', requirement)),
    register(fixture.deployment.registry, terms(1), requirement),
  ];
  const trial = await session.tryOut(steps);
  expect(trial.isWhole).toBe(false);
  expect(trial.gas).toEqual([expect.any(BigInt), undefined]);
  await expect(session.send(steps[1]!)).rejects.toMatchObject({
    code: 'refused',
    contractError: 'ERC20InsufficientAllowance',
  });
  for (const step of steps) await session.send(step);
  expect(await readNode(session, 1)).toMatchObject({ state: 'active', operator: keys.operator, feeBps: 500 });
  // What is allowed already is not asked for again.
  expect(await session.approvalFor('registry', 0n)).toEqual([]);
});

test.each([
  ['that tries calls', undefined],
  ['that does not', { error: { code: -32601, message: 'no such method' } }],
])('whoever fills a pool makes it a node, at an endpoint %s', async (_name, simulation) => {
  instead = (method) => (method === 'eth_simulateV1' ? simulation : undefined);
  const keys = nodeKeys(simulation === undefined ? 2 : 3);
  const { pools } = fixture.deployment;
  const { requirement } = await (await openAs(keys.operator)).terms();
  const half = requirement / 2n;
  const operator = await openAs(keys.operator);
  const pool = {
    ...terms(simulation === undefined ? 2 : 3),
    amount: half,
    reserved: [],
    manualFinalize: false,
  };
  const opened = await operator.send(openPool(pools, pool));
  const poolId = opened.outcomes.find(({ event }) => event === 'PoolOpened')!.poolId!;
  const step = contribute(pools, { poolId, amount: half, allowPartial: false, minAccepted: 0n });
  const { outcomes } = await (await openAs(FRIEND)).send(step);
  expect(outcomes.map(({ event }) => event)).toEqual(
    expect.arrayContaining(['PoolFilled', 'PoolRegistered']),
  );
  expect(await readPool(operator, poolId)).toMatchObject({ state: 'registered' });
});

test.each([
  [
    'an endpoint that refuses',
    { error: { code: -32000, message: 'quota of https://x/v2/secret-key used up' } },
    'rpc_error',
  ],
  ['an answer that is none', { result: '0x' }, 'rpc_error'],
])('%s is told without the address of the endpoint, which may hold a key', async (_name, answer, code) => {
  instead = (method) => (method === 'eth_getTransactionCount' || method === 'eth_call' ? answer : undefined);
  const failure = await (async () => (await openAs(nodeKeys(1).operator)).terms())().catch((error) => error);
  expect(failure).toMatchObject({ name: 'StakeError', code });
  expect(failure.message).not.toContain('secret-key');
});

test('another chain, or one without the contracts, is refused before anything else', async () => {
  instead = (method) => (method === 'eth_chainId' ? { result: '0x1' } : undefined);
  await expect(openAs(nodeKeys(1).operator)).rejects.toMatchObject({ code: 'wrong_chain' });
  instead = (method) => (method === 'eth_getCode' ? { result: '0x' } : undefined);
  await expect(openAs(nodeKeys(1).operator)).rejects.toMatchObject({ code: 'wrong_chain' });
});

test('a wallet without money for gas is told so, and nothing is sent', async () => {
  const poor = `0x${'ab'.repeat(20)}` as const;
  instead = () => undefined;
  const session = await openAs(poor);
  const step = requestExit(fixture.deployment.registry, 1, 0);
  await expect(session.tryOut([step])).rejects.toMatchObject({
    code: 'refused',
    contractError: 'NotContributor',
  });
  const rich = await openAs(nodeKeys(1).operator);
  await fixture.evm.rpc('anvil_setBalance', rich.address, '0x1');
  await expect(rich.tryOut([step])).rejects.toMatchObject({ code: 'no_gas' });
});
