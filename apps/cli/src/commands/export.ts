// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium export`: the history of an account as an encrypted archive, as JSON lines or as one HTML file.
import { constants, existsSync } from 'node:fs';
import { access, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { htmlPages } from '@allium/client/archive/html';
import { jsonLines } from '@allium/client/archive/json-lines';
import { type MediaSource, mediaOf } from '@allium/client/archive/media';
import { exportArchiveFile } from '@allium/client/node/archive-file';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import {
  type ArchivePassphraseOptions,
  archiveSource,
  historyProgress,
  type OpenHistory,
  openContents,
  withHistory,
} from '../account-history.ts';
import { type AccountOptions, chooseEntry } from '../accounts.ts';
import { CliError, fileTrouble, usage } from '../cli-error.ts';
import { choosePassphrase, readPassphrase } from '../passphrase.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, printJson, remark } from '../terminal.ts';

export interface ExportCommandOptions extends AccountOptions, ArchivePassphraseOptions {
  readonly format: 'archive' | 'jsonl' | 'html';
  readonly out?: string;
  readonly conversation?: string;
  readonly media?: boolean;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly withSecret?: boolean;
  readonly json?: boolean;
}

/** In the place of a file name. */
const STDOUT = '-';
const ENDINGS = { archive: 'allium', jsonl: 'jsonl', html: 'html' } as const;

export async function exportHistory(options: ExportCommandOptions): Promise<number> {
  const { format, resume = false, force = false } = options;
  if (format !== 'archive') {
    if (resume) throw usage('only archives can be resumed; the other formats are written anew');
    if (options.withSecret === true) throw usage('only an archive is encrypted and may hold the secret');
  }
  if (options.out === STDOUT) {
    if (format === 'archive') throw usage('an archive goes to a file; "-" is for --format jsonl and html');
    if (options.json === true) throw usage('--json and --out - would be mixed');
  }
  const conversation = options.conversation === undefined ? undefined : readId(options.conversation);
  const entry = await chooseEntry(options);
  const day = new Date().toISOString().slice(0, 10);
  const out =
    options.out === STDOUT
      ? STDOUT
      : resolve(options.out ?? `allium-${entry.name}-${day}.${ENDINGS[format]}`);
  if (out !== STDOUT) await checkPlace(out, force);
  return withHistory(
    options,
    (history) =>
      format === 'archive'
        ? toArchive(history, out, options, conversation)
        : toPlain(history, out, options, conversation),
    entry,
  );
}

async function toArchive(
  history: OpenHistory,
  out: string,
  options: ExportCommandOptions,
  conversation: AccountId | undefined,
): Promise<number> {
  const { account, storage } = history;
  const { resume = false, force = false } = options;
  const source = archiveSource(options);
  const passphrase =
    resume && existsSync(`${out}.part`)
      ? await readPassphrase('the archive', options, source)
      : await choosePassphrase('the archive', options, { required: true, source });
  const secret = options.withSecret === true ? account.seed() : undefined;
  const stop = onStopSignal();
  const line = historyProgress(`Writing ${out}`);
  const contents = options.media === true ? await openContents(history) : undefined;
  try {
    const summary = await exportArchiveFile(storage, out, {
      account: account.id,
      passphrase,
      now: Date.now(),
      resume,
      overwrite: force,
      signal: stop.signal,
      ...(secret !== undefined && { secret }),
      ...(conversation !== undefined && { conversation }),
      ...(contents !== undefined && { contents }),
      onProgress: ({ messages, share }) => line.update(messages, share),
    });
    line.done();
    if (options.json === true) printJson({ format: 'archive', file: out, ...summary });
    else {
      print(`${counted(summary.messages, 'message')} in ${out}, ${sizeOf(summary.sizeBytes)}.`);
      print(`State     ${summary.digest}`);
      if (secret !== undefined)
        remark('The archive holds the secret of the account: whoever opens it is you.');
    }
    return 0;
  } catch (error) {
    line.done();
    if (!stop.signal.aborted) throw error;
    throw new CliError('stopped; the same command with --resume goes on', 130, { cause: error });
  } finally {
    secret?.fill(0);
  }
}

async function toPlain(
  history: OpenHistory,
  out: string,
  options: ExportCommandOptions,
  conversation: AccountId | undefined,
): Promise<number> {
  const { account, storage } = history;
  const stop = onStopSignal();
  const reading = {
    account: account.id,
    now: Date.now(),
    signal: stop.signal,
    ...(conversation !== undefined && { conversation }),
  };
  const media: MediaSource | undefined =
    options.media === true ? mediaOf(await openContents(history)) : undefined;
  const pieces: AsyncIterable<string> = (options.format === 'html' ? htmlPages : jsonLines)(
    storage,
    reading,
    media,
  );
  try {
    if (out === STDOUT) await pipeline(pieces, process.stdout, { end: false });
    else {
      const sizeBytes = await writeWhole(out, pieces);
      if (options.json === true) printJson({ format: options.format, file: out, sizeBytes });
      else print(`${out}, ${sizeOf(sizeBytes)}.`);
    }
    remark(`The ${out === STDOUT ? 'output' : 'file'} is not encrypted: whoever has it can read it.`);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) {
      throw new CliError(out === STDOUT ? 'stopped' : 'stopped; nothing was written', 130, { cause: error });
    }
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CliError(fileTrouble('cannot write', out, error).message, 1, { cause: error });
  }
}

/** Writes the file so that it is there as a whole or not at all. Bytes. */
async function writeWhole(out: string, pieces: AsyncIterable<string>): Promise<number> {
  const part = `${out}.part`;
  try {
    const file = await open(part, 'w', 0o600);
    let sizeBytes = 0;
    try {
      let waiting = '';
      const flush = async () => {
        sizeBytes += (await file.write(waiting)).bytesWritten;
        waiting = '';
      };
      for await (const piece of pieces) {
        waiting += piece;
        if (waiting.length > 1024 * 1024) await flush();
      }
      await flush();
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, out);
    return sizeBytes;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Before anything is asked or read. @throws CliError */
async function checkPlace(out: string, force: boolean): Promise<void> {
  if (!force && existsSync(out))
    throw new CliError(`${out} is there already: choose another --out, or --force`);
  try {
    await access(dirname(out), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileTrouble('cannot write into', dirname(out), error);
  }
}

function readId(text: string): AccountId {
  try {
    return parseAccountId(text);
  } catch {
    throw usage('--conversation takes an account id: 66 hex digits that begin with 05');
  }
}

function sizeOf(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
