// SPDX-License-Identifier: AGPL-3.0-or-later
// What bash makes of a command line with the script of `allium completion bash`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';

const hasBash = spawnSync('bash', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'allium-completion-test-'));
let script = '';

beforeAll(async () => {
  for (const name of ['ann', 'ben']) mkdirSync(join(folder, 'accounts', name), { recursive: true });
  script = (await new Shell({}).run('completion', 'bash')).stdout;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is offered for the last word. */
function offered(...words: string[]): string[] {
  const typed = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _allium; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', typed, 'bash', 'allium', ...words], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ALLIUM_HOME: folder },
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

test.skipIf(!hasBash)('commands, and those below them (needs bash)', () => {
  expect(offered('co')).toEqual(['contacts', 'completion']);
  expect(offered('contacts', 'bl')).toEqual(['blocked', 'block']);
  expect(offered('contacts', '--json', 'acc')).toEqual(['accept']);
});

test.skipIf(!hasBash)('options of the command that is typed, and values of options (needs bash)', () => {
  expect(offered('history', '--i')).toEqual(['--ids']);
  expect(offered('export', '--me')).toEqual(['--media']);
  expect(offered('send', '--me')).toEqual([]);
  expect(offered('send', '--ho')).toEqual(['--home']);
  expect(offered('export', '--format', '')).toEqual(['archive', 'jsonl', 'html']);
  expect(offered('send', '--account', '')).toEqual(['ann', 'ben']);
});
