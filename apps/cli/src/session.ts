// SPDX-License-Identifier: AGPL-3.0-or-later
// A client for the account and the network that a command line chose.
import { BlockList, isIP } from 'node:net';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import { FileTransferError } from '@allium/client/files/file-transfer-error';
import { NameError } from '@allium/client/network/names';
import { type OpenOptions, openClient } from '@allium/client/node';
import { StorageError } from '@allium/client/storage';
import { takePidLock } from '@allium/lab/pid-lock';
import type { Account } from '@allium/protocol/account';
import { type AccountEntry, type AccountOptions, chooseEntry, unlock } from './accounts.ts';
import { CliError, usage } from './cli-error.ts';
import { chosenFileServers, type FileServerOptions } from './file-servers.ts';
import { chosenSeeds, isNetworkChosen, type SeedOptions } from './home.ts';
import { chosenProxy, type ProxyOptions } from './proxy.ts';
import { counted, remark } from './terminal.ts';
import { chosenTrust, inOptions, type TrustSettings } from './trust.ts';

export interface SessionOptions
  extends AccountOptions,
    SeedOptions,
    TrustSettings,
    ProxyOptions,
    FileServerOptions {}

export interface Session extends AsyncDisposable {
  readonly client: Client;
  readonly seeds: readonly string[];
  /** False: only sends; what arrives, another process fetches. */
  readonly isReceiving: boolean;
}

/** Ours: after this time without a path a person is told what is being tried. */
const PATIENCE_MS = 1_000;

/** What a client needs besides the keys of its account. */
export interface Prepared extends AsyncDisposable {
  readonly entry: AccountEntry;
  readonly seeds: readonly string[];
  readonly isReceiving: boolean;
  readonly settings: Omit<OpenOptions, 'account'>;
}

/**
 * Reads the settings and takes the right to receive. Any number of processes may send from an account at the same time, but
 * only one may receive: two would share its messages between them. `either`: receives unless another process does. `read`:
 * looks at what is stored, and needs no network.
 * @throws CliError
 */
export async function prepareSession(
  options: SessionOptions,
  use: 'read' | 'send' | 'receive' | 'either',
): Promise<Prepared> {
  const seeds = use === 'read' && !isNetworkChosen(options) ? [] : chosenSeeds(options);
  const trust = await chosenTrust(options);
  const entry = await chooseEntry(options);
  const proxy = chosenProxy(options, entry);
  const fileServers = chosenFileServers(options);
  const taken = use === 'send' || use === 'read' ? 0 : takeReceiving(entry);
  const isReceiving = typeof taken === 'function';
  if (use === 'receive' && !isReceiving) {
    throw new CliError(`process ${taken} listens for account ${entry.name} already`);
  }
  return {
    entry,
    seeds,
    isReceiving,
    settings: {
      network: presetFor(seeds),
      seeds,
      trust: trust.options,
      folder: join(entry.folder, 'messages'),
      ...(proxy !== undefined && { proxy }),
      ...(fileServers !== undefined && { fileServers }),
      receive: isReceiving,
    },
    async [Symbol.asyncDispose]() {
      await trust[Symbol.asyncDispose]();
      if (isReceiving) taken();
    },
  };
}

/**
 * Opens the client; what is missing is said before a passphrase is asked for. `account`: unlocked already.
 * @throws CliError
 */
