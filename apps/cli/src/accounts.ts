// SPDX-License-Identifier: AGPL-3.0-or-later
// The accounts of this machine: `HOME/accounts/NAME/`, with the account file (encrypted: account.json, or bare:
// account.phrase) and what the client keeps beside it.
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AccountFileError,
  readAccountFile,
  readAccountFileId,
  readAccountFileProtection,
  writeAccountFile,
} from '@allium/client/node/account-file';
import { MAX_KEY_FILE_BYTES } from '@allium/client/node/seed-file';
import { wipeFile } from '@allium/client/node/wipe-file';
import { Account } from '@allium/protocol/account';
import { toBase64 } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { quote } from '@allium/protocol/errors';
import { CliError, fileTrouble, usage } from './cli-error.ts';
import { homeFolder, makePrivateFolder } from './home.ts';
import { choosePassphrase, type PassphraseOptions, readPassphrase } from './passphrase.ts';
import { remark } from './terminal.ts';

export interface AccountOptions extends PassphraseOptions {
  readonly home?: string;
  readonly account?: string;
  /** Instead of a passphrase. */
  readonly keyFile?: string;
}

export interface AccountEntry {
  readonly name: string;
  readonly folder: string;
  readonly id: string;
  readonly encrypted: boolean;
}

const ENCRYPTED = 'account.json';
const BARE = 'account.phrase';

/** An account, or why what is in its folder is none. */
export type FoundAccount =
  | { readonly name: string; readonly entry: AccountEntry }
  | { readonly name: string; readonly problem: CliError };

/** All accounts, by name; or the one called `only`. */
export async function findAccounts(home: string, only?: string): Promise<FoundAccount[]> {
  let names: string[];
  try {
    names = readdirSync(join(home, 'accounts')).sort();
  } catch {
    return [];
  }
  const found: FoundAccount[] = [];
  for (const name of names) {
    if (only !== undefined && name !== only) continue;
    try {
      const entry = await readEntry(name, join(home, 'accounts', name));
      if (entry !== undefined) found.push({ name, entry });
    } catch (problem) {
      if (!(problem instanceof CliError)) throw problem;
      found.push({ name, problem });
    }
  }
  return found;
}

/** The same, where each of them must be whole. @throws CliError */
export async function listEntries(home: string, only?: string): Promise<AccountEntry[]> {
  return (await findAccounts(home, only)).map((found) => {
    if ('problem' in found) throw found.problem;
    return found.entry;
  });
}

/** Undefined: there is none. @throws CliError when it is damaged */
async function readEntry(name: string, folder: string): Promise<AccountEntry | undefined> {
  if (existsSync(join(folder, ENCRYPTED))) {
    const id = await explained(readAccountFileId(join(folder, ENCRYPTED)), name);
    return { name, folder, id, encrypted: true };
  }
  if (!existsSync(join(folder, BARE))) return undefined;
  const account = readBare(join(folder, BARE));
  const { id } = account;
  account.dispose();
  return { name, folder, id, encrypted: false };
}

/** The chosen account, or the only one. @throws CliError that says how to choose or make one */
export async function chooseEntry(options: AccountOptions): Promise<AccountEntry> {
  const home = homeFolder(options);
  if (options.account !== undefined) {
    const [entry] = await listEntries(home, options.account);
    if (entry !== undefined) return entry;
  }
  const found = await findAccounts(home);
  const names = found.map((one) => ('problem' in one ? `${one.name} (damaged)` : one.name)).join(', ');
  if (options.account !== undefined) {
    const known = found.length === 0 ? 'there is none yet' : `there are ${names}`;
    throw usage(
      `no account ${quote(options.account)} in ${home}: ${known} ("allium account new --account NAME" makes one)`,
    );
  }
  const [only, ...others] = found;
  if (only === undefined) throw usage(`no account in ${home} yet: "allium account new" makes one`);
  if (others.length > 0) throw usage(`which account? Say --account NAME: ${names}`);
  if ('problem' in only) throw only.problem;
  return only.entry;
}

/** The account with its keys, after its passphrase where it has one. */
export async function unlock(
  entry: AccountEntry,
  options: PassphraseOptions & { readonly keyFile?: string },
): Promise<Account> {
  if (!entry.encrypted) return readBare(join(entry.folder, BARE));
  const key = await keyTo(entry, options);
  const opened = await explained(readAccountFile(accountFileOf(entry), key), entry.name);
  wipeLeftover(entry);
  return opened;
}

export const accountFileOf = ({ folder }: AccountEntry): string => join(folder, ENCRYPTED);

