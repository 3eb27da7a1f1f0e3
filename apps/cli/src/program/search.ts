// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium search`, `timer`, `edit`.
import type { Command } from 'commander';
import { pointInTime } from '../durations.ts';
import { CONTACT, type Done, wholeNumber, withNetwork } from './options.ts';

export function addSearch(program: Command, done: Done): void {
  withNetwork(
    program
      .command('search')
      .description('find messages on this device, newest first')
      .argument(
        '[words...]',
        'all must be in the message, in any order; the last may be a beginning: "hel*"',
      ),
  )
    .option('--phrase', 'the words stand together in this order')
    .option('--from <who>', `who sent it: ${CONTACT}, or "me"`)
    .option('--in <contact>', `only the conversation with: ${CONTACT}, or "me" for notes to self`)
    .option('--since <when>', 'not before: 2026-05-31, 2026-05-31T18:00, or how long ago (7d)', pointInTime)
    .option('--until <when>', 'before: as --since', pointInTime)
    .option('--kind <kind>', 'only text, link, file, image, video, audio or voice')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 1e7), 20)
    .option('--json', 'print each message as one line of JSON')
    .addHelpText(
      'after',
      `
Examples:
  allium search lunch
  allium search 'green hel*'                   the star in quotes, or the shell takes it
  allium search --phrase "see you at" --from 05ab…cd --since 30d
  allium search --kind file --in me

Case and accents do not matter. Exit codes: 0 something found, 1 nothing, 2 wrong usage.`,
    )
    .action(async (words: string[], _options, command: Command) => {
      const { searchMessages } = await import('../commands/search.ts');
      done(await searchMessages(words, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('timer')
      .description('show or set after which time what you send to somebody disappears')
      .argument('<contact>', CONTACT)
      .argument('[time]', '"off", or a time: 30s, 5m, 12h, 1d, 2w; without it the timer is shown'),
  )
    .option('--after-read', 'count from reading, not from sending')
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, time: string | undefined, _options, command: Command) => {
      const { setTimer } = await import('../commands/timer.ts');
      done(await setTimer(contact, time, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('edit')
      .description('replace the text of a message that you sent, within a day')
      .argument('<contact>', CONTACT)
      .argument('<message>', 'its timestamp or hash, as "allium history --ids" tells it')
      .argument('<text>', 'the new text'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, message: string, text: string, _options, command: Command) => {
      const { editMessage } = await import('../commands/edit.ts');
      done(await editMessage(contact, message, text, command.optsWithGlobals()));
    });
}
