// SPDX-License-Identifier: AGPL-3.0-or-later
import { InputError } from '@allium/chain/input-error';
import { parseTokens } from '@allium/chain/stake/amounts';
import { StakeSession } from '@allium/chain/stake/session';
import {
  type ChainOptions,
  chosenDeployment,
  chosenRpc,
  chosenSigner,
  type WalletOptions,
} from '../../chain-options.ts';
import { usage } from '../../cli-error.ts';
import type { SpendOptions } from './plan.ts';

export interface StakeOptions extends ChainOptions, WalletOptions, SpendOptions {}

/** The wallet of the options at their network. @throws CliError, StakeError */
export async function openSession(options: StakeOptions): Promise<StakeSession> {
  const rpc = chosenRpc(options);
  const deployment = chosenDeployment(options);
  return StakeSession.open({ rpc, deployment, signer: await chosenSigner(options) });
}

/** @throws CliError */
export function tokensOption(name: string, text: string): bigint {
  try {
    return parseTokens(text);
  } catch (error) {
    if (error instanceof InputError) throw usage(`${name}: ${error.message}`);
    throw error;
  }
}
