// SPDX-License-Identifier: AGPL-3.0-or-later
// A file server as a whole: folder, key, clean-up and listener.
import { join } from 'node:path';
import { loadFastHash } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import { type RunningServer, serve } from '../serve.ts';
import { loadOrCreateServerKey } from '../server-key.ts';
import { type FileServerOptions, fileServerApp } from './api.ts';
import { FileStore, type FileStoreOptions } from './file-store.ts';
import { Uploads } from './uploads.ts';

// Ours: 10 MB over 300 kbit/s.
const REQUEST_TIMEOUT_MS = 5 * 60_000;

/** From the specification, §2.2, and ours. */
export const FILE_SERVER_DEFAULTS = {
  maxFileBytes: 10_223_616,
  defaultTtlSeconds: 21 * 86_400,
  maxTtlSeconds: 30 * 86_400,
  maxTotalBytes: 100 * 1024 ** 3,
  bytesPerHour: 4 * 1024 ** 3,
} as const;

export interface StartFileServerOptions
  extends Partial<Omit<FileStoreOptions, 'folder'>>,
    Partial<FileServerOptions> {
  readonly folder: string;
  /** Default: server.key in the folder. */
  readonly keyFile?: string;
  readonly host?: string;
  readonly port: number;
}

export interface FileServer extends RunningServer {
  /** What clients must know besides the URL. */
  readonly ed25519Hex: string;
  readonly store: FileStore;
}

/** @throws FileStoreError, ServerKeyError, errors of the listener */
export async function startFileServer(options: StartFileServerOptions, env: Env): Promise<FileServer> {
  const all = { ...FILE_SERVER_DEFAULTS, ...options };
  // For ids of files.
  await loadFastHash();
  const store = new FileStore(all, env);
  try {
    const key = loadOrCreateServerKey(options.keyFile ?? join(options.folder, 'server.key'));
    const uploads = new Uploads(store);
    const versionFiles = {
      releases: join(options.folder, 'releases.json'),
      tokenInfo: join(options.folder, 'token-info.json'),
    };
    const server = await serve(fileServerApp(all, { store, uploads, key, versionFiles, env }), {
      ...(options.host !== undefined && { host: options.host }),
      port: options.port,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    store.start(() => uploads.clean());
    return {
      ...server,
      ed25519Hex: key.ed25519Hex,
      store,
      stop: async () => {
        await server.stop();
        await store.stop();
      },
    };
  } catch (error) {
    await store.stop();
    throw error;
  }
}
