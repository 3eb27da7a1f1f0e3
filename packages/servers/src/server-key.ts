// SPDX-License-Identifier: AGPL-3.0-or-later
// The key of a server: an Ed25519 seed in hex in a file that its owner alone can read. Clients know the Ed25519 key;
// onions are encrypted to the X25519 key that follows from it (spec/community-and-file-servers §2.1).
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { fromHex, toHex } from '@allium/protocol/bytes';
import {
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  randomBytes,
  x25519PublicKey,
} from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { AlliumError } from '@allium/protocol/errors';

export class ServerKeyError extends AlliumError<'unreadable' | 'malformed' | 'unwritable'> {
  override readonly name = 'ServerKeyError';
}

export interface ServerKey {
  /** What operators publish and clients are told. */
  readonly ed25519Hex: string;
  /** Opens onions. */
  readonly x25519: KeyPair;
}

export function serverKeyOf(seed: Uint8Array): ServerKey {
  const { publicKey, secretKey } = ed25519KeyPair(seed);
  const x25519Secret = ed25519SecretKeyToX25519(secretKey);
  return {
    ed25519Hex: toHex(publicKey),
    x25519: { publicKey: x25519PublicKey(x25519Secret), secretKey: x25519Secret },
  };
}

/** Reads the key file, or makes one; takes from others the permission to read it. @throws ServerKeyError */
export function loadOrCreateServerKey(path: string): ServerKey {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    if (process.getuid !== undefined && (statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') {
      throw new ServerKeyError('unreadable', `the key file ${path} cannot be used: ${message}`, {
        cause: error,
      });
    }
    return create(path);
  }
  try {
    return serverKeyOf(fromHex(text.trim(), 32));
  } catch (cause) {
    throw new ServerKeyError(
      'malformed',
      `${path} does not hold a key (64 hex digits): restore it from a backup, or remove it for a new key`,
      { cause },
    );
  }
}

function create(path: string): ServerKey {
  const seed = randomBytes(32);
  const temporary = `${path}.${process.pid}`;
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(file, `${toHex(seed)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // Not rename: of two that start at once, the second must not replace the key of the first.
    linkSync(temporary, path);
  } catch (cause) {
    throw new ServerKeyError('unwritable', `cannot write the key file ${path}: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    rmSync(temporary, { force: true });
  }
  return serverKeyOf(seed);
}
