// SPDX-License-Identifier: AGPL-3.0-or-later
// Onion requests through real nodes: every rule and every error of spec/storage-server §4.4–§4.8.
import { createServer, type Server } from 'node:http';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toHex, utf8 } from '@allium/protocol/bytes';
import {
  ed25519KeyPair,
  ed25519PublicKeyToX25519,
  randomBytes,
  x25519KeyPair,
} from '@allium/protocol/crypto';
import { type EncType, type ReplyKey, sealLayer } from '@allium/protocol/onion/layer';
import { buildOnion, encodeEnvelope, encodeHop, openFinalReply } from '@allium/protocol/onion/request';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, TestNetwork, type TestNode } from '../support/test-network.ts';

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [4, 1], options: { relayExemptRanges: ['127.0.0.0/8'] } });
});
afterAll(() => net[Symbol.asyncDispose]());

const pathNode = (node: TestNode) => ({
  ed25519Key: node.keys.ed25519Key,
  x25519Key: node.keys.x25519.publicKey,
});
const rpcBody = (method: string, params: object) => utf8(JSON.stringify({ method, params }));
const post = (node: TestNode, body: Uint8Array) => node.post('/onion_req/v2', body);

/** A request to `path[0]` through the others to the last one. */
function onion(path: TestNode[], payload: Uint8Array, more: { encType?: EncType; hopNo?: number } = {}) {
  const destination = { kind: 'node', ...pathNode(path.at(-1)!) } as const;
  return buildOnion({ path: path.slice(0, -1).map(pathNode), destination, payload, ...more });
}

function open(answer: Answer, replyKey: ReplyKey) {
  const reply = openFinalReply(answer.bytes, replyKey);
  return reply === undefined ? undefined : { status: reply.status, body: reply.body };
}

/** One layer by hand for `node`. */
function layer(node: TestNode, blob: Uint8Array, control: string, encType: EncType = 'aes-gcm') {
  const sealed = sealLayer(encType, encodeEnvelope(blob, control), node.keys.x25519.publicKey);
  const routing = JSON.stringify({ ephemeral_key: toHex(sealed.ephemeralKey), enc_type: encType });
  return { ...sealed, body: encodeEnvelope(sealed.ciphertext, routing) };
}

const plain = ({ status, text }: Answer) => ({ status, text });

describe('three hops and a destination', () => {
  test.each<EncType>(['aes-gcm', 'xchacha20-poly1305'])('store and retrieve with %s', async (encType) => {
    const [a, b, c, d] = net.nodes as [TestNode, TestNode, TestNode, TestNode];
    const account = net.accountOf(d);
    const store = onion([a, b, c, d], rpcBody('store', account.store('through the onion')), { encType });
    const answer = await post(a, store.body);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain');
    const stored = open(answer, store.replyKey)!;
    expect(stored.status).toBe(200);
    expect(JSON.parse(stored.body).hash).toBe(account.hash('through the onion'));
    const retrieve = onion([c, b, a, d], rpcBody('retrieve', account.retrieve()), { encType, hopNo: 5 });
    const reply = open(await post(c, retrieve.body), retrieve.replyKey)!;
    expect(JSON.parse(reply.body).messages).toHaveLength(1);
  });

  test('the destination answers errors of the RPC inside, 200 outside', async () => {
    const [a, b, c, d] = net.nodes as [TestNode, TestNode, TestNode, TestNode];
    const account = net.accountOf(d);
    const ask = async (payload: Uint8Array) => {
      const { body, replyKey } = onion([a, b, c, d], payload);
      const answer = await post(a, body);
      expect(answer.status).toBe(200);
      return open(answer, replyKey);
    };
    expect(await ask(rpcBody('retrieve', { pubkey: account.id }))).toEqual({
      status: 401,
      body: 'retrieve: request signature required',
    });
    expect(await ask(rpcBody('fly', {}))).toEqual({ status: 400, body: 'no method fly' });
    expect(await ask(utf8('{'))).toEqual({ status: 400, body: 'invalid json' });
    const foreign = net.accountOf(net.node(4));
    const moved = await ask(rpcBody('store', foreign.store('x')));
    expect(moved?.status).toBe(421);
    expect(JSON.parse(moved!.body).snodes).toHaveLength(1);
  });

  test('one hop: the entry is the destination; flags of the last layer', async () => {
    const node = net.node(0);
    const info = rpcBody('info', {});
    const embedded = layer(node, info, '{"headers":"","json":true}');
    const answer = await post(node, embedded.body);
    const { openReply } = await import('@allium/protocol/onion/layer');
    const inner = openReply(embedded.replyKey, Buffer.from(answer.text, 'base64'))!;
    expect(JSON.parse(Buffer.from(inner).toString())).toMatchObject({
      status: 200,
      body: { version: [2, 11, 0] },
    });
    const raw = layer(node, info, '{"headers":{},"base64":false}');
    const bytes = (await post(node, raw.body)).bytes;
    const outer = JSON.parse(Buffer.from(openReply(raw.replyKey, bytes)!).toString());
    expect(JSON.parse(outer.body)).toMatchObject({ version: [2, 11, 0] });
    const binary = layer(node, rpcBody('active_nodes_bin', {}), '{"headers":""}');
    const nodes = open(await post(node, binary.body), binary.replyKey)!.body;
    expect(Buffer.from(nodes, 'base64')).toHaveLength(5 * 51);
  });
});

