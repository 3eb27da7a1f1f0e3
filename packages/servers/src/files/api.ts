// SPDX-License-Identifier: AGPL-3.0-or-later
// The file server's endpoints (spec/community-and-file-servers §2.2), by HTTP and inside onions.
import { Readable } from 'node:stream';
import { RateLimiter } from '@allium/net/rate-limiter';
import type { Env } from '@allium/protocol/env';
import { CONTENT_ID_LENGTH } from '@allium/protocol/files/content-id';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { readAll, TooLargeError } from '../body.ts';
import { onionRequests } from '../onion-v4.ts';
import { clientAddress, rateLimit, type ServerEnv } from '../serve.ts';
import type { ServerKey } from '../server-key.ts';
import { type FileStore, FileStoreError, ID, type StoredFile } from './file-store.ts';
import { type VersionFiles, versionApp } from './session-version.ts';
import { TUS_VERSION, type Upload, type Uploads } from './uploads.ts';

export interface FileServerOptions {
  /** Greatest lifetime that X-FS-TTL may ask for; undefined: the header is ignored. */
  readonly maxTtlSeconds?: number;
  /** Uploaded by one address; behind onions that is a service node, which many people use. */
  readonly bytesPerHour: number;
  /** Take the client's address from X-Forwarded-For. */
  readonly behindProxy?: boolean;
}

interface Parts {
  readonly store: FileStore;
  readonly uploads: Uploads;
  readonly key: ServerKey;
  readonly versionFiles: VersionFiles;
  readonly env: Env;
}

// From the specification.
const MAX_LEGACY_TEXT = 8_000_000;
// Ours.
const RATE = { burst: 1000, perSecond: 300 };
/** Uploads are counted in pieces of this size, a small one as one of them. */
const QUOTA_UNIT = 4096;

type Status = 400 | 404 | 405 | 409 | 412 | 413 | 415 | 416 | 423 | 429 | 500 | 507;

export function fileServerApp(options: FileServerOptions, parts: Parts): Hono<ServerEnv> {
  const inner = endpoints(options, parts);
  const app = new Hono<ServerEnv>();
  app.use(rateLimit({ ...RATE, ...(options.behindProxy === true && { behindProxy: true }) }));
  app.use(
    cors({
      origin: '*',
      allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      allowHeaders: [
        ...['Content-Type', 'Content-Disposition', 'X-FS-TTL', 'X-FS-Pubkey', 'X-FS-Timestamp'],
        ...['X-FS-Signature', 'Range', 'Tus-Resumable', 'Upload-Offset', 'Upload-Length'],
      ],
      exposeHeaders: [
        ...['Content-Disposition', 'Content-Range', 'Expires', 'Location', 'X-FS-Id', 'X-FS-Expires'],
        ...['Upload-Offset', 'Upload-Length', 'Upload-Expires', 'Tus-Resumable'],
      ],
    }),
  );
  app.route('/', onionRequests(inner, parts.key.x25519));
  app.all('*', (context) => inner.fetch(context.req.raw, context.env));
  return app;
}

