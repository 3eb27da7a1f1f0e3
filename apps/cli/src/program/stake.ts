// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium stake`.
import { type Command, InvalidArgumentError } from 'commander';
import { withChain, withWallet } from './chain.ts';
import { collect, type Done, passphraseDescriptor } from './options.ts';

export function addStake(program: Command, done: Done): void {
  const stake = program
    .command('stake')
    .description('lock tokens to run a node, alone or with others; rewards, exit')
    .addHelpText(
      'after',
      `
From a machine to a node that earns:
  allium stake new-wallet wallet.json                     the operator's wallet; needs tokens, and ETH for gas
  allium node registration --operator 0x… --chain-deployment deployment.json     on the machine of the node
  allium stake register registration.json                 locks the stake; with --pool others can join
  allium stake status                                     states, rewards, what can be done next
  allium stake claim
  allium stake exit 5                                     then, when it is due: allium stake withdraw --node 5

What would be sent is tried and shown first. --dry-run sends nothing, --yes does not ask.
Exit codes: 0 done, 1 not done, 2 wrong usage. docs/guides/staking.md tells more.`,
    );
  stake
    .command('new-wallet')
    .description(
      'make a wallet: a keystore file under a passphrase, as other wallets of the chain read it too',
    )
    .argument('<file>', 'file to write')
    .addOption(passphraseDescriptor())
    .option('--json', 'print {"address","file"} on one line')
    .action(async (file: string, _options, command: Command) => {
      const { newWallet } = await import('../commands/stake/wallet.ts');
      done(await newWallet(file, command.optsWithGlobals()));
    });
  withChain(
    stake
      .command('status')
      .description('what a wallet has in nodes and pools, what it can claim, and what it can do next')
      .option('--wallet <address>', 'whose (default: that of --keystore or --rpc-signer)')
      .option('--keystore <file>', 'wallet; its passphrase is not needed (default: ALLIUM_KEYSTORE)')
      .option('--rpc-signer <address>', 'account of the endpoint'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { status } = await import('../commands/stake/status.ts');
      done(await status(command.optsWithGlobals()));
    });
  spending(
    stake
      .command('register')
      .description('register a node: lock the whole stake, or open a pool that others fill')
      .argument('<file>', 'what "allium node registration" wrote')
      .option('--fee <percent>', 'of the rewards, for the operator before they are shared out', percent)
      .option('--beneficiary <address>', "who gets the operator's rewards (default: the operator)")
      .option('--pool', 'open a pool')
      .option('--amount <tokens>', 'of a pool: your own contribution, at least a quarter of the stake')
      .option('--reserve <address=tokens>', 'of a pool: keep a place for somebody (repeat)', collect)
      .option('--manual', 'of a pool: it becomes a node not when it is full, but by "allium stake finalize"'),
    `
Examples:
  allium stake register registration.json --dry-run
  allium stake register registration.json --pool --amount 5000 --fee 10 --reserve 0xab…=5000`,
  ).action(async (file: string, _options, command: Command) => {
    const { registerNode } = await import('../commands/stake/register.ts');
    done(await registerNode(file, command.optsWithGlobals()));
  });
  addPoolActions(stake, done);
  addNodeActions(stake, done);
}

