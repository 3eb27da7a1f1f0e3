// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium chain`, and the options that choose a chain and a wallet.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect, type Done, passphraseDescriptor } from './options.ts';

export function addChain(program: Command, done: Done): void {
  const chain = program.command('chain').description('the contracts of a network whose nodes lock tokens');
  withWallet(
    chain
      .command('deploy')
      .description('put the contracts on a chain; run again, it checks them and does what is missing')
      .addOption(
        new Option('--preset <name>', 'parameters')
          .choices(['production', 'test', 'local'])
          .makeOptionMandatory(),
      )
      .requiredOption('--folder <folder>', 'where deployment.json is kept')
      .addOption(rpc()),
  )
    .addOption(
      new Option('--governance <kind>', 'who may change parameters: a timelock, or nobody, ever')
        .choices(['timelock', 'none'])
        .default('timelock'),
    )
    .option('--guardian <address>', 'may pause registrations (default: the deployer)')
    .option('--genesis-operator <address>', 'may register before the opening, at any rate (repeat)', collect)
    .option(
      '--opens <time>',
      'when registration opens to all, as 2030-01-01T00:00:00Z (default: at once)',
      unixTime,
    )
    .option('--block-seeds', 'seeds from block hashes: for chains of one machine only')
    .option('--yes', 'do not ask')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      `
Examples:
  allium chain deploy --preset local --chain-rpc http://127.0.0.1:8545 --rpc-signer 0xf39f…2266 --folder net --yes
  allium chain deploy --preset production --chain-rpc https://… --keystore deployer.json --folder net

The deployer gets all tokens but those of the reward pool. Exit codes: 0 all contracts are there, 1 not, 2 wrong usage.`,
    )
    .action(async (_options, command: Command) => {
      const { deployChain } = await import('../commands/chain.ts');
      done(await deployChain(command.optsWithGlobals()));
    });
  withChain(
    chain
      .command('show')
      .description('print where the contracts are, their parameters, and how many nodes there are'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { showChain } = await import('../commands/chain.ts');
      done(await showChain(command.optsWithGlobals()));
    });
  withChain(chain.command('use').description('remember endpoint, contracts and wallet for later commands'))
    .option('--keystore <file>', 'wallet')
    .action(async (_options, command: Command) => {
      const { useChain } = await import('../commands/chain.ts');
      done(await useChain(command.optsWithGlobals()));
    });
}

export function withChain(command: Command): Command {
  return command
    .addOption(rpc())
    .addOption(
      new Option(
        '--chain-deployment <file>',
        'deployment.json of the network (default: ALLIUM_CHAIN_DEPLOYMENT)',
      ),
    );
}

export function withWallet(command: Command): Command {
  return command
    .addOption(new Option('--keystore <file>', 'wallet that signs (default: ALLIUM_KEYSTORE)'))
    .addOption(
      new Option('--rpc-signer <address>', 'in place of a keystore: an account for which the endpoint signs'),
    )
    .addOption(passphraseDescriptor());
}

function rpc(): Option {
  return new Option('--chain-rpc <url>', 'JSON-RPC endpoint of the chain (default: ALLIUM_CHAIN_RPC)');
}

function unixTime(text: string): number {
  const time = Date.parse(text);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(text) || Number.isNaN(time)) {
    throw new InvalidArgumentError('It must be a time such as 2030-01-01T00:00:00Z.');
  }
  return Math.floor(time / 1000);
}
