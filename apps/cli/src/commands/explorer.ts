// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium explorer`: a web page and JSON that show a network to anybody.
import { systemClock } from '@allium/net/system-env';
import { explorerApp } from '@allium/servers/explorer';
import { SeedSource } from '@allium/servers/explorer/seed-source';
import { type RunningServer, serve } from '@allium/servers/serve';
import { CliError } from '../cli-error.ts';
import { chosenSeeds, type SeedOptions } from '../home.ts';
import { onStopSignal } from '../stop-signal.ts';
import { print, remark } from '../terminal.ts';

export interface ExplorerOptions extends SeedOptions {
  readonly host: string;
  readonly port: number;
}

export async function runExplorer(options: ExplorerOptions): Promise<number> {
  const stop = onStopSignal();
  const source = new SeedSource({ seeds: chosenSeeds(options), clock: systemClock });
  await source.start();
  try {
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

async function listen(source: SeedSource, options: ExplorerOptions): Promise<RunningServer> {
  try {
    return await serve(explorerApp(source), options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new CliError(`port ${options.port} is taken; choose another with --port`);
    if (code === 'EACCES')
      throw new CliError(`port ${options.port} is not yours to use; choose one above 1023 with --port`);
    if (code === 'EADDRNOTAVAIL') throw new CliError(`${options.host} is no address of this machine`);
    throw error;
  }
}
