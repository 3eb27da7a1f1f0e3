// SPDX-License-Identifier: AGPL-3.0-or-later
// Requests cost by their size (docs/limits.md `rpc_rate`; docs/decisions/0015).
import { randomBytes } from '@allium/protocol/crypto';
import { expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork } from '../support/test-network.ts';

test('each full 16 KiB of a body counts as one more request, before it is read', async () => {
  await using net = await TestNetwork.start({ swarms: [1], options: { rpcBurst: 8, rpcPerSecond: 1 } });
  const node = net.node(0);
  const account = TestAccount.session();
  // 80 kB as base64: four more.
  expect((await node.rpc('store', account.store(randomBytes(60_000)))).status).toBe(200);
  expect((await node.rpc('store', account.store(randomBytes(60_000)))).status).toBe(429);
  expect((await node.rpc('info', {})).status).toBe(200);
  expect((await node.rpc('info', {})).status).toBe(200);
});

test('JSON that would keep a node busy is refused unparsed', async () => {
  await using net = await TestNetwork.start({ swarms: [1] });
  const node = net.node(0);
  for (const heavy of ['[', '{"a":', '[],']) {
    const answer = await node.post('/storage_rpc/v1', heavy.repeat(300_000));
    expect(answer).toMatchObject({ status: 400, text: 'invalid json' });
  }
});
