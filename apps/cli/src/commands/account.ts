// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium account new | restore | show | list`.
import { Account } from '@allium/protocol/account';
import { AlliumError } from '@allium/protocol/errors';
import {
  type AccountOptions,
  chooseEntry,
  findAccounts,
  refuseSecondCopy,
  saveAccount,
  unlock,
} from '../accounts.ts';
import { CliError } from '../cli-error.ts';
import { homeFolder, isNetworkChosen } from '../home.ts';
import { openSession, type SessionOptions } from '../session.ts';
import { askLine, print, printJson, remark, styled } from '../terminal.ts';
import { fetchAll, printRestored, restoredJson } from './devices.ts';

interface NewOptions extends AccountOptions {
  readonly account: string;
  /** False with --no-passphrase. */
  readonly passphrase: boolean;
  readonly json?: boolean;
}

export async function newAccount(options: NewOptions): Promise<number> {
  const account = Account.create();
  const entry = await saveAccount(account, options.account, options);
  const phrase = account.phrase();
  if (options.json === true) {
    printJson({ name: entry.name, id: entry.id, phrase });
    return 0;
  }
  print(`Account   ${entry.name}`);
  print(`Id        ${styled('bold', entry.id)}`);
  print(`Recovery  ${phrase}`);
  print('');
  print(
    'Give the id to others. Write the recovery phrase down and show it to nobody: whoever has it is you.',
  );
  warnBare(entry.encrypted);
  return 0;
}

interface RestoreOptions extends NewOptions, Omit<SessionOptions, 'account'> {
  /** Also where the account is on this machine under another name. */
  readonly again?: boolean;
  readonly offline?: boolean;
  readonly timeout: number;
}

export async function restoreAccount(options: RestoreOptions): Promise<number> {
  const phrase = await askLine('Recovery phrase');
  let account: Account;
  try {
    account = Account.fromPhrase(phrase);
  } catch (error) {
    if (error instanceof AlliumError) {
      throw new CliError(`that is no recovery phrase: ${error.message}`, 1, { cause: error });
    }
    throw error;
  }
  await refuseSecondCopy(account.id, options.account, options);
  const entry = await saveAccount(account, options.account, options);
  const { name, id } = entry;
  const isJson = options.json === true;
  if (!isJson) print(`Restored ${styled('bold', id)} as account ${name}.`);
  warnBare(entry.encrypted);
  if (options.offline === true || !isNetworkChosen(options)) {
    if (isJson) printJson({ name, id });
    else remark('Contacts and messages were not fetched: "allium devices --sync" does that.');
    return 0;
  }
  try {
    await using session = await openSession(options, 'receive', { isQuiet: isJson, account });
    const restored = await fetchAll(session.client, session.seeds, options);
    if (isJson) printJson({ name, id, restored: restoredJson(restored) });
    else printRestored(restored);
    return 0;
  } catch (error) {
    if (isJson) printJson({ name, id });
    remark('The account is here; its contacts and messages are not: "allium devices --sync" fetches them.');
    throw error;
  }
}

export async function showAccount(
  options: AccountOptions & { readonly phrase?: boolean; readonly json?: boolean },
): Promise<number> {
  const { name, id, encrypted, folder } = await chooseEntry(options);
  let phrase: string | undefined;
  if (options.phrase === true) {
    const account = await unlock({ name, id, encrypted, folder }, options);
    phrase = account.phrase();
    account.dispose();
  }
  if (options.json === true) {
    printJson({ name, id, encrypted, folder, ...(phrase === undefined ? {} : { phrase }) });
    return 0;
  }
  print(`Account   ${name}`);
  print(`Id        ${styled('bold', id)}`);
  print(`Folder    ${folder}${encrypted ? '' : ' (not protected by a passphrase)'}`);
  if (phrase !== undefined) print(`Recovery  ${phrase}`);
  return 0;
}

export async function listAccounts(options: AccountOptions & { readonly json?: boolean }): Promise<number> {
  const home = homeFolder(options);
  const accounts = await findAccounts(home);
  if (options.json === true) {
    printJson(
      accounts.map((found) =>
        'problem' in found
          ? { name: found.name, problem: found.problem.message }
          : { name: found.name, id: found.entry.id, encrypted: found.entry.encrypted },
      ),
    );
  } else if (accounts.length === 0) remark(`No account in ${home} yet: "allium account new" makes one.`);
  for (const found of accounts) {
    if ('problem' in found) remark(`allium: ${found.problem.message}`);
    else if (options.json !== true) print(`${found.entry.id}  ${found.name}`);
  }
  return accounts.some((found) => 'problem' in found) ? 1 : 0;
}

function warnBare(encrypted: boolean): void {
  if (!encrypted) remark('Note: the file is not protected; anybody who can read it is you.');
}
