// SPDX-License-Identifier: AGPL-3.0-or-later
// A file that says which process uses a folder, so that a second one keeps its hands off.
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';

/** Takes the lock and returns how to give it back; or the id of the live process that has it. */
export function takePidLock(path: string): (() => void) | number {
  for (let tries = 0; ; tries += 1) {
    try {
      const file = openSync(path, 'wx', 0o600);
      writeSync(file, `${process.pid}\n`);
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const pid = readPid(path);
      if (pid !== undefined && isAlive(pid)) return pid;
      // Left behind by a process that was killed; a second failure means that somebody was quicker.
      if (tries > 0) return pid ?? 0;
      rmSync(path, { force: true });
    }
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
