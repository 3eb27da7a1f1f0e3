// SPDX-License-Identifier: AGPL-3.0-or-later
// The service node as a program: configuration, log, signals, exit codes (0 ended as asked, 1 failed, 2 wrong usage).
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { systemEnv } from '@allium/net/system-env';
import { AlliumError } from '@allium/protocol/errors';
import pino, { type Logger as PinoLogger } from 'pino';
import {
  type CommandLine,
  ConfigError,
  helpText,
  printConfig,
  readConfig,
  type ServiceNodeOptions,
} from './config.ts';
import { ServiceNode } from './service-node.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Runs until SIGTERM or SIGINT. Resolves with the exit code; never rejects. */
export async function runServiceNode(
  argv: readonly string[],
  {
    program = 'allium node',
    environment = process.env,
  }: { program?: string; environment?: NodeJS.ProcessEnv } = {},
): Promise<number> {
  let line: CommandLine;
  try {
    line = readConfig(argv, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return EXIT_USAGE;
  }
  if (line.help) process.stdout.write(helpText(program));
  else if (line.version) process.stdout.write(`${productVersion()}\n`);
  else if (line.printConfig) process.stdout.write(printConfig(line.options));
  else return run(line.options, program);
  return EXIT_OK;
}

async function run(options: ServiceNodeOptions, program: string): Promise<number> {
  const log = makeLog(options);
  const node = new ServiceNode(options, systemEnv(log));
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping');
    end(EXIT_OK);
  };
  // One of the three places where a daemon catches: whatever got here left the program in an unknown state.
  const onFault = (error: unknown) => {
    log.error({ error: error instanceof Error ? error.stack : String(error) }, 'unexpected fault, stopping');
    end(EXIT_FAILED);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  try {
    await node.start();
    const code = await ended;
    await node.stop();
    log.info({}, 'stopped');
    return code;
  } catch (error) {
    if (error instanceof AlliumError || (error instanceof Error && 'code' in error)) {
      process.stderr.write(`${program}: ${inWords(error)}\n`);
    } else {
      onFault(error);
    }
    return EXIT_FAILED;
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
    process.off('uncaughtException', onFault);
    process.off('unhandledRejection', onFault);
  }
}

/** What the system says, with what to do about it. */
function inWords(error: Error): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
      return `the disk is full (${message}): free some space`;
    case 'EADDRINUSE':
      return `${message}: another program listens there, perhaps another node. End it, or choose another port by --https-port or --omq-port`;
    case 'EADDRNOTAVAIL':
      return `${message}: this machine has no such address, correct --bind-host`;
    case 'EACCES':
      return `${message}: not allowed to this user`;
    default:
      return message;
  }
}

function productVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** For programs only: libraries are given a logger. */
export function makeLog({
  logLevel,
  logFormat,
}: Pick<ServiceNodeOptions, 'logLevel' | 'logFormat'>): PinoLogger {
  // An Error has no members of its own to print: without this, a fault would be logged as {}.
  const error = (value: unknown) => (value instanceof Error ? (value.stack ?? String(value)) : value);
  const base = { level: logLevel, base: null, serializers: { error } };
  const pretty = logFormat === 'pretty' || (logFormat === 'auto' && process.stdout.isTTY);
  return pretty ? pino(base, prettyStream()) : pino(base, pino.destination({ fd: 1, sync: true }));
}

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR' };

/** One line for people: time, level, sentence, fields. */
function prettyStream(): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      const { level, time, msg, ...fields } = JSON.parse(chunk.toString()) as Record<string, unknown>;
      const clock = new Date(Number(time)).toTimeString().slice(0, 8);
      const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`);
      // Fields may quote peers, who must not steer the operator's terminal.
      const line = `${String(msg)}${rest.join('')}`.replace(/[^\P{Cc}\n\t]/gu, '\ufffd');
      process.stdout.write(`${clock} ${LEVELS[Number(level)] ?? level} ${line}\n`);
      done();
    },
  });
}
