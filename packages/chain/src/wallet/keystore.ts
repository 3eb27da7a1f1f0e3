// SPDX-License-Identifier: MIT
// Keystore files of Ethereum wallets (Web3 Secret Storage, version 3): a secp256k1 key under a passphrase, as geth and
// other wallets write them. The operator's key lives in one (spec/chain §4.5).
import {
  createCipheriv,
  createDecipheriv,
  pbkdf2Sync,
  randomBytes,
  randomUUID,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto';
import { fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import { AlliumError } from '@allium/protocol/errors';
import { privateKeyToAddress } from 'viem/accounts';
import type { Hex } from '../chain-view.ts';
import { keccak256 } from '../packed.ts';

/**
 * `no_keystore`: not a file of this format; `too_costly`: its passphrase would take more memory or time than we spend;
 * `wrong_passphrase`; `damaged`: the key is not that of the address in the file.
 */
export class KeystoreError extends AlliumError<
  'no_keystore' | 'too_costly' | 'wrong_passphrase' | 'damaged'
> {
  override readonly name = 'KeystoreError';
}

/** What other wallets write: a good second of time and 256 MiB for each guess. */
const SCRYPT = { n: 262_144, r: 8, p: 1 };
// Ours: a foreign file may not make us take more.
const MAX_TEXT = 64 * 1024;
const MAX_SCRYPT_BYTES = 1024 ** 3;
const MAX_SCRYPT_P = 16;
const MAX_PBKDF2_ROUNDS = 10_000_000;

interface Sealed {
  readonly address: Hex | undefined;
  readonly ciphertext: Uint8Array;
  readonly iv: Uint8Array;
  readonly mac: Uint8Array;
  readonly salt: Uint8Array;
  readonly kdf:
    | { readonly name: 'scrypt'; readonly n: number; readonly r: number; readonly p: number }
    | { readonly name: 'pbkdf2'; readonly c: number };
}

/** The file's text. @param key 32 bytes */
export function sealKeystore(key: Uint8Array, passphrase: string, kdf: typeof SCRYPT = SCRYPT): string {
  const salt = randomBytes(32);
  const iv = randomBytes(16);
  const derived = derive(passphrase, salt, { name: 'scrypt', ...kdf });
  const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv);
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()]);
  const mac = keccak256(derived.subarray(16, 32), ciphertext);
  derived.fill(0);
  return `${JSON.stringify({
    version: 3,
    id: randomUUID(),
    address: privateKeyToAddress(`0x${toHex(key)}`)
      .slice(2)
      .toLowerCase(),
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: toHex(iv) },
      ciphertext: toHex(ciphertext),
      kdf: 'scrypt',
      kdfparams: { dklen: 32, salt: toHex(salt), ...kdf },
      mac: toHex(mac),
    },
  })}\n`;
}

/** The 32 bytes of the key. @throws KeystoreError */
export function openKeystore(text: string, passphrase: string): Uint8Array {
  const sealed = parse(text);
  const derived = derive(passphrase, sealed.salt, sealed.kdf);
  try {
    const mac = keccak256(derived.subarray(16, 32), sealed.ciphertext);
    if (!timingSafeEqual(mac, sealed.mac)) {
      throw new KeystoreError('wrong_passphrase', 'the passphrase does not open this keystore');
    }
    const decipher = createDecipheriv('aes-128-ctr', derived.subarray(0, 16), sealed.iv);
    const key = new Uint8Array(Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()]));
    if (sealed.address !== undefined && addressOf(key) !== sealed.address) {
      throw new KeystoreError('damaged', 'the key in this keystore is not that of its address');
    }
    return key;
  } finally {
    derived.fill(0);
  }
}

/** The address that the file names, without its passphrase. @throws KeystoreError `no_keystore` */
export function keystoreAddress(text: string): Hex | undefined {
  return parse(text).address;
}

function addressOf(key: Uint8Array): Hex | undefined {
  try {
    return privateKeyToAddress(`0x${toHex(key)}`).toLowerCase() as Hex;
  } catch {
    return undefined; // zero, or beyond the order of the curve
  }
}

function derive(passphrase: string, salt: Uint8Array, kdf: Sealed['kdf']): Buffer {
  const secret = utf8(passphrase);
  if (kdf.name === 'pbkdf2') return pbkdf2Sync(secret, salt, kdf.c, 32, 'sha256');
  const { n, r, p } = kdf;
  return scryptSync(secret, salt, 32, { N: n, r, p, maxmem: 2 * MAX_SCRYPT_BYTES });
}

function parse(text: string): Sealed {
  if (text.length > MAX_TEXT) throw malformed();
  let sealed: Sealed;
  try {
    const file = lowerKeys(JSON.parse(text));
    const { cipher, cipherparams, ciphertext, kdf, kdfparams, mac } = lowerKeys(file.crypto);
    const { salt, dklen, n, r, p, c, prf } = lowerKeys(kdfparams);
    if (file.version !== 3 || cipher !== 'aes-128-ctr' || dklen !== 32) throw malformed();
    if (kdf !== 'scrypt' && !(kdf === 'pbkdf2' && prf === 'hmac-sha256')) throw malformed();
    const address = file.address;
    sealed = {
      address: address === undefined || address === '' ? undefined : `0x${toHex(hexOf(address, 20))}`,
      ciphertext: hexOf(ciphertext, 32),
      iv: hexOf(lowerKeys(cipherparams).iv, 16),
      mac: hexOf(mac, 32),
      salt: hexOf(salt),
      kdf:
        kdf === 'scrypt' ? { name: kdf, n: whole(n), r: whole(r), p: whole(p) } : { name: kdf, c: whole(c) },
    };
  } catch {
    throw malformed();
  }
  const { kdf } = sealed;
  const isPower = kdf.name === 'pbkdf2' || (kdf.n > 1 && Number.isInteger(Math.log2(kdf.n)));
  if (!isPower) throw malformed();
  const tooCostly =
    kdf.name === 'pbkdf2'
      ? kdf.c > MAX_PBKDF2_ROUNDS
      : 128 * kdf.n * kdf.r > MAX_SCRYPT_BYTES || kdf.p > MAX_SCRYPT_P;
  if (tooCostly)
    throw new KeystoreError('too_costly', 'opening this keystore would take too much memory or time');
  return sealed;
}

/** Some wallets write names in capitals. */
function lowerKeys(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed();
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]));
}

function hexOf(value: unknown, length?: number): Uint8Array {
  if (typeof value !== 'string') throw malformed();
  return fromHex(value.replace(/^0x/, '').toLowerCase(), length);
}

function whole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw malformed();
  return value;
}

const malformed = () => new KeystoreError('no_keystore', 'this is not a keystore file of version 3');
