// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebApp, WebAppError } from '../../src/gateway/web-app.ts';
import { ask, world } from './support.ts';

let folder: string;
let app: WebApp;
const SCRIPT = `console.log(${'1+'.repeat(2_000)}1)`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-web-'));
  mkdirSync(join(folder, 'app/assets'), { recursive: true });
  const put = (name: string, text: string) => writeFileSync(join(folder, 'app', name), text);
  put('index.html', '<!doctype html><title>x</title>');
  put('sw.js', 'self');
  put('assets/main-Ab12Cd34.js', SCRIPT);
  put('assets/plain.js', 'plain');
  put('assets/given-Ab12Cd34.js', 'x'.repeat(10));
  put('assets/given-Ab12Cd34.js.br', 'as built');
  put('.sources', 'hash');
  writeFileSync(join(folder, 'secret.txt'), 'secret');
  symlinkSync(join(folder, 'secret.txt'), join(folder, 'app/link.txt'));
  app = await WebApp.open({ folder: join(folder, 'app') });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the web app', () => {
  test('the page comes with a policy that lets nothing in from elsewhere', async () => {
    await using made = await world({ web: app });
    const { status, headers, body } = await ask(made.port, '/');
    expect([status, body.toString()]).toEqual([200, '<!doctype html><title>x</title>']);
    const policy = String(headers['content-security-policy']).split('; ');
    for (const rule of [
      "default-src 'none'",
      "script-src 'self' 'wasm-unsafe-eval'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      expect(policy).toContain(rule);
    }
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'permissions-policy': expect.stringContaining('microphone=(self)'),
      'cache-control': 'no-cache',
    });
    for (const name of ['server', 'set-cookie', 'access-control-allow-origin', 'x-powered-by']) {
      expect(headers[name]).toBeUndefined();
    }
  });

  test('files whose name has their hash are kept for ever, others are asked for again', async () => {
    await using made = await world({ web: app });
    const cache = async (path: string) => (await ask(made.port, path)).headers['cache-control'];
    expect(await cache('/assets/main-Ab12Cd34.js')).toContain('immutable');
    expect(await cache('/assets/plain.js')).toBe('no-cache');
    expect(await cache('/sw.js')).toBe('no-cache');
  });

  test('compressed as the browser takes it, unchanged when it has it already, without a body for HEAD', async () => {
    await using made = await world({ web: app });
    const path = '/assets/main-Ab12Cd34.js';
    const get = (headers: Record<string, string>) => ask(made.port, path, { headers });
    const br = await get({ 'accept-encoding': 'gzip, br' });
    expect([br.headers['content-encoding'], brotliDecompressSync(br.body).toString()]).toEqual([
      'br',
      SCRIPT,
    ]);
    const gz = await get({ 'accept-encoding': 'gzip' });
    expect([gz.headers['content-encoding'], gunzipSync(gz.body).toString()]).toEqual(['gzip', SCRIPT]);
    expect((await get({})).body.toString()).toBe(SCRIPT);
    const same = await get({ 'if-none-match': String(br.headers.etag) });
    expect([same.status, same.body.length]).toEqual([304, 0]);
    const head = await ask(made.port, path, { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    const built = await ask(made.port, '/assets/given-Ab12Cd34.js', { headers: { 'accept-encoding': 'br' } });
    expect(built.body.toString()).toBe('as built');
  });

  test.each([
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '//etc/passwd',
    '/.sources',
    '/link.txt',
    '/assets',
    '/assets/given-Ab12Cd34.js.br',
    '/constructor',
    '/__proto__',
  ])('%s is not there', async (path) => {
    await using made = await world({ web: app });
    const { status, body } = await ask(made.port, path);
    expect([status, body.toString()]).toEqual([404, 'Not found\n']);
  });

  test('a folder without a page is refused', async () => {
    await expect(WebApp.open({ folder: join(folder, 'app/assets') })).rejects.toThrow(WebAppError);
    await expect(WebApp.open({ folder: join(folder, 'none') })).rejects.toThrow('cannot be read');
  });
});
