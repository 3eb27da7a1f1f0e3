// SPDX-License-Identifier: AGPL-3.0-or-later
// Where a passphrase comes from: a descriptor, a file named in the environment, or the terminal without echo. Never an
// argument or an environment variable itself, since both can be read in the list of processes.
import { readFileSync } from 'node:fs';
import { CliError, fileTrouble } from './cli-error.ts';
import { askSecret, remark } from './terminal.ts';

export interface PassphraseOptions {
  readonly passphraseFd?: number;
}

const INSTEAD =
  'Without one, put the passphrase into a file that only you can read and set ALLIUM_PASSPHRASE_FILE to its path, ' +
  'or hand it over by a pipe with --passphrase-fd N.';

/** The passphrase of an existing file. */
export async function readPassphrase(what: string, options: PassphraseOptions): Promise<string> {
  return given(options) ?? (await askSecret(`Passphrase of ${what}`, INSTEAD));
}

/** A passphrase for a new file, asked for twice. @throws CliError when it is empty or the two differ */
export async function choosePassphrase(
  what: string,
  options: PassphraseOptions,
  { required = false }: { readonly required?: boolean } = {},
): Promise<string> {
  const fromElsewhere = given(options);
  const without = required ? '' : ' Or leave the file unprotected with --no-passphrase.';
  const passphrase = fromElsewhere ?? (await askSecret(`New passphrase for ${what}`, `${INSTEAD}${without}`));
  if (passphrase === '') {
    const advice = required ? '' : '; use --no-passphrase if that is what you want';
    throw new CliError(`an empty passphrase protects nothing${advice}`);
  }
  if (fromElsewhere === undefined) {
    const again = await askSecret('The same again', INSTEAD);
    if (again !== passphrase) throw new CliError('the two passphrases differ; nothing was written');
  } else if (passphrase.length < 8) {
    remark('note: that passphrase is short');
  }
  return passphrase;
}

function given(options: PassphraseOptions): string | undefined {
  if (options.passphraseFd !== undefined) {
    try {
      return firstLine(readFileSync(options.passphraseFd, 'utf8'));
    } catch (error) {
      throw new CliError(`no passphrase could be read from descriptor ${options.passphraseFd}`, 2, {
        cause: error,
      });
    }
  }
  const path = process.env.ALLIUM_PASSPHRASE_FILE;
  if (path === undefined || path === '') return undefined;
  try {
    return firstLine(readFileSync(path, 'utf8'));
  } catch (error) {
    throw fileTrouble('cannot read', `${path} (ALLIUM_PASSPHRASE_FILE)`, error);
  }
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? '';
}
