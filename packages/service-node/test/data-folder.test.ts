// SPDX-License-Identifier: AGPL-3.0-or-later
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog, systemEnv } from '@allium/net/system-env';
import type { Logger } from '@allium/protocol/env';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { folderFaults, isInUse, lockDataFolder, openDataFolder } from '../src/data-folder.ts';
import {
  certificateFault,
  loadOrCreateCertificate,
  loadOrCreateNodeKeys,
  NodeKeys,
  readNodeSeed,
  restoreNodeSeed,
} from '../src/node-keys.ts';
import { ServiceNode } from '../src/service-node.ts';
import { TempFolder } from './support/temp-folder.ts';
import { TestNetwork } from './support/test-network.ts';

const modeOf = (path: string) => statSync(path).mode & 0o777;

let parent: TempFolder;
let folder: string;
beforeEach(() => {
  parent = new TempFolder();
  folder = parent.file('node');
});
afterEach(() => parent[Symbol.dispose]());

describe('permissions', () => {
  test('a new folder and its secrets are closed to others', () => {
    loadOrCreateNodeKeys(folder);
    loadOrCreateCertificate(folder);
    expect(modeOf(folder)).toBe(0o700);
    expect(modeOf(join(folder, 'node.key'))).toBe(0o600);
    expect(modeOf(join(folder, 'key.pem'))).toBe(0o600);
    expect(readdirSync(folder).sort()).toEqual(['cert.pem', 'key.pem', 'node.key']);
    expect(folderFaults(folder)).toEqual([]);
  });

  test('an open folder and an open key are closed, and the corrections told', () => {
    loadOrCreateNodeKeys(folder);
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'node.key'), 0o644);
    expect(folderFaults(folder)).toEqual([
      `other users can read ${folder}: run "chmod 700 ${folder}"`,
      `other users can read ${folder}/node.key: run "chmod 600 ${folder}/node.key"`,
    ]);
    const corrected = openDataFolder(folder);
    expect(corrected).toHaveLength(2);
    expect(corrected[1]).toContain('node.key');
    expect(modeOf(folder)).toBe(0o700);
    expect(modeOf(join(folder, 'node.key'))).toBe(0o600);
    expect(openDataFolder(folder)).toEqual([]);
  });

  test('an open folder with the files of others is refused and left as it is', () => {
    mkdirSync(folder, { mode: 0o755 });
    writeFileSync(join(folder, 'thesis.txt'), '');
    expect(() => openDataFolder(folder)).toThrow(/holds files of other programs: choose a folder/);
    expect(modeOf(folder)).toBe(0o755);
  });

  test('a file in the place of the folder is an error in words', () => {
    writeFileSync(folder, '');
    expect(() => openDataFolder(folder)).toThrow(/there is a file of that name/);
  });

  test('a start tells what it corrected', async () => {
    await using net = await TestNetwork.prepare({ swarms: [1] });
    const node = net.node(0);
    chmodSync(node.folder.path, 0o750);
    const warnings: string[] = [];
    const log: Logger = {
      ...silentLog,
      warn: (_fields, text) => void warnings.push(text),
      child: () => log,
    };
    await using service = new ServiceNode(node.options, systemEnv(log));
    await service.start();
    expect(warnings).toContain('permissions of the data folder corrected');
    expect(modeOf(node.folder.path)).toBe(0o700);
  });
});

describe('one node per folder', () => {
  test('the lock keeps a second one off until it is given back', () => {
    mkdirSync(folder);
    expect(isInUse(folder)).toBe(false);
    const unlock = lockDataFolder(folder);
    expect(isInUse(folder)).toBe(true);
    expect(() => lockDataFolder(folder)).toThrow(/another node runs on the data folder/);
    unlock();
    expect(isInUse(folder)).toBe(false);
    lockDataFolder(folder)();
  });
});

describe('key', () => {
  const seed = new Uint8Array(32).fill(7);

  test('comes back, once and again, but never over another', () => {
    expect(readNodeSeed(folder)).toBeUndefined();
    expect(restoreNodeSeed(folder, seed)).toBe(true);
    expect(readNodeSeed(folder)).toEqual(seed);
    expect(modeOf(join(folder, 'node.key'))).toBe(0o600);
    expect(restoreNodeSeed(folder, seed)).toBe(false);
    const other = new Uint8Array(32).fill(8);
    expect(() => restoreNodeSeed(folder, other)).toThrow(/key of another node .* is not overwritten/);
    expect(loadOrCreateNodeKeys(folder).ed25519Hex).toBe(new NodeKeys(seed).ed25519Hex);
  });

  test('a damaged file is an error that says what to do', () => {
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, 'node.key'), 'abc', { mode: 0o600 });
    expect(() => loadOrCreateNodeKeys(folder)).toThrow(/allium node key restore/);
  });
});

describe('certificate', () => {
  test('is kept while it fits its key, and made anew when it does not', () => {
    mkdirSync(folder, { mode: 0o700 });
    expect(certificateFault(folder)).toMatch(/cert\.pem is missing/);
    const first = loadOrCreateCertificate(folder);
    expect(certificateFault(folder)).toBeUndefined();
    expect(loadOrCreateCertificate(folder)).toEqual(first);
    const second = new TempFolder();
    writeFileSync(join(folder, 'key.pem'), loadOrCreateCertificate(second.path).keyPem);
    second[Symbol.dispose]();
    expect(certificateFault(folder)).toMatch(/do not belong together/);
    expect(loadOrCreateCertificate(folder)).not.toEqual(first);
    writeFileSync(join(folder, 'cert.pem'), 'nonsense');
    expect(certificateFault(folder)).toMatch(/cannot be read/);
    loadOrCreateCertificate(folder);
    expect(certificateFault(folder)).toBeUndefined();
    expect(existsSync(join(folder, 'node.key'))).toBe(false);
  });
});
