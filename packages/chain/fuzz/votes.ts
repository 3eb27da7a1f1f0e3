// SPDX-License-Identifier: MIT
// Fuzz targets: what voters and proposers send each other. A target throws on a bug only: something other than the typed
// error, or a value that does not encode to its input.
import { equal } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { decodeReveal, decodeVote, encodeReveal, encodeVote } from '../src/vote-message.ts';

function target<T>(
  seeds: Uint8Array[],
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): FuzzTarget {
  return {
    seeds,
    run(input) {
      let decoded: T;
      try {
        decoded = decode(input);
      } catch (error) {
        if (error instanceof ParseError) return;
        throw error;
      }
      if (!equal(encode(decoded), input)) throw new Error('a message has two forms');
    },
  };
}

const signature = new Uint8Array(64).fill(7);
const VOTE = { nodeId: 12, action: 1, epoch: 3, stateNonce: 0, reasons: 9, index: 4, signature } as const;

export const targets: Record<string, FuzzTarget> = {
  vote: target(
    [encodeVote(VOTE), encodeVote({ ...VOTE, nodeId: 2 ** 32 - 1, index: 31 })],
    decodeVote,
    encodeVote,
  ),
  reveal: target([encodeReveal({ epoch: 7, preimage: `0x${'ab'.repeat(32)}` })], decodeReveal, encodeReveal),
};
