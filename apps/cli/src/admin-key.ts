// SPDX-License-Identifier: AGPL-3.0-or-later
// Key files of admins of a static list (spec/chain §4.23): an Ed25519 seed, encrypted under a passphrase or bare, in a
// file that only its owner can read.
//
//   {"format":"allium-admin-key-1","publicKey":hex,
//    "protection":{"kdf":"argon2id","passes":n,"memoryBytes":n,"salt":hex,"nonce":hex} | null,
//    "seed":hex (bare, or XChaCha20-Poly1305 under the derived key)}
import { closeSync, fchmodSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import {
  argon2id,
  ed25519KeyPair,
  randomBytes,
  xchacha20Poly1305Open,
  xchacha20Poly1305Seal,
} from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { CliError, fileTrouble } from './cli-error.ts';
import { choosePassphrase, type PassphraseOptions, readPassphrase } from './passphrase.ts';

const FORMAT = 'allium-admin-key-1';
/** Ours: about a tenth of a second for us, and as much for each guess of somebody else. */
const KDF = { passes: 3, memoryBytes: 64 * 1024 * 1024 };
/** Ours: a foreign file may not make us take more memory or time than this. */
const MAX_PASSES = 16;
const MAX_MEMORY_BYTES = 1024 * 1024 * 1024;

interface KeyFile {
  readonly format: string;
  readonly publicKey: string;
  readonly protection: {
    readonly kdf: string;
    readonly passes: number;
    readonly memoryBytes: number;
    readonly salt: string;
    readonly nonce: string;
  } | null;
  readonly seed: string;
}

/** Makes a key and its file, and returns the public key. @throws CliError when the file exists */
export async function createKeyFile(
  path: string,
  options: PassphraseOptions & { readonly passphrase: boolean },
): Promise<Uint8Array> {
  const passphrase = options.passphrase ? await choosePassphrase('the admin key', options) : undefined;
  const seed = randomBytes(32);
  const { publicKey, secretKey } = ed25519KeyPair(seed);
  secretKey.fill(0);
  const salt = randomBytes(16);
  const nonce = randomBytes(24);
  const content: KeyFile = {
    format: FORMAT,
    publicKey: toHex(publicKey),
    protection:
      passphrase === undefined ? null : { kdf: 'argon2id', ...KDF, salt: toHex(salt), nonce: toHex(nonce) },
    seed: toHex(passphrase === undefined ? seed : sealSeed(seed, deriveKey(passphrase, salt, KDF), nonce)),
  };
  seed.fill(0);
  try {
    const file = openSync(path, 'wx', 0o600);
    fchmodSync(file, 0o600);
    writeSync(file, `${JSON.stringify(content, undefined, 2)}\n`);
    fsyncSync(file);
    closeSync(file);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = exists ? 'it exists already, and a key is never overwritten' : (error as Error).message;
    throw new CliError(`${path} cannot be written: ${reason}`, 1, { cause: error });
  }
  return publicKey;
}

function sealSeed(seed: Uint8Array, key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const sealed = xchacha20Poly1305Seal(key, nonce, seed);
  key.fill(0);
  return sealed;
}

/**
 * Lends the key pair of a file, after its passphrase where it has one; the secret key is wiped when `use` returns.
 * @throws CliError
 */
export async function withAdminKey<T>(
  path: string,
  options: PassphraseOptions,
  use: (pair: KeyPair) => T,
): Promise<T> {
  const { protection, publicKey, seed } = parseKeyFile(path);
  let bare: Uint8Array | undefined;
  if (protection === null) {
    bare = fromHex(seed, 32);
  } else {
    const passphrase = await readPassphrase(path, options);
    const key = deriveKey(passphrase, fromHex(protection.salt, 16), protection);
    bare = xchacha20Poly1305Open(key, fromHex(protection.nonce, 24), fromHex(seed, 48));
    key.fill(0);
    if (bare === undefined) throw new CliError(`wrong passphrase for ${path}`);
  }
  const pair = ed25519KeyPair(bare);
  bare.fill(0);
  try {
    if (toHex(pair.publicKey) !== publicKey)
      throw new CliError(`${path} is damaged: its keys do not belong together`);
    return use(pair);
  } finally {
    pair.secretKey.fill(0);
  }
}

function parseKeyFile(path: string): KeyFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileTrouble('cannot read', path, error);
  }
  try {
    const file = JSON.parse(text) as KeyFile;
    if (file.format !== FORMAT || typeof file.publicKey !== 'string' || typeof file.seed !== 'string') {
      throw new Error('unknown format');
    }
    const { protection } = file;
    if (protection === null) {
      fromHex(file.seed, 32);
      return file;
    }
    fromHex(file.seed, 48);
    fromHex(protection.salt, 16);
    fromHex(protection.nonce, 24);
    const withinLimits =
      protection.kdf === 'argon2id' &&
      Number.isSafeInteger(protection.passes) &&
      protection.passes >= 1 &&
      protection.passes <= MAX_PASSES &&
      Number.isSafeInteger(protection.memoryBytes) &&
      protection.memoryBytes >= 8192 &&
      protection.memoryBytes <= MAX_MEMORY_BYTES;
    if (!withinLimits) throw new Error('unknown protection');
    return file;
  } catch (error) {
    throw new CliError(`${path} is no admin key file ("allium network key" makes one)`, 1, { cause: error });
  }
}

function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  kdf: { passes: number; memoryBytes: number },
): Uint8Array {
  const { passes, memoryBytes } = kdf;
  return argon2id(utf8(passphrase.normalize('NFKC')), salt, { passes, memoryBytes, length: 32 });
}
