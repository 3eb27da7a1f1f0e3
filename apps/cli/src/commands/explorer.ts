// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium explorer`: a web page and JSON that show a network to anybody; a network of a list by its nodes, one on a chain by
// its contracts.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemEnv } from '@allium/net/system-env';
import type { Logger } from '@allium/protocol/env';
import { explorerApp } from '@allium/servers/explorer';
import type { ExplorerSource } from '@allium/servers/explorer/model';
import { SeedSource } from '@allium/servers/explorer/seed-source';
import { type RunningServer, serve } from '@allium/servers/serve';
import { chosenDeployment, chosenRpc } from '../chain-options.ts';
import { chosenSeeds, homeFolder, type SeedOptions } from '../home.ts';
import { listenTrouble } from '../server-command.ts';
import { onStopSignal } from '../stop-signal.ts';
import { harmless, print, remark } from '../terminal.ts';

export interface ExplorerOptions extends SeedOptions {
  readonly host: string;
  readonly port: number;
  readonly chainRpc?: string;
  readonly chainDeployment?: string;
}

export async function runExplorer(options: ExplorerOptions): Promise<number> {
  const stop = onStopSignal();
  const onChain = options.chainRpc !== undefined || options.chainDeployment !== undefined;
  const source: ExplorerSource = onChain
    ? await chainSource(options)
    : new SeedSource({ seeds: chosenSeeds(options), clock: systemClock });
  try {
    await source.start();
    const server = await listen(source, options);
    const trouble = source.trouble();
    if (trouble !== undefined) remark(`Not yet: ${trouble}. The explorer goes on asking.`);
    print(`The explorer is at ${server.url} (Ctrl-C ends it)`);
    await stop.stopped;
    await server.stop();
    return 0;
  } finally {
    await source.stop();
  }
}

async function chainSource(options: ExplorerOptions): Promise<ExplorerSource> {
  const { chainRpc, chainDeployment, seed } = options;
  const deployment = chosenDeployment(chainDeployment === undefined ? {} : { chainDeployment });
  const endpoints = (chainRpc ?? process.env.ALLIUM_CHAIN_RPC ?? '').split(',').filter((part) => part !== '');
  for (const rpc of endpoints.length === 0 ? [''] : endpoints) chosenRpc({ chainRpc: rpc });
  const { ChainFollower } = await import('@allium/chain/follower');
  const { ChainHistory } = await import('@allium/chain/history');
  const { networkOf } = await import('@allium/chain/deployment');
  const { snapshotFile } = await import('@allium/chain/snapshot-file');
  const { ChainSource } = await import('@allium/servers/explorer/chain-source');
  const network = networkOf(deployment);
  const env = systemEnv(terminalLog);
  const folder = join(homeFolder(options), 'explorer');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const cache = (what: string) =>
    snapshotFile(join(folder, `${network.chainId}-${network.registry}.${what}.json`));
  const seeds = seed === undefined && !process.env.ALLIUM_SEED ? undefined : chosenSeeds(options);
  return new ChainSource({
    view: new ChainFollower({ network, endpoints, snapshots: cache('chain') }, env),
    history: new ChainHistory({ network, endpoints, cache: cache('events') }, env),
    rpc: endpoints[0]!,
    deployment,
    clock: systemClock,
    ...(seeds !== undefined && { seeds: new SeedSource({ seeds, clock: systemClock }) }),
  });
}

const told = (fields: Readonly<Record<string, unknown>>, message: string) => {
  const reason = fields.reason ?? fields.error;
  remark(harmless(reason === undefined ? message : `${message}: ${String(reason)}`));
};
const terminalLog: Logger = {
  error: told,
  warn: told,
  info: () => {},
  debug: () => {},
  child: () => terminalLog,
};

async function listen(source: ExplorerSource, options: ExplorerOptions): Promise<RunningServer> {
  try {
    return await serve(explorerApp(source), options);
  } catch (error) {
    throw listenTrouble(error, options);
  }
}
