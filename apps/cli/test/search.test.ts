// SPDX-License-Identifier: AGPL-3.0-or-later
// Finding messages, timers and edits from the command line, between two accounts on a network of this machine.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { durationText, pointInTime, readDuration } from '../src/durations.ts';
import { type Person, TwoPeople } from './two-people.ts';

let people: TwoPeople;
let ben: string;

beforeAll(async () => {
  people = await TwoPeople.sitDown();
  ({ ben } = people.ids);
});
afterAll(() => people[Symbol.asyncDispose]());

const as = (who: Person, ...args: string[]) => people.json(who, ...args);

test('what was said is found, edited, found again, and gets a timer', async () => {
  const { lines } = await as('ann', 'send', ben, 'Lunch at teh café, see https://example.org');
  const { timestamp } = lines[0]!;
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
  expect(found.lines).toMatchObject([{ timestamp }]);
  expect((await as('ann', 'search', 'lun')).code).toBe(1);
  expect(await people.run('ann', 'search', 'lun')).toMatchObject({
    code: 1,
    stderr: /Nothing found on this device\. For words that begin so: "allium search 'lun\*'"/,
  });
  for (const wrong of [['search'], ['search', 'x', '--kind', 'song']]) {
    expect((await as('ann', ...wrong)).code).toBe(2);
  }
  expect(await as('ann', 'edit', ben, String(timestamp), 'Lunch at the café')).toMatchObject({
    code: 0,
  });
  expect((await people.run('ann', 'search', '--phrase', 'the cafe')).stdout).toContain('Lunch at the café');

  expect((await as('ann', 'timer', ben, '1h')).lines).toEqual([
    { id: ben, timer: { mode: 'after_send', seconds: 3_600 } },
  ]);
  expect((await as('ann', 'timer', ben, 'soon')).code).toBe(2);
  await as('ann', 'send', ben, 'over in an hour');
  const [, , over, ...more] = (await as('ann', 'history', ben)).lines;
  expect(over).toMatchObject({ text: 'over in an hour', timer: { mode: 'after_send', seconds: 3_600 } });
  expect(over?.expiresAt).toBe(Number(over?.timestamp) + 3_600_000);
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
