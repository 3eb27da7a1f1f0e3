// SPDX-License-Identifier: AGPL-3.0-or-later
// Where a passphrase comes from: a descriptor, a file named in the environment, or the terminal without echo. Never an
// argument or an environment variable itself, since both can be read in the list of processes.
import { readFileSync } from 'node:fs';
import { CliError, fileTrouble } from './cli-error.ts';
import { askSecret, remark } from './terminal.ts';

export interface PassphraseOptions {
  readonly passphraseFd?: number;
}

/** Where one comes from when nobody is to be asked. */
export interface PassphraseSource {
  /** An open descriptor. */
  readonly fd: number | undefined;
  /** The option that names it, … */
  readonly option: string;
  /** … and the environment variable with the path of a file. */
  readonly variable: string;
}

const accountSource = ({ passphraseFd }: PassphraseOptions): PassphraseSource => ({
  fd: passphraseFd,
  option: '--passphrase-fd',
  variable: 'ALLIUM_PASSPHRASE_FILE',
});

const insteadOf = ({ option, variable }: PassphraseSource): string =>
  `Without one, put the passphrase into a file that only you can read and set ${variable} to its path, ` +
  `or hand it over by a pipe with ${option} N.`;

/** The passphrase of an existing file. */
export async function readPassphrase(
  what: string,
  options: PassphraseOptions,
  source = accountSource(options),
): Promise<string> {
  return given(source) ?? (await askSecret(`Passphrase of ${what}`, insteadOf(source)));
}

/** A passphrase for a new file, asked for twice. @throws CliError when it is empty or the two differ */
export async function choosePassphrase(
  what: string,
  options: PassphraseOptions,
  {
    required = false,
    source = accountSource(options),
  }: { readonly required?: boolean; readonly source?: PassphraseSource } = {},
): Promise<string> {
  const fromElsewhere = given(source);
  const instead = insteadOf(source);
  const without = required ? '' : ' Or leave the file unprotected with --no-passphrase.';
  const passphrase = fromElsewhere ?? (await askSecret(`New passphrase for ${what}`, `${instead}${without}`));
  if (passphrase === '') {
    const advice = required ? '' : '; use --no-passphrase if that is what you want';
    throw new CliError(`an empty passphrase protects nothing${advice}`);
  }
  if (fromElsewhere === undefined) {
    const again = await askSecret('The same again', instead);
    if (again !== passphrase) throw new CliError('the two passphrases differ; nothing was written');
  } else if (passphrase.length < 8) {
    remark('note: that passphrase is short');
  }
  return passphrase;
}

function given({ fd, variable }: PassphraseSource): string | undefined {
  if (fd !== undefined) {
    try {
      return firstLine(readFileSync(fd, 'utf8'));
    } catch (error) {
      throw new CliError(`no passphrase could be read from descriptor ${fd}`, 2, {
        cause: error,
      });
    }
  }
  const path = process.env[variable];
  if (path === undefined || path === '') return undefined;
  try {
    return firstLine(readFileSync(path, 'utf8'));
  } catch (error) {
    throw fileTrouble('cannot read', `${path} (${variable})`, error);
  }
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? '';
}
