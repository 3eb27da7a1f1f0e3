// SPDX-License-Identifier: AGPL-3.0-or-later
// `GET /session_version` and `GET /token_info` (spec/community-and-file-servers §2.2): what releases of clients there
// are, and figures of a token. Both come from JSON files that the operator keeps, so that the server asks nobody:
//
//   releases.json     {"desktop": [{"version": "v1.2.3", "channel"?, "name"?, "notes"?, "assets"?: [{"name","url"}]}]}
//   token-info.json   {"maximum_supply", "sent_per_node", "staking_reward_pool", "history": [{…, "updated": seconds}]}
import { readFileSync, statSync } from 'node:fs';
import { utf8 } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519, ed25519Verify } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import { type Context, Hono } from 'hono';
import { decodeFixed } from '../fixed-bytes.ts';
import type { ServerEnv } from '../serve.ts';
import type { FileStore } from './file-store.ts';

// From the specification.
const PLATFORMS: ReadonlySet<string> = new Set(['desktop', 'android', 'ios']);
const CHANNELS: ReadonlySet<string> = new Set(['stable', 'prerelease', 'alpha']);
const TOLERANCE_SECONDS = 24 * 60 * 60;
const DEFAULT_DAYS = 7;
const MAX_DAYS = 30;
// Ours.
const MAX_FILE_BYTES = 1024 * 1024;
/** Rows of who asked; the oldest go. */
const MAX_USERS = 1_000_000;

interface Release {
  readonly version: string;
  readonly channel?: string;
  readonly name?: string;
  readonly notes?: string;
  readonly assets?: readonly { readonly name: string; readonly url: string }[];
}

/** A JSON file that may be replaced while the server runs. */
class WatchedJson {
  readonly #path: string;
  readonly #env: Env;
  #seen = -1;
  #value: unknown;

  constructor(path: string, env: Env) {
    this.#path = path;
    this.#env = env;
  }

  /** The latest good content with the time of its file, in seconds. */
  read(): { readonly value: unknown; readonly updated: number } | undefined {
    const found = statSync(this.#path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    if (found.mtimeMs !== this.#seen) {
      this.#seen = found.mtimeMs;
      try {
        if (found.size > MAX_FILE_BYTES) throw new Error(`${found.size} bytes are too many`);
        this.#value = JSON.parse(readFileSync(this.#path, 'utf8'));
      } catch (error) {
        this.#env.log.error(
          { file: this.#path, error: String(error) },
          'a file of the operator is malformed',
        );
      }
    }
    return this.#value === undefined ? undefined : { value: this.#value, updated: found.mtimeMs / 1000 };
  }
}

export interface VersionFiles {
  readonly releases: string;
  readonly tokenInfo: string;
}

