// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium account`.
import type { Command } from 'commander';
import {
  accountName,
  type Done,
  newPassphraseDescriptor,
  noPassphrase,
  passphraseDescriptor,
  proxy,
  seed,
  wholeNumber,
  withNetwork,
  withTrust,
} from './options.ts';

export function addAccounts(program: Command, done: Done): void {
  const account = program
    .command('account')
    .description('make, restore, show, list, protect and wipe accounts');
  account
    .command('new')
    .description('make an account and print its id and recovery phrase')
    .option('--account <name>', 'name of the account on this machine', 'main')
    .addOption(noPassphrase())
    .addOption(passphraseDescriptor())
    .option('--json', 'print {"name","id","phrase"} on one line')
    .action(async (_options, command: Command) => {
      const { newAccount } = await import('../commands/account.ts');
      done(await newAccount(command.optsWithGlobals()));
    });
  withTrust(
    account
      .command('restore')
      .description(
        'bring an account back from its recovery phrase, asked for or read from standard input: contacts, settings and the ' +
          'messages of the last 14 days come from the network',
      )
      .option('--account <name>', 'name of the account on this machine', 'main')
      .addOption(seed())
      .addOption(proxy())
      .addOption(noPassphrase())
      .addOption(passphraseDescriptor()),
  )
    .option('--again', 'also where the account is on this machine under another name')
    .option('--offline', 'fetch nothing now; "allium devices --sync" does that later')
    .option('--timeout <seconds>', 'give up fetching after this time', wholeNumber(1, 3600), 120)
    .option('--json', 'print {"name","id","restored"} on one line')
    .addHelpText(
      'after',
      `
Examples:
  allium account restore --account phone
  allium account restore < phrase.txt          the phrase never stands on the command line

Exit codes: 0 restored, 1 the network did not give all of it: "allium devices --sync" tries again, 2 wrong usage`,
    )
    .action(async (_options, command: Command) => {
      const { restoreAccount } = await import('../commands/account.ts');
      done(await restoreAccount(command.optsWithGlobals()));
    });
  account
    .command('show')
    .description('print the id of an account')
    .addOption(accountName())
    .option('--phrase', 'print the recovery phrase too (needs the passphrase)')
    .addOption(passphraseDescriptor())
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { showAccount } = await import('../commands/account.ts');
      done(await showAccount(command.optsWithGlobals()));
    });
  account
    .command('proxy')
    .description('keep the only way out of an account, or show it')
    .argument('[url]', 'such as socks5://127.0.0.1:9050 (Tor), or "none"')
    .addOption(accountName())
    .option('--json', 'print one line of JSON')
    .action(async (url: string | undefined, _options, command: Command) => {
      const { accountProxy } = await import('../commands/account-proxy.ts');
      done(await accountProxy(url, command.optsWithGlobals()));
    });
  account
    .command('passphrase')
    .description('protect the account by another passphrase, by a key file, or not at all')
    .addOption(accountName())
    .addOption(passphraseDescriptor())
    .addOption(newPassphraseDescriptor())
    .option(
      '--new-key-file <file>',
      'protect it by this file instead of a passphrase; made if it does not exist',
    )
    .addOption(noPassphrase())
    .addHelpText(
      'after',
      `
The messages stay as they are: they are encrypted with a key of the account. Old backups of the account file keep their
old passphrase.`,
    )
    .action(async (_options, command: Command) => {
      const { changePassphrase } = await import('../commands/account-protection.ts');
      done(await changePassphrase(command.optsWithGlobals()));
    });
  withNetwork(
    account
      .command('wipe')
      .description('remove an account from this machine: its secret first, then messages and files'),
  )
    .option('--swarm', 'before that remove what the network keeps for the account (needs its passphrase)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      `
Without the recovery phrase or an archive with the secret the account is gone for ever. Other devices of the account, and
those to whom you wrote, keep what they have.`,
    )
    .action(async (_options, command: Command) => {
      const { wipeAccount } = await import('../commands/account-wipe.ts');
      done(await wipeAccount(command.optsWithGlobals()));
    });
  account
    .command('list')
    .description('list the accounts on this machine')
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { listAccounts } = await import('../commands/account.ts');
      done(await listAccounts(command.optsWithGlobals()));
    });
}
