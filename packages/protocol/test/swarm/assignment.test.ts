// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '#crypto';
import vectors from '../../../../vectors/swarm-assignment.json' with { type: 'json' };
import { fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { newSwarmId, runAssignment, type SwarmMap, swarmMapDigest } from '../../src/swarm/assignment.ts';
import { MersenneTwister } from '../../src/swarm/mersenne-twister.ts';

const hex64 = (text: string) => BigInt(`0x${text}`);
const idText = (id: bigint) => id.toString(16).padStart(16, '0');

describe('random numbers', () => {
  test.each(vectors.rng.mt19937_64)('mt19937_64 seeded with $seed', ({ seed, first_four, thousandth }) => {
    const random = MersenneTwister.fromSeed(hex64(seed));
    const outputs = Array.from({ length: 1000 }, () => random.next().toString());
    expect(outputs.slice(0, 4)).toEqual(first_four);
    expect(outputs[999]).toBe(thousandth);
  });

  test.each(vectors.rng.uniform)('uniform draws from $seed', (vector) => {
    const random = MersenneTwister.fromSeed(hex64(vector.seed));
    const drawn = vector.n.map((n) => random.uniformWide(BigInt(n)).toString());
    expect(drawn).toEqual(vector.result);
    if ('draws' in vector) expect(random.draws).toBe(vector.draws);
  });

  test.each(vectors.rng.shuffle)('shuffle of $n', ({ seed, n, result }) => {
    const list = Array.from({ length: n }, (_, index) => index);
    MersenneTwister.fromSeed(hex64(seed)).shuffle(list);
    expect(list).toEqual(result);
  });

  test.each(vectors.rng.seed_seq)('seed sequence of type $type', ({ hash, type, first_three }) => {
    const view = new DataView(fromHex(hash).buffer);
    const words = Array.from({ length: 8 }, (_, index) => view.getUint32(index * 4, true));
    const random = MersenneTwister.fromSeedSequence([type, ...words]);
    expect([random.next(), random.next(), random.next()].map(String)).toEqual(first_three);
  });
});

test.each(vectors.new_swarm_id)('the id after $ids is $result', ({ ids, result }) => {
  expect(idText(newSwarmId(ids.map(hex64)))).toBe(result);
});

// The scenario that follows the sort order of one C++ library instead of ours is left out (spec/chain §3.4).
const scenarios = vectors.scenarios.filter((scenario) => scenario.tie_rule !== 'libstdcxx_introsort');

interface Step {
  add?: number[];
  remove?: number[];
  seed: string;
  draws: number;
  digest: string;
  /** Only the digest is given in the middle of long scenarios. */
  swarms?: Record<string, number[]>;
}

describe.each(scenarios)('scenario $name', ({ steps }) => {
  test('gives the same maps, in order, with the same number of draws', () => {
    const keys = new Map<number, string>();
    const keyOf = (index: number) => {
      const known = keys.get(index) ?? toHex(sha256(utf8(`swarm-vector-node-${index}`)));
      keys.set(index, known);
      return known;
    };
    let swarms: SwarmMap = new Map();
    for (const step of steps as Step[]) {
      const removed = new Set((step.remove ?? []).map(keyOf));
      const kept = new Map(
        [...swarms].map(([id, nodes]) => [id, nodes.filter((node) => !removed.has(node))]),
      );
      const result = runAssignment(kept, (step.add ?? []).map(keyOf), hex64(step.seed));
      swarms = result.swarms;
      if (step.swarms !== undefined) {
        const expected = Object.entries(step.swarms).map(([id, nodes]) => [id, nodes.map(keyOf)] as const);
        expect(new Map([...swarms].map(([id, nodes]) => [idText(id), nodes]))).toEqual(new Map(expected));
      }
      expect(result.draws).toBe(step.draws);
      expect(toHex(swarmMapDigest(swarms))).toBe(step.digest);
    }
  });
});

test('every node is in exactly one swarm, and several swarms have at least five nodes each', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ add: fc.nat(12), keep: fc.double({ min: 0.3, max: 1, noNaN: true }) }), {
        maxLength: 8,
      }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      (steps, seed) => {
        let swarms: SwarmMap = new Map();
        let count = 0;
        for (const [index, { add, keep }] of steps.entries()) {
          const kept = new Map(
            [...swarms].map(([id, nodes]) => [id, nodes.slice(0, Math.ceil(nodes.length * keep))]),
          );
          const fresh = Array.from({ length: add }, () => (count++).toString(16).padStart(64, '0'));
          const before = [...kept.values()].flat().concat(fresh).sort();
          swarms = runAssignment(kept, fresh, seed + BigInt(index)).swarms;
          expect([...swarms.values()].flat().sort()).toEqual(before);
          if (swarms.size > 1)
            for (const nodes of swarms.values()) expect(nodes.length).toBeGreaterThanOrEqual(5);
        }
      },
    ),
    { numRuns: 100 },
  );
});
