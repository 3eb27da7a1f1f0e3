// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node`: one service node in the foreground, and what its operator does beside it (`key`, `doctor`). Options, help
// and `--print-config` of the node come from its own table; the other commands take the same options, so that they speak
// of the same node.
import { ConfigError, readConfig, type ServiceNodeOptions } from '@allium/service-node/config';
import { runServiceNode } from '@allium/service-node/main';
import { usage } from '../cli-error.ts';
import type { PassphraseOptions } from '../passphrase.ts';

const COMMANDS = `
Commands (with the same options, or --config FILE, as the node):
  allium node doctor [--json]         look over a node: exit code 0 all well, 1 something to do;
                                      --only NAME,… looks at these checks alone
  allium node key show                print the public key, for the list of the network
  allium node key backup FILE         write the key to FILE, under a passphrase
  allium node key restore FILE        bring the key back; never overwrites another one
  The passphrase: --passphrase-fd N, else ALLIUM_PASSPHRASE_FILE, else it is asked for.
`;

export async function runNode(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'key') {
    const { nodeKey } = await import('./node-key.ts');
    return nodeKey(parse(rest));
  }
  if (command === 'doctor') {
    const { nodeDoctor } = await import('./node-doctor.ts');
    return nodeDoctor(parse(rest));
  }
  const code = await runServiceNode(args);
  if (args.includes('--help') || args.includes('-h')) process.stdout.write(COMMANDS);
  return code;
}

/** What a command about a node was given: words, its own flags, and the options of the node. */
export interface NodeCommand extends PassphraseOptions {
  readonly words: readonly string[];
  readonly json: boolean;
  /** Names of checks of the doctor. */
  readonly only?: readonly string[];
  readonly node: ServiceNodeOptions;
}

/** @throws CliError for what neither the command nor the node knows */
function parse(args: readonly string[]): NodeCommand {
  const words: string[] = [];
  const others: string[] = [];
  let json = false;
  let passphraseFd: number | undefined;
  let only: string[] | undefined;
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === '--json') json = true;
    else if (argument === '--only') only = (args[++i] ?? '').split(',');
    else if (argument.startsWith('--only=')) only = argument.slice(7).split(',');
    else if (argument === '--passphrase-fd') passphraseFd = descriptor(args[++i]);
    else if (argument.startsWith('--passphrase-fd=')) passphraseFd = descriptor(argument.slice(16));
    else if (argument.startsWith('--')) {
      others.push(argument);
      // The value of an option of the node stands behind it.
      if (!argument.includes('=') && i + 1 < args.length) others.push(args[++i]!);
    } else words.push(argument);
  }
  try {
    const { options } = readConfig(others, process.env);
    return {
      words,
      json,
      node: options,
      ...(only !== undefined && { only }),
      ...(passphraseFd !== undefined && { passphraseFd }),
    };
  } catch (error) {
    if (error instanceof ConfigError) throw usage(error.message);
    throw error;
  }
}

function descriptor(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || !/^\d{1,4}$/.test(text) || value > 1023) {
    throw usage('--passphrase-fd expects the number of a file descriptor');
  }
  return value;
}
