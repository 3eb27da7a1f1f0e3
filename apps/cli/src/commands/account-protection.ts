// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium account passphrase`: what opens the account file from now on.
import { type AccountOptions, chooseEntry, chooseKeyFile, protect, unlock } from '../accounts.ts';
import { usage } from '../cli-error.ts';
import { choosePassphrase } from '../passphrase.ts';
import { print, remark } from '../terminal.ts';

interface ProtectionOptions extends AccountOptions {
  readonly newPassphraseFd?: number;
  readonly newKeyFile?: string;
  /** False with --no-passphrase. */
  readonly passphrase: boolean;
}

export async function changePassphrase(options: ProtectionOptions): Promise<number> {
  const { newKeyFile } = options;
  if (newKeyFile !== undefined && !options.passphrase) {
    throw usage('--new-key-file and --no-passphrase contradict each other');
  }
  const entry = await chooseEntry(options);
  const account = await unlock(entry, options);
  try {
    const source = {
      fd: options.newPassphraseFd,
      option: '--new-passphrase-fd',
      variable: 'ALLIUM_NEW_PASSPHRASE_FILE',
    };
    const by =
      newKeyFile !== undefined
        ? chooseKeyFile(newKeyFile)
        : options.passphrase
          ? await choosePassphrase(`account ${entry.name}`, options, { source })
          : undefined;
    await protect(entry, account, by);
    if (by === undefined) remark('The account is not protected now: anybody who can read its folder is you.');
    else
      print(
        `Account ${entry.name} is protected by ${typeof by === 'string' ? 'the new passphrase' : newKeyFile}.`,
      );
    return 0;
  } finally {
    account.dispose();
  }
}
