// SPDX-License-Identifier: AGPL-3.0-or-later
// A network as an operator makes it: keys, list, one `allium node` per machine, and a stop on SIGTERM.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '@allium/net/free-ports';
import { until } from '@allium/net/testing/until';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let folder: string;
let shell: Shell;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-node-test-'));
  shell = new Shell({});
});
afterEach(() => {
  shell.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await shell.run(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim();
}

test('nodes of a list that the tool made find each other', async () => {
  const [https1, omq1, https2, omq2] = (await freePorts(4, '127.0.0.1')) as [number, number, number, number];
  const admin = await output('network', 'key', at('admin.key'), '--no-passphrase');
  const places = [
    { name: 'one', https: https1, omq: omq1 },
    { name: 'two', https: https2, omq: omq2 },
  ];
  const specs: string[] = [];
  for (const { name, https, omq } of places) {
    specs.push('--node', `${await output('network', 'node-key', at(name))}@127.0.0.1:${https}:${omq}`);
  }
  await output('network', 'create', at('net.json'), '--admin', admin, '--key', at('admin.key'), ...specs);
  const nodes = places.map(({ name, https, omq }) => {
    const ports = ['--https-port', `${https}`, '--omq-port', `${omq}`, '--bind-host', '127.0.0.1'];
    return shell.start('node', '--data-dir', at(name), '--network-file', at('net.json'), ...ports);
  });
  await until(() => nodes.every((node) => node.stdout.includes('service node is up')));
  const health = JSON.parse(await output('health', '--seed', `https://127.0.0.1:${https1}`, '--json'));
  expect(health).toMatchObject({ failed: 0 });
  expect(health.nodes).toHaveLength(2);
  for (const node of nodes) node.child.kill('SIGTERM');
  for (const node of nodes) expect((await node.ended()).code).toBe(0);
});

test('the options of a node come from one table', async () => {
  const config = JSON.parse(await output('node', '--https-port', '12345', '--print-config'));
  expect(config).toMatchObject({ httpsPort: 12_345, bindHost: '0.0.0.0' });
  expect(await output('node', '--help')).toContain('--network-file');
  const unknown = await shell.run('node', '--no-such-option');
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('--no-such-option');
});
