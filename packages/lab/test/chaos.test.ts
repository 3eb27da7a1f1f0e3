// SPDX-License-Identifier: AGPL-3.0-or-later
// The short version of `npm run lab -- chaos`.
import { expect, test } from 'vitest';
import { describeChaos, runChaos } from '../src/sim/chaos.ts';

test('after chaos every stored message is on every device, once and in one order', async () => {
  const result = await runChaos(
    {
      nodes: 16,
      clients: 18,
      devices: 3,
      messages: 60,
      seed: 1,
      chaosMs: 240_000,
      pollEveryMs: 10_000,
    },
    () => {},
  );
  expect(describeChaos(result).at(-1)).toBe('lost 0, doubled 0, disordered 0');
  expect(result.copiesMissing).toBe(0);
  // That there was chaos, and that most people hardly noticed.
  expect(result).toMatchObject({ partitions: 3, lists: 4 });
  expect(result.kills).toBeGreaterThan(10);
  expect(result.wrongClocks).toBeGreaterThan(3);
  expect(result.stored).toBeGreaterThan(45);
  expect(result.deliveries).toBe(3 * result.stored);
}, 60_000);
