// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from 'vitest';
import { describeFill, runFill } from '../src/load/fill.ts';

test('a node that joins gets every message of the member that has them', async () => {
  const result = await runFill({ messages: 1_500 }, () => {});
  expect(result.messages).toBe(1_500);
  // 512 of data, and what says whose it is and how long it lives.
  expect(result.bytes / result.messages).toBeGreaterThan(512 + 33 + 32);
  expect(result.bytes / result.messages).toBeLessThan(700);
  expect(describeFill(result).join('\n')).toContain('a joining node gets 1500 messages');
});