function endpoints(options: FileServerOptions, parts: Parts): Hono<ServerEnv> {
  const { store, uploads, versionFiles, env } = parts;
  const app = new Hono<ServerEnv>();
  const units = Math.max(1, Math.ceil(options.bytesPerHour / QUOTA_UNIT));
  const quota = new RateLimiter({ capacity: units, refillMicroseconds: 3_600_000_000 / units }, env.clock);

  /** False: this address has uploaded enough for now. */
  const mayUpload = (context: Context<ServerEnv>, bytes: number): boolean => {
    const address = clientAddress(context, options.behindProxy);
    return address === undefined || quota.take(address, Math.max(1, Math.ceil(bytes / QUOTA_UNIT)));
  };

  /** Seconds; undefined for a lifetime that is not allowed. */
  const lifetime = (context: Context): number | undefined => {
    const text = context.req.header('x-fs-ttl');
    const { maxTtlSeconds } = options;
    if (text === undefined || maxTtlSeconds === undefined) return store.options.defaultTtlSeconds;
    return /^\d{1,12}$/.test(text) && Number(text) <= maxTtlSeconds ? Number(text) : undefined;
  };

  app.post('/file', async (context) => {
    const ttl = lifetime(context);
    if (ttl === undefined) return fail(context, 400);
    const declared = declaredLength(context);
    if (declared === 0 || (declared ?? 0) > store.options.maxFileBytes) return fail(context, 413);
    if (!mayUpload(context, declared ?? store.options.maxFileBytes)) return fail(context, 429);
    const body = context.req.raw.body;
    if (body === null) return fail(context, 413);
    const { id, expires } = await store.add(body, declared, ttl);
    return context.json({ id, expires });
  });

  app.get('/file/:id', (context) => sendFile(context, store));

  app.get('/file/:id/info', (context) => {
    const file = store.find(context.req.param('id'));
    return file === undefined ? fail(context, 404) : context.json(info(file));
  });

  app.post('/file/:id/extend', (context) => {
    const id = context.req.param('id');
    // §2.2: a number could have been given to another file since.
    if (id.length < CONTENT_ID_LENGTH) return fail(context, 404);
    const ttl = lifetime(context);
    if (ttl === undefined) return fail(context, 400);
    const file = store.extend(id, ttl);
    return file === undefined ? fail(context, 404) : context.json(info(file));
  });

  // The legacy pair.
  app.post('/files', async (context) => {
    const text = await fileMember(context);
    if (text === undefined) return fail(context, 400);
    if (text.length < 1 || text.length > MAX_LEGACY_TEXT) return fail(context, 413);
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return fail(context, 400);
    const bytes = Buffer.from(text, 'base64');
    if (bytes.length < 1 || bytes.length > store.options.maxFileBytes) return fail(context, 413);
    if (!mayUpload(context, bytes.length)) return fail(context, 429);
    const { id } = await store.add(Readable.from([bytes]), bytes.length, store.options.defaultTtlSeconds);
    return context.json({ result: store.options.numberIds === true ? Number(id) : id, status_code: 200 });
  });

  app.get('/files/:id', async (context) => {
    const file = store.find(context.req.param('id'));
    const handle = file && (await store.read(file.id));
    if (handle === undefined) return fail(context, 404);
    try {
      return context.json({ status_code: 200, result: (await handle.readFile()).toString('base64') });
    } finally {
      await handle.close();
    }
  });

  // Ours: see uploads.ts.
  app.use('/uploads/*', async (context, next) => {
    const version = context.req.header('tus-resumable');
    context.header('Tus-Resumable', TUS_VERSION);
    if (version !== undefined && version !== TUS_VERSION) return fail(context, 412);
    return next();
  });
  app.post('/uploads', async (context) => {
    const ttl = lifetime(context);
    const length = context.req.header('upload-length') ?? '';
    if (ttl === undefined || !/^\d{1,15}$/.test(length)) return fail(context, 400);
    if (Number(length) < 1 || Number(length) > store.options.maxFileBytes) return fail(context, 413);
    if (!mayUpload(context, Number(length))) return fail(context, 429);
    const upload = await uploads.create(Number(length), ttl);
    describeUpload(context, upload);
    return context.body(null, 201, { Location: `/uploads/${upload.token}` });
  });
  app.get('/uploads/:token', async (context) => {
    const upload = await uploads.find(context.req.param('token'));
    if (upload === undefined) return fail(context, 404);
    describeUpload(context, upload);
    return context.body(null, 200, { 'Cache-Control': 'no-store' });
  });
  app.patch('/uploads/:token', async (context) => {
    if (context.req.header('content-type') !== 'application/offset+octet-stream') return fail(context, 415);
    const offset = context.req.header('upload-offset') ?? '';
    if (!/^\d{1,15}$/.test(offset)) return fail(context, 400);
    const body = context.req.raw.body ?? Readable.from([]);
    const upload = await uploads.append(context.req.param('token'), Number(offset), body);
    switch (upload) {
      case 'unknown':
        return fail(context, 404);
      case 'in_work':
        return fail(context, 423);
      case 'wrong_offset':
        return fail(context, 409);
      case 'too_long':
        return fail(context, 413);
      default:
        describeUpload(context, upload);
        return context.body(null, 204);
    }
  });
  app.delete('/uploads/:token', async (context) =>
    (await uploads.drop(context.req.param('token'))) ? context.body(null, 204) : fail(context, 404),
  );

  app.route('/', versionApp(store, versionFiles, env));

  for (const path of ['/file', '/file/:id', '/file/:id/info', '/file/:id/extend', '/files', '/files/:id']) {
    app.all(path, (context) => fail(context, 405));
  }
  app.notFound((context) => fail(context, 404));
  app.onError((error, context) => {
    if (error instanceof TooLargeError) return fail(context, 413);
    if (error instanceof FileStoreError) {
      if (error.code === 'size') return fail(context, 413);
      env.log.error({ code: error.code, error: error.message }, 'a file could not be stored');
      return fail(context, error.code === 'full' || error.code === 'no_id' ? 507 : 500);
    }
    // A client that went away while it sent: nobody reads the answer.
    const isGone = context.req.raw.signal.aborted || (error as NodeJS.ErrnoException).code === 'ECONNRESET';
    if (!isGone) env.log.error({ error: String(error) }, 'a request failed');
    return fail(context, 500);
  });
  return app;
}