export function versionApp(store: FileStore, files: VersionFiles, env: Env): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  const releases = new WatchedJson(files.releases, env);
  const tokenInfo = new WatchedJson(files.tokenInfo, env);
  const fail = (context: Context, status: 404 | 502) => context.json({ status_code: status }, status);
  let users = Number(store.db.prepare('SELECT count(*) AS n FROM version_users').get()?.n);

  app.get('/session_version', (context) => {
    const user = authenticate(context, store.now());
    if (user instanceof Refusal) return context.text(user.text, user.status);
    const platform = context.req.query('platform') ?? '';
    const channel = context.req.query('release_channel') ?? 'stable';
    if (!PLATFORMS.has(platform) || !CHANNELS.has(channel)) return fail(context, 404);
    if (user !== undefined) {
      store.db
        .prepare('INSERT INTO version_users VALUES (?, ?, ?, ?)')
        .run(user, platform, channel, store.now());
      if (++users > MAX_USERS) {
        store.db.exec('DELETE FROM version_users WHERE rowid = (SELECT min(rowid) FROM version_users)');
        users--;
      }
    }
    const known = releases.read();
    const list = (known?.value as Record<string, unknown> | null)?.[platform];
    if (known === undefined || !Array.isArray(list)) return fail(context, 502);
    const latest = (wanted: string) => latestOf(list as Release[], wanted);
    const release = latest(channel);
    if (release === undefined) return fail(context, 502);
    const prerelease = latest('prerelease');
    const describe = ({ version, name, notes, assets }: Release) => ({
      result: version.replace(/^v/, ''),
      updated: known.updated,
      ...(name !== undefined && { name }),
      ...(notes !== undefined && { notes }),
      ...(assets !== undefined && { assets }),
    });
    return context.json({
      status_code: 200,
      ...describe(release),
      ...(prerelease !== undefined && { prerelease: describe(prerelease) }),
    });
  });

  app.get('/token_info', (context) => {
    const wanted = Number(context.req.query('days') ?? Number.NaN);
    const days = Number.isInteger(wanted) && wanted >= 1 && wanted <= MAX_DAYS ? wanted : DEFAULT_DAYS;
    const value = tokenInfo.read()?.value as { history?: unknown } | null | undefined;
    if (value == null || !Array.isArray(value.history)) return fail(context, 502);
    const midnight = Math.floor(store.now() / 86_400) * 86_400 - days * 86_400;
    const history = value.history.filter(({ updated }) => updated >= midnight);
    return context.json({ status_code: 200, info: { ...value, history } });
  });
  return app;
}

/** Order of §2.2: by number, and a version without alpha number after those that have one. */
function latestOf(releases: readonly Release[], channel: string): Release | undefined {
  return releases
    .flatMap((release) => {
      const parts = /^v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:-(?:alpha|beta)\.(\d{1,3}))?$/.exec(
        release.version,
      );
      if (parts === null || (release.channel ?? 'stable') !== channel) return [];
      return [{ release, order: parts.slice(1).map((part) => (part === undefined ? -1 : Number(part))) }];
    })
    .sort((a, b) => a.order.reduce((found, part, i) => found || (b.order[i] ?? 0) - part, 0))[0]?.release;
}

class Refusal {
  readonly status: 400 | 401 | 425;
  readonly text: string;

  constructor(status: 400 | 401 | 425, text: string) {
    this.status = status;
    this.text = `Invalid authentication: ${text}`;
  }
}

/** The id of who asks; undefined for anonymous. */
function authenticate(context: Context, now: number): string | Refusal | undefined {
  const id = context.req.header('x-fs-pubkey');
  const timestamp = context.req.header('x-fs-timestamp');
  const signatureText = context.req.header('x-fs-signature');
  if (id === undefined && timestamp === undefined && signatureText === undefined) return undefined;
  if (id === undefined || timestamp === undefined || signatureText === undefined) {
    return new Refusal(400, 'one or more X-FS-* auth headers is missing');
  }
  const key = decodeFixed(id, 33);
  if (key === undefined) return new Refusal(400, 'X-FS-Pubkey is not a valid 66-hex digit id');
  if (key[0] !== 0x07) return new Refusal(400, 'X-FS-Pubkey must be 07- prefixed');
  const publicKey = key.subarray(1);
  if (ed25519PublicKeyToX25519(publicKey) === undefined) {
    return new Refusal(400, 'given X-FS-Pubkey is not a valid Ed25519 pubkey');
  }
  const signature = decodeFixed(signatureText, 64);
  if (signature === undefined) return new Refusal(400, 'X-FS-Signature is not base64[86]');
  if (!/^-?\d{1,15}$/.test(timestamp)) return new Refusal(400, 'X-FS-Timestamp is not a valid timestamp');
  if (Math.abs(Number(timestamp) - now) > TOLERANCE_SECONDS) {
    return new Refusal(425, 'X-FS-Timestamp is too far from current time');
  }
  const { pathname, search } = new URL(context.req.url);
  const signed = utf8(`${timestamp}${context.req.method}${decodeURIComponent(pathname)}${search}`);
  if (!ed25519Verify(signature, signed, publicKey)) {
    return new Refusal(401, 'X-FS-Signature verification failed');
  }
  return id;
}
