// SPDX-License-Identifier: AGPL-3.0-or-later
// Start and stop of a node when one of its parts fails at it.
import { silentLog, systemEnv } from '@allium/net/system-env';
import { expect, test } from 'vitest';
import { isInUse } from '../src/data-folder.ts';
import { ServiceNode } from '../src/service-node.ts';
import { TestNetwork } from './support/test-network.ts';

test('a part that cannot be stopped keeps none of the others open: the node says so and can be started again', async () => {
  await using net = await TestNetwork.prepare({ swarms: [1] });
  const node = net.node(0);
  let fails = true;
  const https = () => ({
    connections: 0,
    start: async () => ({ port: node.httpsPort }),
    drained: async () => {},
    stop: async () => {
      if (fails) throw new Error('the listener cannot be closed');
    },
  });
  const service = new ServiceNode(node.options, systemEnv(silentLog), { https });
  await service.start();
  expect(isInUse(node.folder.path)).toBe(true);
  await expect(service.stop()).rejects.toThrow('the listener cannot be closed');
  expect(isInUse(node.folder.path)).toBe(false);
  fails = false;
  await service.start();
  await service.stop();
});

test('why a node did not start is told, whatever fails when it is taken down', async () => {
  await using net = await TestNetwork.prepare({ swarms: [2] });
  const [node, other] = [net.node(0), net.node(1)];
  await other.service.start();
  const https = () => ({
    connections: 0,
    start: async () => ({ port: node.httpsPort }),
    drained: async () => {},
    stop: () => Promise.reject(new Error('the listener cannot be closed')),
  });
  const options = { ...node.options, metricsPort: other.httpsPort };
  const service = new ServiceNode(options, systemEnv(silentLog), { https });
  await expect(service.start()).rejects.toThrow(/EADDRINUSE/);
  expect(isInUse(node.folder.path)).toBe(false);
});
