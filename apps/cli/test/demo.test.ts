// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm start -- --once`: the walk from beginning to end, twice in the same folder.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@allium/net/testing/until';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let folder: string;
let shell: Shell;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-demo-test-'));
  shell = new Shell({});
});
afterEach(() => {
  shell.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test('on a chain: contracts, registrations, epoch and quorum, then the walk; a second start goes on with the chain', async () => {
  const args = ['demo', '--once', '--nodes', '8', '--folder', join(folder, 'net')];
  const first = await shell.run(...args);
  expect(first, first.stdout).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/registry 0x[0-9a-f]{40}/);
  expect(first.stdout).toMatch(/operator 0x[0-9a-f]{40}: 300 tokens locked for nodes 00 01 02/);
  expect(first.stdout).toMatch(/Epoch \d+ is in force/);
  // Seven can test the eighth; five are two thirds of them and one more.
  expect(first.stdout).toMatch(/the seed draws nodes( \d\d){7} to test it/);
  expect(first.stdout).toContain('5 of these 7');
  expect(first.stdout).toContain('Every step worked.');
  const again = await shell.run(...args);
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('found, and continued');
  const swarms = (output: string) => output.split('\n').filter((line) => line.includes('  swarm '));
  expect(swarms(again.stdout)).toEqual(swarms(first.stdout));
  const mixed = await shell.run(...args, '--static');
  expect(mixed).toMatchObject({ code: 1, stderr: expect.stringContaining('holds a network on a chain') });
});

test('demo --once tells every step and ends with 0; a second start finds the state of the first', async () => {
  const args = ['demo', '--once', '--static', '--folder', join(folder, 'net')];
  const first = await shell.run(...args);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  for (const step of [
    'Network',
    'Account alice',
    'Path built',
    'Message stored',
    'Message received',
    'bob is away',
  ]) {
    expect(first.stdout).toContain(step);
  }
  expect(first.stdout).not.toContain('\u001b');
  const second = await shell.run(...args);
  expect(second.code).toBe(0);
  const idOf = (output: string) => /Account alice.*\n\s+(05[0-9a-f]{64})/.exec(output)?.[1];
  expect(idOf(second.stdout)).toBe(idOf(first.stdout));
  expect(second.stdout).toContain('from last time');
});

test('demo stays up, says what to type, and that works; Ctrl-C ends it', async () => {
  const demo = shell.start('demo', '--no-web', '--static', '--folder', join(folder, 'net'));
  await until(() => demo.stdout.includes('Ctrl-C stops everything') || demo.child.exitCode !== null);
  const commands = demo.lines
    .filter((line) => line.trim().startsWith('npx allium'))
    .map((line) => line.trim());
  const health = commands.find((line) => line.includes('health'))!;
  const answer = await shell.run(...health.split(' ').slice(2));
  expect(answer.code).toBe(0);
  const invitation = commands.find((line) => line.includes('network join'))!.split("'")[1]!;
  const own = new Shell({ ALLIUM_HOME: join(folder, 'own') });
  expect((await own.run('network', 'join', invitation, '--json')).stdout).toMatch(/"verified":true/);
  const send = commands.find((line) => line.includes('send'))!;
  const stored = await shell.run(...send.replaceAll('"', '').split(' ').slice(2));
  expect(stored).toMatchObject({ code: 0, stdout: expect.stringContaining('Stored') });
  demo.child.kill('SIGINT');
  expect((await demo.ended()).code).toBe(0);
});

test('what the demo on a chain says to type about stakes works', async () => {
  const demo = shell.start('demo', '--no-web', '--nodes', '8', '--folder', join(folder, 'net'));
  await until(() => demo.stdout.includes('Ctrl-C stops everything') || demo.child.exitCode !== null);
  const status = demo.lines.map((line) => line.trim()).find((line) => line.includes('stake status'))!;
  const answer = await shell.run(...status.split(' ').slice(2));
  expect(answer).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('active') });
  demo.child.kill('SIGINT');
  expect((await demo.ended()).code).toBe(0);
});

test('a listener on an account of the demo keeps it over a restart: a stand-in takes the part', async () => {
  const net = join(folder, 'net');
  expect((await shell.run('demo', '--once', '--static', '--folder', net)).code).toBe(0);
  const { ports } = JSON.parse(readFileSync(join(net, 'devnet.json'), 'utf8'));
  const seed = `https://127.0.0.1:${ports[0][0]}`;
  const listener = shell.start('listen', '--home', join(net, 'home'), '--seed', seed, '--account', 'bob');
  await until(() => listener.stderr.includes('Listening'));
  const { code, stdout } = await shell.run('demo', '--once', '--static', '--folder', net);
  expect(stdout).toMatch(/Process \d+ listens for bob, who is left to it: dave takes the part\./);
  expect(code).toBe(0);
  expect(listener.stdout).toBe('');
});
