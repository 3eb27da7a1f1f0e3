// SPDX-License-Identifier: AGPL-3.0-or-later
// spec/storage-server §2.9.2 `wait`: answers that are held, over HTTPS, OMQ and onions.
import { writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { utf8 } from '@allium/protocol/bytes';
import { encodeStaticList, removeNodes, signStaticList } from '@allium/protocol/membership/static-list';
import { buildOnion, openFinalReply } from '@allium/protocol/onion/request';
import { encodeDataPush } from '@allium/protocol/storage/data-push';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { type Answer, TestNetwork, type TestNode } from '../support/test-network.ts';

/** The longest that a node grants: what is answered sooner was not held to the end. */
const LONG = 25_000;

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [3, 1], options: { maxRequests: 1 }, metrics: true });
});
afterAll(() => net[Symbol.asyncDispose]());

const account = (make?: () => TestAccount) => net.accountOf(net.node(0), make);
const texts = (messages: { data: string }[]) =>
  messages.map(({ data }) => Buffer.from(data, 'base64').toString());

/** An answer and how long it took. */
async function timed<T>(answer: Promise<T>): Promise<T & { ms: number }> {
  const began = performance.now();
  const result = await answer;
  return { ...result, ms: performance.now() - began };
}

/** Waits until the first node holds `count` polls. */
const holding = (count: number, node = net.node(0)) =>
  until(async () => (await node.metric('allium_long_polls')) === count, `${count} polls to be held`);

/** Sends a poll to the first node of a network, which holds it then. */
async function held(
  node: TestNode,
  method: string,
  params: object,
): Promise<Promise<Answer & { ms: number }>[]> {
  const poll = timed(node.rpc(method, params));
  await holding(1, node);
  return [poll];
}

test('info names the capability', async () => {
  const { json } = await net.node(0).rpc('info', {});
  expect(json.capabilities).toEqual(['wait']);
});

describe('a retrieve with wait', () => {
  test('is answered as soon as a message is stored here', async () => {
    const owner = account();
    const [poll] = await held(net.node(0), 'retrieve', owner.retrieve({ wait: LONG }));
    await net.node(0).rpc('store', owner.store('another namespace', { namespace: 5 }));
    const before = Date.now();
    await net.node(0).rpc('store', owner.store('hello'));
    const { status, json, ms } = await poll!;
    expect(status).toBe(200);
    expect(texts(json.messages)).toEqual(['hello']);
    expect(json.waited).toBeGreaterThanOrEqual(0);
    expect(ms).toBeLessThan(LONG);
    // The time of the answer, not of the question.
    expect(json.t).toBeGreaterThanOrEqual(before);
    expect(json.t).toBeLessThanOrEqual(Date.now());
  });

  test('is answered as soon as another member forwards a message, or hands one over', async () => {
    const owner = account();
    const [poll] = await held(net.node(0), 'retrieve', owner.retrieve({ wait: LONG }));
    await net.node(2).rpc('store', owner.store('forwarded'));
    expect(texts((await poll!).json.messages)).toEqual(['forwarded']);

    const last = owner.hash('forwarded');
    const [again] = await held(net.node(0), 'retrieve', owner.retrieve({ wait: LONG, last_hash: last }));
    const now = Date.now();
    const pushed = {
      account: owner.bytes,
      hash: owner.hash('pushed'),
      timestamp: now,
      expiry: now + 60_000,
      data: utf8('pushed'),
      namespace: 0,
    };
    // As node 1 would, from a port of its own.
    const peer = new Omq({ keyPair: net.node(1).keys.x25519, isServiceNode: true }, systemEnv());
    await peer.start();
    await net.omq(net.node(0), 'sn.data', [...encodeDataPush([pushed])], peer);
    await peer.stop();
    const { json, ms } = await again!;
    expect(texts(json.messages)).toEqual(['pushed']);
    expect(ms).toBeLessThan(LONG);
  });

  test('is answered at once when there is something, and when it did not ask to wait', async () => {
    const owner = account();
    await net.node(0).rpc('store', owner.store('there'));
    const there = await timed(net.node(0).rpc('retrieve', owner.retrieve({ wait: LONG })));
    expect(texts(there.json.messages)).toEqual(['there']);
    expect(there.json.waited).toBe(0);
    expect(there.ms).toBeLessThan(LONG);
    const last = owner.hash('there');
    const zero = await net.node(0).rpc('retrieve', owner.retrieve({ wait: 0, last_hash: last }));
    expect(zero.json).toMatchObject({ messages: [], waited: 0 });
    const plain = await net.node(0).rpc('retrieve', owner.retrieve({ last_hash: last }));
    expect(plain.json).not.toHaveProperty('waited');
  });

  test('is answered empty when the time is over', async () => {
    const owner = account();
    const { status, json, ms } = await timed(net.node(0).rpc('retrieve', owner.retrieve({ wait: 300 })));
    expect(status).toBe(200);
    expect(json).toMatchObject({ messages: [], more: false });
    expect(json.waited).toBeGreaterThanOrEqual(299);
    expect(ms).toBeGreaterThanOrEqual(299);
  });

  test('is refused at once like any other', async () => {
    const owner = account();
    const bad = { ...owner.retrieve({ wait: LONG }), signature: owner.sign('something else') };
    expect((await timed(net.node(0).rpc('retrieve', bad))).status).toBe(401);
    expect((await net.outsideOf(owner).rpc('retrieve', owner.retrieve({ wait: LONG }))).status).toBe(421);
    const far = await net.node(0).rpc('retrieve', owner.retrieve({ wait: 25_001 }));
    expect([far.status, far.text]).toEqual([
      400,
      "invalid request: Invalid value given for 'wait': value out of range",
    ]);
  });

  test('does not tell a subaccount that was revoked meanwhile', async () => {
    const owner = account(() => TestAccount.raw('03'));
    const sub = owner.subaccount(1);
    const timestamp = Date.now();
    const [poll] = await held(net.node(0), 'retrieve', {
      pubkey: owner.id,
      namespace: 11,
      timestamp,
      signature: sub.sign('retrieve', 11, timestamp),
      ...sub.params,
      wait: LONG,
    });
    const now = Date.now();
    await net.node(0).rpc('revoke_subaccount', {
      pubkey: owner.id,
      revoke: Buffer.from(sub.token).toString('base64'),
      timestamp: now,
      signature: owner.sign('revoke_subaccount', now, sub.token),
    });
    await net.node(0).rpc('store', owner.store('secret', { namespace: 11 }));
    expect((await poll!).status).toBe(401);
  });

  test('over OMQ, in JSON and in bt-encoding', async () => {
    const owner = account();
    const params = JSON.stringify(owner.retrieve({ wait: LONG }));
    const poll = net.omq(net.node(0), 'storage.retrieve', [params]);
    await holding(1);
    await net.node(0).rpc('store', owner.store('omq'));
    const [body] = await poll;
    expect(texts(JSON.parse(Buffer.from(body!).toString()).messages)).toEqual(['omq']);
  });
});

