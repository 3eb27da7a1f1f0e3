// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { concat, fromHex, toBinary, toHex, utf8 } from '../../src/bytes.ts';
import { encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import { decodeDataPush, encodeDataPush, type PushedMessage } from '../../src/storage/data-push.ts';

const [five, twice, six] = vectors.data_push;
const message = (n: number, size = 10): PushedMessage => ({
  account: fromHex(`05${'ab'.repeat(32)}`),
  hash: 'BwnXSjRsv/WX/2PNCFq3o6lRpwC/b/3zGskukGOkdHY',
  timestamp: 1_700_000_000_000 + n,
  expiry: 1_700_086_400_000 + n,
  data: new Uint8Array(size).fill(n),
  namespace: n,
});

test('blobs of older nodes have no namespace', () => {
  const { pubkey, hash_hex, timestamp, expiry, data_hex } = (
    five!.messages as {
      pubkey: string;
      hash_hex: string;
      timestamp: number;
      expiry: number;
      data_hex: string;
    }[]
  )[0]!;
  const read = {
    account: fromHex(pubkey),
    hash: toBinary(fromHex(hash_hex)),
    timestamp,
    expiry,
    data: fromHex(data_hex),
    namespace: 0,
  };
  expect(decodeDataPush(fromHex(five!.blob))).toEqual([read]);
  expect(decodeDataPush(fromHex(twice!.blob))).toEqual([read, read]);
});

test('the current form, both ways', () => {
  const { pubkey, hash, timestamp, expiry, data_hex, namespace } = (
    six!.messages as {
      pubkey: string;
      hash: string;
      timestamp: number;
      expiry: number;
      data_hex: string;
      namespace: number;
    }[]
  )[0]!;
  const read = { account: fromHex(pubkey), hash, timestamp, expiry, data: fromHex(data_hex), namespace };
  expect(decodeDataPush(fromHex(six!.blob))).toEqual([read]);
  expect([...encodeDataPush([read])].map(toHex)).toEqual([six!.blob]);
});

test('no messages make one empty blob', () => {
  expect([...encodeDataPush([])].map(toHex)).toEqual(['016c65']);
  expect(decodeDataPush(fromHex('016c65'))).toEqual([]);
});

test('a blob is closed before it passes the limit, and each holds at least one message', () => {
  // By the estimate of spec/storage-server §5.5: 2 + 2 · (79 + 43 + 10) = 266.
  const split = (limit: number) =>
    [...encodeDataPush([message(1), message(2), message(3)], limit)].map(
      (blob) => decodeDataPush(blob).length,
    );
  expect(split(266)).toEqual([2, 1]);
  expect(split(265)).toEqual([1, 1, 1]);
  expect(split(1)).toEqual([1, 1, 1]);
  expect(split(10_000)).toEqual([3]);
});

test('data and account share memory with the blob', () => {
  const blob = [...encodeDataPush([message(1)])][0]!;
  const [read] = decodeDataPush(blob);
  expect(read!.data.buffer).toBe(blob.buffer);
});

test.each([
  ['no bytes', new Uint8Array(0)],
  ['another version', fromHex('026c65')],
  ['no list', fromHex('016465')],
  ['an item that is no list', fromHex('016c693165 65'.replaceAll(' ', ''))],
  ['bytes after the list', fromHex('016c6565')],
  ['four elements', concat(Uint8Array.of(1), encodeBt([[new Uint8Array(33), 'hash', 1, 2]]))],
  ['a short account', concat(Uint8Array.of(1), encodeBt([[new Uint8Array(32), 'hash', 1, 2, 'data']]))],
  ['a negative time', concat(Uint8Array.of(1), encodeBt([[new Uint8Array(33), 'hash', -1, 2, 'data']]))],
  [
    'a namespace out of range',
    concat(Uint8Array.of(1), encodeBt([[new Uint8Array(33), 'hash', 1, 2, 'data', 32768]])),
  ],
  ['values without end', concat(utf8('\u0001l'), utf8('de'.repeat(100_000)), utf8('e'))],
])('%s is refused', (_what, blob) => {
  expect(() => decodeDataPush(blob)).toThrow(ParseError);
});

test('what was encoded decodes to the same', () => {
  const messages = fc.array(
    fc.record({
      account: fc.uint8Array({ minLength: 33, maxLength: 33 }),
      hash: fc.stringMatching(/^[A-Za-z0-9+/]{43}$/),
      timestamp: fc.nat(),
      expiry: fc.nat(),
      data: fc.uint8Array({ maxLength: 200 }),
      namespace: fc.integer({ min: -32768, max: 32767 }),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(messages, fc.integer({ min: 0, max: 2000 }), (list, limit) => {
      expect([...encodeDataPush(list, limit)].flatMap((blob) => decodeDataPush(blob))).toEqual(list);
    }),
  );
});
