// SPDX-License-Identifier: AGPL-3.0-or-later
// Serves the built web app from memory: the files that are in its folder when the server starts, and no others, whatever path
// is asked for. Text goes out compressed, as `name.br` and `name.gz` where the folder has them.
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { HttpsResponse } from '@allium/net/https-server';

// Ours: bounds on a folder given by mistake.
const MAX_FILES = 2_000;
const MAX_TOTAL_BYTES = 128 * 1024 * 1024;
const SMALLEST_COMPRESSED = 1_024;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
};
const COMPRESSED = /^(?:text\/|application\/(?:json|manifest\+json|wasm)|image\/svg)/;
/** A name with the hash of its contents, as bundlers write it. */
const HASHED = /[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;

interface WebFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly etag: string;
  readonly isImmutable: boolean;
  br: Buffer | undefined;
  gz: Buffer | undefined;
}

export interface WebAppOptions {
  readonly folder: string;
  /** Origins besides its own that the page may connect to, e.g. `wss://node.example.org:22021`. */
  readonly connect?: readonly string[];
}

/** The folder holds no web app that can be served. */
export class WebAppError extends Error {
  override readonly name = 'WebAppError';
}

export class WebApp {
  readonly #files: ReadonlyMap<string, WebFile>;
  readonly #policy: string;

  private constructor(files: ReadonlyMap<string, WebFile>, connect: readonly string[]) {
    this.#files = files;
    this.#policy = contentPolicy(connect);
  }

  /** Reads the folder. @throws WebAppError */
  static async open({ folder, connect = [] }: WebAppOptions): Promise<WebApp> {
    const files = new Map<string, WebFile>();
    let total = 0;
    for (const path of filesIn(folder)) {
      const bytes = read(path);
      total += bytes.length;
      if (files.size >= MAX_FILES || total > MAX_TOTAL_BYTES) {
        throw new WebAppError(`${folder} holds more than a web app`);
      }
      const name = relative(folder, path).split(sep).join('/');
      files.set(`/${name}`, {
        type: TYPES[extname(name)] ?? 'application/octet-stream',
        bytes,
        etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
        isImmutable: name.startsWith('assets/') && HASHED.test(name),
        br: undefined,
        gz: undefined,
      });
    }
    if (!files.has('/index.html')) throw new WebAppError(`${folder} holds no index.html`);
    for (const [path, file] of files) {
      if (path.endsWith('.br') || path.endsWith('.gz')) continue;
      file.br = files.get(`${path}.br`)?.bytes;
      file.gz = files.get(`${path}.gz`)?.bytes;
    }
    for (const path of [...files.keys()]) {
      if (/\.(?:br|gz)$/.test(path) && files.has(path.replace(/\.(?:br|gz)$/, ''))) files.delete(path);
    }
    await Promise.all([...files.values()].map(compress));
    return new WebApp(files, connect);
  }

  /** Undefined: there is no such file. @param path with or without query */
  answer(
    path: string,
    headers: {
      readonly 'accept-encoding'?: string | string[] | undefined;
      readonly 'if-none-match'?: string | undefined;
    },
    isHead: boolean,
  ): HttpsResponse | undefined {
    const [name = ''] = path.split('?');
    const file = this.#files.get(name === '/' ? '/index.html' : name);
    if (file === undefined) return undefined;
    const isPage = file.type.startsWith('text/html');
    const common = {
      'Content-Type': file.type,
      'Cache-Control': file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      ETag: file.etag,
      Vary: 'Accept-Encoding',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Resource-Policy': 'same-origin',
      // A worker has a policy of its own, which its script brings.
      'Content-Security-Policy': this.#policy,
      // Without it browsers refuse the worker of a page that has it.
      'Cross-Origin-Embedder-Policy': 'require-corp',
      ...(isPage && PAGE_HEADERS),
    };
    if (headers['if-none-match'] === file.etag) return { status: 304, headers: common };
    const accepted = String(headers['accept-encoding'] ?? '');
    const [encoding, bytes] =
      file.br !== undefined && /\bbr\b/.test(accepted)
        ? (['br', file.br] as const)
        : file.gz !== undefined && /\bgzip\b/.test(accepted)
          ? (['gzip', file.gz] as const)
          : ([undefined, file.bytes] as const);
    return {
      status: 200,
      headers: { ...common, ...(encoding !== undefined && { 'Content-Encoding': encoding }) },
      ...(!isHead && { body: bytes }),
    };
  }
}

const PAGE_HEADERS = {
  'Permissions-Policy':
    'camera=(self), microphone=(self), publickey-credentials-get=(self), publickey-credentials-create=(self), ' +
    'geolocation=(), payment=(), usb=(), serial=(), midi=(), ' +
    'display-capture=(), browsing-topics=(), interest-cohort=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
};

/** What the page may do: its own scripts, styles and pictures, and this gateway; nothing of anybody else. */
function contentPolicy(connect: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self' blob: data:",
    'media-src blob:',
    "manifest-src 'self'",
    // Browsers count the WebSocket of the page's own origin as 'self'.
    ["connect-src 'self'", ...connect].join(' '),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types allium',
  ].join('; ');
}

function* filesIn(folder: string): Generator<string> {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    throw new WebAppError(`${folder} cannot be read`, { cause });
  }
  for (const name of names) {
    if (name.startsWith('.')) continue;
    const path = join(folder, name);
    const found = lstatSync(path); // links could lead out of the folder
    if (found.isDirectory()) yield* filesIn(path);
    else if (found.isFile()) yield path;
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new WebAppError(`${path} cannot be read`, { cause });
  }
}

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);

async function compress(file: WebFile): Promise<void> {
  if (!COMPRESSED.test(file.type) || file.bytes.length < SMALLEST_COMPRESSED) return;
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 5,
    [constants.BROTLI_PARAM_SIZE_HINT]: file.bytes.length,
  };
  file.br ??= await brotli(file.bytes, { params });
  file.gz ??= await gzipped(file.bytes);
}
