// SPDX-License-Identifier: AGPL-3.0-or-later
// The launcher, run by the shell's node (which may be too old for the program): exit codes, signals, nothing left behind.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Shell } from './shell.ts';
import { isAlive, LAUNCHER, shellEnv, systemNode } from './system-node.ts';

const NODE_MODULES = join(import.meta.dirname, '..', '..', '..', 'node_modules');
const node = systemNode();
const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
const isOld = Number(version.slice(1).split('.')[0]) < 24;

/** In place of the program: says who it is, then waits, or does as its arguments say. */
const PROGRAM = `
import { followParent } from '@allium/lab/lifeline';
followParent();
if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
process.on('SIGTERM', () => process.exit(7));
process.on('SIGINT', () => process.exit(8));
setInterval(() => {}, 1000);
const arguments_: string[] = process.argv.slice(2);
console.log(JSON.stringify({ pid: process.pid, version: process.version, arguments_, lifeline: process.env.ALLIUM_LIFELINE }));
`;

describe(`the launcher on the shell's node ${version}`, () => {
  let folder: string;
  let launcher: string;
  const started: ChildProcess[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'allium-launcher-'));
    mkdirSync(join(folder, 'bin'));
    mkdirSync(join(folder, 'src'));
    launcher = join(folder, 'bin', 'allium.mjs');
    copyFileSync(LAUNCHER, launcher);
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(folder, 'src', 'main.ts'), PROGRAM);
    symlinkSync(NODE_MODULES, join(folder, 'node_modules'));
  });
  afterAll(() => {
    for (const child of started) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  function launch(args: string[], file = launcher): ChildProcess {
    const child = spawn(node, [file, ...args], { env: shellEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
    started.push(child);
    return child;
  }

  async function greeting(child: ChildProcess) {
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
    return JSON.parse(String(line)) as {
      pid: number;
      version: string;
      arguments_: string[];
      lifeline?: string;
    };
  }

  test('runs the program on Node 24 or newer, with its arguments and without handing its lifeline down', async () => {
    const child = launch(['one', '--two', 'drei vier']);
    const said = await greeting(child);
    expect(Number(said.version.slice(1).split('.')[0])).toBeGreaterThanOrEqual(24);
    expect(said.arguments_).toEqual(['one', '--two', 'drei vier']);
    expect(said.lifeline).toBeUndefined();
    expect(said.pid === child.pid).toBe(!isOld);
    child.kill('SIGTERM');
    await once(child, 'exit');
  });

  test.each([0, 1, 2, 77])('returns the exit code %i', async (code) => {
    const child = launch(['exit', `${code}`]);
    expect(await once(child, 'exit')).toEqual([code, null]);
  });

  test.each([
    ['SIGTERM', 7],
    ['SIGINT', 8],
  ] as const)('passes %s on and returns the code that the program chose', async (signal, code) => {
    const child = launch([]);
    const { pid } = await greeting(child);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([code, null]);
    expect(isAlive(pid)).toBe(false);
  });

  test.runIf(isOld)('returns 128 + n when a signal ended the program', async () => {
    const child = launch([]);
    const { pid } = await greeting(child);
    process.kill(pid, 'SIGKILL');
    expect(await once(child, 'exit')).toEqual([128 + 9, null]);
  });

  test('leaves nothing running after it was killed by SIGKILL', async () => {
    const child = launch([]);
    const { pid } = await greeting(child);
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(() => !isAlive(pid));
  });

  test.each([
    ['its parent', `"$0" "$1" & wait`],
    ['the parent of its shell', `sh -c '"$0" "$1"; true' "$0" "$1" & wait`],
  ])('ends when the npm that started it is gone: %s', async (_, script) => {
    const npm = spawn('sh', ['-c', script, node, launcher], {
      env: shellEnv({ npm_command: 'exec' }),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const { pid } = await greeting(npm);
    npm.kill('SIGKILL');
    await until(() => !isAlive(pid));
  });

  test.runIf(isOld)('says which Node it needs where there is none', async () => {
    const otherMachine = join(folder, 'other-machine.cjs');
    writeFileSync(otherMachine, "Object.defineProperty(process, 'arch', { value: 'pdp11' });");
    const child = launch(['--require', otherMachine, launcher], '--no-warnings');
    let complaint = '';
    child.stderr?.on('data', (chunk) => {
      complaint += chunk;
    });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(complaint).toContain('needs Node.js 24');
  });
});

describe('the command line', () => {
  const shell = new Shell({});
  const run = (...args: string[]) => shell.run(...args);

  test('prints help with examples', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('npx allium send');
  });

  test.skipIf(!existsSync('/dev/full'))('says that its output found no room (needs /dev/full)', () => {
    const { status, stderr } = spawnSync('sh', ['-c', `'${node}' '${LAUNCHER}' --help > /dev/full`], {
      env: shellEnv(),
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, 'allium: cannot write to standard output: the disk is full\n']);
  });

  test('answers a slip with a suggestion and code 2', async () => {
    const { code, stderr } = await run('sned', '05');
    expect(code).toBe(2);
    expect(stderr).toContain('Did you mean send?');
  });

  test('help of a command below another one, and of none', async () => {
    const { code, stdout } = await run('help', 'network', 'show');
    expect([code, stdout]).toEqual([0, expect.stringContaining('Usage: allium network show')]);
    const slip = await run('help', 'accounts');
    expect([slip.code, slip.stderr]).toEqual([2, expect.stringContaining('Did you mean account?')]);
    const node = await run('help', 'node');
    expect([node.code, node.stdout]).toEqual([0, expect.stringContaining('--help')]);
  });

  test.each([
    [['devnet', '--nodes', 'many']],
    [['network', 'create', 'file']],
    [['listen', '--count', '-1']],
    [['account', 'show', '--no-such-option']],
  ])('refuses %j with code 2', async (args) => {
    expect((await run(...args)).code).toBe(2);
  });
});
