// SPDX-License-Identifier: AGPL-3.0-or-later
// The explorer's JSON and page. Everything here is public, and nothing can be changed through it.
//
//   GET /api/service_nodes                      list of nodes, each with `active`
//   GET /api/events?type=a,b&limit=n            what became of nodes, newest first
//   GET /api/swarms                             swarms by id
//   GET /api/stats                              totals and concentration
//   GET /api/network                            what network this is
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HISTORY_TYPES } from '@allium/chain/history-types';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { secureHeaders } from 'hono/secure-headers';
import { rateLimit, type ServerEnv } from '../serve.ts';
import type { ExplorerSnapshot, ExplorerSource, ExplorerSwarm } from './model.ts';
import { statistics } from './statistics.ts';

const EVENT_TYPES: ReadonlySet<string> = new Set(HISTORY_TYPES);
// Ours.
const MAX_EVENTS = 1000;
const DEFAULT_EVENTS = 100;
const RATE = { burst: 120, perSecond: 20 };

const PAGE = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/explorer.css': ['explorer.css', 'text/css; charset=utf-8'],
  '/explorer.js': ['explorer.js', 'text/javascript; charset=utf-8'],
} as const;

export function explorerApp(source: ExplorerSource): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  app.use(rateLimit(RATE));
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        connectSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
      referrerPolicy: 'no-referrer',
    }),
  );
  app.use('/api/*', cors({ origin: '*', allowMethods: ['GET'] }));
  app.use(etag());

  app.get('/api/service_nodes', (context) => answer(context, source, (snapshot) => present(snapshot)));
  app.get('/api/swarms', (context) => answer(context, source, swarms));
  app.get('/api/stats', (context) =>
    answer(context, source, (snapshot) => ({ ...statistics(snapshot.nodes), taken_at: snapshot.taken_at })),
  );
  app.get('/api/network', (context) =>
    answer(context, source, (snapshot) => ({
      ...snapshot.network,
      taken_at: snapshot.taken_at,
      trouble: source.trouble() ?? null,
    })),
  );
  app.get('/api/events', (context) => {
    const types = context.req.query('type')?.split(',').filter(Boolean) ?? [];
    const unknown = types.find((type) => !EVENT_TYPES.has(type));
    if (unknown !== undefined) {
      const known = [...EVENT_TYPES].join(', ');
      return context.json(
        { error: `unknown type ${JSON.stringify(unknown.slice(0, 24))}; known: ${known}` },
        400,
      );
    }
    const limit = Number(context.req.query('limit') ?? DEFAULT_EVENTS);
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_EVENTS) {
      return context.json({ error: `limit must be a whole number from 1 to ${MAX_EVENTS}` }, 400);
    }
    return answer(context, source, ({ events }) =>
      events.filter((event) => types.length === 0 || types.includes(event.type)).slice(0, limit),
    );
  });
  app.all('/api/*', (context) => context.json({ error: 'no such address; see /' }, 404));

  for (const [path, [file, type]] of Object.entries(PAGE)) {
    const content = readFileSync(join(import.meta.dirname, 'page', file), 'utf8');
    app.get(path, (context) => context.body(content, 200, { 'content-type': type }));
  }
  return app;
}

function answer(
  context: Context<ServerEnv>,
  source: ExplorerSource,
  make: (snapshot: ExplorerSnapshot) => unknown,
): Response {
  const snapshot = source.snapshot();
  if (snapshot === undefined) {
    return context.json({ error: source.trouble() ?? 'still reading the network' }, 503, {
      'retry-after': '2',
    });
  }
  return context.json(make(snapshot) as object, 200, { 'cache-control': 'public, max-age=2' });
}

/** Nodes that are part of the network: not those that left it. */
const present = (snapshot: ExplorerSnapshot) =>
  snapshot.nodes.filter((node) => node.state === 'active' || node.state === 'decommissioned');

function swarms(snapshot: ExplorerSnapshot): readonly ExplorerSwarm[] {
  const byId = new Map<string, string[]>();
  for (const node of snapshot.nodes) {
    if (node.swarm === null) continue;
    byId.set(node.swarm, [...(byId.get(node.swarm) ?? []), node.pubkey_ed25519]);
  }
  return [...byId]
    .map(([swarm, nodes]) => ({ swarm, nodes: nodes.sort() }))
    .sort((a, b) => (a.swarm < b.swarm ? -1 : 1));
}
