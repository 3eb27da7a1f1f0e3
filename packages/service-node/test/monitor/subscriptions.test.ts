// SPDX-License-Identifier: AGPL-3.0-or-later
// spec/storage-server §5.8 and the monitor rows of §8.1, over real OMQ sockets. Subscribers are bare service-node
// endpoints, because those get one-way commands on the connections that they opened.
import { writeFileSync } from 'node:fs';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { type BtInput, decodeBt, encodeBt } from '@allium/protocol/bencode';
import { x25519KeyPair } from '@allium/protocol/crypto';
import { encodeStaticList, removeNodes, signStaticList } from '@allium/protocol/membership/static-list';
import { decodeMessageNotification, type MessageNotification } from '@allium/protocol/storage/monitor';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const SUCCESS = 'd7:successi1ee';

/** Someone with one OMQ connection per node, and all that came over them. */
class Subscriber {
  readonly messages: MessageNotification[] = [];
  readonly ended: Map<string, unknown>[] = [];
  readonly omq = new Omq({ keyPair: x25519KeyPair(), isServiceNode: false }, systemEnv());

  static async start(): Promise<Subscriber> {
    const subscriber = new Subscriber();
    const { omq } = subscriber;
    omq.category('notify', { access: 'none' });
    omq.register(
      'notify.message',
      (_, parts) => {
        expect(parts).toHaveLength(1);
        subscriber.messages.push(decodeMessageNotification(parts[0]!));
        return undefined;
      },
      { oneWay: true },
    );
    omq.register(
      'notify.monitor_ended',
      (_, [part]) => {
        subscriber.ended.push(decodeBt(part!) as Map<string, unknown>);
        return undefined;
      },
      { oneWay: true },
    );
    await omq.start();
    subscribers.push(subscriber);
    return subscriber;
  }

  async monitor(node: TestNode, request: BtInput): Promise<string> {
    const [reply] = await net.omq(node, 'monitor.messages', [encodeBt(request)], this.omq);
    return Buffer.from(reply!).toString('latin1');
  }

  async code(node: TestNode, request: BtInput): Promise<number | undefined> {
    const dict = decodeBt(Buffer.from(await this.monitor(node, request), 'latin1'));
    return (dict as Map<string, number>).get('errcode');
  }
}

const subscribers: Subscriber[] = [];
let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [3, 1], options: { maxSubscriptions: 40 } });
});
afterEach(() => Promise.all(subscribers.splice(0).map(({ omq }) => omq.stop())));
afterAll(() => net[Symbol.asyncDispose]());

const account = (make = () => TestAccount.raw()) => net.accountOf(net.node(0), make);
const seconds = () => Math.floor(Date.now() / 1000);

function request(
  owner: TestAccount,
  namespaces: readonly number[],
  options: { data?: boolean; t?: number } = {},
): { [key: string]: BtInput } {
  const { data = false, t = seconds() } = options;
  const isSession = owner.prefix === '05';
  return {
    ...(isSession ? { P: owner.ed25519Key } : { p: owner.bytes }),
    ...(data && { d: 1 }),
    n: namespaces,
    t,
    s: owner.signRaw('MONITOR', owner.id, t, data ? 1 : 0, namespaces.join(',')),
  };
}

/** Waits until what was sent before has surely come: a connection keeps the order. */
async function settled(subscriber: Subscriber, node: TestNode): Promise<void> {
  await subscriber.monitor(node, []);
}

describe('registering', () => {
  test('an account with an Ed25519 key, at every member', async () => {
    const subscriber = await Subscriber.start();
    const owner = account();
    for (const node of net.swarmOf(owner)) {
      expect(await subscriber.monitor(node, request(owner, [-5, 0, 23], { data: true }))).toBe(SUCCESS);
    }
  });

  test('a Session account by its Ed25519 key', async () => {
    const subscriber = await Subscriber.start();
    const owner = account(() => TestAccount.session());
    expect(await subscriber.monitor(net.node(0), request(owner, [0]))).toBe(SUCCESS);
  });

  test('several accounts at once', async () => {
    const subscriber = await Subscriber.start();
    const [one, two] = [account(), account()];
    const reply = await subscriber.monitor(net.node(0), [request(one, [5]), request(two, [5])]);
    expect(reply).toBe(`l${SUCCESS}${SUCCESS}e`);
    await net.node(0).rpc('store', two.store('for two', { namespace: 5 }));
    await until(() => subscriber.messages.length > 0, 'the push');
    await settled(subscriber, net.node(0));
    expect(subscriber.messages.map(({ account: bytes }) => Buffer.from(bytes).toString('hex'))).toEqual([
      two.id,
    ]);
  });

  test('what is wrong is refused with its code', async () => {
    const subscriber = await Subscriber.start();
    const node = net.node(0);
    const owner = account();
    const good = request(owner, [0]);
    expect(await subscriber.code(node, {})).toBe(1);
    expect(await subscriber.code(node, { ...good, p: new Uint8Array(5) })).toBe(2);
    expect(await subscriber.code(node, { ...good, n: [3, 1] })).toBe(3);
    const day = 86_400;
    expect(await subscriber.code(node, request(owner, [0], { t: seconds() - 14 * day - 5 }))).toBe(4);
    expect(await subscriber.code(node, request(owner, [0], { t: seconds() + day + 5 }))).toBe(4);
    expect(await subscriber.code(node, request(owner, [0], { t: seconds() - 13 * day }))).toBeUndefined();
    expect(await subscriber.code(node, { ...good, n: [1] })).toBe(5);
  });

  test('another swarm answers with the right one', async () => {
    const subscriber = await Subscriber.start();
    const owner = account();
    const reply = await subscriber.monitor(net.outsideOf(owner), request(owner, [0]));
    const dict = decodeBt(Buffer.from(reply, 'latin1')) as Map<string, never>;
    expect(dict.get('errcode')).toBe(6);
    expect(Buffer.from(dict.get('swarm')!).toString()).toBe(net.swarmOf(owner)[0]!.swarmId.toString(16));
    expect(dict.get('snodes')).toHaveLength(3);
  });
});

