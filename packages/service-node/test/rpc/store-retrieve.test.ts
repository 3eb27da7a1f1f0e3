// SPDX-License-Identifier: AGPL-3.0-or-later
// spec/storage-server §8.1: store, retrieve, namespaces, session auth, big retrieve, over HTTPS and with a real swarm.
import { randomBytes } from '@allium/protocol/crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSignedBy, TestAccount } from '../support/test-account.ts';
import { type Answer, TestNetwork, type TestNode } from '../support/test-network.ts';

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [3, 1] });
});
afterAll(() => net[Symbol.asyncDispose]());

const texts = (answer: Answer): string[] =>
  answer.json.messages.map(({ data }: { data: string }) => Buffer.from(data, 'base64').toString());

/** Every member of the account's swarm holds exactly these messages. */
async function expectEverywhere(account: TestAccount, expected: string[], namespace = 0): Promise<void> {
  for (const node of net.swarmOf(account)) {
    expect(texts(await node.rpc('retrieve', account.retrieve({ namespace })))).toEqual(expected);
  }
}

const inSwarmOf3 = (make?: () => TestAccount) => net.accountOf(net.node(0), make);

describe('store', () => {
  test('every member returns the hash, signed, and holds the message', async () => {
    const account = inSwarmOf3();
    const params = account.store('hello');
    const { status, json, headers } = await net.node(1).rpc('store', params);
    expect(status).toBe(200);
    expect(headers.server).toBe('Oxen Storage Server/2.11.0');
    expect(json.hash).toBe(account.hash('hello'));
    expect(Math.abs(json.t - Date.now())).toBeLessThan(30_000);
    expect(json.hf).toEqual([21, 2]);
    expect(Object.keys(json.swarm).sort()).toEqual(
      net
        .swarmOf(account)
        .map(({ hex }) => hex)
        .sort(),
    );
    for (const [hex, entry] of Object.entries<Record<string, never>>(json.swarm)) {
      expect(entry).toMatchObject({ hash: json.hash, expiry: params.timestamp + params.ttl });
      expect(entry).not.toHaveProperty('already');
      expect(isSignedBy(hex, entry.signature as never, json.hash)).toBe(true);
      // §2.9.1: only the entry node's own entry repeats the time.
      expect('t' in entry).toBe(hex === net.node(1).hex);
    }
    await expectEverywhere(account, ['hello']);
  });

  test('the same message again is marked, and its expiry only moves forward', async () => {
    const account = inSwarmOf3();
    const params = account.store('twice');
    await net.node(0).rpc('store', params);
    const again = await net.node(1).rpc('store', { ...params, ttl: params.ttl + 500 });
    const sooner = await net.node(2).rpc('store', { ...params, ttl: params.ttl - 500 });
    for (const { json } of [again, sooner]) {
      for (const entry of Object.values<{ expiry: number; already: unknown }>(json.swarm)) {
        expect(entry.already).toBe(true);
        expect(entry.expiry).toBe(params.timestamp + params.ttl + 500);
      }
    }
    await expectEverywhere(account, ['twice']);
  });

  test('times may be decimal strings, pubKey is another name of pubkey, expiry replaces ttl', async () => {
    const account = inSwarmOf3();
    const { pubkey, timestamp, data } = account.store('old style');
    const answer = await net
      .node(0)
      .rpc('store', { pubKey: pubkey, timestamp: String(timestamp), ttl: '60000', data });
    expect(answer.status).toBe(200);
    const other = { pubkey, timestamp, expiry: timestamp + 20_000, data: 'YWJj' };
    expect((await net.node(0).rpc('store', other)).json.swarm[net.node(0).hex].expiry).toBe(
      timestamp + 20_000,
    );
  });

  test.each([
    ['a lifetime below 10 s', { ttl: 9_999 }, 403, 'Provided expiry/TTL is not valid.'],
    ['more than 14 days in an inbox', { ttl: 14 * 86_400_000 + 1 }, 403, 'Provided expiry/TTL is not valid.'],
    [
      'more than 30 days elsewhere',
      { ttl: 30 * 86_400_000 + 1, namespace: 1 },
      403,
      'Provided expiry/TTL is not valid.',
    ],
    ['a time in the future', { timestamp: Date.now() + 60_000 }, 406, 'Timestamp error: check your clock'],
    [
      'an expiry in the past',
      { timestamp: Date.now() - 100_000, ttl: 20_000 },
      406,
      'Timestamp error: check your clock',
    ],
    ['no time', { timestamp: null }, 400, "invalid request: Required field 'timestamp' missing"],
    ['no data', { data: null }, 400, "invalid request: Required field 'data' missing"],
    ['bad base64', { data: 'a' }, 400, "invalid request: Invalid 'data' value: not base64 encoded"],
    ['ttl and expiry', { expiry: 2e12 }, 400, "invalid request: Cannot specify both 'expiry' and 'ttl'"],
    [
      'a short pubkey',
      { pubkey: '05ab' },
      400,
      'invalid request: Pubkey must be 66 hex digits (33 bytes) long',
    ],
    [
      'a namespace out of range',
      { namespace: 32_768 },
      400,
      "invalid request: Invalid value given for 'namespace': value out of range",
    ],
  ])('%s is refused', async (_, change, status, text) => {
    const account = inSwarmOf3();
    const answer = await net.node(0).rpc('store', { ...account.store('refused'), ...change });
    expect({
      status: answer.status,
      text: answer.text.replace("'ttl' and 'expiry'", "'expiry' and 'ttl'"),
    }).toEqual({
      status,
      text,
    });
    await expectEverywhere(account, []);
  });

  test('76 800 bytes are the most', async () => {
    const account = inSwarmOf3();
    expect((await net.node(0).rpc('store', account.store(randomBytes(76_800)))).status).toBe(200);
    const answer = await net.node(0).rpc('store', account.store(randomBytes(76_801)));
    expect(answer).toMatchObject({
      status: 400,
      text: 'invalid request: Message body exceeds maximum allowed length of 76800 bytes',
    });
  });

  test('sig_timestamp: an old message with a fresh signature is taken by all members', async () => {
    const account = inSwarmOf3();
    const timestamp = Date.now() - 120_000;
    const params = account.store('old', { namespace: 1, timestamp, ttl: 600_000 });
    expect(await net.node(0).rpc('store', params)).toMatchObject({
      status: 406,
      text: 'store signature timestamp too far from current time',
    });
    const now = Date.now();
    const signed = { ...params, sig_timestamp: now, signature: account.sign('store', 1, now) };
    const { status, json } = await net.node(0).rpc('store', signed);
    expect(status).toBe(200);
    for (const entry of Object.values(json.swarm))
      expect(entry).toHaveProperty('hash', account.hash('old', 1));
  });

  test('a full node says so for itself, the others store', async () => {
    await using small = await TestNetwork.prepare({ swarms: [2] });
    const [full, other] = small.nodes as [TestNode, TestNode];
    const { systemEnv } = await import('@allium/net/system-env');
    full.configure({ networkFile: small.networkFile, databaseMaxMib: 1 }, systemEnv(), {});
    await Promise.all(small.nodes.map((node) => node.service.start()));
    const account = TestAccount.session();
    let answer: Answer;
    let stored = 0;
    do {
      answer = await full.rpc('store', account.store(randomBytes(70_000)));
      stored++;
    } while (answer.json.hash !== undefined);
    expect(answer.status).toBe(200);
    expect(answer.json.swarm[full.hex]).toEqual({ failed: true, query_failure: true });
    expect(answer.json.swarm[other.hex]).toHaveProperty('hash');
    const viaOther = await other.rpc('store', account.store(randomBytes(70_000)));
    expect(viaOther.json.swarm[full.hex]).toEqual({ failed: true, query_failure: true });
    const retrieved = await other.rpc('retrieve', account.retrieve({ max_size: -1 }));
    expect(retrieved.json.messages).toHaveLength(stored + 1);
    // §9.3.5: when nobody could do it, the status says so.
    await other.service.stop();
    expect((await full.rpc('store', account.store(randomBytes(70_000)))).status).toBe(500);
  });
});

