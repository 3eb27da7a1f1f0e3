// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { ed25519Verify } from '@allium/protocol/crypto';
import { expect, test } from 'vitest';
import { loadOrCreateCertificate, loadOrCreateNodeKeys } from '../src/node-keys.ts';
import { TempFolder } from './support/temp-folder.ts';

test('the key is made once, readable by the owner only, and read again', () => {
  using folder = new TempFolder();
  const path = `${folder.path}/new/folder`;
  const keys = loadOrCreateNodeKeys(path);
  expect(statSync(`${path}/node.key`).mode & 0o777).toBe(0o600);
  expect(loadOrCreateNodeKeys(path).ed25519Hex).toBe(keys.ed25519Hex);
  expect(ed25519Verify(keys.sign(Buffer.from('x')), Buffer.from('x'), keys.ed25519Key)).toBe(true);
});

test('a file that holds no key is an error, not a reason to make another one', () => {
  using folder = new TempFolder();
  writeFileSync(folder.file('node.key'), 'not a key');
  expect(() => loadOrCreateNodeKeys(folder.path)).toThrow(/bring the key back from a backup/);
  expect(readFileSync(folder.file('node.key'), 'utf8')).toBe('not a key');
});

test('printing keys shows no secret', () => {
  using folder = new TempFolder();
  const keys = loadOrCreateNodeKeys(folder.path);
  const seed = readFileSync(folder.file('node.key'), 'utf8').trim();
  const bytes = Buffer.from(seed, 'hex');
  const shown = inspect(keys, { depth: 5, showHidden: false }) + JSON.stringify(keys) + String(keys);
  expect(shown).not.toContain(seed);
  expect(shown).not.toContain([...keys.x25519.secretKey.subarray(0, 4)].join(', '));
  expect(shown).not.toContain([...bytes.subarray(0, 4)].join(', '));
});

test('the certificate is made once', () => {
  using folder = new TempFolder();
  const made = loadOrCreateCertificate(folder.path);
  expect(loadOrCreateCertificate(folder.path)).toEqual(made);
  expect(statSync(folder.file('key.pem')).mode & 0o777).toBe(0o600);
});