describe('a batch with wait', () => {
  const batch = (owner: TestAccount, more: object[] = []) => ({
    requests: [
      ...[0, 2, 5].map((namespace) => ({
        method: 'retrieve',
        params: owner.retrieve({ namespace, wait: LONG }),
      })),
      ...more,
    ],
  });

  test('is answered when any of its namespaces has something', async () => {
    const owner = account();
    const [poll] = await held(net.node(0), 'batch', batch(owner, [{ method: 'info', params: {} }]));
    await net.node(1).rpc('store', owner.store('config', { namespace: 2 }));
    const { json, ms } = await poll!;
    expect(ms).toBeLessThan(LONG);
    expect(json.results.map(({ code }: { code: number }) => code)).toEqual([200, 200, 200, 200]);
    const bodies = json.results.map(({ body }: { body: never }) => body);
    expect(bodies.slice(0, 3).map(({ messages }: { messages: never }) => texts(messages))).toEqual([
      [],
      ['config'],
      [],
    ]);
    expect(bodies[3].version).toEqual([2, 11, 0]);
  });

  test('is answered at once when one of them fails or has something, or in a sequence', async () => {
    const owner = account();
    const bad = { method: 'retrieve', params: { pubkey: owner.id, wait: LONG } };
    const failing = await timed(net.node(0).rpc('batch', batch(owner, [bad])));
    expect(failing.json.results[3].code).toBe(401);
    const sequence = await timed(net.node(0).rpc('sequence', batch(owner)));
    expect(sequence.json.results.map(({ body }: { body: { waited: number } }) => body.waited)).toEqual([
      0, 0, 0,
    ]);
    // biome-ignore lint/suspicious/noThenProperty: the name is that of the wire
    const branch = { then: { method: 'batch', params: batch(owner) } };
    const ifelse = await timed(net.node(0).rpc('ifelse', { if: { hf_at_least: 1 }, ...branch }));
    expect(ifelse.json.result.code).toBe(200);
    for (const { ms } of [failing, sequence, ifelse]) expect(ms).toBeLessThan(LONG);
  });

  test('a message that the batch itself stores is not waited for', async () => {
    const owner = account();
    const store = { method: 'store', params: owner.store('own') };
    const { json, ms } = await timed(net.node(0).rpc('batch', batch(owner, [store])));
    expect(texts(json.results[0].body.messages)).toEqual(['own']);
    expect(ms).toBeLessThan(LONG);
  });
});

