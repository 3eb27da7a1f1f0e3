// SPDX-License-Identifier: MIT
// biome-ignore-all lint/suspicious/noThenProperty: `then` is a name of the wire
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, toBase64, toBase64Unpadded, toHex, utf8 } from '../../src/bytes.ts';
import { type BtInput, decodeBtDict, encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import {
  decodeForward,
  decodeJsonBody,
  decodeMethodBody,
  parseBtRequest,
  parseJsonRequest,
} from '../../src/storage/request-reader.ts';
import { encodeForward, encodeJsonBody } from '../../src/storage/request-writer.ts';
import {
  conditionsHold,
  type IfElseRequest,
  isRecursive,
  METHOD_NAMES,
  parseAccountPubkey,
  RECURSIVE_METHODS,
  type RecursiveRequest,
  RequestError,
  type RetrieveRequest,
  type StorageRequest,
  type StoreRequest,
} from '../../src/storage/requests.ts';

const { account: session, group } = vectors.keys;
const PUBKEY = session.session_id;
const ED25519 = session.pubkey_ed25519;
const GROUP = group.group_id;
const HASH = 'D78g/cvw1LF8J4YhYGnbnn5TsowgT3HGlrMvb9xCRKU';
const OTHER_HASH = 'fyw11PQP8jDRVFMpH0p7tIV+Sf/wweQCwdytbk4TjCo';
const SIGNATURE = fromHex('ab'.repeat(64));
const SIGNATURE_TEXT = toBase64(SIGNATURE);
const TOKEN = fromHex(`03030000${'cd'.repeat(32)}`);
const NOW = 1_700_000_000_123;

const SIGNED = { pubkey: PUBKEY, pubkey_ed25519: ED25519, signature: SIGNATURE_TEXT };
const BT_SIGNED = { pubkey: fromHex(PUBKEY), pubkey_ed25519: fromHex(ED25519), signature: SIGNATURE };
const STORE = { pubkey: PUBKEY, timestamp: NOW, ttl: 60_000, data: 'aGVsbG8=' };
const BT_STORE = { pubkey: fromHex(PUBKEY), timestamp: NOW, ttl: 60_000, data: utf8('hello') };

type Params = Record<string, unknown>;

/** Through the text of JSON, as on the wire. */
function json(method: string, params: Params): StorageRequest {
  return decodeJsonBody(utf8(JSON.stringify({ method, params })));
}

function bt(method: string, params: Record<string, BtInput>): StorageRequest {
  return parseBtRequest(method, decodeBtDict(encodeBt(params)));
}

function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    expect(error.status).toBe(400);
    return error.text;
  }
  return 'no error';
}

const jsonError = (method: string, params: Params) => errorOf(() => json(method, params));
const btError = (method: string, params: Record<string, BtInput>) => errorOf(() => bt(method, params));

describe('accounts', () => {
  test.each(vectors.pubkey_parsing)('%j', (vector) => {
    const input = vector.input_ascii ?? fromHex(vector.input_hex!);
    if (!vector.accept) {
      expect(() => parseAccountPubkey(input)).toThrow(ParseError);
      return;
    }
    const account = parseAccountPubkey(input);
    expect(account.prefix).toBe(vector.type);
    expect(account.hex).toBe(vector.canonical ?? PUBKEY);
    expect(toHex(account.bytes)).toBe(account.hex);
    expect(account.key).toEqual(account.bytes.subarray(1));
  });

  test('33 raw characters in JSON, 66 digits in bt', () => {
    const raw = `\u0005${'x'.repeat(32)}`;
    expect(json('get_swarm', { pubkey: raw })).toMatchObject({ account: { hex: `05${'78'.repeat(32)}` } });
    expect(bt('get_swarm', { pubkey: PUBKEY })).toMatchObject({ account: { hex: PUBKEY } });
  });
});

