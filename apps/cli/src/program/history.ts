// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium export` and `allium import`.
import { type Command, Option } from 'commander';
import { accountName, type Done, noPassphrase, passphraseDescriptor, wholeNumber } from './options.ts';

export function addHistory(program: Command, done: Done): void {
  program
    .command('export')
    .description(
      'take the history of an account along: as an encrypted archive, as JSON lines, or as one HTML file',
    )
    .addOption(
      new Option('--format <format>', 'archive: encrypted, can be imported; jsonl, html: readable by anybody')
        .choices(['archive', 'jsonl', 'html'])
        .default('archive'),
    )
    .option(
      '--out <file>',
      'default: allium-ACCOUNT-DATE.allium (.jsonl, .html) in this folder; "-": jsonl or html to standard output',
    )
    .option('--conversation <id>', 'only this conversation')
    .option('--media', 'with the files of messages that are on this device')
    .option('--resume', 'go on with an archive whose writing was stopped')
    .option('--with-secret', 'put the secret of the account into the archive: whoever opens it is you')
    .option('--force', 'overwrite an existing file')
    .option('--json', 'print one line of JSON')
    .addOption(accountName())
    .addOption(passphraseDescriptor())
    .addOption(archiveDescriptor())
    .addHelpText(
      'after',
      `
Examples:
  allium export --out backup.allium            asks for a passphrase for the archive
  allium export --format html --media          one file for a browser or a printer
  allium export --format jsonl --conversation 05ab…cd --out - | grep lunch

The archive has a passphrase of its own, from --archive-passphrase-fd, else ALLIUM_ARCHIVE_PASSPHRASE_FILE, else asked for.
State is a digest of all that the archive carries; "allium import" prints it too.
Exit codes: 0 done, 1 not done, 2 wrong usage, 130 stopped (go on with --resume).`,
    )
    .action(async (_options, command: Command) => {
      const { exportHistory } = await import('../commands/export.ts');
      done(await exportHistory(command.optsWithGlobals()));
    });
  program
    .command('import')
    .description('read an archive into its account, empty or used; nothing comes twice, nothing is undone')
    .argument('<file>', 'an archive that "allium export" wrote')
    .option('--again', 'make the account also where it is on this machine under another name')
    .option('--resume', 'go on where reading the same archive was stopped')
    .option('--json', 'print one line of JSON')
    .addOption(accountName())
    .addOption(noPassphrase())
    .addOption(passphraseDescriptor())
    .addOption(archiveDescriptor())
    .addHelpText(
      'after',
      `
Examples:
  allium import backup.allium
  allium import backup.allium --account phone  makes the account where the archive holds its secret

Exit codes: 0 done, 1 not done, 2 wrong usage, 130 stopped (go on with --resume).`,
    )
    .action(async (file: string, _options, command: Command) => {
      const { importHistory } = await import('../commands/import.ts');
      done(await importHistory(file, command.optsWithGlobals()));
    });
}

function archiveDescriptor(): Option {
  return new Option(
    '--archive-passphrase-fd <n>',
    'read the passphrase of the archive from this file descriptor (else ALLIUM_ARCHIVE_PASSPHRASE_FILE, else it is asked for)',
  ).argParser(wholeNumber(0, 1023));
}
