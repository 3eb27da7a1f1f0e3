// SPDX-License-Identifier: MIT
// `deployment.json`: where the contracts of a network are (spec/chain §4.2). Read by everything that follows the chain;
// written by deploy.ts, also half-way, so that a deployment that was interrupted goes on where it stood.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AlliumError } from '@allium/protocol/errors';
import type { ChainNetwork, Hex } from './chain-view.ts';
import { PRESETS, type PresetName } from './presets.ts';

/**
 * `bad_file`: no deployment.json or not one of ours; `incomplete`: the deployment did not come to its end;
 * `other_network`: the folder belongs to another chain, preset or deployer; `code_differs`: what is on chain is not what
 * these sources compile to; `wrong_setting`: a contract was made with other values; `reverted`: a transaction failed.
 */
export class DeploymentError extends AlliumError<
  'bad_file' | 'incomplete' | 'other_network' | 'code_differs' | 'wrong_setting' | 'reverted'
> {
  override readonly name = 'DeploymentError';
}

export const CONTRACT_ROLES = ['timelock', 'token', 'pool', 'pools', 'registry', 'lens'] as const;
export type ContractRole = (typeof CONTRACT_ROLES)[number];

export interface Deployment {
  readonly chainId: number;
  readonly preset: PresetName;
  readonly registry: Hex;
  /** RewardPool */
  readonly pool: Hex;
  readonly token: Hex;
  /** ContributionPools */
  readonly pools: Hex;
  /** RegistryLens */
  readonly lens: Hex;
  /** The governor; undefined: nobody governs. */
  readonly timelock: Hex | undefined;
  /** Block of the registry: its events begin here. */
  readonly deploymentBlock: number;
  /** T0, unix seconds: start of epoch 0. */
  readonly t0: number;
  /** L, seconds. */
  readonly epochLength: number;
  /** R, seconds. */
  readonly revealWindow: number;
}

/** What the file holds while the deployment runs. */
export interface DeploymentFile {
  version: 1;
  chainId: number;
  preset: PresetName;
  deployer: Hex;
  /** Addresses that are known as soon as the transaction is sent. */
  contracts: Partial<Record<ContractRole, Hex>>;
  deploymentBlock?: number;
  t0?: number;
  /** L and R of the registry, seconds. Files of before they were written down mean those of the preset. */
  epochLength?: number;
  revealWindow?: number;
  complete: boolean;
}

/** From the specification (spec/chain §4.2): R is at most this part of L. */
const REVEAL_SHARE = 4;
const MAX_EPOCH_LENGTH = 2 ** 32 - 1;

const FILE_NAME = 'deployment.json';

/** @throws DeploymentError `bad_file`, `incomplete` */
export function readDeployment(folder: string): Deployment {
  const file = readDeploymentFile(folder);
  if (file === undefined) throw new DeploymentError('bad_file', `no ${FILE_NAME} in ${folder}`);
  return finishedDeployment(file);
}

/** undefined: there is none. @throws DeploymentError `bad_file` */
export function readDeploymentFile(folder: string): DeploymentFile | undefined {
  let text: string;
  try {
    text = readFileSync(join(folder, FILE_NAME), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DeploymentError('bad_file', `cannot read ${join(folder, FILE_NAME)}`, { cause: error });
  }
  return parseDeploymentFile(text);
}

/** @throws DeploymentError `bad_file` */
export function parseDeploymentFile(text: string): DeploymentFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DeploymentError('bad_file', `${FILE_NAME} is not JSON`, { cause: error });
  }
  const file = value as DeploymentFile;
  const numbers = [file?.chainId, file?.deploymentBlock ?? 0, file?.t0 ?? 0];
  const contracts = file?.contracts;
  if (
    file?.version !== 1 ||
    !Object.hasOwn(PRESETS, file.preset) ||
    !numbers.every((number) => Number.isSafeInteger(number) && number >= 0) ||
    !areLengths(file.epochLength, file.revealWindow) ||
    typeof file.complete !== 'boolean' ||
    !isAddress(file.deployer) ||
    typeof contracts !== 'object' ||
    contracts === null ||
    !Object.entries(contracts).every(
      ([role, address]) => CONTRACT_ROLES.includes(role as ContractRole) && isAddress(address),
    )
  ) {
    throw new DeploymentError('bad_file', `${FILE_NAME} is not a deployment of version 1`);
  }
  return file;
}

/** Written whole or not at all. */
export function writeDeploymentFile(folder: string, file: DeploymentFile): void {
  const path = join(folder, FILE_NAME);
  writeFileSync(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** @throws DeploymentError `incomplete` */
export function finishedDeployment(file: DeploymentFile): Deployment {
  const { registry, pool, token, pools, lens, timelock } = file.contracts;
  const { deploymentBlock, t0 } = file;
  if (
    !file.complete ||
    registry === undefined ||
    pool === undefined ||
    token === undefined ||
    pools === undefined ||
    lens === undefined ||
    deploymentBlock === undefined ||
    t0 === undefined
  ) {
    throw new DeploymentError(
      'incomplete',
      'the deployment was interrupted: run it again, it goes on where it stood',
    );
  }
  const { chainId, preset } = file;
  const { epochLength = PRESETS[preset].epochLength, revealWindow = PRESETS[preset].revealWindow } = file;
  return {
    ...{ chainId, preset, registry, pool, token, pools, lens, timelock },
    ...{ deploymentBlock, t0, epochLength, revealWindow },
  };
}

/** What followers of the chain need to know. They check it against the registry before they read (§4.16). */
export function networkOf(deployment: Deployment): ChainNetwork {
  const { chainId, registry, deploymentBlock, t0, preset, epochLength, revealWindow } = deployment;
  return {
    chainId,
    registry,
    deploymentBlock: BigInt(deploymentBlock),
    t0,
    epochSeconds: epochLength,
    revealSeconds: revealWindow,
    preset,
  };
}

/** Both or none, as a registry can have them. */
function areLengths(epochLength: unknown, revealWindow: unknown): boolean {
  if (epochLength === undefined && revealWindow === undefined) return true;
  if (!Number.isSafeInteger(epochLength) || !Number.isSafeInteger(revealWindow)) return false;
  const [length, window] = [epochLength as number, revealWindow as number];
  return window > 0 && window * REVEAL_SHARE <= length && length <= MAX_EPOCH_LENGTH;
}

function isAddress(value: unknown): value is Hex {
  return typeof value === 'string' && /^0x[0-9a-f]{40}$/.test(value);
}
