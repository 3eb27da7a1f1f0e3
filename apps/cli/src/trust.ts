// SPDX-License-Identifier: AGPL-3.0-or-later
// What a command line says a node list is to be checked against: --trust, --require-verified, --chain-rpc.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustOptions, TrustState } from '@allium/client/network/trust';
import { explainTrust } from '@allium/client/network/trust';
import { parseTrustAnchor, type TrustAnchor } from '@allium/client/network/trust-anchor';
import { systemEnv } from '@allium/net/system-env';
import { AlliumError, ParseError } from '@allium/protocol/errors';
import { fileTrouble, usage } from './cli-error.ts';
import { keptTrust, type SeedOptions } from './home.ts';

export interface TrustSettings extends SeedOptions {
  readonly trust?: string;
  readonly requireVerified?: boolean;
  readonly chainRpc?: readonly string[];
  readonly chainDeployment?: string;
}

export interface ChosenTrust extends AsyncDisposable {
  readonly options: TrustOptions;
}

/** Reads files, asks nobody yet. @throws CliError */
export async function chosenTrust(settings: TrustSettings): Promise<ChosenTrust> {
  const file = settings.trust ?? keptTrust(settings);
  const anchor = file === undefined ? undefined : readAnchor(file);
  const verifier = await chainOf(settings);
  return {
    options: {
      ...(anchor !== undefined && { anchor }),
      ...(verifier !== undefined && { verifier }),
      requireVerified: settings.requireVerified === true,
    },
    async [Symbol.asyncDispose]() {
      await verifier?.close();
    },
  };
}

/** Names our options in a sentence of the client. */
export function inOptions(text: string): string {
  return text
    .replace('(option trust)', '(--trust, made by "allium network anchor")')
    .replace('read the chain', 'read the chain (--chain-rpc)');
}

/** For people: whether the node list could be checked. */
export function trustLine(state: TrustState): string {
  if (state.state !== 'verified') return inOptions(`Node list ${state.state}: ${explainTrust(state)}.`);
  const refused = state.refused === 0 ? '' : `; ${state.refused} of its nodes were left out`;
  switch (state.by) {
    case 'certificate':
      return `Node list verified by the members' certificate of epoch ${state.version}${refused}.`;
    case 'static_list':
      return `Node list verified by the signed list, version ${state.version}${refused}.`;
    default:
      return `Node list verified by the chain${refused}.`;
  }
}

function readAnchor(path: string): TrustAnchor {
  try {
    return parseTrustAnchor(readFileSync(path));
  } catch (error) {
    if (error instanceof ParseError) {
      throw usage(`${path} (--trust) is neither a certificate nor a signed list of nodes`);
    }
    throw fileTrouble('cannot read', `${path} (--trust)`, error);
  }
}

async function chainOf({ chainRpc, chainDeployment }: TrustSettings) {
  if (chainRpc === undefined) return undefined;
  if (chainDeployment === undefined) {
    throw usage('name the file that tells where the contracts are (deployment.json) with --chain-deployment');
  }
  // Only here: most commands need no chain.
  const { chainVerifier } = await import('@allium/chain/list-verifier');
  const { finishedDeployment, parseDeploymentFile } = await import('@allium/chain/deployment');
  try {
    const path = statSync(chainDeployment).isDirectory()
      ? join(chainDeployment, 'deployment.json')
      : chainDeployment;
    const deployment = finishedDeployment(parseDeploymentFile(readFileSync(path, 'utf8')));
    const rpc = chainRpc.flatMap((text) => text.split(',')).filter((text) => text !== '');
    return chainVerifier({ rpc, deployment }, systemEnv());
  } catch (error) {
    if (error instanceof AlliumError) throw usage(error.message);
    throw fileTrouble('cannot read', `${chainDeployment} (--chain-deployment)`, error);
  }
}
