// SPDX-License-Identifier: AGPL-3.0-or-later
// Which chain, which contracts, which wallet: the options that `allium chain`, `allium stake` and `allium explorer` share.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress } from '@allium/chain/address';
import type { Hex } from '@allium/chain/chain-view';
import { type Deployment, finishedDeployment, parseDeploymentFile } from '@allium/chain/deployment';
import type { StakeSigner } from '@allium/chain/stake/session';
import { toHex } from '@allium/protocol/bytes';
import { AlliumError } from '@allium/protocol/errors';
import { CliError, fileTrouble, usage } from './cli-error.ts';
import { homeFolder, readSettings } from './home.ts';
import { type PassphraseOptions, readPassphrase } from './passphrase.ts';

export interface ChainOptions {
  readonly home?: string;
  readonly chainRpc?: string;
  readonly chainDeployment?: string;
}

export interface WalletOptions extends PassphraseOptions {
  readonly home?: string;
  readonly keystore?: string;
  readonly rpcSigner?: string;
}

/** --chain-rpc, else ALLIUM_CHAIN_RPC, else the settings. @throws CliError */
export function chosenRpc(options: ChainOptions): string {
  const rpc = chosen(options, options.chainRpc, 'ALLIUM_CHAIN_RPC', 'chainRpc');
  if (rpc === undefined) {
    throw usage(
      'no chain chosen: name a JSON-RPC endpoint with --chain-rpc URL (or ALLIUM_CHAIN_RPC, or "allium chain use")',
    );
  }
  // Not quoted: the address of an endpoint often holds a key.
  if (!URL.canParse(rpc) || !/^https?:$/.test(new URL(rpc).protocol)) {
    throw usage('the address of the chain endpoint must be a URL that begins with http:// or https://');
  }
  return rpc;
}

/** --chain-deployment FILE (or its folder), else ALLIUM_CHAIN_DEPLOYMENT, else the settings. @throws CliError */
export function chosenDeployment(options: ChainOptions): Deployment {
  const given = chosen(options, options.chainDeployment, 'ALLIUM_CHAIN_DEPLOYMENT', 'deployment');
  if (given === undefined) {
    throw usage(
      'no contracts chosen: name the deployment.json of your network with --chain-deployment FILE (or ALLIUM_CHAIN_DEPLOYMENT, or "allium chain use")',
    );
  }
  let path = given;
  let text: string;
  try {
    if (statSync(given).isDirectory()) path = join(given, 'deployment.json');
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileTrouble('cannot read', `${path} (--chain-deployment)`, error);
  }
  try {
    return finishedDeployment(parseDeploymentFile(text));
  } catch (error) {
    if (error instanceof AlliumError) throw new CliError(`${path}: ${error.message}`, 1, { cause: error });
    throw error;
  }
}

/** --keystore or --rpc-signer, else ALLIUM_KEYSTORE, else the settings. Asks for the passphrase. @throws CliError */
export async function chosenSigner(options: WalletOptions): Promise<StakeSigner> {
  const keystore = keystorePath(options);
  if (options.rpcSigner !== undefined)
    return { kind: 'endpoint', address: addressOption('--rpc-signer', options.rpcSigner) };
  if (keystore === undefined) {
    throw usage(
      'no wallet chosen: --keystore FILE, or --rpc-signer ADDRESS for an account of the endpoint; "allium stake new-wallet FILE" makes a keystore',
    );
  }
  const text = keystoreText(keystore);
  const { keystoreAddress, openKeystore } = await import('@allium/chain/keystore');
  await aboutKeystore(keystore, () => keystoreAddress(text)); // before a passphrase is asked for
  const passphrase = await readPassphrase(keystore, options);
  const key = await aboutKeystore(keystore, () => openKeystore(text, passphrase));
  const privateKey: Hex = `0x${toHex(key)}`;
  key.fill(0);
  return { kind: 'key', privateKey };
}

/** The wallet's address, without its passphrase where the file tells it. @throws CliError */
export async function chosenAddress(options: WalletOptions & { readonly wallet?: string }): Promise<Hex> {
  if (options.wallet !== undefined) return addressOption('--wallet', options.wallet);
  if (options.rpcSigner !== undefined) return addressOption('--rpc-signer', options.rpcSigner);
  const keystore = keystorePath(options);
  if (keystore === undefined) throw usage('whose? --wallet ADDRESS, --keystore FILE or --rpc-signer ADDRESS');
  const text = keystoreText(keystore);
  const { keystoreAddress } = await import('@allium/chain/keystore');
  const address = await aboutKeystore(keystore, () => keystoreAddress(text));
  if (address === undefined) throw usage(`${keystore} does not tell its address: give it with --wallet`);
  return address;
}

/** @throws CliError */
export function addressOption(name: string, text: string): Hex {
  try {
    return parseAddress(text);
  } catch (error) {
    throw usage(`${name}: ${(error as Error).message}`);
  }
}

function keystorePath(options: WalletOptions): string | undefined {
  if (options.rpcSigner === undefined)
    return chosen(options, options.keystore, 'ALLIUM_KEYSTORE', 'keystore');
  if (options.keystore === undefined) return undefined;
  throw usage('both --keystore and --rpc-signer: only one of them can sign');
}

/** An empty variable counts as none. */
function chosen(
  options: { readonly home?: string },
  option: string | undefined,
  variable: string,
  setting: 'chainRpc' | 'deployment' | 'keystore',
): string | undefined {
  return option ?? (process.env[variable] || readSettings(homeFolder(options))[setting]);
}

function keystoreText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileTrouble('cannot read', `the keystore ${path}`, error);
  }
}

async function aboutKeystore<T>(path: string, run: () => T): Promise<T> {
  try {
    return run();
  } catch (error) {
    if (error instanceof AlliumError) throw new CliError(`${path}: ${error.message}`, 1, { cause: error });
    throw error;
  }
}
