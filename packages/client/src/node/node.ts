// SPDX-License-Identifier: MIT
// A client in a Node program with ready-made ports: HTTPS, the machine's clock, SQLite in a folder or nothing on disk.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HttpsTransport } from '@allium/net/https-transport';
import { parseProxy } from '@allium/net/proxy';
import { systemEnv } from '@allium/net/system-env';
import type { Account } from '@allium/protocol/account';
import type { Logger } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { Client } from '../client.ts';
import { ClientError } from '../errors.ts';
import {
  checkServiceNodeHealth as checkHealth,
  type HealthOptions,
  type ServiceNodeHealth,
} from '../health.ts';
import { type BundledList, readBundledList } from '../network/bootstrap.ts';
import {
  type FileServerAddress,
  NETWORKS,
  type NetworkName,
  type NetworkPreset,
  type Seed,
} from '../network/presets.ts';
import type { TrustOptions } from '../network/trust.ts';
import { MemoryStorage } from '../storage/memory.ts';
import type { Storage } from '../storage/storage.ts';
import { FILES_FOLDER, openAccountStorage } from './account-storage.ts';
import { FolderBlobs } from './folder-blobs.ts';

export interface OpenOptions {
  readonly account: Account;
  /** Default: `local` when seeds or a nodes file are given, else `main`. */
  readonly network?: NetworkName | NetworkPreset;
  /** Instead of those of the network. */
  readonly seeds?: readonly (string | Seed)[];
  /** A node list in the form that seeds answer; used when no seed answers, and alone when `seeds` is not given. */
  readonly nodesFile?: string;
  /** What node lists are checked against. Absent: they are used unverified. */
  readonly trust?: TrustOptions;
  /** Where this account's messages are kept, encrypted; made if needed. Absent: in memory. One process at a time. */
  readonly folder?: string;
  /**
   * The only way out for everything that this account does: `socks5://HOST:PORT` or `http://HOST:PORT`, perhaps with
   * `USER:PASSWORD@`; HOST is an IP address. Nothing is sent past it, no name is looked up here.
   */
  readonly proxy?: string;
  /** Instead of those of the network. */
  readonly fileServers?: readonly FileServerAddress[];
  /** False: only send. Default true. */
  readonly receive?: boolean;
  /** False: nothing that is sent is kept for other devices of this account. Default true. */
  readonly ownCopies?: boolean;
  readonly pollEveryMs?: number;
  readonly waitMs?: number;
  /** Default: silent. */
  readonly log?: Logger;
}

/**
 * Opens a client; close it with `close` or `await using`.
 * @throws ClientError `wrong_account`, `no_nodes` (an unreadable nodes file); ParseError `proxy`; StorageError
 */
export async function openClient(options: OpenOptions): Promise<Client> {
  const { account, folder, seeds, nodesFile, trust, receive, ownCopies, pollEveryMs, waitMs, log } = options;
  const { network = seeds === undefined && nodesFile === undefined ? 'main' : 'local' } = options;
  const preset = typeof network === 'string' ? NETWORKS[network] : network;
  const ownSeeds = seeds ?? (nodesFile === undefined ? preset.seeds : []);
  const bundled = nodesFile === undefined ? undefined : await readNodesFile(nodesFile);
  const transport = transportOf(options);
  let storage: Storage | undefined;
  try {
    storage = folder === undefined ? new MemoryStorage() : openAccountStorage(folder, account);
    return await Client.open({
      account,
      network: {
        preset: {
          ...preset,
          ...(options.fileServers !== undefined && { fileServers: options.fileServers }),
          seeds: ownSeeds.map((seed) => (typeof seed === 'string' ? { url: seed } : seed)),
        },
        ...(bundled !== undefined && { bundled }),
        ...(trust !== undefined && { trust }),
      },
      ...(receive !== undefined && { receive }),
      ...(ownCopies !== undefined && { ownCopies }),
      ...(pollEveryMs !== undefined && { pollEveryMs }),
      ...(waitMs !== undefined && { waitMs }),
      storage,
      ...(folder !== undefined && { blobs: await FolderBlobs.open(join(folder, FILES_FOLDER)) }),
      transport,
      env: systemEnv(log),
      onClose: () => transport.close(),
    });
  } catch (error) {
    await storage?.close();
    transport.close();
    throw error;
  }
}

/** `checkServiceNodeHealth` over HTTPS of this machine. @throws as that */
export async function checkServiceNodeHealth(
  options: Omit<HealthOptions, 'transport'> & { readonly proxy?: string } = {},
): Promise<ServiceNodeHealth> {
  const transport = transportOf(options);
  try {
    return await checkHealth({ ...options, transport });
  } finally {
    transport.close();
  }
}

/** Each account has one of its own: no two share a connection. */
function transportOf({ proxy }: { readonly proxy?: string }): HttpsTransport {
  return new HttpsTransport(proxy === undefined ? {} : { proxy: parseProxy(proxy) });
}

async function readNodesFile(path: string): Promise<BundledList> {
  try {
    const bundled = { json: await readFile(path, 'utf8'), takenAt: (await stat(path)).mtimeMs };
    readBundledList(bundled, bundled.takenAt);
    return bundled;
  } catch (cause) {
    if (!(cause instanceof ParseError) && (cause as NodeJS.ErrnoException).code === undefined) throw cause;
    throw new ClientError('no_nodes', 'the file holds no node list', { cause });
  }
}
