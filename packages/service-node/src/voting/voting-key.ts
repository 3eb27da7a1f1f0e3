// SPDX-License-Identifier: AGPL-3.0-or-later
// The key that votes, reveals and pays gas for it (spec/chain §4.5): 64 hex digits in `voting.key` of the data folder, or
// in a file that the operator names.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { AlliumError } from '@allium/protocol/errors';
import type { ServiceNodeOptions } from '../config.ts';
import { writeSecret } from '../data-folder.ts';

/** `bad_voting_key`: a file without one, or none where one was named. */
class VotingKeyError extends AlliumError<'bad_voting_key'> {
  override readonly name = 'VotingKeyError';
}

type KeyPlace = Pick<ServiceNodeOptions, 'dataDir' | 'votingKeyFile'>;

const VOTING_KEY = 'voting.key';
const SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Where the key of this node is, or would be. */
export function votingKeyPath({ dataDir, votingKeyFile }: KeyPlace): string {
  return votingKeyFile === '' ? join(dataDir, VOTING_KEY) : votingKeyFile;
}

/** 32 bytes. Undefined: the data folder has none. @throws VotingKeyError */
export function readVotingKey(place: KeyPlace): Uint8Array | undefined {
  const key = readKey(votingKeyPath(place));
  if (key === undefined && place.votingKeyFile !== '') {
    throw new VotingKeyError('bad_voting_key', `${place.votingKeyFile} (--voting-key-file) does not exist`);
  }
  return key;
}

/** The key there is, or a new one. @throws VotingKeyError, DataFolderError */
export function readOrMakeVotingKey(place: KeyPlace): Uint8Array {
  const known = readKey(votingKeyPath(place));
  if (known !== undefined) return known;
  let key = randomBytes(32);
  while (!isVotingKey(key)) key = randomBytes(32);
  writeSecret(votingKeyPath(place), `${toHex(key)}\n`);
  return key;
}

function readKey(path: string): Uint8Array | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new VotingKeyError(
      'bad_voting_key',
      `${path} cannot be read (${error instanceof Error ? error.message : error}): it must belong to the user of the node`,
      { cause: error },
    );
  }
  const key = /^(?:0x)?([0-9a-f]{64})$/i.exec(text)?.[1];
  // The text may be a key with a slip in it: it is not repeated.
  if (key === undefined || !isVotingKey(fromHex(key))) {
    throw new VotingKeyError('bad_voting_key', `${path} does not hold a voting key of 64 hex digits`);
  }
  return fromHex(key);
}

/** Whether the number is a private key of secp256k1. */
function isVotingKey(key: Uint8Array): boolean {
  const value = BigInt(`0x${toHex(key)}`);
  return value > 0n && value < SECP256K1_ORDER;
}
