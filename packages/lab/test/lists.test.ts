// SPDX-License-Identifier: AGPL-3.0-or-later
// Nodes that were cut off when a new list came have it soon after (spec/chain §4.23 "Details").

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  changeStaticList,
  encodeStaticList,
  parseStaticList,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';
import { readAdmin } from '../src/layout.ts';

test('after a partition all lists agree within seconds', async () => {
  await using net = await Devnet.start({ swarms: [3, 3] });
  const cutOff = [net.nodes[1]!, net.nodes[4]!, net.nodes[5]!];
  for (const node of cutOff) node.partition(true);
  const old = parseStaticList(readFileSync(net.networkFile));
  const list = changeStaticList(old, { issued: Math.floor(Date.now() / 1000), expires: old.expires });
  // One node only reads it.
  const bytes = encodeStaticList(signStaticList(list, readAdmin(net.folder)));
  writeFileSync(join(net.nodes[0]!.folder, 'network.json'), bytes);
  const versions = () => net.nodes.map((node) => node.listVersion);
  await net.until(() => versions().join() === '2,1,2,2,1,1');
  await net.pass(1_000);
  expect(versions()).toEqual([2, 1, 2, 2, 1, 1]);
  for (const node of cutOff) node.partition(false);
  await net.until(() => versions().every((version) => version === 2));
});
