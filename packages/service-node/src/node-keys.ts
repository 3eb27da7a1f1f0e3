// SPDX-License-Identifier: AGPL-3.0-or-later
// The identity of a node: an Ed25519 seed in `node.key` (hex, readable by the owner only), and the X25519 pair that
// follows from it and encrypts onions and OMQ (spec/storage-server §5.2). Beside it the certificate that nobody verifies.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCertificate } from '@allium/net/certificate';
import { equal, fromHex, toHex } from '@allium/protocol/bytes';
import {
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  ed25519Sign,
  randomBytes,
  x25519PublicKey,
} from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { AlliumError } from '@allium/protocol/errors';
import { openDataFolder, writeSecret } from './data-folder.ts';

const KEY_FILE = 'node.key';
const SEED_BYTES = 32;

export class NodeKeyError extends AlliumError<'bad_key_file' | 'other_key'> {
  override readonly name = 'NodeKeyError';
}

/** Keys of this node. Prints as its public half; never put it into a log for another reason. */
export class NodeKeys {
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  /** For CURVE and onion layers. */
  readonly x25519: KeyPair;
  readonly #secretKey: Uint8Array;

  /** `seed`: 32 bytes. */
  constructor(seed: Uint8Array) {
    const { publicKey, secretKey } = ed25519KeyPair(seed);
    this.ed25519Key = publicKey;
    this.#secretKey = secretKey;
    const x25519Secret = ed25519SecretKeyToX25519(secretKey);
    const x25519 = { publicKey: x25519PublicKey(x25519Secret), secretKey: x25519Secret };
    this.x25519 = x25519;
    Object.defineProperty(this, 'x25519', { value: x25519, enumerable: false });
    this.ed25519Hex = toHex(publicKey);
    this.x25519Hex = toHex(x25519.publicKey);
  }

  /** 32 bytes. Secret: what else follows from the identity, such as beacon chains. */
  seed(): Uint8Array {
    return this.#secretKey.slice(0, SEED_BYTES);
  }

  sign(message: Uint8Array): Uint8Array {
    return ed25519Sign(message, this.#secretKey);
  }

  toString(): string {
    return `NodeKeys(${this.ed25519Hex.slice(0, 8)}…)`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** Reads the key of `dataDir`, or makes folder and key. @throws NodeKeyError, DataFolderError */
export function loadOrCreateNodeKeys(dataDir: string): NodeKeys {
  const path = join(dataDir, KEY_FILE);
  if (!existsSync(path)) {
    openDataFolder(dataDir);
    writeSecret(path, `${toHex(randomBytes(SEED_BYTES))}\n`);
  }
  return new NodeKeys(readSeed(dataDir));
}

/** The seed of the node whose folder it is; undefined where there is none. Secret. @throws NodeKeyError */
export function readNodeSeed(dataDir: string): Uint8Array | undefined {
  return existsSync(join(dataDir, KEY_FILE)) ? readSeed(dataDir) : undefined;
}

/**
 * Makes `seed` the key of the folder. Returns false when it was that already.
 * @throws NodeKeyError `other_key` when the folder has another key, which is never overwritten
 */
export function restoreNodeSeed(dataDir: string, seed: Uint8Array): boolean {
  const path = join(dataDir, KEY_FILE);
  openDataFolder(dataDir);
  const held = readNodeSeed(dataDir);
  if (held !== undefined) {
    if (equal(held, seed)) return false;
    throw new NodeKeyError(
      'other_key',
      `${path} is the key of another node (${new NodeKeys(held).ed25519Hex}) and is not overwritten: ` +
        'make a backup of it and move it away, or choose another data folder (--data-dir)',
    );
  }
  writeSecret(path, `${toHex(seed)}\n`);
  return true;
}

function readSeed(dataDir: string): Uint8Array {
  const path = join(dataDir, KEY_FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new NodeKeyError(
      'bad_key_file',
      `${path} cannot be read (${error instanceof Error ? error.message : error}): it must belong to the user of the node`,
      { cause: error },
    );
  }
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new NodeKeyError(
      'bad_key_file',
      `${path} does not hold a key of 64 hex digits: move it away and bring the key back from a backup ` +
        '("allium node key restore FILE")',
    );
  }
  return fromHex(text);
}

/** Reads `cert.pem` and `key.pem`, or makes them anew when they do not fit: nobody knows the node by them. */
export function loadOrCreateCertificate(dataDir: string): { certificatePem: string; keyPem: string } {
  const certificatePath = join(dataDir, 'cert.pem');
  const keyPath = join(dataDir, 'key.pem');
  if (certificateFault(dataDir) === undefined) {
    return { certificatePem: readFileSync(certificatePath, 'utf8'), keyPem: readFileSync(keyPath, 'utf8') };
  }
  const made = createCertificate();
  writeSecret(keyPath, made.keyPem);
  writeFileSync(certificatePath, made.certificatePem);
  return made;
}

/** What is wrong with the certificate, in words; undefined when it can be used. */
export function certificateFault(dataDir: string): string | undefined {
  const certificatePath = join(dataDir, 'cert.pem');
  const keyPath = join(dataDir, 'key.pem');
  for (const path of [certificatePath, keyPath]) if (!existsSync(path)) return `${path} is missing`;
  try {
    const certificate = new X509Certificate(readFileSync(certificatePath));
    const key = createPrivateKey(readFileSync(keyPath));
    const fits = certificate.checkPrivateKey(key);
    return fits ? undefined : `${certificatePath} and ${keyPath} do not belong together`;
  } catch (error) {
    return `${certificatePath} or ${keyPath} cannot be read: ${error instanceof Error ? error.message : error}`;
  }
}
