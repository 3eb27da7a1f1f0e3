// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium network`.
import type { Command } from 'commander';
import {
  collect,
  type Done,
  fileServer,
  noPassphrase,
  passphraseDescriptor,
  proxy,
  seed,
  wholeNumber,
} from './options.ts';

export function addNetworks(program: Command, done: Done): void {
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
      const { makeKey } = await import('../commands/network.ts');
      done(await makeKey(file, command.optsWithGlobals()));
    });
  network
    .command('node-key')
    .description(
      "print the public key of a node, for the list; makes the node's folder and key when there are none",
    )
    .argument('<folder>', "the node's data folder (its --data-dir)")
    .action(async (nodeFolder: string) => {
      const { printNodeKey } = await import('../commands/network.ts');
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
      const { create } = await import('../commands/network.ts');
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
        const commands = await import('../commands/network.ts');
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
      const { sign } = await import('../commands/network.ts');
      done(await sign(file, command.optsWithGlobals()));
    });
  network
    .command('show')
    .description(
      'print a list, exit code 1 when it has not enough signatures; or without a file the network in use, and the invitation ' +
        'to it',
    )
    .argument('[file]', 'list to show')
    .option('--qr', 'without a file: the invitation as a QR code too')
    .option('--name <name>', 'without a file: what those who are invited may call the network')
    .option('--trusted <file>', 'the list in force, whose admins must have signed (default: its own admins)')
    .option('--json', 'print one line of JSON')
    .action(async (file: string | undefined, _options, command: Command) => {
      if (file === undefined) {
        const { showInvitation } = await import('../commands/network-join.ts');
        done(await showInvitation(command.optsWithGlobals()));
        return;
      }
      const { show } = await import('../commands/network.ts');
      done(await show(file, command.optsWithGlobals()));
    });
  network
    .command('join')
    .description('use the network of an invitation, or of a list that somebody gave you')
    .argument(
      '<invitation>',
      'the text of an invitation (allium:join?…), as in its QR code; a file with it; a signed list or certificate; or a list ' +
        'of nodes as seeds give it',
    )
    .addOption(seed())
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      `
Examples:
  allium network join "allium:join?v=1&seed=https://203.0.113.7:22021&…"
  allium network join net.json                  the signed list of a network without a chain
  allium network join nodes.json                the nodes that a friend knows: seeds, nothing more

Compare what it prints with the one who invited you: an invitation decides whom you believe.`,
    )
    .action(async (invitation: string, _options, command: Command) => {
      const { join } = await import('../commands/network-join.ts');
      done(await join(invitation, command.optsWithGlobals()));
    });
  network
    .command('anchor')
    .description('fetch what --trust takes: the certificate or signed list that the nodes of a network serve')
    .argument('<file>', 'file to write')
    .addOption(seed())
    .addOption(proxy())
    .option('--json', 'print {"file","kind","digest"} on one line')
    .action(async (file: string, _options, command: Command) => {
      const { saveAnchor } = await import('../commands/network-anchor.ts');
      done(await saveAnchor(file, command.optsWithGlobals()));
    });
  network
    .command('use')
    .description('remember the seeds of the network that commands use from now on')
    .argument('<seed...>', 'URLs such as https://127.0.0.1:22021')
    .addOption(fileServer())
    .action(async (seeds: string[], _options, command: Command) => {
      const { useNetwork } = await import('../commands/network-use.ts');
      done(await useNetwork(seeds, command.optsWithGlobals()));
    });
}
