// SPDX-License-Identifier: AGPL-3.0-or-later
// Options that several commands share, and what their values must look like.
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Takes the exit code of the command that ran. */
export type Done = (code: number) => void;

/** What is said of the argument of commands that talk of somebody. */
export const CONTACT = 'account id, what you call a contact, or a name of the network';

/** The options of commands that use a network as an account. */
export function withNetwork(command: Command): Command {
  return withTrust(
    command
      .addOption(accountName())
      .addOption(seed())
      .addOption(fileServer())
      .addOption(proxy())
      .addOption(passphraseDescriptor()),
  );
}

/** What the node list is checked against. */
export function withTrust(command: Command): Command {
  return command
    .option(
      '--trust <file>',
      'check the node list against this certificate or signed list ("allium network anchor")',
    )
    .option('--require-verified', 'use no node list that cannot be checked')
    .addOption(
      new Option(
        '--chain-rpc <url>',
        'check the node list against the chain, read from this endpoint (repeat)',
      ).argParser(collect),
    )
    .option('--chain-deployment <file>', 'where the contracts are (deployment.json), for --chain-rpc');
}

export function accountName(): Option {
  return new Option('--account <name>', 'which account (default: the only one)');
}

export function seed(): Option {
  return new Option('--seed <url>', 'a node of the network, e.g. https://127.0.0.1:22021 (repeat)').argParser(
    collect,
  );
}

export function fileServer(): Option {
  return new Option(
    '--file-server <url#key>',
    'where files go (repeat; default: ALLIUM_FILE_SERVER, else "allium network use", else the network)',
  ).argParser(collect);
}

export function proxy(): Option {
  return new Option(
    '--proxy <url>',
    'the only way out: socks5://127.0.0.1:9050, http://USER:PASSWORD@10.0.0.1:3128, or "none" (default: ALLIUM_PROXY, ' +
      'else "allium account proxy")',
  );
}

export function noPassphrase(): Option {
  return new Option('--no-passphrase', 'leave the file unprotected: whoever reads it is you');
}

export function passphraseDescriptor(): Option {
  return new Option(
    '--passphrase-fd <n>',
    'read the passphrase from this file descriptor (else ALLIUM_PASSPHRASE_FILE, else it is asked for)',
  ).argParser(wholeNumber(0, 1023));
}

export function newPassphraseDescriptor(): Option {
  return new Option(
    '--new-passphrase-fd <n>',
    'read the new passphrase from this file descriptor (else ALLIUM_NEW_PASSPHRASE_FILE, else it is asked for)',
  ).argParser(wholeNumber(0, 1023));
}

export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,10}$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}
