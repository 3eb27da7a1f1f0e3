// SPDX-License-Identifier: AGPL-3.0-or-later
// The identity of a node: an Ed25519 seed in `node.key` (hex, readable by the owner only), and the X25519 pair that
// follows from it and encrypts onions and OMQ (spec/storage-server §5.2). Beside it the certificate that nobody verifies.
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCertificate } from '@allium/net/certificate';
import { fromHex, toHex } from '@allium/protocol/bytes';
import {
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  ed25519Sign,
  randomBytes,
  x25519PublicKey,
} from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { AlliumError } from '@allium/protocol/errors';

export class NodeKeyError extends AlliumError<'bad_key_file' | 'unwritable'> {
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

/** Reads the key of `dataDir`, or makes folder and key. @throws NodeKeyError */
export function loadOrCreateNodeKeys(dataDir: string): NodeKeys {
  const path = join(dataDir, 'node.key');
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (!existsSync(path)) writeFileSync(path, `${toHex(randomBytes(32))}\n`, { mode: 0o600, flag: 'wx' });
    else if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  } catch (error) {
    throw new NodeKeyError(
      'unwritable',
      `cannot make ${path}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  const text = readFileSync(path, 'utf8').trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new NodeKeyError(
      'bad_key_file',
      `${path} does not hold a key of 64 hex digits: restore it from a backup`,
    );
  }
  return new NodeKeys(fromHex(text));
}

/** Reads `cert.pem` and `key.pem`, or makes them. */
export function loadOrCreateCertificate(dataDir: string): { certificatePem: string; keyPem: string } {
  const certificatePath = join(dataDir, 'cert.pem');
  const keyPath = join(dataDir, 'key.pem');
  if (existsSync(certificatePath) && existsSync(keyPath)) {
    return { certificatePem: readFileSync(certificatePath, 'utf8'), keyPem: readFileSync(keyPath, 'utf8') };
  }
  const made = createCertificate();
  writeFileSync(keyPath, made.keyPem, { mode: 0o600 });
  writeFileSync(certificatePath, made.certificatePem);
  return made;
}
