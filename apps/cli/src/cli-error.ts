// SPDX-License-Identifier: AGPL-3.0-or-later
// How a command says that it cannot go on. Exit codes: 0 done, 1 not done, 2 wrong usage, 128 + n ended by signal n.

/** Printed as one line on standard error; its message says what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

const FILE_TROUBLES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EEXIST: 'it is there already',
  ENOSPC: 'the disk is full',
  EROFS: 'the disk cannot be written to',
  EDQUOT: 'the quota of this user is used up',
};

/** `what` says what was tried ("cannot read"), `path` on what. */
export function fileTrouble(what: string, path: string, error: unknown): CliError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new CliError(`${what} ${path}: ${FILE_TROUBLES[code] ?? message}`, 2, { cause: error });
}

/** What the system refused, in words; undefined: that is no such error. */
export function systemTrouble(error: unknown): CliError | undefined {
  const { code = '', path } = error as NodeJS.ErrnoException;
  const trouble = error instanceof Error ? FILE_TROUBLES[code] : undefined;
  if (trouble === undefined) return undefined;
  const what = path === undefined ? 'a file cannot be written' : `cannot use ${path}`;
  return new CliError(`${what}: ${trouble}`, 1, { cause: error });
}

/** Wrong arguments. */
export function usage(message: string): CliError {
  return new CliError(message, 2);
}
