// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node prepares so that its operator can register it (spec/chain §4.5): its identity key, a voting key, a new beacon
// chain, and the signature that binds them to the operator.
import type { Hex } from '@allium/chain/chain-view';
import { hexOf } from '@allium/chain/packed';
import { registrationMessage } from '@allium/chain/registration';
import type { RegistrationFile } from '@allium/chain/stake/registration-file';
import { votingAddress } from '@allium/chain/votes';
import type { ServiceNodeOptions } from '../config.ts';
import { readNetwork } from '../membership/open-chain.ts';
import { loadOrCreateNodeKeys } from '../node-keys.ts';
import { prepareBeaconChain } from './beacon-store.ts';
import { readOrMakeVotingKey, votingKeyPath } from './voting-key.ts';

export interface PreparedRegistration {
  readonly file: RegistrationFile;
  /** Where the voting key is. */
  readonly votingKeyFile: string;
}

/**
 * Makes what is missing in the data folder. Each call begins a new beacon chain; files of earlier calls stay good.
 * @param nowSeconds unix time
 * @throws ChainNetworkError, DeploymentError, NodeKeyError, VotingKeyError, DataFolderError, BeaconError
 */
export function prepareRegistration(
  options: ServiceNodeOptions,
  operator: Hex,
  nowSeconds: number,
): PreparedRegistration {
  const { chainId, registry } = readNetwork(options.chainDeployment);
  const keys = loadOrCreateNodeKeys(options.dataDir);
  const votingKey = votingAddress(readOrMakeVotingKey(options));
  const beaconAnchor = prepareBeaconChain(options.dataDir, keys.seed(), { chainId, registry }, nowSeconds);
  const facts = { chainId, registry, operator, votingKey, beaconAnchor };
  const signature = hexOf(keys.sign(registrationMessage(facts)));
  return {
    file: { ...facts, ed25519: hexOf(keys.ed25519Key), signature },
    votingKeyFile: votingKeyPath(options),
  };
}