describe('retrieve', () => {
  test('binary data come back as they are; last_hash goes on; other members give the same', async () => {
    const account = inSwarmOf3();
    const data = [randomBytes(100), randomBytes(1), randomBytes(3000)];
    for (const bytes of data) await net.node(0).rpc('store', account.store(bytes));
    for (const node of net.swarmOf(account)) {
      const { json } = await node.rpc('retrieve', account.retrieve());
      expect(json.messages.map((message: { data: string }) => message.data)).toEqual(
        data.map((bytes) => Buffer.from(bytes).toString('base64')),
      );
      expect(json.more).toBe(false);
      expect(json.hf).toEqual([21, 2]);
      const rest = await node.rpc('retrieve', account.retrieve({ last_hash: json.messages[0].hash }));
      expect(rest.json.messages.map(({ hash }: { hash: string }) => hash)).toEqual([
        account.hash(data[1]!),
        account.hash(data[2]!),
      ]);
      const unknown = await node.rpc('retrieve', account.retrieve({ lastHash: account.hash('nothing') }));
      expect(unknown.json.messages).toHaveLength(3);
    }
  });

  test('without signature', async () => {
    const { id } = inSwarmOf3();
    expect(await net.node(0).rpc('retrieve', { pubkey: id })).toMatchObject({
      status: 401,
      text: 'retrieve: request signature required',
    });
    expect(
      await net.node(0).rpc('retrieve', { pubkey: id, namespace: 5, timestamp: Date.now() }),
    ).toMatchObject({
      status: 400,
      text: "invalid request: Required field 'signature' missing",
    });
  });

  test('a signature without timestamp is a parameter error', async () => {
    const account = inSwarmOf3();
    const { timestamp, ...rest } = account.retrieve();
    expect(await net.node(0).rpc('retrieve', rest)).toMatchObject({
      status: 400,
      text: "invalid request: Required field 'timestamp' missing",
    });
    expect(timestamp).toBeGreaterThan(0);
  });

  test('stale and wrong signatures', async () => {
    const account = inSwarmOf3();
    for (const timestamp of [Date.now() - 61_000, Date.now() + 65_000]) {
      expect(await net.node(0).rpc('retrieve', account.retrieve({ timestamp }))).toMatchObject({
        status: 406,
        text: 'retrieve timestamp too far from current time',
      });
    }
    const other = TestAccount.session();
    const foreign = { ...other.retrieve(), pubkey: account.id };
    expect(await net.node(0).rpc('retrieve', foreign)).toMatchObject({
      status: 401,
      text: 'retrieve signature verification failed',
    });
  });

  test('the key of the account itself may sign when pubkey_ed25519 is absent', async () => {
    const account = inSwarmOf3(() => TestAccount.raw('05'));
    await net.node(0).rpc('store', account.store('plain key'));
    await expectEverywhere(account, ['plain key']);
  });

  test.each([
    ['too short', 'abc', 'Invalid last_hash: expected base64 (43 chars)'],
    ['not base64', '!'.repeat(43), 'Invalid last_hash: not base64'],
  ])('last_hash %s', async (_, last_hash, text) => {
    const answer = await net.node(0).rpc('retrieve', inSwarmOf3().retrieve({ last_hash }));
    expect(answer).toMatchObject({ status: 400, text: `invalid request: ${text}` });
  });
});

