// SPDX-License-Identifier: AGPL-3.0-or-later
// What only separate processes can show: kill -9 straight after an answer, and a node that hangs.

import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from '../src/process-devnet.ts';
import { rpc, store, texts } from './rpc.ts';

let net: ProcessDevnet;
beforeAll(async () => {
  net = await startProcessDevnet({ nodes: 2 });
});
afterAll(() => net.stop());

test('a message survives kill -9 straight after its answer', async () => {
  const account = Account.create();
  const [first, second] = net.nodes as [ProcessNode, ProcessNode];
  const { status, json } = await store(first, account, 'kept');
  await Promise.all([first.kill(), second.kill()]);
  expect(status).toBe(200);
  // Else the second had not answered in time, and the promise below is not made.
  const results = Object.values(json.swarm) as { failed?: boolean }[];
  expect(results.filter(({ failed }) => failed !== true)).toHaveLength(2);
  expect(first.pid).toBe(0);
  await Promise.all([first.start(), second.start()]);
  expect(await texts(first, account)).toEqual(['kept']);
  expect(await texts(second, account)).toEqual(['kept']);
});

test('a member that hangs does not keep a store from its answer, and gets the message when it goes on', async () => {
  const account = Account.create();
  const [first, second] = net.nodes as [ProcessNode, ProcessNode];
  second.partition(true);
  const { status, json } = await store(first, account, 'meanwhile');
  expect(status).toBe(200);
  expect(json.swarm[second.ed25519].failed).toBe(true);
  second.partition(false);
  await until(async () => (await texts(second, account)).length === 1);
});

test('keys and ports outlast a restart; a stopped node does not answer', async () => {
  const [first] = net.nodes as [ProcessNode];
  const before = first.pid;
  await first.stop();
  await expect(rpc(first, 'info', {})).rejects.toThrow('ECONNREFUSED');
  await first.start();
  expect(first.pid).not.toBe(before);
  expect((await rpc(first, 'info', {})).status).toBe(200);
});