describe('framing of JSON bodies', () => {
  test.each([
    ['', 'invalid json'],
    ['{', 'invalid json'],
    ['\u00ef\u00bb\u00bf{}', 'invalid json'],
    ['[]', 'invalid json: no `method` field'],
    ['null', 'invalid json: no `method` field'],
    ['7', 'invalid json: no `method` field'],
    ['{"params":{}}', 'invalid json: no `method` field'],
    ['{"method":7,"params":{}}', 'invalid json: no `method` field'],
    ['{"method":"info"}', 'invalid json: no `params` field'],
    ['{"method":"info","params":[]}', 'invalid json: no `params` field'],
    ['{"method":"info","params":null}', 'invalid json: no `params` field'],
    ['{"method":"nope","params":{}}', 'no method nope'],
    ['{"method":"constructor","params":{}}', 'no method constructor'],
  ])('%s', (body, text) => {
    expect(errorOf(() => decodeJsonBody(utf8(body)))).toBe(text);
  });

  test('bytes that are not UTF-8', () => {
    expect(errorOf(() => decodeJsonBody(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('invalid json');
  });

  test('jsonrpc, id and unknown members are ignored', () => {
    const body = '{"jsonrpc":"2.0","id":[{}],"method":"info","params":{"x":1},"more":null}';
    expect(decodeJsonBody(utf8(body))).toEqual({ method: 'info' });
  });

  test('blanks around the document pad it', () => {
    expect(decodeJsonBody(utf8(` {"method":"info","params":{}}${' '.repeat(500)}`))).toEqual({
      method: 'info',
    });
  });

  test('foreign text in an answer is cut', () => {
    expect(jsonError('x'.repeat(5_000_000), {}).length).toBeLessThan(300);
  });
});

describe('bodies of OMQ', () => {
  test('empty, JSON and bt', () => {
    expect(decodeMethodBody('info', new Uint8Array(0))).toEqual({ request: { method: 'info' }, isBt: false });
    const params = { pubkey: PUBKEY };
    const asJson = decodeMethodBody('get_snodes_for_pubkey', utf8(JSON.stringify(params)));
    const asBt = decodeMethodBody('get_swarm', encodeBt(params));
    expect(asJson).toMatchObject({ isBt: false, request: { method: 'get_swarm', account: { hex: PUBKEY } } });
    expect(asBt).toEqual({ ...asJson, isBt: true });
  });

  test.each(['x', 'dx', '[]', '7', 'le', 'i1e'])('%s is neither', (body) => {
    expect(errorOf(() => decodeMethodBody('info', utf8(body)))).toBe(
      'invalid body: expected json or bt_dict',
    );
  });

  test('an unknown method', () => {
    expect(errorOf(() => decodeMethodBody('nope', new Uint8Array(0)))).toBe('no method nope');
    expect(errorOf(() => decodeMethodBody('nope', utf8('de')))).toBe('no method nope');
  });

  test('data of a bt request is not copied', () => {
    const body = encodeBt({ ...BT_STORE });
    const { request } = decodeMethodBody('store', body);
    expect((request as StoreRequest).data.buffer).toBe(body.buffer);
  });
});

describe('general rules', () => {
  test('null is absent', () => {
    const params = {
      ...STORE,
      namespace: null,
      signature: null,
      subaccount: null,
      expiry: null,
      pubKey: null,
    };
    expect(json('store', params)).toEqual(json('store', STORE));
    expect(jsonError('store', { ...STORE, data: null })).toBe(
      "invalid request: Required field 'data' missing",
    );
  });

  test('a scalar stands for an array of one', () => {
    expect(json('delete', { ...SIGNED, messages: HASH })).toMatchObject({ messages: [HASH] });
    expect(bt('delete', { ...BT_SIGNED, messages: HASH })).toMatchObject({ messages: [HASH] });
    const revoke = { ...SIGNED, timestamp: NOW, revoke: toHex(TOKEN) };
    expect(json('revoke_subaccount', revoke)).toMatchObject({ tokens: [TOKEN] });
  });

  test('timestamps in seconds are refused where a single one stands in JSON', () => {
    const text = (name: string) =>
      `invalid request: Invalid timestamp for '${name}': timestamp must be in milliseconds`;
    const seconds = 999_999_999;
    const { ttl: _, ...store } = STORE;
    expect(jsonError('store', { ...store, expiry: seconds })).toBe(text('expiry'));
    expect(jsonError('store', { ...STORE, ...SIGNED, sig_timestamp: seconds })).toBe(text('sig_timestamp'));
    expect(jsonError('retrieve', { ...SIGNED, timestamp: seconds })).toBe(text('timestamp'));
    expect(jsonError('delete_all', { ...SIGNED, timestamp: seconds })).toBe(text('timestamp'));
    expect(jsonError('delete_before', { ...SIGNED, before: seconds })).toBe(text('before'));
    expect(jsonError('expire_all', { ...SIGNED, expiry: seconds })).toBe(text('expiry'));
    expect(jsonError('get_expiries', { ...SIGNED, messages: HASH, timestamp: seconds })).toBe(
      text('timestamp'),
    );
    expect(jsonError('revoke_subaccount', { ...SIGNED, revoke: [], timestamp: seconds })).toBe(
      text('timestamp'),
    );
    expect(jsonError('revoked_subaccounts', { ...SIGNED, timestamp: seconds })).toBe(text('timestamp'));
    // Not where spec/storage-server §2.5 makes exceptions.
    expect(json('store', { ...STORE, timestamp: 5 })).toMatchObject({ timestamp: 5, expiry: 60_005 });
    expect(json('expire', { ...SIGNED, messages: HASH, expiry: 5 })).toMatchObject({ expiries: [5] });
    expect(json('expire', { ...SIGNED, messages: HASH, expiry: [5] })).toMatchObject({ expiries: [5] });
    expect(bt('delete_all', { ...BT_SIGNED, timestamp: 5 })).toMatchObject({ timestamp: 5 });
    expect(json('delete_all', { ...SIGNED, timestamp: 1_000_000_000 })).toMatchObject({
      timestamp: 1_000_000_000,
    });
  });

  test.each<[string, Params, string]>([
    ['store', { ...STORE, timestamp: 1.5 }, 'timestamp'],
    ['store', { ...STORE, timestamp: -1 }, 'timestamp'],
    ['store', { ...STORE, timestamp: [NOW] }, 'timestamp'],
    ['store', { ...STORE, timestamp: 2 ** 53 }, 'timestamp'],
    ['store', { ...STORE, ttl: undefined, expiry: '1' }, 'expiry'],
    ['delete_all', { ...SIGNED, timestamp: true }, 'timestamp'],
    ['delete_before', { ...SIGNED, before: {} }, 'before'],
  ])('%s %j: a timestamp is expected', (method, params, name) => {
    expect(jsonError(method, params)).toBe(
      `invalid request: Invalid value given for '${name}': expected integer timestamp (in milliseconds)`,
    );
  });

  test.each<[string, Params, string]>([
    ['store', { ...STORE, ttl: -1 }, "'ttl': expected positive integer"],
    ['store', { ...STORE, ttl: 0.5 }, "'ttl': expected positive integer"],
    ['store', { ...STORE, ttl: '1.5' }, '\'ttl\': "1.5"'],
    ['store', { ...STORE, timestamp: 'soon' }, '\'timestamp\': "soon"'],
    ['store', { ...STORE, timestamp: '' }, '\'timestamp\': ""'],
    ['store', { ...STORE, timestamp: '-1' }, '\'timestamp\': "-1"'],
    ['store', { ...STORE, timestamp: '9007199254740992' }, '\'timestamp\': "9007199254740992"'],
    ['store', { ...STORE, data: 7 }, "'data': expected string"],
    ['store', { ...STORE, pubkey: 7 }, "'pubkey': expected string"],
    ['store', { ...STORE, signature: [] }, "'signature': expected string"],
    ['store', { ...STORE, namespace: '0' }, "'namespace': expected 16-bit integer"],
    ['store', { ...STORE, namespace: 0.5 }, "'namespace': expected 16-bit integer"],
    ['store', { ...STORE, namespace: 'all' }, "'namespace': expected 16-bit integer"],
    ['store', { ...STORE, namespace: 32768 }, "'namespace': value out of range"],
    ['store', { ...STORE, namespace: -32769 }, "'namespace': value out of range"],
    ['store', { ...STORE, namespace: 1e300 }, "'namespace': value out of range"],
    ['retrieve', { pubkey: PUBKEY, max_count: '5' }, "'max_count': expected integer"],
    ['retrieve', { pubkey: PUBKEY, max_size: 1.5 }, "'max_size': expected integer"],
    ['retrieve', { pubkey: PUBKEY, wait: '5' }, "'wait': expected integer"],
    ['retrieve', { pubkey: PUBKEY, wait: -1 }, "'wait': value out of range"],
    ['retrieve', { pubkey: PUBKEY, wait: 25_001 }, "'wait': value out of range"],
    ['retrieve', { pubkey: PUBKEY, last_hash: 5 }, "'last_hash': expected string"],
    ['delete', { ...SIGNED, messages: [HASH, 7] }, "'messages': expected string array"],
    ['delete', { ...SIGNED, messages: {} }, "'messages': expected string array"],
    ['delete', { ...SIGNED, messages: [HASH], required: 1 }, "'required': expected boolean"],
    ['delete_all', { ...SIGNED, namespace: 'some' }, '\'namespace\': expected integer or "all"'],
    ['delete_all', { ...SIGNED, namespace: 70_000 }, "'namespace': value out of range"],
    ['expire', { ...SIGNED, messages: [HASH], expiry: '5' }, "'expiry': expected timestamp array"],
    ['expire', { ...SIGNED, messages: [HASH], expiry: [NOW, -1] }, "'expiry': expected timestamp array"],
    ['expire', { ...SIGNED, messages: [HASH], expiry: NOW, extend: 'yes' }, "'extend': expected boolean"],
    ['revoke_subaccount', { ...SIGNED, revoke: [7] }, "'revoke': expected string array"],
    ['oxend_request', { endpoint: 7 }, "'endpoint': expected string"],
    ['ifelse', { if: { hf_before: 'x' } }, "'hf_before': expected integer array"],
    ['ifelse', { if: { hf_before: [1, 2, 3] } }, "'hf_before': expected integer array"],
    ['ifelse', { if: { height_before: [1] } }, "'height_before': expected integer"],
  ])('%s %j', (method, params, text) => {
    expect(jsonError(method, params)).toBe(`invalid request: Invalid value given for ${text}`);
  });

  test.each<[string, Record<string, BtInput>, string]>([
    ['store', { ...BT_STORE, timestamp: '5' }, "'timestamp': expected integer timestamp (in milliseconds)"],
    ['store', { ...BT_STORE, timestamp: -5 }, "'timestamp': expected integer timestamp (in milliseconds)"],
    ['store', { ...BT_STORE, ttl: '5' }, "'ttl': expected positive integer"],
    ['store', { ...BT_STORE, data: 5 }, "'data': expected string"],
    ['store', { ...BT_STORE, namespace: -32769 }, "'namespace': value out of range"],
    ['store', { ...BT_STORE, namespace: 2n ** 63n }, "'namespace': value out of range"],
    ['store', { ...BT_STORE, namespace: 'all' }, "'namespace': expected 16-bit integer"],
    ['retrieve', { pubkey: PUBKEY, max_count: 2n ** 63n }, "'max_count': expected integer"],
    ['delete', { ...BT_SIGNED, messages: [HASH, 7] }, "'messages': expected string array"],
    ['delete', { ...BT_SIGNED, messages: [HASH], required: 2 }, "'required': expected boolean"],
    ['delete_all', { ...BT_SIGNED, namespace: 'any' }, '\'namespace\': expected integer or "all"'],
    ['expire', { ...BT_SIGNED, messages: [HASH], expiry: ['x'] }, "'expiry': expected timestamp array"],
  ])('bt %s %#', (method, params, text) => {
    expect(btError(method, params)).toBe(`invalid request: Invalid value given for ${text}`);
  });
});

describe('signatures and keys', () => {
  const wrong = 'invalid request: invalid signature: expected base64 encoded Ed25519 signature';

  test('base64 of 86 characters or of 88 with padding', () => {
    const unpadded = toBase64Unpadded(SIGNATURE);
    expect(unpadded.length).toBe(86);
    for (const signature of [unpadded, `${unpadded}==`]) {
      expect(json('delete', { ...SIGNED, signature, messages: HASH })).toMatchObject({
        auth: { signature: SIGNATURE },
      });
    }
  });

  test.each(['', 'x', toHex(SIGNATURE), 'A'.repeat(88), `${'A'.repeat(87)}=`, '!'.repeat(86)])(
    '%j',
    (signature) => {
      expect(jsonError('delete', { ...SIGNED, signature, messages: HASH })).toBe(wrong);
    },
  );

  test('bt signatures are 64 raw bytes', () => {
    expect(btError('delete', { ...BT_SIGNED, signature: SIGNATURE_TEXT, messages: HASH })).toBe(
      'invalid request: invalid signature: expected 64-byte Ed25519 signature',
    );
  });

  test.each<[string, Params]>([
    ['delete', { messages: [HASH] }],
    ['delete_all', { timestamp: NOW }],
    ['delete_before', { before: NOW }],
    ['expire', { messages: [HASH], expiry: NOW }],
    ['expire_all', { expiry: NOW }],
    ['get_expiries', { messages: [HASH], timestamp: NOW }],
    ['revoke_subaccount', { revoke: [], timestamp: NOW }],
    ['unrevoke_subaccount', { unrevoke: [], timestamp: NOW }],
    ['revoked_subaccounts', { timestamp: NOW }],
  ])('%s needs its fields, the account and the signature', (method, fields) => {
    const params = { ...SIGNED, ...fields };
    expect(json(method, params)).toMatchObject({
      method,
      account: { hex: PUBKEY },
      auth: { signature: SIGNATURE },
    });
    for (const name of ['pubkey', 'signature', ...Object.keys(fields)]) {
      expect(jsonError(method, { ...params, [name]: undefined })).toBe(
        `invalid request: Required field '${name}' missing`,
      );
    }
    expect(jsonError(method, { ...params, pubkey: PUBKEY.slice(1) })).toBe(
      'invalid request: Pubkey must be 66 hex digits (33 bytes) long',
    );
    expect(jsonError(method, { ...params, pubkey: GROUP })).toBe(
      'invalid request: pubkey_ed25519 is only permitted for 05[...] pubkeys',
    );
  });

  test.each([
    ['zz'.repeat(32), 'invalid pubkey_ed25519: value is not hex'],
    ['ab'.repeat(31), 'Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey'],
    ['', 'Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey'],
    ['ä'.repeat(17), 'Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey'],
  ])('pubkey_ed25519 %j', (pubkey_ed25519, text) => {
    expect(jsonError('delete', { ...SIGNED, pubkey_ed25519, messages: HASH })).toBe(
      `invalid request: ${text}`,
    );
    expect(btError('delete', { ...BT_SIGNED, pubkey_ed25519, messages: HASH })).toBe(
      `invalid request: ${text}`,
    );
  });

  test('pubkey_ed25519 of prefix 04 is refused, without is an opaque account', () => {
    const params = { ...STORE, namespace: 42, signature: SIGNATURE_TEXT, pubkey: `04${'11'.repeat(32)}` };
    expect(json('store', params)).toMatchObject({ account: { prefix: 4 }, auth: { ed25519Key: undefined } });
    expect(jsonError('store', { ...params, pubkey_ed25519: ED25519 })).toBe(
      'invalid request: pubkey_ed25519 is only permitted for 05[...] pubkeys',
    );
  });
});

describe('subaccounts', () => {
  const request = (subaccount: unknown, subaccount_sig: unknown = SIGNATURE_TEXT) =>
    json('delete', { pubkey: GROUP, signature: SIGNATURE_TEXT, messages: HASH, subaccount, subaccount_sig });
  const auth = { subaccount: { token: TOKEN, signature: SIGNATURE } };

  test('tokens as base64, hex, and raw in bt', () => {
    expect(request(toBase64(TOKEN))).toMatchObject({ auth });
    expect(request(toHex(TOKEN).toUpperCase())).toMatchObject({ auth });
    const raw = { subaccount: TOKEN, subaccount_sig: SIGNATURE };
    expect(bt('delete', { pubkey: GROUP, signature: SIGNATURE, messages: HASH, ...raw })).toMatchObject({
      auth,
    });
  });

  test('empty counts as absent', () => {
    expect(request('')).toMatchObject({ auth: { subaccount: undefined } });
    expect(request(undefined)).toMatchObject({ auth: { subaccount: undefined } });
  });

  test('error texts', () => {
    const token = toBase64(TOKEN);
    expect(errorOf(() => request(token, null))).toBe(
      'invalid request: invalid subaccount: subaccount_sig is required when using subaccount',
    );
    for (const text of ['x', 'z'.repeat(72), '!'.repeat(48), `${'A'.repeat(47)}=`, `${'A'.repeat(46)}==`]) {
      expect(errorOf(() => request(text))).toBe(
        'invalid request: invalid subaccount: expected base64 or hex-encoded subaccount token',
      );
    }
    expect(errorOf(() => request(token, 'x'))).toBe(
      'invalid request: invalid subaccount signature: expected base64 encoded Ed25519 signature',
    );
    expect(
      btError('delete', {
        pubkey: GROUP,
        signature: SIGNATURE,
        messages: HASH,
        subaccount: token,
        subaccount_sig: SIGNATURE,
      }),
    ).toBe('invalid request: invalid subaccount token: invalid token length');
  });
});

describe('store', () => {
  test('ttl becomes an absolute expiry; numbers may be decimal text', () => {
    const parsed = json('store', { ...STORE, timestamp: String(NOW), ttl: '60000' });
    expect(parsed).toEqual({
      method: 'store',
      account: parseAccountPubkey(PUBKEY),
      namespace: 0,
      timestamp: NOW,
      expiry: NOW + 60_000,
      data: utf8('hello'),
      auth: undefined,
      signatureTimestamp: undefined,
    });
    expect(bt('store', BT_STORE)).toEqual(parsed);
  });

  test('exactly one of ttl and expiry', () => {
    const { ttl: _, ...params } = STORE;
    expect(json('store', { ...params, expiry: NOW + 60_000 })).toEqual(json('store', STORE));
    expect(jsonError('store', params)).toBe("invalid request: Required field 'expiry' or 'ttl' missing");
    expect(jsonError('store', { ...STORE, expiry: NOW })).toBe(
      "invalid request: Cannot specify both 'expiry' and 'ttl'",
    );
  });

  test('the signed time is the timestamp unless given', () => {
    expect(json('store', { ...STORE, ...SIGNED })).toMatchObject({ signatureTimestamp: NOW });
    expect(json('store', { ...STORE, ...SIGNED, sig_timestamp: NOW + 1 })).toMatchObject({
      signatureTimestamp: NOW + 1,
    });
  });

  test('without signature, its time and the subaccount are ignored', () => {
    const params = {
      ...STORE,
      pubkey_ed25519: ED25519,
      sig_timestamp: 'x',
      subaccount: 5,
      subaccount_sig: {},
    };
    expect(json('store', params)).toEqual(json('store', STORE));
  });

  test('data of the greatest length, and beyond', () => {
    const tooLong = 'invalid request: Message body exceeds maximum allowed length of 76800 bytes';
    const data = 'A'.repeat(102_400);
    expect((json('store', { ...STORE, data }) as StoreRequest).data.length).toBe(76_800);
    expect(jsonError('store', { ...STORE, data: `${data}A` })).toBe(tooLong);
    // Refused by its length before it is decoded.
    expect(jsonError('store', { ...STORE, data: '!'.repeat(9_000_000) })).toBe(tooLong);
    expect(bt('store', { ...BT_STORE, data: new Uint8Array(76_800) })).toMatchObject({ method: 'store' });
    expect(btError('store', { ...BT_STORE, data: new Uint8Array(76_801) })).toBe(tooLong);
  });

  test('data that is not base64, padded or not', () => {
    for (const data of ['!', 'a', 'aGVsbG8==', 'aGVs bG8=']) {
      expect(jsonError('store', { ...STORE, data })).toBe(
        "invalid request: Invalid 'data' value: not base64 encoded",
      );
    }
    expect(json('store', { ...STORE, data: 'aGVsbG8' })).toMatchObject({ data: utf8('hello') });
    expect(json('store', { ...STORE, data: '' })).toMatchObject({ data: new Uint8Array(0) });
  });

  test('pubKey is an alias, but not beside pubkey', () => {
    const { pubkey: _, ...params } = STORE;
    expect(json('store', { ...params, pubKey: PUBKEY.toUpperCase() })).toEqual(json('store', STORE));
    expect(jsonError('store', { ...STORE, pubKey: PUBKEY })).toBe(
      "invalid request: Cannot specify both 'pubkey' and 'pubKey'",
    );
    expect(jsonError('store', params)).toBe("invalid request: Required field 'pubkey' missing");
    expect(jsonError('store', { ...params, pubKey: 'x' })).toBe(
      'invalid request: Pubkey must be 66 hex digits (33 bytes) long',
    );
    expect(jsonError('delete', { ...SIGNED, pubkey: undefined, pubKey: PUBKEY, messages: HASH })).toBe(
      "invalid request: Required field 'pubkey' missing",
    );
  });

  test.each(['timestamp', 'data'])('%s is required', (name) => {
    expect(jsonError('store', { ...STORE, [name]: undefined })).toBe(
      `invalid request: Required field '${name}' missing`,
    );
  });
});

describe('retrieve', () => {
  const noSignature = "invalid request: Required field 'signature' missing";

  test('a signature is parsed only when something asks for it', () => {
    expect(json('retrieve', { pubkey: PUBKEY })).toMatchObject({
      namespace: 0,
      auth: undefined,
      timestamp: undefined,
    });
    for (const namespace of [-10, -1, -21]) {
      expect(json('retrieve', { pubkey: PUBKEY, namespace })).toMatchObject({ namespace, auth: undefined });
    }
    for (const params of [
      { namespace: 0 },
      { namespace: 5 },
      { timestamp: NOW },
      { namespace: -10, timestamp: NOW },
      { pubkey_ed25519: ED25519 },
    ]) {
      expect(jsonError('retrieve', { pubkey: PUBKEY, ...params })).toBe(noSignature);
    }
    expect(jsonError('retrieve', SIGNED)).toBe("invalid request: Required field 'timestamp' missing");
    expect(json('retrieve', { ...SIGNED, timestamp: NOW, namespace: -10 })).toMatchObject({
      timestamp: NOW,
      auth: { signature: SIGNATURE, ed25519Key: fromHex(ED25519) },
    });
  });

  test('last_hash', () => {
    const lastHash = (params: Params) =>
      (json('retrieve', { pubkey: PUBKEY, ...params }) as RetrieveRequest).lastHash;
    expect(lastHash({ last_hash: HASH })).toBe(HASH);
    expect(lastHash({ lastHash: HASH })).toBe(HASH);
    expect(lastHash({ last_hash: '' })).toBeUndefined();
    expect(lastHash({ last_hash: null, lastHash: HASH })).toBe(HASH);
    const text = (params: Params) => jsonError('retrieve', { pubkey: PUBKEY, ...params });
    expect(text({ last_hash: `${HASH}=` })).toBe(
      'invalid request: Invalid last_hash: expected base64 (43 chars)',
    );
    expect(text({ last_hash: '-'.repeat(43) })).toBe('invalid request: Invalid last_hash: not base64');
    expect(text({ last_hash: HASH, lastHash: HASH })).toBe(
      "invalid request: Cannot specify both 'last_hash' and 'lastHash'",
    );
  });

  test('limits are taken as they come', () => {
    for (const wait of [0, 25_000]) {
      const request = json('retrieve', { pubkey: PUBKEY, wait });
      expect(request).toMatchObject({ wait });
      expect(decodeJsonBody(encodeJsonBody(request))).toMatchObject({ wait });
    }
    expect(json('retrieve', { pubkey: PUBKEY, wait: null })).toMatchObject({ wait: undefined });
    expect(json('retrieve', { pubkey: PUBKEY, max_count: 0, max_size: -8 })).toMatchObject({
      maxCount: 0,
      maxSize: -8,
    });
  });
});

describe('other methods', () => {
  test.each(['delete', 'expire'])('%s checks the form of hashes', (method) => {
    const params = { ...SIGNED, expiry: NOW };
    expect(jsonError(method, { ...params, messages: [] })).toBe(
      'invalid request: messages does not contain any message hashes',
    );
    for (const bad of ['', 'x', `${HASH}=`, '-'.repeat(43)]) {
      expect(jsonError(method, { ...params, messages: [HASH, bad] })).toBe(
        `invalid request: invalid message hash: ${bad}`,
      );
    }
  });

  test.each(['delete', 'expire', 'get_expiries'])('%s names at most 10 000 hashes', (method) => {
    const messages = new Array<string>(10_000).fill(HASH);
    const times = { expiry: NOW, timestamp: NOW };
    expect(json(method, { ...SIGNED, ...times, messages })).toMatchObject({ messages });
    expect(bt(method, { ...BT_SIGNED, ...times, messages })).toMatchObject({ messages });
    const text = 'invalid request: messages contains more than 10000 message hashes';
    expect(jsonError(method, { ...SIGNED, ...times, messages: [...messages, HASH] })).toBe(text);
    expect(btError(method, { ...BT_SIGNED, ...times, messages: [...messages, HASH] })).toBe(text);
  });

  test('get_expiries takes any strings', () => {
    expect(json('get_expiries', { ...SIGNED, timestamp: NOW, messages: ['x', 'é'] })).toMatchObject({
      messages: ['x', 'é'],
    });
  });

  test('delete can be required', () => {
    expect(json('delete', { ...SIGNED, messages: HASH })).toMatchObject({ required: false });
    expect(json('delete', { ...SIGNED, messages: HASH, required: true })).toMatchObject({ required: true });
    expect(bt('delete', { ...BT_SIGNED, messages: HASH, required: 1 })).toMatchObject({ required: true });
  });

  test('all namespaces', () => {
    for (const method of ['delete_all', 'delete_before', 'expire_all']) {
      const times = { timestamp: NOW, before: NOW, expiry: NOW };
      expect(json(method, { ...SIGNED, ...times })).toMatchObject({ namespace: 0 });
      expect(json(method, { ...SIGNED, ...times, namespace: 'all' })).toMatchObject({ namespace: 'all' });
      expect(json(method, { ...SIGNED, ...times, namespace: -42 })).toMatchObject({ namespace: -42 });
      expect(bt(method, { ...BT_SIGNED, ...times, namespace: 'all' })).toMatchObject({ namespace: 'all' });
    }
  });

  test('expire: how many expiries, and which way', () => {
    const params = { ...SIGNED, messages: [HASH, OTHER_HASH] };
    const text = (more: Params) => jsonError('expire', { ...params, ...more });
    expect(text({ expiry: [] })).toBe("invalid request: 'expiry' does not contain any expiration timestamps");
    expect(text({ expiry: NOW, shorten: true, extend: true })).toBe(
      "invalid request: cannot specify both 'shorten' and 'extend'",
    );
    expect(text({ expiry: [NOW, NOW, NOW] })).toBe(
      "invalid request: 'expiry' must be a single expiry, or the same length as 'messages'",
    );
    expect(json('expire', { ...params, expiry: NOW, extends: true })).toMatchObject({
      expiries: [NOW],
      extend: false,
    });
    expect(json('expire', { ...params, expiry: [NOW, NOW + 1], extend: true })).toMatchObject({
      expiries: [NOW, NOW + 1],
      extend: true,
      shorten: false,
    });
    expect(bt('expire', { ...BT_SIGNED, messages: [HASH], expiry: NOW, shorten: 1 })).toMatchObject({
      shorten: true,
    });
  });

  test('get_swarm has a text of its own', () => {
    expect(jsonError('get_swarm', { pubkey: 'x' })).toBe(
      'invalid request: Pubkey must be 66 hex digits/33 bytes long',
    );
    expect(jsonError('get_swarm', {})).toBe("invalid request: Required field 'pubkey' missing");
    expect(json('get_swarm', { pubKey: PUBKEY, more: 1 })).toMatchObject({ method: 'get_swarm' });
  });

  test('oxend_request', () => {
    expect(json('oxend_request', { endpoint: 'ons_resolve', params: { type: 0 } })).toEqual({
      method: 'oxend_request',
      endpoint: 'ons_resolve',
      params: { type: 0 },
    });
    expect(json('oxend_request', { endpoint: 'get_service_nodes', params: null })).toMatchObject({
      params: undefined,
    });
    expect(bt('oxend_request', { endpoint: 'ons_resolve', params: '{"type":0}' })).toMatchObject({
      params: { type: 0 },
    });
    expect(bt('oxend_request', { endpoint: 'ons_resolve', params: 'null' })).toMatchObject({
      params: undefined,
    });
    expect(jsonError('oxend_request', { endpoint: 'x' })).toBe("invalid request: Invalid oxend endpoint 'x'");
    expect(jsonError('oxend_request', {})).toBe("invalid request: Required field 'endpoint' missing");
    expect(btError('oxend_request', { endpoint: 'ons_resolve', params: '{' })).toBe(
      'invalid request: oxend_request params field does not contain valid json',
    );
    const deep = (depth: number) =>
      utf8(
        `{"method":"oxend_request","params":{"endpoint":"ons_resolve","params":${'['.repeat(depth)}${']'.repeat(depth)}}}`,
      );
    expect(errorOf(() => decodeJsonBody(deep(9_000)))).toMatch(/^invalid request: /);
    // Beyond what is parsed at all.
    expect(errorOf(() => decodeJsonBody(deep(100_000)))).toBe('invalid json');
  });

  test('revoking', () => {
    const params = { ...SIGNED, timestamp: NOW };
    expect(json('revoke_subaccount', { ...params, revoke: [toBase64(TOKEN), toHex(TOKEN)] })).toMatchObject({
      tokens: [TOKEN, TOKEN],
    });
    const many = (count: number) => new Array(count).fill(toHex(TOKEN));
    expect(json('revoke_subaccount', { ...params, revoke: many(50) })).toMatchObject({
      method: 'revoke_subaccount',
    });
    expect(jsonError('revoke_subaccount', { ...params, revoke: many(51) })).toBe(
      'invalid request: invalid revoke: cannot revoke more than 50 subaccounts at once',
    );
    expect(json('unrevoke_subaccount', { ...params, unrevoke: many(61) })).toMatchObject({
      method: 'unrevoke_subaccount',
    });
    for (const name of ['revoke', 'unrevoke']) {
      expect(jsonError(`${name}_subaccount`, { ...params, [name]: 'x' })).toBe(
        `invalid request: invalid ${name}: expected base64 or hex-encoded subaccount tag`,
      );
      expect(btError(`${name}_subaccount`, { ...BT_SIGNED, timestamp: NOW, [name]: 'x' })).toBe(
        `invalid request: invalid ${name} subaccount: invalid subaccount tag length`,
      );
    }
    // The master key alone may revoke: a subaccount sent along is no part of the request.
    const withSubaccount = {
      ...params,
      revoke: [],
      subaccount: toHex(TOKEN),
      subaccount_sig: SIGNATURE_TEXT,
    };
    expect(json('revoke_subaccount', withSubaccount)).toMatchObject({ auth: { subaccount: undefined } });
  });

  test('active_nodes_bin ignores what it is sent', () => {
    expect(json('active_nodes_bin', { active_only: true, fields: 7 })).toEqual({
      method: 'active_nodes_bin',
    });
  });
});

describe.each(['batch', 'sequence'])('%s', (method) => {
  const info = { method: 'info', params: {} };

  test('subrequests are parsed in order', () => {
    const requests = [info, { method: 'get_swarm', params: { pubkey: PUBKEY } }];
    const parsed = {
      method,
      requests: [{ method: 'info' }, { method: 'get_swarm', account: { hex: PUBKEY } }],
    };
    expect(json(method, { requests })).toMatchObject(parsed);
    expect(bt(method, { requests })).toMatchObject(parsed);
    expect(json(method, { requests: new Array(20).fill(info) })).toMatchObject({ method });
  });

  test.each<[unknown, string, string?]>([
    [undefined, 'Invalid batch request: no valid "requests" field'],
    [{}, 'Invalid batch request: no valid "requests" field'],
    [[], 'Invalid batch request: no valid "requests" field', 'Invalid batch request: empty "requests" list'],
    [new Array(21).fill(info), 'Invalid batch request: subrequest limit exceeded'],
    [
      ['info'],
      'Invalid batch request: requests must be objects',
      'Invalid batch request: requests must be dicts',
    ],
    [
      [{ params: {} }],
      'Invalid batch request: subrequests must have method/params keys',
      'Invalid batch request: subrequests must have a method',
    ],
    [
      [{ method: 'info' }],
      'Invalid batch request: subrequests must have method/params keys',
      'Invalid batch request: subrequests must have a params dict',
    ],
    [
      [{ method: 'info', params: [] }],
      'Invalid batch request: subrequests must have method/params keys',
      'Invalid batch request: subrequests must have a params dict',
    ],
    [[info, { method: 'x', params: {} }], 'Invalid batch subrequest: invalid method "x"'],
    [
      [{ method: 'batch', params: {} }],
      'Invalid batch subrequest: subrequests may not contain meta-requests',
    ],
    [
      [{ method: 'sequence', params: {} }],
      'Invalid batch subrequest: subrequests may not contain meta-requests',
    ],
    [
      [{ method: 'ifelse', params: {} }],
      'Invalid batch subrequest: subrequests may not contain meta-requests',
    ],
    [[info, { method: 'store', params: {} }], "Required field 'pubkey' missing"],
  ])('%j', (requests, text, btText = text) => {
    expect(jsonError(method, { requests })).toBe(`invalid request: ${text}`);
    const params = requests === undefined ? {} : { requests: requests as BtInput };
    expect(btError(method, params)).toBe(`invalid request: ${btText}`);
  });
});

describe('ifelse', () => {
  const info = { method: 'info', params: {} };
  const nested = (depth: number): Params =>
    depth === 0
      ? { method: 'batch', params: { requests: [info] } }
      : { method: 'ifelse', params: { if: { hf_at_least: 1 }, then: nested(depth - 1) } };

  test('all conditions and both branches, in JSON and bt', () => {
    const params = {
      else: { method: 'sequence', params: { requests: [info] } },
      if: {
        hf_at_least: 19,
        hf_before: [22, 1],
        v_at_least: [2, 8, 0],
        v_before: [3],
        height_at_least: 5,
        height_before: 9,
      },
      then: info,
    };
    const parsed = {
      method: 'ifelse',
      conditions: {
        hfAtLeast: [19],
        hfBefore: [22, 1],
        versionAtLeast: [2, 8, 0],
        versionBefore: [3],
        heightAtLeast: 5,
        heightBefore: 9,
      },
      then: { method: 'info' },
      else: { method: 'sequence', requests: [{ method: 'info' }] },
    };
    expect(json('ifelse', params)).toEqual(parsed);
    expect(bt('ifelse', params)).toEqual(parsed);
  });

  test('five levels that end in a batch; too many are refused', () => {
    const call = (depth: number) => json('ifelse', nested(depth).params as Params);
    expect(call(5)).toMatchObject({ method: 'ifelse' });
    expect(errorOf(() => call(100))).toBe('invalid request: Invalid ifelse request: nested too deeply');
    const deep = (levels: number) =>
      utf8(
        `${'{"method":"ifelse","params":{"if":{"hf_before":1},"then":'.repeat(levels)}1${'}}'.repeat(levels)}`,
      );
    expect(errorOf(() => decodeJsonBody(deep(2_000)))).toMatch(/nested too deeply/);
    expect(errorOf(() => decodeJsonBody(deep(20_000)))).toBe('invalid json');
  });

  test.each<[Params, string]>([
    [{}, 'Invalid ifelse request: no valid "if" field'],
    [{ if: [] }, 'Invalid ifelse request: no valid "if" field'],
    [{ if: {} }, 'Invalid ifelse request: must specify at least one "if" condition'],
    [{ if: { unknown: 1 } }, 'Invalid ifelse request: must specify at least one "if" condition'],
    [{ if: { hf_before: 1 } }, 'Invalid ifelse request: at least one of "then"/"else" required'],
    [{ if: { hf_before: 1 }, then: 1 }, 'Invalid ifelse request: then must be an object'],
    [{ if: { hf_before: 1 }, else: [] }, 'Invalid ifelse request: else must be an object'],
    [
      { if: { hf_before: 1 }, then: { method: 'info' } },
      'Invalid ifelse request: then must have method/params keys',
    ],
    [
      { if: { hf_before: 1 }, else: { params: {} } },
      'Invalid ifelse request: else must have method/params keys',
    ],
    [{ if: { hf_before: 1 }, then: { method: 'x', params: {} } }, 'Invalid ifelse request method "then"'],
    [{ if: { hf_before: 1 }, else: { method: 'x', params: {} } }, 'Invalid ifelse request method "else"'],
  ])('%j', (params, text) => {
    expect(jsonError('ifelse', params)).toBe(`invalid request: ${text}`);
    expect(btError('ifelse', params as Record<string, BtInput>)).toBe(`invalid request: ${text}`);
  });

  test.each<[Params, boolean]>([
    [{ hf_at_least: [21, 2] }, true],
    [{ hf_at_least: [21, 3] }, false],
    [{ hf_at_least: 21 }, true],
    [{ hf_before: [21, 2] }, false],
    [{ hf_before: 22 }, true],
    [{ v_at_least: [2, 11] }, true],
    [{ v_at_least: [2, 11, 1] }, false],
    [{ v_before: [3, 0, 0] }, true],
    [{ v_before: [2] }, false],
    [{ height_at_least: 100 }, true],
    [{ height_at_least: 101 }, false],
    [{ height_before: 100 }, false],
    [{ height_before: 101, hf_at_least: [22] }, false],
  ])('%j is %s', (conditions, holds) => {
    const request = json('ifelse', { if: conditions, then: info }) as IfElseRequest;
    expect(conditionsHold(request.conditions, { hf: [21, 2], version: [2, 11, 0], height: 100 })).toBe(holds);
  });
});

describe('forwarded copies', () => {
  const messages = vectors.omq_messages.filter((message) => message.name.startsWith('forwarded '));

  test.each(messages)('$name, both ways', ({ parts }) => {
    const method = new TextDecoder().decode(fromHex(parts[2]!));
    const dict = fromHex(parts[3]!);
    const request = decodeForward(method, dict)!;
    expect(toHex(encodeForward(request))).toBe(parts[3]);
    expect(request.account.hex).toBe(GROUP);
  });

  test('the vectors are there', () => {
    expect(messages.map((message) => message.name)).toEqual([
      'forwarded store',
      'forwarded delete by subaccount',
    ]);
  });

  test('the fields of the forwarded store', () => {
    const { parts, body_decoded } = messages[0]!;
    expect(decodeForward('store', fromHex(parts[3]!))).toMatchObject({
      namespace: body_decoded?.namespace,
      timestamp: body_decoded?.timestamp,
      expiry: body_decoded?.expiry,
      data: utf8(body_decoded!.data_ascii),
    });
  });

  test('methods that are not forwarded', () => {
    expect(decodeForward('nope', utf8('de'))).toBeUndefined();
    for (const method of METHOD_NAMES.filter((name) => !RECURSIVE_METHODS.has(name))) {
      expect(errorOf(() => decodeForward(method, utf8('de')))).toBe(
        'invalid request: received invalid forwarded non-forwardable request',
      );
    }
    expect(errorOf(() => decodeForward('store', utf8('{}')))).toBe('invalid body: expected json or bt_dict');
  });

  test('the namespace of the by-namespace methods is always there, required is not forwarded', () => {
    const dict = (method: string, params: Params) =>
      decodeBtDict(encodeForward(json(method, { ...SIGNED, ...params }) as RecursiveRequest));
    expect(dict('delete_all', { timestamp: NOW }).get('namespace')).toBe(0);
    expect(dict('delete_before', { before: NOW, namespace: 'all' }).get('namespace')).toEqual(utf8('all'));
    expect(dict('delete', { messages: HASH, required: true }).has('required')).toBe(false);
    const expire = dict('expire', { messages: HASH, expiry: [NOW], extend: true });
    expect([expire.get('expiry'), expire.get('extend'), expire.has('shorten')]).toEqual([NOW, 1, false]);
    expect(dict('store', STORE).get('sig_timestamp')).toBe(NOW);
    const unsigned = decodeBtDict(encodeForward(json('store', STORE) as StoreRequest));
    expect([...unsigned.keys()]).toEqual(['data', 'expiry', 'pubkey', 'timestamp']);
  });
});

const accounts = fc
  .tuple(fc.constantFrom(2, 3, 5, 0x99, 0xff), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([prefix, key]) => parseAccountPubkey(Uint8Array.of(prefix, ...key)));
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const time = fc.integer({ min: 1_000_000_000, max: Number.MAX_SAFE_INTEGER });
const namespace = fc.integer({ min: -32768, max: 32767 });
const namespaceOrAll = fc.oneof(namespace, fc.constant('all' as const));
const messageHashes = fc.array(fc.stringMatching(/^[A-Za-z0-9+/]{43}$/), { minLength: 1, maxLength: 4 });
const tokens = fc.array(bytesOf(36), { maxLength: 4 });
const anyRequest: fc.Arbitrary<StorageRequest> = accounts.chain((account) => {
  const ed25519Key =
    account.prefix === 5 ? fc.option(bytesOf(32), { nil: undefined }) : fc.constant(undefined);
  const subaccount = fc.option(fc.record({ token: bytesOf(36), signature: bytesOf(64) }), { nil: undefined });
  const auth = fc.record({ signature: bytesOf(64), ed25519Key, subaccount });
  const masterAuth = fc.record({ signature: bytesOf(64), ed25519Key, subaccount: fc.constant(undefined) });
  const signed = { account: fc.constant(account), auth };
  const mastered = { account: fc.constant(account), auth: masterAuth };
  const is = <M extends string>(method: M) => ({ method: fc.constant(method) });
  const content = { namespace, timestamp: time, expiry: time, data: fc.uint8Array({ maxLength: 100 }) };
  const limits = {
    lastHash: fc.option(fc.constant(HASH), { nil: undefined }),
    maxCount: fc.option(fc.integer(), { nil: undefined }),
    maxSize: fc.option(fc.integer(), { nil: undefined }),
  };
  const absent = fc.constant(undefined);
  return fc.oneof(
    fc.record({ ...is('store'), ...signed, ...content, signatureTimestamp: time }),
    fc.record({ ...is('store'), ...signed, ...content, auth: absent, signatureTimestamp: absent }),
    fc.record({ ...is('retrieve'), ...signed, namespace, ...limits, timestamp: time }),
    fc.record({
      ...is('retrieve'),
      ...signed,
      namespace: fc.constantFrom(0, -10, -21),
      ...limits,
      timestamp: absent,
      auth: absent,
    }),
    fc.record({ ...is('delete'), ...signed, messages: messageHashes, required: fc.boolean() }),
    fc.record({ ...is('delete_all'), ...signed, namespace: namespaceOrAll, timestamp: time }),
    fc.record({ ...is('delete_before'), ...signed, namespace: namespaceOrAll, before: time }),
    fc.record({ ...is('expire_all'), ...signed, namespace: namespaceOrAll, expiry: time }),
    fc.record({
      ...is('expire'),
      ...signed,
      messages: messageHashes,
      expiries: fc.tuple(time),
      shorten: fc.boolean(),
      extend: fc.constant(false),
    }),
    fc.record({ ...is('get_expiries'), ...signed, messages: messageHashes, timestamp: time }),
    fc.record({ ...is('revoke_subaccount'), ...mastered, tokens, timestamp: time }),
    fc.record({ ...is('unrevoke_subaccount'), ...mastered, tokens, timestamp: time }),
    fc.record({ ...is('revoked_subaccounts'), ...mastered, timestamp: time }),
    fc.record({ ...is('get_swarm'), account: fc.constant(account) }),
    fc.record({ ...is('info') }),
    fc.record({ ...is('active_nodes_bin') }),
  );
});

test('what a client sends is what a node reads', () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      expect(decodeJsonBody(encodeJsonBody(request))).toEqual(request);
    }),
  );
});

