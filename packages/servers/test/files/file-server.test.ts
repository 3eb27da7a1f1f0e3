// SPDX-License-Identifier: AGPL-3.0-or-later
// The file server over real sockets, plain and inside onions: vectors of spec/community-and-file-servers §2, pieces,
// limits, and what is left after trouble.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemEnv } from '@allium/net/system-env';
import { fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import { blake2b, ed25519KeyPair, ed25519Sign, x25519PublicKey } from '@allium/protocol/crypto';
import type { Env, LogFields } from '@allium/protocol/env';
import { contentId } from '@allium/protocol/files/content-id';
import { openReply, sealLayer } from '@allium/protocol/onion/layer';
import { encodeEnvelope } from '@allium/protocol/onion/request';
import { encodeV4Request, parseV4Response } from '@allium/protocol/onion/v4';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/community-and-file-servers.json' with { type: 'json' };
import {
  type FileServer,
  type StartFileServerOptions,
  startFileServer,
} from '../../src/files/file-server.ts';
import { FileStore, pathOfId } from '../../src/files/file-store.ts';
import { onionRequests } from '../../src/onion-v4.ts';
import type { ServerEnv } from '../../src/serve.ts';
import { loadOrCreateServerKey, serverKeyOf } from '../../src/server-key.ts';

const DAY = 86_400;
let folder: string;
let server: FileServer | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-files-'));
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: Partial<StartFileServerOptions> = {}, env: Env = systemEnv()) {
  server = await startFileServer({ folder, port: 0, ...options }, env);
  return server;
}

/** An environment whose clock is moved by hand and whose log is kept. */
function handEnv() {
  const real = systemEnv();
  const lines: string[] = [];
  const log = (_fields: LogFields, sentence: string) => void lines.push(sentence);
  const state = { now: Date.now(), monotonic: 0 };
  const env: Env = {
    ...real,
    clock: {
      ...real.clock,
      now: () => state.now,
      monotonic: () => state.monotonic,
      after: () => () => undefined,
    },
    log: { error: log, warn: log, info: log, debug: log, child: () => env.log },
  };
  const pass = (ms: number) => {
    state.now += ms;
    state.monotonic += ms;
  };
  return { env, lines, state, pass };
}

const upload = (body: Uint8Array | string, headers: Record<string, string> = {}) =>
  fetch(`${server?.url}/file`, { method: 'POST', body: body as Uint8Array<ArrayBuffer>, headers });

/** All files below a folder. */
function filesIn(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
}
interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}
type Ask = (asked: Asked) => Promise<Answered>;

const byHttp: Ask = async ({ method, path, headers = {}, body }) => {
  const carries = method !== 'GET' && method !== 'HEAD';
  const answer = await fetch(`${server?.url}${path}`, {
    ...{ method, headers },
    ...(carries && { body: (body ?? new Uint8Array(0)) as Uint8Array<ArrayBuffer> }),
  });
  return {
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: new Uint8Array(await answer.arrayBuffer()),
  };
};

const byOnion =
  (encType: 'aes-gcm' | 'xchacha20-poly1305'): Ask =>
  async ({ method, path, headers = {}, body }) => {
    const key = loadOrCreateServerKey(join(folder, 'server.key')).x25519.publicKey;
    const request = encodeV4Request({ method, endpoint: path, headers, ...(body && { body }) });
    const { ciphertext, ephemeralKey, replyKey } = sealLayer(encType, request, key);
    const control = JSON.stringify({ ephemeral_key: toHex(ephemeralKey), enc_type: encType });
    const answer = await fetch(`${server?.url}/oxen/v4/lsrpc`, {
      method: 'POST',
      body: encodeEnvelope(ciphertext, control) as Uint8Array<ArrayBuffer>,
    });
    expect(answer.status).toBe(200);
    const opened = openReply(replyKey, new Uint8Array(await answer.arrayBuffer()));
    const { code, ...rest } = parseV4Response(opened as Uint8Array);
    return { status: code, ...rest };
  };

