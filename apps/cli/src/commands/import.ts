// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium import`: an encrypted archive into an account, empty or used; with the secret in it also into a new account.

import { ArchiveError } from '@allium/client/archive/archive-error';
import { storageDigest } from '@allium/client/archive/export';
import { readAbout } from '@allium/client/archive/import';
import { checkArchiveFile, importArchiveFile, openArchiveFile } from '@allium/client/node/archive-file';
import { Account } from '@allium/protocol/account';
import {
  type ArchivePassphraseOptions,
  archiveSource,
  explained,
  historyProgress,
  openContents,
  readSoFar,
  withHistory,
} from '../account-history.ts';
import {
  type AccountEntry,
  type AccountOptions,
  chooseEntry,
  listEntries,
  refuseSecondCopy,
  saveAccount,
} from '../accounts.ts';
import { CliError } from '../cli-error.ts';
import { homeFolder } from '../home.ts';
import { readPassphrase } from '../passphrase.ts';
import { takeReceiving } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, printJson, remark } from '../terminal.ts';

export interface ImportCommandOptions extends AccountOptions, ArchivePassphraseOptions {
  readonly resume?: boolean;
  /** Makes the account also where it is on this machine under another name. */
  readonly again?: boolean;
  readonly json?: boolean;
  /** False with --no-passphrase: for an account that is made from the archive. */
  readonly passphrase: boolean;
}

export async function importHistory(file: string, options: ImportCommandOptions): Promise<number> {
  try {
    // Nobody is to type a passphrase for a file that is no archive.
    await checkArchiveFile(file);
  } catch (error) {
    throw explained(error);
  }
  const passphrase = await readPassphrase('the archive', options, archiveSource(options));
  const entry = await accountFor(file, passphrase, options);
  const release = takeReceiving(entry);
  if (typeof release !== 'function') {
    throw new CliError(
      `process ${release} listens for account ${entry.name}: end it first, it keeps contacts in memory`,
    );
  }
  const stop = onStopSignal();
  const line = historyProgress(`Reading ${file}`);
  let read = 0;
  try {
    return await withHistory(
      options,
      async (history) => {
        const { account, storage } = history;
        const now = Date.now();
        const summary = await importArchiveFile(storage, file, {
          account: account.id,
          passphrase,
          now,
          signal: stop.signal,
          contents: await openContents(history),
          ...(options.resume !== undefined && { resume: options.resume }),
          onProgress: ({ messages, share }) => {
            read = messages;
            line.update(messages, share);
          },
        }).catch((error: unknown) => {
          if (!(error instanceof ArchiveError && error.code === 'truncated')) throw error;
          const how = read === 0 ? 'copy it again' : 'copy it again and repeat with --resume';
          throw new CliError(`${error.message}; ${readSoFar(read)}: ${how}`, 1, { cause: error });
        });
        line.done();
        const state = await storageDigest(storage, { now, signal: stop.signal });
        tell(summary, state, options.json === true);
        return 0;
      },
      entry,
    );
  } catch (error) {
    line.done();
    if (!stop.signal.aborted) throw error;
    const how = read === 0 ? '' : '; the same command with --resume goes on';
    throw new CliError(`stopped; ${readSoFar(read)}${how}`, 130, { cause: error });
  } finally {
    release();
  }
}

type Summary = Awaited<ReturnType<typeof importArchiveFile>>;

function tell(summary: Summary, state: { digest: string; messages: number }, asJson: boolean): void {
  const { archive, added, merged, known, expired, files, unknown, refused } = summary;
  const isEqual = state.digest === archive.digest;
  if (asJson) {
    printJson({ ...summary, state: state.digest, equal: isEqual });
    return;
  }
  print(
    `${counted(added, 'message')} added, ${merged} changed, ${known} there already; ${counted(files, 'file')} added.`,
  );
  print(`Archive   ${archive.digest}`);
  print(
    `Account   ${state.digest} (${isEqual ? 'equal: all of the archive, and nothing else' : `${counted(state.messages, 'message')} in all`})`,
  );
  if (expired > 0) remark(`${counted(expired, 'message')} disappeared meanwhile.`);
  if (unknown > 0)
    remark(`${counted(unknown, 'record')} of a newer version left out: import again after an update.`);
  if (refused > 0) remark(`${counted(refused, 'record')} malformed and left out.`);
}

/** The chosen account; or a new one, where there is none yet and the archive holds its secret. */
async function accountFor(
  file: string,
  passphrase: string,
  options: ImportCommandOptions,
): Promise<AccountEntry> {
  const entries = await listEntries(homeFolder(options), options.account);
  if (entries.length > 0) return chooseEntry(options);
  const about = await aboutOf(file, passphrase);
  if (about.secret === undefined) {
    throw new CliError(
      'there is no such account here, and the archive does not hold its secret: "allium account restore" first',
    );
  }
  const account = Account.fromSeed(about.secret);
  about.secret.fill(0);
  try {
    if (account.id !== about.account)
      throw new CliError('the archive holds the secret of another account than it names');
    const name = options.account ?? 'main';
    await refuseSecondCopy(account.id, name, options);
    const entry = await saveAccount(account, name, options);
    remark(`Account ${entry.name} made from the archive.`);
    return entry;
  } finally {
    account.dispose();
  }
}

async function aboutOf(file: string, passphrase: string) {
  try {
    await using source = await openArchiveFile(file);
    return await readAbout(source, passphrase);
  } catch (error) {
    throw explained(error);
  }
}
