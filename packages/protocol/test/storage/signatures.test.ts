// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { ed25519KeyPair, ed25519PublicKeyToX25519, ed25519Sign, ed25519Verify } from '#crypto';
import clientVectors from '../../../../vectors/client.json' with { type: 'json' };
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../../src/bytes.ts';
import { encodeSubaccountToken } from '../../src/identity/subaccount.ts';
import { parseJsonRequest } from '../../src/storage/request-reader.ts';
import {
  type DeleteRequest,
  type ExpireRequest,
  parseAccountPubkey,
  type RecursiveRequest,
  type RetrieveRequest,
  type StoreRequest,
} from '../../src/storage/requests.ts';
import {
  expireMode,
  monitorSignedText,
  nodeSignedText,
  type RequestSigner,
  type SignableRequest,
  signedText,
  signRequest,
  type UnsignedRequest,
  type VerifyOptions,
  verifyNodeResult,
  verifyRequest,
} from '../../src/storage/signatures.ts';

const session = ed25519KeyPair(fromHex(vectors.keys.account.ed25519_seed));
const group = ed25519KeyPair(fromHex(vectors.keys.group.ed25519_seed));
const stranger = ed25519KeyPair(fromHex('77'.repeat(32)));
const SESSION = parseAccountPubkey(vectors.keys.account.session_id);
const GROUP = parseAccountPubkey(vectors.keys.group.group_id);
const HASH = 'D78g/cvw1LF8J4YhYGnbnn5TsowgT3HGlrMvb9xCRKU';
const NOW = 1_700_000_000_123;

const signer = (pair: { secretKey: Uint8Array; publicKey: Uint8Array }, more = {}): RequestSigner => ({
  sign: (message) => ed25519Sign(message, pair.secretKey),
  ...more,
});
const sessionSigner = signer(session, { ed25519Key: session.publicKey });

/** The request of a vector, read as the node reads it. */
function request(
  method: string,
  pubkey: string,
  params: Record<string, unknown>,
  signature: string,
): SignableRequest {
  const { revoke_hex, unrevoke_hex, note: _, ...rest } = params;
  return parseJsonRequest(method, {
    pubkey,
    signature,
    ...(revoke_hex !== undefined && { revoke: revoke_hex }),
    ...(unrevoke_hex !== undefined && { unrevoke: unrevoke_hex }),
    ...(method === 'store' && { timestamp: params.sig_timestamp, ttl: 60_000, data: 'aGVsbG8=' }),
    ...rest,
  }) as SignableRequest;
}

describe('what clients sign', () => {
  const signable = vectors.request_signatures.filter((vector) => vector.method !== 'monitor');

  test('the vectors cover every signed method', () => {
    expect(new Set(signable.map((vector) => vector.method))).toEqual(
      new Set([
        'store',
        'retrieve',
        'delete',
        'delete_all',
        'delete_before',
        'expire',
        'expire_all',
        'get_expiries',
        'revoke_subaccount',
        'unrevoke_subaccount',
        'revoked_subaccounts',
      ]),
    );
  });

  test.each(signable)('$method $message_ascii', (vector) => {
    const ed25519 = vector.pubkey.startsWith('05') ? { pubkey_ed25519: vector.verify_key } : {};
    const parsed = request(
      vector.method,
      vector.pubkey,
      { ...ed25519, ...vector.params },
      vector.signature_base64,
    );
    expect(toHex(signedText(parsed))).toBe(vector.message_hex);
    expect(verifyRequest(parsed)).toBe(true);
    expect(toHex(parsed.auth!.signature)).toBe(vector.signature_hex);
  });

  test('a 05 account without pubkey_ed25519 is its own Ed25519 key', () => {
    const account = parseAccountPubkey(`05${toHex(stranger.publicKey)}`);
    const signed = signRequest(
      { method: 'delete_all', account, namespace: 'all', timestamp: NOW },
      signer(stranger),
    );
    expect(verifyRequest(signed)).toBe(true);
  });
});

