// SPDX-License-Identifier: AGPL-3.0-or-later
// `service.get_stats` (spec/storage-server §7): who may ask, and what is counted.
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import { x25519KeyPair } from '@allium/protocol/crypto';
import { expect, test } from 'vitest';
import { Metrics } from '../src/metrics.ts';
import { TestAccount } from './support/test-account.ts';
import { TestClock, testEnv } from './support/test-clock.ts';
import { TestNetwork } from './support/test-network.ts';

test('the operator gets the figures of his node over OMQ', async () => {
  const keyPair = x25519KeyPair();
  const options = { statsAccessKeys: [toHex(keyPair.publicKey)] };
  await using net = await TestNetwork.start({ swarms: [1], options });
  const node = net.node(0);
  for (let i = 0; i < 5; i++) {
    const account = TestAccount.session();
    for (let j = 0; j <= i + 1; j++) await node.rpc('store', account.store(`${j}`));
    await node.rpc('retrieve', account.retrieve());
  }
  const operator = new Omq({ keyPair, isServiceNode: false }, systemEnv());
  await operator.start();
  const [json] = await net.omq(node, 'service.get_stats', [], operator);
  await operator.stop();
  expect(JSON.parse(Buffer.from(json!).toString())).toMatchObject({
    total_store_requests: 20,
    recent_store_requests: 20,
    total_retrieve_requests: 5,
    total_onion_requests: 0,
    total_proxy_requests: 0,
    version: '2.11.0',
    accounts: 5,
    total_stored: 20,
    account_msg_mean: 4,
    account_msg_count_min: 2,
    account_msg_count_median: 4,
    account_msg_count_max: 6,
    namespace_messages: { 0: 20 },
    db_max: 3584 * 1024 * 1024,
  });
});

test('recent figures cover the current window and six earlier ones', () => {
  const clock = new TestClock();
  const metrics = new Metrics(testEnv(clock));
  for (let i = 0; i < 10; i++) {
    metrics.count('store');
    clock.advance(600_000);
  }
  expect(metrics.totals.store).toBe(10);
  expect(metrics.recent().store).toBe(7);
  expect(metrics.recent().timespanSeconds).toBe(7 * 600);
});