describe('pushes', () => {
  test('each member sends one for a store, with all there is to tell', async () => {
    const subscriber = await Subscriber.start();
    const owner = account();
    for (const node of net.swarmOf(owner)) {
      await subscriber.monitor(node, request(owner, [-5, 0, 23], { data: true }));
    }
    const params = owner.store('hello', { namespace: 23 });
    await net.node(1).rpc('store', params);
    await net.node(1).rpc('store', owner.store('unmonitored', { namespace: 22 }));
    await net.node(1).rpc('store', params); // not new any more
    await until(() => subscriber.messages.length >= 3, 'three pushes');
    for (const node of net.swarmOf(owner)) await settled(subscriber, node);
    const push = {
      account: owner.id,
      hash: owner.hash('hello', 23),
      namespace: 23,
      timestamp: params.timestamp,
      expiry: params.timestamp + params.ttl,
      data: 'hello',
    };
    const told = subscriber.messages.map(({ account: bytes, data, ...rest }) => ({
      account: Buffer.from(bytes).toString('hex'),
      data: Buffer.from(data!).toString(),
      ...rest,
    }));
    expect(told).toEqual([push, push, push]);
  });

  test('namespaces add up, data once wanted stays wanted, others hear nothing', async () => {
    const [subscriber, other] = [await Subscriber.start(), await Subscriber.start()];
    const [owner, node] = [account(), net.node(0)];
    await subscriber.monitor(node, request(owner, [0], { data: true }));
    await subscriber.monitor(node, request(owner, [5]));
    await other.monitor(node, request(owner, [5]));
    await node.rpc('store', owner.store('a'));
    await node.rpc('store', owner.store('b', { namespace: 5 }));
    await until(() => subscriber.messages.length >= 2 && other.messages.length >= 1, 'the pushes');
    await settled(other, node);
    expect(subscriber.messages.map(({ data }) => Buffer.from(data!).toString())).toEqual(['a', 'b']);
    expect(other.messages.map(({ namespace, data }) => [namespace, data])).toEqual([[5, undefined]]);
  });

  test('to a subaccount, until it is revoked', async () => {
    const subscriber = await Subscriber.start();
    const owner = account(() => TestAccount.raw('02'));
    const node = net.node(0);
    const sub = owner.subaccount(1);
    const t = seconds();
    const subscription = {
      p: owner.bytes,
      T: sub.token,
      S: owner.signRaw(sub.token),
      n: [3],
      t,
      s: Buffer.from(sub.sign('MONITOR', owner.id, t, 0, '3'), 'base64'),
    };
    expect(await subscriber.monitor(node, subscription)).toBe(SUCCESS);
    await node.rpc('store', owner.store('before', { namespace: 3 }));
    await until(() => subscriber.messages.length === 1, 'the push');
    const timestamp = Date.now();
    const revoked = await node.rpc('revoke_subaccount', {
      pubkey: owner.id,
      revoke: Buffer.from(sub.token).toString('base64'),
      timestamp,
      signature: owner.sign('revoke_subaccount', timestamp, sub.token),
    });
    expect(revoked.status).toBe(200);
    await node.rpc('store', owner.store('after', { namespace: 3 }));
    await settled(subscriber, node);
    expect(subscriber.messages).toHaveLength(1);
    expect(await subscriber.code(node, subscription)).toBe(5);
  });
});

test('a subscription ends with its connection and gives its place back', async () => {
  // 40 in all, 4 over one connection.
  const node = net.node(0);
  const watch = async () => {
    const subscriber = await Subscriber.start();
    const codes: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) codes.push(await subscriber.code(node, request(account(), [0])));
    expect(codes).toEqual([undefined, undefined, undefined, undefined, 1]);
    return subscriber;
  };
  for (let round = 0; round < 12; round++) await (await watch()).omq.stop();
});

test('an account that moves to another swarm: the subscriber is told where it is', async () => {
  const moving = await TestNetwork.start({ swarms: [1, 1] });
  const before = net;
  net = moving;
  try {
    const [stays, joins] = moving.nodes as [TestNode, TestNode];
    const owner = moving.accountOf(stays, () => TestAccount.raw());
    const subscriber = await Subscriber.start();
    expect(await subscriber.monitor(stays, request(owner, [0]))).toBe(SUCCESS);
    const issued = Math.floor(Date.now() / 1000);
    const list = removeNodes(moving.list, [stays.hex], { issued, expires: issued + 86_400 });
    moving.list = signStaticList(list, moving.admin);
    writeFileSync(moving.networkFile, encodeStaticList(moving.list));
    await until(() => subscriber.ended.length > 0, 'the end');
    const [ended] = subscriber.ended as [Map<string, never>];
    expect(Buffer.from(ended.get('@')!).toString('hex')).toBe(owner.id);
    expect(ended.get('errcode')).toBe(6);
    expect(Buffer.from(ended.get('swarm')!).toString()).toBe(joins.swarmId.toString(16));
    expect(await subscriber.code(stays, request(owner, [0]))).toBe(6);
    expect(subscriber.ended).toHaveLength(1);
    await subscriber.omq.stop();
  } finally {
    net = before;
    await moving[Symbol.asyncDispose]();
  }
});
