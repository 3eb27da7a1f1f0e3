// SPDX-License-Identifier: AGPL-3.0-or-later
// spec/storage-server §8.1: subaccounts and their revocation.
import { toBase64, toHex } from '@allium/protocol/bytes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSignedBy, TestAccount } from '../support/test-account.ts';
import { TestNetwork } from '../support/test-network.ts';

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [2] });
});
afterAll(() => net[Symbol.asyncDispose]());

const READ = 1;
const WRITE = 2;
const DELETE = 4;
const ANY_PREFIX = 8;

type Subaccount = ReturnType<TestAccount['subaccount']>;

const retrieve = (account: TestAccount, sub: Subaccount, namespace = 11) => {
  const timestamp = Date.now();
  const signature = sub.sign('retrieve', namespace, timestamp);
  return net.node(1).rpc('retrieve', { pubkey: account.id, namespace, timestamp, signature, ...sub.params });
};

const store = (account: TestAccount, sub: Subaccount, namespace = 11) => {
  const timestamp = Date.now();
  const signature = sub.sign('store', namespace, timestamp);
  const data = toBase64(Buffer.from('by a member'));
  return net
    .node(0)
    .rpc('store', { pubkey: account.id, namespace, timestamp, ttl: 60_000, data, signature, ...sub.params });
};

const remove = (account: TestAccount, sub: Subaccount, hash: string) =>
  net.node(0).rpc('delete', {
    pubkey: account.id,
    messages: [hash],
    signature: sub.sign('delete', hash),
    ...sub.params,
  });

const expire = (
  account: TestAccount,
  sub: Subaccount,
  hash: string,
  expiry: number,
  word: '' | 'shorten' | 'extend',
) =>
  net.node(0).rpc('expire', {
    pubkey: account.id,
    messages: [hash],
    expiry,
    ...(word !== '' && { [word]: true }),
    signature: sub.sign('expire', word, expiry, hash),
    ...sub.params,
  });

describe('permissions', () => {
  test('each flag allows its methods, on every member of the swarm', async () => {
    const group = TestAccount.raw();
    const [none, reader, writer, deleter] = [0, READ, WRITE, DELETE].map((flags) =>
      group.subaccount(flags),
    ) as [Subaccount, Subaccount, Subaccount, Subaccount];
    const hash = group.hash('by a member', 11);
    for (const sub of [none, reader, deleter]) {
      expect(await store(group, sub)).toMatchObject({
        status: 401,
        text: 'store signature verification failed',
      });
    }
    const stored = await store(group, writer);
    expect(stored.status).toBe(200);
    for (const entry of Object.values(stored.json.swarm)) expect(entry).toHaveProperty('hash', hash);
    for (const sub of [none, writer, deleter]) {
      expect(await retrieve(group, sub)).toMatchObject({
        status: 401,
        text: 'retrieve signature verification failed',
      });
    }
    expect((await retrieve(group, reader)).json.messages).toHaveLength(1);
    for (const sub of [none, reader, writer]) {
      expect(await remove(group, sub, hash)).toMatchObject({
        status: 401,
        text: 'delete_msgs signature verification failed',
      });
    }
    const deleted = await remove(group, deleter, hash);
    for (const entry of Object.values(deleted.json.swarm)) expect(entry).toHaveProperty('deleted', [hash]);
  });

  test('expire: a writer extends only, with the delete flag it may shorten', async () => {
    const group = TestAccount.raw();
    const writer = group.subaccount(WRITE);
    const both = group.subaccount(WRITE | DELETE);
    await store(group, writer);
    const hash = group.hash('by a member', 11);
    const soon = Date.now() + 20_000;
    expect(await expire(group, writer, hash, soon, 'shorten')).toMatchObject({
      status: 400,
      text: 'expire: shorten parameter cannot be used with this subaccount token (missing delete access)',
    });
    const silent = await expire(group, writer, hash, soon, '');
    for (const entry of Object.values(silent.json.swarm)) expect(entry).toHaveProperty('updated', []);
    const extended = await expire(group, writer, hash, Date.now() + 120_000, 'extend');
    for (const entry of Object.values(extended.json.swarm)) expect(entry).toHaveProperty('updated', [hash]);
    const shortened = await expire(group, both, hash, soon, 'shorten');
    for (const entry of Object.values(shortened.json.swarm)) expect(entry).toHaveProperty('updated', [hash]);
  });

  test('a token counts for its prefix, unless it says any', async () => {
    const account = TestAccount.raw('99');
    for (const [prefix, flags, status] of [
      ['99', READ, 200],
      ['03', READ, 401],
      ['03', READ | ANY_PREFIX, 200],
    ] as const) {
      expect((await retrieve(account, account.subaccount(flags, prefix))).status).toBe(status);
    }
  });

  test('a token signed by another account', async () => {
    const account = TestAccount.raw();
    expect((await retrieve(account, TestAccount.raw().subaccount(READ))).status).toBe(401);
  });

  test('tokens in hex, and a token without its signature', async () => {
    const account = TestAccount.raw();
    const sub = account.subaccount(READ);
    const inHex = { ...sub, params: { ...sub.params, subaccount: toHex(sub.token) } };
    expect((await retrieve(account, inHex)).status).toBe(200);
    const timestamp = Date.now();
    const params = {
      pubkey: account.id,
      namespace: 11,
      timestamp,
      signature: sub.sign('retrieve', 11, timestamp),
    };
    expect(await net.node(0).rpc('retrieve', { ...params, subaccount: sub.params.subaccount })).toMatchObject(
      {
        status: 400,
        text: 'invalid request: invalid subaccount: subaccount_sig is required when using subaccount',
      },
    );
  });
});

