// SPDX-License-Identifier: AGPL-3.0-or-later
// The messages of an account on this machine, without a network: for `allium export` and `allium import`.
import { join } from 'node:path';
import { ArchiveError } from '@allium/client/archive/archive-error';
import { ClientError } from '@allium/client/errors';
import { Contents } from '@allium/client/files/contents';
import { FILES_FOLDER, openAccountStorage } from '@allium/client/node/account-storage';
import { ArchiveFileError } from '@allium/client/node/archive-file';
import { FolderBlobs } from '@allium/client/node/folder-blobs';
import { type Storage, StorageError } from '@allium/client/storage';
import { systemClock } from '@allium/net/system-env';
import type { Account } from '@allium/protocol/account';
import { type AccountEntry, type AccountOptions, chooseEntry, unlock } from './accounts.ts';
import { CliError } from './cli-error.ts';
import type { PassphraseSource } from './passphrase.ts';
import { counted, type Progress, progress } from './terminal.ts';

export interface OpenHistory {
  readonly entry: AccountEntry;
  readonly account: Account;
  readonly storage: Storage;
  /** Where the database is. */
  readonly folder: string;
}

/** Opens what the account keeps, and closes it after the work. @throws CliError */
export async function withHistory<T>(
  options: AccountOptions,
  work: (history: OpenHistory) => Promise<T>,
  given?: AccountEntry,
): Promise<T> {
  const entry = given ?? (await chooseEntry(options));
  const account = await unlock(entry, options);
  const folder = join(entry.folder, 'messages');
  try {
    const storage = openAccountStorage(folder, account);
    try {
      return await work({ entry, account, storage, folder });
    } finally {
      await storage.close();
    }
  } catch (error) {
    throw explained(error);
  } finally {
    account.dispose();
  }
}

/** The content of files on this device. */
export async function openContents({ folder, storage }: OpenHistory): Promise<Contents> {
  return Contents.open(await FolderBlobs.open(join(folder, FILES_FOLDER)), storage, systemClock);
}

export interface ArchivePassphraseOptions {
  readonly archivePassphraseFd?: number;
}

export const archiveSource = ({ archivePassphraseFd }: ArchivePassphraseOptions): PassphraseSource => ({
  fd: archivePassphraseFd,
  option: '--archive-passphrase-fd',
  variable: 'ALLIUM_ARCHIVE_PASSPHRASE_FILE',
});

/** A failure in words that say what to do. */
export function explained(error: unknown): unknown {
  const isOurs =
    error instanceof ArchiveError ||
    error instanceof ArchiveFileError ||
    error instanceof StorageError ||
    error instanceof ClientError;
  return isOurs ? new CliError(`${error.message}${ADVICE[error.code] ?? ''}`, 1, { cause: error }) : error;
}

const ADVICE: Readonly<Record<string, string>> = {
  exists: ': choose another --out, or --force',
  full: ': make room, then go on with --resume',
  busy: ': end it and try again',
  truncated: ': copy it again',
  cannot_resume: ': rename or remove the .part file',
  not_an_archive: ': only what "allium export" writes without --format can be read again',
  wrong_account: ': choose the right one with --account',
};

/** What an import that ended early has done; `messages`: of the archive, read so far. */
export const readSoFar = (messages: number): string =>
  messages === 0
    ? 'nothing of it is in the account'
    : `${counted(messages, 'message')} of it ${messages === 1 ? 'is' : 'are'} read into the account`;

/** How much, how fast, how long still. */
export function historyProgress(
  what: string,
): { update(messages: number, share: number): void } & Pick<Progress, 'done'> {
  const line = progress(what, 'messages');
  const start = performance.now();
  let shownAt = 0;
  return {
    update(messages, share) {
      const now = performance.now();
      if (now - shownAt < 200) return;
      shownAt = now;
      const seconds = (now - start) / 1000;
      const left = share > 0.01 ? `, ${inWords((seconds / share) * (1 - share))} left` : '';
      const rate = seconds < 1 ? '' : `, ${Math.round(messages / seconds).toLocaleString('en')} each second`;
      line.note(`${Math.floor(share * 100)} %, ${counted(messages, 'message')}${rate}${left}`);
    },
    done: () => line.done(),
  };
}

function inWords(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
