// SPDX-License-Identifier: AGPL-3.0-or-later
// The command line of `allium node key`, `doctor`, `peers` and `registration`: words and flags of their own among the options of the node.
import { ConfigError, readConfig, type ServiceNodeOptions } from '@allium/service-node/config';
import { usage } from '../cli-error.ts';
import type { PassphraseOptions } from '../passphrase.ts';

/** What a command about a node was given: words, its own flags, and the options of the node. */
export interface NodeCommand extends PassphraseOptions {
  readonly words: readonly string[];
  readonly json: boolean;
  /** Names of checks of the doctor. */
  readonly only?: readonly string[];
  /** Of a registration: the operator's address, and the file to write. */
  readonly operator?: string;
  readonly out?: string;
  readonly node: ServiceNodeOptions;
}

/** @throws CliError for what neither the command nor the node knows */
export function parseNodeCommand(args: readonly string[]): NodeCommand {
  const words: string[] = [];
  const others: string[] = [];
  let json = false;
  let passphraseFd: number | undefined;
  let only: string[] | undefined;
  const texts: { operator?: string; out?: string } = {};
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === '--json') json = true;
    else if (argument === '--only') only = (args[++i] ?? '').split(',');
    else if (argument.startsWith('--only=')) only = argument.slice(7).split(',');
    else if (argument === '--operator') texts.operator = args[++i] ?? '';
    else if (argument.startsWith('--operator=')) texts.operator = argument.slice(11);
    else if (argument === '--out') texts.out = args[++i] ?? '';
    else if (argument.startsWith('--out=')) texts.out = argument.slice(6);
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
      ...texts,
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