describe('vectors', () => {
  const run = vectors.file_server_run;
  interface Step {
    method: string;
    path: string;
    headers?: Record<string, string>;
    body_b64?: string;
    json?: object;
    note?: string;
    expect: {
      status: number;
      json?: Record<string, unknown>;
      content_type?: string;
      body_b64?: string;
      headers?: Record<string, { '@time': number }>;
    };
  }

  const about = (wanted: unknown, got: unknown) => {
    if (wanted !== null && typeof wanted === 'object') {
      if ('@any' in wanted) return expect(got).toBeDefined();
      if ('@time' in wanted) {
        return expect(Math.abs(Number(got) - (Date.now() / 1000 + Number(wanted['@time'])))).toBeLessThan(5);
      }
    }
    return expect(got).toEqual(wanted);
  };

  test.each([
    ['HTTP', byHttp],
    ['an onion, aes-gcm', byOnion('aes-gcm')],
    ['an onion, xchacha20', byOnion('xchacha20-poly1305')],
  ])('the recorded run by %s', async (_name, ask) => {
    await start({
      maxFileBytes: run.settings.max_file_size,
      defaultTtlSeconds: run.settings.default_ttl,
      maxTtlSeconds: run.settings.max_ttl,
    });
    expect(run.steps.length).toBeGreaterThan(20);
    for (const step of run.steps as Step[]) {
      const body =
        step.json !== undefined
          ? utf8(JSON.stringify(step.json))
          : step.body_b64 !== undefined
            ? new Uint8Array(Buffer.from(step.body_b64, 'base64'))
            : undefined;
      const answer = await ask({ ...step, ...(body && { body }) });
      const name = `${step.method} ${step.path} ${step.note ?? ''}`;
      expect(answer.status, name).toBe(step.expect.status);
      const json = () => JSON.parse(Buffer.from(answer.body).toString()) as Record<string, unknown>;
      for (const [member, wanted] of Object.entries(step.expect.json ?? {})) about(wanted, json()[member]);
      for (const [header, wanted] of Object.entries(step.expect.headers ?? {})) {
        about(wanted, Date.parse(answer.headers[header] ?? '') / 1000);
      }
      if (step.expect.content_type !== undefined) {
        expect(answer.headers['content-type']).toBe(step.expect.content_type);
      }
      if (step.expect.body_b64 !== undefined) {
        expect(Buffer.from(answer.body).toString('base64'), name).toBe(step.expect.body_b64);
      }
    }
  });

  test.each(vectors.sections.file_server_ids.cases)('$id', ({ data, data_seed, file_id, path }) => {
    expect(pathOfId(file_id)).toBe(path);
    if (data_seed !== null && data_seed !== undefined) {
      const parts = Array.from({ length: 188 }, (_, i) => createHash('sha256').update(`file/${i}`).digest());
      expect(contentId(Buffer.concat(parts).subarray(0, 6000))).toBe(file_id);
    } else if (typeof data === 'string') expect(contentId(fromHex(data))).toBe(file_id);
  });

  test.each(vectors.sections.onion_envelope.cases)('opens and answers $id', async (item) => {
    const secretKey = fromHex(item.server_x25519_sk);
    const seen: string[] = [];
    const inner = new Hono<ServerEnv>().all('*', (context) => {
      seen.push(`${context.req.method} ${new URL(context.req.url).pathname}`);
      return context.text('yes');
    });
    const answer = await onionRequests(inner, { publicKey: x25519PublicKey(secretKey), secretKey }).request(
      '/oxen/v4/lsrpc',
      { method: 'POST', body: fromHex(item.request_body) as Uint8Array<ArrayBuffer> },
    );
    expect(answer.status).toBe(200);
    const replyKey = {
      encType: (item.enc_type ?? 'gcm').includes('gcm')
        ? ('aes-gcm' as const)
        : ('xchacha20-poly1305' as const),
      key: fromHex(item.key ?? ''),
    };
    const opened = openReply(replyKey, new Uint8Array(await answer.arrayBuffer()));
    const { code, body } = parseV4Response(opened as Uint8Array);
    const isValid = item.request_plain.startsWith('6c');
    expect([code, Buffer.from(body).toString(), seen.length]).toEqual(
      isValid ? [200, 'yes', 1] : [400, 'Invalid v4 onion request', 0],
    );
    expect(toHex(openReply(replyKey, fromHex(item.reply_body)) as Uint8Array)).toBe(item.reply_plain);
  });
});

