// SPDX-License-Identifier: AGPL-3.0-or-later
// What happens when members are down, come back, are silent, or answer nonsense (spec/storage-server §2.7, §5.5, §5.6).
import { createServer, type Server } from 'node:net';
import { Omq } from '@allium/net/omq';
import type { OmqHandler } from '@allium/net/omq/endpoint';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { encodeBt } from '@allium/protocol/bencode';
import { utf8 } from '@allium/protocol/bytes';
import { encodeDataPush, type PushedMessage } from '@allium/protocol/storage/data-push';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const held = async (node: TestNode, account: TestAccount, namespace = 0): Promise<string[]> => {
  const { json } = await node.rpc('retrieve', account.retrieve({ namespace }));
  return json.messages.map(({ data }: { data: string }) => Buffer.from(data, 'base64').toString());
};

describe('a member that was down', () => {
  test('is reported, gets what it missed when it is back, and misses what was deleted meanwhile', async () => {
    await using net = await TestNetwork.start({ swarms: [3] });
    const [a, b, c] = net.nodes as [TestNode, TestNode, TestNode];
    const account = TestAccount.session();
    await a.rpc('store', account.store('before'));
    await c.service.stop();

    const { status, json } = await a.rpc('store', account.store('missed 1'));
    expect(status).toBe(200);
    expect(json.swarm[c.hex]).toEqual({ failed: true, timeout: true });
    expect(json.swarm[b.hex]).toHaveProperty('hash');
    await b.rpc('store', account.store('missed 2', { namespace: 5 }));
    await a.rpc('store', account.store('deleted again'));
    const messages = [account.hash('before'), account.hash('deleted again')];
    const signature = account.sign('delete', ...messages);
    await b.rpc('delete', { ...account.params, messages, signature });

    await c.service.start();
    await until(async () => {
      const [inbox, other] = [await held(c, account), await held(c, account, 5)];
      return inbox.join() === 'missed 1' && other.join() === 'missed 2';
    }, 'the missed messages');
  });

  test('gets it also from an entry node that was restarted in between', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const account = TestAccount.session();
    await b.service.stop();
    await a.rpc('store', account.store('kept over the restart'));
    await a.service.stop();
    await a.service.start();
    await b.service.start();
    await until(async () => (await held(b, account)).length === 1, 'the message');
  });

  test('is tried again without any sign from it', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    const [a, b] = net.nodes as [TestNode, TestNode];
    await a.service.start();
    const account = TestAccount.session();
    await a.rpc('store', account.store('tried again'));
    // Not a node, only its address and key: it takes what comes, and never speaks first.
    const received: Uint8Array[][] = [];
    const silent = new Omq(
      { keyPair: b.keys.x25519, isServiceNode: true, listen: { host: '127.0.0.1', port: b.omqPort } },
      systemEnv(),
    );
    silent.category('sn', { access: 'none' });
    silent.register('sn.data', (_, parts) => {
      received.push(parts);
      return [];
    });
    await silent.start();
    await until(() => received.length > 0, 'a delivery');
    expect(Buffer.from(received[0]![0]!).toString('latin1')).toContain('tried again');
    await silent.stop();
  });
});

