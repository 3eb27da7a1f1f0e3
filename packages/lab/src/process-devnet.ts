// SPDX-License-Identifier: AGPL-3.0-or-later
// A devnet whose nodes are processes of their own: for measurements, for kill -9, and for programs that attach to it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DevChain } from './chain/dev-chain.ts';
import { chainOf, untilAcquainted } from './chain/start.ts';
import {
  DevnetError,
  type Layout,
  type LayoutOptions,
  type NodeFacts,
  NodeLayout,
  openLayout,
} from './layout.ts';
import { post } from './load/post.ts';

export interface ProcessDevnetOptions extends LayoutOptions {
  /** False: any number of requests from one address. */
  readonly rateLimit?: boolean;
  readonly logLevel?: 'error' | 'warn' | 'info' | 'debug' | 'silent';
  /** More arguments for every node. */
  readonly arguments?: readonly string[];
  /** Told the number of nodes that answer, each time it grows. */
  readonly onProgress?: (up: number) => void;
  /** Told what is done to bring up the chain of a network that has one. */
  readonly onChainStep?: (step: string) => void;
  /** Told that the chain is up, before the nodes are started. */
  readonly onChain?: (chain: DevChain) => void;
}

export interface ProcessDevnet extends AsyncDisposable {
  readonly folder: string;
  /** URL of a node that new clients can start from. */
  readonly seed: string;
  readonly nodes: readonly ProcessNode[];
  /** Undefined: a signed list says who is in the network. */
  readonly chain: DevChain | undefined;
  stop(): Promise<void>;
}

const NODE_PROCESS = join(import.meta.dirname, 'node-process.ts');
/** Compiled code is kept here: nodes start in half the time. */
const COMPILE_CACHE = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.cache', 'allium');
/** Ours: a node that does not answer by then never will (a cold machine with a hundred nodes is slow). */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
/** Ours: "no limit" for the rate limiter. */
const UNLIMITED = '1000000000';

export class ProcessNode extends NodeLayout {
  readonly #arguments: readonly string[];
  readonly #silent: boolean;
  #child: ChildProcess | undefined;

  /** `membership`: the arguments that name the list or the chain. */
  constructor(layout: NodeLayout, membership: readonly string[], options: ProcessDevnetOptions) {
    super(layout);
    const level = options.logLevel ?? 'error';
    this.#silent = level === 'silent';
    const limits = ['--rpc-burst', '--rpc-per-second', '--onion-burst', '--onion-per-second'];
    limits.push('--connection-burst', '--connections-per-second', '--all-connections-per-second');
    this.#arguments = [
      ...['--data-dir', layout.folder, ...membership],
      ...['--bind-host', layout.host, '--public-ip', layout.host],
      ...['--https-port', `${layout.port}`, '--omq-port', `${layout.omqPort}`],
      ...['--log-level', this.#silent ? 'error' : level],
      ...(options.rateLimit === false ? limits.flatMap((flag) => [flag, UNLIMITED]) : []),
      ...(options.arguments ?? []),
    ];
  }

  /** Of the running process; 0 when it is stopped. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts the process and waits until it answers. @throws DevnetError `start_failed` */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const output = this.#silent ? 'ignore' : 2;
    const child = spawn(process.execPath, [NODE_PROCESS, ...this.#arguments], {
      stdio: ['ignore', output, output, 'pipe'],
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ALLIUM_LIFELINE: '3' },
    });
    child.stdio[3]?.on('error', () => {});
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    child.once('error', () => {
      if (this.#child === child) this.#child = undefined;
    });
    const end = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#answers())) {
      if (this.#child !== child)
        throw new DevnetError('start_failed', `node ${this.name} ended while it started`);
      if (performance.now() > end) {
        await this.kill();
        throw new DevnetError('start_failed', `node ${this.name} did not answer in time`);
      }
      await sleep(POLL_MS);
    }
  }

  /** Clean stop; by force when it takes too long. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Cuts the node off by freezing it, or lets it go on: its connections stay open and nothing answers. */
  partition(on: boolean): void {
    this.#child?.kill(on ? 'SIGSTOP' : 'SIGCONT');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  async #answers(): Promise<boolean> {
    try {
      const answer = await post(this, '/storage_rpc/v1', '{"method":"info","params":{}}', {
        timeoutMs: 2_000,
      });
      return answer.status === 200;
    } catch {
      return false;
    }
  }
}

/** Starts all nodes and waits until each answers. @throws DevnetError */
export async function startProcessDevnet(options: ProcessDevnetOptions = {}): Promise<ProcessDevnet> {
  const layout: Layout = await openLayout(options);
  const chain = await chainOf(layout, options);
  const nodes = layout.nodes.map((node) => {
    return new ProcessNode(node, membershipArguments(node, layout, chain), options);
  });
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await chain?.stop();
    layout.release();
  };
  let up = 0;
  const started = await Promise.allSettled(
    nodes.map(async (node) => {
      await node.start();
      up += 1;
      options.onProgress?.(up);
    }),
  );
  const failure = started.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await stop();
    throw failure.reason;
  }
  try {
    if (chain !== undefined) await untilAcquainted(chain, nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  const first = nodes[0] as ProcessNode;
  return {
    folder: layout.folder,
    seed: first.url,
    nodes,
    chain,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function membershipArguments(node: NodeLayout, layout: Layout, chain: DevChain | undefined): string[] {
  if (chain === undefined) return ['--network-file', layout.networkFile];
  const { chainRpc, chainDeployment, peers } = chain.nodeOptions(node);
  const network = ['--chain-rpc', chainRpc.join(), '--chain-deployment', chainDeployment];
  return [...network, '--peers', peers.join()];
}

export interface ReadyNode extends NodeFacts {
  readonly pid: number;
}

interface ReadyNetwork {
  readonly seed: string;
  readonly nodes: readonly ReadyNode[];
  /** Endpoint and path of deployment.json, of a network on a chain. */
  readonly chain?: { readonly rpc: string; readonly deployment: string } | undefined;
}

/** Tells other programs that the devnet is up. They see the whole file or none. */
export function writeReadyFile(path: string, { seed, nodes, chain }: ReadyNetwork): void {
  const listed = nodes.map(({ host, port, omqPort, ed25519, x25519, swarm, pid }) => {
    return { host, port, omqPort, ed25519, x25519, swarm, pid };
  });
  writeFileSync(`${path}.${process.pid}`, `${JSON.stringify({ seed, nodes: listed, chain })}\n`);
  renameSync(`${path}.${process.pid}`, path);
}
