// SPDX-License-Identifier: AGPL-3.0-or-later
// spec/storage-server §8.1: deletes and expiries, with the signatures of every swarm member.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSignedBy, type StoreOptions, TestAccount } from '../support/test-account.ts';
import { type Answer, TestNetwork } from '../support/test-network.ts';

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [3] });
});
afterAll(() => net[Symbol.asyncDispose]());

const DAY = 86_400_000;

// biome-ignore lint/suspicious/noExplicitAny: entries of every method
type Entry = any;

/** All members answered, each with a signature over `signed` and members as `expected`. */
function expectEntries(
  answer: Answer,
  expected: object,
  signed: (entry: Entry) => (string | number)[],
): void {
  expect(answer.status).toBe(200);
  const entries = Object.entries<Entry>(answer.json.swarm);
  expect(entries).toHaveLength(3);
  for (const [hex, entry] of entries) {
    expect(entry).toMatchObject(expected);
    expect(isSignedBy(hex, entry.signature, ...signed(entry))).toBe(true);
  }
}

async function fill(account: TestAccount, texts: string[], options: StoreOptions = {}) {
  for (const text of texts) {
    const answer = await net.node(0).rpc('store', account.store(text, options));
    expect(answer.status).toBe(200);
  }
  return texts.map((text) => account.hash(text, options.namespace));
}

async function held(account: TestAccount, namespace = 0, node = net.node(2)): Promise<string[]> {
  const { json } = await node.rpc('retrieve', account.retrieve({ namespace }));
  return json.messages.map(({ hash }: { hash: string }) => hash);
}

const UNKNOWN = 'A'.repeat(43);

describe('delete', () => {
  test('an unsorted request with an unknown hash: sorted result, signature over the request as given', async () => {
    const account = TestAccount.raw('02');
    const hashes = await fill(account, ['a', 'b', 'c', 'd', 'e']);
    const [kept, ...gone] = hashes.sort() as [string, ...string[]];
    const messages = [...gone.slice(1), UNKNOWN, gone[0]!];
    const answer = await net.node(1).rpc('delete', {
      pubkey: account.id,
      messages,
      signature: account.sign('delete', ...messages),
    });
    expectEntries(answer, { deleted: gone }, () => [account.id, ...messages, ...gone]);
    expect(await held(account)).toEqual([kept]);
  });

  test('required: 404 when nothing was there, 200 otherwise', async () => {
    const account = TestAccount.session();
    const messages = await fill(account, ['once']);
    const ask = (required: boolean) =>
      net.node(0).rpc('delete', {
        ...account.params,
        messages,
        required,
        signature: account.sign('delete', ...messages),
      });
    expect((await ask(true)).status).toBe(200);
    const again = await ask(true);
    expect(again.status).toBe(404);
    expect(Object.keys(again.json.swarm)).toHaveLength(3);
    expect((await ask(false)).status).toBe(200);
  });

  test.each([
    ['a bad hash', ['short'], 'invalid message hash: short'],
    ['no hash', [], 'messages does not contain any message hashes'],
  ])('%s', async (_, messages, text) => {
    const account = TestAccount.session();
    const signature = account.sign('delete');
    const answer = await net.node(0).rpc('delete', { ...account.params, messages, signature });
    expect(answer).toMatchObject({ status: 400, text: `invalid request: ${text}` });
  });

  test('a wrong signature', async () => {
    const account = TestAccount.session();
    const [hash] = await fill(account, ['stays']);
    const signature = account.sign('delete', UNKNOWN);
    const answer = await net.node(0).rpc('delete', { ...account.params, messages: [hash], signature });
    expect(answer).toMatchObject({ status: 401, text: 'delete_msgs signature verification failed' });
    expect(await held(account)).toEqual([hash]);
  });
});

