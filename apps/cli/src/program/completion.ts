// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium completion`.
import { Argument, type Command } from 'commander';
import type { Done } from './options.ts';

export function addCompletion(program: Command, done: Done): void {
  program
    .command('completion')
    .description('print what completes commands, options and accounts in a shell')
    .addArgument(new Argument('<shell>').choices(['bash']))
    .addHelpText('after', '\nExample, for ~/.bashrc:\n  source <(allium completion bash)')
    .action(async () => {
      const { bashCompletion } = await import('../completion.ts');
      process.stdout.write(bashCompletion(program));
      done(0);
    });
}