describe('big retrieve', () => {
  test('counts and sizes, alone and together, decide exactly', async () => {
    await using one = await TestNetwork.start({ swarms: [1] });
    const node = one.node(0);
    const account = TestAccount.session();
    const hashes: string[] = [];
    for (let i = 0; i < 120; i += 20) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => node.rpc('store', account.store(randomBytes(70_000)))),
      );
      hashes.push(...answers.map(({ json }) => json.hash));
    }
    const order: string[] = [];
    const ask = async (more: Record<string, unknown>) => {
      const { json } = await node.rpc('retrieve', account.retrieve(more));
      return {
        hashes: json.messages.map(({ hash }: { hash: string }) => hash) as string[],
        more: json.more as boolean,
      };
    };
    let page = await ask({ max_size: -1 });
    expect([page.hashes.length, page.more]).toEqual([83, true]);
    order.push(...page.hashes);
    page = await ask({ max_size: -1, last_hash: order.at(-1) });
    expect([page.hashes.length, page.more]).toEqual([37, false]);
    order.push(...page.hashes);
    expect([...order].sort()).toEqual([...hashes].sort());

    const expectPage = async (
      params: Record<string, unknown>,
      from: number,
      count: number,
      more: boolean,
    ) => {
      const last_hash = from === 0 ? undefined : order[from - 1];
      expect(await ask({ ...params, last_hash })).toEqual({ hashes: order.slice(from, from + count), more });
    };
    await expectPage({ max_count: 5 }, 0, 5, true);
    await expectPage({ max_count: 8 }, 5, 8, true);
    await expectPage({ max_count: 20 }, 100, 20, false);
    await expectPage({ max_count: 20 }, 99, 20, true);
    await expectPage({ max_count: 10 }, 115, 5, false);
    await expectPage({ max_count: 100 }, 0, 83, true);
    await expectPage({ max_count: -1 }, 0, 16, true);
    await expectPage({ max_size: 500_000 }, 0, 5, true);
    await expectPage({ max_size: 600_000 }, 0, 6, true);
    await expectPage({ max_size: -3 }, 0, 27, true);
    await expectPage({}, 0, 16, true);
    await expectPage({ max_size: 0, max_count: 0 }, 0, 16, true);
    await expectPage({}, 110, 10, false);
    await expectPage({ max_size: 1 }, 0, 1, true);
    await expectPage({ max_count: 5, max_size: 1_000_000 }, 0, 5, true);
    await expectPage({ max_count: 10, max_size: 700_000 }, 0, 7, true);
  });

  test('all of a batch together stay within the limit of one', async () => {
    await using one = await TestNetwork.start({ swarms: [1] });
    const node = one.node(0);
    const account = TestAccount.session();
    await Promise.all(
      Array.from({ length: 90 }, () => node.rpc('store', account.store(randomBytes(70_000)))),
    );
    const requests = Array.from({ length: 5 }, () => ({
      method: 'retrieve',
      params: account.retrieve({ max_size: 7_800_000 }),
    }));
    for (const method of ['batch', 'sequence']) {
      const { status, json, bytes } = await node.rpc(method, { requests });
      expect(status).toBe(200);
      const counts = json.results.map(({ body }: { body: { messages: unknown[] } }) => body.messages.length);
      expect(counts).toEqual([83, 1, 1, 1, 1]);
      for (const { body } of json.results) expect(body.more).toBe(true);
      expect(bytes.length).toBeLessThan(8_300_000);
    }
  });
});

