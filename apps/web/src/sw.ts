// SPDX-License-Identifier: AGPL-3.0-or-later
// Keeps the page so that it starts without its server. Each version has a cache of its own, filled completely before it is
// used, and checked file by file against the digests of the build; pages that are open keep theirs until they are closed.

interface ServiceWorkerScope {
  addEventListener(
    type: 'install' | 'activate',
    listener: (event: { waitUntil(done: Promise<unknown>): void }) => void,
  ): void;
  addEventListener(
    type: 'fetch',
    listener: (event: { readonly request: Request; respondWith(answer: Promise<Response>): void }) => void,
  ): void;
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
}

/** Set by the build: path → SHA-256 in hex, and the digest over all of them. */
declare const FILES: Readonly<Record<string, string>>;
declare const VERSION: string;

// A module: its names are its own.
export {};

const scope = globalThis as unknown as ServiceWorkerScope;
const PREFIX = 'allium-bundle-';
const CACHE = PREFIX + VERSION;

scope.addEventListener('install', (event) => {
  event.waitUntil(fill());
});

scope.addEventListener('activate', (event) => {
  // No page uses the others any more: this version waited for that.
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names
            .filter((name) => name.startsWith(PREFIX) && name !== CACHE)
            .map((name) => caches.delete(name)),
        ),
      )
      // The page of a first visit, too: parts that it has not fetched yet are here, also when the server is away.
      .then(() => scope.clients.claim()),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const base = new URL(scope.registration.scope);
  if (request.method !== 'GET' || url.origin !== base.origin || !url.pathname.startsWith(base.pathname))
    return;
  const path = url.pathname.slice(base.pathname.length) || 'index.html';
  const name = request.mode === 'navigate' ? 'index.html' : path;
  if (!Object.hasOwn(FILES, name)) return;
  const answer = fromCache(new URL(name, base).href, FILES[name] ?? '');
  event.respondWith(
    answer.then((found) => found ?? (request.mode === 'navigate' ? elsewhere() : Response.error())),
  );
});

/** A browser that ran short of space may have dropped it: then from the server, if it still has the file of this version. */
async function fromCache(address: string, digest: string): Promise<Response | undefined> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(address);
  if (kept !== undefined) return kept;
  const answer = await fetchChecked(address, digest);
  if (answer === undefined) return undefined;
  // No space for it is no reason not to show it.
  await cache.put(address, answer.clone()).catch(() => undefined);
  return answer;
}

/** Instead of the page: meanwhile the browser takes the version that the server has, whole and checked. */
const elsewhere = () =>
  new Response(
    'The browser dropped a part of Allium, and the server has another version by now. Reload this page in a moment: your accounts and messages are not touched.',
    { status: 503, headers: { 'content-type': 'text/plain; charset=utf-8' } },
  );

/** The file if it is what was built; undefined: the server has another one, or none. */
async function fetchChecked(address: string, digest: string): Promise<Response | undefined> {
  const answer = await fetch(address, { cache: 'no-cache', credentials: 'omit' });
  if (!answer.ok) return undefined;
  const found = [...new Uint8Array(await crypto.subtle.digest('SHA-256', await answer.clone().arrayBuffer()))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  return found === digest ? answer : undefined;
}

async function fill(): Promise<void> {
  // Another script over the same files has the same cache, and pages may be using it.
  const isInUse = await caches.has(CACHE);
  const cache = await caches.open(CACHE);
  try {
    await Promise.all(
      Object.entries(FILES).map(async ([path, digest]) => {
        const address = new URL(path, scope.registration.scope).href;
        const answer = await fetchChecked(address, digest);
        if (answer === undefined) throw new Error(`${path} is not what was built`);
        await cache.put(address, answer);
      }),
    );
  } catch (error) {
    // Half a version is none: the old one stays in use, the browser tries again later.
    if (!isInUse) await caches.delete(CACHE);
    throw error;
  }
}
