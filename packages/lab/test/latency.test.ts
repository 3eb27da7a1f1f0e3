// SPDX-License-Identifier: AGPL-3.0-or-later
// How long a message takes where every link takes 40 ms, in virtual time: it depends on the number of ways alone.
import { expect, test } from 'vitest';
import { measureSimLatency } from '../src/load/sim-latency.ts';

test('a message is there within nine ways of a link, or when the next poll comes', async () => {
  const linkMs = 40;
  const { stored, longPoll, polling } = await measureSimLatency({ messages: 12, linkMs, seed: 1 });
  expect([stored, longPoll, polling].map(({ length }) => length)).toEqual([12, 12, 12]);
  // Four ways to the swarm, one between its members and one back, four back.
  for (const ms of stored) expect(ms).toBeLessThan(10 * linkMs + 10);
  // Four ways to the swarm, one between its members, four back. Eight more when the request was just going out anew.
  expect(Math.min(...longPoll)).toBeGreaterThan(8 * linkMs - 1);
  expect([...longPoll].sort((a, b) => a - b)[6]).toBeLessThan(9 * linkMs + 10);
  for (const ms of longPoll) expect(ms).toBeLessThan(17 * linkMs + 10);
  // The aim: half of them within 0.7 s, nearly all within 2 s.
  expect(Math.max(...longPoll)).toBeLessThan(700);
  expect(Math.max(...polling)).toBeGreaterThan(1_000);
});
