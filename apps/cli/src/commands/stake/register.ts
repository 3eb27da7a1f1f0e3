// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium stake register`: a node from its registration file, with the whole stake or as a pool that others fill. All that
// can be known is checked before anything is spent.
import { readFileSync } from 'node:fs';
import { tokens } from '@allium/chain/stake/amounts';
import { nodesWithKey } from '@allium/chain/stake/holdings';
import {
  parseRegistrationFile,
  type RegistrationFile,
  RegistrationFileError,
} from '@allium/chain/stake/registration-file';
import type { StakeSession } from '@allium/chain/stake/session';
import { openPool, register } from '@allium/chain/stake/transactions';
import { addressOption } from '../../chain-options.ts';
import { CliError, fileTrouble, usage } from '../../cli-error.ts';
import { remark } from '../../terminal.ts';
import { carryOut } from './plan.ts';
import { openSession, type StakeOptions, tokensOption } from './session.ts';

export interface RegisterOptions extends StakeOptions {
  /** Basis points. */
  readonly fee?: number;
  readonly beneficiary?: string;
  readonly pool?: boolean;
  readonly amount?: string;
  readonly reserve?: readonly string[];
  readonly manual?: boolean;
}

export async function registerNode(file: string, options: RegisterOptions): Promise<number> {
  const registration = readRegistration(file);
  const amount = options.amount === undefined ? undefined : tokensOption('--amount', options.amount);
  const reserved = (options.reserve ?? []).map(reservation);
  if (options.pool === true && (amount === undefined || options.fee === undefined)) {
    throw usage(
      'a pool needs --amount TOKENS, your own contribution, and --fee PERCENT, which those who join go by',
    );
  }
  if (options.pool !== true && (amount !== undefined || reserved.length > 0 || options.manual === true)) {
    throw usage(
      '--amount, --reserve and --manual are for pools: add --pool, or leave them out to lock the whole stake',
    );
  }
  const beneficiary =
    options.beneficiary === undefined ? undefined : addressOption('--beneficiary', options.beneficiary);
  const session = await openSession(options);
  await checkRegistration(registration, session);
  const { requirement, maxContributors } = await session.terms();
  const terms = {
    keys: registration,
    feeBps: options.fee ?? 0,
    ...(beneficiary !== undefined && { beneficiary }),
  };
  if (options.pool !== true || amount === undefined) {
    await session.needTokens(requirement);
    const { registry } = session.deployment;
    const steps = [
      ...(await session.approvalFor('registry', requirement)),
      register(registry, terms, requirement),
    ];
    return carryOut(session, steps, options);
  }
  checkPool(amount, reserved, requirement, maxContributors, session);
  await session.needTokens(amount);
  const pool = { ...terms, amount, reserved, manualFinalize: options.manual === true };
  const steps = [...(await session.approvalFor('pools', amount)), openPool(session.deployment.pools, pool)];
  return carryOut(session, steps, options);
}

function readRegistration(file: string): RegistrationFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw fileTrouble('cannot read', file, error);
  }
  try {
    return parseRegistrationFile(text);
  } catch (error) {
    if (error instanceof RegistrationFileError)
      throw new CliError(`${file}: ${error.message}`, 1, { cause: error });
    throw error;
  }
}

async function checkRegistration(file: RegistrationFile, session: StakeSession): Promise<void> {
  const { chainId, registry } = session.deployment;
  if (file.chainId !== chainId || file.registry !== registry) {
    throw new CliError(
      `the registration file is for registry ${file.registry} on chain ${file.chainId}, this network has ${registry} on chain ${chainId}`,
    );
  }
  if (file.operator !== session.address) {
    throw new CliError(
      `the registration file names the operator ${file.operator}, this wallet is ${session.address}: use that wallet, or make the file anew with "allium node registration --operator ${session.address}"`,
    );
  }
  const others = await nodesWithKey(session, file.ed25519);
  const own = others.find(({ operator }) => operator === session.address);
  if (own !== undefined) {
    throw new CliError(
      `this node is registered already, as node ${own.nodeId}; its key can be registered again once it has left`,
    );
  }
  if (others.length > 0) {
    remark(
      `note: node ${others[0]!.nodeId} of ${others[0]!.operator} has the same key. Unless this machine signed that registration too, it is invalid and does no harm`,
    );
  }
}

function checkPool(
  amount: bigint,
  reserved: readonly { amount: bigint }[],
  requirement: bigint,
  maxContributors: number,
  session: StakeSession,
): void {
  const least = (requirement + 3n) / 4n;
  if (amount < least) {
    throw new CliError(
      `whoever opens a pool puts in at least a quarter of the stake: ${tokens(least)} tokens`,
    );
  }
  const whole = reserved.reduce((sum, one) => sum + one.amount, amount);
  if (whole > requirement) {
    throw new CliError(
      `your contribution and what you reserve are ${tokens(whole)} tokens, the stake is ${tokens(requirement)}`,
    );
  }
  if (amount === requirement) {
    throw new CliError('that is the whole stake: leave out --pool to register the node alone');
  }
  if (reserved.length >= maxContributors) {
    throw new CliError(`a node has at most ${maxContributors} contributors, ${session.address} among them`);
  }
}

function reservation(text: string): { staker: `0x${string}`; amount: bigint } {
  const [address = '', amount = '', ...more] = text.split('=');
  if (amount === '' || more.length > 0) throw usage('--reserve is written ADDRESS=TOKENS');
  return { staker: addressOption('--reserve', address), amount: tokensOption('--reserve', amount) };
}