export async function openSession(
  options: SessionOptions,
  use: 'read' | 'send' | 'receive' | 'either',
  { isQuiet = false, account }: { readonly isQuiet?: boolean; readonly account?: Account } = {},
): Promise<Session> {
  const prepared = await prepareSession(options, use);
  const { entry, seeds, isReceiving, settings } = prepared;
  try {
    const client = await openClient({ ...settings, account: account ?? (await unlock(entry, options)) });
    const endRemark = isQuiet || use === 'read' ? () => {} : remarkWhileWaiting(client, seeds);
    return {
      client,
      seeds,
      isReceiving,
      async [Symbol.asyncDispose]() {
        endRemark();
        await client.close();
        await prepared[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await prepared[Symbol.asyncDispose]();
    throw error;
  }
}

function remarkWhileWaiting(client: Client, seeds: readonly string[]): () => void {
  const timer = setTimeout(() => {
    if (client.path() !== undefined) return;
    const known = client.health().nodes;
    remark(
      known === 0
        ? `No answer yet; asking ${seeds.join(', ')} for the nodes of the network.${httpHint(seeds)}`
        : `No path yet; trying some of ${counted(known, 'known node')}.`,
    );
  }, PATIENCE_MS);
  return () => clearTimeout(timer);
}

/** Empty, or what is probably wrong with the seeds. */
function httpHint(seeds: readonly string[]): string {
  const plain = seeds.find((seed) => seed.startsWith('http://'));
  return plain === undefined ? '' : ` Nodes answer over https: is ${plain.replace('http', 'https')} meant?`;
}

/** Takes the right to receive, and returns how to give it back; or the id of the process that has it. */
export function takeReceiving(entry: AccountEntry): (() => void) | number {
  return takePidLock(join(entry.folder, 'receiving'));
}

const LOCAL = new BlockList();
LOCAL.addSubnet('127.0.0.0', 8, 'ipv4');
LOCAL.addSubnet('10.0.0.0', 8, 'ipv4');
LOCAL.addSubnet('172.16.0.0', 12, 'ipv4');
LOCAL.addSubnet('192.168.0.0', 16, 'ipv4');
LOCAL.addAddress('::1', 'ipv6');

/** A network whose seeds are on this machine or in a private range has all its nodes close together. */
export function presetFor(seeds: readonly string[]): 'local' | 'main' {
  const isLocal = seeds.every((seed) => {
    const host = new URL(seed).hostname.replace(/^\[(.*)\]$/, '$1');
    const family = isIP(host);
    if (family === 0) return host === 'localhost';
    return LOCAL.check(host, family === 4 ? 'ipv4' : 'ipv6');
  });
  return isLocal ? 'local' : 'main';
}

const IS_IT_THERE = 'Is the network running, and is the seed right?';

/** A network that did not answer in time is none that a command can use */
export function silentNetwork(seconds: number, seeds: readonly string[]): CliError {
  return new CliError(
    `no usable path within ${seconds} s${askedOf('', seeds)}. ${IS_IT_THERE}${httpHint(seeds)}`,
  );
}

function askedOf(message: string, seeds: readonly string[]): string {
  return seeds.length === 0 || seeds.some((seed) => message.includes(seed))
    ? ''
    : ` (asked ${seeds.join(', ')})`;
}

/** What a client's failure means for the person at the keyboard; `seeds` are those that were asked. */
export function explain(error: unknown, seeds: readonly string[] = []): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof NameError) {
    return error.code === 'bad_name'
      ? usage(error.message)
      : new CliError(error.message, 1, { cause: error });
  }
  if (error instanceof FileTransferError || error instanceof StorageError) {
    return new CliError(error.message, 1, { cause: error });
  }
  if (!(error instanceof ClientError)) throw error;
  const { code, message } = error;
  switch (code) {
    case 'invalid_recipient':
    case 'empty':
    case 'too_long':
    case 'bad_attachment':
    case 'bad_emoji':
      return usage(message);
    case 'no_file_server':
      return new CliError(
        'this network has no file server. Name one by --file-server URL#KEY; "allium files serve" runs one',
        1,
        { cause: error },
      );
    case 'no_network':
    case 'no_nodes':
      return new CliError(`${message}${askedOf(message, seeds)}. ${IS_IT_THERE}${httpHint(seeds)}`, 1, {
        cause: error,
      });
    case 'unverified':
      return new CliError(inOptions(message), 1, { cause: error });
    case 'wrong_account':
      return new CliError(`${message}: its folder was moved from another account`, 1, { cause: error });
    default:
      return new CliError(message, 1, { cause: error });
  }
}
