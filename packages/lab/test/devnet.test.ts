// SPDX-License-Identifier: AGPL-3.0-or-later
// The devnet itself and what a swarm owes its accounts, looked at node by node.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import {
  encodeStaticList,
  parseStaticList,
  removeNodes,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Devnet, type DevnetNode } from '../src/devnet.ts';
import { readAdmin } from '../src/layout.ts';
import { post } from '../src/load/post.ts';
import { retrieve, store, texts } from './rpc.ts';

describe('fourteen nodes in one process', () => {
  let net: Devnet;
  beforeAll(async () => {
    net = await Devnet.start();
  });
  afterAll(() => net.stop());

  test('fill 600 MB at most', () => {
    expect(process.memoryUsage().rss).toBeLessThan(600 * 1024 * 1024);
  });

  test('make two swarms of seven', () => {
    const sizes = Map.groupBy(net.nodes, (node) => node.swarm);
    expect([...sizes.values()].map((nodes) => nodes.length)).toEqual([7, 7]);
  });

  test('each list the whole network', async () => {
    for (const node of net.nodes) {
      const answer = await fetchList(node);
      expect(answer.map((each) => each.pubkey_ed25519).sort()).toEqual(
        net.nodes.map((each) => each.ed25519).sort(),
      );
    }
  });

  test('sign a store with all seven members, who all keep it', async () => {
    const account = Account.create();
    const swarm = net.swarmOf(account.id);
    const { status, json } = await store(swarm[0]!, account, 'hello');
    expect(status).toBe(200);
    expect(Object.keys(json.swarm).sort()).toEqual(swarm.map((node) => node.ed25519).sort());
    for (const node of swarm) expect(await texts(node, account)).toEqual(['hello']);
  });

  test('answer 421 with the right swarm when an account is not theirs', async () => {
    const account = Account.create();
    const outside = net.nodeOutside(account.id);
    for (const answer of [await store(outside, account, 'lost'), await retrieve(outside, account)]) {
      expect(answer.status).toBe(421);
      expect(answer.json.swarm).toBe(net.swarmIdOf(account.id));
      const named = (answer.json.snodes as { pubkey_ed25519: string }[]).map((node) => node.pubkey_ed25519);
      expect(named.sort()).toEqual(
        net
          .swarmOf(account.id)
          .map((node) => node.ed25519)
          .sort(),
      );
    }
  });
});

test('a restarted devnet has the same nodes and messages; a temporary one leaves nothing behind', async () => {
  const account = Account.create();
  const first = await Devnet.start({ nodes: 2 });
  const { folder } = first;
  await store(first.nodes[0]!, account, 'still here');
  const described = first.nodes.map((node) => node.describe());
  for (const node of first.nodes) await node.restart();
  expect(first.nodes.map((node) => node.describe())).toEqual(described);
  expect(await texts(first.nodes[1]!, account)).toEqual(['still here']);
  await first.stop();
  expect(existsSync(folder)).toBe(false);
});

test('swarms can be fixed by hand', async () => {
  await using net = await Devnet.start({ swarms: [3, 1, 2] });
  const sizes = Map.groupBy(net.nodes, (node) => node.swarm);
  expect([...sizes.values()].map((nodes) => nodes.length)).toEqual([3, 1, 2]);
  await expect(Devnet.start({ nodes: 5, swarms: [3, 3] })).rejects.toThrow('6 nodes together');
});

test('a list that one node is given reaches the others, and holds at once without a restart', async () => {
  await using net = await Devnet.start({ nodes: 3 });
  const [first, second, third] = net.nodes as [DevnetNode, DevnetNode, DevnetNode];
  const issued = Math.floor(Date.now() / 1000);
  const list = parseStaticList(readFileSync(net.networkFile));
  const next = removeNodes(list, [third.ed25519], { issued, expires: issued + 86_400 });
  const account = Account.create();
  expect(Object.keys((await store(second, account, 'to three')).json.swarm)).toHaveLength(3);
  writeFileSync(
    join(first.folder, 'network.json'),
    encodeStaticList(signStaticList(next, readAdmin(net.folder))),
  );
  await until(async () => (await fetchList(second)).length === 2);
  expect(Object.keys((await store(second, account, 'to two')).json.swarm)).toHaveLength(2);
  // Whoever is no member serves nobody.
  expect((await store(third, account, 'to a stranger')).status).not.toBe(200);
});

async function fetchList(node: DevnetNode): Promise<{ pubkey_ed25519: string }[]> {
  const answer = await post(
    node,
    '/json_rpc',
    '{"jsonrpc":"2.0","id":0,"method":"get_service_nodes","params":{}}',
  );
  return JSON.parse(answer.body.toString()).result.service_node_states;
}
