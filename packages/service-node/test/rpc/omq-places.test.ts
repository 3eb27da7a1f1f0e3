// SPDX-License-Identifier: AGPL-3.0-or-later
// How much of a node one OMQ client may take (spec/storage-server §5.3).
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { encodeBt } from '@allium/protocol/bencode';
import { expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork } from '../support/test-network.ts';

test('one client has a quarter of the places, and gets them back', async () => {
  await using net = await TestNetwork.prepare({ swarms: [2] });
  const [node, silent] = [net.node(0), net.node(1)];
  await node.service.start();
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await using peer = new Omq(
    {
      keyPair: silent.keys.x25519,
      isServiceNode: true,
      listen: { host: '127.0.0.1', port: silent.omqPort },
    },
    systemEnv(),
  );
  peer.category('sn', { access: 'none' });
  let waiting = 0;
  peer.register('sn.storage_cc', async () => {
    waiting++;
    await released;
    return [encodeBt({})];
  });
  await peer.start();
  const account = TestAccount.session();
  const store = async (text: string) => {
    const parts = await net.omq(node, 'storage.store', [JSON.stringify(account.store(text))]);
    return parts.length === 1 ? '200' : Buffer.from(parts[0]!).toString();
  };
  const running = Array.from({ length: 125 }, (_, i) => store(`${i}`));
  await until(() => waiting === 125, 'all of them to wait');
  expect(await store('one more')).toBe('429');
  release();
  expect(new Set(await Promise.all(running))).toEqual(new Set(['200']));
  expect(await store('again')).toBe('200');
});