describe('vectors of the client', () => {
  const { list, hashes, timestamp_ms, subaccount_token } = clientVectors.storage_signatures;
  const { seed32, account_id } = clientVectors.test_keys.sender;
  const pair = ed25519KeyPair(fromHex(seed32));
  const account = parseAccountPubkey(account_id);
  const digits = (text: string | undefined) => Number(/^[a-z]+([0-9]{13})/.exec(text ?? '')?.[1]);

  /** The request that a vector's name describes. */
  function described(name: string, text: string | undefined): UnsignedRequest {
    const namespace = Number(/namespace (-?[0-9]+)/.exec(name)?.[1] ?? Number.NaN);
    const [method] = name.split(' ');
    const tokens = [fromHex(subaccount_token)];
    switch (method) {
      case 'retrieve':
        return { method, account, namespace, timestamp: timestamp_ms };
      case 'store':
        return { method, account, namespace, timestamp: timestamp_ms, expiry: 0, data: utf8('') };
      case 'delete':
        return { method, account, messages: hashes, required: false };
      case 'delete_all':
        return {
          method,
          account,
          namespace: name.includes('every') ? 'all' : namespace,
          timestamp: timestamp_ms,
        };
      case 'expire': {
        const shorten = name.includes('shorten');
        return {
          method,
          account,
          messages: shorten ? hashes.slice(0, 1) : hashes,
          expiries: [digits(text)],
          shorten,
          extend: name.includes('extend'),
        };
      }
      case 'get_expiries':
        return { method, account, messages: hashes, timestamp: timestamp_ms };
      case 'revoke_subaccount':
      case 'unrevoke_subaccount':
        return { method, account, tokens, timestamp: timestamp_ms };
      default:
        throw new Error(`unexpected vector ${name}`);
    }
  }

  test.each(list)('$name', (vector) => {
    const unsigned = described(vector.name, vector.signed_string);
    expect(toHex(signedText(unsigned))).toBe(vector.signed_hex ?? toHex(utf8(vector.signed_string!)));
    const signed = signRequest(unsigned, signer(pair, { ed25519Key: pair.publicKey }));
    expect(toBase64(signed.auth.signature)).toBe(vector.signature_base64);
    expect(verifyRequest(signed as SignableRequest)).toBe(true);
  });

  test('node replies', () => {
    const replies = clientVectors.storage_reply_signatures;
    const messages = replies.requested_hashes;
    const sorted = [...messages].sort();
    const auth = { signature: new Uint8Array(64) };
    const deletion: DeleteRequest = { method: 'delete', account, messages, required: false, auth };
    const expire: ExpireRequest = {
      method: 'expire',
      account,
      messages,
      expiries: [1700000060123],
      shorten: true,
      extend: false,
      auth,
    };
    const results: [RecursiveRequest, object][] = [
      [deletion, { deleted: sorted }],
      [
        { method: 'delete_all', account, namespace: 'all', timestamp: NOW, auth },
        { deleted: { '0': [sorted[1]], '3': [sorted[0]] } },
      ],
      [expire, { expiry: 1700000060123, updated: sorted, unchanged: {} }],
      [
        expire,
        { expiry: 1700000060123, updated: [messages[0]], unchanged: { [messages[1]!]: 1700000000128 } },
      ],
    ];
    expect(replies.list.length).toBe(results.length);
    replies.list.forEach((vector, index) => {
      const [forRequest, result] = results[index]!;
      const signature = fromBase64(vector.signature_base64);
      expect(nodeSignedText(forRequest, result as never)).toEqual(utf8(vector.signed_string));
      const key = fromHex(replies.node_ed25519_public);
      expect(verifyNodeResult(forRequest, key, { ...result, signature } as never)).toBe(true);
    });
  });
});