describe('revocation', () => {
  const change = async (method: 'revoke' | 'unrevoke', account: TestAccount, tokens: Uint8Array[]) => {
    const timestamp = Date.now();
    const signature = account.sign(`${method}_subaccount`, timestamp, ...tokens);
    const answer = await net.node(0).rpc(`${method}_subaccount`, {
      ...account.params,
      [method]: tokens.length === 1 ? toHex(tokens[0]!) : tokens.map(toBase64),
      timestamp,
      signature,
    });
    for (const [hex, entry] of Object.entries<{ signature: string }>(answer.json?.swarm ?? {})) {
      expect(isSignedBy(hex, entry.signature, account.id, timestamp, ...tokens)).toBe(true);
    }
    return answer;
  };

  test('a revoked token is refused, but in unrevocable namespaces; unrevoking brings it back', async () => {
    const group = TestAccount.raw();
    const sub = group.subaccount(READ);
    expect((await retrieve(group, sub)).status).toBe(200);
    expect((await change('revoke', group, [sub.token])).status).toBe(200);
    expect((await retrieve(group, sub)).status).toBe(401);
    expect((await retrieve(group, sub, -11)).status).toBe(200);
    const { json } = await change('unrevoke', group, [sub.token]);
    for (const entry of Object.values(json.swarm)) expect(entry).toHaveProperty('count', 1);
    expect((await retrieve(group, sub)).status).toBe(200);
  });

  test('50 newer revocations push the oldest out; of 61 unrevoked tokens 50 were there', async () => {
    const group = TestAccount.raw();
    const oldest = group.subaccount(READ);
    await change('revoke', group, [oldest.token]);
    const tokens = Array.from({ length: 60 }, () => group.subaccount(READ).token);
    await change('revoke', group, tokens.slice(0, 50));
    expect((await retrieve(group, oldest)).status).toBe(200);
    await change('revoke', group, tokens.slice(50));
    const timestamp = Date.now();
    const listed = await net.node(1).rpc('revoked_subaccounts', {
      ...group.params,
      timestamp,
      signature: group.sign('revoked_subaccounts', timestamp),
    });
    expect(listed.json.revoked_subaccounts).toEqual(tokens.slice(10).map(toBase64));
    const { json } = await change('unrevoke', group, [...tokens, oldest.token]);
    for (const entry of Object.values(json.swarm)) expect(entry).toHaveProperty('count', 50);
  });

  test('51 at once, a bad token, a stale time, a foreign signature', async () => {
    const group = TestAccount.raw();
    const many = Array.from({ length: 51 }, () => group.subaccount(READ).token);
    expect(await change('revoke', group, many)).toMatchObject({
      status: 400,
      text: 'invalid request: invalid revoke: cannot revoke more than 50 subaccounts at once',
    });
    const ask = (params: object) => net.node(0).rpc('revoke_subaccount', { pubkey: group.id, ...params });
    const token = many[0]!;
    expect(await ask({ revoke: 'abc', timestamp: Date.now(), signature: group.sign('x') })).toMatchObject({
      status: 400,
      text: 'invalid request: invalid revoke: expected base64 or hex-encoded subaccount tag',
    });
    const old = Date.now() - 61_000;
    const stale = {
      revoke: toHex(token),
      timestamp: old,
      signature: group.sign('revoke_subaccount', old, token),
    };
    expect(await ask(stale)).toMatchObject({
      status: 406,
      text: 'revoke_subaccount timestamp too far from current time',
    });
    const now = Date.now();
    const foreign = TestAccount.raw().sign('revoke_subaccount', now, token);
    expect(await ask({ revoke: toHex(token), timestamp: now, signature: foreign })).toMatchObject({
      status: 401,
      text: 'revoke_subaccount signature verification failed',
    });
  });
});
