// SPDX-License-Identifier: AGPL-3.0-or-later
// What commands share that are a server: words for an address that cannot be listened on, and a log for people.
import type { Logger } from '@allium/protocol/env';
import { CliError } from './cli-error.ts';
import { harmless, remark } from './terminal.ts';

/** To be thrown in place of an error of `listen`; what has no words of ours is returned as it is. */
export function listenTrouble(
  error: unknown,
  { host, port }: { readonly host: string; readonly port: number },
): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new CliError(`port ${port} is taken; choose another with --port`);
    case 'EACCES':
      return new CliError(`port ${port} is not yours to use; choose one above 1023 with --port`);
    case 'EADDRNOTAVAIL':
      return new CliError(`${host} is no address of this machine`);
    default:
      return error;
  }
}

/** Tells errors and warnings, and what is only of interest when `info` says so. */
export function terminalLog({ info = false } = {}): Logger {
  const told = (fields: Readonly<Record<string, unknown>>, message: string) => {
    const facts = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`);
    remark(harmless([message, ...facts].join('; ')));
  };
  const log: Logger = {
    error: told,
    warn: told,
    info: info ? told : () => {},
    debug: () => {},
    child: () => log,
  };
  return log;
}