describe('by onion', () => {
  test('what does not open is answered 400, what opens to nonsense as the specification says', async () => {
    await start();
    const post = (body: Uint8Array | string) =>
      fetch(`${server?.url}/oxen/v4/lsrpc`, { method: 'POST', body: body as Uint8Array<ArrayBuffer> });
    const other = sealLayer('aes-gcm', utf8('x'), serverKeyOf(new Uint8Array(32).fill(7)).x25519.publicKey);
    const control = (key: unknown) => JSON.stringify({ ephemeral_key: key });
    for (const body of [
      '',
      'hello',
      encodeEnvelope(utf8('x'), 'null'),
      encodeEnvelope(utf8('x'), control('00')),
      encodeEnvelope(utf8('x'), control(toHex(new Uint8Array(32)))),
      encodeEnvelope(other.ciphertext, control(toHex(other.ephemeralKey))),
    ]) {
      expect((await post(body)).status).toBe(400);
    }
    const key = loadOrCreateServerKey(join(folder, 'server.key')).x25519.publicKey;
    for (const text of ['', 'le', 'l2:{}e', 'l35:{"method":"GET","endpoint":"file/x"}e', 'l3:abc']) {
      const sealed = sealLayer('aes-gcm', utf8(text), key);
      const answer = await post(encodeEnvelope(sealed.ciphertext, control(toHex(sealed.ephemeralKey))));
      const plain = openReply(sealed.replyKey, new Uint8Array(await answer.arrayBuffer()));
      const { code, body } = parseV4Response(plain as Uint8Array);
      expect([code, Buffer.from(body).toString()]).toEqual([400, 'Invalid v4 onion request']);
    }
    const strange = await byOnion('aes-gcm')({ method: 'GET', path: '//evil.example/file/x' });
    expect(strange.status).toBe(404);
    const nested = await byOnion('aes-gcm')({ method: 'POST', path: '/oxen/v4/lsrpc', body: utf8('x') });
    expect(nested.status).toBe(404);
  });

  test('ten million bytes up and down', async () => {
    await start();
    const data = new Uint8Array(10_000_000).fill(5);
    const ask = byOnion('aes-gcm');
    const stored = await ask({ method: 'POST', path: '/file', body: data });
    const { id } = JSON.parse(Buffer.from(stored.body).toString());
    expect(id).toBe(contentId(data));
    const fetched = await ask({ method: 'GET', path: `/file/${id}` });
    expect(Buffer.compare(fetched.body, data)).toBe(0);
  });
});

