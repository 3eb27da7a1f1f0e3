// SPDX-License-Identifier: MIT
// A seed in a file, protected by a passphrase; what kind of seed it is, is said by its format and id:
//
//   {"format":"allium-account","version":1,"id":"05…",
//    "kdf":{"name":"argon2id","passes":3,"memoryBytes":67108864,"salt":"…"},
//    "cipher":{"name":"xchacha20-poly1305","nonce":"…"},
//    "ciphertext":"…","checksum":"…"}
//
// key = Argon2id(NFKC of the passphrase); plaintext = the seed of 16 or 32 bytes; checksum = BLAKE2b-256 over all
// other members, so that a damaged file is told apart from a wrong passphrase. Bytes are base64.
//
// With a key file instead of a passphrase: "kdf":{"name":"key-file","salt":"…"}, key = BLAKE2b-256(salt ‖ its bytes).
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { equal, fromBase64, fromUtf8, toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import {
  argon2id,
  blake2b,
  randomBytes,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '@allium/protocol/crypto';
import { type AlliumError, ParseError } from '@allium/protocol/errors';
import { type Json, type JsonObject, parseJson } from '@allium/protocol/json';
import { renameNew } from './rename-new.ts';

/**
 * `wrong_passphrase`: the file is whole. `damaged`: it is not what was written. `unsupported`: of a newer version, or
 * its parameters are out of bounds. `exists`: not overwritten. `missing`, `unreadable`: as the file system says.
 * `empty_passphrase`: refused when writing. `weak_key_file`: too short or too long. `other_protection`: a passphrase was
 * given for a file with a key file, or the other way round.
 */
export type SeedFileCode =
  | 'wrong_passphrase'
  | 'damaged'
  | 'unsupported'
  | 'exists'
  | 'missing'
  | 'unreadable'
  | 'empty_passphrase'
  | 'weak_key_file'
  | 'other_protection';

/** A passphrase, or the bytes of a key file. */
export type Unlock = string | Uint8Array;

/** What sets one kind of file apart from another. */
export interface SeedFileKind {
  readonly format: string;
  /** What people call it, such as "account file". */
  readonly noun: string;
  /** The error of this kind. */
  readonly error: (code: SeedFileCode, message: string, options?: ErrorOptions) => AlliumError;
  /** @throws ParseError for a text that is no id of this kind */
  readonly checkId: (id: string) => void;
}

export interface StoredSeed {
  /** Names the seed to whoever has no passphrase. The caller compares it with what follows from the seed. */
  readonly id: string;
  /** 16 or 32 bytes. Secret: fill it with zeros when done. */
  readonly seed: Uint8Array;
}

// All ours.
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
const MIN_KEY_FILE_BYTES = 32;
export const MAX_KEY_FILE_BYTES = MIB;

/** `argon2id` of a passphrase, or a key file. */
type Kdf =
  | {
      readonly name: 'argon2id';
      readonly passes: number;
      readonly memoryBytes: number;
      readonly salt: Uint8Array;
    }
  | { readonly name: 'key-file'; readonly salt: Uint8Array };

interface Envelope {
  readonly id: string;
  readonly kdf: Kdf;
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
 * Writes the seed so that a crash leaves the old file or the whole new one; readable by its owner only.
 * @throws the kind's error: `exists`, `empty_passphrase`, `weak_key_file`, `unreadable`
 */
export async function writeSeedFile(
  path: string,
  kind: SeedFileKind,
  { id, seed }: StoredSeed,
  unlock: Unlock,
  options: WriteOptions = {},
): Promise<void> {
  if (unlock === '') throw kind.error('empty_passphrase', 'the passphrase is empty');
  if (
    typeof unlock !== 'string' &&
    (unlock.length < MIN_KEY_FILE_BYTES || unlock.length > MAX_KEY_FILE_BYTES)
  ) {
    throw kind.error('weak_key_file', 'a key file has 32 bytes to 1 MiB');
  }
  const { passes = PASSES, memoryBytes = MEMORY_BYTES } = options;
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const kdf: Kdf =
    typeof unlock === 'string' ? { name: 'argon2id', passes, memoryBytes, salt } : { name: 'key-file', salt };
  const key = keyOf(kind, kdf, unlock);
  const ciphertext = xchacha20Poly1305Seal(key, nonce, seed);
  key.fill(0);
  const envelope = { id, kdf, nonce, ciphertext };
  await writeAtomically(path, kind, `${encodeEnvelope(kind, envelope)}\n`, options.overwrite === true);
}

/** @throws the kind's error */
export async function readSeedFile(path: string, kind: SeedFileKind, unlock: Unlock): Promise<StoredSeed> {
  const envelope = await readEnvelope(path, kind);
  const key = keyOf(kind, envelope.kdf, unlock);
  const seed = xchacha20Poly1305Open(key, envelope.nonce, envelope.ciphertext);
  key.fill(0);
  // The checksum was right: the bytes are those that were written.
  if (seed === undefined) {
    const what = typeof unlock === 'string' ? 'passphrase' : 'key file';
    throw kind.error('wrong_passphrase', `the ${what} is wrong`);
  }
  return { id: envelope.id, seed };
}

/** Whose file it is; needs no passphrase. @throws the kind's error */
export async function readSeedFileId(path: string, kind: SeedFileKind): Promise<string> {
  return (await readEnvelope(path, kind)).id;
}

/** What opens it; needs neither. @throws the kind's error */
export async function readSeedFileProtection(
  path: string,
  kind: SeedFileKind,
): Promise<'passphrase' | 'key_file'> {
  return (await readEnvelope(path, kind)).kdf.name === 'argon2id' ? 'passphrase' : 'key_file';
}

function keyOf(kind: SeedFileKind, kdf: Kdf, unlock: Unlock): Uint8Array {
  if (kdf.name === 'argon2id' && typeof unlock === 'string') {
    const { salt, passes, memoryBytes } = kdf;
    return argon2id(normalized(unlock), salt, { passes, memoryBytes, length: KEY_BYTES });
  }
  if (kdf.name === 'key-file' && typeof unlock !== 'string') return blake2b([kdf.salt, unlock], KEY_BYTES);
  const what = kdf.name === 'argon2id' ? 'a passphrase' : 'a key file';
  throw kind.error('other_protection', `the ${kind.noun} is protected by ${what}`);
}

async function readEnvelope(path: string, kind: SeedFileKind): Promise<Envelope> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw isMissing
      ? kind.error('missing', `there is no such ${kind.noun}`, { cause })
      : kind.error('unreadable', `the ${kind.noun} cannot be read`, { cause });
  }
  if (bytes.length > MAX_FILE_BYTES) throw kind.error('damaged', `the ${kind.noun} is too long`);
  try {
    return decodeEnvelope(kind, fromUtf8(bytes));
  } catch (cause) {
    if (cause instanceof ParseError) {
      throw kind.error('damaged', `the ${kind.noun} is damaged`, { cause });
    }
    throw cause;
  }
}

function encodeEnvelope(kind: SeedFileKind, { id, kdf, nonce, ciphertext }: Envelope): string {
  const members = {
    format: kind.format,
    version: VERSION,
    id,
    kdf: { ...kdf, salt: toBase64(kdf.salt) },
    cipher: { name: 'xchacha20-poly1305', nonce: toBase64(nonce) },
    ciphertext: toBase64(ciphertext),
  };
  return JSON.stringify({ ...members, checksum: toBase64(checksumOf(members)) }, null, 2);
}

/** Over the members in the order of the drawing above, whatever the order in the file. */
function checksumOf(members: object): Uint8Array {
  return blake2b(utf8(JSON.stringify(members)), 32);
}

function decodeEnvelope(kind: SeedFileKind, text: string): Envelope {
  const damaged = (what: string) => kind.error('damaged', `the ${kind.noun} is damaged: ${what}`);
  const json = object(parseJson(text));
  if (json?.format !== kind.format) throw damaged(`it is no ${kind.noun}`);
  if (typeof json.version === 'number' && json.version > VERSION) {
    throw kind.error('unsupported', `the ${kind.noun} is of a newer version`);
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
    (kdf?.name !== 'key-file' && (typeof passes !== 'number' || typeof memoryBytes !== 'number')) ||
    typeof salt !== 'string' ||
    typeof nonce !== 'string'
  ) {
    throw damaged('a member is missing');
  }
  const members = {
    format: kind.format,
    version,
    id,
    kdf: kdf?.name === 'key-file' ? { name: kdf.name, salt } : { name: kdf?.name, passes, memoryBytes, salt },
    cipher: { name: cipher?.name, nonce },
    ciphertext,
  };
  if (!equal(checksumOf(members), fromBase64(checksum))) throw damaged('the checksum is wrong');
  if ((kdf?.name !== 'argon2id' && kdf?.name !== 'key-file') || cipher?.name !== 'xchacha20-poly1305') {
    throw kind.error('unsupported', `the ${kind.noun} is encrypted in an unknown way`);
  }
  const isBounded =
    isWhole(passes, 1, MAX_PASSES) && isWhole(memoryBytes, MIN_MEMORY_BYTES, MAX_MEMORY_BYTES);
  if (kdf.name === 'argon2id' && !isBounded) {
    throw kind.error('unsupported', `the ${kind.noun} asks for too costly a key derivation`);
  }
  kind.checkId(id);
  const saltBytes = fromBase64(salt);
  const envelope: Envelope = {
    id,
    kdf:
      kdf.name === 'argon2id'
        ? { name: 'argon2id', passes: Number(passes), memoryBytes: Number(memoryBytes), salt: saltBytes }
        : { name: 'key-file', salt: saltBytes },
    nonce: fromBase64(nonce),
    ciphertext: fromBase64(ciphertext),
  };
  const seedBytes = envelope.ciphertext.length - 16;
  if (
    saltBytes.length !== SALT_BYTES ||
    envelope.nonce.length !== NONCE_BYTES ||
    (seedBytes !== 16 && seedBytes !== 32)
  ) {
    throw damaged('a member has a wrong length');
  }
  return envelope;
}

const isWhole = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

function object(json: Json | undefined): JsonObject | undefined {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : undefined;
}

/** One passphrase however it was typed. */
function normalized(passphrase: string): Uint8Array {
  return utf8(passphrase.normalize('NFKC'));
}

async function writeAtomically(
  path: string,
  kind: SeedFileKind,
  text: string,
  overwrite: boolean,
): Promise<void> {
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
    if (overwrite) await rename(temporary, path);
    else await renameNew(temporary, path);
    const directory = await open(folder, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw kind.error('exists', `there is a ${kind.noun} of this name already`, { cause });
    }
    throw kind.error('unreadable', `the ${kind.noun} cannot be written`, { cause });
  }
}
