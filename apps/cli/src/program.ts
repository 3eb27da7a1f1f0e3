// SPDX-License-Identifier: AGPL-3.0-or-later
// The command table: names, options, help; by topic in program/. The code of a command is loaded when it runs, so that help is quick.
import { Command, CommanderError } from 'commander';
import { optionsLast } from './options-first.ts';
import { addAccounts } from './program/accounts.ts';
import { addCalculators } from './program/calculate.ts';
import { addChain } from './program/chain.ts';
import { addCompletion } from './program/completion.ts';
import { addContacts } from './program/contacts.ts';
import { addDevices } from './program/devices.ts';
import { addFiles } from './program/files.ts';
import { addGateway } from './program/gateway.ts';
import { addHistory } from './program/history.ts';
import { addLocalNetwork } from './program/local-network.ts';
import { addLooks } from './program/looks.ts';
import { addMessages } from './program/messages.ts';
import { addNames } from './program/names.ts';
import { addNetworks } from './program/networks.ts';
import type { Done } from './program/options.ts';
import { addSearch } from './program/search.ts';
import { addStake } from './program/stake.ts';

const VERSION = '0.1.0';

/** Runs one command line (without `node` and the script) and returns the exit code: 0 done, 1 not done, 2 wrong usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  if (args[0] === 'help' && args[1] === 'node') return await runCommandLine([...args.slice(1), '--help']);
  // The options of a node come from its own table, which also writes their help.
  if (args[0] === 'node') {
    const { runNode } = await import('./commands/node.ts');
    return runNode(args.slice(1));
  }
  let exitCode = 0;
  const program = buildProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(optionsLast(program, helpAsked(program, args)), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

/** `help network show` as `network show --help`; with a word that is no command as that command, which says so. */
function helpAsked(program: Command, args: readonly string[]): string[] {
  const [first, ...words] = args;
  if (first !== 'help' || words.length === 0 || words.some((word) => word.startsWith('-'))) return [...args];
  const path: string[] = [];
  let command = program;
  for (const word of words) {
    if (command.commands.length === 0) break;
    path.push(word);
    const found = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (found === undefined) return path;
    command = found;
  }
  return [...path, '--help'];
}

function buildProgram(done: Done): Command {
  const program = new Command('allium')
    .description('Messages over a network of service nodes: accounts, chat, nodes, networks.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .option('--home <folder>', 'where accounts and settings are (default: ALLIUM_HOME or ~/.config/allium)')
    .option('--key-file <file>', 'opens an account that is protected by a file (default: ALLIUM_KEY_FILE)')
    .exitOverride()
    .showHelpAfterError('Try "allium --help", or "allium help <command>".')
    .addHelpText(
      'after',
      `
Examples:
  npx allium demo                              a network on this machine, and a message through it
  npx allium account new                       make an account
  npx allium send 05ab…cd "hello"              send a message
  npx allium listen                            print messages as they arrive
  npx allium chat                              conversations in the terminal
  npx allium devnet --nodes 14                 a network on this machine to work with

Exit codes: 0 done, 1 not done (for "send": not stored), 2 wrong usage; "send --wait": 3 not delivered in time.
The network is chosen by --seed, else ALLIUM_SEED (several separated by commas), else "allium network use".`,
    );
  // Subcommands take over these settings, and --home may stand after the command as well.
  addLocalNetwork(program, done);
  addAccounts(program, done);
  addMessages(program, done);
  addSearch(program, done);
  addContacts(program, done);
  addDevices(program, done);
  addHistory(program, done);
  addNames(program, done);
  addLooks(program, done);
  addNetworks(program, done);
  addChain(program, done);
  addStake(program, done);
  addFiles(program, done);
  addGateway(program, done);
  addCalculators(program, done);
  addCompletion(program, done);
  program
    .command('node')
    .description('run one service node ("allium node --help" lists its options)')
    .helpOption(false)
    .allowUnknownOption();
  for (const [command, path] of allCommands(program, 'allium')) {
    command.exitOverride().showHelpAfterError(`Try "${path} --help".`);
  }
  return program;
}

function* allCommands(command: Command, path: string): Generator<readonly [Command, string]> {
  for (const child of command.commands) {
    const childPath = `${path} ${child.name()}`;
    yield [child, childPath];
    yield* allCommands(child, childPath);
  }
}
