// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium resolve`.
import type { Command } from 'commander';
import { type Done, wholeNumber, withNetwork } from './options.ts';

export function addNames(program: Command, done: Done): void {
  withNetwork(
    program
      .command('resolve')
      .description('print the account id of a name, as three service nodes agree')
      .argument('<name>', 'letters, digits, "_" and "-"'),
  )
    .option('--json', 'print {"name","id"} on one line')
    .option('--timeout <seconds>', 'give up after this time', wholeNumber(1, 3600), 60)
    .action(async (name: string, _options, command: Command) => {
      const { resolve } = await import('../commands/resolve.ts');
      done(await resolve(name, command.optsWithGlobals()));
    });
}