function fail(context: Context, status: Status): Response {
  return context.json({ status_code: status }, status);
}

const info = ({ sizeBytes, uploaded, expires }: StoredFile) => ({ size: sizeBytes, uploaded, expires });

function declaredLength(context: Context): number | undefined {
  const text = context.req.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Member `file` of the JSON body; undefined when it is missing or the body is something else. */
async function fileMember(context: Context): Promise<string | undefined> {
  const bytes = await readAll(context.req.raw.body, MAX_LEGACY_TEXT + 1024);
  try {
    const { file } = JSON.parse(Buffer.from(bytes).toString()) ?? {};
    return typeof file === 'string' ? file : undefined;
  } catch {
    return undefined;
  }
}

function describeUpload(context: Context, upload: Upload): void {
  context.header('Upload-Offset', String(upload.offset));
  context.header('Upload-Length', String(upload.sizeBytes));
  context.header('Upload-Expires', httpDate(upload.forgottenAt));
  if (upload.done === undefined) return;
  context.header('X-FS-Id', upload.done.id);
  context.header('X-FS-Expires', String(upload.done.expires));
}

const httpDate = (seconds: number) => new Date(seconds * 1000).toUTCString();

async function sendFile(context: Context<ServerEnv>, store: FileStore): Promise<Response> {
  const id = context.req.param('id') ?? '';
  const file = ID.test(id) ? store.find(id) : undefined;
  const handle = file && (await store.read(file.id));
  if (file === undefined || handle === undefined) return fail(context, 404);
  const size = file.sizeBytes;
  context.header('Content-Type', 'application/octet-stream');
  context.header('Expires', httpDate(file.expires));
  context.header('Accept-Ranges', 'bytes');
  const range = parseRange(context.req.header('range'), size);
  if (range === 'unsatisfiable' || context.req.method === 'HEAD') {
    await handle.close();
    if (range === 'unsatisfiable') {
      context.header('Content-Range', `bytes */${size}`);
      return fail(context, 416);
    }
    return context.body(null, 200, { 'Content-Length': String(size) });
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  context.header('Content-Length', String(end - start + 1));
  if (range !== undefined) context.header('Content-Range', `bytes ${start}-${end}/${size}`);
  // The handle is closed when the stream ends or its reader goes away.
  const stream = handle.createReadStream({ start, end });
  return context.body(Readable.toWeb(stream) as ReadableStream, range === undefined ? 200 : 206);
}

/** One range; what is malformed or several is answered with the whole file, as HTTP allows. */
function parseRange(text: string | undefined, size: number) {
  const parts = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text ?? '');
  if (parts === null) return undefined;
  const [, first = '', last = ''] = parts;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    if (Number(last) === 0) return 'unsatisfiable';
    return { start: Math.max(0, size - Number(last)), end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start >= size) return 'unsatisfiable';
  return start > end ? undefined : { start, end };
}
