// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of the commands that look at a network: `allium path`, `health`, `explorer`.
import type { Command } from 'commander';
import { type Done, proxy, seed, wholeNumber, withNetwork, withTrust } from './options.ts';

export function addLooks(program: Command, done: Done): void {
  withNetwork(
    program.command('path').description('build the onion paths of an account and print the nodes on them'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { showPath } = await import('../commands/path.ts');
      done(await showPath(command.optsWithGlobals()));
    });
  withTrust(
    program
      .command('health')
      .description('ask every node of a network how it is')
      .addOption(seed())
      .addOption(proxy()),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { health } = await import('../commands/health.ts');
      done(await health(command.optsWithGlobals()));
    });
  program
    .command('explorer')
    .description('a web page and JSON that show a network to anybody, until Ctrl-C')
    .addOption(seed())
    .option(
      '--chain-rpc <url>',
      'of a network on a chain: JSON-RPC endpoint; several separated by commas are compared',
    )
    .option('--chain-deployment <file>', 'of a network on a chain: its deployment.json')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any free one', wholeNumber(0, 65_535), 8090)
    .addHelpText(
      'after',
      `
Examples:
  allium explorer --seed https://NODE:22021
  allium explorer --chain-rpc https://… --chain-deployment deployment.json --seed https://NODE:22021

On a chain a seed adds addresses and versions. What was read is kept below the home folder, so that a restart is quick.`,
    )
    .action(async (_options, command: Command) => {
      const { runExplorer } = await import('../commands/explorer.ts');
      done(await runExplorer(command.optsWithGlobals()));
    });
}