describe('in pieces', () => {
  const data = new Uint8Array(300_000).map((_, i) => i * 7);
  const offsetType = { 'content-type': 'application/offset+octet-stream' };
  const header = (answer: Answered, name: string) => answer.headers[name];

  test.each([
    ['HTTP', byHttp],
    ['onions', byOnion('aes-gcm')],
  ])('an upload goes on where it broke off, also after a restart, by %s', async (_name, ask) => {
    await start();
    const begun = await ask({
      method: 'POST',
      path: '/uploads',
      headers: { 'upload-length': String(data.length), 'x-fs-ttl': '3600' },
    });
    expect(begun.status).toBe(201);
    const path = header(begun, 'location') ?? '';
    const patch = (offset: number, end: number) =>
      ask({
        method: 'PATCH',
        path,
        headers: { ...offsetType, 'upload-offset': String(offset) },
        body: data.subarray(offset, end),
      });
    expect((await patch(0, 100_000)).status).toBe(204);
    expect((await patch(50_000, 150_000)).status).toBe(409);
    await server?.stop();
    await start();
    const found = await ask({ method: 'HEAD', path });
    expect([found.status, header(found, 'upload-offset')]).toEqual([200, '100000']);
    const last = await patch(100_000, data.length);
    expect(last.status).toBe(204);
    expect(header(last, 'x-fs-id')).toBe(contentId(data));
    expect(Number(header(last, 'x-fs-expires'))).toBeCloseTo(Date.now() / 1000 + 3600, -3);
    // The answer may be lost: it can be asked for again.
    expect(header(await ask({ method: 'HEAD', path }), 'x-fs-id')).toBe(contentId(data));
    const middle = await ask({
      method: 'GET',
      path: `/file/${contentId(data)}`,
      headers: { range: 'bytes=1000-1999' },
    });
    expect(middle.status).toBe(206);
    expect(header(middle, 'content-range')).toBe(`bytes 1000-1999/${data.length}`);
    expect(Buffer.compare(middle.body, data.subarray(1000, 2000))).toBe(0);
    expect(readdirSync(join(folder, 'uploads'))).toEqual([]);
  });

  test('a piece that breaks off is kept as far as it came, one too long is not', async () => {
    await start();
    const { headers } = await byHttp({
      method: 'POST',
      path: '/uploads',
      headers: { 'upload-length': '1000' },
    });
    const path = headers.location ?? '';
    const uploads = join(folder, 'uploads');
    const sizes = () => readdirSync(uploads).map((name) => statSync(join(uploads, name)).size);
    const broken = new ReadableStream({
      async start(controller) {
        controller.enqueue(new Uint8Array(400));
        await expect.poll(sizes).toEqual([400]);
        controller.error(new Error('gone'));
      },
    });
    await expect(
      fetch(`${server?.url}${path}`, {
        ...{ method: 'PATCH', body: broken, duplex: 'half' },
        headers: { ...offsetType, 'upload-offset': '0' },
      } as RequestInit),
    ).rejects.toThrow();
    await expect
      .poll(async () => (await byHttp({ method: 'HEAD', path })).headers['upload-offset'])
      .toBe('400');
    const patch = (body: Uint8Array) =>
      byHttp({ method: 'PATCH', path, headers: { ...offsetType, 'upload-offset': '400' }, body });
    // 423 as long as the server has not noticed that the first one is gone.
    await expect.poll(async () => (await patch(new Uint8Array(601))).status).toBe(413);
    expect((await patch(new Uint8Array(600))).status).toBe(204);
  });

  test('refuses what is wrong', async () => {
    await start({ maxFileBytes: 1000 });
    const create = (length: string) =>
      byHttp({ method: 'POST', path: '/uploads', headers: { 'upload-length': length } });
    expect((await create('1001')).status).toBe(413);
    expect((await create('0')).status).toBe(413);
    expect((await create('-1')).status).toBe(400);
    const { headers } = await create('10');
    const path = headers.location ?? '';
    expect((await byHttp({ method: 'PATCH', path, body: new Uint8Array(1) })).status).toBe(415);
    const version = { 'tus-resumable': '0.2.2' };
    expect((await byHttp({ method: 'HEAD', path, headers: version })).status).toBe(412);
    expect((await byHttp({ method: 'DELETE', path })).status).toBe(204);
    expect((await byHttp({ method: 'HEAD', path })).status).toBe(404);
    expect((await byHttp({ method: 'HEAD', path: '/uploads/..%2fserver.key' })).status).toBe(404);
  });

  test.each([
    ['bytes=-10', 206, 10],
    ['bytes=299999-', 206, 1],
    ['bytes=300000-', 416, undefined],
    ['bytes=5-1', 200, 300_000],
    ['bytes=0-1,4-5', 200, 300_000],
    ['lines=1-2', 200, 300_000],
  ])('range %s', async (range, status, length) => {
    await start();
    await upload(data);
    const answer = await byHttp({ method: 'GET', path: `/file/${contentId(data)}`, headers: { range } });
    expect(answer.status).toBe(status);
    if (length !== undefined) expect(answer.body).toHaveLength(length);
  });
});

