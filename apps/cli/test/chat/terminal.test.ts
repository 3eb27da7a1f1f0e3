// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium chat` in a real pseudo-terminal, made by util-linux' `script`: keys in, escape sequences out, and the terminal as it
// was afterwards.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from '../shell.ts';
import { LAUNCHER, shellEnv, systemNode } from '../system-node.ts';

const hasScript = spawnSync('script', ['--version']).status === 0;
const ALTERNATE = '\x1b[?1049h';
const MAIN = '\x1b[?1049l';
const WRAP = '\x1b[?7h';
const NO_WRAP = '\x1b[?7l';

let folder: string;
let env: Record<string, string>;
let protectedEnv: Record<string, string>;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-terminal-test-'));
  // Nobody answers there: what is seen is there at once all the same.
  env = { ALLIUM_HOME: join(folder, 'home'), ALLIUM_SEED: 'https://127.0.0.1:1', TERM: 'xterm-256color' };
  await new Shell(env).run('account', 'new', '--account', 'ann', '--no-passphrase');
  writeFileSync(join(folder, 'passphrase'), 'of the account\n');
  protectedEnv = { ...env, ALLIUM_PASSPHRASE_FILE: join(folder, 'passphrase') };
  await new Shell(protectedEnv).run('account', 'new', '--account', 'sec');
});
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function terminal(args = '--account ann', environment = env) {
  const command = `stty cols 80 rows 24; exec '${systemNode()}' '${LAUNCHER}' chat ${args}`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    env: { ...shellEnv(environment), SHELL: '/bin/sh' },
  });
  started.push(child);
  const seen = { text: '' };
  child.stdout.on('data', (chunk) => {
    seen.text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, seen, ended };
}

test.skipIf(!hasScript)(
  'opens on a screen of its own and leaves the terminal as it was (needs script)',
  async () => {
    const { child, seen, ended } = terminal();
    await until(() => seen.text.includes('No conversations yet'));
    expect(seen.text).toContain(ALTERNATE);
    child.stdin.write('?');
    await until(() => seen.text.includes('choose a conversation'));
    // The first one closes the help.
    child.stdin.write('qq');
    expect(await ended).toBe(0);
    expect(seen.text.lastIndexOf(MAIN)).toBeGreaterThan(seen.text.lastIndexOf(ALTERNATE));
    expect(seen.text.lastIndexOf(WRAP)).toBeGreaterThan(seen.text.lastIndexOf(NO_WRAP));
    // Bracketed paste is off again, and the cursor shown.
    expect(seen.text.lastIndexOf('\x1b[?2004l')).toBeGreaterThan(seen.text.lastIndexOf('\x1b[?2004h'));
    expect(seen.text.lastIndexOf('\x1b[?25h')).toBeGreaterThan(seen.text.lastIndexOf('\x1b[?25l'));
  },
);

test.skipIf(!hasScript)('gives the terminal back when it is told to end (needs script)', async () => {
  const { seen, ended } = terminal();
  await until(() => seen.text.includes('No conversations yet'));
  const lock = readFileSync(join(folder, 'home', 'accounts', 'ann', 'receiving'), 'utf8');
  process.kill(Number.parseInt(lock, 10), 'SIGTERM');
  await ended;
  expect(seen.text.lastIndexOf(MAIN)).toBeGreaterThan(seen.text.lastIndexOf(ALTERNATE));
  expect(seen.text.lastIndexOf(WRAP)).toBeGreaterThan(seen.text.lastIndexOf(NO_WRAP));
});

test.skipIf(!hasScript)(
  'locks by a key, and opens again by the passphrase alone (needs script)',
  async () => {
    const { child, seen, ended } = terminal('--account sec', protectedEnv);
    const since = (text: string) => seen.text.slice(seen.text.lastIndexOf(text));
    await until(() => seen.text.includes('No conversations yet'));
    child.stdin.write('s');
    await until(() => seen.text.includes('only by Ctrl+X'));
    child.stdin.write('\x18');
    const cleared = `${ALTERNATE}\x1b[2J`;
    await until(() => since(cleared).includes('Passphrase:'));
    expect(since(cleared)).toContain('Account sec is locked');
    child.stdin.write('of another\r');
    await until(() => since(cleared).includes('the passphrase is wrong'));
    expect(since(cleared)).not.toContain('conversations');
    child.stdin.write('of the account\r');
    await until(() => since(cleared).includes('No conversations yet'));
    child.stdin.write('\x18');
    await until(() => since(cleared).endsWith('Passphrase: '));
    child.stdin.write('\x03');
    expect(await ended).toBe(0);
    expect(seen.text).not.toContain('of the account');
    expect(seen.text.lastIndexOf(MAIN)).toBeGreaterThan(seen.text.lastIndexOf(ALTERNATE));
  },
);

test.skipIf(!hasScript)('locks nothing that nobody could open again (needs script)', async () => {
  const { child, seen, ended } = terminal();
  await until(() => seen.text.includes('No conversations yet'));
  child.stdin.write('\x18');
  await until(() => seen.text.includes('Nothing protects this account'));
  child.stdin.write('q');
  expect(await ended).toBe(0);
  const refused = terminal('--account ann --lock-after 5');
  expect(await refused.ended).toBe(2);
  expect(refused.seen.text).toContain('allium account passphrase --account ann');
});

test('says what it needs where there is no terminal', async () => {
  const { code, stderr } = await new Shell(env).run('chat', '--account', 'ann');
  expect(code).toBe(2);
  expect(stderr).toContain('chat needs a terminal');
});
