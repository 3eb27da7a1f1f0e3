// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium devnet`: a network on this machine that stays up until it is told to stop.
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { AnvilError } from '@allium/chain/anvil';
import { Devnet } from '@allium/lab';
import type { DevChain } from '@allium/lab/dev-chain';
import { DevnetError, resetLayout } from '@allium/lab/layout';
import { type ReadyNode, startProcessDevnet, writeReadyFile } from '@allium/lab/process-devnet';
import { CliError, usage } from '../cli-error.ts';
import { FEWEST_NODES, TOO_FEW_NODES } from '../fewest-nodes.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, progress, styled } from '../terminal.ts';

export interface DevnetCommandOptions {
  readonly nodes?: number;
  readonly swarms?: readonly number[];
  readonly chain?: boolean;
  readonly processes?: boolean;
  readonly readyFile?: string;
  readonly folder?: string;
  readonly reset?: boolean;
  readonly rateLimit: boolean;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug' | 'silent';
}

interface RunningNetwork {
  readonly folder: string;
  readonly chain: DevChain | undefined;
  readonly seed: string;
  readonly nodes: readonly ReadyNode[];
  stop(): Promise<void>;
}

export async function runDevnet(options: DevnetCommandOptions): Promise<number> {
  const { signal, stopped } = onStopSignal();
  if (options.reset === true) {
    if (options.folder === undefined)
      throw usage('--reset needs --folder: without one every start is a new network');
    resetLayout(options.folder);
  }
  // Whoever waits for the file must not find the network of the last run.
  if (options.readyFile !== undefined) rmSync(resolve(options.readyFile), { force: true });
  const net = await start(options);
  try {
    if (signal.aborted) return 0;
    print(
      `${counted(net.nodes.length, 'service node')} in ${countSwarms(net.nodes)} are up${describeProcesses(options, net)}.`,
    );
    print(`Seed     ${styled('bold', net.seed)}`);
    print(`State    ${net.folder}${options.folder === undefined ? ' (temporary; --folder keeps it)' : ''}`);
    const chain = net.chain && { rpc: net.chain.url, deployment: net.chain.deploymentFile };
    if (chain !== undefined) {
      print(`Chain    ${chain.rpc}, contracts in ${chain.deployment}`);
    }
    if (options.readyFile !== undefined) {
      writeReadyFile(resolve(options.readyFile), { seed: net.seed, nodes: net.nodes, chain });
      print(`Listed   ${resolve(options.readyFile)}`);
    }
    print('');
    print('From another terminal:');
    print('  npx allium account new --no-passphrase');
    print(`  npx allium send --seed ${net.seed} 05… "hello"`);
    print(`  npx allium listen --seed ${net.seed}`);
    if (net.nodes.length < FEWEST_NODES) print(TOO_FEW_NODES);
    print('Ctrl-C stops it.');
    await stopped;
  } finally {
    await net.stop();
  }
  return 0;
}

async function start(options: DevnetCommandOptions): Promise<RunningNetwork> {
  const layout = {
    ...(options.nodes === undefined ? {} : { nodes: options.nodes }),
    ...(options.swarms === undefined ? {} : { swarms: options.swarms }),
    ...(options.folder === undefined ? {} : { folder: options.folder }),
    chain: options.chain === true,
  };
  const total = options.swarms?.reduce((a, b) => a + b, 0) ?? options.nodes ?? 14;
  const bar = progress(`starting ${counted(total, 'service node')}`);
  const common = {
    ...layout,
    rateLimit: options.rateLimit,
    logLevel: options.logLevel,
    onProgress: bar.update,
    onChainStep: bar.note,
  };
  try {
    if (options.processes === true) return await startProcessDevnet(common);
    const net = await Devnet.start(common);
    return {
      folder: net.folder,
      seed: net.seed,
      chain: net.chain,
      nodes: net.nodes.map((node) => ({ ...node.describe(), pid: process.pid })),
      stop: () => net.stop(),
    };
  } catch (error) {
    throw asCliError(error);
  } finally {
    bar.done();
  }
}

/** What a devnet complains about, with the option that helps. */
export function asCliError(error: unknown): unknown {
  if (error instanceof AnvilError) {
    const advice = error.code === 'no_binary' ? '; without --chain, or with --static, none is needed' : '';
    return new CliError(`the chain did not start: ${error.message}${advice}`, 1, { cause: error });
  }
  if (!(error instanceof DevnetError)) return error;
  const advice = error.code === 'other_network' || error.code === 'port_taken' ? ' (--reset, --folder)' : '';
  return new CliError(`${error.message}${advice}`, error.code === 'bad_options' ? 2 : 1, { cause: error });
}

function countSwarms(nodes: readonly ReadyNode[]): string {
  const sizes = new Map<string, number>();
  for (const { swarm } of nodes) sizes.set(swarm, (sizes.get(swarm) ?? 0) + 1);
  const list = [...sizes.values()];
  return list.length === 1 ? 'one swarm' : `${list.length} swarms (${list.join(' + ')})`;
}

function describeProcesses(options: DevnetCommandOptions, net: RunningNetwork): string {
  if (options.processes !== true) return `, all in process ${process.pid}`;
  return `, processes ${net.nodes.map((node) => node.pid).join(' ')}`;
}
