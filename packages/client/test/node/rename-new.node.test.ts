// SPDX-License-Identifier: MIT
// Files that nothing may replace, also where there are no hard links.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readAccountFile, writeAccountFile } from '../../src/node/account-file.ts';
import { renameNew } from '../../src/node/rename-new.ts';

/** What making a hard link fails with; undefined: it works. */
const links = vi.hoisted(() => ({ fail: undefined as string | undefined, renameFails: false }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const failure = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
  return {
    ...real,
    link: (from: string, to: string) =>
      links.fail === undefined ? real.link(from, to) : failure(links.fail),
    rename: (from: string, to: string) => (links.renameFails ? failure('EIO') : real.rename(from, to)),
  };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-rename-'));
  links.renameFails = false;
});
afterEach(() => rmSync(folder, { recursive: true }));

const CHEAP = { passes: 1, memoryBytes: 8 * 1024 };

test.each([undefined, 'EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])(
  'an account file is written, and not over another one, where links fail with %s',
  async (code) => {
    links.fail = code;
    const path = join(folder, 'account.json');
    const account = Account.create();
    await writeAccountFile(path, account, 'correct horse', CHEAP);
    expect((await readAccountFile(path, 'correct horse')).id).toBe(account.id);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path);
    await expect(writeAccountFile(path, Account.create(), 'x', CHEAP)).rejects.toMatchObject({
      code: 'exists',
    });
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder)).toEqual(['account.json']);
  },
);

test('of many who want a name at once one gets it', async () => {
  links.fail = 'EPERM';
  const names = Array.from({ length: 8 }, (_, i) => join(folder, `part ${i}`));
  for (const [i, name] of names.entries()) writeFileSync(name, `${i}`);
  const results = await Promise.allSettled(names.map((name) => renameNew(name, join(folder, 'it'))));
  const winners = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
  expect(winners).toHaveLength(1);
  expect(readFileSync(join(folder, 'it'), 'utf8')).toBe(`${winners[0]}`);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'EEXIST' });
  }
});

test('a name that was taken and cannot be used is free again; other failures of links are told', async () => {
  const from = join(folder, 'part');
  writeFileSync(from, 'whole');
  links.fail = 'EPERM';
  links.renameFails = true;
  await expect(renameNew(from, join(folder, 'it'))).rejects.toMatchObject({ code: 'EIO' });
  links.fail = 'ENOSPC';
  await expect(renameNew(from, join(folder, 'it'))).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(readdirSync(folder)).toEqual(['part']);
});