describe('malformed layers', () => {
  test.each([
    ['nothing', new Uint8Array(0)],
    ['less than a length', Uint8Array.of(1, 0)],
    ['a length beyond the end', Uint8Array.of(255, 255, 255, 255, 1)],
    ['no JSON', encodeEnvelope(randomBytes(50), 'x')],
    ['no key', encodeEnvelope(randomBytes(50), '{}')],
    ['a short key', encodeEnvelope(randomBytes(50), '{"ephemeral_key":"ab"}')],
    [
      'an unknown cipher',
      encodeEnvelope(randomBytes(50), `{"ephemeral_key":"${'ab'.repeat(32)}","enc_type":"rot13"}`),
    ],
  ])('an envelope of %s', async (_, body) => {
    const answer = await post(net.node(0), body);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/^Error parsing onion request: ./);
  });

  test.each([
    ['noise', randomBytes(200), undefined],
    ['too little', new Uint8Array(3), undefined],
    ['noise for a degenerate key', randomBytes(200), '00'.repeat(32)],
  ])('a layer of %s', async (_, ciphertext, key) => {
    const routing = JSON.stringify({ ephemeral_key: key ?? toHex(x25519KeyPair().publicKey) });
    const answer = await post(net.node(0), encodeEnvelope(ciphertext, routing));
    expect(plain(answer)).toEqual({ status: 400, text: 'Invalid ciphertext' });
  });

  test('aes-cbc is answered like noise', async () => {
    const routing = JSON.stringify({ ephemeral_key: toHex(x25519KeyPair().publicKey), enc_type: 'aes-cbc' });
    const answer = await post(net.node(0), encodeEnvelope(randomBytes(208), routing));
    expect(plain(answer)).toEqual({ status: 400, text: 'Invalid ciphertext' });
  });

  test.each([
    ['no JSON', 'x'],
    ['an empty object', '{}'],
    ['a next node without key', `{"destination":"${'ab'.repeat(32)}"}`],
    ['a short destination', `{"destination":"ab","ephemeral_key":"${'ab'.repeat(32)}"}`],
    ['a server without target', '{"host":"example.org"}'],
    ['a port that is none', '{"host":"example.org","target":"/oxen/v4/lsrpc","port":65536}'],
  ])('control JSON with %s is complained about in secret', async (_, control) => {
    const { body, replyKey } = layer(net.node(0), utf8('blob'), control);
    const answer = await post(net.node(0), body);
    expect(answer.text).not.toContain('Invalid');
    expect(open(answer, replyKey)).toEqual({ status: 400, body: 'Invalid json' });
  });

  test('at every hop of a path, the same answers come back plain', async () => {
    const [a, b, c, d] = net.nodes as [TestNode, TestNode, TestNode, TestNode];
    for (let broken = 1; broken < 4; broken++) {
      const path = [a, b, c, d].map(pathNode);
      // The key of another node: the hop `broken` cannot open its layer.
      path[broken] = { ...path[broken]!, x25519Key: x25519KeyPair().publicKey };
      const { body } = buildOnion({
        path: path.slice(0, 3),
        destination: { kind: 'node', ...path[3]! },
        payload: rpcBody('info', {}),
      });
      expect(plain(await post(a, body))).toEqual({ status: 400, text: 'Invalid ciphertext' });
    }
  });
});