describe('what nodes sign', () => {
  test.each(vectors.node_response_signatures)('$method', (vector) => {
    const { request_messages, request_expiry, revoke_hex, unrevoke_hex, ...fields } =
      vector.response_fields as Record<string, unknown>;
    const isGroup = vector.method.includes('revoke');
    const sent = {
      pubkey: isGroup ? GROUP.hex : SESSION.hex,
      signature: vector.signature_base64,
      messages: request_messages,
      namespace: fields.namespace,
      timestamp: vector.method === 'store' ? NOW : fields.timestamp,
      before: fields.before,
      expiry: request_expiry ?? fields.expiry,
      extend: fields.extend,
      revoke: revoke_hex,
      unrevoke: unrevoke_hex,
      data: vector.method === 'store' ? 'aGVsbG8=' : undefined,
    };
    const parsed = parseJsonRequest(vector.method, sent) as RecursiveRequest;
    const result = { ...fields, signature: fromBase64(vector.signature_base64) } as never;
    const key = fromHex(vector.node_pubkey_ed25519);
    expect(toHex(nodeSignedText(parsed, result))).toBe(vector.message_hex);
    expect(verifyNodeResult(parsed, key, result)).toBe(true);
    expect(verifyNodeResult(parsed, session.publicKey, result)).toBe(false);
  });

  test('an honest signature over another message does not pass for a store', () => {
    const store = (data: string): StoreRequest => ({
      method: 'store',
      account: SESSION,
      namespace: 0,
      timestamp: NOW,
      expiry: NOW,
      data: utf8(data),
    });
    const result = { hash: HASH, expiry: NOW, signature: ed25519Sign(utf8(HASH), session.secretKey) };
    expect(verifyNodeResult(store('hello'), session.publicKey, result)).toBe(true);
    expect(verifyNodeResult(store('hullo'), session.publicKey, result)).toBe(false);
  });

  test('lists are signed sorted, whatever their order in the answer', () => {
    const request: DeleteRequest = {
      method: 'delete',
      account: SESSION,
      messages: ['b', 'a'],
      required: false,
      auth: { signature: new Uint8Array(64) },
    };
    expect(nodeSignedText(request, { deleted: ['b', 'a'] })).toEqual(utf8(`${SESSION.hex}baab`));
  });
});

describe('who may sign', () => {
  const retrieve = { method: 'retrieve', account: SESSION, namespace: 5, timestamp: NOW } as const;

  test('nobody without signature', () => {
    expect(verifyRequest({ ...retrieve, auth: undefined })).toBe(false);
  });

  test('the owner, with the Ed25519 key that converts to the account', () => {
    expect(verifyRequest(signRequest(retrieve, sessionSigner))).toBe(true);
    expect(verifyRequest(signRequest(retrieve, signer(session)))).toBe(false);
    expect(verifyRequest(signRequest(retrieve, signer(stranger, { ed25519Key: stranger.publicKey })))).toBe(
      false,
    );
    expect(verifyRequest(signRequest(retrieve, signer(stranger, { ed25519Key: session.publicKey })))).toBe(
      false,
    );
    expect(verifyRequest(signRequest(retrieve, signer(session, { ed25519Key: new Uint8Array(32) })))).toBe(
      false,
    );
  });

  test('nobody when a signed field was changed', () => {
    const signed = signRequest(retrieve, sessionSigner);
    expect(verifyRequest({ ...signed, namespace: 6 })).toBe(false);
    expect(verifyRequest({ ...signed, timestamp: NOW + 1 })).toBe(false);
    expect(verifyRequest({ ...signed, account: GROUP })).toBe(false);
  });

  test('the given conversion is used', () => {
    const seen: string[] = [];
    const toX25519 = (key: Uint8Array) => {
      seen.push(toHex(key));
      return ed25519PublicKeyToX25519(key);
    };
    expect(verifyRequest(signRequest(retrieve, sessionSigner), { toX25519 })).toBe(true);
    expect(seen).toEqual([toHex(session.publicKey)]);
    expect(verifyRequest(signRequest(retrieve, sessionSigner), { toX25519: () => undefined })).toBe(false);
  });
});