describe('limits', () => {
  test('all files together', async () => {
    await start({ maxTotalBytes: 1000 });
    expect((await upload(new Uint8Array(800).fill(1))).status).toBe(200);
    expect((await upload(new Uint8Array(300).fill(2))).status).toBe(507);
    expect((await upload(new Uint8Array(200).fill(3))).status).toBe(200);
    expect(server?.store.usedBytes).toBe(1000);
    expect(filesIn(join(folder, 'tmp'))).toEqual([]);
  });

  test('uploads in pieces count from their beginning, also after a restart', async () => {
    await start({ maxTotalBytes: 1000 });
    const create = () => byHttp({ method: 'POST', path: '/uploads', headers: { 'upload-length': '600' } });
    const { status, headers } = await create();
    expect([status, (await create()).status]).toEqual([201, 507]);
    await server?.stop();
    await start({ maxTotalBytes: 1000 });
    expect((await create()).status).toBe(507);
    expect((await byHttp({ method: 'DELETE', path: headers.location ?? '' })).status).toBe(204);
    expect((await create()).status).toBe(201);
    await server?.stop();
    // What was begun under a greater limit may end.
    expect((await start({ maxTotalBytes: 10 })).store.usedBytes).toBe(0);
  });

  test('one address, and one behind a proxy of ours', async () => {
    await start({ bytesPerHour: 100_000, behindProxy: true });
    const from = (address: string) =>
      upload(new Uint8Array(60_000).fill(1), { 'x-forwarded-for': `198.51.100.9, ${address}` });
    expect((await from('192.0.2.1')).status).toBe(200);
    expect((await from('192.0.2.1')).status).toBe(429);
    expect((await from('192.0.2.2')).status).toBe(200);
  });

  test('an upload without length that never ends is cut off', async () => {
    await start({ maxFileBytes: 100_000 });
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 10_000;
        controller.enqueue(new Uint8Array(10_000));
      },
    });
    const answer = await fetch(`${server?.url}/file`, {
      ...{ method: 'POST', body: endless, duplex: 'half' },
    } as RequestInit).catch((error: unknown) => error);
    if (answer instanceof Response) expect(answer.status).toBe(413);
    expect(sent).toBeLessThan(20_000_000);
    await expect.poll(() => filesIn(join(folder, 'tmp'))).toEqual([]);
    expect(server?.store.files).toBe(0);
  });

  test('wrong methods and paths; other origins may ask', async () => {
    await start();
    expect((await byHttp({ method: 'PUT', path: '/file' })).status).toBe(405);
    expect((await byHttp({ method: 'DELETE', path: '/file/abc' })).status).toBe(405);
    expect((await byHttp({ method: 'GET', path: '/file/..%2f..%2fserver.key' })).status).toBe(404);
    expect((await byHttp({ method: 'GET', path: '/files.sqlite' })).status).toBe(404);
    const preflight = await fetch(`${server?.url}/file`, {
      method: 'OPTIONS',
      headers: { origin: 'http://app.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('numbers as ids', async () => {
    await start({ numberIds: true });
    const [a, b] = await Promise.all([upload('same'), upload('same')].map(async (it) => (await it).json()));
    expect(a.id).toMatch(/^\d{1,16}$/);
    expect(a.id).not.toBe(b.id);
    expect(await (await fetch(`${server?.url}/file/${a.id}`)).text()).toBe('same');
    expect((await byHttp({ method: 'POST', path: `/file/${a.id}/extend` })).status).toBe(404);
  });
});

describe('the folder', () => {
  const add = (store: FileStore, text: string, ttl = 10) =>
    store.add(new Blob([text]).stream(), text.length, ttl);
  const OPTIONS = { maxFileBytes: 1000, maxTotalBytes: 1e6, defaultTtlSeconds: 10 };

  test('key and folder belong to their owner, and to one server', async () => {
    await start();
    expect(statSync(join(folder, 'server.key')).mode & 0o777).toBe(0o600);
    const key = server?.ed25519Hex;
    await expect(startFileServer({ folder, port: 0 }, systemEnv())).rejects.toMatchObject({ code: 'in_use' });
    await server?.stop();
    chmodSync(join(folder, 'server.key'), 0o644);
    expect((await start()).ed25519Hex).toBe(key);
    expect(statSync(join(folder, 'server.key')).mode & 0o777).toBe(0o600);
    await server?.stop();
    writeFileSync(join(folder, 'server.key'), 'no key');
    await expect(startFileServer({ folder, port: 0 }, systemEnv())).rejects.toMatchObject({
      code: 'malformed',
    });
    server = undefined;
  });

  test('expired files go, those uploaded again or extended stay', async () => {
    const { env, pass } = handEnv();
    const store = new FileStore({ ...OPTIONS, folder }, env);
    const gone = await add(store, 'gone');
    const extended = await add(store, 'extended');
    const again = await add(store, 'again');
    pass(9_000);
    store.extend(extended.id, 10);
    pass(2_000);
    await add(store, 'again');
    expect(store.find(gone.id)).toBeUndefined();
    expect(filesIn(join(folder, 'pools'))).toHaveLength(3);
    await store.tick();
    expect(filesIn(join(folder, 'pools')).sort()).toEqual([again.id, extended.id].sort());
    expect([store.files, store.usedBytes]).toEqual([2, 13]);
    await store.stop();
  });

  test('a file that is being removed can be uploaded at the same moment', async () => {
    const { env, pass } = handEnv();
    const store = new FileStore({ ...OPTIONS, folder }, env);
    const { id } = await add(store, 'again');
    pass(11_000);
    await Promise.all([store.tick(), add(store, 'again'), store.tick(), add(store, 'again')]);
    expect(store.find(id)).toBeDefined();
    expect(filesIn(join(folder, 'pools'))).toEqual([id]);
    await store.stop();
  });

  test('a clock that leaps takes no files along', async () => {
    const { env, state, pass, lines } = handEnv();
    const store = new FileStore({ ...OPTIONS, folder }, env);
    const { id } = await add(store, 'kept', 600);
    state.now += 400 * DAY * 1000;
    await store.tick();
    expect(store.find(id)).toBeUndefined(); // its time is over, if the clock is right
    expect(filesIn(join(folder, 'pools'))).toEqual([id]);
    expect(lines.join()).toMatch(/was set forward/);
    state.now -= 400 * DAY * 1000;
    await store.tick();
    expect(store.find(id)).toBeDefined();
    pass(700_000);
    await store.tick();
    expect(filesIn(join(folder, 'pools'))).toEqual([]);
    await store.stop();
    state.now += 30 * DAY * 1000;
    const later = new FileStore({ ...OPTIONS, folder }, env);
    expect(lines.join()).toMatch(/last run was long ago/);
    await later.stop();
  });

  test('what a killed server left half done is gone at the next start', async () => {
    const { env } = handEnv();
    const store = new FileStore({ ...OPTIONS, folder }, env);
    const [half, leaving, whole] = [
      await add(store, 'half'),
      await add(store, 'going'),
      await add(store, 'whole'),
    ];
    store.db.prepare('UPDATE files SET state = 1 WHERE id = ?').run(half.id);
    store.db.prepare('UPDATE files SET state = 2 WHERE id = ?').run(leaving.id);
    await store.stop();
    writeFileSync(join(folder, 'tmp', 'part'), 'part');
    const next = new FileStore({ ...OPTIONS, folder }, env);
    expect(filesIn(join(folder, 'pools'))).toEqual([whole.id]);
    expect(filesIn(join(folder, 'tmp'))).toEqual([]);
    expect([next.files, next.usedBytes]).toEqual([1, 5]);
    await next.stop();
  });

  test('several folders in turn; one that is switched off still gives its files', async () => {
    const { env, lines } = handEnv();
    const pools = ['a', 'b'].map((name) => ({ name, folder: join(folder, name), active: true }));
    writeFileSync(join(folder, 'pools.json'), JSON.stringify(pools));
    const store = new FileStore({ ...OPTIONS, folder }, env);
    for (const text of ['1', '2', '3', '4']) await add(store, text);
    expect([filesIn(join(folder, 'a')), filesIn(join(folder, 'b'))].map((files) => files.length)).toEqual([
      2, 2,
    ]);
    writeFileSync(
      join(folder, 'pools.json'),
      JSON.stringify(pools.map((pool) => ({ ...pool, active: false }))),
    );
    await store.tick();
    await expect(add(store, '5')).rejects.toMatchObject({ code: 'no_pool' });
    const handle = await store.read(contentId(utf8('1')));
    expect((await handle?.readFile())?.toString()).toBe('1');
    await handle?.close();
    writeFileSync(join(folder, 'pools.json'), 'nonsense');
    await store.tick();
    expect(lines).toContain('pools.json cannot be used');
    expect(store.find(contentId(utf8('1')))).toBeDefined();
    await store.stop();
  });

  test('a file that is missing on the disk is not there, and can be uploaded again', async () => {
    await start();
    await upload('lost');
    rmSync(join(folder, 'pools', 'main', pathOfId(contentId(utf8('lost')))));
    const path = `/file/${contentId(utf8('lost'))}`;
    expect((await byHttp({ method: 'GET', path })).status).toBe(404);
    expect((await upload('lost')).status).toBe(200);
    expect((await byHttp({ method: 'GET', path })).status).toBe(200);
  });

  test('a disk that does not take the file is told as 507 or 500, and nothing is left', async () => {
    await start();
    rmSync(join(folder, 'pools'), { recursive: true });
    writeFileSync(join(folder, 'pools'), 'in the way');
    expect((await upload('x')).status).toBe(500);
    expect(server?.store.files).toBe(0);
    rmSync(join(folder, 'pools'));
    mkdirSync(join(folder, 'pools'));
    expect((await upload('x')).status).toBe(200);
  });
});

describe('versions of clients', () => {
  const write = () => {
    writeFileSync(
      join(folder, 'releases.json'),
      JSON.stringify({
        ios: [
          { version: 'v2.9.1', name: 'old' },
          { version: '2.10.0', notes: 'new', assets: [{ name: 'a', url: 'https://example.org/a' }] },
          { version: '3.0.0-alpha.1', channel: 'prerelease' },
          { version: '3.0.0-alpha.12', channel: 'prerelease' },
          { version: 'latest' },
        ],
      }),
    );
    utimesSync(join(folder, 'releases.json'), 1_700_000_000, 1_700_000_000);
  };
  const ask = async (query: string, headers: Record<string, string> = {}) =>
    byHttp({ method: 'GET', path: `/session_version?${query}`, headers });

  test('the newest by number, with the newest prerelease', async () => {
    write();
    await start();
    const answer = await ask('platform=ios');
    expect(JSON.parse(Buffer.from(answer.body).toString())).toEqual({
      ...{ status_code: 200, result: '2.10.0', updated: 1_700_000_000, notes: 'new' },
      assets: [{ name: 'a', url: 'https://example.org/a' }],
      prerelease: { result: '3.0.0-alpha.12', updated: 1_700_000_000 },
    });
    expect((await ask('platform=ios&release_channel=alpha')).status).toBe(502);
    expect((await ask('platform=ios&release_channel=beta')).status).toBe(404);
    expect((await ask('platform=desktop')).status).toBe(502);
  });

  test('a signed request counts its user, a wrong signature is told how', async () => {
    write();
    await start();
    const pair = ed25519KeyPair(blake2b(new Uint8Array(32), 32, { key: utf8('VersionCheckKey_sig') }));
    const now = Math.floor(Date.now() / 1000);
    const signed = (timestamp: string | number, text = `${timestamp}GET/session_version?platform=ios`) => ({
      'x-fs-pubkey': `07${toHex(pair.publicKey)}`,
      'x-fs-timestamp': String(timestamp),
      'x-fs-signature': Buffer.from(ed25519Sign(utf8(text), pair.secretKey)).toString('base64'),
    });
    const good = signed(now);
    const { 'x-fs-signature': _gone, ...incomplete } = good;
    const cases: [Record<string, string>, number, string][] = [
      [good, 200, ''],
      [incomplete, 400, 'one or more X-FS-* auth headers is missing'],
      [{ ...good, 'x-fs-pubkey': '07' }, 400, 'X-FS-Pubkey is not a valid 66-hex digit id'],
      [{ ...good, 'x-fs-pubkey': `05${toHex(pair.publicKey)}` }, 400, 'X-FS-Pubkey must be 07- prefixed'],
      [
        { ...good, 'x-fs-pubkey': `07${'02'.padEnd(64, '0')}` },
        400,
        'given X-FS-Pubkey is not a valid Ed25519',
      ],
      [{ ...good, 'x-fs-signature': 'abc' }, 400, 'X-FS-Signature is not base64[86]'],
      [{ ...good, 'x-fs-timestamp': 'now' }, 400, 'X-FS-Timestamp is not a valid timestamp'],
      [signed(now - 90_000), 425, 'X-FS-Timestamp is too far from current time'],
      [signed(now, 'other'), 401, 'X-FS-Signature verification failed'],
    ];
    for (const [headers, status, text] of cases) {
      const answer = await ask('platform=ios', headers);
      expect([answer.status, Buffer.from(answer.body).toString()]).toEqual([
        status,
        expect.stringContaining(text === '' ? '2.10.0' : `Invalid authentication: ${text}`),
      ]);
    }
    expect(server?.store.db.prepare('SELECT count(*) AS n FROM version_users').get()?.n).toBe(1);
  });

  test.each(vectors.sections.version_check_auth.cases)('key and signature of $id', (item) => {
    const pair = ed25519KeyPair(fromHex(item.seed07));
    expect(`07${toHex(pair.publicKey)}`).toBe(item.headers['X-FS-Pubkey']);
    const signature = Buffer.from(ed25519Sign(fromHex(item.signed_message), pair.secretKey)).toString(
      'base64',
    );
    expect(signature).toBe(item.headers['X-FS-Signature']);
  });

  test('figures of a token from the file of the operator', async () => {
    await start();
    const day = (ago: number) => ({ updated: Date.now() / 1000 - ago * DAY, current_value: '1.5' });
    writeFileSync(
      join(folder, 'token-info.json'),
      JSON.stringify({ maximum_supply: 1, history: [day(40), day(5), day(0)] }),
    );
    const days = async (text: string) =>
      JSON.parse(Buffer.from((await byHttp({ method: 'GET', path: `/token_info${text}` })).body).toString())
        .info.history.length;
    expect([await days(''), await days('?days=1'), await days('?days=31')]).toEqual([2, 1, 2]);
    expect(existsSync(join(folder, 'token-info.json'))).toBe(true);
    expect(readFileSync(join(folder, 'server.key'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
  });
});