describe('the next node', () => {
  const info = rpcBody('info', {});
  const stranger = () => {
    const { publicKey } = ed25519KeyPair(randomBytes(32));
    return { ed25519Key: publicKey, x25519Key: ed25519PublicKeyToX25519(publicKey)! };
  };

  test('is unknown', async () => {
    const unknown = stranger();
    const { body } = buildOnion({
      path: [pathNode(net.node(0)), pathNode(net.node(1))],
      destination: { kind: 'node', ...unknown },
      payload: info,
    });
    const answer = await post(net.node(0), body);
    expect(plain(answer)).toEqual({ status: 502, text: `Next node not found: ${toHex(unknown.ed25519Key)}` });
  });

  test('is down: named, so that the client can avoid it', async () => {
    await using small = await TestNetwork.start({ swarms: [3] });
    const [a, b, down] = small.nodes as [TestNode, TestNode, TestNode];
    await down.service.stop();
    const { body } = onion([a, b, down], info);
    const answer = await post(a, body);
    expect(plain(answer)).toEqual({ status: 502, text: `Next node is currently unreachable: ${down.hex}` });
  });
});

describe('between nodes', () => {
  let stranger: Omq;
  let caller: Omq;
  let hops: TestNetwork;

  // A network in which one member is the test itself.
  beforeAll(async () => {
    hops = await TestNetwork.prepare({ swarms: [3], options: { maxHops: 4 } });
    caller = new Omq(
      {
        keyPair: hops.node(1).keys.x25519,
        isServiceNode: true,
        listen: { host: '127.0.0.1', port: hops.node(1).omqPort },
      },
      systemEnv(),
    );
    caller.category('sn', { access: 'none' });
    caller.register('sn.onion_request', () => answerOfHop);
    // Before the others: a node that finds nobody there waits before it tries again.
    await caller.start();
    await Promise.all([hops.node(0).service.start(), hops.node(2).service.start()]);
    stranger = new Omq({ keyPair: x25519KeyPair(), isServiceNode: true }, systemEnv());
    await stranger.start();
  });
  afterAll(async () => {
    await caller.stop();
    await stranger.stop();
    await hops[Symbol.asyncDispose]();
  });
  let answerOfHop: string[] | Promise<string[]> | undefined = ['200', 'x'];

  const send = async (part: Uint8Array, from = caller) =>
    (await hops.omq(hops.node(0), 'sn.onion_request', [part], from)).map((bytes) =>
      Buffer.from(bytes).toString(),
    );

  test('sn.ping', async () => {
    expect(Buffer.from((await hops.omq(hops.node(0), 'sn.ping', [], caller))[0]!).toString()).toBe('pong');
  });

  test('a node that is not listed is refused', async () => {
    await expect(send(new Uint8Array(1), stranger)).rejects.toMatchObject({ code: 'refused' });
  });

  test('nonsense and too many hops', async () => {
    const [status, text] = await send(Buffer.from('nonsense'));
    expect(status).toBe('400');
    expect(text).toMatch(/^Invalid internal onion request: ./);
    const sealed = layer(hops.node(0), info(), '{"headers":""}');
    const hop = {
      ciphertext: sealed.ciphertext,
      ephemeralKey: sealed.ephemeralKey,
      encType: 'aes-gcm' as const,
    };
    expect(await send(encodeHop({ ...hop, hopNo: 16 }))).toEqual([
      '400',
      'onion request max path length exceeded',
    ]);
    expect((await send(encodeHop({ ...hop, hopNo: 15 })))[0]).toBe('200');
    expect(await send(encodeHop({ ...hop, ciphertext: randomBytes(99), hopNo: 1 }))).toEqual([
      '400',
      'Invalid ciphertext',
    ]);
  });
  const info = () => rpcBody('info', {});

  test('hop_no is checked at the entry as well', async () => {
    const sealed = layer(hops.node(0), info(), '{"headers":""}');
    const routing = JSON.stringify({ ephemeral_key: toHex(sealed.ephemeralKey), hop_no: 16 });
    const answer = await post(hops.node(0), encodeEnvelope(sealed.ciphertext, routing));
    expect(plain(answer)).toEqual({ status: 400, text: 'onion request max path length exceeded' });
  });

  test.each([
    ['nothing', [], 500, 'Invalid response from snode'],
    ['one part', ['200'], 500, 'Invalid response from snode'],
    ['no number', ['ok', 'body'], 500, 'Invalid response from snode'],
    ['a status of HTTP that nobody knows', ['418', 'body'], 500, 'body'],
    ['a known status', ['404', 'body'], 404, 'body'],
  ])('a hop that answers %s', async (_, answer, status, text) => {
    answerOfHop = answer;
    const { body } = onion([hops.node(0), hops.node(1)], info());
    expect(plain(await post(hops.node(0), body))).toEqual({ status, text });
  });

  test('a hop that lets us wait does not keep others from theirs', async () => {
    let answerAtLast: (answer: string[]) => void = () => {};
    answerOfHop = new Promise((resolve) => {
      answerAtLast = resolve;
    });
    const to = (node: TestNode) => post(hops.node(0), onion([hops.node(0), node], info()).body);
    const three = [to(hops.node(1)), to(hops.node(1)), to(hops.node(1))];
    expect(plain(await Promise.race(three))).toEqual({ status: 503, text: 'Next hop congested' });
    await until(async () => (await to(hops.node(2))).status === 200, 'the other hop');
    answerAtLast(['200', 'late']);
    const answers = (await Promise.all(three)).map(({ status }) => status).sort();
    expect(answers).toEqual([200, 200, 503]);
    expect((await to(hops.node(1))).status).toBe(200);
  });
});

