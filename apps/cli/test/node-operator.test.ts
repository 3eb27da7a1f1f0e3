// SPDX-License-Identifier: AGPL-3.0-or-later
// What an operator does beside the node: its key goes to a backup and comes back, the doctor looks it over.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadOrCreateNodeKeys } from '@allium/service-node/node-keys';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommandLine } from '../src/program.ts';

let folder: string;
let output: string;
const write = process.stdout.write;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-node-key-test-'));
  process.stdout.write = ((text: string) => {
    output += text;
    return true;
  }) as typeof write;
  setPassphrase('correct horse battery');
});
afterEach(() => {
  process.stdout.write = write;
  delete process.env.ALLIUM_PASSPHRASE_FILE;
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

function setPassphrase(passphrase: string): void {
  writeFileSync(at('passphrase'), `${passphrase}\n`);
  process.env.ALLIUM_PASSPHRASE_FILE = at('passphrase');
}

async function key(...args: string[]): Promise<string> {
  output = '';
  expect(await runCommandLine(['node', 'key', ...args])).toBe(0);
  return output.trim();
}

test('backup and restore carry the key to another folder', async () => {
  const { ed25519Hex, x25519Hex } = loadOrCreateNodeKeys(at('one'));
  expect(await key('show', '--data-dir', at('one'))).toBe(ed25519Hex);
  expect(JSON.parse(await key('show', '--json', '--data-dir', at('one')))).toEqual({
    ed25519: ed25519Hex,
    x25519: x25519Hex,
  });
  expect(await key('backup', at('backup.json'), '--data-dir', at('one'))).toContain(ed25519Hex);
  expect(statSync(at('backup.json')).mode & 0o777).toBe(0o600);
  const seed = readFileSync(at('one/node.key'), 'utf8').trim();
  expect(readFileSync(at('backup.json'), 'utf8')).not.toContain(seed);

  await expect(key('backup', at('backup.json'), '--data-dir', at('one'))).rejects.toThrow(
    /there is a backup of a node key of this name already/,
  );

  expect(await key('restore', `--data-dir=${at('two')}`, at('backup.json'))).toContain('now has the key');
  expect(readFileSync(at('two/node.key'), 'utf8').trim()).toBe(seed);
  expect(statSync(at('two/node.key')).mode & 0o777).toBe(0o600);
  expect(statSync(at('two')).mode & 0o777).toBe(0o700);
  expect(await key('restore', at('backup.json'), '--data-dir', at('two'))).toContain('already');
});

test('restore refuses another key, a wrong passphrase and what is no backup', async () => {
  loadOrCreateNodeKeys(at('one'));
  const other = loadOrCreateNodeKeys(at('two')).ed25519Hex;
  await key('backup', at('backup.json'), '--data-dir', at('one'));
  await expect(key('restore', at('backup.json'), '--data-dir', at('two'))).rejects.toThrow(
    new RegExp(`key of another node \\(${other}\\) and is not overwritten`),
  );
  expect(loadOrCreateNodeKeys(at('two')).ed25519Hex).toBe(other);
  setPassphrase('wrong');
  await expect(key('restore', at('backup.json'), '--data-dir', at('three'))).rejects.toThrow(
    /passphrase is wrong/,
  );
  writeFileSync(at('other.json'), '{"format":"allium-account"}');
  await expect(key('restore', at('other.json'), '--data-dir', at('three'))).rejects.toThrow(
    /no backup of a node key/,
  );
  expect(existsSync(at('three'))).toBe(false);
});

test('wrong usage is told apart', async () => {
  await expect(key('show', '--data-dir', at('nowhere'))).rejects.toMatchObject({ exitCode: 1 });
  expect(existsSync(at('nowhere'))).toBe(false);
  for (const args of [[], ['backup'], ['lose', 'x'], ['backup', 'a', 'b'], ['show', '--colour', 'red']]) {
    await expect(key(...args)).rejects.toMatchObject({ exitCode: 2 });
  }
});

test('doctor prints a line per check, or JSON, and says by its exit code whether there is something to do', async () => {
  output = '';
  expect(await runCommandLine(['node', 'doctor', '--data-dir', at('nowhere')])).toBe(1);
  expect(output).toMatch(/^ok {4}version {6}allium \d/);
  expect(output).toMatch(/^TODO {2}data folder {2}.*nowhere does not exist/m);
  expect(output).toMatch(/\d things to do\.\n$/);
  output = '';
  expect(await runCommandLine(['node', 'doctor', '--json', '--data-dir', at('nowhere')])).toBe(1);
  expect(JSON.parse(output)).toMatchObject({
    ok: false,
    checks: [{ name: 'version', ok: true }, {}, {}, {}, {}, {}, {}, {}],
  });
  output = '';
  const only = ['--only', 'version,open files', '--data-dir', at('nowhere')];
  expect(await runCommandLine(['node', 'doctor', ...only])).toBe(0);
  expect(output).toMatch(/^ok .*\nok .*\nAll is well\.\n$/);
  await expect(runCommandLine(['node', 'doctor', '--only', 'weather'])).rejects.toMatchObject({
    exitCode: 2,
  });
  await expect(runCommandLine(['node', 'doctor', 'please'])).rejects.toMatchObject({ exitCode: 2 });
  expect(existsSync(at('nowhere'))).toBe(false);
});
