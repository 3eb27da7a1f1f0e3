// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from 'vitest';
import { clockTime, dayName, fullTime, isoTime, shortTime } from '../src/components/time.ts';

test('a time that no calendar knows stops nothing', () => {
  for (const time of [Number.MAX_SAFE_INTEGER, -8.64e15 - 1]) {
    expect(clockTime(time)).toBe('?');
    expect(fullTime(time)).toBe('?');
    expect(isoTime(time)).toBeUndefined();
    expect(() => [dayName(time), shortTime(time)]).not.toThrow();
  }
  expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
  expect(fullTime(0)).toMatch(/19(69|70)/);
});
