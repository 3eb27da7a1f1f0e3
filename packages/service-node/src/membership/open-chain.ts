// SPDX-License-Identifier: AGPL-3.0-or-later
// The chain that the options name: its network from deployment.json, its events from the endpoints, and what was read in
// `chain.json` of the data folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainNetwork } from '@allium/chain/chain-view';
import { finishedDeployment, networkOf, parseDeploymentFile } from '@allium/chain/deployment';
import { ChainFollower } from '@allium/chain/follower';
import { snapshotFile } from '@allium/chain/snapshot-file';
import type { Env } from '@allium/protocol/env';
import type { ServiceNodeOptions } from '../config.ts';
import { readVotingKey } from '../voting/voting-key.ts';
import { type ChainAccess, ChainNetworkError } from './chain-network.ts';

const SNAPSHOT = 'chain.json';

/** Reads no chain yet. @throws ChainNetworkError, VotingKeyError, DeploymentError, ChainError with what to do about it */
export async function openChain(options: ServiceNodeOptions, env: Env): Promise<ChainAccess> {
  const { chainRpc, chainDeployment, dataDir, networkFile } = options;
  if (networkFile !== '') {
    throw new ChainNetworkError(
      'two_networks',
      'both --network-file and --chain-rpc are set: a node belongs to the network of a list or to that of a chain',
    );
  }
  const network = readNetwork(chainDeployment);
  const snapshots = snapshotFile(join(dataDir, SNAPSHOT));
  const view = new ChainFollower({ network, endpoints: chainRpc, snapshots }, env);
  const votingKey = readVotingKey(options);
  if (votingKey === undefined) {
    env.log.warn(
      {},
      'no voting key (--voting-key-file): this node tests others, but does not vote or reveal',
    );
    return { view };
  }
  // Only here: it is what loads most.
  const { VotingKeyWriter } = await import('@allium/chain/submit');
  const writer = new VotingKeyWriter({ network, endpoints: chainRpc, secretKey: votingKey }, env);
  env.log.info({ address: writer.address }, 'votes with its voting key');
  return { view, writer, votingKey };
}

/** @throws ChainNetworkError, DeploymentError */
export function readNetwork(path: string): ChainNetwork {
  if (path === '') {
    throw new ChainNetworkError(
      'no_deployment',
      'name the file that tells where the contracts of your network are (deployment.json) with --chain-deployment',
    );
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ChainNetworkError(
      'no_deployment',
      `cannot read ${path} (--chain-deployment): ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  return networkOf(finishedDeployment(parseDeploymentFile(text)));
}
