// SPDX-License-Identifier: MIT
// What the bots read of their environment. What is missing or wrong there, or at the network, ends a bot with one line.
import { AlliumError } from '@allium/protocol/errors';
import { MnemonicError } from '@allium/protocol/mnemonic';

/**
 * The environment, in which `names` are set: a bot never guesses for which network it is. Missing ones end the process with
 * exit code 2; so does later, as errors that nobody catches, a phrase that is none. Other such errors end it with 1.
 */
export function settings<Name extends string>(...names: Name[]): NodeJS.ProcessEnv & Record<Name, string> {
  const { env } = process;
  const missing = names.filter((name) => (env[name] ?? '') === '');
  if (missing.length > 0) {
    console.error(`set ${missing.join(', ')}: docs/guides/bots.md tells what each is`);
    process.exit(2);
  }
  process.once('uncaughtException', (error: NodeJS.ErrnoException) => {
    if (error instanceof MnemonicError) {
      console.error(`ALLIUM_PHRASE is no recovery phrase: ${error.message}`);
      process.exit(2);
    }
    const asked =
      error.code === 'no_nodes' ? ` (ALLIUM_SEED is ${env.ALLIUM_SEED}: is that network running?)` : '';
    // Of what is no trouble of the world, whoever mends the bot needs the stack.
    const isTold = error instanceof AlliumError || error.syscall !== undefined;
    console.error(isTold ? `${error.message}${asked}` : error);
    process.exit(1);
  });
  return env as NodeJS.ProcessEnv & Record<Name, string>;
}
