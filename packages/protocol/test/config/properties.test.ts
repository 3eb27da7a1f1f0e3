// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toBinary, toHex } from '../../src/bytes.ts';
import { BtReader } from '../../src/config/bt-reader.ts';
import { Config } from '../../src/config/config.ts';
import {
  type ConfigDict,
  type ConfigValue,
  cloneDict,
  prune,
  readData,
  writeData,
} from '../../src/config/data.ts';
import { applyDiff, combined, computeDiff, readDiff, restated, writeDiff } from '../../src/config/diff.ts';
import { decryptConfig, unpackPlaintext } from '../../src/config/encryption.ts';
import { mergeMessages } from '../../src/config/merge.ts';
import { type ConfigMessage, parseMessage, serializeVersion } from '../../src/config/message.ts';
import { type Action, actions, Devices, versionOf } from './devices.ts';

const KEY = new Uint8Array(32).fill(3);

const binary = fc.uint8Array({ maxLength: 4 }).map(toBinary);
const integer = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value) => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
});
const scalar = fc.oneof(binary, integer, fc.integer({ min: -3, max: 3 }));
const { dict } = fc.letrec<{ dict: ConfigDict; value: ConfigValue }>((tie) => ({
  dict: fc
    .array(fc.tuple(fc.oneof(binary, fc.constantFrom('a', 'b')), tie('value')), { maxLength: 4 })
    .map((entries) => {
      const made: ConfigDict = new Map(entries);
      prune(made);
      return made;
    }),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(scalar, { maxLength: 4 }).map((items) => new Set(items)),
    tie('dict'),
  ),
}));

test('data and diffs are read as they were written', () => {
  fc.assert(
    fc.property(dict, dict, (old, next) => {
      expect(readData(new BtReader(writeData(next)))).toEqual(next);
      const diff = computeDiff(old, next);
      expect(readDiff(new BtReader(writeDiff(diff)))).toEqual(diff);
    }),
    { numRuns: 300 },
  );
});

test('a diff leads from the old data to the new', () => {
  fc.assert(
    fc.property(dict, dict, (old, next) => {
      const data = cloneDict(old);
      applyDiff(data, computeDiff(old, next), next);
      prune(data);
      expect(writeData(data)).toBe(writeData(next));
    }),
    { numRuns: 300 },
  );
});

/** Of few keys and values, so that the same key often holds another kind. */
const fewKeys = fc
  .dictionary(
    fc.constantFrom('a', 'b'),
    fc.oneof(
      fc.nat(2),
      fc.subarray([0, 1, 2], { minLength: 1 }).map((items) => new Set(items)),
      fc
        .dictionary(fc.constantFrom('x', 'y'), fc.nat(2), { minKeys: 1 })
        .map((inner) => new Map(Object.entries(inner))),
    ),
  )
  .map((members): ConfigDict => new Map(Object.entries(members)));

test('an edit that is said once more changes nothing of the version that says it', () => {
  fc.assert(
    fc.property(fewKeys, fewKeys, fewKeys, fewKeys, (old, next, base, present) => {
      const again = restated(computeDiff(old, next), present);
      const data = cloneDict(present);
      applyDiff(data, combined(again, computeDiff(base, present)), present);
      prune(data);
      expect(writeData(data)).toBe(writeData(present));
    }),
    { numRuns: 300 },
  );
});

test('reading a message back gives the message', () => {
  fc.assert(
    fc.property(dict, dict, fc.integer({ min: -9, max: 2 ** 52 }), (base, data, seqno) => {
      const row = { seqno: seqno - 1, hash: 'h'.repeat(32), diff: computeDiff(new Map(), base) };
      const unknown = new Map([['$', 'i1e']]);
      const version = { seqno, data, history: [row], unknown, diff: computeDiff(base, data) };
      const message = serializeVersion(version);
      expect(parseMessage(message.plaintext)).toEqual(message);
    }),
    { numRuns: 100 },
  );
});

