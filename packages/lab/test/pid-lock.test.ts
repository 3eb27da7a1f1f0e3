// SPDX-License-Identifier: AGPL-3.0-or-later
// One process has a folder, also when others are killed, and when the system gives their ids to others.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { takePidLock } from '../src/pid-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-lock-test-'));
const path = join(folder, 'lock');
beforeEach(() => rmSync(path, { force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('is taken once, given back, and taken again', () => {
  const release = takePidLock(path);
  if (typeof release !== 'function') throw new Error(`taken by ${release}`);
  expect(takePidLock(path)).toBe(process.pid);
  release();
  expect(readdirSync(folder)).toEqual([]);
  expect(takePidLock(path)).toBeTypeOf('function');
});

test('what a dead process, a full disk or nobody left behind is no lock', () => {
  const dead = Number(execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }));
  for (const left of [`${dead}\n`, '', 'nonsense', '0', '-1', '9'.repeat(40)]) {
    writeFileSync(path, left);
    expect(takePidLock(path), left).toBeTypeOf('function');
    rmSync(path);
  }
});

test('a live process that was not there then has not got it; one that does not say when it started has', async () => {
  const other = spawn('sleep', ['600']);
  await once(other, 'spawn');
  try {
    writeFileSync(path, `${other.pid}\n`);
    expect(takePidLock(path)).toBe(other.pid);
    if (!existsSync('/proc/self/stat')) return;
    writeFileSync(path, `${other.pid} 0badb007-17\n`);
    expect(takePidLock(path)).toBeTypeOf('function');
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^${process.pid} [0-9a-f]{8}-\\d+\\n$`));
  } finally {
    other.kill('SIGKILL');
  }
});

test('of two who find it left behind at once, one gets it', async () => {
  writeFileSync(path, '4194304 0badb007-1\n');
  const program = `
    const { takePidLock } = await import(${JSON.stringify(join(import.meta.dirname, '../src/pid-lock.ts'))});
    const wait = new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(wait, 0, 0, Math.max(0, Number(process.argv[1]) - Date.now() - 5));
    while (Date.now() < Number(process.argv[1]));
    console.log(typeof takePidLock(${JSON.stringify(path)}) === 'function');
    process.stdin.resume();
  `;
  const at = String(Date.now() + 1_500);
  const all = Array.from({ length: 2 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program, at]),
  );
  try {
    const said = await Promise.all(
      all.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()),
    );
    expect(said.toSorted()).toEqual(['false', 'true']);
  } finally {
    for (const child of all) child.kill('SIGKILL');
  }
});
