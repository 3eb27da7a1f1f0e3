// SPDX-License-Identifier: MIT
// Fuzz targets: files that people hand over or keep: registration, deployment, history, wallet. A target throws only on a bug.
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { ChainError } from '../src/chain-error.ts';
import { DeploymentError, parseDeploymentFile } from '../src/deployment.ts';
import { encodeHistory, parseHistory } from '../src/history.ts';
import { hexOf } from '../src/packed.ts';
import { signRegistration } from '../src/registration.ts';
import {
  encodeRegistrationFile,
  parseRegistrationFile,
  RegistrationFileError,
} from '../src/stake/registration-file.ts';
import { KeystoreError, keystoreAddress, sealKeystore } from '../src/wallet/keystore.ts';
import { NETWORK } from '../test/support/event-writer.ts';

const pair = ed25519KeyPair(new Uint8Array(32).fill(7));
const facts = {
  chainId: 1,
  registry: NETWORK.registry,
  operator: NETWORK.registry,
  votingKey: NETWORK.registry,
  beaconAnchor: `0x${'44'.repeat(32)}`,
} as const;
const registrationText = encodeRegistrationFile({
  ...facts,
  ed25519: hexOf(pair.publicKey),
  signature: hexOf(signRegistration(facts, pair.secretKey)),
});
const deploymentText = JSON.stringify({
  version: 1,
  chainId: 1,
  preset: 'local',
  deployer: NETWORK.registry,
  contracts: { registry: NETWORK.registry },
  epochLength: 30,
  revealWindow: 6,
  complete: false,
});
const historyText = encodeHistory(NETWORK, { block: 9, hash: `0x${'bb'.repeat(32)}` }, [
  {
    type: 'claim',
    time: 1,
    block: 9,
    logIndex: 0,
    transaction: `0x${'cc'.repeat(32)}`,
    nodeId: 1,
    reasonsAll: 0,
    reasonsAny: 1,
    amount: 5n,
  },
]);
const walletText = sealKeystore(new Uint8Array(32).fill(1), 'passphrase', { n: 2, r: 1, p: 1 });

const EXPECTED = [ParseError, RegistrationFileError, DeploymentError, ChainError, KeystoreError];

/** `run`, with the errors that bad input may cause taken off. */
function target(seed: string, run: (text: string) => unknown): FuzzTarget {
  return {
    seeds: [utf8(seed)],
    run(input) {
      try {
        run(fromUtf8(input));
      } catch (error) {
        if (!EXPECTED.some((kind) => error instanceof kind)) throw error;
      }
    },
  };
}

export const targets: Readonly<Record<string, FuzzTarget>> = {
  registrationFile: target(registrationText, parseRegistrationFile),
  deploymentFile: target(deploymentText, parseDeploymentFile),
  history: target(historyText, (text) => parseHistory(NETWORK, text)),
  keystore: target(walletText, keystoreAddress),
};
