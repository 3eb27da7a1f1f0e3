// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes test each other, at the pace of a local network, and tell what they find.
import { request } from 'node:http';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toHex } from '@allium/protocol/bytes';
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { Logger } from '@allium/protocol/env';
import { expect, test } from 'vitest';
import type { PeerReport } from '../../src/testing/peer-report.ts';
import { TestNetwork } from '../support/test-network.ts';

function get(path: string, at: { socketPath: string } | { port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...at, host: '127.0.0.1', path }, (incoming) => {
      let text = '';
      incoming.on('data', (part: Buffer) => {
        text += part.toString();
      });
      incoming.on('end', () => resolve(text));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

test('nodes of a static list test each other; the operator and the admins see who fails', async () => {
  const admin = x25519KeyPair();
  const [metricsPort] = (await freePorts(1)) as [number];
  const told: [Record<string, unknown>, string][] = [];
  const log: Logger = {
    error() {},
    warn: (fields, sentence) => void told.push([fields, sentence]),
    info: (fields, sentence) => void told.push([fields, sentence]),
    debug() {},
    child: () => log,
  };
  await using net = await TestNetwork.start({
    swarms: [4],
    options: { peerTests: 'local', statsAccessKeys: [toHex(admin.publicKey)] },
  });
  const [watcher, , , victim] = net.nodes as [(typeof net.nodes)[0], unknown, unknown, (typeof net.nodes)[0]];
  await watcher.service.stop();
  watcher.configure(
    {
      networkFile: net.networkFile,
      peerTests: 'local',
      statsAccessKeys: [toHex(admin.publicKey)],
      metricsPort,
    },
    systemEnv(log),
    {},
  );
  await watcher.service.start();

  const socketPath = watcher.folder.file('node.sock');
  const report = async () => JSON.parse(await get('/peers', { socketPath })) as PeerReport;
  const entry = async (hex: string) => (await report()).peers.find(({ ed25519 }) => ed25519 === hex)!;

  await until(
    async () => (await report()).peers.every((peer) => peer.reachableAt !== null && peer.probeAt !== null),
    'all others to be tested and probed',
  );
  const first = await report();
  expect(first).toMatchObject({
    node: watcher.hex,
    membership: 'static',
    pace: 'local',
    failing: 0,
    ownClockSuspect: false,
    ownNetworkSuspect: false,
  });
  expect(first.peers).toHaveLength(3);
  for (const peer of first.peers) {
    expect(peer).toMatchObject({ failing: [], unreachableSince: null, fault: null, probesMissed: 0 });
    expect(peer.timeAnswers).toBeGreaterThan(0);
    expect(peer.timeAnswers).toBe(peer.timeQuestions);
    expect(Math.abs(peer.clockOffsetMs!)).toBeLessThan(30_000); // half the way of an answer is in it
  }
  expect(Math.abs(first.clockOffsetMs!)).toBeLessThan(30_000);
  expect(first.testedAt.https).toBeGreaterThan(0);
  expect(first.testedAt.omq).toBeGreaterThan(0);

  // The list for everybody tells the same.
  const listed = async () => {
    const fields = ['pubkey_ed25519', 'storage_server_reachable', 'storage_server_first_unreachable']
      .concat(['storage_server_last_unreachable', 'storage_server_last_reachable'])
      .concat(['quorumnet_tests', 'timesync_tests']);
    const params = { endpoint: 'get_service_nodes', params: { fields, service_node_pubkeys: [victim.hex] } };
    const { json } = await watcher.rpc('oxend_request', params);
    return (json as { result: { service_node_states: Record<string, unknown>[] } }).result
      .service_node_states[0]!;
  };
  const before = await listed();
  expect(before).toMatchObject({
    pubkey_ed25519: victim.hex,
    storage_server_reachable: true,
    storage_server_first_unreachable: 0,
    storage_server_last_unreachable: 0,
  });
  expect(Math.abs(Number(before.storage_server_last_reachable) - Date.now() / 1000)).toBeLessThan(300);
  expect(before.quorumnet_tests).toEqual([expect.any(Number), 0]);
  expect(before.timesync_tests).toEqual(before.quorumnet_tests);

  await victim.service.stop();
  await until(async () => (await entry(victim.hex)).unreachableSince !== null, 'the failures to be seen');
  const after = await listed();
  expect(after.storage_server_first_unreachable).toBeGreaterThan(0);
  expect(after.storage_server_last_unreachable).toBeGreaterThanOrEqual(
    Number(after.storage_server_first_unreachable),
  );
  expect((await entry(victim.hex)).fault).toMatch(/https: unreachable, omq: (unreachable|timeout|closed)/);

  // The same report for the admins, over OMQ; others get nothing.
  await using omq = new Omq({ keyPair: admin, isServiceNode: false }, systemEnv());
  await omq.start();
  const [answer] = await net.omq(watcher, 'service.get_peers', [], omq);
  const forAdmin = JSON.parse(Buffer.from(answer!).toString()) as PeerReport;
  expect(forAdmin.peers.map(({ ed25519 }) => ed25519).sort()).toEqual(
    first.peers.map(({ ed25519 }) => ed25519).sort(),
  );
  await expect(net.omq(watcher, 'service.get_peers', [])).rejects.toMatchObject({ code: 'refused' });

  expect(await get('/metrics', { port: metricsPort })).toMatch(/^allium_peers\{failing="none"\} 3$/m);
  expect(told.some(([, sentence]) => /fails its tests/.test(sentence))).toBe(false);

  // `unreachable` of the local preset: 15 s; the node is back before, so nobody is accused.
  await victim.service.start();
  await until(async () => (await entry(victim.hex)).unreachableSince === null, 'the node to be seen again');
});