describe('answers of peers', () => {
  let net: TestNetwork;
  let peer: Omq;
  let answer: (string | Uint8Array)[] | undefined;
  const seen: string[] = [];

  // The second member is the test itself.
  async function startPeer(commands: Record<string, OmqHandler>): Promise<Omq> {
    const { keys, omqPort } = net.node(1);
    const omq = new Omq(
      { keyPair: keys.x25519, isServiceNode: true, listen: { host: '127.0.0.1', port: omqPort } },
      systemEnv(),
    );
    omq.category('sn', { access: 'none' });
    for (const [name, handler] of Object.entries(commands)) omq.register(name, handler);
    await omq.start();
    return omq;
  }
  const storageCc: OmqHandler = (_, [method]) => {
    seen.push(Buffer.from(method!).toString());
    return answer;
  };
  beforeAll(async () => {
    net = await TestNetwork.prepare({ swarms: [2] });
    await net.node(0).service.start();
    peer = await startPeer({ 'sn.storage_cc': storageCc });
  });
  afterAll(async () => {
    await peer.stop();
    await net[Symbol.asyncDispose]();
  });

  test.each([
    ['an error', ['401', 'no'], { failed: true, code: '401', reason: 'no' }],
    ['a long error', ['500', 'x'.repeat(9000)], { failed: true, code: '500', reason: 'x'.repeat(200) }],
    [
      'an error cut within a character',
      ['500', `${'x'.repeat(199)}🦊`],
      { failed: true, code: '500', reason: `${'x'.repeat(199)}\ufffd` },
    ],
    ['no parts', [], { failed: true, bad_peer_response: true }],
    ['nonsense', ['nonsense'], { failed: true, bad_peer_response: true }],
    ['a dict without what belongs in it', [encodeBt({ x: 1 })], { failed: true, bad_peer_response: true }],
    ['its own failure', [encodeBt({ failed: 1, query_failure: 1 })], { failed: true, query_failure: true }],
  ])('%s', async (_, reply, entry) => {
    answer = reply;
    const account = TestAccount.session();
    const { status, json } = await net.node(0).rpc('store', account.store('x'));
    expect(status).toBe(200);
    expect(json.swarm[net.node(1).hex]).toEqual(entry);
    expect(seen.at(-1)).toBe('store');
  });

  const send = async (command: string, ...parts: (string | Uint8Array)[]) =>
    (await net.omq(net.node(0), command, parts, peer)).map((part) => Buffer.from(part).toString('latin1'));

  test('what a node refuses of forwarded requests', async () => {
    const notForwardable = ['400', 'invalid request: received invalid forwarded non-forwardable request'];
    expect(await send('sn.storage_cc', 'retrieve', 'de')).toEqual(notForwardable);
    expect(await send('sn.storage_cc', 'batch', 'de')).toEqual(notForwardable);
    expect((await send('sn.storage_cc', 'store', 'de'))[0]).toBe('400');
    const account = TestAccount.session();
    const old = Date.now() - 75_000;
    const forward = (timestamp: number) =>
      send(
        'sn.storage_cc',
        'delete_all',
        encodeBt({
          namespace: 0,
          pubkey: account.bytes,
          pubkey_ed25519: account.ed25519Key,
          signature: account.signRaw('delete_all', timestamp),
          timestamp,
        }),
      );
    expect(await forward(old)).toEqual(['406', 'delete_all timestamp too far from current time']);
    // §9.3.7: 70 s for forwarded copies, where a client has 60.
    const [dict] = await forward(Date.now() - 65_000);
    expect(dict).toMatch(/^d7:deletedle9:signature64:/);
    await expect(
      peer.request(
        { host: '127.0.0.1', port: net.node(0).omqPort, publicKey: net.node(0).keys.x25519.publicKey },
        'sn.storage_cc',
        ['fly', 'de'],
        { timeoutMs: 300 },
      ),
    ).rejects.toMatchObject({ code: 'timeout' });
  });

  test('sn.missed: late deletions and revocations hold for what was there then', async () => {
    const node = net.node(0);
    const account = TestAccount.session();
    const hour = 3_600_000;
    const stored = { ttl: 2 * hour };
    await node.rpc('store', account.store('before', { ...stored, timestamp: Date.now() - hour }));
    await node.rpc('store', account.store('after', stored));
    const timestamp = Date.now() - hour / 2;
    const auth = { pubkey: account.bytes, pubkey_ed25519: account.ed25519Key, timestamp };
    const signature = account.signRaw('delete_all', timestamp);
    const dict = encodeBt({ namespace: 0, ...auth, signature });
    expect(await send('sn.storage_cc', 'delete_all', dict)).toEqual([
      '406',
      'delete_all timestamp too far from current time',
    ]);
    expect(await send('sn.missed', 'delete_all', dict)).toHaveLength(1);
    expect(await held(node, account)).toEqual(['after']);
    const forged = encodeBt({ namespace: 0, ...auth, timestamp: timestamp + 1, signature });
    expect((await send('sn.missed', 'delete_all', forged))[0]).toBe('401');
    expect((await send('sn.missed', 'store', dict))[0]).toBe('400');

    const sub = account.subaccount(1);
    const revoke = encodeBt({
      ...auth,
      revoke: [sub.token],
      signature: account.signRaw('revoke_subaccount', timestamp, sub.token),
    });
    expect(await send('sn.missed', 'revoke_subaccount', revoke)).toHaveLength(1);
    const now = Date.now();
    const params = { pubkey: account.id, pubkey_ed25519: account.params.pubkey_ed25519, timestamp: now };
    const refused = await node.rpc('retrieve', {
      ...params,
      ...sub.params,
      signature: sub.sign('retrieve', now),
    });
    expect(refused.status).toBe(401);
  });

  test('a request that grew stale in the queue is sent as missed, a message as data', async () => {
    const account = TestAccount.session();
    answer = [encodeBt({})];
    await net.node(0).rpc('store', account.store('again', { namespace: 5 }));
    await peer.stop();
    const timestamp = Date.now();
    const signature = account.sign('delete_all', timestamp);
    await net.node(0).rpc('delete_all', { ...account.params, timestamp, signature });
    await net.node(0).rpc('store', account.store('again', { namespace: 5, ttl: 70_000 }));
    // 406, as to everything that is repeated after a minute.
    answer = ['406', 'too far'];
    const missed: string[] = [];
    let pushed = '';
    peer = await startPeer({
      'sn.storage_cc': storageCc,
      'sn.missed': (_, [method]) => {
        missed.push(Buffer.from(method!).toString());
        return [encodeBt({ signature: new Uint8Array(64) })];
      },
      'sn.data': (_, [blob]) => {
        pushed += Buffer.from(blob!).toString('latin1');
        return [];
      },
    });
    await until(() => missed.includes('delete_all') && pushed.includes('again'), 'both');
  });

  describe('sn.data (§9.3.2)', () => {
    const push = (...messages: PushedMessage[]) => send('sn.data', ...encodeDataPush(messages));
    const pushed = (account: TestAccount, text: string, more: Partial<PushedMessage> = {}): PushedMessage => {
      const namespace = more.namespace ?? 0;
      return {
        account: account.bytes,
        namespace,
        hash: account.hash(text, namespace),
        timestamp: Date.now(),
        expiry: Date.now() + 60_000,
        data: utf8(text),
        ...more,
      };
    };

    test('takes what is right, of any namespace, and answers without parts', async () => {
      const account = TestAccount.session();
      expect(await push(pushed(account, 'a'), pushed(account, 'b', { namespace: 5 }))).toEqual([]);
      expect([await held(net.node(0), account), await held(net.node(0), account, 5)]).toEqual([['a'], ['b']]);
    });

    test('finds the namespace that an old sender lost', async () => {
      const account = TestAccount.raw();
      await push(pushed(account, 'group message', { hash: account.hash('group message', 11) }));
      expect(await held(net.node(0), account, 11)).toEqual(['group message']);
      expect(await held(net.node(0), account)).toEqual([]);
    });

    test('refuses what is wrong and keeps the rest', async () => {
      const account = TestAccount.session();
      const day = 86_400_000;
      await push(
        pushed(account, 'bad hash', { hash: account.hash('other') }),
        pushed(account, 'expired', { expiry: Date.now() - 1 }),
        pushed(account, 'lives too long', { expiry: Date.now() + 31 * day }),
        pushed(account, 'from the future', { timestamp: Date.now() + 100_000 }),
        pushed(account, 'x'.repeat(76_801)),
        pushed(account, 'good'),
      );
      expect(await held(net.node(0), account)).toEqual(['good']);
      expect(await send('sn.data', 'nonsense')).toEqual([]);
    });
  });
});

