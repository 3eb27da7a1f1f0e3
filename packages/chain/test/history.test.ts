// SPDX-License-Identifier: MIT
// The stored history (what is read of a chain: packages/servers/test/explorer/chain-source.test.ts).
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChainError } from '../src/chain-error.ts';
import type { ChainNetwork } from '../src/chain-view.ts';
import { encodeHistory, type HistoryEvent, parseHistory } from '../src/history.ts';
import { HISTORY_TYPES } from '../src/history-types.ts';

const network = { chainId: 1, registry: `0x${'aa'.repeat(20)}` } as ChainNetwork;
const checkpoint = { block: 1000, hash: `0x${'bb'.repeat(32)}` } as const;
const anyEvent: fc.Arbitrary<HistoryEvent> = fc.record({
  type: fc.constantFrom(...HISTORY_TYPES),
  time: fc.nat(),
  block: fc.nat(1000),
  logIndex: fc.nat(100),
  transaction: fc.constantFrom(undefined, `0x${'cc'.repeat(32)}` as const),
  nodeId: fc.nat(),
  reasonsAll: fc.nat(0xffff),
  reasonsAny: fc.nat(0xffff),
  amount: fc.option(fc.bigInt({ min: 0n, max: 2n ** 96n }), { nil: undefined }),
});

test('what is stored is read', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), (list) => {
      const events = list.sort((a, b) => a.block - b.block);
      expect(parseHistory(network, encodeHistory(network, checkpoint, events))).toEqual({
        checkpoint,
        events,
      });
    }),
  );
});

test('nothing else is, and the error is ours', () => {
  const event: HistoryEvent = fc.sample(anyEvent, { numRuns: 1, seed: 1 })[0]!;
  const file = JSON.parse(encodeHistory(network, checkpoint, [event])) as Record<string, unknown>;
  const [row] = file.events as Record<string, unknown>[];
  const broken = fc.oneof(
    fc.string(),
    fc
      .tuple(fc.constantFrom(...Object.keys(file)), fc.jsonValue())
      .map(([name, value]) => JSON.stringify({ ...file, [name]: value })),
    fc
      .tuple(fc.constantFrom(...Object.keys(row!)), fc.jsonValue())
      .map(([name, value]) => JSON.stringify({ ...file, events: [{ ...row, [name]: value }] })),
  );
  fc.assert(
    fc.property(broken, (text) => {
      try {
        const { events } = parseHistory(network, text);
        for (const { block } of events) expect(block).toBeLessThanOrEqual(checkpoint.block);
      } catch (error) {
        expect(error).toBeInstanceOf(ChainError);
      }
    }),
    { numRuns: 500 },
  );
  expect(() => parseHistory({ ...network, chainId: 2 }, JSON.stringify(file))).toThrow('another network');
});
