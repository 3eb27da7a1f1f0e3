// SPDX-License-Identifier: AGPL-3.0-or-later
// Options of a command that stand before its name: `allium contacts --account ann name 05… ben`.
import type { Command, Option } from 'commander';

const OF_EVERY_COMMAND = new Set(['-h', '--help', '-V', '--version']);

/**
 * The same command line with such options after the name of the command; as it is where an option belongs to no command below
 * or a word names none, so that the parser says so.
 */
export function optionsLast(program: Command, args: readonly string[]): readonly string[] {
  const placed: string[] = [];
  const moved: string[] = [];
  let command = program;
  let at = 0;
  while (command.commands.length > 0) {
    const word = args[at++];
    if (word === undefined || word === '--') return args;
    if (!word.startsWith('-')) {
      const found = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (found === undefined) return args;
      placed.push(word);
      command = found;
      continue;
    }
    const [flag = word] = word.split('=', 1);
    const own = command.options.find((option) => isFlag(option, flag));
    const option = own ?? optionBelow(command, flag);
    const to = own === undefined && !OF_EVERY_COMMAND.has(flag) ? moved : placed;
    if (option === undefined && to === moved) return args;
    to.push(word);
    const value = args[at];
    if (option?.required === true && flag === word && value !== undefined) {
      to.push(value);
      at++;
    }
  }
  return [...placed, ...moved, ...args.slice(at)];
}

function optionBelow(command: Command, flag: string): Option | undefined {
  for (const child of command.commands) {
    const found = child.options.find((option) => isFlag(option, flag)) ?? optionBelow(child, flag);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isFlag = ({ short, long }: Option, flag: string): boolean => flag === short || flag === long;
