// SPDX-License-Identifier: AGPL-3.0-or-later
// Attachments through three real hops to real file servers: both forms, pieces, servers that are down or hostile.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import type { FileServerAddress } from '@allium/client/network/presets';
import { systemEnv } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { fromHex, toHex } from '@allium/protocol/bytes';
import { openLayer, sealReply } from '@allium/protocol/onion/layer';
import { splitEnvelope } from '@allium/protocol/onion/request';
import { encodeV4Response, parseV4Request, type V4Request, type V4Response } from '@allium/protocol/onion/v4';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { serverKeyOf } from '@allium/servers/server-key';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';

let net: Devnet;
let folder: string;
let server: FileServer;
let account: Account;
const clients: Client[] = [];
const others: Server[] = [];

const addressOf = ({ url, ed25519Hex }: FileServer): FileServerAddress => ({ url, ed25519Hex });
const bytes = (length: number) => new Uint8Array(length).map((_, i) => (i * 31) >> 3);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-files-'));
  net = await Devnet.start({
    ...{ nodes: 6, rateLimit: false },
    node: { relayExemptRanges: ['127.0.0.0/8'] },
  });
  server = await startFileServer({ folder, port: 0 }, systemEnv());
  account = Account.create();
});

afterAll(async () => {
  for (const client of clients) await client.close();
  for (const other of others) {
    other.closeAllConnections();
    other.close();
  }
  await server?.stop();
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function clientWith(fileServers: readonly FileServerAddress[]): Promise<Client> {
  const client = await net.client({ account, receive: false, fileServers });
  clients.push(client);
  return client;
}

const SECRET = new Uint8Array(32).fill(9);

/** A server of somebody else, who holds its key and answers what a test wants. */
async function serverThat(listener: RequestListener): Promise<FileServerAddress> {
  const other = createServer(listener);
  others.push(other);
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, ed25519Hex: serverKeyOf(SECRET).ed25519Hex };
}

function answering(answer: (request: V4Request) => V4Response): Promise<FileServerAddress> {
  return serverThat(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { blob, control } = splitEnvelope(Buffer.concat(parts));
    const key = fromHex(JSON.parse(control).ephemeral_key, 32);
    const opened = openLayer('aes-gcm', blob, key, serverKeyOf(SECRET).x25519);
    if (opened === undefined) throw new Error('a layer that does not open');
    const reply = encodeV4Response(answer(parseV4Request(opened.plaintext)));
    response.end(sealReply(opened.replyKey, reply));
  });
}

test('a file goes up and comes down, and the message that tells of it is whole', async () => {
  const client = await clientWith([addressOf(server)]);
  const data = bytes(70_000);
  const pointer = await client.files.upload(data, { contentType: 'image/png', fileName: 'a.png', width: 3 });
  expect(pointer).toMatchObject({
    ...{ id: 0n, contentType: 'image/png', fileName: 'a.png', width: 3, size: 70_000 },
    url: expect.stringMatching(new RegExp(`^${server.url}/file/[\\w-]{44}#p=${server.ed25519Hex}$`)),
  });
  expect([pointer.key?.length, pointer.digest?.length]).toEqual([64, 32]);
  expect(Buffer.compare(await client.files.download(pointer), data)).toBe(0);
  // The server never saw what it keeps.
  const kept = await (await fetch(pointer.url ?? '')).arrayBuffer();
  expect(Buffer.from(kept).includes(Buffer.from(data.subarray(100, 200)))).toBe(false);
});

test('the deterministic form: equal files are kept once', async () => {
  const client = await clientWith([addressOf(server)]);
  const before = server.store.files;
  const [a, b] = [
    await client.files.upload(bytes(50_000), { deterministic: true }),
    await client.files.upload(bytes(50_000), { deterministic: true }),
  ];
  expect(a).toEqual(b);
  expect(a.digest).toBeUndefined();
  expect(server.store.files).toBe(before + 1);
  expect(Buffer.compare(await client.files.download(a), bytes(50_000))).toBe(0);
});

test('a large file goes in pieces, with progress, and can be cancelled', async () => {
  const client = await clientWith([addressOf(server)]);
  const data = bytes(3_000_000);
  const up: number[] = [];
  const pointer = await client.files.upload(new Blob([data]).stream(), {
    onProgress: ({ doneBytes }) => up.push(doneBytes),
  });
  expect(up.length).toBeGreaterThan(3);
  expect(up).toEqual([...up].sort((a, b) => a - b));
  const down: number[] = [];
  const fetched = await client.files.download(pointer, {
    onProgress: ({ doneBytes }) => down.push(doneBytes),
  });
  expect(Buffer.compare(fetched, data)).toBe(0);
  expect(down.at(-1)).toBe(up.at(-1));
  expect(down.length).toBeGreaterThan(3);

  const before = server.store.files;
  const abort = new AbortController();
  const cancelled = client.files.upload(data, {
    signal: abort.signal,
    onProgress: ({ doneBytes }) => doneBytes > 0 && abort.abort(new Error('enough')),
  });
  await expect(cancelled).rejects.toThrow('enough');
  expect(server.store.files).toBe(before);
});

