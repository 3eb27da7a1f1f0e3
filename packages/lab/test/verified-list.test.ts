// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes on loopback that follow one chain set by hand, certify their list, and a real client that trusts nobody.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeChainView } from '@allium/chain/testing';
import { fetchAnchor } from '@allium/client/network/list-check';
import { NETWORKS } from '@allium/client/network/presets';
import { parseTrustAnchor } from '@allium/client/network/trust-anchor';
import { openClient } from '@allium/client/node';
import { freePorts } from '@allium/net/free-ports';
import { HttpsTransport } from '@allium/net/https-transport';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { parseCertificate } from '@allium/protocol/membership/certificate';
import { ServiceNode } from '@allium/service-node';
import { serviceNodeOptions } from '@allium/service-node/config';
import { NodeKeys } from '@allium/service-node/node-keys';
import { afterAll, beforeAll, expect, test } from 'vitest';

const NODES = 6;
const folder = mkdtempSync(join(tmpdir(), 'allium-verified-'));
const view = new FakeChainView({ t0: Math.floor(Date.now() / 1000) - 1000 });
const nodes: ServiceNode[] = [];
const keys = Array.from({ length: NODES }, () => new NodeKeys(randomBytes(32)));
let seeds: { url: string }[];

/** What a seed gives as anchor. */
async function anchorOf(seed: { url: string }) {
  const transport = new HttpsTransport();
  try {
    const bytes = await fetchAnchor({ seeds: [seed], transport, signal: AbortSignal.timeout(60_000) });
    const anchor = parseTrustAnchor(bytes);
    if (anchor.kind !== 'certificate') throw new Error(`an anchor of the kind ${anchor.kind}`);
    return anchor;
  } finally {
    transport.close();
  }
}

const signersOf = async (epoch: number) => {
  const anchor = await anchorOf(seeds[0]!).catch(() => undefined);
  const certificate = anchor && parseCertificate(anchor.certificate);
  return certificate?.epoch === epoch ? certificate.signatures.size : 0;
};

beforeAll(async () => {
  const ports = await freePorts(2 * NODES, '127.0.0.1');
  seeds = keys.map((_, i) => ({ url: `https://127.0.0.1:${ports[2 * i]}` }));
  const head = {
    number: 7n,
    hash: `0x${'ab'.repeat(32)}` as const,
    timestamp: Math.floor(Date.now() / 1000),
  };
  view.setHead(head);
  keys.forEach(({ ed25519Hex }, i) => {
    view.setNode({ nodeId: i + 1, ed25519Hex });
  });
  view.setEpoch(2);
  for (const [i, own] of keys.entries()) {
    const dataDir = mkdtempSync(join(folder, 'node-'));
    writeFileSync(join(dataDir, 'node.key'), toHex(own.seed()), { mode: 0o600 });
    const options = serviceNodeOptions({
      dataDir,
      bindHost: '127.0.0.1',
      httpsPort: ports[2 * i]!,
      omqPort: ports[2 * i + 1]!,
      peers: i === 0 ? [] : [`127.0.0.1:${ports[1]}:${keys[0]!.ed25519Hex}`],
      peerTests: 'off',
      rpcBurst: 1e9,
      rpcPerSecond: 1e9,
    });
    nodes.push(new ServiceNode(options, systemEnv(), { chain: async () => ({ view }) }));
  }
  await Promise.all(nodes.map((node) => node.start()));
  await until(async () => (await signersOf(2)) === NODES, 'the first certificate');
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  rmSync(folder, { recursive: true, force: true });
});

test('a client goes from an old certificate to the newest, and over its paths to later ones', async () => {
  const anchor = await anchorOf(seeds[0]!);
  view.setEpoch(3);
  view.setEpoch(4);
  await until(async () => (await signersOf(4)) === NODES, 'the second certificate');
  await using client = await openClient({
    account: Account.fromSeed(randomBytes(16)),
    network: {
      ...NETWORKS.local,
      seeds,
      refreshPool: 4,
      refreshAgreement: 4,
      firstRefreshMs: 1000,
      refreshEveryMs: 500,
    },
    receive: false,
    trust: { anchor, requireVerified: true },
  });
  await client.ready({ signal: AbortSignal.timeout(60_000) });
  expect(client.health()).toMatchObject({
    nodes: NODES,
    trust: { state: 'verified', by: 'certificate', version: 4, refused: 0 },
  });
  view.setEpoch(5);
  view.setEpoch(6);
  await until(() => client.health().trust.version === 6, 'the third one');
  expect(client.health().trust.state).toBe('verified');
});

test('a seed that lists nodes of its own is refused, beside an honest one it does no harm', async () => {
  const anchor = await anchorOf(seeds[0]!);
  const forged = Array.from({ length: NODES }, (_, i) => {
    const own = new NodeKeys(randomBytes(32));
    return {
      pubkey_ed25519: own.ed25519Hex,
      pubkey_x25519: own.x25519Hex,
      public_ip: '127.0.0.1',
      storage_port: 1 + i,
      requested_unlock_height: 0,
    };
  });
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ jsonrpc: '2.0', id: '0', result: { height: 1, service_node_states: forged } }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const liar = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  try {
    const open = (own: { url: string }[]) =>
      openClient({
        account: Account.fromSeed(randomBytes(16)),
        network: 'local',
        seeds: own,
        receive: false,
        trust: { anchor, requireVerified: true },
      });
    await using lost = await open([liar]);
    await expect(lost.ready({ signal: AbortSignal.timeout(60_000) })).rejects.toMatchObject({
      code: 'unverified',
    });
    await using found = await open([liar, seeds[1]!]);
    await found.ready({ signal: AbortSignal.timeout(60_000) });
    const known = new Set(keys.map((own) => own.ed25519Hex));
    expect(found.path()!.every((hop) => known.has(hop.ed25519Hex))).toBe(true);
    expect(found.health().trust.state).toBe('verified');
  } finally {
    server.close();
  }
});
