// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import assignmentVectors from '../../../../vectors/swarm-assignment.json' with { type: 'json' };
import { fromHex } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import { UNASSIGNED_SWARM } from '../../src/swarm/assignment.ts';
import { chooseSwarm, parseSwarmId, swarmIdHex, swarmPosition } from '../../src/swarm/position.ts';

const keyOf = (pubkey: string) => fromHex(pubkey).subarray(1);
const ascending = (ids: Iterable<bigint>) => [...ids].sort((a, b) => (a < b ? -1 : 1));

test.each(vectors.swarm.positions)(
  '$pubkey is at $position_hex',
  ({ pubkey, position_dec, position_hex }) => {
    const position = swarmPosition(keyOf(pubkey));
    expect(position.toString()).toBe(position_dec);
    expect(swarmIdHex(position)).toBe(position_hex);
  },
);

interface Case {
  pubkey?: string;
  position_dec: string;
  swarm_dec: string;
  swarm_hex_reply?: string;
}

test.each(vectors.swarm.assignment)('positions among $swarm_ids_dec', ({ swarm_ids_dec, cases }) => {
  const ids = ascending(swarm_ids_dec.map(BigInt));
  for (const { pubkey, position_dec, swarm_dec, swarm_hex_reply } of cases as Case[]) {
    const position = BigInt(position_dec);
    if (pubkey !== undefined) expect(swarmPosition(keyOf(pubkey))).toBe(position);
    const chosen = chooseSwarm(position, ids) as bigint;
    expect(chosen.toString()).toBe(swarm_dec);
    if (swarm_hex_reply !== undefined) expect(swarmIdHex(chosen)).toBe(swarm_hex_reply);
  }
});

const { account_to_swarm } = assignmentVectors;
test.each(account_to_swarm.cases)('$pubkey belongs to $swarm', ({ pubkey, position, swarm }) => {
  const ids = ascending(account_to_swarm.swarm_ids.map(parseSwarmId));
  const found = swarmPosition(fromHex(pubkey));
  expect(found).toBe(parseSwarmId(position));
  expect(chooseSwarm(found, ids)).toBe(parseSwarmId(swarm));
});

test('the id that stands for no swarm is that of the vectors', () => {
  expect(UNASSIGNED_SWARM.toString()).toBe(vectors.swarm.invalid_swarm_id);
});

test('without swarms nothing is chosen', () => {
  expect(chooseSwarm(0n, [])).toBeUndefined();
});

const u64 = fc.bigInt(0n, 2n ** 64n - 1n);

test('the choice is the nearest around the ring, to the left when two are as near', () => {
  fc.assert(
    fc.property(u64, fc.uniqueArray(u64, { minLength: 1, maxLength: 12 }), (position, unsorted) => {
      const ids = ascending(unsorted);
      const up = (id: bigint) => BigInt.asUintN(64, id - position);
      const down = (id: bigint) => BigInt.asUintN(64, position - id);
      const distance = (id: bigint) => [up(id), down(id)].sort((a, b) => (a < b ? -1 : 1))[0] as bigint;
      const chosen = chooseSwarm(position, ids) as bigint;
      for (const id of ids) expect(distance(chosen) <= distance(id)).toBe(true);
      const asNear = ids.filter((id) => distance(id) === distance(chosen));
      if (asNear.length === 2) expect(down(chosen)).toBe(distance(chosen));
    }),
  );
});

test('the position is the exclusive or of the four words', () => {
  fc.assert(
    fc.property(fc.tuple(u64, u64, u64, u64), (words) => {
      const key = new Uint8Array(34);
      const view = new DataView(key.buffer, 1);
      for (const [index, word] of words.entries()) view.setBigUint64(index * 8, word);
      expect(swarmPosition(key.subarray(1, 33))).toBe(words.reduce((sum, word) => sum ^ word));
    }),
  );
});

test('a key of another length is a mistake', () => {
  expect(() => swarmPosition(new Uint8Array(33))).toThrow(expect.objectContaining({ code: 'bad_length' }));
});

test('swarm ids are read with and without padding, and nothing else is', () => {
  fc.assert(
    fc.property(u64, (id) => {
      expect(parseSwarmId(swarmIdHex(id))).toBe(id);
      expect(parseSwarmId(swarmIdHex(id).toUpperCase().padStart(16, '0'))).toBe(id);
    }),
  );
  for (const text of ['', '0x1', '-1', ' 1', 'g', '1'.repeat(17)]) {
    expect(() => parseSwarmId(text)).toThrow(ParseError);
  }
});
