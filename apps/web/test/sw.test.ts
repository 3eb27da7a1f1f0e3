// SPDX-License-Identifier: AGPL-3.0-or-later
// The service worker without a browser: what an installation leaves behind that fails.
import { createHash } from 'node:crypto';
import { beforeAll, expect, test, vi } from 'vitest';

const PAGE = 'the page';
const CACHE = 'allium-bundle-v1';
const kept = new Map<string, Map<string, Response>>();
const server = { body: PAGE, isThere: true };
let install: () => Promise<unknown>;
let open: (path: string, mode?: string) => Promise<Response>;

beforeAll(async () => {
  const listeners = new Map<string, (event: unknown) => void>();
  vi.stubGlobal('addEventListener', (type: string, listener: (event: unknown) => void) =>
    listeners.set(type, listener),
  );
  vi.stubGlobal('registration', { scope: 'https://chat.example.org/' });
  vi.stubGlobal('FILES', { 'index.html': createHash('sha256').update(PAGE).digest('hex') });
  vi.stubGlobal('VERSION', 'v1');
  vi.stubGlobal('fetch', async () => {
    if (!server.isThere) throw new TypeError('no network');
    return new Response(server.body);
  });
  vi.stubGlobal('caches', {
    has: async (name: string) => kept.has(name),
    delete: async (name: string) => kept.delete(name),
    open: async (name: string) => {
      const cache = kept.get(name) ?? new Map<string, Response>();
      kept.set(name, cache);
      return {
        put: async (address: string, answer: Response) => cache.set(address, answer),
        match: async (address: string) => cache.get(address)?.clone(),
      };
    },
  });
  await import('../src/sw.ts');
  install = async () => {
    let done: Promise<unknown> = Promise.resolve();
    listeners.get('install')?.({
      waitUntil: (work: Promise<unknown>) => {
        done = work;
      },
    });
    await done;
  };
  open = async (path, mode = 'same-origin') => {
    let answer: Promise<Response> | undefined;
    listeners.get('fetch')?.({
      request: { method: 'GET', mode, url: `https://chat.example.org/${path}` },
      respondWith: (given: Promise<Response>) => {
        answer = given;
      },
    });
    if (answer === undefined) throw new Error('not answered');
    return await answer;
  };
});

test('a file that is not what was built stops the installation, and nothing of it stays', async () => {
  server.body = 'another page';
  await expect(install()).rejects.toThrow('not what was built');
  expect([...kept.keys()]).toEqual([]);
});

test('an installation that fails leaves the version that is in use, also where both have the same files', async () => {
  server.body = PAGE;
  await install();
  server.isThere = false;
  await expect(install()).rejects.toThrow();
  expect([...(kept.get(CACHE)?.keys() ?? [])]).toEqual(['https://chat.example.org/index.html']);
});

test('a file that the browser dropped comes from the server, but only as it was built', async () => {
  Object.assign(server, { body: PAGE, isThere: true });
  await install();
  kept.get(CACHE)?.clear();
  server.body = 'another page';
  const page = await open('', 'navigate');
  expect([page.status, await page.text()]).toEqual([503, expect.stringContaining('Reload this page')]);
  expect((await open('index.html')).type).toBe('error');
  expect([...(kept.get(CACHE)?.keys() ?? [])]).toEqual([]);
  server.body = PAGE;
  expect(await (await open('', 'navigate')).text()).toBe(PAGE);
  // It is kept again: the server is not needed any more.
  server.isThere = false;
  expect(await (await open('index.html')).text()).toBe(PAGE);
  await expect(open('not-of-this-app')).rejects.toThrow('not answered');
});