describe('delete_all', () => {
  test('one namespace', async () => {
    const account = TestAccount.raw();
    const hashes = (await fill(account, ['a', 'b', 'c'])).sort();
    await fill(account, ['other'], { namespace: 5 });
    const timestamp = Date.now();
    const signature = account.sign('delete_all', timestamp);
    const answer = await net.node(1).rpc('delete_all', { pubkey: account.id, timestamp, signature });
    expectEntries(answer, { deleted: hashes }, () => [account.id, timestamp, ...hashes]);
    expect(await held(account)).toEqual([]);
    expect(await held(account, 5)).toHaveLength(1);
  });

  test('all namespaces: by namespace, signed over all hashes sorted together', async () => {
    const account = TestAccount.raw();
    const inbox = (await fill(account, ['a', 'b'])).sort();
    const priv = (await fill(account, ['c', 'd'], { namespace: -42 })).sort();
    const timestamp = Date.now();
    const params = { pubkey: account.id, namespace: 'all', timestamp };
    const signature = account.sign('delete_all', 'all', timestamp);
    const answer = await net.node(0).rpc('delete_all', { ...params, signature });
    const all = [...inbox, ...priv].sort();
    expectEntries(answer, { deleted: { 0: inbox, '-42': priv } }, () => [account.id, timestamp, ...all]);
    const again = await net.node(0).rpc('delete_all', { ...params, signature });
    expectEntries(again, { deleted: {} }, () => [account.id, timestamp]);
  });

  test.each([-120_000, 120_000])('%i ms off', async (off) => {
    const account = TestAccount.raw();
    const timestamp = Date.now() + off;
    const signature = account.sign('delete_all', timestamp);
    expect(await net.node(0).rpc('delete_all', { pubkey: account.id, timestamp, signature })).toMatchObject({
      status: 406,
      text: 'delete_all timestamp too far from current time',
    });
  });

  test('a time in seconds', async () => {
    const account = TestAccount.raw();
    const params = { pubkey: account.id, timestamp: 999_999_999, signature: account.sign('x') };
    expect(await net.node(0).rpc('delete_all', params)).toMatchObject({
      status: 400,
      text: "invalid request: Invalid timestamp for 'timestamp': timestamp must be in milliseconds",
    });
  });
});

describe('delete_before', () => {
  test('removes what is not newer; an empty result is signed too', async () => {
    const account = TestAccount.raw();
    const now = Date.now();
    const [old] = await fill(account, ['old'], { timestamp: now - 10_000 });
    const [young] = await fill(account, ['young'], { timestamp: now - 5_000 });
    const ask = (before: number) => {
      const signature = account.sign('delete_before', before);
      return net.node(0).rpc('delete_before', { pubkey: account.id, before, signature });
    };
    expectEntries(await ask(now - 10_001), { deleted: [] }, () => [account.id, now - 10_001]);
    expectEntries(await ask(now - 10_000), { deleted: [old] }, () => [account.id, now - 10_000, old!]);
    expect(await held(account)).toEqual([young]);
    expect(await ask(now + 120_000)).toMatchObject({
      status: 401,
      text: 'delete_before timestamp too far in the future',
    });
  });

  test('all namespaces', async () => {
    const account = TestAccount.raw();
    const [a] = await fill(account, ['a']);
    const [b] = await fill(account, ['b'], { namespace: 7 });
    const before = Date.now() + 1000;
    const signature = account.sign('delete_before', 'all', before);
    const answer = await net
      .node(0)
      .rpc('delete_before', { pubkey: account.id, namespace: 'all', before, signature });
    expectEntries(answer, { deleted: { 0: [a], 7: [b] } }, () => [account.id, before, ...[a!, b!].sort()]);
  });
});

