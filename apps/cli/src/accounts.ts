// SPDX-License-Identifier: AGPL-3.0-or-later
// The accounts of this machine: `HOME/accounts/NAME/`, with the account file (encrypted: account.json, or bare:
// account.phrase) and what the client keeps beside it.
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  AccountFileError,
  readAccountFile,
  readAccountFileId,
  writeAccountFile,
} from '@allium/client/node/account-file';
import { Account } from '@allium/protocol/account';
import { quote } from '@allium/protocol/errors';
import { CliError, usage } from './cli-error.ts';
import { homeFolder, makePrivateFolder } from './home.ts';
import { choosePassphrase, type PassphraseOptions, readPassphrase } from './passphrase.ts';

export interface AccountOptions extends PassphraseOptions {
  readonly home?: string;
  readonly account?: string;
}

export interface AccountEntry {
  readonly name: string;
  readonly folder: string;
  readonly id: string;
  readonly encrypted: boolean;
}

const ENCRYPTED = 'account.json';
const BARE = 'account.phrase';

/** All accounts, by name; or the one called `only`, whatever state the others are in. */
export async function listEntries(home: string, only?: string): Promise<AccountEntry[]> {
  let names: string[];
  try {
    names = readdirSync(join(home, 'accounts')).sort();
  } catch {
    return [];
  }
  const entries: AccountEntry[] = [];
  for (const name of names) {
    if (only !== undefined && name !== only) continue;
    const folder = join(home, 'accounts', name);
    if (existsSync(join(folder, ENCRYPTED))) {
      const id = await explained(readAccountFileId(join(folder, ENCRYPTED)), name);
      entries.push({ name, folder, id, encrypted: true });
    } else if (existsSync(join(folder, BARE))) {
      const account = readBare(join(folder, BARE));
      entries.push({ name, folder, id: account.id, encrypted: false });
      account.dispose();
    }
  }
  return entries;
}

/** The chosen account, or the only one. @throws CliError that says how to choose or make one */
export async function chooseEntry(options: AccountOptions): Promise<AccountEntry> {
  const home = homeFolder(options);
  if (options.account !== undefined) {
    const [entry] = await listEntries(home, options.account);
    if (entry !== undefined) return entry;
  }
  const entries = await listEntries(home);
  if (options.account !== undefined) {
    const known =
      entries.length === 0 ? 'there is none yet' : `there are ${entries.map(({ name }) => name).join(', ')}`;
    throw usage(
      `no account ${quote(options.account)} in ${home}: ${known} ("allium account new --account NAME" makes one)`,
    );
  }
  const [only, ...others] = entries;
  if (only === undefined) throw usage(`no account in ${home} yet: "allium account new" makes one`);
  if (others.length > 0) {
    throw usage(`which account? Say --account NAME: ${entries.map(({ name }) => name).join(', ')}`);
  }
  return only;
}

/** The account with its keys, after its passphrase where it has one. */
export async function unlock(entry: AccountEntry, options: PassphraseOptions): Promise<Account> {
  if (!entry.encrypted) return readBare(join(entry.folder, BARE));
  const passphrase = await readPassphrase(`account ${entry.name}`, options);
  return explained(readAccountFile(join(entry.folder, ENCRYPTED), passphrase), entry.name);
}

/** Writes a new account. @throws CliError when the name is taken or not fit for a folder */
export async function saveAccount(
  account: Account,
  name: string,
  options: AccountOptions & { readonly passphrase: boolean },
): Promise<AccountEntry> {
  const home = homeFolder(options);
  if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(name)) {
    throw usage(`${quote(name)} is no name for an account: use up to 64 letters, digits, ".", "_" and "-"`);
  }
  const folder = join(home, 'accounts', name);
  if (existsSync(join(folder, ENCRYPTED)) || existsSync(join(folder, BARE))) {
    throw new CliError(`there is an account ${quote(name)} already (${folder}): choose another --account`);
  }
  const passphrase = options.passphrase ? await choosePassphrase(`account ${name}`, options) : undefined;
  makePrivateFolder(folder);
  if (passphrase !== undefined) {
    await explained(writeAccountFile(join(folder, ENCRYPTED), account, passphrase), name);
  } else {
    const file = openSync(join(folder, BARE), 'wx', 0o600);
    writeSync(file, `${account.phrase()}\n`);
    fsyncSync(file);
    closeSync(file);
  }
  return { name, folder, id: account.id, encrypted: passphrase !== undefined };
}

function readBare(path: string): Account {
  try {
    return Account.fromPhrase(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError(`${path} does not hold a recovery phrase`, 1, { cause: error });
  }
}

async function explained<T>(work: Promise<T>, name: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AccountFileError) {
      throw new CliError(`account ${name}: ${error.message}`, 1, { cause: error });
    }
    throw error;
  }
}
