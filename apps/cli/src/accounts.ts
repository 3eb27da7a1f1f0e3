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
    wipeFile(`${bare}.new`);
    writeBare(`${bare}.new`, account);
    renameSync(`${bare}.new`, bare);
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

function writeBare(path: string, account: Account): void {
  writeFileSync(path, `${account.phrase()}\n`, { flag: 'wx', mode: 0o600, flush: true });
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
