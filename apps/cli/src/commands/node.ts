// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node`: one service node in the foreground, and what its operator does beside it (`key`, `doctor`, `peers`,
// `registration`). Options, help
// and `--print-config` of the node come from its own table; the other commands take the same options, so that they speak
// of the same node.
import { runServiceNode } from '@allium/service-node/main';
import { parseNodeCommand } from './node-command.ts';

const COMMANDS = `
Commands (with the same options, or --config FILE, as the node):
  allium node doctor [--json]         look over a node: exit code 0 all well, 1 something to do;
                                      --only NAME,… looks at these checks alone
  allium node peers [--json]          what the running node has found out about the others by testing them
  allium node key show                print the public key, for the list of the network
  allium node key backup FILE         write the key to FILE, under a passphrase
  allium node key restore FILE        bring the key back; never overwrites another one
  allium node registration --operator 0x…
                                      write registration.json (or --out FILE), with which the operator's wallet registers
                                      the node on the chain of --chain-deployment; makes node.key and voting.key if missing
  The passphrase: --passphrase-fd N, else ALLIUM_PASSPHRASE_FILE, else it is asked for.
`;

export async function runNode(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'key') {
    const { nodeKey } = await import('./node-key.ts');
    return nodeKey(parseNodeCommand(rest));
  }
  if (command === 'doctor') {
    const { nodeDoctor } = await import('./node-doctor.ts');
    return nodeDoctor(parseNodeCommand(rest));
  }
  if (command === 'peers') {
    const { nodePeers } = await import('./node-peers.ts');
    return nodePeers(parseNodeCommand(rest));
  }
  if (command === 'registration') {
    const { nodeRegistration } = await import('./node-registration.ts');
    return nodeRegistration(parseNodeCommand(rest));
  }
  const code = await runServiceNode(args);
  if (args.includes('--help') || args.includes('-h')) process.stdout.write(COMMANDS);
  return code;
}