/** A poll in layers. */
function onionTo(path: readonly TestNode[], last: TestNode, owner: TestAccount, wait = LONG) {
  const keys = ({ keys: { ed25519Hex, x25519 } }: TestNode) => ({
    ed25519Key: Buffer.from(ed25519Hex, 'hex'),
    x25519Key: x25519.publicKey,
  });
  return buildOnion({
    path: path.map(keys),
    destination: { kind: 'node', ...keys(last) },
    payload: utf8(JSON.stringify({ method: 'retrieve', params: owner.retrieve({ wait }) })),
  });
}

test('through an onion: hops hold it, more of them than requests in work', async () => {
  const owner = account();
  const [first, second, last] = [net.node(3), net.node(1), net.node(0)] as const;
  const ask = async () => {
    const { body, replyKey } = onionTo([first, second], last, owner);
    const answer = await first.post('/onion_req/v2', body);
    expect(answer.status).toBe(200);
    return JSON.parse(openFinalReply(answer.bytes, replyKey)!.body);
  };
  const began = performance.now();
  const polls: ReturnType<typeof ask>[] = [];
  // One request is in work at once; all others only wait.
  for (let count = 1; count <= 20; count++) {
    polls.push(ask());
    await holding(count);
  }
  await net.node(2).rpc('store', owner.store('through three hops'));
  for (const { messages } of await Promise.all(polls))
    expect(texts(messages)).toEqual(['through three hops']);
  expect(performance.now() - began).toBeLessThan(LONG);
});

describe('limits', () => {
  test('too many are answered at once, and those whose client went leave their place', async () => {
    await using small = await TestNetwork.start({ swarms: [1], options: { maxPolls: 1 } });
    const node = small.node(0);
    const owner = TestAccount.session();
    const body = JSON.stringify({ method: 'retrieve', params: owner.retrieve({ wait: LONG }) });
    const options = { host: '127.0.0.1', port: node.httpsPort, path: '/storage_rpc/v1', method: 'POST' };
    const first = httpsRequest({ ...options, rejectUnauthorized: false });
    first.on('error', () => undefined);
    first.end(body);
    const poll = () => timed(node.rpc('retrieve', owner.retrieve({ wait: 200 })));
    await until(async () => (await poll()).json.waited === 0, 'the place to be taken');
    first.destroy();
    await until(async () => (await poll()).json.waited > 0, 'the place to be free');
  });

  test('a node that stops answers what it holds', async () => {
    await using stopping = await TestNetwork.start({ swarms: [3], metrics: true });
    const node = stopping.node(0);
    const owner = TestAccount.session();
    const [poll] = await held(node, 'retrieve', owner.retrieve({ wait: LONG }));
    const stopped = timed(node.service.stop().then(() => ({})));
    const { status, json } = await poll!;
    expect(status).toBe(200);
    expect(json).toMatchObject({ messages: [] });
    expect((await stopped).ms).toBeLessThan(LONG);
  });

  test('a relay that stops gives up what it passed on', async () => {
    await using stopping = await TestNetwork.start({ swarms: [1, 1] });
    const [relay, member] = stopping.nodes as [TestNode, TestNode];
    const owner = stopping.accountOf(member);
    const { body } = onionTo([relay], member, owner);
    const answer = timed(relay.post('/onion_req/v2', body));
    // The relay has passed it on when the member has answered what came later over the same connection.
    const { body: short } = onionTo([relay], member, owner, 0);
    expect((await relay.post('/onion_req/v2', short)).status).toBe(200);
    await relay.service.stop();
    const { status, text, ms } = await answer;
    expect([status, text]).toEqual([503, `Snode not ready: ${relay.hex}`]);
    expect(ms).toBeLessThan(LONG);
  });

  test('an account that moves away: the client is told where to', async () => {
    await using moving = await TestNetwork.start({ swarms: [1, 1], metrics: true });
    const [stays, joins] = moving.nodes as [TestNode, TestNode];
    const owner = moving.accountOf(stays);
    const [poll] = await held(stays, 'retrieve', owner.retrieve({ wait: LONG }));
    const issued = Math.floor(Date.now() / 1000);
    const list = removeNodes(moving.list, [stays.hex], { issued, expires: issued + 86_400 });
    moving.list = signStaticList(list, moving.admin);
    writeFileSync(moving.networkFile, encodeStaticList(moving.list));
    const { status, json, ms } = await poll!;
    expect(status).toBe(421);
    expect(json.swarm).toBe(joins.swarmId.toString(16));
    expect(ms).toBeLessThan(LONG);
  });
});