function addPoolActions(stake: Command, done: Done): void {
  withChain(
    stake
      .command('pools')
      .description('the pools that take contributions')
      .option('--wallet <address>', 'from this wallet: places reserved for it count (default: from anybody)')
      .option('--keystore <file>', 'the same, by its keystore')
      .option('--rpc-signer <address>', 'the same, by an account of the endpoint'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (_options, command: Command) => {
      const { listPools } = await import('../commands/stake/pools.ts');
      done(await listPools(command.optsWithGlobals()));
    });
  spending(
    stake
      .command('contribute')
      .description('put tokens into a pool')
      .argument('<pool>', 'number of the pool', number)
      .argument('<tokens>', 'how many')
      .option('--beneficiary <address>', 'who gets the rewards (default: this wallet)')
      .option('--part', 'when less is missing by then, give what is missing')
      .option('--at-least <tokens>', 'with --part: but not less than this'),
  ).action(async (pool: number, amount: string, _options, command: Command) => {
    const { contributeTo } = await import('../commands/stake/actions.ts');
    done(await contributeTo(pool, amount, command.optsWithGlobals()));
  });
  spending(
    stake
      .command('cancel')
      .description('give up a pool that you opened; everyone can then withdraw')
      .argument('<pool>', 'number', number),
  ).action(async (pool: number, _options, command: Command) => {
    const { cancel } = await import('../commands/stake/actions.ts');
    done(await cancel(pool, command.optsWithGlobals()));
  });
  spending(
    stake.command('finalize').description('make a full pool a node').argument('<pool>', 'number', number),
  ).action(async (pool: number, _options, command: Command) => {
    const { finalize } = await import('../commands/stake/actions.ts');
    done(await finalize(pool, command.optsWithGlobals()));
  });
  spending(
    stake
      .command('release')
      .description('give up a reservation of a pool that you opened')
      .argument('<pool>', 'number', number)
      .argument('<address>', 'for whom it was'),
  ).action(async (pool: number, address: string, _options, command: Command) => {
    const { release } = await import('../commands/stake/actions.ts');
    done(await release(pool, address, command.optsWithGlobals()));
  });
}

function addNodeActions(stake: Command, done: Done): void {
  spending(
    stake
      .command('claim')
      .description('get the rewards of all your nodes, or of these')
      .argument('[node...]', 'numbers', numbers),
  ).action(async (nodes: number[] | undefined, _options, command: Command) => {
    const { claimRewards } = await import('../commands/stake/actions.ts');
    done(await claimRewards(nodes ?? [], command.optsWithGlobals()));
  });
  spending(
    stake
      .command('exit')
      .description('ask for the exit of a node in which you have a share')
      .argument('<node>', 'number', number),
  ).action(async (node: number, _options, command: Command) => {
    const { exit } = await import('../commands/stake/actions.ts');
    done(await exit(node, command.optsWithGlobals()));
  });
  spending(
    stake
      .command('withdraw')
      .description('take back your stake from a node that has left, or your contribution from a pool')
      .option('--node <n>', 'number of the node', number)
      .option('--pool <n>', 'number of the pool', number),
  ).action(async (_options, command: Command) => {
    const { withdraw } = await import('../commands/stake/actions.ts');
    done(await withdraw(command.optsWithGlobals()));
  });
  spending(
    stake
      .command('set-voting-key')
      .description('let a node vote with another key; give the key to the node before')
      .argument('<node>', 'number', number)
      .argument('<address>', 'of the voting key'),
  ).action(async (node: number, key: string, _options, command: Command) => {
    const { changeVotingKey } = await import('../commands/stake/actions.ts');
    done(await changeVotingKey(node, key, command.optsWithGlobals()));
  });
  spending(
    stake
      .command('set-beneficiary')
      .description('let the rewards of your share go to another address')
      .argument('<address>', 'who gets them')
      .option('--node <n>', 'number of the node', number)
      .option('--pool <n>', 'number of the pool', number),
  ).action(async (address: string, _options, command: Command) => {
    const { changeBeneficiary } = await import('../commands/stake/actions.ts');
    done(await changeBeneficiary(address, command.optsWithGlobals()));
  });
  spending(
    stake
      .command('send')
      .description('send tokens to another wallet')
      .argument('<tokens>', 'how many')
      .argument('<address>', 'to whom'),
  ).action(async (amount: string, address: string, _options, command: Command) => {
    const { sendTokens } = await import('../commands/stake/actions.ts');
    done(await sendTokens(amount, address, command.optsWithGlobals()));
  });
}

function spending(command: Command, help = ''): Command {
  withWallet(withChain(command))
    .option('--dry-run', 'show the transactions and what they cost; send nothing')
    .option('--yes', 'do not ask before sending')
    .option('--json', 'print one line of JSON');
  return help === '' ? command : command.addHelpText('after', help);
}

/** Basis points. */
function percent(text: string): number {
  const value = Number(text.replace(/ ?%$/, ''));
  if (!/^\d{1,3}(\.\d{1,2})? ?%?$/.test(text) || value > 100) {
    throw new InvalidArgumentError('It must be from 0 to 100 with at most two decimals.');
  }
  return Math.round(value * 100);
}

function number(text: string): number {
  const value = Number(text);
  if (!/^\d{1,10}$/.test(text) || value < 1 || value >= 2 ** 32) {
    throw new InvalidArgumentError('It must be a number, such as 5.');
  }
  return value;
}

function numbers(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), number(text)];
}
