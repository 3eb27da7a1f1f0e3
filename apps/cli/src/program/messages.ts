// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium send`, `allium listen` and `allium chat`.
import type { Command } from 'commander';
import { type Done, wholeNumber, withNetwork } from './options.ts';

export function addMessages(program: Command, done: Done): void {
  withNetwork(
    program
      .command('send')
      .description('send a text message; the exit code tells whether the network stored it')
      .argument('<id>', 'account id of the recipient (66 hex digits that begin with 05)')
      .argument('[text]', 'the text, or "-" to read it from standard input', '-'),
  )
    .option('--json', 'print one line of JSON')
    .option('--timeout <seconds>', 'give up after this time', wholeNumber(1, 3600), 60)
    .addHelpText(
      'after',
      `
Examples:
  allium send 05ab…cd "hello"
  uptime | allium send 05ab…cd -

Exit codes: 0 stored by the recipient's swarm, 1 not stored, 2 wrong usage.`,
    )
    .action(async (id: string, text: string, _options, command: Command) => {
      const { send } = await import('../commands/send.ts');
      done(await send(id, text, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('listen')
      .description('print messages as they arrive, and those that waited, until Ctrl-C'),
  )
    .option('--json', 'print each message as one line of JSON')
    .option('--count <n>', 'end after this many messages', wholeNumber(1, 1e9))
    .option('--timeout <seconds>', 'end with code 1 when --count is not reached in time', wholeNumber(1, 1e6))
    .action(async (_options, command: Command) => {
      const { listen } = await import('../commands/listen.ts');
      done(await listen(command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('chat')
      .description(
        'conversations in the terminal: read, write, answer, react; keyboard only, F1 shows the keys',
      ),
  ).action(async (_options, command: Command) => {
    const { runChat } = await import('../commands/chat.ts');
    done(await runChat(command.optsWithGlobals()));
  });
}
