// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium send`, `listen`, `chat`, `history`, `resend`, `react`, `delete`, `read`.
import { type Command, Option } from 'commander';
import { MOST_LOCK_MINUTES } from '../lock-settings.ts';
import { CONTACT, collect, type Done, wholeNumber, withNetwork } from './options.ts';

const MESSAGE = 'its timestamp or hash, as "allium history --ids" tells it';
const WAIT = 'then wait until a device of the recipient has it (default: 300 s)';
const TIMEOUT = 'give up storing it after this time (default: 60, with files 3600)';

export function addMessages(program: Command, done: Done): void {
  withNetwork(
    program
      .command('send')
      .description('send a message, text or files; the exit code tells whether the network stored it')
      .argument('<contact>', CONTACT)
      .argument(
        '[text]',
        'the text, or "-" to read it from standard input (default: "-", with --file: none)',
      ),
  )
    .option('--file <path>', 'send this file too (repeat, at most 32)', collect)
    .option('--voice', 'the file is a voice message')
    .option('--duration <seconds>', 'how long the voice message is', wholeNumber(1, 86_400))
    .option('--json', 'print one line of JSON')
    .option(
      '--reply-to <message>',
      'answer a message: its timestamp or hash, as "allium listen --json" tells it',
    )
    .option('--wait [seconds]', WAIT, wholeNumber(1, 1e6))
    .option('--timeout <seconds>', TIMEOUT, wholeNumber(1, 1e6))
    .addHelpText(
      'after',
      `
Examples:
  allium send 05ab…cd "hello"
  allium send ben "hello"                      after "allium contacts name 05ab…cd ben"
  allium send 05ab…cd "hello" --wait 60
  allium send 05ab…cd "look" --file cat.jpg --file dog.jpg
  uptime | allium send 05ab…cd -

Exit codes: 0 stored by the recipient's swarm (with --wait: delivered), 1 not stored, 2 wrong usage,
3 with --wait: stored, but not known to be delivered in time. Only who has accepted you confirms.`,
    )
    .action(async (contact: string, text: string | undefined, _options, command: Command) => {
      const { send } = await import('../commands/send.ts');
      done(await send(contact, text, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('listen')
      .description('print messages as they arrive, and those that waited, until Ctrl-C'),
  )
    .option('--json', 'print each message as one line of JSON')
    .option('--events', 'print reactions, edits, deletions, receipts and requests too')
    .option('--save <folder>', 'save files of people whom you have accepted there, never over another file')
    .addOption(
      new Option('--save-from <who>', 'whose files --save takes')
        .choices(['contacts', 'anyone'])
        .default('contacts'),
    )
    .option('--save-max <bytes>', 'larger files are not saved (default: 100000000)', wholeNumber(1, 4e9))
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
  )
    .option(
      '--lock-after <minutes>',
      'lock the account after so long without a key; 0: only by Ctrl+X (default: as the settings of the chat keep it)',
      wholeNumber(0, MOST_LOCK_MINUTES),
    )
    .action(async (_options, command: Command) => {
      // React's other build checks itself at every render.
      process.env.NODE_ENV ??= 'production';
      const { runChat } = await import('../commands/chat.ts');
      done(await runChat(command.optsWithGlobals()));
    });
  addMessageActions(program, done);
}

function addMessageActions(program: Command, done: Done): void {
  withNetwork(
    program
      .command('history')
      .description('print what was said with somebody, from this device')
      .argument('<contact>', CONTACT),
  )
    .option('--limit <n>', 'at most so many, the newest', wholeNumber(1, 1e7), 50)
    .option('--ids', 'with the timestamps that other commands take for MESSAGE')
    .option('--before <message>', `only what stands before this message: ${MESSAGE}`)
    .option('--json', 'print each message as one line of JSON')
    .action(async (contact: string, _options, command: Command) => {
      const { showHistory } = await import('../commands/message.ts');
      done(await showHistory(contact, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('resend')
      .description('send a message again that was not sent; the exit code is that of "allium send"')
      .argument('<contact>', CONTACT)
      .argument('<message>', MESSAGE),
  )
    .option('--wait [seconds]', WAIT, wholeNumber(1, 1e6))
    .option('--timeout <seconds>', TIMEOUT, wholeNumber(1, 1e6))
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, message: string, _options, command: Command) => {
      const { resend } = await import('../commands/send.ts');
      done(await resend(contact, message, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('react')
      .description('react to a message with an emoji')
      .argument('<contact>', CONTACT)
      .argument('<message>', MESSAGE)
      .argument('<emoji>', 'one emoji'),
  )
    .option('--remove', 'take the reaction back')
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, message: string, emoji: string, _options, command: Command) => {
      const { react } = await import('../commands/message.ts');
      done(await react(contact, message, emoji, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('delete')
      .description('delete a message from this device, or one of yours for everyone')
      .argument('<contact>', CONTACT)
      .argument('<message>', MESSAGE),
  )
    .option('--for-everyone', 'ask the clients of the other side to delete it too')
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, message: string, _options, command: Command) => {
      const { deleteMessage } = await import('../commands/message.ts');
      done(await deleteMessage(contact, message, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('read')
      .description('mark a conversation as read, up to a message or all of it')
      .argument('<contact>', CONTACT)
      .argument('[message]', MESSAGE),
  )
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, message: string | undefined, _options, command: Command) => {
      const { markRead } = await import('../commands/message.ts');
      done(await markRead(contact, message, command.optsWithGlobals()));
    });
}
