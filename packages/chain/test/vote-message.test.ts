// SPDX-License-Identifier: MIT
import { ParseError } from '@allium/protocol/errors';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import { decodeReveal, decodeVote, encodeReveal, encodeVote, type VoteMessage } from '../src/vote-message.ts';

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const votes: fc.Arbitrary<VoteMessage> = fc.record({
  nodeId: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  action: fc.constantFrom(1, 2, 3),
  epoch: u32,
  stateNonce: u32,
  reasons: fc.integer({ min: 0, max: 65_535 }),
  index: fc.integer({ min: 0, max: 31 }),
  signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
});
const VOTE: VoteMessage = {
  nodeId: 12,
  action: 1,
  epoch: 3,
  stateNonce: 0,
  reasons: 9,
  index: 4,
  signature: new Uint8Array(64).fill(0x41),
};

describe('sn.chain_vote', () => {
  test('has the form of spec/chain §4.19', () => {
    expect(Buffer.from(encodeVote(VOTE)).toString()).toBe(
      `d1:ai1e1:ei3e1:ii4e1:ni12e1:ri9e1:s64:${'A'.repeat(64)}1:xi0ee`,
    );
  });

  test('what is encoded is decoded', () => {
    fc.assert(
      fc.property(votes, (vote) => {
        expect(decodeVote(encodeVote(vote))).toEqual(vote);
      }),
    );
  });

  test('anything else is a ParseError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => decodeVote(bytes)).toThrow(ParseError);
      }),
    );
  });

  test.each([
    ['a number too large', { epoch: 2 ** 32 }],
    ['a negative number', { reasons: -1 }],
    ['an action that there is not', { action: 4 as 1 }],
    ['node 0', { nodeId: 0 }],
    ['an index that no quorum has', { index: 32 }],
    ['a short signature', { signature: new Uint8Array(63) }],
  ])('%s is refused', (_, changes) => {
    expect(() => decodeVote(encodeVote({ ...VOTE, ...changes }))).toThrow(ParseError);
  });

  test('further members, and missing ones, are refused', () => {
    const text = Buffer.from(encodeVote(VOTE)).toString('latin1');
    for (const changed of [`${text.slice(0, -1)}1:yi0ee`, text.replace('1:xi0e', '')]) {
      expect(() => decodeVote(Buffer.from(changed, 'latin1'))).toThrow(ParseError);
    }
  });
});

test('sn.chain_reveal: what is encoded is decoded, anything else is a ParseError', () => {
  const preimages = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes): Hex => `0x${Buffer.from(bytes).toString('hex')}`);
  fc.assert(
    fc.property(u32, preimages, (epoch, preimage) => {
      expect(decodeReveal(encodeReveal({ epoch, preimage }))).toEqual({ epoch, preimage });
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(() => decodeReveal(bytes)).toThrow(ParseError);
    }),
  );
});
