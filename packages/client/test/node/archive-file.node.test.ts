// SPDX-License-Identifier: MIT
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { storageDigest } from '../../src/archive/export.ts';
import { exportArchiveFile, importArchiveFile } from '../../src/node/archive-file.ts';
import { SqliteStorage } from '../../src/node/sqlite.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import {
  ALICE,
  CHEAP,
  contentOf,
  failing,
  NOW,
  PASSPHRASE,
  plainMessage,
  SMALL,
} from '../archive/support.ts';

/** What hard links fail with; undefined: they do not. */
const links = vi.hoisted(() => ({ failure: undefined as string | undefined }));
vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  const link: typeof real.link = async (from, to) => {
    if (links.failure !== undefined) throw Object.assign(new Error('no links'), { code: links.failure });
    await real.link(from, to);
  };
  return { ...real, link };
});

const folder = mkdtempSync(join(tmpdir(), 'allium-archive-'));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const freshPath = () => join(mkdtempSync(join(folder, 'x')), `${count++}.allium`);
const options = { account: ALICE, passphrase: PASSPHRASE, now: NOW, cost: CHEAP, chunkTarget: SMALL };
const filled = async (messages: number) => {
  const storage = new SqliteStorage(':memory:');
  await storage.write({ messages: Array.from({ length: messages }, (_, index) => plainMessage(index)) });
  return storage;
};

test('goes from one database to another with equal digests, through a file for its owner only', async () => {
  const [source, path] = [await filled(3000), freshPath()];
  const shares: number[] = [];
  const written = await exportArchiveFile(source, path, {
    ...options,
    onProgress: ({ share }) => shares.push(share),
  });
  expect(shares.at(-1)).toBe(1);
  expect(written).toMatchObject({ messages: 3000, sizeBytes: statSync(path).size, resumed: false });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path).includes('says something')).toBe(false);
  expect(readdirSync(join(path, '..'))).toHaveLength(1);
  const target = new SqliteStorage(':memory:');
  const { archive, added } = await importArchiveFile(target, path, options);
  expect([archive.digest, added]).toEqual([written.digest, 3000]);
  expect(await storageDigest(target, { now: NOW })).toEqual(archive);
});

test('overwrites nothing unless it is told to', async () => {
  const [source, path] = [await filled(1), freshPath()];
  writeFileSync(path, 'precious');
  await expect(exportArchiveFile(source, path, options)).rejects.toMatchObject({ code: 'exists' });
  expect(readFileSync(path, 'utf8')).toBe('precious');
  await exportArchiveFile(source, path, { ...options, overwrite: true });
  expect(readFileSync(path, 'utf8')).toMatch(/^allium-archive/);
  await expect(exportArchiveFile(source, join(folder, 'no', 'where'), options)).rejects.toMatchObject({
    code: 'unwritable',
  });
  await expect(importArchiveFile(source, `${path}.none`, options)).rejects.toMatchObject({ code: 'missing' });
});

test('a folder without hard links, as on a stick, takes an archive too', async () => {
  const [source, path] = [await filled(1), freshPath()];
  links.failure = 'EPERM';
  try {
    expect(await exportArchiveFile(source, path, options)).toMatchObject({ messages: 1 });
    expect(readdirSync(join(path, '..'))).toHaveLength(1);
    const target = new MemoryStorage();
    expect((await importArchiveFile(target, path, options)).added).toBe(1);
    const taken = freshPath();
    const late = exportArchiveFile(source, taken, {
      ...options,
      onProgress: ({ share }) => share === 1 && writeFileSync(taken, 'precious'),
    });
    await expect(late).rejects.toMatchObject({ code: 'exists' });
    expect(readFileSync(taken, 'utf8')).toBe('precious');
  } finally {
    links.failure = undefined;
  }
});

test('an export that was killed goes on where its file ends, wherever that is', async () => {
  const source = await filled(4000);
  const whole = freshPath();
  const { sizeBytes, digest } = await exportArchiveFile(source, whole, options);
  for (const share of [0, 0.001, 0.3, 0.7, 0.999]) {
    const path = freshPath();
    writeFileSync(`${path}.part`, readFileSync(whole));
    truncateSync(`${path}.part`, Math.floor(sizeBytes * share));
    const resumed = await exportArchiveFile(source, path, { ...options, resume: true });
    expect(resumed).toMatchObject({ digest, messages: 4000, resumed: share > 0.1 });
    const target = new MemoryStorage();
    expect((await importArchiveFile(target, path, options)).added).toBe(4000);
  }
  const path = freshPath();
  writeFileSync(`${path}.part`, readFileSync(whole).subarray(0, sizeBytes / 2));
  await expect(
    exportArchiveFile(source, path, { ...options, passphrase: 'another', resume: true }),
  ).rejects.toMatchObject({ code: 'wrong_passphrase' });
});

test('an import into a database whose writes fail goes on without reading again what it has', async () => {
  const [source, path] = [await filled(4000), freshPath()];
  await exportArchiveFile(source, path, options);
  const target = new SqliteStorage(':memory:');
  const first = await importArchiveFile(failing(target, 3), path, options).catch((error) => error);
  expect(first).toMatchObject({ code: 'full' });
  const before = (await contentOf(target)).length;
  expect(before).toBeGreaterThan(0);
  const shares: number[] = [];
  const { added } = await importArchiveFile(target, path, {
    ...options,
    resume: true,
    onProgress: ({ share }) => shares.push(share),
  });
  expect(added).toBe(4000);
  expect(shares[0]).toBeGreaterThan(0.1);
  expect(await storageDigest(target, { now: NOW })).toEqual(await storageDigest(source, { now: NOW }));
});
