// SPDX-License-Identifier: AGPL-3.0-or-later
// The explorer over real sockets, before real nodes.

import { systemClock } from '@allium/net/system-env';
import { explorerApp } from '@allium/servers/explorer';
import type { ExplorerEvent, ExplorerSource } from '@allium/servers/explorer/model';
import { SeedSource } from '@allium/servers/explorer/seed-source';
import { type RunningServer, serve } from '@allium/servers/serve';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';

describe('the explorer of a network', () => {
  let net: Devnet;
  let source: SeedSource;
  let server: RunningServer;
  beforeAll(async () => {
    net = await Devnet.start({ nodes: 14 });
    source = new SeedSource({ seeds: ['https://127.0.0.1:9', net.nodes[0]!.url], clock: systemClock });
    await source.start();
    server = await serve(explorerApp(source), { port: 0 });
  });
  afterAll(async () => {
    await server?.stop();
    await source?.stop();
    await net?.stop();
  });
  const get = async (path: string) => {
    const response = await fetch(`${server.url}${path}`);
    return { status: response.status, headers: response.headers, json: await response.json() };
  };

  test('lists the nodes, each with its state, and the swarms that they form', async () => {
    const { status, json: nodes } = await get('/api/service_nodes');
    expect(status).toBe(200);
    expect(nodes).toHaveLength(14);
    expect(new Set(nodes.map((node: { pubkey_ed25519: string }) => node.pubkey_ed25519))).toEqual(
      new Set(net.nodes.map((node) => node.ed25519)),
    );
    expect(nodes.every((node: { active: unknown }) => node.active === true)).toBe(true);
    const { json: swarms } = await get('/api/swarms');
    expect(swarms.map((swarm: { nodes: string[] }) => swarm.nodes.length)).toEqual([7, 7]);
    expect((await get('/api/stats')).json).toMatchObject({
      nodes: 14,
      active: 14,
      healthy: false,
      swarms: 2,
    });
    expect((await get('/api/network')).json).toMatchObject({ mode: 'static', chain: null, trouble: null });
  });

  test('serves a page that loads nothing from elsewhere and may run nothing else', async () => {
    const response = await fetch(server.url);
    const html = await response.text();
    expect(html).toContain('<h1>Service nodes</h1>');
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
    for (const file of ['/explorer.css', '/explorer.js'])
      expect((await fetch(server.url + file)).status).toBe(200);
  });

  test.each([
    ['/api/events?type=nonsense', 400],
    ['/api/events?limit=0', 400],
    ['/api/events?limit=1e9', 400],
    ['/api/elsewhere', 404],
  ])('answers %s with %i in words', async (path, status) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    expect(answer.json.error).toEqual(expect.any(String));
  });

  test('says what is wrong while no node answers, and shows what it had', async () => {
    const lonely = new SeedSource({ seeds: ['https://127.0.0.1:9'], clock: systemClock });
    await lonely.start();
    try {
      const answer = await explorerApp(lonely).request('/api/service_nodes');
      expect(answer.status).toBe(503);
      expect(await answer.json()).toEqual({ error: expect.stringContaining('no node answers') });
    } finally {
      await lonely.stop();
    }
  });
});

test('events come by type, newest first', async () => {
  const event = (type: ExplorerEvent['type'], block: number): ExplorerEvent => ({
    type,
    time: block,
    block,
    transaction: '0x',
    node_id: 1,
    pubkey_ed25519: null,
    reasons_all: [],
    reasons_any: ['uptime'],
    reason: 'no uptime proof of it has come',
    amount: null,
  });
  const source: ExplorerSource = {
    snapshot: () => ({
      network: { mode: 'static', height: 0, block_hash: null, chain: null },
      nodes: [],
      events: [event('deregister', 3), event('claim', 2), event('decommission', 1)],
      taken_at: 0,
    }),
    trouble: () => undefined,
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
  const ask = async (query: string) =>
    (await (await explorerApp(source).request(`/api/events${query}`)).json()).map(
      (one: ExplorerEvent) => one.block,
    );
  expect(await ask('?type=decommission,deregister')).toEqual([3, 1]);
  expect(await ask('?limit=1')).toEqual([3]);
  expect(await ask('')).toEqual([3, 2, 1]);
});

test('whoever asks too often is told so, and others are not', async () => {
  const source = new SeedSource({ seeds: [], clock: systemClock });
  const server = await serve(explorerApp(source), { port: 0 });
  try {
    const statuses = await Promise.all(
      Array.from({ length: 150 }, async () => (await fetch(`${server.url}/explorer.css`)).status),
    );
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(120);
  } finally {
    await server.stop();
  }
});
