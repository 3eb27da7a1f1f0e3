// SPDX-License-Identifier: AGPL-3.0-or-later
// The folder that holds all of a node: node.key, cert.pem, key.pem, mailbox.sqlite, network.json,
// node.sock, of a chain network also proofs.bt, certificate*.bt, chain.* and voting.key. It belongs to one user
// and to one running node: others may not read it, and a second node on it is refused.
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AlliumError } from '@allium/protocol/errors';

/** `in_use`: another node runs on the folder. `insecure`: others can read it, and correcting that might break them. */
export class DataFolderError extends AlliumError<'unwritable' | 'insecure' | 'in_use'> {
  override readonly name = 'DataFolderError';
}

// Ours.
const FOLDER_MODE = 0o700;
const SECRET_MODE = 0o600;
/** Only their owner may read these. */
const SECRETS = ['node.key', 'key.pem', 'voting.key'] as const;
const LOCK = 'node.lock';
/** Whoever only looks whether a node runs, holds the lock for a moment. */
const LOCK_WAIT_MS = 500;
/** A folder with something else in it may be a shared one, a home for instance: its permissions are not ours to change. */
const OURS =
  /^(node\.(key|lock|sock)|beacon\.json|cert\.pem|key\.pem|network\.json|mailbox\.sqlite|proofs\.bt|certificate|chain\.|voting\.key)|^\.node\.key\.|^lost\+found$/;
/** SQLITE_BUSY. */
const BUSY = 5;

/**
 * Makes the folder when there is none, and takes from others the permission to read what is in it.
 * Returns sentences about what was corrected, for the log.
 * @throws DataFolderError that says what to do
 */
export function openDataFolder(path: string): string[] {
  const corrected: string[] = [];
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    if (process.getuid === undefined) return corrected; // Windows has no such permissions.
    const folder = statSync(path);
    if (isOpen(folder)) {
      if (!readdirSync(path).every((name) => OURS.test(name))) {
        throw new DataFolderError(
          'insecure',
          `other users can read ${path}, and it holds files of other programs: choose a folder for the node alone ` +
            `(--data-dir), or run "chmod 700 ${path}"`,
        );
      }
      correct(path, folder, FOLDER_MODE);
      corrected.push(`other users could read ${path}: it is now closed to them (mode 0700)`);
    }
    for (const name of SECRETS) {
      const file = join(path, name);
      const stats = statSync(file, { throwIfNoEntry: false });
      if (stats === undefined || !isOpen(stats)) continue;
      correct(file, stats, SECRET_MODE);
      corrected.push(
        `other users could read ${file}: it is now closed to them (mode 0600). If somebody may have copied it, ` +
          'the node needs a new key',
      );
    }
    return corrected;
  } catch (error) {
    if (error instanceof DataFolderError) throw error;
    throw unwritable(path, error);
  }
}

/** What is wrong with the permissions of folder and secrets; changes nothing. */
export function folderFaults(path: string): string[] {
  if (process.getuid === undefined) return [];
  const faults: string[] = [];
  for (const file of [path, ...SECRETS.map((name) => join(path, name))]) {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) continue;
    const mode = stats.isDirectory() ? '700' : '600';
    if (isOpen(stats)) faults.push(`other users can read ${file}: run "chmod ${mode} ${file}"`);
  }
  return faults;
}

const isOpen = ({ mode }: Stats): boolean => (mode & 0o077) !== 0;

function correct(path: string, { mode, uid }: Stats, wanted: number): void {
  try {
    chmodSync(path, wanted);
  } catch (error) {
    throw new DataFolderError(
      'insecure',
      `other users can read ${path} (mode 0${(mode & 0o777).toString(8)}), and it belongs to user ${uid}, not to us: ` +
        `as that user or as root run "chmod ${wanted.toString(8)} ${path}"`,
      { cause: error },
    );
  }
}

function unwritable(path: string, error: unknown): DataFolderError {
  const { code, message } = error as NodeJS.ErrnoException;
  const advice =
    code === 'ENOSPC' || /disk is full/.test(message)
      ? 'the disk is full: free some space'
      : code === 'EACCES' || code === 'EPERM'
        ? 'it belongs to another user: change its owner, or start the node as that user'
        : code === 'EROFS'
          ? 'the disk is mounted read-only'
          : code === 'ENOTDIR' || code === 'EEXIST'
            ? 'there is a file of that name: choose another folder (--data-dir)'
            : message;
  return new DataFolderError('unwritable', `cannot write to ${path}: ${advice}`, { cause: error });
}

/**
 * Writes a file that its owner alone can read, whole or not at all; it gets the owner of its folder, so that root may
 * restore the key of a node that runs as somebody else.
 * @throws DataFolderError
 */
export function writeSecret(path: string, text: string): void {
  const temporary = join(dirname(path), `.node.key.${process.pid}`);
  try {
    const file = openSync(temporary, 'w', SECRET_MODE);
    try {
      fchmodSync(file, SECRET_MODE);
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (process.getuid?.() === 0) {
      const { uid, gid } = statSync(dirname(path));
      chownSync(temporary, uid, gid);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw unwritable(path, error);
  }
}

/**
 * Keeps other nodes off the folder until the returned function is called or the process ends, in whatever way: the lock
 * is the operating system's (SQLite's on an empty database), so none is left behind.
 * @throws DataFolderError `in_use`
 */
export function lockDataFolder(path: string, waitMs = LOCK_WAIT_MS): () => void {
  const file = join(path, LOCK);
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file);
    // A journal in memory: the lock must be had on a full disk as well.
    lock.exec(`PRAGMA busy_timeout = ${waitMs}; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE`);
  } catch (error) {
    lock?.close();
    if (isBusy(error)) {
      throw new DataFolderError(
        'in_use',
        `another node runs on the data folder ${path}: stop that one first, or give this one a folder of its own (--data-dir)`,
      );
    }
    throw unwritable(path, error);
  }
  return () => lock.close();
}

/** Whether a node runs on the folder. */
export function isInUse(path: string): boolean {
  if (!existsSync(join(path, LOCK))) return false;
  try {
    lockDataFolder(path, 0)();
    return false;
  } catch (error) {
    if (error instanceof DataFolderError && error.code === 'in_use') return true;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === BUSY;
}
