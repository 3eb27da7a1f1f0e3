// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ed25519KeyPair, ed25519Sign } from '#crypto';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromBase64, fromBinary, fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { type BtInput, decodeBt, encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import { encodeSubaccountToken, SubaccountFlag } from '../../src/identity/subaccount.ts';
import {
  checkMonitor,
  decodeMessageNotification,
  decodeMonitorRequest,
  encodeMessageNotification,
  encodeMonitorEnded,
  encodeMonitorReply,
  encodeMonitorRequest,
  isMonitorRefusal,
  MAX_SUBSCRIPTIONS_PER_REQUEST,
  type MonitorSubscription,
} from '../../src/storage/monitor.ts';
import { parseAccountPubkey } from '../../src/storage/requests.ts';
import { swarmEntry } from '../../src/storage/response-writer.ts';
import { monitorSignedText } from '../../src/storage/signatures.ts';

const [session, raw] = vectors.request_signatures.filter(({ method }) => method === 'monitor');
const frame = (name: string) => vectors.omq_messages.find((message) => message.name === name)!;
const body = (name: string) => fromHex(frame(name).parts.at(-1)!);
const SIGNED_AT = 1_700_000_000_000;
const DAY_MS = 86_400_000;

const subscriptionOf = (vector: typeof session): MonitorSubscription => {
  const { t, d, n, P } = vector!.params as { t: number; d?: number; n: number[]; P?: string };
  return {
    account: parseAccountPubkey(vector!.pubkey),
    ed25519Key: P === undefined ? undefined : fromHex(P),
    subaccount: undefined,
    wantsData: d === 1,
    namespaces: n,
    timestampSeconds: t,
    signature: fromBase64(vector!.signature_base64),
  };
};

/** Code of the only entry, or undefined when it is accepted. */
const codeOf = (request: Uint8Array): number | undefined => {
  const [entry] = decodeMonitorRequest(request).entries;
  return isMonitorRefusal(entry!) ? entry.errcode : undefined;
};

describe('requests of the vectors', () => {
  test('one dict', () => {
    const request = decodeMonitorRequest(body('monitor, Session account'));
    expect(request).toEqual({ isList: false, entries: [subscriptionOf(session)] });
    expect(toHex(encodeMonitorRequest([subscriptionOf(session)], false))).toBe(
      toHex(body('monitor, Session account')),
    );
    expect(toHex(encodeMonitorReply(['success'], false))).toBe(
      frame('monitor, Session account').reply!.at(-1),
    );
  });

  test('a list', () => {
    const subscriptions = [subscriptionOf(session), subscriptionOf(raw)];
    const bytes = body('monitor, two accounts in one request');
    expect(decodeMonitorRequest(bytes)).toEqual({ isList: true, entries: subscriptions });
    expect(toHex(encodeMonitorRequest(subscriptions, true))).toBe(toHex(bytes));
    expect(toHex(encodeMonitorReply(['success', 'success'], true))).toBe(
      frame('monitor, two accounts in one request').reply!.at(-1),
    );
  });

  test('their signatures hold, from 14 days before to one day ahead', () => {
    for (const vector of [session, raw]) {
      const subscription = subscriptionOf(vector);
      expect(checkMonitor(subscription, SIGNED_AT)).toBeUndefined();
      expect(checkMonitor(subscription, SIGNED_AT + 14 * DAY_MS)).toBeUndefined();
      expect(checkMonitor(subscription, SIGNED_AT + 14 * DAY_MS + 1_000)).toMatchObject({ errcode: 4 });
      expect(checkMonitor(subscription, SIGNED_AT - DAY_MS)).toBeUndefined();
      expect(checkMonitor(subscription, SIGNED_AT - DAY_MS - 1_000)).toMatchObject({ errcode: 4 });
      const others: Partial<MonitorSubscription>[] = [
        { wantsData: !subscription.wantsData },
        { namespaces: [...subscription.namespaces, 99] },
        { timestampSeconds: subscription.timestampSeconds + 1 },
        { account: parseAccountPubkey(`04${'12'.repeat(32)}`), ed25519Key: undefined },
      ];
      for (const other of others) {
        expect(checkMonitor({ ...subscription, ...other }, SIGNED_AT)).toMatchObject({ errcode: 5 });
      }
    }
  });

  test('notifications', () => {
    for (const [name, data] of [
      ['notification without data', undefined],
      ['notification with data', utf8('hello')],
    ] as const) {
      const bytes = body(name);
      const notification = decodeMessageNotification(bytes);
      expect(notification).toMatchObject({
        namespace: 11,
        timestamp: 1_700_000_000_123,
        expiry: 1_700_086_400_123,
      });
      expect(notification.data).toEqual(data);
      expect(toHex(encodeMessageNotification(notification))).toBe(toHex(bytes));
    }
  });
});

