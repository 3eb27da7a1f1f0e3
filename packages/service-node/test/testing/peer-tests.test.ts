// SPDX-License-Identifier: AGPL-3.0-or-later
// What `get_service_nodes` tells of the tests of a node (spec/chain §4.21).
import type { Transport } from '@allium/protocol/env';
import { expect, test } from 'vitest';
import { PeerTests } from '../../src/testing/peer-tests.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const HOUR = 3_600_000;
const DOWN = { https: 'unreachable' } as const;

function open(isOn = true) {
  const clock = new TestClock();
  const swarm = { membership: { members: [] }, self: undefined };
  const parts = { omq: {}, swarm, ownHex: 'own', pace: 'production', isOn, transport: {} as Transport };
  return { clock, tests: new PeerTests(parts as never, testEnv(clock)) };
}

test('a node that fails for long is listed as not reachable, unless it is us who are cut off', () => {
  const { clock, tests } = open();
  for (const key of ['a', 'b', 'c']) tests.book.pinged(key, key === 'a' ? DOWN : {});
  const began = Math.floor(clock.now() / 1000);
  clock.advance(2 * HOUR);
  for (const key of ['a', 'b', 'c']) tests.book.pinged(key, key === 'a' ? DOWN : {});
  expect(tests.listed?.('a')).toEqual({
    reachable: false,
    firstUnreachable: began,
    lastUnreachable: began + 7200,
    lastReachable: 0,
    answers: [0, 0],
    clocks: [0, 0],
  });
  expect(tests.listed?.('b').reachable).toBe(true);
  expect(tests.listed?.('never seen').reachable).toBe(true);

  for (const key of ['b', 'c']) tests.book.pinged(key, DOWN);
  expect(tests.listed?.('a')).toMatchObject({ reachable: true, firstUnreachable: began });
});

test('a node that tests nobody lists nothing of it', () => {
  expect(open(false).tests.listed).toBeUndefined();
});