describe('expire_all', () => {
  test('shortens later expiries only; retrieve shows them in the order of arrival', async () => {
    const account = TestAccount.raw();
    const now = Date.now();
    const [long1] = await fill(account, ['long1'], { ttl: 80_000 });
    const [short] = await fill(account, ['short'], { ttl: 20_000, timestamp: now });
    const [long2] = await fill(account, ['long2'], { ttl: 90_000 });
    const expiry = now + 50_000;
    const signature = account.sign('expire_all', expiry);
    const answer = await net.node(2).rpc('expire_all', { pubkey: account.id, expiry, signature });
    const updated = [long1!, long2!].sort();
    expectEntries(answer, { updated }, () => [account.id, expiry, ...updated]);
    const { json } = await net.node(1).rpc('retrieve', account.retrieve());
    expect(json.messages).toMatchObject([
      { hash: long1, expiration: expiry },
      { hash: short, expiration: now + 20_000 },
      { hash: long2, expiration: expiry },
    ]);
  });

  test('all namespaces', async () => {
    const account = TestAccount.raw();
    const [a] = await fill(account, ['a']);
    const [b] = await fill(account, ['b'], { namespace: 7 });
    const expiry = Date.now();
    const signature = account.sign('expire_all', 'all', expiry);
    const answer = await net
      .node(0)
      .rpc('expire_all', { pubkey: account.id, namespace: 'all', expiry, signature });
    expectEntries(answer, { updated: { 0: [a], 7: [b] } }, () => [account.id, expiry, ...[a!, b!].sort()]);
  });

  test('120 s in the past', async () => {
    const account = TestAccount.raw();
    const expiry = Date.now() - 120_000;
    const signature = account.sign('expire_all', expiry);
    expect(await net.node(0).rpc('expire_all', { pubkey: account.id, expiry, signature })).toMatchObject({
      status: 406,
      text: 'expire_all timestamp should be >= current time',
    });
  });
});