describe('a request is refused with its code', () => {
  const good = {
    P: subscriptionOf(session).ed25519Key!,
    d: 1,
    n: [0, 2, 3],
    s: subscriptionOf(session).signature,
    t: 1_700_000_000,
  };
  const p = parseAccountPubkey(raw!.pubkey).bytes;
  const cases: [string, { readonly [key: string]: BtInput | undefined }, number | undefined][] = [
    ['nothing wrong', {}, undefined],
    ['no pubkey', { P: undefined }, 1],
    ['two pubkeys', { p }, 1],
    ['a token without its signature', { T: new Uint8Array(36) }, 1],
    ['a token signature without the token', { S: new Uint8Array(64) }, 1],
    ['no signature', { s: undefined }, 1],
    ['a short signature', { s: new Uint8Array(63) }, 1],
    ['no time', { t: undefined }, 1],
    ['a negative time', { t: -1 }, 1],
    ['no namespaces', { n: undefined }, 1],
    ['an empty list of namespaces', { n: [] }, 1],
    ['namespaces of another kind', { n: 3 }, 1],
    ['a namespace beyond 16 bits', { n: [0, 32_768] }, 1],
    ['a namespace that is text', { n: ['0'] }, 1],
    ['d of 2', { d: 2 }, 1],
    ['P of a wrong size', { P: new Uint8Array(33) }, 2],
    ['P that is no key', { P: new Uint8Array(32).fill(255) }, 2],
    ['p of a wrong size', { P: undefined, p: p.subarray(1) }, 2],
    ['p of a Session account', { P: undefined, p: parseAccountPubkey(session!.pubkey).bytes }, 2],
    ['a wrong-sized token', { S: new Uint8Array(64), T: new Uint8Array(35) }, 2],
    ['a wrong-sized token signature', { S: new Uint8Array(65), T: new Uint8Array(36) }, 2],
    ['the same namespace twice', { n: [0, 0] }, 3],
    ['namespaces that descend', { n: [2, 0] }, 3],
  ];
  test.each(cases)('%s', (_, change, code) => {
    expect(codeOf(encodeBt({ ...good, ...change }))).toBe(code);
  });

  test('what is neither a dict nor a list, or is too long', () => {
    for (const text of ['', 'i5e', '3:abc', 'd', 'di1ei1ee', 'l'.repeat(2_000)]) {
      expect(codeOf(utf8(text))).toBe(1);
      expect(decodeMonitorRequest(utf8(text)).isList).toBe(false);
    }
    const long = encodeBt(Array.from({ length: MAX_SUBSCRIPTIONS_PER_REQUEST + 1 }, () => ({})));
    expect(decodeMonitorRequest(long).entries).toHaveLength(1);
    expect(codeOf(long)).toBe(1);
  });

  test('in a list each entry has its own', () => {
    const request = decodeMonitorRequest(encodeBt([good, 5, { ...good, n: [1, 1] }]));
    expect(request.entries.map((entry) => (isMonitorRefusal(entry) ? entry.errcode : 0))).toEqual([0, 1, 3]);
  });
});

