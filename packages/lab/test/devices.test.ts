// SPDX-License-Identifier: AGPL-3.0-or-later
// The short version of `npm run lab -- devices`, and that its check can fail.
import { expect, test } from 'vitest';
import { describeDevices, runDevices } from '../src/sim/devices.ts';
import type { DevicesSabotage } from '../src/sim/devices-device.ts';

const SMALL = { runs: 1, seed: 1, actions: 40, ms: 120_000 };

test('three devices show the same in the end, whatever is done on which and whatever happens to them', async () => {
  const lines: string[] = [];
  const result = await runDevices(SMALL, (line) => lines.push(line));
  expect(lines).toEqual([]);
  expect(describeDevices(result).at(-1)).toBe('runs 1, diverged 0');
  expect(result.actions).toBe(50);
  expect(result.disturbances).toBeGreaterThan(3);
  expect(result.versions).toBeGreaterThan(10);
});

test.each<[DevicesSabotage, RegExp]>([
  ['forget', /contacts|state|listed|lost/],
  ['drop', /messages/],
])('a device with the sabotage %s is found', async (sabotage, where) => {
  const lines: string[] = [];
  // What is lost may be told again, or be nothing that anybody would miss: not each run shows it.
  const options = { ...SMALL, runs: 4, settleMs: 60_000, sabotage };
  const { diverged } = await runDevices(options, (line) => lines.push(line));
  expect(diverged).toBeGreaterThan(0);
  expect(lines[0]).toMatch(/^seed \d diverged:$/);
  expect(lines.join('\n')).toMatch(where);
});