describe('expire', () => {
  const expire = (
    account: TestAccount,
    messages: string[],
    expiry: number | number[],
    more: { shorten?: true; extend?: true } = {},
    node = net.node(0),
  ) => {
    const word = more.shorten ? 'shorten' : more.extend ? 'extend' : '';
    const signature = account.sign('expire', word, ...[expiry].flat(), ...messages);
    return node.rpc('expire', { ...account.params, messages, expiry, ...more, signature });
  };
  const pairs = (unchanged: Record<string, number>) => Object.entries(unchanged).sort().flat();

  const expiries = async (account: TestAccount, messages: string[] | string, node = net.node(1)) => {
    const timestamp = Date.now();
    const signature = account.sign('get_expiries', timestamp, ...[messages].flat());
    return (await node.rpc('get_expiries', { ...account.params, messages, timestamp, signature })).json;
  };

  test('a list with an unknown hash, unsorted; then a single one', async () => {
    const account = TestAccount.session();
    const hashes = (await fill(account, ['a', 'b', 'c'])).sort();
    const expiry = Date.now() + 30_000;
    const messages = [hashes[2]!, UNKNOWN, hashes[0]!];
    const updated = [hashes[0]!, hashes[2]!];
    const answer = await expire(account, messages, expiry);
    expectEntries(answer, { updated, expiry }, () => [account.id, expiry, ...messages, ...updated]);
    for (const entry of Object.values(answer.json.swarm)) expect(entry).not.toHaveProperty('unchanged');
    const single = await expire(account, [hashes[1]!], expiry);
    expectEntries(single, { updated: [hashes[1]], expiry }, () => [
      account.id,
      expiry,
      hashes[1]!,
      hashes[1]!,
    ]);
  });

  test('31 days become 30 days from now on each node, and times of storing stay', async () => {
    const account = TestAccount.session();
    const messages = await fill(account, ['long', 'longer']);
    const before = (await net.node(1).rpc('retrieve', account.retrieve())).json.messages;
    const answer = await expire(account, messages, Date.now() + 31 * DAY);
    const updated = [...messages].sort();
    expectEntries(answer, { updated }, (entry) => [account.id, entry.expiry, ...messages, ...updated]);
    for (const { expiry } of Object.values<Entry>(answer.json.swarm)) {
      expect(Math.abs(expiry - (Date.now() + 30 * DAY))).toBeLessThan(120_000);
    }
    const after = (await net.node(1).rpc('retrieve', account.retrieve())).json.messages;
    expect(after.map(({ timestamp }: Entry) => timestamp)).toEqual(
      before.map(({ timestamp }: Entry) => timestamp),
    );
  });

  test('shorten and extend, one after the other', async () => {
    const account = TestAccount.session();
    const now = Date.now();
    const hashes = (await fill(account, ['a', 'b', 'c'], { timestamp: now, ttl: 100_000 })).sort();
    const [a, b, c] = hashes as [string, string, string];
    const base = now + 100_000;

    let answer = await expire(account, [a], base - 10_000, { shorten: true });
    expectEntries(answer, { updated: [a], unchanged: {} }, () => [account.id, base - 10_000, a, a]);
    expect(await expiries(account, [...hashes, UNKNOWN])).toEqual({
      expiries: { [a]: base - 10_000, [b]: base, [c]: base },
    });

    const messages = [c, UNKNOWN, a, b];
    answer = await expire(account, messages, base - 5_000, { shorten: true }, net.node(1));
    expectEntries(answer, { updated: [b, c], unchanged: { [a]: base - 10_000 } }, (entry) => [
      account.id,
      base - 5_000,
      ...messages,
      b,
      c,
      ...pairs(entry.unchanged),
    ]);

    answer = await expire(account, messages, base - 5_000, { extend: true }, net.node(2));
    expectEntries(answer, { updated: [a], unchanged: { [b]: base - 5_000, [c]: base - 5_000 } }, (entry) => [
      account.id,
      base - 5_000,
      ...messages,
      a,
      ...pairs(entry.unchanged),
    ]);
    expect(await expiries(account, a)).toEqual({ expiries: { [a]: base - 5_000 } });
  });

  test('one expiry per message: parallel to the sorted updates', async () => {
    const account = TestAccount.session();
    const hashes = (await fill(account, ['a', 'b', 'c'])).sort();
    const now = Date.now();
    const messages = [hashes[2]!, UNKNOWN, hashes[0]!, hashes[1]!];
    const wanted = [now + 30_000, now + 40_000, now + 50_000, now + 60_000];
    const answer = await expire(account, messages, wanted);
    const expiry = [wanted[2]!, wanted[3]!, wanted[0]!];
    expectEntries(answer, { updated: hashes, expiry }, () => [account.id, ...expiry, ...messages, ...hashes]);
    expect(await expiries(account, hashes)).toEqual({
      expiries: Object.fromEntries(hashes.map((hash, i) => [hash, expiry[i]])),
    });
  });

  test.each([
    ['no expiry', [], {}, "'expiry' does not contain any expiration timestamps"],
    ['both words', 1, { shorten: true, extend: true }, "cannot specify both 'shorten' and 'extend'"],
    [
      'two expiries for one message',
      [1, 2],
      {},
      "'expiry' must be a single expiry, or the same length as 'messages'",
    ],
  ])('%s', async (_, expiry, more, text) => {
    const account = TestAccount.session();
    const params = { ...account.params, messages: [UNKNOWN], expiry, ...more, signature: account.sign('x') };
    expect(await net.node(0).rpc('expire', params)).toMatchObject({
      status: 400,
      text: `invalid request: ${text}`,
    });
  });

  test('in the past, and wrongly signed', async () => {
    const account = TestAccount.session();
    expect(await expire(account, [UNKNOWN], Date.now() - 61_000)).toMatchObject({
      status: 401,
      text: 'expire: timestamp should be >= current time',
    });
    const messages = [UNKNOWN];
    const params = { ...account.params, messages, expiry: Date.now(), signature: account.sign('expire') };
    expect(await net.node(0).rpc('expire', params)).toMatchObject({
      status: 401,
      text: 'expire: signature verification failed',
    });
  });

  test('get_expiries: stale and wrongly signed', async () => {
    const account = TestAccount.session();
    const ask = (timestamp: number, signature: string) =>
      net.node(0).rpc('get_expiries', { ...account.params, messages: ['any text'], timestamp, signature });
    const old = Date.now() - 61_000;
    expect(await ask(old, account.sign('get_expiries', old, 'any text'))).toMatchObject({
      status: 406,
      text: 'get_expiries timestamp too far from current time',
    });
    expect(await ask(Date.now(), account.sign('get_expiries'))).toMatchObject({
      status: 401,
      text: 'get_expiries signature verification failed',
    });
    const now = Date.now();
    expect((await ask(now, account.sign('get_expiries', now, 'any text'))).json).toEqual({ expiries: {} });
  });
});
