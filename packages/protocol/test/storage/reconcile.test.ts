// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import {
  decodeActKeys,
  decodeHeld,
  decodeReconcileReply,
  decodeReconcileRequest,
  encodeActKeys,
  encodeHeld,
  encodeReconcileReply,
  encodeReconcileRequest,
  type ReconcileRequest,
} from '../../src/storage/reconcile.ts';

const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
const held = [
  { hash: bytes(32, 1), expiry: 1_700_000_000_123, changed: 0 },
  { hash: bytes(32, 2), expiry: 2 ** 48 - 1, changed: 1_700_000_000_000 },
];
const acts = [{ method: 'delete', time: 5, body: bytes(7, 9) }];

describe('sn.reconcile (spec/storage-server §5.13)', () => {
  const requests: ReconcileRequest[] = [
    { ask: 'digests', kind: 'm', cutoff: 17, prefix: bytes(2, 255), first: 3, count: 253 },
    { ask: 'list', kind: 'a', cutoff: 17, prefix: bytes(0, 0) },
    { ask: 'get', kind: 'm', keys: [bytes(32, 1), bytes(32, 2)] },
    { ask: 'get', kind: 'a', keys: [bytes(16, 1)] },
    { ask: 'put', kind: 'm', held },
    { ask: 'put', kind: 'a', acts },
  ];

  test.each(requests)('$ask $kind reads as it was written', (request) => {
    expect(decodeReconcileRequest(encodeReconcileRequest(request))).toEqual(request);
  });

  test('replies and packed lists read as they were written', () => {
    const reply = { digests: bytes(40, 1), list: encodeHeld(held), blob: bytes(3, 3), acts };
    expect(decodeReconcileReply(encodeReconcileReply(reply))).toEqual(reply);
    expect(decodeReconcileReply(encodeReconcileReply({}))).toEqual({});
    expect(decodeHeld(encodeHeld(held))).toEqual(held);
    const keys = [{ key: bytes(16, 4), time: 1_700_000_000_123 }];
    expect(decodeActKeys(encodeActKeys(keys))).toEqual(keys);
  });

  test.each([
    ['no kind', { q: 'list', c: 1 }],
    ['no question', { k: 'm' }],
    ['no cutoff', { k: 'm', p: '', q: 'list' }],
    ['ranges beyond a byte', { c: 1, f: 200, k: 'm', n: 57, p: '', q: 'digests' }],
    ['no range', { c: 1, f: 0, k: 'm', n: 0, p: '', q: 'digests' }],
    ['a long prefix', { c: 1, k: 'm', p: 'x'.repeat(9), q: 'list' }],
    ['half a hash', { h: 'x'.repeat(33), k: 'm', q: 'get' }],
    ['too many hashes', { h: 'x'.repeat(32 * 4097), k: 'm', q: 'get' }],
    ['half an entry', { k: 'm', l: 'x'.repeat(45), q: 'put' }],
    ['an act of two', { a: [['delete', 1]], k: 'a', q: 'put' }],
    ['an act that is none', { a: ['delete'], k: 'a', q: 'put' }],
    ['an act before time', { a: [['delete', -1, 'x']], k: 'a', q: 'put' }],
  ])('%s is refused', (_, dict) => {
    const sorted = Object.fromEntries(Object.entries(dict).sort(([a], [b]) => (a < b ? -1 : 1)));
    expect(() => decodeReconcileRequest(encodeBt(sorted))).toThrow(ParseError);
  });
});
