// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ed25519KeyPair, ed25519SecretKeyToX25519, x25519PublicKey } from '#crypto';
import { toHex } from '../../src/bytes.ts';
import {
  buildMembership,
  CurrentMembership,
  type Member,
  type MemberFacts,
  type Membership,
  memberOf,
  swarmFor,
} from '../../src/membership/membership.ts';
import { UNASSIGNED_SWARM } from '../../src/swarm/assignment.ts';
import { swarmPosition } from '../../src/swarm/position.ts';

const keyPairs = Array.from({ length: 12 }, (_, index) => ed25519KeyPair(new Uint8Array(32).fill(index + 1)));

function member(index: number, facts: Partial<MemberFacts> = {}): Member {
  return memberOf({
    ed25519Key: keyPairs[index]?.publicKey as Uint8Array,
    host: `10.0.0.${index}`,
    httpsPort: 22021,
    omqPort: 22020,
    swarmId: 0n,
    ...facts,
  }) as Member;
}

function membership(members: readonly Member[], epoch = 1): Membership {
  return buildMembership({
    epoch,
    seed: new Uint8Array(32),
    height: 7,
    blockHash: 'ab'.repeat(32),
    members,
  });
}

test('a member has both keys, as bytes and as text', () => {
  const { publicKey, secretKey } = keyPairs[3] as (typeof keyPairs)[0];
  const x25519Key = x25519PublicKey(ed25519SecretKeyToX25519(secretKey));
  expect(member(3)).toEqual({
    ed25519Key: publicKey,
    ed25519Hex: toHex(publicKey),
    x25519Key,
    x25519Hex: toHex(x25519Key),
    host: '10.0.0.3',
    httpsPort: 22021,
    omqPort: 22020,
    swarmId: 0n,
    active: true,
    version: [2, 11, 0],
  });
});

test('a key that is no point of the curve makes no member', () => {
  const facts = { host: '10.0.0.1', httpsPort: 1, omqPort: 1, swarmId: 0n };
  for (const ed25519Key of [new Uint8Array(32), new Uint8Array(32).fill(0xff)]) {
    expect(memberOf({ ...facts, ed25519Key })).toBeUndefined();
  }
});

test('members are found by either key and by swarm, in the order of their keys', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(keyPairs.map((_, index) => index)), (indexes) => {
      const members = indexes.map((index) => member(index, { swarmId: BigInt(index % 3) << 62n }));
      const built = membership(members);
      const keys = members.map((each) => each.ed25519Hex).sort();
      expect(built.members.map((each) => each.ed25519Hex)).toEqual(keys);
      for (const each of members) {
        expect(built.byEd25519.get(each.ed25519Hex)).toBe(each);
        expect(built.byX25519.get(each.x25519Hex)).toBe(each);
        expect(built.swarms.get(each.swarmId)).toContain(each);
      }
      expect([...built.swarms.values()].flat()).toHaveLength(members.length);
      expect(built.swarmIds).toEqual([...built.swarmIds].sort((a, b) => (a < b ? -1 : 1)));
      expect(new Set(built.swarmIds)).toEqual(new Set(built.swarms.keys()));
    }),
  );
});

test('who is decommissioned or unassigned is a member but serves no swarm', () => {
  const built = membership([
    member(0),
    member(1, { active: false }),
    member(2, { swarmId: UNASSIGNED_SWARM }),
  ]);
  expect(built.members).toHaveLength(3);
  expect(built.byEd25519.size).toBe(3);
  expect([...built.swarms]).toEqual([[0n, [built.byEd25519.get(member(0).ed25519Hex)]]]);
  expect(built.swarmIds).toEqual([0n]);
});

test('a key counts once', () => {
  expect(() => membership([member(0), member(1), member(0)])).toThrow(
    expect.objectContaining({ name: 'MembershipError', code: 'duplicate_key' }),
  );
});

test('the swarm of an account is the nearest, and there is none in an empty network', () => {
  const far = 1n << 63n;
  const built = membership([member(0), member(1), member(2, { swarmId: far })]);
  const near = new Uint8Array(32);
  near[7] = 5;
  expect(swarmPosition(near)).toBe(5n);
  expect(swarmFor(built, near)).toEqual({ id: 0n, members: built.swarms.get(0n) });
  const opposite = new Uint8Array(32);
  opposite[0] = 0x80;
  expect(swarmFor(built, opposite)?.id).toBe(far);
  expect(swarmFor(membership([]), near)).toBeUndefined();
});

test('listeners hear of each change until they cancel', () => {
  const first = membership([member(0)], 1);
  const second = membership([member(0), member(1)], 2);
  const third = membership([member(1)], 3);
  const source = new CurrentMembership(first);
  const heard: string[] = [];
  const listen = (name: string) =>
    source.onChange((next, previous) => heard.push(`${name} ${previous.epoch} ${next.epoch}`));
  const cancel = listen('a');
  listen('b');
  expect(source.current()).toBe(first);
  source.replace(second);
  expect(source.current()).toBe(second);
  cancel();
  cancel();
  source.replace(third);
  expect(heard).toEqual(['a 1 2', 'b 1 2', 'b 2 3']);
});

test('a listener that cancels another while it is told does no harm', () => {
  const source = new CurrentMembership(membership([member(0)], 1));
  let calls = 0;
  const listener = () => {
    calls++;
    cancelSecond();
  };
  source.onChange(listener);
  const cancelSecond = source.onChange(() => {});
  source.onChange(listener);
  source.replace(membership([member(1)], 2));
  expect(calls).toBe(2);
});
