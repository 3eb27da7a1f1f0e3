// SPDX-License-Identifier: AGPL-3.0-or-later
// The `node` that a shell outside npm finds, and what a process left behind.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export const LAUNCHER = join(import.meta.dirname, '..', 'bin', 'allium.mjs');

/** PATH without the folders that npm puts in front. */
function shellPath(): string {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules') && !folder.includes('node-gyp-bin'))
    .join(delimiter);
}

/** The node of the shell, of whatever version; ours where the shell has none. */
export function systemNode(): string {
  for (const folder of shellPath().split(delimiter)) {
    const path = join(folder, 'node');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return process.execPath;
}

/** An environment as in a shell: nothing of npm or of the test runner. */
export function shellEnv(extra: Record<string, string> = {}): Record<string, string> {
  const env: Record<string, string> = { ...extra, PATH: shellPath() };
  for (const name of ['HOME', 'LANG', 'TMPDIR']) {
    const value = process.env[name];
    if (value !== undefined && env[name] === undefined) env[name] = value;
  }
  return env;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
