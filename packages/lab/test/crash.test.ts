// SPDX-License-Identifier: AGPL-3.0-or-later
// The short version of `npm run lab -- crash`.
import { expect, test } from 'vitest';
import { describeCrash, runCrash } from '../src/crash.ts';

test('what was acknowledged is with every member after SIGKILL and swarm changes', async () => {
  const options = { rounds: 12, storesPerRound: 8, listEveryRounds: 2, reconcileEverySeconds: 15 };
  const result = await runCrash(options, () => {});
  expect(result.missing).toBe(0);
  expect(result).toMatchObject({ kills: 12, lists: { left: 2, returned: 2, dissolved: 1, created: 1 } });
  expect(result.acknowledged).toBeGreaterThan(50);
  expect(describeCrash(result).at(-1)).toBe(`acknowledged ${result.acknowledged}, missing 0`);
});
