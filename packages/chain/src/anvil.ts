// SPDX-License-Identifier: MIT
// Starts the development chain: the anvil binary from npm, on loopback, for tests, the lab and `npm start`
// (spec/chain §4.24). It ends with the process that started it, also when that one is killed: a shell holds a pipe
// from us and stops anvil when the pipe closes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AlliumError } from '@allium/protocol/errors';

export class AnvilError extends AlliumError<'no_binary' | 'start_failed'> {
  override readonly name = 'AnvilError';
}

export interface AnvilOptions {
  /** Default: chosen by the system. */
  port?: number;
  /** File that the chain is loaded from if it exists, and written to at the stop and now and then. */
  statePath?: string;
  /** How often it is written. Default 10. */
  stateIntervalSeconds?: number;
  /** Seconds between blocks. Default: a block per transaction, and none without. */
  blockTimeSeconds?: number;
  /** Default 31337. */
  chainId?: number;
  /** Unix seconds of the first block. Default: now. */
  timestamp?: number;
  /** Number of funded accounts of the well-known test mnemonic. Default 10. */
  accounts?: number;
  /** Further flags of anvil. */
  flags?: readonly string[];
}

export interface Anvil extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly processId: number;
  /** Resolves when the process is gone, whoever ended it. */
  readonly exited: Promise<void>;
  /** Ends it, writing the state file if one was named. May be called twice. */
  stop(): Promise<void>;
}

/** Ours: anvil needs a quarter of a second; a machine under load gets a hundred times that. */
const START_TIMEOUT_MS = 30_000;
const STATE_INTERVAL_SECONDS = 10;

// Passes its arguments to anvil; when standard input ends, interrupts it (anvil then writes its state).
const KEEPER = `
exec 3<&0
"$@" 3<&- </dev/null & child=$!
(cat <&3 >/dev/null; kill -INT $child 2>/dev/null) & watcher=$!
echo "process $child"
wait $child
status=$?
kill $watcher 2>/dev/null
exit $status`;

/** Path of the native binary, without the JavaScript starter around it (which would be one more process). */
function anvilBinary(): string {
  const require = createRequire(import.meta.url);
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${arch}`;
  try {
    const starter = createRequire(require.resolve('@foundry-rs/anvil/package.json'));
    const folder = dirname(starter.resolve(`${name}/package.json`));
    const path = join(folder, 'bin', process.platform === 'win32' ? 'anvil.exe' : 'anvil');
    if (existsSync(path)) return path;
  } catch {}
  throw new AnvilError('no_binary', `anvil for this machine is not installed: npm package ${name}`);
}

/** Whether npm has anvil for this machine. */
export function isAnvilInstalled(): boolean {
  try {
    anvilBinary();
    return true;
  } catch {
    return false;
  }
}

/** @throws AnvilError when the binary is missing or does not start (port taken, unreadable state file). */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const flags = ['--host', '127.0.0.1', '--port', String(options.port ?? 0)];
  flags.push('--accounts', String(options.accounts ?? 10), '--chain-id', String(options.chainId ?? 31337));
  if (options.blockTimeSeconds !== undefined) {
    // Transactions are mined at once as well; the blocks between let the chain's clock go on.
    flags.push('--block-time', String(options.blockTimeSeconds), '--mixed-mining');
  }
  if (options.timestamp !== undefined) flags.push('--timestamp', String(options.timestamp));
  if (options.statePath !== undefined) {
    const interval = options.stateIntervalSeconds ?? STATE_INTERVAL_SECONDS;
    flags.push('--state', options.statePath, '--state-interval', String(interval));
  }
  flags.push(...(options.flags ?? []));

  const binary = anvilBinary();
  const windows = process.platform === 'win32';
  const child = windows
    ? spawn(binary, flags, { stdio: ['pipe', 'pipe', 'pipe'] })
    : spawn('/bin/sh', ['-c', KEEPER, 'anvil-keeper', binary, ...flags], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}); // it closes before us when anvil ends by itself
  let output = '';
  let errors = '';
  const exited = once(child, 'close').then(() => {});
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => fail('it did not answer in time'), START_TIMEOUT_MS);
    const fail = (why: string) => {
      clearTimeout(timer);
      child.stdin.end();
      child.kill();
      reject(new AnvilError('start_failed', `anvil did not start: ${why}`));
    };
    child.on('error', (error) => fail(error.message));
    child.on('close', () => fail(lastLines(errors) || lastLines(output) || 'it ended at once'));
    child.stderr.on('data', (data) => {
      errors = (errors + data).slice(-4000);
    });
    child.stdout.on('data', (data) => {
      output = (output + data).slice(-20_000);
      const match = /Listening on \S*:(\d+)\s/.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      // What it prints per request is of no use; reading on keeps the pipe from filling.
      child.stdout.removeAllListeners('data').resume();
      resolve(Number(match[1]));
    });
  });
  const processId = Number(/^process (\d+)/m.exec(output)?.[1] ?? child.pid);

  async function stop(): Promise<void> {
    if (windows) child.kill();
    child.stdin.end();
    await exited;
  }
  return { url: `http://127.0.0.1:${port}`, port, processId, exited, stop, [Symbol.asyncDispose]: stop };
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join(' ').slice(0, 400);
}
