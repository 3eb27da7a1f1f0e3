// SPDX-License-Identifier: AGPL-3.0-or-later
// The command table: names, options, help. The code of a command is loaded when it runs, so that help is quick.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { addCalculators } from './program/calculate.ts';

const VERSION = '0.1.0';

/** Runs one command line (without `node` and the script) and returns the exit code: 0 done, 1 not done, 2 wrong usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
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
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

type Run = (code: number) => void;

function buildProgram(done: Run): Command {
  const program = new Command('allium')
    .description('Messages over a network of service nodes: accounts, chat, nodes, networks.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .option('--home <folder>', 'where accounts and settings are (default: ALLIUM_HOME or ~/.config/allium)')
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
  npx allium devnet --nodes 14                 a network on this machine to work with

Exit codes: 0 done, 1 not done (for "send": not stored), 2 wrong usage.
The network is chosen by --seed, else ALLIUM_SEED (several separated by commas), else "allium network use".`,
    );
  // Subcommands take over these settings, and --home may stand after the command as well.
  addLocalNetwork(program, done);
  addAccounts(program, done);
  addMessages(program, done);
  addNetworks(program, done);
  addCalculators(program, done);
  program
    .command('node')
    .description('run one service node ("allium node --help" lists its options)')
    .helpOption(false)
    .allowUnknownOption();
  for (const command of allCommands(program)) command.exitOverride();
  return program;
}

function* allCommands(command: Command): Generator<Command> {
  for (const child of command.commands) {
    yield child;
    yield* allCommands(child);
  }
}

function addLocalNetwork(program: Command, done: Run): void {
  program
    .command('demo')
    .description('start a network on this machine and send a message through it, step by step')
    .option('--once', 'end after the walk: exit code 0 when every step worked, else 1')
    .option('--nodes <n>', 'number of service nodes', wholeNumber(8, 200), 14)
    .option('--folder <folder>', 'where its state is kept, below the current directory', '.allium/devnet')
    .option('--reset', 'forget the state of earlier runs first')
    .action(async (_options, command: Command) => {
      const { runDemo } = await import('./commands/demo.ts');
      done(await runDemo(command.optsWithGlobals()));
    });
  program
    .command('devnet')
    .description('run a network of service nodes on this machine until Ctrl-C')
    .option(
      '--nodes <n>',
      'number of service nodes (14 are the fewest that make two swarms)',
      wholeNumber(1, 500),
    )
    .option('--swarms <sizes>', 'fix the swarms by hand, e.g. 5,5 for two swarms of five', swarmSizes)
    .option('--processes', 'run each node as a process of its own')
    .option('--ready-file <file>', 'write addresses, keys and process ids there once all nodes answer')
    .option('--folder <folder>', 'keep its state there (default: a temporary folder, removed at the end)')
    .option('--reset', 'forget the state of that folder first')
    .option('--no-rate-limit', 'let one address make any number of requests (for load tests)')
    .addOption(
      new Option('--log-level <level>', 'what nodes log, to standard error')
        .choices(['error', 'warn', 'info', 'debug', 'silent'])
        .default('error'),
    )
    .addHelpText(
      'after',
      `
Examples:
  allium devnet --nodes 14
  allium devnet --swarms 5,5 --processes --ready-file ready.json --no-rate-limit

The ready file holds {"seed":"https://127.0.0.1:P","nodes":[{"host","port","omqPort","ed25519","x25519","swarm","pid"}…]}.`,
    )
    .action(async (_options, command: Command) => {
      const { runDevnet } = await import('./commands/devnet.ts');
      done(await runDevnet(command.optsWithGlobals()));
    });
}

function addAccounts(program: Command, done: Run): void {
  const account = program.command('account').description('make, restore, show and list accounts');
  account
    .command('new')
    .description('make an account and print its id and recovery phrase')
    .option('--account <name>', 'name of the account on this machine', 'main')
    .addOption(noPassphrase())
    .addOption(passphraseDescriptor())
    .option('--json', 'print {"name","id","phrase"} on one line')
    .action(async (_options, command: Command) => {
      const { newAccount } = await import('./commands/account.ts');
      done(await newAccount(command.optsWithGlobals()));
    });
  account
    .command('restore')
    .description('bring an account back from its recovery phrase, asked for or read from standard input')
    .option('--account <name>', 'name of the account on this machine', 'main')
    .addOption(noPassphrase())
    .addOption(passphraseDescriptor())
    .option('--json', 'print {"name","id"} on one line')
    .addHelpText(
      'after',
      `
Examples:
  allium account restore --account phone
  allium account restore < phrase.txt          the phrase never stands on the command line`,
    )
    .action(async (_options, command: Command) => {
      const { restoreAccount } = await import('./commands/account.ts');
      done(await restoreAccount(command.optsWithGlobals()));
    });
  account
    .command('show')
    .description('print the id of an account')
    .addOption(accountName())
    .option('--phrase', 'print the recovery phrase too (needs the passphrase)')
    .addOption(passphraseDescriptor())
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { showAccount } = await import('./commands/account.ts');
      done(await showAccount(command.optsWithGlobals()));
    });
  account
    .command('list')
    .description('list the accounts on this machine')
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { listAccounts } = await import('./commands/account.ts');
      done(await listAccounts(command.optsWithGlobals()));
    });
}

function addMessages(program: Command, done: Run): void {
  withNetwork(
    program
      .command('send')
      .description('send a text message; the exit code tells whether the network stored it')
      .argument('<id>', 'account id of the recipient (66 hex digits that begin with 05)')
      .argument('[text]', 'the text, or "-" to read it from standard input', '-'),
  )
    .option('--json', 'print one line of JSON')
    .option('--timeout <seconds>', 'give up after this time', wholeNumber(1, 3600), 60)
    .addHelpText(
      'after',
      `
Examples:
  allium send 05ab…cd "hello"
  uptime | allium send 05ab…cd -

Exit codes: 0 stored by the recipient's swarm, 1 not stored, 2 wrong usage.`,
    )
    .action(async (id: string, text: string, _options, command: Command) => {
      const { send } = await import('./commands/send.ts');
      done(await send(id, text, command.optsWithGlobals()));
    });
  withNetwork(
    program
      .command('listen')
      .description('print messages as they arrive, and those that waited, until Ctrl-C'),
  )
    .option('--json', 'print each message as one line of JSON')
    .option('--count <n>', 'end after this many messages', wholeNumber(1, 1e9))
    .option('--timeout <seconds>', 'end with code 1 when --count is not reached in time', wholeNumber(1, 1e6))
    .action(async (_options, command: Command) => {
      const { listen } = await import('./commands/listen.ts');
      done(await listen(command.optsWithGlobals()));
    });
  withNetwork(
    program.command('path').description('build the onion paths of an account and print the nodes on them'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { showPath } = await import('./commands/path.ts');
      done(await showPath(command.optsWithGlobals()));
    });
  program
    .command('health')
    .description('ask every node of a network how it is')
    .addOption(seed())
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { health } = await import('./commands/health.ts');
      done(await health(command.optsWithGlobals()));
    });
  program
    .command('explorer')
    .description('a web page and JSON that show a network to anybody, until Ctrl-C')
    .addOption(seed())
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any free one', wholeNumber(0, 65_535), 8090)
    .action(async (_options, command: Command) => {
      const { runExplorer } = await import('./commands/explorer.ts');
      done(await runExplorer(command.optsWithGlobals()));
    });
}

function addNetworks(program: Command, done: Run): void {
  const network = program
    .command('network')
    .description('signed lists of service nodes (networks without a chain), and the network to use')
    .addHelpText(
      'after',
      `
A network without a chain is a file that lists its nodes, signed by k of its n admins:
  allium network key admin.key                                   on each admin's machine; prints the public key
  allium network node-key /var/lib/allium                        on each node's machine; prints its PK
  allium network create net.json --admin KEY1 --admin KEY2 --threshold 2 --node PK@203.0.113.7:22021:22020
  allium network sign net.json --key admin.key                   by each admin in turn
  allium network add next.json --from net.json --node PK@…       the next version, to be signed again
  allium network show next.json --trusted net.json               what it says and who signed
Hand the signed file to one node ("allium node --network-file"); the nodes pass later versions on among themselves.`,
    );
  network
    .command('key')
    .description('make the key of an admin; prints the public key')
    .argument('<file>', 'key file to write (readable by you alone)')
    .addOption(noPassphrase())
    .addOption(passphraseDescriptor())
    .action(async (file: string, _options, command: Command) => {
      const { makeKey } = await import('./commands/network.ts');
      done(await makeKey(file, command.optsWithGlobals()));
    });
  network
    .command('node-key')
    .description(
      "print the public key of a node, for the list; makes the node's folder and key when there are none",
    )
    .argument('<folder>', "the node's data folder (its --data-dir)")
    .action(async (nodeFolder: string) => {
      const { printNodeKey } = await import('./commands/network.ts');
      done(await printNodeKey(nodeFolder));
    });
  network
    .command('create')
    .description('make the first version of a list')
    .argument('<file>', 'list to write')
    .requiredOption('--admin <key>', 'public key of an admin (repeat)', collect)
    .option(
      '--threshold <k>',
      'signatures that a later version needs (default: all admins)',
      wholeNumber(1, 100),
    )
    .option(
      '--node <spec>',
      'PK@HOST:HTTPS-PORT:OMQ-PORT, optionally /SWARM in 16 hex digits (repeat)',
      collect,
      [],
    )
    .option('--expires-days <n>', 'how long it may be accepted', wholeNumber(1, 36_500), 365)
    .option('--key <file>', 'sign it with this key at once')
    .addOption(passphraseDescriptor())
    .action(async (file: string, _options, command: Command) => {
      const { create } = await import('./commands/network.ts');
      done(await create(file, command.optsWithGlobals()));
    });
  for (const [name, verb] of [
    ['add', 'add nodes'],
    ['remove', 'remove nodes'],
  ] as const) {
    const nodes =
      name === 'add'
        ? 'PK@HOST:HTTPS-PORT:OMQ-PORT, optionally /SWARM in 16 hex digits (repeat)'
        : 'public key of the node (repeat)';
    network
      .command(name)
      .description(`${verb}: writes the next version of a list, unsigned`)
      .argument('<file>', 'list to write')
      .requiredOption('--from <file>', 'the signed list in force')
      .requiredOption('--node <spec>', nodes, collect)
      .option('--expires-days <n>', 'how long it may be accepted', wholeNumber(1, 36_500), 365)
      .option('--key <file>', 'sign it with this key at once')
      .addOption(passphraseDescriptor())
      .action(async (file: string, _options, command: Command) => {
        const commands = await import('./commands/network.ts');
        done(await commands[name](file, command.optsWithGlobals()));
      });
  }
  network
    .command('sign')
    .description('add your signature to a list')
    .argument('<file>', 'list to sign')
    .requiredOption('--key <file>', 'your key file')
    .addOption(passphraseDescriptor())
    .action(async (file: string, _options, command: Command) => {
      const { sign } = await import('./commands/network.ts');
      done(await sign(file, command.optsWithGlobals()));
    });
  network
    .command('show')
    .description('print a list; exit code 1 when it has not enough signatures')
    .argument('<file>', 'list to show')
    .option('--trusted <file>', 'the list in force, whose admins must have signed (default: its own admins)')
    .option('--json', 'print one line of JSON')
    .action(async (file: string, _options, command: Command) => {
      const { show } = await import('./commands/network.ts');
      done(await show(file, command.optsWithGlobals()));
    });
  network
    .command('use')
    .description('remember the seeds of the network that commands use from now on')
    .argument('<seed...>', 'URLs such as https://127.0.0.1:22021')
    .action(async (seeds: string[], _options, command: Command) => {
      const { useNetwork } = await import('./commands/network-use.ts');
      done(await useNetwork(seeds, command.optsWithGlobals()));
    });
}

function withNetwork(command: Command): Command {
  return command.addOption(accountName()).addOption(seed()).addOption(passphraseDescriptor());
}

function accountName(): Option {
  return new Option('--account <name>', 'which account (default: the only one)');
}

function seed(): Option {
  return new Option('--seed <url>', 'a node of the network, e.g. https://127.0.0.1:22021 (repeat)').argParser(
    collect,
  );
}

function noPassphrase(): Option {
  return new Option('--no-passphrase', 'leave the file unprotected: whoever reads it is you');
}

function passphraseDescriptor(): Option {
  return new Option(
    '--passphrase-fd <n>',
    'read the passphrase from this file descriptor (else ALLIUM_PASSPHRASE_FILE, else it is asked for)',
  ).argParser(wholeNumber(0, 1023));
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,10}$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

function swarmSizes(text: string): number[] {
  const sizes = text.split(',').map(Number);
  if (!/^\d{1,3}(,\d{1,3})*$/.test(text) || sizes.some((size) => size === 0)) {
    throw new InvalidArgumentError('It must be sizes separated by commas, such as 5,5.');
  }
  return sizes;
}
