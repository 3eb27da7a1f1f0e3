// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of commands as a script that completes command lines in bash: commands, options, the values of options that have
// few, accounts; else files.
import type { Command, Option } from 'commander';

/** Its words are letters, digits and "-" of our own tables, so nothing is quoted. */
export function bashCompletion(program: Command): string {
  const all = [...pathsOf(program, '')];
  const steps = all.map(([path]) => path).filter((path) => path !== '');
  const global = program.options.flatMap(({ long }) => long ?? []);
  const cases = all.map(([path, command]) => {
    const options = [...longOf(command.options), ...global, '--help'];
    const words = command.commands.map((one) => one.name());
    return `    "${path}") commands="${words.join(' ')}" options="${[...new Set(options)].join(' ')}" ;;`;
  });
  const values = all.flatMap(([path, { options }]) =>
    options
      .filter((option) => option.argChoices !== undefined)
      .map((option) => `    "${path} ${option.long}") values="${option.argChoices!.join(' ')}" ;;`),
  );
  return `# Completes allium in bash: source <(allium completion bash)
_allium() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} at= i commands= options= values=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${steps.map((path) => `"${path}"`).join('|')}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at $before" in
    *" --account") values=$(cd "\${ALLIUM_HOME:-\${XDG_CONFIG_HOME:-$HOME/.config}/allium}/accounts" 2>/dev/null && printf '%s ' *) ;;
${values.join('\n')}
  esac
  if [ -n "$values" ]; then COMPREPLY=($(compgen -W "$values" -- "$word")); return; fi
  case "$at" in
${cases.join('\n')}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$commands" -- "$word")) ;;
  esac
}
complete -o bashdefault -o default -F _allium allium
`;
}

const longOf = (options: readonly Option[]): string[] => options.flatMap(({ long }) => long ?? []);

/** Each command with the words that lead to it, a space before each. */
function* pathsOf(command: Command, path: string): Generator<readonly [string, Command]> {
  yield [path, command];
  for (const child of command.commands) yield* pathsOf(child, `${path} ${child.name()}`);
}