test('what is forwarded is what a peer reads', () => {
  fc.assert(
    fc.property(anyRequest.filter(isRecursive), (request) => {
      const expected = request.method === 'delete' ? { ...request, required: false } : request;
      expect(decodeForward(request.method, encodeForward(request))).toEqual(expected);
    }),
  );
});

test('batches and conditions survive the way to the node', () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { minLength: 1, maxLength: 20 }), (list) => {
      const batch = { method: 'sequence', requests: list } as StorageRequest;
      const ifelse: StorageRequest = { method: 'ifelse', conditions: { versionBefore: [3] }, then: batch };
      expect(decodeJsonBody(encodeJsonBody(ifelse))).toMatchObject(ifelse);
    }),
    { numRuns: 20 },
  );
});

const anyParams = fc.dictionary(
  fc.constantFrom(
    'pubkey',
    'data',
    'timestamp',
    'ttl',
    'namespace',
    'messages',
    'expiry',
    'signature',
    'subaccount',
    'requests',
    'if',
    'then',
  ),
  fc.oneof(fc.jsonValue(), fc.constantFrom(PUBKEY, HASH, SIGNATURE_TEXT, NOW)),
) as fc.Arbitrary<Params>;

test('any parameters are a request or a RequestError', () => {
  fc.assert(
    fc.property(fc.constantFrom(...METHOD_NAMES), anyParams, (method, params) => {
      try {
        parseJsonRequest(method, params);
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
      }
    }),
  );
});
