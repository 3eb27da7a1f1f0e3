// SPDX-License-Identifier: AGPL-3.0-or-later
// The program `allium`: reads the command line, runs one command, ends with its exit code.
import { followParent } from '@allium/lab/lifeline';
import { CliError, fileTrouble, systemTrouble } from './cli-error.ts';
import { runCommandLine } from './program.ts';
import { harmless } from './terminal.ts';

followParent();
// A reader that goes away (`allium listen | head -1`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`allium: ${fileTrouble('cannot write to', 'standard output', error).message}\n`);
  process.exit(1);
});

try {
  process.exitCode = await runCommandLine(process.argv.slice(2));
} catch (thrown) {
  const error = systemTrouble(thrown) ?? thrown;
  process.exitCode = error instanceof CliError ? error.exitCode : 1;
  // It may quote what a server said.
  process.stderr.write(`allium: ${harmless(error instanceof Error ? error.message : String(error))}\n`);
  if (process.env.ALLIUM_DEBUG !== undefined) console.error(thrown);
}
