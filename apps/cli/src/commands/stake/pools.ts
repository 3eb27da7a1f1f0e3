// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium stake pools`: the pools that anybody, or this wallet, can join.
import { tokens } from '@allium/chain/stake/amounts';
import { readOpenPools } from '@allium/chain/stake/holdings';
import { StakeSession } from '@allium/chain/stake/session';
import { chosenAddress, chosenDeployment, chosenRpc } from '../../chain-options.ts';
import { print, printJson } from '../../terminal.ts';
import type { StakeOptions } from './session.ts';

const NOBODY = `0x${'00'.repeat(19)}01` as const;

export async function listPools(options: StakeOptions & { wallet?: string }): Promise<number> {
  const rpc = chosenRpc(options);
  const deployment = chosenDeployment(options);
  const { wallet, keystore, rpcSigner } = options;
  const isNamed = [wallet, keystore, rpcSigner].some((one) => one !== undefined);
  const address = isNamed ? await chosenAddress(options) : NOBODY;
  const session = await StakeSession.open({ rpc, deployment, signer: { kind: 'nobody', address } });
  const pools = await readOpenPools(session);
  if (options.json === true) {
    printJson(
      JSON.parse(JSON.stringify(pools, (_, value) => (typeof value === 'bigint' ? String(value) : value))),
    );
    return 0;
  }
  if (pools.length === 0) {
    print('No pool takes contributions now. "allium stake register FILE --pool" opens one.');
    return 0;
  }
  print(`${'POOL'.padEnd(8)}${'FEE'.padEnd(9)}${'FILLED'.padEnd(22)}${'TAKES'.padEnd(24)}OPERATOR`);
  for (const { poolId, feeBps, contributed, requirement, least, most, operator } of pools) {
    const takes = least === most ? tokens(most) : `${tokens(least)} to ${tokens(most)}`;
    print(
      [
        String(poolId).padEnd(8),
        `${feeBps / 100} %`.padEnd(9),
        `${tokens(contributed)} of ${tokens(requirement)}`.padEnd(22),
        takes.padEnd(24),
        operator,
      ].join(''),
    );
  }
  print();
  print(
    'Join one by "allium stake contribute POOL TOKENS". The fee is taken from the rewards before they are shared out.',
  );
  return 0;
}