describe('namespaces', () => {
  test('a public inbox takes messages without signature, a private namespace with one', async () => {
    const account = inSwarmOf3();
    expect((await net.node(0).rpc('store', account.store('public', { namespace: 40 }))).status).toBe(200);
    expect((await net.node(0).rpc('store', account.store('private', { namespace: -42 }))).status).toBe(200);
    await expectEverywhere(account, ['public'], 40);
    await expectEverywhere(account, ['private'], -42);
    await expectEverywhere(account, []);
  });

  test('a bad signature does not matter in a public inbox', async () => {
    const account = inSwarmOf3();
    const params = { ...account.store('ignored'), signature: account.sign('something else') };
    expect((await net.node(0).rpc('store', params)).status).toBe(200);
  });

  test('legacy groups need no signature at all', async () => {
    const account = inSwarmOf3();
    await net.node(0).rpc('store', account.store('group', { namespace: -10 }));
    expect(texts(await net.node(1).rpc('retrieve', { pubkey: account.id, namespace: -10 }))).toEqual([
      'group',
    ]);
  });

  test('private namespaces: no signature, a wrong one', async () => {
    const account = inSwarmOf3();
    expect(
      await net.node(0).rpc('store', account.store('x', { namespace: 42, signed: false })),
    ).toMatchObject({
      status: 401,
      text: 'store: signature required to store to namespace 42',
    });
    const wrong = {
      ...account.store('x', { namespace: 42 }),
      signature: TestAccount.session().sign('store'),
    };
    expect(await net.node(0).rpc('store', wrong)).toMatchObject({
      status: 401,
      text: 'store signature verification failed',
    });
  });

  test('a public outbox: signed stores replace, anybody reads, the same data keeps its time', async () => {
    const account = inSwarmOf3();
    const open = async () =>
      (await net.node(1).rpc('retrieve', { pubkey: account.id, namespace: -1 })).json.messages;
    expect(
      (await net.node(0).rpc('store', account.store('x', { namespace: -1, signed: false }))).status,
    ).toBe(401);
    await net.node(0).rpc('store', account.store('first', { namespace: -1 }));
    const timestamp = Date.now() - 5000;
    await net.node(0).rpc('store', account.store('second', { namespace: -1, timestamp }));
    expect(await open()).toMatchObject([{ hash: account.hash('second', -1), timestamp }]);
    const later = account.store('second', { namespace: -1, ttl: 120_000 });
    await net.node(0).rpc('store', later);
    expect(await open()).toMatchObject([{ timestamp, expiration: later.timestamp + later.ttl }]);
  });
});

