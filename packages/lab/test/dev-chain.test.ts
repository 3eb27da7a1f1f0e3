// SPDX-License-Identifier: AGPL-3.0-or-later
// The chain of a devnet, without its nodes: what is kept from one start to the next.
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DevChain } from '../src/chain/dev-chain.ts';
import { type Layout, openLayout } from '../src/layout.ts';

let folder: string;
let layout: Layout;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-dev-chain-test-'));
  layout = await openLayout({ nodes: 4, chain: true, folder });
});
afterEach(() => {
  layout.release();
  rmSync(folder, { recursive: true, force: true });
});

function start(): Promise<DevChain> {
  return DevChain.start({ folder, port: layout.chainPort as number, nodes: layout.nodes });
}

test('all nodes are members at once; a restart goes on with the chain, a damaged one leads to the same swarms', async () => {
  const first = await start();
  const registered = first.view.nodes();
  expect([...registered.values()].map(({ valid, state }) => ({ valid, state }))).toEqual(
    Array.from({ length: 4 }, () => ({ valid: true, state: 'active' })),
  );
  // Two operators: three nodes and one.
  expect(first.operators).toHaveLength(2);
  expect(first.epochView.memberIds).toEqual([1, 2, 3, 4]);
  const swarms = layout.nodes.map((node) => first.swarmOf(node.ed25519));
  expect(swarms.every((swarm) => swarm !== '')).toBe(true);
  const { deployment } = first;
  await first.stop();

  const again = await start();
  expect(again.origin).toBe('found');
  expect(again.deployment).toEqual(deployment);
  await again.stop();

  truncateSync(join(folder, 'chain', 'state.json'), 1000);
  await using anew = await start();
  expect(anew.origin).toBe('replaced');
  expect(layout.nodes.map((node) => anew.swarmOf(node.ed25519))).toEqual(swarms);
});

test('swarms by hand and a chain contradict each other', async () => {
  await expect(openLayout({ swarms: [2, 2], chain: true })).rejects.toMatchObject({ code: 'bad_options' });
});