describe('a member that is silent', () => {
  let server: Server;
  afterAll(() => server.close());

  test('is given 5 s, the others do not wait for more', async () => {
    await using net = await TestNetwork.prepare({ swarms: [3] });
    const [a, b, c] = net.nodes as [TestNode, TestNode, TestNode];
    server = createServer((socket) => socket.on('error', () => {}).resume());
    await new Promise<void>((resolve) => server.listen(c.omqPort, '127.0.0.1', resolve));
    await Promise.all([a.service.start(), b.service.start()]);
    const account = TestAccount.session();
    const started = performance.now();
    // Entries of a batch wait side by side (§9.3.8).
    const requests = ['1', '2', '3'].map((data) => ({ method: 'store', params: account.store(data) }));
    const { json } = await a.rpc('batch', { requests });
    expect(performance.now() - started).toBeGreaterThan(4500);
    // One after the other they would wait for 15 s.
    expect(performance.now() - started).toBeLessThan(14_000);
    for (const { code, body } of json.results) {
      expect(code).toBe(200);
      expect(body.swarm[c.hex]).toEqual({ failed: true, timeout: true });
      expect(body.swarm[b.hex]).toHaveProperty('hash');
    }
    expect((await held(b, account)).sort()).toEqual(['1', '2', '3']);
  });
});

test('what clock or node list forbid now is not taken in silence, so that it comes again', async () => {
  await using net = await TestNetwork.prepare({ swarms: [1, 1] });
  const [a, b] = net.nodes as [TestNode, TestNode];
  await a.service.start();
  await using omq = new Omq({ keyPair: b.keys.x25519, isServiceNode: true }, systemEnv());
  await omq.start();
  const push = async (account: TestAccount, aheadMs: number) => {
    const message = {
      account: account.bytes,
      namespace: 0,
      hash: account.hash('later'),
      timestamp: Date.now() + aheadMs,
      expiry: Date.now() + 600_000,
      data: utf8('later'),
    };
    const to = { host: '127.0.0.1', port: a.omqPort, publicKey: a.keys.x25519.publicKey };
    return (await omq.request(to, 'sn.data', [...encodeDataPush([message])])).map((part) =>
      Buffer.from(part).toString(),
    );
  };
  expect(await push(net.accountOf(b), 0)).toEqual(['Swarm mismatch']);
  const account = net.accountOf(a);
  expect(await push(account, 100_000)).toEqual(['Timestamp error: check your clock']);
  expect(await held(a, account)).toEqual([]);
  expect(await push(account, 0)).toEqual([]);
  expect(await held(a, account)).toEqual(['later']);
});
