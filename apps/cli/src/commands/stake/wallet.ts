// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium stake new-wallet`: a key of the chain in a keystore that other wallets read too.
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { withChecksum } from '@allium/chain/address';
import { keystoreAddress, sealKeystore } from '@allium/chain/keystore';
import { randomBytes } from '@allium/protocol/crypto';
import { CliError, fileTrouble } from '../../cli-error.ts';
import { choosePassphrase, type PassphraseOptions } from '../../passphrase.ts';
import { print, printJson } from '../../terminal.ts';

export async function newWallet(
  file: string,
  options: PassphraseOptions & { readonly json?: boolean },
): Promise<number> {
  if (existsSync(file)) throw new CliError(`${file} is there already; a wallet is never overwritten`);
  const passphrase = await choosePassphrase('the wallet', options, { required: true });
  // 2^-128 that this is none of the curve; sealing it would then fail.
  const key = randomBytes(32);
  const text = sealKeystore(key, passphrase);
  key.fill(0);
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx', flush: true });
    chmodSync(file, 0o600);
  } catch (error) {
    throw fileTrouble('cannot write', file, error);
  }
  const address = keystoreAddress(text)!;
  if (options.json === true) printJson({ address, file });
  else {
    print(`Wallet ${withChecksum(address)} is in ${file}.`);
    print(
      'Keep a copy of the file and its passphrase in another place: without either, what the wallet holds is lost.',
    );
  }
  return 0;
}
