// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium network use`: which network later commands talk to.
import { type FileServerOptions, fileServerOf } from '../file-servers.ts';
import { homeFolder, saveSeeds } from '../home.ts';
import { print } from '../terminal.ts';

export async function useNetwork(seeds: readonly string[], options: FileServerOptions): Promise<number> {
  const home = homeFolder(options);
  for (const server of options.fileServer ?? []) fileServerOf(server);
  saveSeeds(home, seeds, options.fileServer);
  print(`Commands now use the network of ${seeds.join(', ')} (kept in ${home}/settings.json).`);
  return 0;
}
