// SPDX-License-Identifier: MIT
import { utf8 } from '@allium/protocol/bytes';
import { type Transport, TransportError } from '@allium/protocol/env';
import { expect, test } from 'vitest';
import { checkServiceNodeHealth } from '../src/health.ts';

const states = (active: number, inactive: number) =>
  Array.from({ length: active + inactive }, (_, i) => ({ pubkey_ed25519: String(i), active: i < active }));

function seeds(answers: Record<string, object | undefined>): Transport {
  return {
    async request({ url }) {
      const answer = answers[new URL(url).hostname];
      if (answer === undefined) throw new TransportError('unreachable', 'refused');
      return { status: 200, headers: {}, body: utf8(JSON.stringify(answer)) };
    },
  };
}

const list = (active: number, inactive: number) => ({
  result: { service_node_states: states(active, inactive) },
});
const SEEDS = ['one', 'two'].map((name) => ({ url: `https://${name}/` }));

test('counts all nodes and the active ones; above fifty active ones the network is healthy', async () => {
  expect(await checkServiceNodeHealth({ transport: seeds({ one: list(51, 3) }), seeds: SEEDS })).toEqual({
    total: 54,
    active: 51,
    inactive: 3,
    healthy: true,
  });
  expect(
    await checkServiceNodeHealth({ transport: seeds({ one: list(50, 9) }), seeds: SEEDS }),
  ).toMatchObject({
    total: 59,
    healthy: false,
  });
});

test('asks the next seed when one is silent or talks nonsense, and says when none answers', async () => {
  const transport = seeds({ one: { result: { service_node_states: [7] } }, two: list(60, 0) });
  expect(await checkServiceNodeHealth({ transport, seeds: SEEDS })).toMatchObject({
    active: 60,
    healthy: true,
  });
  await expect(checkServiceNodeHealth({ transport: seeds({}), seeds: SEEDS })).rejects.toMatchObject({
    code: 'no_nodes',
  });
  const offline: Transport = { request: () => Promise.reject(new TransportError('no_network', 'none')) };
  await expect(checkServiceNodeHealth({ transport: offline, seeds: SEEDS })).rejects.toMatchObject({
    code: 'no_network',
  });
});
