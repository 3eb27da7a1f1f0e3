// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium gateway` as an operator has it: a process, its words, its metrics.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { createCertificate } from '@allium/net/certificate';
import { until } from '@allium/net/testing/until';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let folder: string;
let net: Devnet;
let shell: Shell;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-gateway-cli-'));
  net = await Devnet.start({ nodes: 4 });
});
afterAll(async () => {
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  shell = new Shell({});
});
afterEach(() => shell.dispose());

test('serves the list, the page and metrics, and ends with 0', async () => {
  const web = join(folder, 'web');
  mkdirSync(web);
  writeFileSync(join(web, 'index.html'), '<title>page</title>');
  const gateway = shell.start(
    ...['gateway', '--seed', net.seed, '--port', '0', '--web', web, '--metrics-port', '0'],
    ...['--file-server', `http://files.example:8100#${'ab'.repeat(32)}`],
  );
  await until(() => gateway.stdout.includes('The gateway is at'));
  await until(() => gateway.stderr.includes('serves the web app'));
  expect(gateway.stderr).toContain('It leads to 4 service nodes.');
  const url = /The gateway is at (\S+)/.exec(gateway.stdout)?.[1];
  expect(await (await fetch(`${url}/`)).text()).toBe('<title>page</title>');
  const network = (await (await fetch(`${url}/v1/network`)).json()) as Record<string, unknown>;
  expect(network).toMatchObject({
    network: 'local',
    nodes: 4,
    file_servers: [{ url: 'http://files.example:8100', ed25519_key: 'ab'.repeat(32) }],
  });
  await fetch(`${url}/v1/onion/${net.nodes[0]!.ed25519}`, { method: 'POST', body: 'nonsense' });
  const at = /Metrics are at (\S+)\./.exec(gateway.stderr)?.[1];
  const metrics = await (await fetch(at!)).text();
  expect(metrics).toContain('allium_gateway_nodes 4');
  expect(metrics).toContain('allium_gateway_envelopes_total{end="answer"} 1');
  expect(metrics).not.toContain('127.0.0.1');
  gateway.child.kill('SIGTERM');
  expect((await gateway.ended()).code).toBe(0);
});

test.each<[string, () => string[], string]>([
  ['a key without certificate', () => ['--tls-key', join(folder, 'key.pem')], 'go together'],
  [
    'a certificate that is none',
    () => ['--tls-cert', bad(), '--tls-key', bad()],
    'not a certificate and its key',
  ],
  ['a file server without key', () => ['--file-server', 'http://files.example'], 'is not URL#KEY'],
  ['a folder without page', () => ['--web', folder], 'holds no index.html'],
  ['an anchor that is none', () => ['--anchor', bad()], '--anchor'],
])('%s is said in words', async (_, options, words) => {
  const { code, stderr } = await shell.run('gateway', '--seed', net.seed, '--port', '0', ...options());
  expect(stderr).toContain(words);
  expect(code).toBe(2);
});

test('a port that is taken, and a network that is silent', async () => {
  const port = new URL(net.seed).port;
  const taken = await shell.run('gateway', '--seed', net.seed, '--port', port);
  expect([taken.code, taken.stderr]).toEqual([1, expect.stringContaining(`port ${port} is taken`)]);
  const silent = shell.start('gateway', '--seed', 'https://127.0.0.1:9', '--port', '0');
  await until(() => silent.stderr.includes('No node list yet'));
  silent.child.kill('SIGINT');
  expect((await silent.ended()).code).toBe(0);
});

test('over TLS', async () => {
  const { certificatePem, keyPem } = createCertificate();
  writeFileSync(join(folder, 'cert.pem'), certificatePem);
  writeFileSync(join(folder, 'key.pem'), keyPem);
  const files = ['--tls-cert', join(folder, 'cert.pem'), '--tls-key', join(folder, 'key.pem')];
  const gateway = shell.start('gateway', '--seed', net.seed, '--port', '0', ...files);
  await until(() => gateway.stdout.includes('The gateway is at https://'));
  // Nobody has said that the network is local.
  await until(() => gateway.stderr.includes('private addresses'));
  gateway.child.kill('SIGTERM');
  expect((await gateway.ended()).code).toBe(0);
});

function bad(): string {
  const path = join(folder, 'bad.pem');
  writeFileSync(path, '{}');
  return path;
}
