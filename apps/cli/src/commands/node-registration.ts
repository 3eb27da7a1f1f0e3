// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node registration`: on the node's machine, the file with which its operator registers it.
import { writeFileSync } from 'node:fs';
import { encodeRegistrationFile } from '@allium/chain/stake/registration-file';
import { AlliumError } from '@allium/protocol/errors';
import { prepareRegistration } from '@allium/service-node/registration';
import { addressOption } from '../chain-options.ts';
import { CliError, fileTrouble, usage } from '../cli-error.ts';
import { print } from '../terminal.ts';
import type { NodeCommand } from './node-command.ts';

const DEFAULT_FILE = 'registration.json';

export function nodeRegistration({ words, json, operator, out, node }: NodeCommand): number {
  if (words.length > 0)
    throw usage(`unknown argument "${words[0]}": write "allium node registration --operator 0x…"`);
  if (operator === undefined) {
    throw usage(
      'name the wallet that will own the node with --operator 0x… ("allium stake new-wallet" makes one)',
    );
  }
  const address = addressOption('--operator', operator);
  let prepared: ReturnType<typeof prepareRegistration>;
  try {
    prepared = prepareRegistration(node, address, Math.floor(Date.now() / 1000));
  } catch (error) {
    if (error instanceof AlliumError) throw new CliError(error.message, 1, { cause: error });
    throw error;
  }
  const { file, votingKeyFile } = prepared;
  const text = encodeRegistrationFile(file);
  const path = out ?? DEFAULT_FILE;
  if (json) print(text.trimEnd());
  if (json && out === undefined) return 0;
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw fileTrouble('choose another place with --out: cannot write', path, error);
  }
  if (json) return 0;
  print(`${path} registers node ${file.ed25519.slice(2)} for the operator ${address}.`);
  print(
    `Voting key   ${file.votingKey}, in ${votingKeyFile}: keep a little ETH on it, it pays the gas of votes and reveals.`,
  );
  print('Next, where the wallet of the operator is (the file holds no secret):');
  print(`  allium stake register ${path} --keystore FILE --chain-rpc URL --chain-deployment FILE`);
  print('Then start the node, or start it again, so that it takes the voting key.');
  return 0;
}
