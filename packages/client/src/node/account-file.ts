// SPDX-License-Identifier: MIT
// An account in a file, protected by a passphrase:
//
//   {"format":"allium-account","version":1,"id":"05…",
//    "kdf":{"name":"argon2id","passes":3,"memoryBytes":67108864,"salt":"…"},
//    "cipher":{"name":"xchacha20-poly1305","nonce":"…"},
//    "ciphertext":"…","checksum":"…"}
//
// key = Argon2id(NFKC of the passphrase); plaintext = the seed of 16 or 32 bytes; checksum = BLAKE2b-256 over all
// other members, so that a damaged file is told apart from a wrong passphrase. Bytes are base64.
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { equal, fromBase64, fromUtf8, toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import {
  argon2id,
  blake2b,
  randomBytes,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '@allium/protocol/crypto';
import { AlliumError, ParseError } from '@allium/protocol/errors';
import { type Json, type JsonObject, parseJson } from '@allium/protocol/json';

/**
 * `wrong_passphrase`: the file is whole. `damaged`: it is not what was written. `unsupported`: of a newer version, or
 * its parameters are out of bounds. `exists`: not overwritten. `missing`, `unreadable`: as the file system says.
 * `empty_passphrase`: refused when writing.
 */
export class AccountFileError extends AlliumError<
  'wrong_passphrase' | 'damaged' | 'unsupported' | 'exists' | 'missing' | 'unreadable' | 'empty_passphrase'
> {
  override readonly name = 'AccountFileError';
}

// All ours.
const FORMAT = 'allium-account';
const VERSION = 1;
const SALT_BYTES = 16;
const NONCE_BYTES = 24;
const KEY_BYTES = 32;
const MIB = 1024 * 1024;
/** About a fifth of a second on a small machine. */
const PASSES = 3;
const MEMORY_BYTES = 64 * MIB;
/** A file may ask for so much at most: it may come from anybody. */
const MAX_PASSES = 16;
const MAX_MEMORY_BYTES = 512 * MIB;
const MIN_MEMORY_BYTES = 8 * 1024;
const MAX_FILE_BYTES = 16 * 1024;

interface Envelope {
  readonly id: AccountId;
  readonly passes: number;
  readonly memoryBytes: number;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly ciphertext: Uint8Array;
}

export interface WriteOptions {
  /** Replace an existing file. Default false. */
  readonly overwrite?: boolean;
  /** For tests: the cost of the key derivation. */
  readonly passes?: number;
  readonly memoryBytes?: number;
}

/**
 * Writes the account so that a crash leaves the old file or the whole new one; readable by its owner only.
 * @throws AccountFileError `exists`, `empty_passphrase`, `unreadable`
 */
export async function writeAccountFile(
  path: string,
  account: Account,
  passphrase: string,
  options: WriteOptions = {},
): Promise<void> {
  if (passphrase === '') throw new AccountFileError('empty_passphrase', 'the passphrase is empty');
  const { passes = PASSES, memoryBytes = MEMORY_BYTES } = options;
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const key = argon2id(normalized(passphrase), salt, { passes, memoryBytes, length: KEY_BYTES });
  const seed = account.seed();
  const ciphertext = xchacha20Poly1305Seal(key, nonce, seed);
  seed.fill(0);
  key.fill(0);
  const envelope = { id: account.id, passes, memoryBytes, salt, nonce, ciphertext };
  await writeAtomically(path, `${encodeEnvelope(envelope)}\n`, options.overwrite === true);
}

/**
 * The account, with its keys.
 * @throws AccountFileError
 */
export async function readAccountFile(path: string, passphrase: string): Promise<Account> {
  const envelope = await readEnvelope(path);
  const key = argon2id(normalized(passphrase), envelope.salt, {
    passes: envelope.passes,
    memoryBytes: envelope.memoryBytes,
    length: KEY_BYTES,
  });
  const seed = xchacha20Poly1305Open(key, envelope.nonce, envelope.ciphertext);
  key.fill(0);
  // The checksum was right: the bytes are those that were written.
  if (seed === undefined) throw new AccountFileError('wrong_passphrase', 'the passphrase is wrong');
  const account = Account.fromSeed(seed);
  seed.fill(0);
  if (account.id !== envelope.id) {
    account.dispose();
    throw new AccountFileError('damaged', 'the account file names another account than it holds');
  }
  return account;
}

/** Whose file it is; needs no passphrase. @throws AccountFileError */
export async function readAccountFileId(path: string): Promise<AccountId> {
  return (await readEnvelope(path)).id;
}

async function readEnvelope(path: string): Promise<Envelope> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw isMissing
      ? new AccountFileError('missing', 'there is no such account file', { cause })
      : new AccountFileError('unreadable', 'the account file cannot be read', { cause });
  }
  if (bytes.length > MAX_FILE_BYTES) throw new AccountFileError('damaged', 'the account file is too long');
  try {
    return decodeEnvelope(fromUtf8(bytes));
  } catch (cause) {
    if (cause instanceof ParseError) {
      throw new AccountFileError('damaged', 'the account file is damaged', { cause });
    }
    throw cause;
  }
}

