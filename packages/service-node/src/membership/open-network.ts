// SPDX-License-Identifier: AGPL-3.0-or-later
// The network that the options name: of a chain, or of a signed list.
import type { Env } from '@allium/protocol/env';
import type { ServiceNodeOptions } from '../config.ts';
import type { NodeKeys } from '../node-keys.ts';
import type { ChainAccess } from './chain-network.ts';
import type { NodeNetwork } from './node-network.ts';
import { StaticNetwork } from './static-network.ts';
import type { ListFiles } from './static-source.ts';

export interface OpenNetworkParts {
  readonly keys: NodeKeys;
  readonly files: ListFiles;
  /** Instead of the chain of the options. */
  readonly chain: ((options: ServiceNodeOptions, env: Env) => Promise<ChainAccess>) | undefined;
}

/** Of the chain when one is named, else of the signed list. @throws AlliumError with what to do about it */
export async function openNetwork(
  options: ServiceNodeOptions,
  { keys, files, chain }: OpenNetworkParts,
  env: Env,
): Promise<NodeNetwork> {
  if (chain === undefined && options.chainRpc.length === 0) {
    return StaticNetwork.open(options, keys.ed25519Hex, files, env);
  }
  // Only here: others need not load what belongs to a chain.
  const { ChainNetwork } = await import('./chain-network.ts');
  const open = chain ?? (await import('./open-chain.ts')).openChain;
  const access = await open(options, env);
  return new ChainNetwork(options, { access, keys, files }, env);
}
