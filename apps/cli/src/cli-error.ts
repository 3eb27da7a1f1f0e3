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

/** Wrong arguments. */
export function usage(message: string): CliError {
  return new CliError(message, 2);
}
