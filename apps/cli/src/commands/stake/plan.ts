// SPDX-License-Identifier: AGPL-3.0-or-later
// What every command that spends does: try the transactions, show them, ask, send them, and tell what came of them.
import { ether } from '@allium/chain/stake/amounts';
import type { Mined, StakeSession, Trial } from '@allium/chain/stake/session';
import type { PlannedTransaction } from '@allium/chain/stake/transactions';
import { CliError } from '../../cli-error.ts';
import { askLine, harmless, print, printJson, progress, remark, styled } from '../../terminal.ts';

export interface SpendOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Exit code 0: done, or shown; 1: the person said no. @throws StakeError, CliError */
export async function carryOut(
  session: StakeSession,
  steps: readonly PlannedTransaction[],
  options: SpendOptions,
): Promise<number> {
  const trial = await session.tryOut(steps);
  if (options.dryRun === true) {
    if (options.json === true) printJson({ sent: false, ...planJson(session, steps, trial) });
    else {
      showPlan(session, steps, trial);
      print('Nothing was sent (--dry-run).');
    }
    return 0;
  }
  if (options.json !== true) showPlan(session, steps, trial);
  if (!(await agreed(options))) {
    print('Nothing was sent.');
    return 1;
  }
  const done: Mined[] = [];
  for (const [index, step] of steps.entries()) {
    const mined = await sendStep(session, step, index, steps.length, done.length, options);
    done.push(mined);
  }
  if (options.json === true) {
    printJson({
      sent: true,
      ...planJson(session, steps, trial),
      transactions: done.map(({ hash, block, gasUsed, cost, outcomes }) => ({
        hash,
        block,
        gasUsed: String(gasUsed),
        costWei: String(cost),
        outcomes,
      })),
    });
  }
  return 0;
}

async function sendStep(
  session: StakeSession,
  step: PlannedTransaction,
  index: number,
  of: number,
  doneBefore: number,
  options: SpendOptions,
): Promise<Mined> {
  const label = of === 1 ? step.title : `${index + 1}/${of} ${step.title}`;
  const line = progress(label);
  try {
    const mined = await session.send(step, (hash) => {
      if (options.json !== true) {
        line.done();
        print(`${label}: sent as ${hash}, waiting for its block`);
      }
    });
    line.done();
    if (options.json !== true) {
      print(`${styled('green', '✓')} in block ${mined.block}, for ${ether(mined.cost)} ETH of gas`);
      for (const { words } of mined.outcomes) print(`  ${capital(harmless(words))}.`);
    }
    return mined;
  } catch (error) {
    line.done();
    if (doneBefore === 0) throw error;
    throw new CliError(
      `${step.title}: ${(error as Error).message}. What went before is done and need not be repeated: run the same command again`,
      1,
      { cause: error },
    );
  }
}

async function agreed({ yes, json }: SpendOptions): Promise<boolean> {
  if (yes === true) return true;
  if (json === true || !process.stdin.isTTY) {
    throw new CliError('nobody can be asked here: add --yes to send, or --dry-run to look', 2);
  }
  const answer = await askLine('Send? Write yes');
  return /^\s*y(es)?\s*$/i.test(answer);
}

function showPlan(session: StakeSession, steps: readonly PlannedTransaction[], trial: Trial): void {
  const { chainId, preset } = session.deployment;
  print(`From ${session.address} on chain ${chainId} (${preset}):`);
  for (const [index, step] of steps.entries()) {
    print();
    print(`${steps.length > 1 ? `${index + 1}. ` : ''}${styled('bold', step.title)}`);
    print(`   to        ${step.to} (${step.contract})`);
    print(`   function  ${step.functionName}`);
    for (const { name, value } of namedArguments(step)) print(`     ${name.padEnd(14)} ${value}`);
    print(`   data      ${step.data}`);
    const gas = trial.gas[index];
    print(
      gas === undefined
        ? '   gas       known once the step before is done'
        : `   gas       about ${gas}, at most ${ether(gas * trial.gasPrice)} ETH`,
    );
  }
  print();
  if (!trial.isWhole) {
    remark(
      'note: this endpoint cannot try several steps at once; the later ones are checked when their turn comes',
    );
  }
}

function planJson(session: StakeSession, steps: readonly PlannedTransaction[], trial: Trial) {
  return {
    from: session.address,
    chainId: session.deployment.chainId,
    steps: steps.map((step, index) => ({
      title: step.title,
      to: step.to,
      contract: step.contract,
      function: step.functionName,
      arguments: Object.fromEntries(namedArguments(step).map(({ name, value }) => [name, value])),
      data: step.data,
      gas: trial.gas[index] === undefined ? null : String(trial.gas[index]),
    })),
    gasPriceWei: String(trial.gasPrice),
    costWei: String(trial.cost),
  };
}

/** With the names of the contract; members of structs as `registration.feeBps`. */
function namedArguments({ abi, functionName, args }: PlannedTransaction): { name: string; value: string }[] {
  const item = abi.find(
    (one) => one.type === 'function' && one.name === functionName && one.inputs.length === args.length,
  );
  const inputs = item?.type === 'function' ? item.inputs : [];
  return args.flatMap((value, index) => flat(inputs[index]?.name ?? String(index), value));
}

function flat(name: string, value: unknown): { name: string; value: string }[] {
  if (Array.isArray(value)) {
    return value.length === 0
      ? [{ name, value: '(none)' }]
      : value.flatMap((one, index) => flat(`${name}[${index}]`, one));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([member, one]) => flat(`${name}.${member}`, one));
  }
  return [{ name, value: String(value) }];
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
