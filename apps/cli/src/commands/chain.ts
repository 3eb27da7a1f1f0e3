// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium chain deploy | show | use`: the contracts of a network.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ContractParams, PresetName } from '@allium/chain/presets';
import { tokens } from '@allium/chain/stake/amounts';
import { StakeSession } from '@allium/chain/stake/session';
import { AlliumError } from '@allium/protocol/errors';
import {
  addressOption,
  type ChainOptions,
  chosenAddress,
  chosenDeployment,
  chosenRpc,
  chosenSigner,
  type WalletOptions,
} from '../chain-options.ts';
import { CliError, usage } from '../cli-error.ts';
import { homeFolder, saveSettings } from '../home.ts';
import { askLine, counted, print, printJson, remark } from '../terminal.ts';

export interface DeployCommandOptions extends ChainOptions, WalletOptions {
  readonly preset: PresetName;
  readonly folder: string;
  readonly governance: 'timelock' | 'none';
  readonly guardian?: string;
  readonly genesisOperator?: readonly string[];
  readonly opens?: number;
  readonly blockSeeds?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function deployChain(options: DeployCommandOptions): Promise<number> {
  const rpc = chosenRpc(options);
  const guardian = options.guardian === undefined ? undefined : addressOption('--guardian', options.guardian);
  const genesisOperators = (options.genesisOperator ?? []).map((one) =>
    addressOption('--genesis-operator', one),
  );
  const known = existsSync(join(options.folder, 'deployment.json'));
  const signer = await chosenSigner(options);
  if (!known && options.yes !== true) await confirm(options);
  const { deployNetwork } = await import('@allium/chain/deploy');
  const { stakeError } = await import('@allium/chain/stake/error');
  try {
    const deployment = await deployNetwork({
      rpc,
      signer: signer.kind === 'key' ? { privateKey: signer.privateKey } : { address: signer.address },
      preset: options.preset,
      folder: options.folder,
      governance: options.governance,
      genesisOperators,
      registrationOpenAt: options.opens ?? 0,
      seedMode: options.blockSeeds === true ? 'block' : 'reveal',
      ...(guardian !== undefined && { guardian }),
      onStep: (step) => options.json !== true && print(step),
    });
    if (options.json === true) printJson(deployment);
    else {
      print();
      print(`The contracts are on chain ${deployment.chainId}, and their code is that of this version:`);
      showAddresses(deployment);
      print();
      print(
        `${join(options.folder, 'deployment.json')} tells where they are: nodes, operators and explorers need this file.`,
      );
    }
    return 0;
  } catch (error) {
    const told = stakeError(error, rpc);
    if (told instanceof AlliumError) throw new CliError(told.message, 1, { cause: error });
    throw error;
  }
}

async function confirm({ preset, folder, json }: DeployCommandOptions): Promise<void> {
  const what = `Deploys the contracts with the preset "${preset}" in about ten transactions, some 15 million gas; writes to ${folder}.`;
  if (json === true || !process.stdin.isTTY)
    throw new CliError(`${what} Nobody can be asked here: add --yes`, 2);
  remark(what);
  if (!/^\s*y(es)?\s*$/i.test(await askLine('Go on? Write yes'))) throw new CliError('nothing was deployed');
}

export async function showChain(options: ChainOptions & { readonly json?: boolean }): Promise<number> {
  const deployment = chosenDeployment(options);
  const signer = { kind: 'nobody', address: deployment.registry } as const;
  const session = await StakeSession.open({ rpc: chosenRpc(options), deployment, signer });
  const params = await session.read<ContractParams>('lens', 'params');
  const epoch = await session.read<number>('registry', 'epochNow');
  const counts = await session.read<{ activeCount: number; payableCount: number }>('lens', 'accounting');
  const { lastNodeId } = await session.read<{ lastNodeId: number }>('lens', 'positions');
  const rewards = await session.read<bigint>('token', 'balanceOf', deployment.pool);
  if (options.json === true) {
    const values = Object.entries(params).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? String(value) : value,
    ]);
    printJson({
      ...deployment,
      epoch,
      activeNodes: counts.activeCount,
      registrations: lastNodeId,
      rewardPool: String(rewards),
      params: Object.fromEntries(values),
    });
    return 0;
  }
  print(
    `Chain ${deployment.chainId}, preset ${deployment.preset}, since block ${deployment.deploymentBlock}`,
  );
  showAddresses(deployment);
  print();
  print(`epoch         ${epoch}`);
  print(
    `nodes         ${counts.activeCount} active, ${counts.payableCount} of them earning; ${counted(lastNodeId, 'registration')} so far`,
  );
  print(
    `stake         ${tokens(params.stakingRequirement)} tokens, of at most ${counted(params.maxContributors, 'contributor')}`,
  );
  print(
    `leaving       ${params.unlockDelay} s after the exit is asked for; a removed node's stake is locked for ${params.deregLock} s`,
  );
  print(`rewards       ${tokens(rewards)} tokens in the pool`);
  print(`quorums       ${params.quorumSize} members, at least ${params.minVoters}`);
  return 0;
}

/** Remembers what was named; checks it first. */
export async function useChain(
  options: ChainOptions & { readonly home?: string; readonly keystore?: string },
): Promise<number> {
  const { chainRpc, chainDeployment, keystore } = options;
  if (chainRpc === undefined && chainDeployment === undefined && keystore === undefined) {
    throw usage('name what to remember: --chain-rpc, --chain-deployment, --keystore');
  }
  if (chainRpc !== undefined) chosenRpc(options);
  if (chainDeployment !== undefined) chosenDeployment(options);
  if (keystore !== undefined) await chosenAddress({ keystore });
  const home = homeFolder(options);
  saveSettings(home, {
    ...(chainRpc !== undefined && { chainRpc }),
    ...(chainDeployment !== undefined && { deployment: resolve(chainDeployment) }),
    ...(keystore !== undefined && { keystore: resolve(keystore) }),
  });
  print(`Commands use it from now on (${join(home, 'settings.json')}).`);
  return 0;
}

function showAddresses(deployment: ReturnType<typeof chosenDeployment>): void {
  const { registry, lens, token, pools, pool, timelock } = deployment;
  print(`  registry      ${registry}`);
  print(`  lens          ${lens}`);
  print(`  token         ${token}`);
  print(`  pools         ${pools}`);
  print(`  reward pool   ${pool}`);
  print(`  timelock      ${timelock ?? 'none: nobody governs'}`);
}