function encodeEnvelope({ id, passes, memoryBytes, salt, nonce, ciphertext }: Envelope): string {
  const members = {
    format: FORMAT,
    version: VERSION,
    id,
    kdf: { name: 'argon2id', passes, memoryBytes, salt: toBase64(salt) },
    cipher: { name: 'xchacha20-poly1305', nonce: toBase64(nonce) },
    ciphertext: toBase64(ciphertext),
  };
  return JSON.stringify({ ...members, checksum: toBase64(checksumOf(members)) }, null, 2);
}

/** Over the members in the order of the drawing above, whatever the order in the file. */
function checksumOf(members: object): Uint8Array {
  return blake2b(utf8(JSON.stringify(members)), 32);
}

function decodeEnvelope(text: string): Envelope {
  const damaged = (what: string) => new AccountFileError('damaged', `the account file is damaged: ${what}`);
  const json = object(parseJson(text));
  if (json?.format !== FORMAT) throw damaged('it is no account file');
  if (typeof json.version === 'number' && json.version > VERSION) {
    throw new AccountFileError('unsupported', 'the account file is of a newer version');
  }
  const kdf = object(json.kdf);
  const cipher = object(json.cipher);
  const { version, id, ciphertext, checksum } = json;
  const { passes, memoryBytes, salt } = kdf ?? {};
  const nonce = cipher?.nonce;
  if (
    version !== VERSION ||
    typeof id !== 'string' ||
    typeof ciphertext !== 'string' ||
    typeof checksum !== 'string' ||
    typeof passes !== 'number' ||
    typeof memoryBytes !== 'number' ||
    typeof salt !== 'string' ||
    typeof nonce !== 'string'
  ) {
    throw damaged('a member is missing');
  }
  const members = {
    format: FORMAT,
    version,
    id,
    kdf: { name: kdf?.name, passes, memoryBytes, salt },
    cipher: { name: cipher?.name, nonce },
    ciphertext,
  };
  if (!equal(checksumOf(members), fromBase64(checksum))) throw damaged('the checksum is wrong');
  if (kdf?.name !== 'argon2id' || cipher?.name !== 'xchacha20-poly1305') {
    throw new AccountFileError('unsupported', 'the account file is encrypted in an unknown way');
  }
  if (
    !Number.isInteger(passes) ||
    passes < 1 ||
    passes > MAX_PASSES ||
    !Number.isInteger(memoryBytes) ||
    memoryBytes < MIN_MEMORY_BYTES ||
    memoryBytes > MAX_MEMORY_BYTES
  ) {
    throw new AccountFileError('unsupported', 'the account file asks for too costly a key derivation');
  }
  const envelope = {
    id: parseAccountId(id),
    passes,
    memoryBytes,
    salt: fromBase64(salt),
    nonce: fromBase64(nonce),
    ciphertext: fromBase64(ciphertext),
  };
  const seedBytes = envelope.ciphertext.length - 16;
  if (
    envelope.salt.length !== SALT_BYTES ||
    envelope.nonce.length !== NONCE_BYTES ||
    (seedBytes !== 16 && seedBytes !== 32)
  ) {
    throw damaged('a member has a wrong length');
  }
  return envelope;
}

function object(json: Json | undefined): JsonObject | undefined {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : undefined;
}

/** One passphrase however it was typed. */
function normalized(passphrase: string): Uint8Array {
  return utf8(passphrase.normalize('NFKC'));
}

async function writeAtomically(path: string, text: string, overwrite: boolean): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${toHex(randomBytes(8))}`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    // `link` fails where a file exists, `rename` replaces it; both are atomic.
    if (overwrite) await rename(temporary, path);
    else {
      await link(temporary, path);
      await unlink(temporary);
    }
    const directory = await open(folder, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new AccountFileError('exists', 'there is an account file of this name already', { cause });
    }
    throw new AccountFileError('unreadable', 'the account file cannot be written', { cause });
  }
}
