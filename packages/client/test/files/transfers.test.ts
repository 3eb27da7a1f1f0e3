// SPDX-License-Identifier: MIT
// Uploads and downloads against file servers in memory whose answers get lost, lie or never come. Real sockets and hops
// are in lab/test/files.test.ts.
import { Account } from '@allium/protocol/account';
import { concat, utf8 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { contentId } from '@allium/protocol/files/content-id';
import type { V4Request, V4Response } from '@allium/protocol/onion/v4';
import { expect, test } from 'vitest';
import { ClientError } from '../../src/errors.ts';
import { Transfers } from '../../src/files/transfers.ts';
import type { ServerAddress } from '../../src/network/onions.ts';

const KEY = 'b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371';
const A = { url: 'http://a.example', ed25519Hex: KEY };
const B = { url: 'http://b.example', ed25519Hex: KEY };
const MB = 1024 * 1024;
const data = new Uint8Array(2_500_000).map((_, i) => i >> 5);

type Answer = Partial<V4Response> | undefined;
type Handler = (request: V4Request, host: string) => Answer | Promise<Answer>;

let now = 0;
const env: Env = {
  clock: { now: () => now, monotonic: () => now, after: () => () => undefined },
  random: { below: () => 0, unit: () => 0 },
  log: { error() {}, warn() {}, info() {}, debug() {}, child: () => env.log },
};

/** Files over a network that brings every request to `handle`; no answer means that none came. */
function filesOver(handle: Handler, servers = [A]) {
  const asked: string[] = [];
  const ask = async ({ host }: ServerAddress, request: V4Request): Promise<V4Response> => {
    asked.push(`${request.method} ${request.endpoint.replace(/[\w-]{44}/, 'ID')}`);
    const answer = await handle(request, host);
    if (answer === undefined) throw new ClientError('unreachable', 'no answer');
    return { code: 200, headers: {}, body: new Uint8Array(0), ...answer };
  };
  const account = Account.fromSeed(new Uint8Array(16).fill(1));
  return { files: new Transfers(servers, { account, network: { servers: { ask } }, env }), asked };
}

/** A server that keeps files and takes pieces; `lose` tells whether the answer to a request gets lost. */
function goodServer(lose: (request: V4Request) => boolean = () => false) {
  const kept = new Map<string, Uint8Array>();
  let pieces = new Uint8Array(0);
  let length = 0;
  const state = (code: number): Answer => {
    const id = contentId(pieces);
    const isWhole = pieces.length === length;
    if (isWhole) kept.set(id, pieces);
    return { code, headers: { 'upload-offset': String(pieces.length), ...(isWhole && { 'x-fs-id': id }) } };
  };
  const handle: Handler = (request) => {
    const { method, endpoint, headers, body = new Uint8Array(0) } = request;
    const answer = (): Answer => {
      if (method === 'POST' && endpoint === '/uploads') {
        pieces = new Uint8Array(0);
        length = Number(headers['Upload-Length']);
        return { code: 201, headers: { location: '/uploads/token' } };
      }
      if (endpoint === '/uploads/token') {
        if (method === 'PATCH') {
          if (Number(headers['Upload-Offset']) !== pieces.length) return { code: 409 };
          pieces = concat(pieces, body) as Uint8Array<ArrayBuffer>;
        }
        return state(method === 'PATCH' ? 204 : 200);
      }
      if (method === 'POST') {
        kept.set(contentId(body), body.slice());
        return { body: utf8(JSON.stringify({ id: contentId(body), expires: 1.5 })) };
      }
      const file = kept.get(endpoint.slice('/file/'.length));
      if (file === undefined) return { code: 404 };
      const [, start, end] = /bytes=(\d+)-(\d+)/.exec(headers.Range ?? '') ?? [];
      const part = file.slice(Number(start), Number(end) + 1);
      const range = `bytes ${start}-${Number(start) + part.length - 1}/${file.length}`;
      return { code: 206, headers: { 'content-range': range }, body: part };
    };
    const given = answer();
    return lose(request) ? undefined : given;
  };
  return { kept, handle };
}

test('a piece whose answer is lost costs one question, not the upload', async () => {
  let patches = 0;
  const server = goodServer(({ method }) => method === 'PATCH' && ++patches === 2);
  const { files, asked } = filesOver(server.handle);
  const pointer = await files.upload(data);
  const patch = 'PATCH /uploads/token';
  expect(asked).toEqual(['POST /uploads', patch, patch, 'HEAD /uploads/token', patch]);
  expect(await files.download(pointer)).toEqual(data);
});

test('the answer to the last piece is lost', async () => {
  let patches = 0;
  const server = goodServer(({ method }) => method === 'PATCH' && ++patches === 3);
  const { files } = filesOver(server.handle);
  const pointer = await files.upload(data);
  expect(pointer.url).toContain([...server.kept.keys()][0]);
});

test('an upload that does not go on ends, and the server is told to forget it', async () => {
  const server = goodServer();
  const { files, asked } = filesOver((request, host) =>
    request.method === 'PATCH' || request.method === 'HEAD'
      ? { code: 204, headers: { 'upload-offset': '0' } }
      : server.handle(request, host),
  );
  await expect(files.upload(data)).rejects.toMatchObject({ code: 'servers_down' });
  expect(asked.filter((line) => line.startsWith('PATCH')).length).toBeLessThan(5);
  expect(asked.at(-1)).toBe('DELETE /uploads/token');
});

test.each<[string, Partial<V4Response>]>([
  ['nonsense', { body: utf8('hello') }],
  ['null', { body: utf8('null') }],
  ['no expiry', { body: utf8(JSON.stringify({ id: '1' })) }],
  ['no id', { body: utf8(JSON.stringify({ expires: 1 })) }],
  ['an id that is a path', { body: utf8(JSON.stringify({ id: '../x', expires: 1 })) }],
  ['the id of other bytes', { body: utf8(JSON.stringify({ id: contentId(utf8('x')), expires: 1 })) }],
  ['an error', { code: 500 }],
])(
  'an upload that is answered with %s has failed there, and the next server gets it',
  async (_name, answer) => {
    const good = goodServer();
    const handle: Handler = (request, host) => (host === 'a.example' ? answer : good.handle(request, host));
    const { files } = filesOver(handle, [A, B]);
    const pointer = await files.upload(utf8('hello'));
    expect(pointer.url).toContain('http://b.example/');
  },
);

test.each([
  ['an offset that is no number', { code: 204, headers: { 'upload-offset': 'x' } }],
  ['an offset beyond the end', { code: 204, headers: { 'upload-offset': '99999999999' } }],
  ['an id of other bytes', { code: 204, headers: { 'x-fs-id': contentId(utf8('x')) } }],
])('a piece that is answered with %s', async (_name, answer) => {
  const server = goodServer();
  const { files } = filesOver((request, host) =>
    request.method === 'PATCH' || request.method === 'HEAD' ? answer : server.handle(request, host),
  );
  await expect(files.upload(data)).rejects.toMatchObject({ code: 'servers_down' });
});

test('a server that failed is asked last until its time is over, and each failure makes that longer', async () => {
  const good = goodServer();
  const hosts: string[] = [];
  let isDown = true;
  const handle: Handler = (request, host) => {
    hosts.push(host);
    return host === 'a.example' && isDown ? undefined : good.handle(request, host);
  };
  const { files } = filesOver(handle, [A, B]);
  const upload = async () => {
    hosts.length = 0;
    await files.upload(utf8('hello'));
    return hosts.join(' ');
  };
  expect(await upload()).toBe('a.example b.example');
  expect(await upload()).toBe('b.example');
  now += 30_000;
  expect(await upload()).toBe('a.example b.example');
  now += 30_000;
  expect(await upload()).toBe('b.example');
  now += 30_000;
  isDown = false;
  expect(await upload()).toBe('a.example');
  expect(await upload()).toBe('a.example');
});

test('says that a file is too large only when all servers say so', async () => {
  const { files } = filesOver(() => ({ code: 413 }), [A, B]);
  await expect(files.upload(utf8('hello'))).rejects.toMatchObject({ code: 'too_large' });
  await expect(files.upload(new Uint8Array(0))).rejects.toMatchObject({ code: 'empty' });
  const endless = async function* () {
    for (;;) yield new Uint8Array(MB);
  };
  await expect(files.upload(endless())).rejects.toMatchObject({ code: 'too_large' });
});

test('a download asks for a few pieces at a time, and ends with the first that fails', async () => {
  const server = goodServer();
  const pointer = await filesOver(server.handle).files.upload(new Uint8Array(8 * MB).fill(1));
  let inWork = 0;
  let most = 0;
  let failing = false;
  const { files, asked } = filesOver(async (request, host) => {
    most = Math.max(most, ++inWork);
    await new Promise((resolve) => setTimeout(resolve, 1));
    inWork--;
    return failing && asked.length > 4 ? undefined : server.handle(request, host);
  });
  expect((await files.download(pointer)).length).toBe(8 * MB);
  expect(most).toBe(3);
  failing = true;
  asked.length = 0;
  await expect(files.download(pointer)).rejects.toMatchObject({ code: 'server_down', retryAfterMs: 30_000 });
  expect(asked.length).toBeLessThan(8);
});

test('a cancelled transfer gives the reason, also while it waits for its turn', async () => {
  const { files } = filesOver(() => new Promise(() => undefined));
  for (let i = 0; i < 3; i++) files.upload(utf8('waits')).catch(() => undefined);
  const abort = new AbortController();
  const waiting = files.upload(utf8('x'), { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
});