describe('wrong swarm', () => {
  test('421 with the right swarm, before anything but parameter syntax is looked at', async () => {
    const account = inSwarmOf3();
    const outside = net.outsideOf(account);
    const expected = (await net.node(0).rpc('get_swarm', { pubkey: account.id })).json;
    expect(expected.snodes).toHaveLength(3);
    expect(expected.swarm).toBe(net.node(0).swarmId.toString(16));
    for (const node of net.swarmOf(account)) {
      const entry = expected.snodes.find(
        (snode: { pubkey_ed25519: string }) => snode.pubkey_ed25519 === node.hex,
      );
      expect(entry).toMatchObject({
        pubkey_legacy: node.hex,
        pubkey_x25519: node.keys.x25519Hex,
        ip: '127.0.0.1',
        port: String(node.httpsPort),
        port_https: node.httpsPort,
        port_omq: node.omqPort,
      });
      expect(entry.address).toMatch(/^[a-z13-9]{52}\.snode$/);
    }
    for (const [method, params] of [
      ['store', account.store('x', { timestamp: 1 })],
      ['retrieve', { pubkey: account.id }],
      ['delete', { pubkey: account.id, messages: [account.hash('x')], signature: account.sign('x') }],
      [
        'get_expiries',
        { pubkey: account.id, messages: ['x'], timestamp: 1e12, signature: account.sign('x') },
      ],
    ] as const) {
      const answer = await outside.rpc(method, params);
      expect(answer.status).toBe(421);
      expect(answer.json).toEqual({ ...expected, t: answer.json.t });
    }
    expect((await outside.rpc('store', { pubkey: account.id })).status).toBe(400);
    expect((await outside.rpc('get_snodes_for_pubkey', { pubKey: account.id })).status).toBe(200);
  });
});

describe('session accounts', () => {
  test('delete_all needs the right Ed25519 key', async () => {
    const account = inSwarmOf3();
    await net.node(0).rpc('store', account.store('stays'));
    const timestamp = Date.now();
    const signature = account.sign('delete_all', timestamp);
    const { pubkey, pubkey_ed25519 } = account.params;
    const foreign = TestAccount.session().params.pubkey_ed25519;
    for (const params of [
      { pubkey, timestamp, signature },
      { pubkey, timestamp, signature, pubkey_ed25519: foreign },
    ]) {
      expect(await net.node(0).rpc('delete_all', params)).toMatchObject({
        status: 401,
        text: 'delete_all signature verification failed',
      });
    }
    await expectEverywhere(account, ['stays']);
    const { json } = await net.node(0).rpc('delete_all', { pubkey, pubkey_ed25519, timestamp, signature });
    for (const [hex, entry] of Object.entries<{ signature: string; deleted: string[] }>(json.swarm)) {
      expect(entry.deleted).toEqual([account.hash('stays')]);
      expect(isSignedBy(hex, entry.signature, account.id, timestamp, account.hash('stays'))).toBe(true);
    }
    await expectEverywhere(account, []);
  });

  test('pubkey_ed25519 is for prefix 05 only', async () => {
    const account = inSwarmOf3(() => TestAccount.raw('04'));
    const params = { ...account.retrieve(), pubkey_ed25519: TestAccount.session().params.pubkey_ed25519 };
    expect(await net.node(0).rpc('retrieve', params)).toMatchObject({
      status: 400,
      text: 'invalid request: pubkey_ed25519 is only permitted for 05[...] pubkeys',
    });
  });
});
