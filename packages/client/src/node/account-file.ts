// SPDX-License-Identifier: MIT
// An account in a file, protected by a passphrase or a key file: a seed file of the format `allium-account`.
import { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { AlliumError } from '@allium/protocol/errors';
import {
  readSeedFile,
  readSeedFileId,
  readSeedFileProtection,
  type SeedFileCode,
  type SeedFileKind,
  type Unlock,
  type WriteOptions,
  writeSeedFile,
} from './seed-file.ts';

export class AccountFileError extends AlliumError<SeedFileCode> {
  override readonly name = 'AccountFileError';
}

const ACCOUNT_FILE: SeedFileKind = {
  format: 'allium-account',
  noun: 'account file',
  error: (code, message, options) => new AccountFileError(code, message, options),
  checkId: parseAccountId,
};

/**
 * Writes the account so that a crash leaves the old file or the whole new one; readable by its owner only.
 * @throws AccountFileError `exists`, `empty_passphrase`, `weak_key_file`, `unreadable`
 */
export async function writeAccountFile(
  path: string,
  account: Account,
  unlock: Unlock,
  options: WriteOptions = {},
): Promise<void> {
  const seed = account.seed();
  try {
    await writeSeedFile(path, ACCOUNT_FILE, { id: account.id, seed }, unlock, options);
  } finally {
    seed.fill(0);
  }
}

/**
 * The account, with its keys.
 * @throws AccountFileError
 */
export async function readAccountFile(path: string, unlock: Unlock): Promise<Account> {
  const { id, seed } = await readSeedFile(path, ACCOUNT_FILE, unlock);
  const account = Account.fromSeed(seed);
  seed.fill(0);
  if (account.id !== parseAccountId(id)) {
    account.dispose();
    throw new AccountFileError('damaged', 'the account file names another account than it holds');
  }
  return account;
}

/** Whose file it is; needs no passphrase. @throws AccountFileError */
export async function readAccountFileId(path: string): Promise<AccountId> {
  return parseAccountId(await readSeedFileId(path, ACCOUNT_FILE));
}

/** What opens it. @throws AccountFileError */
export async function readAccountFileProtection(path: string): Promise<'passphrase' | 'key_file'> {
  return readSeedFileProtection(path, ACCOUNT_FILE);
}