describe('servers', () => {
  let server: Server;
  const received: Buffer[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        received.push(Buffer.concat(parts));
        response
          .writeHead(request.url === '/oxen/v4/lsrpc' ? 200 : 418, { 'x-server': 'yes' })
          .end('from the server');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  const relay = (path: TestNode[], more: { host?: string; target?: string } = {}) => {
    const { port } = server.address() as { port: number };
    return buildOnion({
      path: path.map(pathNode),
      destination: {
        kind: 'server',
        x25519Key: x25519KeyPair().publicKey,
        host: '127.0.0.1',
        target: '/oxen/v4/lsrpc',
        protocol: 'http',
        port,
        ...more,
      },
      payload: utf8('for the server'),
    });
  };

  test('get the whole layer; what they say comes back through all hops', async () => {
    const answer = await post(net.node(0), relay(net.nodes.slice(0, 3)).body);
    expect(plain(answer)).toEqual({ status: 200, text: 'from the server' });
    expect(answer.headers).not.toHaveProperty('x-server');
    const { splitEnvelope } = await import('@allium/protocol/onion/request');
    expect(JSON.parse(splitEnvelope(received.at(-1)!).control)).toMatchObject({
      host: '127.0.0.1',
      method: 'POST',
    });
  });

  test('unknown statuses become 500 on the way back; the entry that relays itself passes headers', async () => {
    const target = '/oxen/other/lsrpc';
    expect((await post(net.node(0), relay(net.nodes.slice(0, 2), { target }).body)).status).toBe(500);
    const direct = await post(net.node(0), relay([net.node(0)]).body);
    expect(direct.headers['x-server']).toBe('yes');
  });

  test('a bad address is complained about in secret, one that may not be reached is refused', async () => {
    const sealed = layer(net.node(0), utf8('x'), '{"host":"127.0.0.1","target":"/other"}');
    expect(open(await post(net.node(0), sealed.body), sealed.replyKey)).toEqual({
      status: 400,
      body: 'Invalid url',
    });
    const answer = await post(net.node(0), relay([net.node(0)], { host: '10.0.0.1' }).body);
    expect(plain(answer)).toEqual({ status: 502, text: 'The server has no address that may be relayed to' });
  });
});

describe('limits', () => {
  test('requests of one address at the entry', async () => {
    await using small = await TestNetwork.start({
      swarms: [1],
      options: { onionBurst: 3, onionPerSecond: 1, rpcBurst: 2, rpcPerSecond: 1 },
    });
    const node = small.node(0);
    const statuses: number[] = [];
    const { body } = layer(node, rpcBody('info', {}), '{"headers":""}');
    for (let i = 0; i < 5; i++) statuses.push((await post(node, body)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(await post(node, body)).toMatchObject({ status: 429, text: 'Too Many Requests\n' });
    // RPC, JSON-RPC, pings and unknown paths share a bucket of their own.
    expect((await node.rpc('info', {})).status).toBe(200);
    expect((await node.post('/json_rpc', '{"method":"get_service_nodes"}')).status).toBe(200);
    expect(await node.rpc('info', {})).toMatchObject({ status: 429, text: 'Too Many Requests\n' });
    expect((await node.post('/json_rpc', '{}')).status).toBe(429);
    expect((await node.post('/ping_test/v1', '')).status).toBe(429);
    expect((await node.post('/nothing', '')).status).toBe(429);
    const omq = await small.omq(node, 'storage.info', []);
    expect(omq.map((part) => Buffer.from(part).toString())).toEqual([
      '429',
      'Too many requests, try again later',
    ]);
  });
});