/** What opens a protected account. @throws CliError */
export const protectionOf = (entry: AccountEntry): Promise<'passphrase' | 'key_file'> =>
  explained(readAccountFileProtection(accountFileOf(entry)), entry.name);

/** Its passphrase, asked for where it is not handed over, or the bytes of its key file. @throws CliError */
export async function keyTo(
  entry: AccountEntry,
  options: PassphraseOptions & { readonly keyFile?: string },
): Promise<string | Uint8Array> {
  return (await protectionOf(entry)) === 'key_file'
    ? readKeyFile(entry.name, options)
    : await readPassphrase(`account ${entry.name}`, options);
}

/** Left behind by a change of protection that was killed. */
export function wipeLeftover({ folder }: AccountEntry): void {
  wipeFile(join(folder, BARE));
}

/** Protects an account by a passphrase, a key file or nothing (undefined) from now on. A kill leaves one of the two. */
export async function protect(
  entry: AccountEntry,
  account: Account,
  by: string | Uint8Array | undefined,
): Promise<void> {
  const [encrypted, bare] = [join(entry.folder, ENCRYPTED), join(entry.folder, BARE)];
  if (by !== undefined) {
    await explained(writeAccountFile(encrypted, account, by, { overwrite: true }), entry.name);
    wipeFile(bare);
  } else {
    writeBare(bare, account);
    wipeFile(encrypted);
  }
}

/** The files with the secret. */
export const secretFiles = ({ folder }: AccountEntry): string[] => [
  join(folder, ENCRYPTED),
  join(folder, BARE),
];

/** The bytes of a new or an existing key file for a new account file. */
export function chooseKeyFile(path: string): Uint8Array {
  try {
    writeFileSync(path, `${toBase64(randomBytes(32))}\n`, { flag: 'wx', mode: 0o600, flush: true });
    remark(`A new key file: ${path}. Keep a copy of it elsewhere: without it the account cannot be opened.`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileTrouble('cannot write', path, error);
  }
  return readKeyFileAt(path);
}

function readKeyFile(name: string, { keyFile }: { readonly keyFile?: string }): Uint8Array {
  const path = keyFile ?? process.env.ALLIUM_KEY_FILE ?? '';
  if (path === '') {
    throw usage(`account ${name} is protected by a key file: name it with --key-file or ALLIUM_KEY_FILE`);
  }
  return readKeyFileAt(path);
}

function readKeyFileAt(path: string): Uint8Array {
  try {
    if (statSync(path).size > MAX_KEY_FILE_BYTES) throw usage(`${path} is too large for a key file`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw fileTrouble('cannot read', path, error);
  }
}

/** @throws CliError when the account is on this machine under another name, and that is not asked for */
export async function refuseSecondCopy(
  id: string,
  name: string,
  { again = false, ...options }: AccountOptions & { readonly again?: boolean },
): Promise<void> {
  if (again) return;
  for (const found of await findAccounts(homeFolder(options))) {
    if (!('entry' in found) || found.entry.id !== id || found.name === name) continue;
    throw new CliError(
      `this account is here already, as ${quote(found.name)}: use --account ${found.name}. --again makes ${quote(name)} a second device of it, with messages of its own`,
    );
  }
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
  const by =
    options.keyFile !== undefined
      ? chooseKeyFile(options.keyFile)
      : options.passphrase
        ? await choosePassphrase(`account ${name}`, options)
        : undefined;
  makePrivateFolder(folder);
  if (by !== undefined) await explained(writeAccountFile(join(folder, ENCRYPTED), account, by), name);
  else writeBare(join(folder, BARE), account);
  return { name, folder, id: account.id, encrypted: by !== undefined };
}

/** The whole file or none. */
function writeBare(path: string, account: Account): void {
  const part = `${path}.new`;
  wipeFile(part);
  try {
    writeFileSync(part, `${account.phrase()}\n`, { flag: 'wx', mode: 0o600, flush: true });
    renameSync(part, path);
  } catch (error) {
    wipeFile(part);
    throw new CliError(fileTrouble('cannot write', path, error).message, 1, { cause: error });
  }
}

function readBare(path: string): Account {
  try {
    return Account.fromPhrase(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError(`${path} does not hold a recovery phrase`, 1, { cause: error });
  }
}

/** What is wrong with an account file, in words for people. */
export async function explained<T>(work: Promise<T>, name: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AccountFileError) {
      throw new CliError(`account ${name}: ${error.message}`, 1, { cause: error });
    }
    throw error;
  }
}
