// SPDX-License-Identifier: MIT
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { toBase64, utf8 } from '@allium/protocol/bytes';
import { blake2b } from '@allium/protocol/crypto';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import {
  readAccountFile,
  readAccountFileId,
  readAccountFileProtection,
  writeAccountFile,
} from '../../src/node/account-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-account-'));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const freshPath = () => join(folder, `${count++}.json`);
const CHEAP = { passes: 1, memoryBytes: 8 * 1024 };

async function written(account = Account.create(), passphrase = 'correct horse') {
  const path = freshPath();
  await writeAccountFile(path, account, passphrase, CHEAP);
  return { path, account, text: readFileSync(path, 'utf8') };
}

test.each([16, 32])('an account of %i bytes comes back with the right passphrase', async (bytes) => {
  const account = Account.fromSeed(new Uint8Array(bytes).fill(7));
  const { path } = await written(account);
  const again = await readAccountFile(path, 'correct horse');
  expect(again.phrase()).toBe(account.phrase());
  expect(await readAccountFileId(path)).toBe(account.id);
});

test('with the cost that is used in earnest', async () => {
  const path = freshPath();
  const account = Account.create();
  await writeAccountFile(path, account, 'x');
  expect(JSON.parse(readFileSync(path, 'utf8')).kdf).toMatchObject({
    passes: 3,
    memoryBytes: 64 * 1024 * 1024,
  });
  expect((await readAccountFile(path, 'x')).id).toBe(account.id);
});

test('a wrong passphrase and a damaged file are told apart', async () => {
  const { path, text } = await written();
  await expect(readAccountFile(path, 'wrong')).rejects.toMatchObject({ code: 'wrong_passphrase' });
  await expect(readAccountFile(path, '')).rejects.toMatchObject({ code: 'wrong_passphrase' });
  const json = JSON.parse(text);
  const flip = (base64: string) => (base64.startsWith('A') ? `B${base64.slice(1)}` : `A${base64.slice(1)}`);
  const damages = [
    { ...json, ciphertext: flip(json.ciphertext) },
    { ...json, cipher: { ...json.cipher, nonce: flip(json.cipher.nonce) } },
    { ...json, kdf: { ...json.kdf, salt: flip(json.kdf.salt) } },
    { ...json, kdf: { ...json.kdf, passes: 2 } },
    { ...json, id: `05${'0'.repeat(64)}` },
    { ...json, checksum: flip(json.checksum) },
    { ...json, ciphertext: undefined },
    { ...json, format: 'other' },
    [],
    null,
  ];
  for (const damage of damages) {
    writeFileSync(path, JSON.stringify(damage));
    await expect(readAccountFile(path, 'correct horse')).rejects.toMatchObject({ code: 'damaged' });
  }
});

test('a file cut anywhere is damaged, never anything else', async () => {
  const { path, text } = await written();
  for (let length = 0; length < text.trimEnd().length; length += 13) {
    writeFileSync(path, text.slice(0, length));
    await expect(readAccountFile(path, 'correct horse')).rejects.toMatchObject({ code: 'damaged' });
  }
});

test('any text is refused with a typed error and without cost', async () => {
  const path = freshPath();
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), fc.constant('x'.repeat(100_000))), async (text) => {
      writeFileSync(path, text);
      await expect(readAccountFile(path, 'x')).rejects.toMatchObject({
        name: 'AccountFileError',
        code: 'damaged',
      });
    }),
    { numRuns: 100 },
  );
});

test('what asks for too much memory or time is refused before it is spent', async () => {
  const { path, text } = await written();
  const { checksum: _checksum, ...members } = JSON.parse(text);
  const rewrite = (change: object) => {
    const changed = { ...members, kdf: { ...members.kdf, ...change } };
    const checksum = toBase64(blake2b(utf8(JSON.stringify(changed)), 32));
    writeFileSync(path, JSON.stringify({ ...changed, checksum }));
  };
  rewrite({});
  expect(await readAccountFile(path, 'correct horse')).toBeDefined();
  for (const change of [
    { memoryBytes: 2 ** 40 },
    { memoryBytes: 1 },
    { memoryBytes: 10_000.5 },
    { passes: 1_000_000 },
    { passes: 0 },
    { name: 'scrypt' },
  ]) {
    rewrite(change);
    await expect(readAccountFile(path, 'correct horse')).rejects.toMatchObject({ code: 'unsupported' });
  }
  writeFileSync(path, JSON.stringify({ ...members, version: 2 }));
  await expect(readAccountFile(path, 'correct horse')).rejects.toMatchObject({ code: 'unsupported' });
});

test('the file holds neither seed nor phrase, is for its owner only, and no temporary file stays', async () => {
  const { path, account, text } = await written();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(text).not.toContain(toBase64(account.seed()).slice(0, 20));
  expect(text).not.toContain(account.phrase().slice(0, 20));
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('an existing file is replaced only when asked for', async () => {
  const { path, account } = await written();
  const other = Account.create();
  await expect(writeAccountFile(path, other, 'x', CHEAP)).rejects.toMatchObject({ code: 'exists' });
  expect((await readAccountFile(path, 'correct horse')).id).toBe(account.id);
  await writeAccountFile(path, other, 'x', { ...CHEAP, overwrite: true });
  expect((await readAccountFile(path, 'x')).id).toBe(other.id);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('missing files, unwritable folders and empty passphrases are said so', async () => {
  await expect(readAccountFile(freshPath(), 'x')).rejects.toMatchObject({ code: 'missing' });
  await expect(readAccountFile(folder, 'x')).rejects.toMatchObject({ code: 'unreadable' });
  await expect(writeAccountFile(join(folder, 'no', 'x'), Account.create(), 'x', CHEAP)).rejects.toMatchObject(
    {
      code: 'unreadable',
    },
  );
  await expect(writeAccountFile(freshPath(), Account.create(), '', CHEAP)).rejects.toMatchObject({
    code: 'empty_passphrase',
  });
});

test('a passphrase is the same however its accents were typed', async () => {
  const { path, account } = await written(Account.create(), 'caf\u00e9');
  expect((await readAccountFile(path, 'cafe\u0301')).id).toBe(account.id);
});

test('a key file opens what it protects, and nothing else does', async () => {
  const [path, other] = [freshPath(), freshPath()];
  const account = Account.create();
  const key = new Uint8Array(40).fill(3);
  await expect(writeAccountFile(path, account, key.subarray(0, 31))).rejects.toMatchObject({
    code: 'weak_key_file',
  });
  await writeAccountFile(path, account, key);
  await writeAccountFile(other, account, 'passphrase', CHEAP);
  expect([await readAccountFileProtection(path), await readAccountFileProtection(other)]).toEqual([
    'key_file',
    'passphrase',
  ]);
  expect((await readAccountFile(path, key)).phrase()).toBe(account.phrase());
  await expect(
    readAccountFile(
      path,
      key.map((byte) => byte + 1),
    ),
  ).rejects.toMatchObject({ code: 'wrong_passphrase' });
  await expect(readAccountFile(path, 'passphrase')).rejects.toMatchObject({ code: 'other_protection' });
  await expect(readAccountFile(other, key)).rejects.toMatchObject({ code: 'other_protection' });
});
