// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium devnet --processes`: the ready file, and nothing left running however it ends.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReadyNode } from '@allium/lab/process-devnet';
import { until } from '@allium/net/testing/until';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Shell } from './shell.ts';
import { isAlive } from './system-node.ts';

let folder: string;
let shell: Shell;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-devnet-test-'));
  shell = new Shell({});
});
afterEach(() => {
  shell.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function startReady(...args: string[]) {
  const readyFile = join(folder, 'ready.json');
  const devnet = shell.start('devnet', '--processes', '--ready-file', readyFile, ...args);
  await until(
    () => statSync(readyFile, { throwIfNoEntry: false }) !== undefined || devnet.child.exitCode !== null,
  );
  const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as { seed: string; nodes: ReadyNode[] };
  return { devnet, ready };
}

test('writes a ready file and ends its nodes when it is stopped', async () => {
  const { devnet, ready } = await startReady('--swarms', '2,1');
  expect(ready.seed).toBe(`https://127.0.0.1:${ready.nodes[0]?.port}`);
  expect(ready.nodes).toHaveLength(3);
  for (const node of ready.nodes) {
    expect(node).toEqual({
      host: '127.0.0.1',
      port: expect.any(Number),
      omqPort: expect.any(Number),
      ed25519: expect.stringMatching(/^[0-9a-f]{64}$/),
      x25519: expect.stringMatching(/^[0-9a-f]{64}$/),
      swarm: expect.stringMatching(/^[0-9a-f]{1,16}$/),
      pid: expect.any(Number),
    });
    expect(isAlive(node.pid)).toBe(true);
  }
  expect(new Set(ready.nodes.map((node) => node.swarm)).size).toBe(2);
  expect(new Set(ready.nodes.map((node) => node.pid)).size).toBe(3);
  devnet.child.kill('SIGTERM');
  expect((await devnet.ended()).code).toBe(0);
  expect(ready.nodes.filter((node) => isAlive(node.pid))).toEqual([]);
});

test('leaves nothing running after kill -9', async () => {
  const { devnet, ready } = await startReady('--nodes', '2');
  devnet.child.kill('SIGKILL');
  await until(() => ready.nodes.every((node) => !isAlive(node.pid)));
});

test('keeps keys, ports and messages in a folder that is named', async () => {
  const home = join(folder, 'net');
  const first = await startReady('--nodes', '1', '--folder', home);
  const second = shell.start('devnet', '--nodes', '1', '--folder', home);
  expect((await second.ended()).stderr).toMatch(/in use by process \d+/);
  first.devnet.child.kill('SIGINT');
  expect((await first.devnet.ended()).code).toBe(0);
  rmSync(join(folder, 'ready.json'));
  const again = await startReady('--nodes', '1', '--folder', home);
  const { pid: _, ...node } = again.ready.nodes[0] as ReadyNode;
  expect(first.ready.nodes[0]).toMatchObject(node);
  const other = shell.start('devnet', '--nodes', '2', '--folder', join(folder, 'net'));
  expect((await other.ended()).code).toBe(1);
});
