// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommandLine } from '../src/program.ts';

let output: string;
const write = process.stdout.write;
beforeEach(() => {
  output = '';
  process.stdout.write = ((text: string) => {
    output += text;
    return true;
  }) as typeof write;
});
afterEach(() => {
  process.stdout.write = write;
});

const run = (line: string) => runCommandLine(line.split(' '));

test('a share may be written in three ways and costs the same', async () => {
  for (const share of ['0.2', '20%', '1/5']) {
    output = '';
    expect(await run(`calculate cost --share ${share} --json`)).toBe(0);
    expect(JSON.parse(output)).toEqual({ nodes: 375, tokens: 5_625_000, epochs: 5 });
  }
});

test('quorums and swarms are told in words', async () => {
  expect(await run('calculate quorum --share 20% --quorum-size 20')).toBe(0);
  expect(output).toContain('14 of 20 votes decide');
  expect(output).toMatch(/decides over a given honest node in an epoch +0\.0000015\n/);
  expect(await run('calculate swarm --share 20%')).toBe(0);
  expect(output).toMatch(/all are his: can lose messages +0\.000012\n/);
});

test.each(['1', '-1', '100%', '1/0', '0.2x', ''])('no share: %j', async (share) => {
  expect(await runCommandLine(['calculate', 'cost', '--share', share])).toBe(2);
});

test('a swarm larger than the network is refused', async () => {
  await expect(run('calculate swarm --share 0.2 --nodes 5')).rejects.toThrow('more nodes than there are');
});
