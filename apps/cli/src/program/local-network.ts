// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium demo` and `allium devnet`.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Done, wholeNumber } from './options.ts';

export function addLocalNetwork(program: Command, done: Done): void {
  program
    .command('demo')
    .description(
      'start a network on this machine, with a chain that says who is in it, and send a message through it, step by step',
    )
    .option('--web-port <port>', 'where its web page is', wholeNumber(0, 65_535), 8180)
    .option('--no-web', 'without gateway, file server and web page')
    .option('--once', 'end after the walk: exit code 0 when every step worked, else 1')
    .option('--nodes <n>', 'number of service nodes', wholeNumber(8, 200), 14)
    .option('--static', 'without chain and tokens: a signed list says who is in the network')
    .option(
      '--folder <folder>',
      'where its state is kept (default: .allium/chain-devnet, with --static .allium/devnet)',
    )
    .option('--reset', 'forget the state of earlier runs first')
    .action(async (_options, command: Command) => {
      const { runDemo } = await import('../commands/demo.ts');
      done(await runDemo(command.optsWithGlobals()));
    });
  program
    .command('devnet')
    .description('run a network of service nodes on this machine until Ctrl-C')
    .option(
      '--nodes <n>',
      'number of service nodes (14 are the fewest that make two swarms)',
      wholeNumber(1, 500),
    )
    .option('--chain', 'with a chain of its own that says who is in the network, instead of a signed list')
    .option('--swarms <sizes>', 'fix the swarms by hand, e.g. 5,5 for two swarms of five', swarmSizes)
    .option('--processes', 'run each node as a process of its own')
    .option('--ready-file <file>', 'write addresses, keys and process ids there once all nodes answer')
    .option('--folder <folder>', 'keep its state there (default: a temporary folder, removed at the end)')
    .option('--reset', 'forget the state of that folder first')
    .option('--no-rate-limit', 'let one address make any number of requests (for load tests)')
    .addOption(
      new Option('--log-level <level>', 'what nodes log, to standard error')
        .choices(['error', 'warn', 'info', 'debug', 'silent'])
        .default('error'),
    )
    .addHelpText(
      'after',
      `
Examples:
  allium devnet --nodes 14
  allium devnet --swarms 5,5 --processes --ready-file ready.json --no-rate-limit
  allium devnet --chain --folder net

The ready file holds {"seed":"https://127.0.0.1:P","nodes":[{"host","port","omqPort","ed25519","x25519","swarm","pid"}…]};
with --chain also {"chain":{"rpc","deployment"}}, the file being what --chain-deployment takes.`,
    )
    .action(async (_options, command: Command) => {
      const { runDevnet } = await import('../commands/devnet.ts');
      done(await runDevnet(command.optsWithGlobals()));
    });
}

function swarmSizes(text: string): number[] {
  const sizes = text.split(',').map(Number);
  if (!/^\d{1,3}(,\d{1,3})*$/.test(text) || sizes.some((size) => size === 0)) {
    throw new InvalidArgumentError('It must be sizes separated by commas, such as 5,5.');
  }
  return sizes;
}