describe('subaccounts', () => {
  const owner = ed25519KeyPair(new Uint8Array(32).fill(1));
  const member = ed25519KeyPair(new Uint8Array(32).fill(2));
  const subscription = (flags: number, prefix = 3): MonitorSubscription => {
    const token = encodeSubaccountToken(prefix, flags, member.publicKey);
    const unsigned = {
      account: parseAccountPubkey(`03${toHex(owner.publicKey)}`),
      subaccount: { token, signature: ed25519Sign(token, owner.secretKey) },
      wantsData: false,
      namespaces: [11],
      timestampSeconds: SIGNED_AT / 1000,
    };
    return { ...unsigned, signature: ed25519Sign(monitorSignedText(unsigned), member.secretKey) };
  };

  test('need the read flag and their prefix', () => {
    expect(checkMonitor(subscription(SubaccountFlag.read), SIGNED_AT)).toBeUndefined();
    expect(checkMonitor(subscription(SubaccountFlag.write), SIGNED_AT)).toMatchObject({ errcode: 5 });
    expect(checkMonitor(subscription(SubaccountFlag.read, 2), SIGNED_AT)).toMatchObject({ errcode: 5 });
    const anywhere = SubaccountFlag.read | SubaccountFlag.anyPrefix;
    expect(checkMonitor(subscription(anywhere, 2), SIGNED_AT)).toBeUndefined();
  });

  test('are refused when revoked, or when the owner did not sign the token', () => {
    const good = subscription(SubaccountFlag.read);
    expect(checkMonitor(good, SIGNED_AT, () => true)).toMatchObject({ errcode: 5 });
    const forged = { ...good.subaccount!, signature: good.signature };
    expect(checkMonitor({ ...good, subaccount: forged }, SIGNED_AT)).toMatchObject({ errcode: 5 });
  });

  test('survive the wire', () => {
    const good = subscription(SubaccountFlag.read);
    const [read] = decodeMonitorRequest(encodeMonitorRequest([good], false)).entries;
    expect(checkMonitor(read as MonitorSubscription, SIGNED_AT)).toBeUndefined();
  });
});

test('a wrong swarm is told with the right one, in the reply and at the end', () => {
  const { pubkey_ed25519, pubkey_x25519 } = vectors.keys.nodes[0]!;
  const node = {
    ed25519Key: fromHex(pubkey_ed25519),
    ed25519Hex: pubkey_ed25519,
    x25519Hex: pubkey_x25519,
    host: '203.0.113.7',
    httpsPort: 22021,
    omqPort: 22020,
  };
  const swarm = { snodes: [swarmEntry(node)], swarm: 'abc' };
  const reply = decodeBt(encodeMonitorReply([{ errcode: 6, error: 'elsewhere', swarm }], false));
  const account = parseAccountPubkey(raw!.pubkey).bytes;
  const ended = decodeBt(encodeMonitorEnded(account, { error: 'elsewhere', swarm }));
  for (const dict of [reply, ended] as Map<string, unknown>[]) {
    expect(dict.get('errcode')).toBe(6);
    expect(dict.get('error')).toEqual(utf8('elsewhere'));
    expect(dict.get('swarm')).toEqual(utf8('abc'));
    expect((dict.get('snodes') as Map<string, unknown>[])[0]!.get('port_omq')).toBe(22020);
  }
  expect((ended as Map<string, unknown>).get('@')).toEqual(account);
});

test('property: any subscription survives the wire, any bytes are read without an exception', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const entry = fc.record({
    account: bytes(32).map((key) => parseAccountPubkey(`03${toHex(key)}`)),
    subaccount: fc.option(fc.record({ token: bytes(36), signature: bytes(64) }), { nil: undefined }),
    ed25519Key: fc.constant(undefined),
    wantsData: fc.boolean(),
    namespaces: fc
      .uniqueArray(fc.integer({ min: -32_768, max: 32_767 }), { minLength: 1, maxLength: 20 })
      .map((list) => list.sort((a, b) => a - b)),
    timestampSeconds: fc.nat(),
    signature: bytes(64),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
      expect(decodeMonitorRequest(encodeMonitorRequest(entries, true))).toEqual({ isList: true, entries });
    }),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.string().map(fromBinaryish)), (input) => {
      decodeMonitorRequest(input);
      try {
        decodeMessageNotification(input);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});

const fromBinaryish = (text: string) => fromBinary(text.replace(/[^\0-\xff]/g, ''));
