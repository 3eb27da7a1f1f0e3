// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium contacts`.

import { quote } from '@allium/protocol/errors';
import type { Command } from 'commander';
import { usage } from '../cli-error.ts';
import type { ContactAction } from '../commands/contacts.ts';
import { CONTACT, type Done, withNetwork } from './options.ts';

const ACTIONS: readonly (readonly [ContactAction, string])[] = [
  ['accept', 'accept somebody who asks to write; they are told'],
  ['decline', 'decline a request: its messages are deleted, nobody is told'],
  ['block', 'drop all that somebody sends; they are not told'],
  ['unblock', 'take that back'],
  ['remove', 'forget a contact, with all messages on your devices; nobody is told'],
];

export function addContacts(program: Command, done: Done): void {
  const contacts = program.command('contacts').description('who may write to you, who asks, who is blocked');
  withNetwork(contacts.command('list', { isDefault: true }).description('list all contacts'))
    .option('--json', 'print one line of JSON')
    .allowExcessArguments()
    .action(async (_options, command: Command) => {
      // A slip in the name of a command arrives here.
      const [word] = command.args;
      if (word !== undefined) {
        const known = contacts.commands.map((one) => one.name()).join(', ');
        throw usage(`${quote(word)} is no command of "allium contacts": ${known}`);
      }
      const { listContacts } = await import('../commands/contacts.ts');
      done(await listContacts(command.optsWithGlobals()));
    });
  withNetwork(contacts.command('blocked').description('list those whose messages are dropped'))
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { listBlocked } = await import('../commands/contacts.ts');
      done(await listBlocked(command.optsWithGlobals()));
    });
  withNetwork(contacts.command('requests').description('list those who ask to write, and what they wrote'))
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { listRequests } = await import('../commands/contacts.ts');
      done(await listRequests(command.optsWithGlobals()));
    });
  for (const [action, description] of ACTIONS) {
    withNetwork(contacts.command(action).description(description).argument('<contact>', CONTACT))
      .option('--json', 'print one line of JSON')
      .action(async (contact: string, _options, command: Command) => {
        const { changeContact } = await import('../commands/contacts.ts');
        done(await changeContact(action, contact, command.optsWithGlobals()));
      });
  }
  withNetwork(
    contacts
      .command('name')
      .description('call a contact by a name of your own; without a name, by theirs again')
      .argument('<contact>', CONTACT)
      .argument('[name]', 'the name, on all your devices'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (contact: string, name: string | undefined, _options, command: Command) => {
      const { nameContact } = await import('../commands/contacts.ts');
      done(await nameContact(contact, name, command.optsWithGlobals()));
    });
}
