// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium calculate`.
import { type Command, InvalidArgumentError } from 'commander';

export function addCalculators(program: Command, done: (code: number) => void): void {
  const calculate = program
    .command('calculate')
    .description('what an attack on a network costs, and how likely it succeeds')
    .addHelpText(
      'after',
      `
Examples:
  allium calculate cost --share 20%                      stakes for a fifth of all nodes
  allium calculate quorum --share 20% --quorum-size 20   the chance to decide over a node
  allium calculate swarm --share 1/3                     the chance to hold a swarm

The formulas are in docs/calculators.md.`,
    );
  calculate
    .command('cost')
    .description('tokens and time that a share of all nodes costs')
    .requiredOption('--share <part>', 'of all nodes afterwards, e.g. 0.2, 20% or 1/5', share)
    .option('--nodes <n>', 'nodes of honest operators', count, 1500)
    .option('--stake <tokens>', 'stake of one node', count, 15_000)
    .option('--entry-limit <part>', 'new nodes per epoch, as a part of the active ones', share, 0.05)
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { calculateCost } = await import('../commands/calculate.ts');
      done(calculateCost(command.optsWithGlobals()));
    });
  calculate
    .command('quorum')
    .description(
      'chance that whoever runs a share of the nodes decides over one node, or blocks the decision',
    )
    .requiredOption('--share <part>', 'of all nodes, e.g. 0.2, 20% or 1/5', share)
    .option('--nodes <n>', 'all nodes', count, 1500)
    .option('--quorum-size <n>', 'seats', count, 10)
    .option('--epochs-per-day <n>', 'each node has a quorum in each epoch', count, 24)
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { calculateQuorum } = await import('../commands/calculate.ts');
      done(calculateQuorum(command.optsWithGlobals()));
    });
  calculate
    .command('swarm')
    .description(
      'chance that whoever runs a share of the nodes sits in the swarm of an account, or is all of it',
    )
    .requiredOption('--share <part>', 'of all nodes, e.g. 0.2, 20% or 1/5', share)
    .option('--nodes <n>', 'all nodes', count, 1500)
    .option('--swarm-size <n>', 'members of the swarm', count, 7)
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { calculateSwarm } = await import('../commands/calculate.ts');
      done(calculateSwarm(command.optsWithGlobals()));
    });
}

function share(text: string): number {
  const [, number = '', percent, divisor] = /^(\d{1,9}(?:\.\d{1,9})?)(?:(%)|\/(\d{1,9}))?$/.exec(text) ?? [];
  const value = Number(number) / (percent === undefined ? Number(divisor ?? 1) : 100);
  if (number === '' || !(value >= 0 && value < 1)) {
    throw new InvalidArgumentError('It must be at least 0 and less than 1, such as 0.2, 20% or 1/5.');
  }
  return value;
}

function count(text: string): number {
  const value = Number(text);
  if (!/^\d{1,7}$/.test(text) || value < 1) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 9999999.');
  }
  return value;
}
