// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { atLeast, quorumChances, shareCost, swarmChances } from '../src/calculators.ts';

/** Equal to the two digits that the specification prints. */
const twoDigits = (value: number) => Number(value.toPrecision(2));

describe('the chance to capture a quorum', () => {
  test.each([
    [30, 0.25, 5.4e-4],
    [50, 0.2, 1.4e-4],
    [100, 0.1, 8.9e-7],
    [300, 1 / 3, 1.8e-2],
    [1000, 0.4, 5.4e-2],
    [1500, 0.05, 6.3e-8],
    [1500, 0.1, 8.2e-6],
    [1500, 0.2, 8.3e-4],
    [1500, 0.5, 0.17],
  ])('is that of the table: %i nodes, share %f', (nodes, share, chance) => {
    expect(twoDigits(quorumChances({ nodes, share, quorumSize: 10 }).capture)).toBe(chance);
  });

  test.each([
    [15, 0.2, 1.1e-5, 0.16],
    [20, 0.1, 1.3e-10, 2.2e-3],
    [20, 1 / 3, 8.2e-4, 0.52],
    [30, 0.4, 7.7e-4, 0.83],
  ])('falls with the size: %i of 1500, share %f', (quorumSize, share, capture, block) => {
    const chances = quorumChances({ nodes: 1500, share, quorumSize });
    expect([twoDigits(chances.capture), twoDigits(chances.block)]).toEqual([capture, block]);
  });
});

test('a share of the nodes costs f·n/(1−f) stakes, and the entry limit takes time', () => {
  const cost = (share: number) =>
    shareCost({ share, honestNodes: 1500, stake: 15_000, registrationBps: 500 });
  expect(cost(0.1)).toMatchObject({ nodes: 167, tokens: 2_505_000 });
  expect(cost(0.2).nodes).toBe(375);
  expect(cost(0.5)).toMatchObject({ nodes: 1500, tokens: 22_500_000 });
  // 75, then 5 % of 1575, …: 375 are in after five epochs, not after four.
  expect(cost(0.2).epochs).toBe(5);
  expect(cost(0)).toEqual({ nodes: 0, tokens: 0, epochs: 0 });
  expect(() => cost(1)).toThrow(RangeError);
});

test('a swarm of seven is seldom all one attacker’s, but one of his is often in it', () => {
  const chances = swarmChances({ nodes: 1500, share: 0.2, swarmSize: 7 });
  expect(chances.any).toBeCloseTo(1 - 0.8 ** 7, 2);
  expect(chances.all).toBeLessThan(0.2 ** 7);
  expect(chances.half).toBeGreaterThan(chances.all);
});

test('chances are a distribution, and all nodes hold all marked ones', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.nat(60), fc.nat(60), (population, a, b) => {
      const [marked, draws] = [Math.min(a, population), Math.min(b, population)];
      expect(atLeast(0, draws, marked, population)).toBeCloseTo(1, 9);
      expect(atLeast(marked, population, marked, population)).toBeCloseTo(1, 9);
      for (let least = 1; least <= draws; least++) {
        const chance = atLeast(least, draws, marked, population);
        expect(chance).toBeLessThanOrEqual(atLeast(least - 1, draws, marked, population) + 1e-9);
      }
    }),
  );
  expect(() => atLeast(1, 5, 1, 4)).toThrow(RangeError);
  expect(() => atLeast(1, 1.5, 1, 4)).toThrow(RangeError);
});