describe('subaccounts', () => {
  const member = ed25519KeyPair(fromHex(vectors.keys.subaccount_key.ed25519_seed));
  const [READ, WRITE, DELETE, ANY] = [1, 2, 4, 8];

  function signed(unsigned: UnsignedRequest, flags: number, prefix = 3): SignableRequest {
    const token = encodeSubaccountToken(prefix, flags, member.publicKey);
    const subaccount = { token, signature: ed25519Sign(token, group.secretKey) };
    return signRequest(unsigned, signer(member, { subaccount })) as SignableRequest;
  }
  const allowed = (unsigned: UnsignedRequest, flags: number, prefix?: number, options?: VerifyOptions) =>
    verifyRequest(signed(unsigned, flags, prefix), options);

  const base = { account: GROUP, timestamp: NOW, messages: [HASH] };
  const store = { ...base, method: 'store', expiry: NOW, data: utf8('x'), signatureTimestamp: NOW } as const;
  const expire = { ...base, method: 'expire', expiries: [NOW], shorten: false, extend: false } as const;

  test.each<[string, UnsignedRequest, number]>([
    ['retrieve', { ...base, method: 'retrieve', namespace: 11 }, READ],
    ['get_expiries', { ...base, method: 'get_expiries' }, READ],
    ['store', { ...store, namespace: 11 }, WRITE],
    ['store into an outbox', { ...store, namespace: -21 }, WRITE | DELETE],
    ['expire', expire, WRITE],
    ['expire to shorten', { ...expire, shorten: true }, WRITE],
    ['delete', { ...base, method: 'delete', required: false }, DELETE],
    ['delete_all', { ...base, method: 'delete_all', namespace: 11 }, DELETE],
    ['delete_before', { ...base, method: 'delete_before', namespace: 11, before: NOW }, DELETE],
    ['expire_all', { ...base, method: 'expire_all', namespace: 11, expiry: NOW }, DELETE],
  ])('%s needs its flags and no others', (_name, unsigned, needed) => {
    for (let flags = 0; flags < 8; flags++)
      expect(allowed(unsigned, flags)).toBe((flags & needed) === needed);
  });

  test.each(['revoke_subaccount', 'unrevoke_subaccount', 'revoked_subaccounts'] as const)(
    '%s is for the master key alone',
    (method) => {
      expect(allowed({ method, account: GROUP, tokens: [], timestamp: NOW } as UnsignedRequest, 15)).toBe(
        false,
      );
    },
  );

  test('as many tokens as fit into a request are no harder than one', () => {
    const tokens = new Array<Uint8Array>(200_000).fill(new Uint8Array(36).fill(1));
    const request = { method: 'unrevoke_subaccount', account: GROUP, tokens, timestamp: NOW } as const;
    const clientText = signedText(request);
    expect(clientText).toHaveLength('unrevoke_subaccount1700000000123'.length + 36 * tokens.length);
    expect(clientText.at(-1)).toBe(1);
    const auth = { signature: new Uint8Array(64) };
    expect(nodeSignedText({ ...request, auth }, { count: 0 })).toHaveLength(66 + 13 + 36 * tokens.length);
  });

  const retrieve = { ...base, method: 'retrieve', namespace: 11 } as const;

  test('another prefix only with the any-prefix flag', () => {
    const other = { ...retrieve, account: parseAccountPubkey(`99${toHex(GROUP.key)}`) };
    expect(allowed(other, READ)).toBe(false);
    expect(allowed(other, READ, 0x99)).toBe(true);
    expect(allowed(other, READ | ANY)).toBe(true);
    expect(allowed(other, WRITE | ANY)).toBe(false);
  });

  test('a revoked token is refused, but not in an unrevocable namespace', () => {
    const isRevoked = () => true;
    expect(allowed(retrieve, READ, 3, { isRevoked })).toBe(false);
    expect(allowed(retrieve, READ, 3, { isRevoked: () => false })).toBe(true);
    expect(allowed({ ...retrieve, namespace: -11 }, READ, 3, { isRevoked })).toBe(true);
    expect(allowed({ ...store, namespace: -11 }, WRITE, 3, { isRevoked })).toBe(false);
  });

  test('the token must be signed by the account and the request by the token', () => {
    const good = signed(retrieve, READ) as RetrieveRequest;
    const { auth } = good;
    const token = auth!.subaccount!.token;
    const forged = { ...auth!.subaccount!, signature: ed25519Sign(token, stranger.secretKey) };
    expect(verifyRequest({ ...good, auth: { ...auth!, subaccount: forged } })).toBe(false);
    const signature = ed25519Sign(signedText(good), group.secretKey);
    expect(verifyRequest({ ...good, auth: { ...auth!, signature } })).toBe(false);
    const widened = { ...auth!.subaccount!, token: token.with(1, 15) };
    expect(verifyRequest({ ...good, auth: { ...auth!, subaccount: widened } })).toBe(false);
  });

  test('of a 05 account: the token is signed by the Ed25519 key', () => {
    const token = encodeSubaccountToken(5, READ, member.publicKey);
    const subaccount = { token, signature: ed25519Sign(token, session.secretKey) };
    const withKey = signer(member, { subaccount, ed25519Key: session.publicKey });
    expect(verifyRequest(signRequest({ ...retrieve, account: SESSION }, withKey))).toBe(true);
  });

  test.each(vectors.subaccounts)('vector of $account$group_id', (vector) => {
    const account = vector.account ?? vector.group_id;
    const digits = vector.request_message_ascii.slice('retrieve'.length);
    const parsed = parseJsonRequest('retrieve', {
      pubkey: account,
      namespace: Number(digits.slice(0, -13)),
      timestamp: Number(digits.slice(-13)),
      signature: vector.request_signature_base64,
      subaccount: vector.token_base64,
      subaccount_sig: vector.token_signature_base64,
    }) as RetrieveRequest;
    expect(signedText(parsed)).toEqual(utf8(vector.request_message_ascii));
    expect(verifyRequest(parsed)).toBe(true);
    expect(verifyRequest({ ...parsed, namespace: 12 })).toBe(false);
  });

  test('what an expire may do', () => {
    const mode = (flags: number | undefined, shorten: boolean, extend: boolean) => {
      const unsigned = { ...expire, shorten, extend };
      const request = flags === undefined ? signRequest(unsigned, signer(group)) : signed(unsigned, flags);
      return expireMode(request as ExpireRequest);
    };
    for (const flags of [undefined, WRITE | DELETE]) {
      expect(mode(flags, false, false)).toBe('set');
      expect(mode(flags, true, false)).toBe('shorten');
      expect(mode(flags, false, true)).toBe('extend');
    }
    expect(mode(WRITE, false, false)).toBe('extend');
    expect(mode(WRITE, false, true)).toBe('extend');
    expect(mode(WRITE, true, false)).toBeUndefined();
  });
});

test.each(vectors.request_signatures.filter(({ method }) => method === 'monitor'))(
  'subscription of $pubkey',
  (vector) => {
    const { t, d, n } = vector.params as { t: number; d?: number; n: number[] };
    const account = parseAccountPubkey(vector.pubkey);
    const text = monitorSignedText({ account, timestampSeconds: t, wantsData: d === 1, namespaces: n });
    expect(toHex(text)).toBe(vector.message_hex);
    expect(ed25519Verify(fromBase64(vector.signature_base64), text, fromHex(vector.verify_key))).toBe(true);
  },
);
