// SPDX-License-Identifier: AGPL-3.0-or-later
// What other nodes answer to a tester, good and bad.
import { OmqError } from '@allium/net/omq/endpoint';
import { toBase64, utf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import { TransportError, type TransportResponse } from '@allium/protocol/env';
import { memberOf } from '@allium/protocol/membership';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseTime, Questions } from '../../src/testing/questions.ts';
import { TestClock } from '../support/test-clock.ts';

const { publicKey } = ed25519KeyPair(new Uint8Array(32).fill(1));
const MEMBER = memberOf({
  ed25519Key: publicKey,
  host: '192.0.2.1',
  httpsPort: 443,
  omqPort: 22020,
  swarmId: 1n,
})!;
const KEY_HEADER = 'x-oxen-snode-pubkey';
const NOW = 1_700_000_000_000;

function asking(
  https: () => Promise<Partial<TransportResponse>>,
  omq: () => Promise<Uint8Array[]> = async () => [],
) {
  const questions = new Questions({
    omq: { request: omq },
    transport: {
      request: async () => ({ status: 200, headers: {}, body: new Uint8Array(0), ...(await https()) }),
    },
    clock: new TestClock(NOW),
    timeoutMs: 5_000,
  });
  const { signal } = new AbortController();
  return {
    ping: () => questions.ping(MEMBER, signal),
    offset: () => questions.clockOffset(MEMBER, signal),
  };
}

const good = async () => ({ headers: { [KEY_HEADER]: toBase64(publicKey) } });

test('a ping passes when both listeners answer with the right key, in base64 or hex', async () => {
  expect(await asking(good).ping()).toEqual({});
  expect(await asking(async () => ({ headers: { [KEY_HEADER]: MEMBER.ed25519Hex } })).ping()).toEqual({});
});

test.each<[string, () => Promise<Partial<TransportResponse>>, string]>([
  ['no key', async () => ({}), 'another key answers'],
  [
    'the key of another',
    async () => ({ headers: { [KEY_HEADER]: toBase64(new Uint8Array(32)) } }),
    'another key answers',
  ],
  ['a key that is none', async () => ({ headers: { [KEY_HEADER]: '%%%' } }), 'another key answers'],
  ['a long header', async () => ({ headers: { [KEY_HEADER]: 'A'.repeat(100_000) } }), 'another key answers'],
  ['another status', async () => ({ status: 503 }), 'answered with status 503'],
  ['silence', () => Promise.reject(new TransportError('timeout', 'no answer')), 'timeout'],
  ['nobody', () => Promise.reject(new TransportError('unreachable', 'ECONNREFUSED')), 'unreachable'],
])('https: %s', async (_, https, fault) => {
  expect(await asking(https).ping()).toEqual({ https: fault });
});

test('omq: any reply counts, also a refusal; another key and silence do not', async () => {
  const omq = (code: OmqError['code']) => asking(good, () => Promise.reject(new OmqError(code, 'no'))).ping();
  expect(await omq('refused')).toEqual({});
  expect(await omq('handshake')).toEqual({ omq: 'another key answers' });
  expect(await omq('timeout')).toEqual({ omq: 'timeout' });
});

test('the offset of a clock; no answer and nonsense are none', async () => {
  const offset = (answer: string) => asking(good, async () => [utf8(answer)]).offset();
  expect(await offset('1699999990')).toBe(9_500);
  expect(await offset('1700000000')).toBe(-500);
  expect(await offset('1.7e9')).toBeUndefined();
  expect(await asking(good, async () => []).offset()).toBeUndefined();
  expect(await asking(good, () => Promise.reject(new OmqError('timeout', 'no'))).offset()).toBeUndefined();
});

test('a time is one to twelve digits and nothing else', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (seconds) => {
      expect(parseTime(utf8(String(seconds)))).toBe(seconds);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const isTime =
        bytes.length > 0 && bytes.length <= 12 && bytes.every((byte) => byte >= 48 && byte <= 57);
      expect(parseTime(bytes) !== undefined).toBe(isTime);
    }),
  );
});
