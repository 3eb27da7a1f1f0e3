// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, toBase64, toHex, utf8 } from '../../src/bytes.ts';
import { decodeBtDict, encodeBt } from '../../src/codec/bencode.ts';
import { parseJson } from '../../src/codec/json.ts';
import { ParseError } from '../../src/errors.ts';
import { RECURSIVE_METHODS, type RecursiveMethod } from '../../src/storage/requests.ts';
import { swarmEntry, toBtResult, toJsonResult } from '../../src/storage/response-writer.ts';
import {
  isUsableIpv4,
  type NodeFailure,
  type NodeResults,
  parseBatchResult,
  parseGetExpiriesResult,
  parseInfoResult,
  parseNodeReply,
  parseRecursiveResult,
  parseRetrieveResult,
  parseRevokedSubaccountsResult,
  parseSwarm,
} from '../../src/storage/responses.ts';

const HASH = 'D78g/cvw1LF8J4YhYGnbnn5TsowgT3HGlrMvb9xCRKU';
const OTHER_HASH = 'fyw11PQP8jDRVFMpH0p7tIV+Sf/wweQCwdytbk4TjCo';
const NOW = 1_700_000_000_123;
const signature = fromHex('ab'.repeat(64));
const stamp = { t: NOW, hf: [21, 2] as [number, number] };
const [node] = vectors.keys.nodes;
const KEY = node!.pubkey_ed25519;
/** As a client receives it. */
const received = (result: object): unknown => JSON.parse(toJsonResult(result));

const results: { [M in RecursiveMethod]: NodeResults[M][] } = {
  store: [
    { hash: HASH, expiry: NOW, already: undefined, signature },
    { hash: HASH, expiry: NOW, already: true, signature },
  ],
  delete: [
    { deleted: [HASH, OTHER_HASH], signature },
    { deleted: [], signature },
  ],
  delete_all: [
    { deleted: [HASH], signature },
    { deleted: { '0': [HASH], '-42': [OTHER_HASH] }, signature },
    { deleted: {}, signature },
  ],
  delete_before: [{ deleted: { '32767': [HASH] }, signature }],
  expire: [
    { expiry: NOW, updated: [HASH], unchanged: undefined, signature },
    { expiry: NOW, updated: [], unchanged: { [HASH]: NOW + 1 }, signature },
    { expiry: [NOW, NOW + 1], updated: [HASH, OTHER_HASH], unchanged: {}, signature },
  ],
  expire_all: [
    { updated: [HASH], signature },
    { updated: { '3': [HASH] }, signature },
  ],
  revoke_subaccount: [{ count: undefined, signature }],
  unrevoke_subaccount: [{ count: 50, signature }],
};
const cases = Object.entries(results).flatMap(([method, list]) =>
  list.map((result) => ({ method: method as RecursiveMethod, result })),
);

test('all recursive methods are covered', () => {
  expect(new Set(Object.keys(results))).toEqual(RECURSIVE_METHODS);
});

test.each(cases)('$method: an entry reaches the peer and the client as it was', ({ method, result }) => {
  expect(parseNodeReply(method, decodeBtDict(toBtResult(result)))).toEqual(result);
  const answer = { swarm: { [KEY]: result }, hash: method === 'store' ? HASH : undefined, ...stamp };
  expect(parseRecursiveResult(method, received(answer))).toEqual(answer);
});

test('the forwarded store of the vectors', () => {
  const { parts } = vectors.omq_messages.find(({ name }) => name === 'reply to forwarded store')!;
  const result = parseNodeReply('store', decodeBtDict(fromHex(parts[2]!)));
  expect(result).toMatchObject({ hash: HASH, expiry: 1700086400123 });
  expect(toHex(toBtResult(result))).toBe(parts[2]);
});

describe('failures', () => {
  const failures: [NodeFailure, string][] = [
    [{ failed: true, timeout: true }, '{"failed":true,"timeout":true}'],
    [{ failed: true, code: '401', reason: 'text' }, '{"failed":true,"code":"401","reason":"text"}'],
    [{ failed: true, bad_peer_response: true }, '{"failed":true,"bad_peer_response":true}'],
    [{ failed: true, query_failure: true }, '{"failed":true,"query_failure":true}'],
  ];

  test.each(failures)('%j', (failure, json) => {
    expect(toJsonResult(failure)).toBe(json);
    expect(
      parseRecursiveResult('store', { swarm: { [KEY]: JSON.parse(json) }, ...stamp }).swarm[KEY],
    ).toMatchObject(failure);
    expect(parseNodeReply('delete', decodeBtDict(toBtResult(failure)))).toMatchObject(failure);
  });

  test('booleans that a peer wrote as 1 reach the client as 1', () => {
    const entry = { failed: 1, query_failure: 1, reason: 'full' };
    expect(parseRecursiveResult('store', { swarm: { [KEY]: entry }, ...stamp }).swarm[KEY]).toMatchObject({
      failed: true,
      query_failure: true,
      reason: 'full',
    });
    const stored = { hash: HASH, expiry: NOW, already: 1, signature: toBase64(signature) };
    expect(parseRecursiveResult('store', { swarm: { [KEY]: stored }, ...stamp }).swarm[KEY]).toMatchObject({
      already: true,
    });
  });

  test('one bad entry does not spoil the others', () => {
    const good = { hash: HASH, expiry: NOW, signature: toBase64(signature) };
    const key = (n: number) => `${n}`.repeat(64);
    const swarm = {
      [key(1)]: good,
      [key(2)]: { ...good, hash: 'x' },
      [key(3)]: { ...good, expiry: -1 },
      [key(4)]: { ...good, signature: 'AA==' },
      [key(5)]: null,
      [key(6)]: { failed: 'yes' },
    };
    const parsed = parseRecursiveResult('store', { swarm, ...stamp }).swarm;
    expect(parsed[key(1)]).toMatchObject({ hash: HASH, signature });
    for (const n of [2, 3, 4, 5, 6])
      expect(parsed[key(n)]).toEqual({ failed: true, bad_peer_response: true });
  });

  test('a long reason is cut', () => {
    const entry = { failed: true, reason: 'x'.repeat(100_000) };
    const failure = parseNodeReply('store', decodeBtDict(toBtResult(entry))) as NodeFailure;
    expect(failure.reason!.length).toBe(500);
  });
});

