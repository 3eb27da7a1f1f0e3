// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NetworkClock } from '../../src/network/clock.ts';
import { TestClock } from '../test-clock.ts';

function make() {
  const local = new TestClock();
  return { local, clock: new NetworkClock(local) };
}

test('until three nodes have spoken the local clock is taken as it is', () => {
  const { local, clock } = make();
  const now = local.now();
  clock.sample('a', now - 60_000, now, now);
  clock.sample('b', now - 60_000, now, now);
  expect(clock.offset).toBe(0);
  expect(clock.isSettled).toBe(false);
  clock.sample('c', now - 60_000, now, now);
  expect(clock.offset).toBe(60_000);
  expect(clock.now()).toBe(now - 60_000);
  expect(clock.isSettled).toBe(true);
});

test('two nodes that agree with the local clock leave no doubt', () => {
  const { local, clock } = make();
  const now = local.now();
  clock.sample('a', now - 1_000, now, now);
  expect(clock.isSettled).toBe(false);
  clock.sample('b', now + 500, now, now);
  expect(clock.isSettled).toBe(true);
});

test('half of the round trip is not held against the node', () => {
  const { local, clock } = make();
  const now = local.now();
  for (const node of ['a', 'b', 'c']) clock.sample(node, now - 100, now - 200, now);
  expect(clock.offset).toBe(0);
});

test('one node has one vote however often it speaks, and liars in the minority move nothing', () => {
  const { local, clock } = make();
  const now = local.now();
  for (let i = 0; i < 50; i++) clock.sample('liar', now + 86_400_000, now, now);
  for (const node of ['a', 'b']) clock.sample(node, now, now, now);
  expect(clock.offset).toBe(0);
});

test('only the last ten nodes count, and what is no time does not', () => {
  const { local, clock } = make();
  const now = local.now();
  for (let i = 0; i < 10; i++) clock.sample(`old ${i}`, now - 5_000, now, now);
  for (let i = 0; i < 10; i++) clock.sample(`new ${i}`, now + 5_000, now, now);
  expect(clock.offset).toBe(-5_000);
  for (const time of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1_500_000_000_000]) {
    for (let i = 0; i < 10; i++) clock.sample(`odd ${i}`, time, now, now);
  }
  expect(clock.offset).toBe(-5_000);
});

test('after a reset new samples alone decide', () => {
  const { local, clock } = make();
  const now = local.now();
  for (const node of ['a', 'b', 'c', 'd', 'e']) clock.sample(node, now - 5_000, now, now);
  clock.reset();
  expect(clock.offset).toBe(5_000);
  for (const node of ['x', 'y', 'z']) clock.sample(node, now, now, now);
  expect(clock.offset).toBe(0);
});

test.each([
  ['ahead', 86_400_000],
  ['back', -86_400_000],
])(
  'a local clock that is set %s leaves a doubt, and time goes on as the monotonic one counts it',
  (_, jump) => {
    const { local, clock } = make();
    expect(clock.atLeast()).toBeUndefined();
    const now = local.now();
    for (const node of ['a', 'b', 'c', 'd', 'e']) clock.sample(node, now - 5_000, now, now);
    const settled = clock.now();
    local.skew = jump;
    expect(clock.isSettled).toBe(false);
    expect(clock.atLeast()).toBe(settled);
    for (const node of ['a', 'b', 'c']) clock.sample(node, settled, local.now(), local.now());
    expect([clock.isSettled, clock.now(), clock.atLeast()]).toEqual([true, settled, settled]);
  },
);

test('own times are all different, whatever the clock does', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 100 }), (jumps) => {
      const { local, clock } = make();
      const times = jumps.map((jump) => {
        local.skew += jump;
        return clock.unique();
      });
      expect(new Set(times).size).toBe(times.length);
    }),
  );
});
