// SPDX-License-Identifier: AGPL-3.0-or-later
// The way out of an account: --proxy, else ALLIUM_PROXY, else what "allium account proxy" keeps beside the account
// (proxy.txt, for its owner only: it may hold a password). "none" says that there is none.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HttpsTransport } from '@allium/net/https-transport';
import { parseProxy } from '@allium/net/proxy';
import { ParseError } from '@allium/protocol/errors';
import type { AccountEntry } from './accounts.ts';
import { CliError, usage } from './cli-error.ts';

export interface ProxyOptions {
  readonly proxy?: string;
  /** Endpoints of a chain, which no proxy leads to. */
  readonly chainRpc?: readonly string[];
}

const NONE = 'none';
const FILE = 'proxy.txt';

/**
 * Undefined: connect directly. What cannot be read is an error, never a reason to do without.
 * @throws CliError
 */
export function chosenProxy(options: ProxyOptions, entry?: AccountEntry): string | undefined {
  const environment = process.env.ALLIUM_PROXY;
  const chosen =
    options.proxy ??
    (environment !== undefined && environment !== '' ? environment : undefined) ??
    (entry === undefined ? undefined : keptProxy(entry));
  const proxy = chosen === undefined ? undefined : checked(chosen);
  if (proxy !== undefined && options.chainRpc !== undefined && options.chainRpc.length > 0) {
    throw usage(
      'the chain would be read past the proxy: check the node list with --trust in place of --chain-rpc',
    );
  }
  return proxy;
}

/** What is kept for the account; undefined: nothing. @throws CliError */
export function keptProxy(entry: AccountEntry): string | undefined {
  const path = join(entry.folder, FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliError(`${path} cannot be read, so nothing is sent: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
  try {
    return checked(text);
  } catch (error) {
    throw new CliError(
      `${path} holds no proxy, so nothing is sent: "allium account proxy URL" writes a new one`,
      1,
      { cause: error },
    );
  }
}

/** `none` removes what is kept. @throws CliError */
export function keepProxy(entry: AccountEntry, text: string): string | undefined {
  const path = join(entry.folder, FILE);
  const proxy = checked(text);
  if (proxy === undefined) rmSync(path, { force: true });
  else writeFileSync(path, `${proxy}\n`, { mode: 0o600 });
  return proxy;
}

function checked(text: string): string | undefined {
  if (text === NONE) return undefined;
  try {
    parseProxy(text);
    return text;
  } catch (error) {
    if (error instanceof ParseError) throw usage(error.message);
    throw error;
  }
}

/** Of commands that ask nodes without an account. @throws CliError */
export function transportFor(options: ProxyOptions): HttpsTransport {
  const proxy = chosenProxy(options);
  return new HttpsTransport(proxy === undefined ? {} : { proxy: parseProxy(proxy) });
}
