// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium network use`: which network later commands talk to.
import { homeFolder, saveSeeds } from '../home.ts';
import { print } from '../terminal.ts';

export async function useNetwork(
  seeds: readonly string[],
  options: { readonly home?: string },
): Promise<number> {
  const home = homeFolder(options);
  saveSeeds(home, seeds);
  print(`Commands now use the network of ${seeds.join(', ')} (kept in ${home}/settings.json).`);
  return 0;
}
