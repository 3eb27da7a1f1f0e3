// SPDX-License-Identifier: AGPL-3.0-or-later
// Finding messages, timers and edits from the command line, between two accounts on a network of this machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { durationText, pointInTime, readDuration } from '../src/durations.ts';
import { Shell } from './shell.ts';

let net: Devnet;
let folder: string;
let shell: Shell;
let ben: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-search-test-'));
  net = await Devnet.start({ nodes: 14 });
  shell = new Shell({ ALLIUM_HOME: join(folder, 'home'), ALLIUM_SEED: net.seed });
  [, ben] = (await Promise.all(
    ['ann', 'ben'].map(async (name) => {
      const made = await shell.run('account', 'new', '--account', name, '--no-passphrase', '--json');
      return JSON.parse(made.stdout).id as string;
    }),
  )) as [unknown, string];
});
afterAll(async () => {
  shell.dispose();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

const as = (name: string, ...args: string[]) => shell.run(...args, '--account', name, '--json');
const parsed = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

test('what was said is found, edited, found again, and gets a timer', async () => {
  const [sent] = parsed((await as('ann', 'send', ben, 'Lunch at teh café, see https://example.org')).stdout);
  const found = await as(
    'ann',
    'search',
    'CAFE',
    'lun*',
    '--kind',
    'link',
    '--from',
    'me',
    '--in',
    ben,
    '--since',
    '1h',
  );
  expect(parsed(found.stdout)).toMatchObject([{ timestamp: sent.timestamp }]);
  expect((await as('ann', 'search', 'lun')).code).toBe(1);
  for (const wrong of [['search'], ['search', 'x', '--kind', 'song']]) {
    expect((await as('ann', ...wrong)).code).toBe(2);
  }
  expect(await as('ann', 'edit', ben, String(sent.timestamp), 'Lunch at the café')).toMatchObject({
    code: 0,
  });
  expect((await shell.run('search', '--phrase', 'the cafe', '--account', 'ann')).stdout).toContain(
    'Lunch at the café',
  );

  expect(parsed((await as('ann', 'timer', ben, '1h')).stdout)).toEqual([
    { id: ben, timer: { mode: 'after_send', seconds: 3_600 } },
  ]);
  expect((await as('ann', 'timer', ben, 'soon')).code).toBe(2);
  await as('ann', 'send', ben, 'over in an hour');
  const [, , over, ...more] = parsed((await as('ann', 'history', ben)).stdout);
  expect(over).toMatchObject({ text: 'over in an hour', timer: { mode: 'after_send', seconds: 3_600 } });
  expect(over.expiresAt).toBe(over.timestamp + 3_600_000);
  expect(more).toEqual([]);
});

test('times are read as people write them', () => {
  expect(['30s', '5m', '12h', '1d', '2w'].map(readDuration)).toEqual([30, 300, 43_200, 86_400, 1_209_600]);
  for (const wrong of ['', '5', 'm', '5 m', '-5m', '1y', '1.5h']) expect(readDuration(wrong)).toBeUndefined();
  expect([90, 300, 86_400, 604_800].map(durationText)).toEqual([
    '90 seconds',
    '5 minutes',
    '1 day',
    '1 week',
  ]);
  expect(pointInTime('2026-05-31T00:00Z')).toBe(Date.UTC(2026, 4, 31));
  expect(pointInTime('2026-05-31')).toBe(new Date(2026, 4, 31).getTime());
  expect(Math.abs(pointInTime('1h') - (Date.now() - 3_600_000))).toBeLessThan(60_000);
  for (const wrong of ['yesterday', '31.5.2026', '2026-99-99']) expect(() => pointInTime(wrong)).toThrow();
});
