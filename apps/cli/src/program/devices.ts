// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium devices`.
import type { Command } from 'commander';
import { type Done, wholeNumber, withNetwork } from './options.ts';

export function addDevices(program: Command, done: Done): void {
  withNetwork(
    program
      .command('devices')
      .description('show how what all devices of the account share stands; --sync fetches and sends it now'),
  )
    .option('--sync', 'ask every member of the swarm for all it has, and send what was changed here')
    .option('--timeout <seconds>', 'with --sync: give up after this time', wholeNumber(1, 3600), 120)
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      `
The network keeps no list of devices: each that was restored from the recovery phrase is one.

Examples:
  allium devices
  allium devices --sync

Exit codes: 0 everything of this device is with the others, 1 not yet, or the network did not answer, 2 wrong usage`,
    )
    .action(async (_options, command: Command) => {
      const { showDevices } = await import('../commands/devices.ts');
      done(await showDevices(command.optsWithGlobals()));
    });
}
