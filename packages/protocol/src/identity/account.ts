// SPDX-License-Identifier: MIT
// An account with its secret keys (spec/client §1.1).
import {
  blake2b,
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  ed25519Sign,
  randomBytes,
  sealedBoxOpen,
  x25519PublicKey,
} from '#crypto';
import { utf8 } from '../bytes.ts';
import { AlliumError } from '../errors.ts';
import { type AccountId, accountIdOf, shortId } from './account-id.ts';
import { decodeLongPhrase, decodePhrase, encodePhrase, normalizePhrase } from './mnemonic.ts';

/** `disposed`: the account's keys were wiped. `bad_seed`: not 16 or 32 bytes. */
export class AccountError extends AlliumError<'disposed' | 'bad_seed'> {
  override readonly name = 'AccountError';
}

interface Secrets {
  /** 32 bytes; an account of a 16-byte seed has zeros in the second half. */
  readonly seed: Uint8Array;
  readonly ed25519: Uint8Array;
  readonly x25519: Uint8Array;
}

/** Its secrets are in a private field: printing, JSON and cloning show the short id at most. */
export class Account {
  readonly id: AccountId;
  readonly ed25519Key: Uint8Array;
  readonly x25519Key: Uint8Array;
  #secrets: Secrets | undefined;

  private constructor(seed: Uint8Array) {
    const { publicKey, secretKey } = ed25519KeyPair(seed);
    const x25519 = ed25519SecretKeyToX25519(secretKey);
    this.ed25519Key = publicKey;
    this.x25519Key = x25519PublicKey(x25519);
    this.id = accountIdOf(this.x25519Key);
    this.#secrets = { seed, ed25519: secretKey, x25519 };
  }

  /** A new account of 16 random bytes; every client can restore it. */
  static create(): Account {
    return Account.fromSeed(randomBytes(16));
  }

  /**
   * 16 bytes, or 32 (which clients that know 13-word phrases only cannot restore, unless the second half is zero).
   * The seed is copied.
   * @throws AccountError `bad_seed` for any other length
   */
  static fromSeed(seed: Uint8Array): Account {
    if (seed.length !== 16 && seed.length !== 32) {
      throw new AccountError('bad_seed', `a seed has 16 or 32 bytes, not ${seed.length}`);
    }
    const seed32 = new Uint8Array(32); // spec/client §1.1: a short seed is followed by zeros
    seed32.set(seed);
    return new Account(seed32);
  }

  /**
   * From 13 or 25 words as a person types them: case and white space do not matter.
   * @throws MnemonicError
   */
  static fromPhrase(text: string): Account {
    const phrase = normalizePhrase(text);
    const isLong = phrase.split(' ', 26).length === 25;
    return Account.fromSeed(isLong ? decodeLongPhrase(phrase) : decodePhrase(phrase));
  }

  /** Ed25519 over `message`. @throws AccountError `disposed` */
  sign(message: Uint8Array): Uint8Array {
    return ed25519Sign(message, this.#use().ed25519);
  }

  /** The content of a NaCl sealed box to this account, or undefined. @throws AccountError `disposed` */
  openSealedBox(sealed: Uint8Array): Uint8Array | undefined {
    return sealedBoxOpen(sealed, { publicKey: this.x25519Key, secretKey: this.#use().x25519 });
  }

  /** A copy of the seed: 16 bytes where they suffice, else 32. The caller wipes it. @throws AccountError `disposed` */
  seed(): Uint8Array {
    const { seed } = this.#use();
    return seed.slice(0, seed.subarray(16).every((byte) => byte === 0) ? 16 : 32);
  }

  /**
   * A key of 32 bytes for what this device keeps: BLAKE2b-256 of the purpose, keyed with the seed. Ours. The caller
   * wipes it.
   * @throws AccountError `disposed`
   */
  deriveKey(purpose: 'storage' | 'blobs'): Uint8Array {
    return blake2b(utf8(`allium ${purpose}`), 32, { key: this.#use().seed });
  }

  /** The recovery phrase. Whoever reads it owns the account. @throws AccountError `disposed` */
  phrase(): string {
    const seed = this.seed();
    const phrase = encodePhrase(seed);
    seed.fill(0);
    return phrase;
  }

  /** Wipes the keys; the public members stay. Everything secret throws from now on. */
  dispose(): void {
    const secrets = this.#secrets;
    this.#secrets = undefined;
    secrets?.seed.fill(0);
    secrets?.ed25519.fill(0);
    secrets?.x25519.fill(0);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Account(${shortId(this.id)})`;
  }

  toJSON(): string {
    return this.toString();
  }

  /** What `console.log` and `util.inspect` of Node print. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  #use(): Secrets {
    if (this.#secrets === undefined) throw new AccountError('disposed', 'this account was disposed of');
    return this.#secrets;
  }
}
