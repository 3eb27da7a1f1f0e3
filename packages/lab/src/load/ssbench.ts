// SPDX-License-Identifier: AGPL-3.0-or-later
// Starts the load generator and the echo server as processes of their own and reads what they print.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SSBENCH = join(import.meta.dirname, '..', '..', 'load', 'ssbench.mjs');
const ECHO_SERVER = join(import.meta.dirname, 'echo-server.ts');

export type Scenario = 'info' | 'store' | 'retrieve' | 'onion-info' | 'onion-store' | 'onion-retrieve';

/** The part of a ready file that the generator reads. */
export interface BenchNode {
  readonly host: string;
  readonly port: number;
  readonly ed25519: string;
  readonly x25519: string;
}

/** What the generator prints, as far as the reports use it. */
export interface BenchResult {
  readonly rps: number;
  readonly latency_ms: { readonly p50: number; readonly p99: number };
  readonly statuses: Readonly<Record<string, number>>;
  readonly verify_failures: number;
  readonly first_failure?: string;
  readonly server_cpu_ms_per_req: number;
  readonly other_busy_cores?: number;
}

export interface BenchArguments {
  readonly nodes: readonly BenchNode[];
  readonly pids: readonly number[];
  readonly count: number;
  readonly concurrency: number;
  readonly extra?: readonly string[];
  /** For the echo server, whose answers cannot be right. */
  readonly ignoreFailures?: boolean;
}

/** One run of the generator. @throws Error when it could not run or a checked answer was wrong */
export async function runSsbench(scenario: Scenario, run: BenchArguments): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-load-'));
  try {
    const nodesFile = join(folder, 'nodes.json');
    writeFileSync(nodesFile, JSON.stringify(run.nodes));
    const options = ['--nodes', nodesFile, '--count', `${run.count}`, '--concurrency', `${run.concurrency}`];
    options.push('--pids', run.pids.join(','), ...(run.extra ?? []));
    const child = spawn(process.execPath, [SSBENCH, scenario, ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let complaint = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      complaint += chunk;
    });
    const [code] = await once(child, 'close');
    if (code === 2 || output === '')
      throw new Error(`ssbench ${scenario} could not run: ${complaint.trim()}`);
    const result = JSON.parse(output) as BenchResult;
    if (result.verify_failures > 0 && run.ignoreFailures !== true) {
      throw new Error(
        `ssbench ${scenario}: ${result.verify_failures} wrong answers, first: ${result.first_failure}`,
      );
    }
    return result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface EchoServer extends AsyncDisposable {
  readonly node: BenchNode;
  readonly pid: number;
}

/** An empty HTTPS server that answers every request with `answer`. */
export async function startEcho(answer: Uint8Array): Promise<EchoServer> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-echo-'));
  writeFileSync(join(folder, 'answer'), answer);
  const child = spawn(process.execPath, [ECHO_SERVER, join(folder, 'answer')], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    env: { ...process.env, ALLIUM_LIFELINE: '3' },
  });
  child.stdio[3]?.on('error', () => {});
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  const port = Number(String(line).trim());
  return {
    // The generator builds onions for these keys; nobody opens them.
    node: { host: '127.0.0.1', port, ed25519: '00'.repeat(32), x25519: '09'.padEnd(64, '0') },
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
