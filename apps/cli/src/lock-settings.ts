// SPDX-License-Identifier: AGPL-3.0-or-later
// After how many minutes without a key `allium chat` locks an account: --lock-after, else what its settings keep beside the
// account (lock.txt).
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AccountEntry } from './accounts.ts';

const FILE = 'lock.txt';
/** Ours: a day. */
export const MOST_LOCK_MINUTES = 1_440;

/** Undefined: only by hand. */
export function keptLockMinutes(entry: AccountEntry): number | undefined {
  let text: string;
  try {
    text = readFileSync(join(entry.folder, FILE), 'utf8').trim();
  } catch {
    return undefined;
  }
  const minutes = Number(text);
  // What was once chosen and cannot be read any more must not leave the account open for ever.
  return /^\d{1,4}$/.test(text) && minutes >= 1 && minutes <= MOST_LOCK_MINUTES ? minutes : 1;
}

export function keepLockMinutes(entry: AccountEntry, minutes: number | undefined): void {
  const path = join(entry.folder, FILE);
  if (minutes === undefined) rmSync(path, { force: true });
  else writeFileSync(path, `${minutes}\n`, { mode: 0o600 });
}