test('a server that is down or full is passed over; when all are, that is told with a time', async () => {
  const down: FileServerAddress = { url: 'http://127.0.0.1:9', ed25519Hex: server.ed25519Hex };
  const full = await answering(() => ({ code: 507, headers: {}, body: new Uint8Array(0) }));
  const client = await clientWith([down, full, addressOf(server)]);
  const pointer = await client.files.upload(bytes(1000));
  expect(pointer.url).toContain(server.url);
  expect(Buffer.compare(await client.files.download(pointer), bytes(1000))).toBe(0);

  const unlucky = await clientWith([down, full]);
  await expect(unlucky.files.upload(bytes(1000))).rejects.toMatchObject({
    code: 'servers_down',
    retryAfterMs: expect.any(Number),
  });
  await expect(
    unlucky.files.download({ ...pointer, url: `${down.url}/file/x#p=${down.ed25519Hex}` }),
  ).rejects.toMatchObject({
    code: 'server_down',
  });
  // Nobody on the way was blamed for it.
  expect(unlucky.paths().every((path) => path.state === 'usable')).toBe(true);
  expect(unlucky.health().nodes).toBe(6);
  await expect((await clientWith([])).files.upload(bytes(1))).rejects.toMatchObject({ code: 'no_server' });
});

test('files that are gone, changed, too long, too short or endless are told apart', async () => {
  const client = await clientWith([addressOf(server)]);
  const pointer = await client.files.upload(bytes(5000));
  const kept = new Uint8Array(await (await fetch(pointer.url ?? '')).arrayBuffer());
  const changed = kept.slice();
  changed[100]! ^= 1;
  const code = (expected: string, from: typeof pointer) =>
    expect(client.files.download(from)).rejects.toMatchObject({ code: expected });
  const giving = async (body: Uint8Array, code_ = 200, headers = {}) => {
    const at = await answering(() => ({ code: code_, headers, body }));
    return { ...pointer, url: `${at.url}/file/abc#p=${at.ed25519Hex}` };
  };
  await code('gone', { ...pointer, url: pointer.url?.replace(/file\/..../, 'file/none') ?? '' });
  await code('corrupt', await giving(changed));
  await code('corrupt', await giving(kept.subarray(1)));
  await code('corrupt', await giving(new Uint8Array(9_000_000)));
  const range = (text: string) => ({ 'content-range': text });
  await code('corrupt', await giving(kept, 206, range(`bytes 0-${kept.length - 1}/9999999999`)));
  await code('server_down', await giving(kept, 206, range('bytes 5-9/10')));
  await code('server_down', await giving(kept, 206));
  await code('server_down', await giving(kept, 500));
  const endless = await serverThat((_request, response) => {
    const timer = setInterval(() => response.write(Buffer.alloc(1024 * 1024)), 1);
    response.on('close', () => clearInterval(timer));
  });
  await code('server_down', { ...pointer, url: `${endless.url}/file/abc#p=${endless.ed25519Hex}` });

  const { url: _url, ...withoutUrl } = pointer;
  await code('bad_pointer', withoutUrl);
  await code('bad_pointer', { ...pointer, key: new Uint8Array(32) });
  await code('bad_pointer', { ...pointer, digest: new Uint8Array(3) });
  await code('bad_pointer', { ...pointer, url: 'http://127.0.0.1/elsewhere' });
  await code('too_large', { ...pointer, size: 10_000_001 });
  expect(toHex(await client.files.download(pointer))).toBe(toHex(bytes(5000)));
});

test('a server of another make, that knows neither pieces nor ranges, will do', async () => {
  const files = new Map<string, Uint8Array>();
  const at = await answering(({ method, endpoint, body = new Uint8Array(0) }) => {
    if (method === 'POST' && endpoint === '/file') {
      files.set('123456', body.slice());
      const json = JSON.stringify({ id: '123456', expires: Date.now() / 1000 + 60 });
      return { code: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(json) };
    }
    const found = method === 'GET' ? files.get(endpoint.slice('/file/'.length)) : undefined;
    return { code: found === undefined ? 404 : 200, headers: {}, body: found ?? new Uint8Array(0) };
  });
  const client = await clientWith([at]);
  const data = bytes(1_500_000);
  const pointer = await client.files.upload(data);
  expect(pointer.id).toBe(123456n);
  expect(Buffer.compare(await client.files.download(pointer), data)).toBe(0);
});
