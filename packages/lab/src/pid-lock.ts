// SPDX-License-Identifier: AGPL-3.0-or-later
// A file that says which process uses a folder, so that a second one keeps its hands off: its id, and when it was started,
// because the system gives the ids of ended processes to others.
import { closeSync, linkSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';

/** Ours: so often and so long somebody is waited for who has made the file and not written it yet. */
const EMPTY_LOOKS = 5;
const EMPTY_WAIT_MS = 20;

/** Takes the lock and returns how to give it back; or the id of the live process that has it. */
export function takePidLock(path: string): (() => void) | number {
  for (let tries = 0; ; tries += 1) {
    if (create(path)) return () => remove(path);
    const text = readWritten(path);
    const owner = ownerIn(text);
    if (owner !== undefined && isAlive(owner)) return owner.pid;
    // Left behind by a process that was killed; a second failure means that somebody was quicker.
    if (tries > 0) return owner?.pid ?? 0;
    takeAway(path, text);
  }
}

/** False: it is there. */
function create(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    writeSync(file, `${process.pid} ${startOf(process.pid) ?? ''}\n`);
    return true;
  } catch (error) {
    remove(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

function readWritten(path: string): string {
  for (let looks = 1; ; looks += 1) {
    const text = read(path);
    if (text !== '' || looks === EMPTY_LOOKS) return text;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EMPTY_WAIT_MS);
  }
}

/** Removes the file that says `stale`. Of two who do that at once, the slower one gives back what the quicker one made. */
function takeAway(path: string, stale: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    if (read(aside) !== stale) linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    remove(aside);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

interface Owner {
  readonly pid: number;
  /** Undefined: not known. */
  readonly start: string | undefined;
}

function ownerIn(text: string): Owner | undefined {
  const [, pid, start] = /^(\d{1,10})(?: (\S+))?\s*$/.exec(text) ?? [];
  return pid === undefined || Number(pid) < 1 ? undefined : { pid: Number(pid), start };
}

function isAlive({ pid, start }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return start === undefined || now === undefined || start === now;
}

/** The boot, and the ticks from it to the start of a process; undefined where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
    // Its name, in brackets, may hold anything; the start is the 20th field behind it.
    return `${boot}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return undefined;
  }
}
