// SPDX-License-Identifier: AGPL-3.0-or-later
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ExplorerNode } from '../../src/explorer/model.ts';
import { concentration, pathExposure, statistics } from '../../src/explorer/statistics.ts';

function node(index: number, changes: Partial<ExplorerNode> = {}): ExplorerNode {
  return {
    pubkey_ed25519: index.toString(16).padStart(64, '0'),
    pubkey_x25519: null,
    active: true,
    state: 'active',
    swarm: '0000000000000001',
    public_ip: `192.0.${index % 4}.${index % 250}`,
    storage_port: 443,
    version: '2.11.0',
    chain: null,
    ...changes,
  };
}

describe('statistics', () => {
  test('call a network healthy above fifty active nodes, as the documented example does', () => {
    const nodes = (count: number) => Array.from({ length: count }, (_, index) => node(index));
    expect(statistics(nodes(50))).toMatchObject({ nodes: 50, active: 50, healthy: false });
    expect(statistics(nodes(51))).toMatchObject({ healthy: true, subnets_16: { count: 1, index: 1 } });
    const suspended = node(99, { active: false, state: 'decommissioned', swarm: null });
    const gone = node(98, { active: false, state: 'deregistered', swarm: null });
    expect(statistics([...nodes(50), suspended, gone])).toMatchObject({
      nodes: 51,
      active: 50,
      decommissioned: 1,
      healthy: false,
      swarms: 1,
      operators: null,
      paths_by: 'subnet_24',
    });
    expect(statistics([])).toMatchObject({ nodes: 0, paths: [], versions: { count: 0, index: 0, third: 0 } });
  });

  test('know the concentration of hand-made groups', () => {
    const groups = concentration(
      new Map([
        ['a', 5],
        ['b', 3],
        ['c', 2],
      ]),
    );
    expect(groups.groups.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(groups.index).toBeCloseTo(0.25 + 0.09 + 0.04, 12);
    expect(groups.third).toBe(1);
    expect(
      concentration(
        new Map([
          ['a', 1],
          ['b', 1],
          ['c', 1],
        ]),
      ).third,
    ).toBe(2);
  });

  test('count the paths that the largest see as trials would', () => {
    // Of 4 nodes 2 are one operator's: 1 − (2·1·0)/(4·3·2) have a hop of his, 2·1 of 4·3 pairs are both ends.
    const [one] = pathExposure(
      new Map([
        ['a', 2],
        ['b', 1],
        ['c', 1],
      ]),
    );
    expect(one).toEqual({ operators: 1, any_hop: 1, both_ends: 2 / 12 });
    expect(pathExposure(new Map([['a', 2]]))).toEqual([]);
    const [first, , third] = pathExposure(new Map(Array.from({ length: 10 }, (_, i) => [String(i), 1])));
    expect(first?.any_hop).toBeCloseTo(0.3, 12);
    expect(first?.both_ends).toBe(0);
    expect(third?.any_hop).toBeCloseTo(1 - (7 * 6 * 5) / (10 * 9 * 8), 12);
  });

  test('stay within 0 and 1, and grow with the number of operators', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 3, maxLength: 40 }), (counts) => {
        const groups = new Map(counts.map((count, index) => [String(index), count]));
        const { index, third } = concentration(groups);
        expect(index).toBeGreaterThanOrEqual(1 / counts.length - 1e-12);
        expect(index).toBeLessThanOrEqual(1);
        expect(third).toBeGreaterThan(0);
        let last = 0;
        for (const { any_hop, both_ends } of pathExposure(groups)) {
          expect(any_hop).toBeGreaterThanOrEqual(last);
          expect(any_hop).toBeLessThanOrEqual(1);
          expect(both_ends).toBeLessThanOrEqual(any_hop);
          last = any_hop;
        }
      }),
    );
  });
});
