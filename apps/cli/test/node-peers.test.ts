// SPDX-License-Identifier: AGPL-3.0-or-later
// What `allium node peers` says of a node that runs, and of one that does not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemEnv } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import { createStaticList, encodeStaticList, signStaticList } from '@allium/protocol/membership/static-list';
import { ServiceNode } from '@allium/service-node';
import { serviceNodeOptions } from '@allium/service-node/config';
import { loadOrCreateNodeKeys } from '@allium/service-node/node-keys';
import type { PeerReport } from '@allium/service-node/peer-report';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommandLine } from '../src/program.ts';

let folder: string;
let output: string;
const write = process.stdout.write;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-peers-'));
});
afterEach(() => {
  process.stdout.write = write;
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

async function peers(...args: string[]): Promise<string> {
  output = '';
  process.stdout.write = ((text: string) => {
    output += text;
    return true;
  }) as typeof write;
  try {
    expect(await runCommandLine(['node', 'peers', '--data-dir', at('node'), ...args])).toBe(0);
  } finally {
    process.stdout.write = write;
  }
  return output;
}

/** A port where nobody listens. */
function deadPort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

test('shows each peer with its last tests, as text and as JSON', async () => {
  const own = loadOrCreateNodeKeys(at('node'));
  const absent = toHex(ed25519KeyPair(randomBytes(32)).publicKey);
  const admin = ed25519KeyPair(randomBytes(32));
  const issued = Math.floor(Date.now() / 1000);
  const [httpsPort, omqPort, dead] = await Promise.all([deadPort(), deadPort(), deadPort()]);
  const list = createStaticList({
    admins: [toHex(admin.publicKey)],
    threshold: 1,
    issued,
    expires: issued + 86_400,
    nodes: [
      { ed25519Hex: own.ed25519Hex, host: '127.0.0.1', httpsPort, omqPort },
      { ed25519Hex: absent, host: '127.0.0.1', httpsPort: dead, omqPort: dead },
    ],
  });
  writeFileSync(at('network.json'), encodeStaticList(signStaticList(list, admin)));
  const options = serviceNodeOptions({
    dataDir: at('node'),
    networkFile: at('network.json'),
    bindHost: '127.0.0.1',
    httpsPort,
    omqPort,
    peerTests: 'local',
  });
  await using node = new ServiceNode(options, systemEnv(silentLog));
  await node.start();
  let report: PeerReport;
  do report = JSON.parse(await peers('--json')) as PeerReport;
  while (report.peers[0]?.fault === null);
  expect(report).toMatchObject({ node: own.ed25519Hex, membership: 'static', failing: 0 });
  expect(report.peers).toMatchObject([{ ed25519: absent, reachableAt: null, failing: [] }]);
  const text = await peers();
  expect(text).toMatch(
    new RegExp(`^${absent.slice(0, 8)}  active      no, \\d+ s .*https: unreachable`, 'm'),
  );
  expect(text).toContain('1 other node, 0 of them fail');
  await node.stop();

  await expect(peers()).rejects.toThrow(/no node runs on the data folder/);
});

test('a socket that a killed node left behind is no node', async () => {
  loadOrCreateNodeKeys(at('node'));
  writeFileSync(at('node/node.sock'), '');
  await expect(peers()).rejects.toThrow(/no node runs on the data folder/);
  await expect(peers('please')).rejects.toMatchObject({ exitCode: 2 });
});
