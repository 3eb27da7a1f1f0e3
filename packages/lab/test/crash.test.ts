// SPDX-License-Identifier: AGPL-3.0-or-later
// The short version of `npm run lab -- crash`.
import { expect, test } from 'vitest';
import { describeCrash, runCrash } from '../src/crash.ts';

test('what was acknowledged is with every member after SIGKILL and changes of the list', async () => {
  const result = await runCrash({ rounds: 10, storesPerRound: 10 }, () => {});
  expect(result.missing).toBe(0);
  expect(result).toMatchObject({ kills: 10, lists: 2 });
  expect(result.acknowledged).toBeGreaterThan(50);
  expect(describeCrash(result).at(-1)).toBe(`acknowledged ${result.acknowledged}, missing 0`);
}, 120_000);
