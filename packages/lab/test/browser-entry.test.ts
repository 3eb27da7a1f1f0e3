// SPDX-License-Identifier: AGPL-3.0-or-later
// The browser entry of real nodes: onions over a WebSocket, CORS, and nodes that have it switched off.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrowserTransport, browserEnv, openBrowserClient } from '@allium/client/browser';
import { MemoryStorage } from '@allium/client/storage/memory';
import { createCertificate } from '@allium/net/certificate';
import { Account } from '@allium/protocol/account';
import { fromHex, utf8 } from '@allium/protocol/bytes';
import {
  Assembly,
  ENTRY_PROTOCOL,
  type EntryFrame,
  NODE_SOCKET_PATH,
  parseEntryFrame,
  requestFrames,
} from '@allium/protocol/onion/entry';
import { buildOnion, openFinalReply } from '@allium/protocol/onion/request';
import { encodeSeedRequest } from '@allium/protocol/storage/service-node-list';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Devnet, type DevnetNode } from '../src/devnet.ts';

let folder: string;
let net: Devnet;

beforeAll(async () => {
  // A page would refuse certificates that nobody has signed.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  folder = mkdtempSync(join(tmpdir(), 'allium-entry-'));
  const { certificatePem, keyPem } = createCertificate();
  writeFileSync(join(folder, 'cert.pem'), certificatePem);
  writeFileSync(join(folder, 'key.pem'), keyPem);
  net = await Devnet.start({
    nodes: 8,
    node: {
      browserCertificate: join(folder, 'cert.pem'),
      browserKey: join(folder, 'key.pem'),
      maxBrowserSockets: 3,
    },
  });
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function connect(node: DevnetNode): Promise<{ ws: WebSocket; frames: EntryFrame[] }> {
  const frames: EntryFrame[] = [];
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${node.url.replace('https', 'wss')}${NODE_SOCKET_PATH}`, ENTRY_PROTOCOL);
    ws.binaryType = 'arraybuffer';
    ws.onmessage = ({ data }) => frames.push(parseEntryFrame(new Uint8Array(data as ArrayBuffer)));
    ws.onopen = () => resolve({ ws, frames });
    ws.onerror = reject;
  });
}

/** Status with which the node refuses a WebSocket. */
function refusal(node: DevnetNode): Promise<number | undefined> {
  const headers = {
    ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
    ...{ 'sec-websocket-key': `${'A'.repeat(22)}==`, 'sec-websocket-protocol': ENTRY_PROTOCOL },
  };
  return new Promise((resolve, reject) => {
    const options = { headers, rejectUnauthorized: false, agent: false };
    const sent = request(`${node.url}${NODE_SOCKET_PATH}`, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    sent.on('error', reject);
    sent.end();
  });
}

function ask(node: DevnetNode, path: string, options: RequestOptions & { body?: Uint8Array } = {}) {
  const { body, ...rest } = options;
  return new Promise<{ status: number; headers: IncomingMessage['headers'] }>((resolve, reject) => {
    const sent = request(
      `${node.url}${path}`,
      { method: 'POST', rejectUnauthorized: false, agent: false, ...rest },
      (response) => {
        response.resume();
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const keysOf = (node: DevnetNode) => ({
  ed25519Key: fromHex(node.ed25519, 32),
  x25519Key: fromHex(node.x25519, 32),
});
const onionTo = (hops: readonly DevnetNode[], target: DevnetNode) =>
  buildOnion({
    path: hops.map(keysOf),
    direct: hops.length === 0,
    destination: { kind: 'node', ...keysOf(target) },
    payload: utf8('{"method":"info","params":{}}'),
    padded: true,
  });

/** The answer of status 200 with the given id, or undefined for another status. */
async function answerTo(frames: EntryFrame[], id: number): Promise<Uint8Array | undefined> {
  const own = () => frames.filter((frame) => frame.id === id);
  await expect.poll(() => own().length).toBeGreaterThan(0);
  const [head, ...parts] = own();
  if (head?.kind !== 'answer' || head.status !== 200) return undefined;
  const assembly = new Assembly(head.size);
  assembly.add(head.bytes);
  for (const part of parts) if (part.kind === 'part') assembly.add(part.bytes);
  return assembly.take();
}

test('onions go over one WebSocket, through hops and to the node itself', async () => {
  const [guard, middle, exit, target] = net.nodes as [DevnetNode, DevnetNode, DevnetNode, DevnetNode];
  const { ws, frames } = await connect(guard);
  const send = (id: number, node: DevnetNode, body: Uint8Array) => {
    for (const frame of requestFrames(id, node.ed25519, body)) ws.send(frame as Uint8Array<ArrayBuffer>);
  };
  const through = onionTo([guard, middle, exit], target);
  const direct = onionTo([], guard);
  send(2, guard, direct.body);
  send(3, target, direct.body);
  // Nodes that have just started may not have met yet.
  let reply: Uint8Array | undefined;
  for (let id = 10; reply === undefined && id < 60; id++) {
    send(id, guard, through.body);
    reply = await answerTo(frames, id);
  }
  for (const [bytes, { replyKey }] of [
    [reply!, through],
    [(await answerTo(frames, 2))!, direct],
  ] as const) {
    const opened = openFinalReply(bytes, replyKey);
    expect([opened?.status, JSON.parse(opened?.body ?? '').version]).toEqual([200, expect.any(Array)]);
  }
  // It is an entry to itself, and no way to others.
  await expect
    .poll(() => frames.find((frame) => frame.id === 3))
    .toEqual({
      ...{ kind: 'failure', id: 3, code: 'unknown_node' },
    });
  ws.close();
});

test('a client talks through two such nodes, without a gateway, and notices when one goes', async () => {
  const [one, two] = net.nodes as [DevnetNode, DevnetNode];
  const entryOf = ({ url, ed25519 }: DevnetNode) => ({ url, ed25519Hex: ed25519 });
  const transport = new BrowserTransport({
    ...{ gateway: false, env: browserEnv(), entries: [entryOf(one), entryOf(two)] },
  });
  const client = await openBrowserClient({
    account: Account.create(),
    storage: new MemoryStorage(),
    transport,
    network: { network: 'local', id: '', nodes: 0, fileServers: [], entries: [], anchor: undefined },
  });
  try {
    await client.noteToSelf().send('directly');
    const guards = () => client.paths().map(({ hops }) => hops[0]!.ed25519Hex);
    expect(guards().every((key) => key === one.ed25519 || key === two.ed25519)).toBe(true);
    expect(transport.state).toBe('connected');
    const gone = guards()[0] === one.ed25519 ? one : two;
    await gone.kill();
    await client.noteToSelf().send('over the other one', { keepTrying: true });
    expect(guards()).toContain(gone === one ? two.ed25519 : one.ed25519);
    await gone.start();
    expect((await client.noteToSelf().history()).map(({ text }) => text)).toEqual([
      'directly',
      'over the other one',
    ]);
  } finally {
    await client.close();
  }
});

test('pages may post onions and ask for the list, and nothing else', async () => {
  const node = net.nodes[0]!;
  const origin = 'https://app.example';
  for (const path of ['/onion_req/v2', '/json_rpc']) {
    const preflight = await ask(node, path, { method: 'OPTIONS', headers: { origin } });
    expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, '*']);
  }
  const onion = await ask(node, '/onion_req/v2', { body: onionTo([], node).body });
  expect([onion.status, onion.headers['access-control-allow-origin']]).toEqual([200, '*']);
  const list = await ask(node, '/json_rpc', { body: encodeSeedRequest() });
  expect([list.status, list.headers['access-control-allow-origin']]).toEqual([200, '*']);
  const rpc = await ask(node, '/storage_rpc/v1', { body: utf8('{"method":"info","params":{}}') });
  expect([rpc.status, rpc.headers['access-control-allow-origin']]).toEqual([200, undefined]);
  const elsewhere = await ask(node, '/storage_rpc/v1', { method: 'OPTIONS' });
  expect(elsewhere.headers['access-control-allow-origin']).toBeUndefined();
});

test('so many WebSockets and no more; a stop closes them', async () => {
  const node = net.nodes[4]!;
  const all = await Promise.all([connect(node), connect(node), connect(node)]);
  expect(await refusal(node)).toBe(503);
  const codes: number[] = [];
  for (const { ws } of all) ws.onclose = ({ code }) => codes.push(code);
  await node.stop();
  await expect.poll(() => codes).toEqual([1001, 1001, 1001]);
  await node.start();
});

test('a node without certificate has no entry', async () => {
  await using plain = await Devnet.start({ nodes: 1 });
  const node = plain.nodes[0]!;
  expect(await refusal(node)).toBe(404);
  const { headers } = await ask(node, '/json_rpc', { body: encodeSeedRequest() });
  expect(headers['access-control-allow-origin']).toBeUndefined();
});

test.each([
  ['one without the other', { browserCertificate: 'cert.pem' }, /go together/],
  ['files that are not there', { browserCertificate: 'a.pem', browserKey: 'b.pem' }, /a\.pem cannot be read/],
])('%s is said in words', async (_, names, message) => {
  const node = Object.fromEntries(Object.entries(names).map(([name, file]) => [name, join(folder, file)]));
  await expect(Devnet.start({ nodes: 1, node })).rejects.toThrow(message);
});