describe('writing', () => {
  test('JSON as JSON.stringify, bytes as base64, bigints as digits, undefined left out', () => {
    const result = {
      data: Uint8Array.of(1, 2, 3, 4),
      none: undefined,
      id: 18446744073709551615n,
      'quo"te': '"\n\u2028é\ud800',
      list: [null, true, 1.5, [], {}],
    };
    expect(toJsonResult(result)).toBe(
      '{"data":"AQIDBA==","id":18446744073709551615,"quo\\"te":"\\"\\n\u2028é\\ud800","list":[null,true,1.5,[],{}]}',
    );
  });

  test('any JSON is written as JSON.stringify does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(toJsonResult(value))).toEqual(JSON.parse(JSON.stringify(value)));
        expect(toJsonResult(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  test('bt with raw bytes; names beyond ASCII as UTF-8; no null and no floats', () => {
    expect(toBtResult({ z: [{ é: 1 }], data: Uint8Array.of(0xff), yes: true })).toEqual(
      encodeBt({ data: Uint8Array.of(0xff), yes: 1, z: [{ '\xc3\xa9': 1 }] }),
    );
    expect(() => toBtResult({ a: null })).toThrow(ParseError);
    expect(() => toBtResult({ é: [1.5] })).toThrow(ParseError);
  });
});

describe('retrieve', () => {
  const message = { hash: HASH, timestamp: NOW, expiration: NOW + 1, data: utf8('hello') };

  test('data in base64, the order kept', () => {
    const result = { messages: [message, { ...message, hash: OTHER_HASH }], more: true, ...stamp };
    expect(received(result)).toMatchObject({ messages: [{ data: 'aGVsbG8=', expiration: NOW + 1 }, {}] });
    expect(parseRetrieveResult(received(result))).toEqual(result);
  });

  test.each([
    { messages: {} },
    { messages: [null] },
    { messages: [{ ...message, data: '!' }] },
    { messages: [{ ...message, data: 'AA==', hash: '' }] },
    { messages: [{ ...message, data: 'AA==', hash: 'x'.repeat(129) }] },
    { messages: [{ ...message, data: 'AA==', timestamp: '5' }] },
    { messages: [{ ...message, data: 'AA==', expiration: 1.5 }] },
    { messages: [], more: 'no' },
    { messages: [], t: undefined },
    { messages: [], hf: [21] },
    { messages: [], hf: [21, '2'] },
  ])('%# is refused', (result) => {
    expect(() => parseRetrieveResult({ more: false, ...stamp, ...result })).toThrow(ParseError);
  });
});

test('info', () => {
  const result = { version: [2, 11, 0] as [number, number, number], timestamp: NOW, ...stamp };
  expect(parseInfoResult(received(result))).toEqual({ ...result, capabilities: [] });
  const capable = { ...result, capabilities: ['wait', 5, 'x'.repeat(33), 'more'] };
  expect(parseInfoResult(capable).capabilities).toEqual(['wait', 'more']);
  for (const version of [undefined, [2, 11], [2, 11, -1], '2.11.0', [2, 11, 0, 0]]) {
    expect(() => parseInfoResult({ ...result, version })).toThrow(ParseError);
  }
});

test('get_expiries', () => {
  expect(parseGetExpiriesResult({ expiries: { [HASH]: NOW } })).toEqual({ expiries: { [HASH]: NOW } });
  for (const expiries of [undefined, [], { x: NOW }, { [HASH]: 'x' }, JSON.parse('{"__proto__":5}')]) {
    expect(() => parseGetExpiriesResult({ expiries })).toThrow(ParseError);
  }
});

test('revoked_subaccounts', () => {
  const result = { revoked_subaccounts: [new Uint8Array(36).fill(7)], ...stamp };
  expect(parseRevokedSubaccountsResult(received(result))).toEqual(result);
  expect(() => parseRevokedSubaccountsResult({ revoked_subaccounts: ['AA=='], ...stamp })).toThrow(
    ParseError,
  );
});

describe('swarms', () => {
  const member = {
    ed25519Key: fromHex(KEY),
    ed25519Hex: KEY,
    x25519Hex: node!.pubkey_x25519,
    host: '203.0.113.7',
    httpsPort: 22021,
    omqPort: 22020,
  };
  const entry = swarmEntry(member);
  const read = {
    ed25519Hex: KEY,
    x25519Hex: member.x25519Hex,
    host: member.host,
    httpsPort: 22021,
    omqPort: 22020,
  };
  const swarm = (snodes: unknown[], id = 'fedcba9876543210') => parseSwarm({ snodes, swarm: id, ...stamp });

  test('an entry has all members of the specification', () => {
    expect(entry).toEqual({
      address: expect.stringMatching(/^[a-z1-9]{52}\.snode$/),
      pubkey_legacy: KEY,
      pubkey_x25519: member.x25519Hex,
      pubkey_ed25519: KEY,
      port: '22021',
      port_https: 22021,
      port_omq: 22020,
      port_quic: 22020,
      ip: '203.0.113.7',
    });
    const [host] = vectors.text_encodings.snode_host_name;
    expect(swarmEntry({ ...member, ed25519Key: fromHex(host!.pubkey_legacy) }).address).toBe(host!.host);
  });

  test('what a node writes, a client reads', () => {
    expect(swarm([received(entry)])).toEqual({ swarmId: 0xfedcba9876543210n, members: [read], t: NOW });
    expect(swarm([], 'ffffffffffffffff').swarmId).toBe(2n ** 64n - 1n);
    expect(swarm([], '0').swarmId).toBe(0n);
  });

  test('the older port as text', () => {
    const { port_https: _, ...older } = entry;
    expect(swarm([older]).members).toEqual([read]);
  });

  test.each([
    { ip: '0.0.0.0' },
    { ip: '255.255.255.255' },
    { ip: 'example.org' },
    { ip: '1.2.3' },
    { ip: '1.2.3.4.' },
    { ip: '1.2.3.256' },
    { ip: 5 },
    { port_https: 0, port: '0' },
    { port_https: 65_536 },
    { port_https: '22021' },
    { pubkey_ed25519: '' },
    { pubkey_ed25519: KEY.toUpperCase() },
    { pubkey_x25519: undefined },
  ])('a member that cannot be reached is left out: %j', (change) => {
    expect(swarm([{ ...entry, ...change }, entry]).members).toEqual([read]);
  });

  test.each([null, {}, { snodes: {}, swarm: '0' }, { snodes: [5], swarm: '0' }, { snodes: [] }])(
    '%j is refused',
    (json) => {
      expect(() => parseSwarm(json)).toThrow(ParseError);
    },
  );

  test.each([7, '', '0x1', 'FF', '1'.repeat(17)])('swarm id %j is refused', (id) => {
    expect(() => swarm([], id as string)).toThrow(ParseError);
  });

  test('addresses', () => {
    for (const good of ['1.2.3.4', '127.0.0.1', '249.250.255.0', '199.99.9.19'])
      expect(isUsableIpv4(good)).toBe(true);
    for (const bad of ['', '1.2.3', '1.2.3.4.5', '1..2.3', '01234.2.3.4', '1.2.3.4\n', '::1']) {
      expect(isUsableIpv4(bad)).toBe(false);
    }
  });
});

test('batches', () => {
  const json = {
    results: [
      { code: 200, body: { t: 1 } },
      { code: 401, body: 'text' },
    ],
  };
  expect(parseBatchResult(json, 2)).toEqual(json.results);
  for (const [bad, requests] of [
    [json, 1],
    [{}, 2],
    [{ results: [5] }, 2],
    [{ results: [{ code: '200', body: '' }] }, 2],
  ] as const) {
    expect(() => parseBatchResult(bad, requests)).toThrow(ParseError);
  }
});

const parsers: Record<string, (json: unknown) => unknown> = {
  retrieve: parseRetrieveResult,
  info: parseInfoResult,
  get_expiries: parseGetExpiriesResult,
  revoked_subaccounts: parseRevokedSubaccountsResult,
  swarm: parseSwarm,
  batch: (json) => parseBatchResult(json, 5),
  ...Object.fromEntries(
    [...RECURSIVE_METHODS].map((method) => [
      method,
      (json: unknown) => parseRecursiveResult(method as RecursiveMethod, json),
    ]),
  ),
};

test.each(Object.keys(parsers))('%s: any JSON is a result or a ParseError', (name) => {
  const members = fc.constantFrom(
    'swarm',
    'snodes',
    'messages',
    'results',
    't',
    'hf',
    'version',
    'expiries',
    '__proto__',
  );
  const json = fc.oneof(fc.jsonValue(), fc.dictionary(members, fc.jsonValue()));
  fc.assert(
    fc.property(json, (value) => {
      try {
        parsers[name]!(parseJson(JSON.stringify(value)));
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});