/** A program of actions, and then as many edits without a poll as to leave the lag of five versions behind. */
const longAway = fc
  .tuple(actions, fc.nat(2), fc.integer({ min: 6, max: 12 }))
  .map(([before, device, count]) => [
    ...before,
    ...Array.from({ length: count }, (_, i): Action[] => [
      { device, do: 'set', path: i % 7, value: i },
      { device, do: 'push', ends: i % 2 === 0 ? 'confirmed' : 'deleted' },
    ]).flat(),
  ]);

test.each([
  { size: 'small', numRuns: 200 },
  { size: 'large', numRuns: 6 },
])('three devices with a $size config end equal, whatever happened', ({ size, numRuns }) => {
  fc.assert(
    fc.property(fc.oneof(actions, longAway), (program) => {
      const devices = new Devices(size === 'large');
      for (const action of program) devices.run(action);
      devices.settle();
      const [first, ...others] = devices.configs.map(versionOf);
      for (const other of others) expect(other).toBe(first);
      const restored = devices.restored();
      expect(versionOf(restored)).toBe(first);
      expect(restored.needsPush).toBe(false);
      if (restored.seqno === 0) return;
      // Nothing that is needed was deleted, and all devices keep the same alive.
      for (const config of devices.configs) expect(config.currentHashes).toEqual(restored.currentHashes);
      // Nor is anything else left.
      expect([...devices.swarm.keys()].sort()).toEqual(restored.currentHashes);
    }),
    { numRuns },
  );
});

test('parts of pushes that were never confirmed are found and deleted', () => {
  const devices = new Devices(true);
  for (let path = 0; path < 3; path++) {
    devices.run({ device: 0, do: 'set', path, value: path });
    devices.run({ device: 0, do: 'push', ends: path === 1 ? 'confirmed' : 'deleted' });
  }
  devices.settle();
  expect([...devices.swarm.keys()].sort()).toEqual(devices.restored().currentHashes);
});

test('versions come together to the same bytes in any order', () => {
  let conflicts = 0;
  fc.assert(
    fc.property(actions, fc.infiniteStream(fc.nat()), (program, numbers) => {
      const devices = new Devices();
      const seen = new Map<string, Uint8Array>();
      for (const action of program) {
        devices.run(action);
        for (const [hash, data] of devices.swarm) seen.set(hash, data);
      }
      const messages = [...seen.values()].map((data): ConfigMessage => {
        const unpacked = unpackPlaintext(decryptConfig(data, [KEY], 'Test') as Uint8Array);
        if (unpacked.kind !== 'message') throw new Error('not a message');
        return parseMessage(unpacked.plaintext);
      });
      if (messages.length < 2) return;
      const outcome = (inputs: ConfigMessage[]) => {
        const result = mergeMessages(inputs, true);
        if (result.kind === 'adopted') return toHex(inputs[result.index]!.plaintext);
        conflicts++;
        return toHex(serializeVersion({ ...result, unknown: new Map(), diff: new Map() }).plaintext);
      };
      const shuffled = messages
        .map((message) => ({ message, place: numbers.next().value }))
        .sort((a, b) => a.place - b.place)
        .map(({ message }) => message);
      expect(outcome(shuffled)).toBe(outcome(messages));
      // Two steps or one: what a merge contains is redundant beside it.
      expect(outcome([...messages, ...messages])).toBe(outcome(messages));
    }),
    { numRuns: 150 },
  );
  expect(conflicts).toBeGreaterThan(20);
});

test('whatever comes, a merge ends and throws nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (inputs) => {
      const config = new Config({ domain: 'Test', keys: [KEY] });
      const stored = inputs.map((data, i) => ({ hash: `${i}`, data }));
      const { accepted, refused, changed } = config.merge(stored, 0);
      expect([accepted, refused.length, changed]).toEqual([[], inputs.length, false]);
    }),
    { numRuns: 50 },
  );
});
