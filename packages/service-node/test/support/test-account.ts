// SPDX-License-Identifier: AGPL-3.0-or-later
// Accounts of tests: sign by hand, text by text, so that the tests do not repeat what the code under test believes.
import { toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import {
  blake2b,
  ed25519KeyPair,
  ed25519PublicKeyToX25519,
  ed25519Sign,
  ed25519Verify,
  randomBytes,
} from '@allium/protocol/crypto';

export interface StoreOptions {
  readonly namespace?: number;
  readonly timestamp?: number;
  readonly ttl?: number;
  readonly signed?: boolean;
}

export class TestAccount {
  readonly prefix: string;
  /** The 32 bytes after the prefix. */
  readonly key: Uint8Array;
  readonly ed25519Key: Uint8Array;
  readonly #secretKey: Uint8Array;

  private constructor(prefix: string, isSession: boolean) {
    const { publicKey, secretKey } = ed25519KeyPair(randomBytes(32));
    this.prefix = prefix;
    this.ed25519Key = publicKey;
    this.#secretKey = secretKey;
    this.key = isSession ? ed25519PublicKeyToX25519(publicKey)! : publicKey;
  }

  /** 05 with an X25519 key. */
  static session(): TestAccount {
    return new TestAccount('05', true);
  }

  /** Any prefix with the Ed25519 key itself. */
  static raw(prefix = '03'): TestAccount {
    return new TestAccount(prefix, false);
  }

  get id(): string {
    return this.prefix + toHex(this.key);
  }

  get bytes(): Uint8Array {
    return Buffer.from(this.id, 'hex');
  }

  /** `pubkey`, and `pubkey_ed25519` where it belongs. */
  get params(): { pubkey: string; pubkey_ed25519?: string } {
    const isSession = toHex(this.key) !== toHex(this.ed25519Key);
    return { pubkey: this.id, ...(isSession && { pubkey_ed25519: toHex(this.ed25519Key) }) };
  }

  sign(...parts: (string | number | Uint8Array)[]): string {
    return toBase64(this.signRaw(...parts));
  }

  signRaw(...parts: (string | number | Uint8Array)[]): Uint8Array {
    const bytes = parts.map((part) => (part instanceof Uint8Array ? part : utf8(String(part))));
    return ed25519Sign(Buffer.concat(bytes), this.#secretKey);
  }

  /** What a store of `data` is called. */
  hash(data: string | Uint8Array, namespace = 0): string {
    const ns = namespace === 0 ? '' : String(namespace);
    const bytes = blake2b([this.bytes, utf8(ns), typeof data === 'string' ? utf8(data) : data], 32);
    return toBase64(bytes).slice(0, 43);
  }

  /** Parameters of `store`, signed where the namespace asks for it or as `signed` says. */
  store(data: string | Uint8Array, options: StoreOptions = {}) {
    const { namespace = 0, timestamp = Date.now(), ttl = 60_000 } = options;
    const signed = options.signed ?? namespace % 10 !== 0;
    return {
      pubkey: this.id,
      namespace,
      timestamp,
      ttl,
      data: toBase64(typeof data === 'string' ? utf8(data) : data),
      ...(signed && {
        ...this.params,
        signature: this.sign('store', namespace === 0 ? '' : namespace, timestamp),
      }),
    };
  }

  /** Parameters of a signed `retrieve`. */
  retrieve(options: Readonly<Record<string, unknown>> = {}) {
    const {
      namespace = 0,
      timestamp = Date.now(),
      ...more
    } = options as { namespace?: number; timestamp?: number };
    return {
      ...this.params,
      namespace,
      timestamp,
      signature: this.sign('retrieve', namespace === 0 ? '' : namespace, timestamp),
      ...more,
    };
  }

  /** A subaccount token of this account, signed by it, and the key that it stands for. */
  subaccount(flags: number, prefix = this.prefix) {
    const { publicKey, secretKey } = ed25519KeyPair(randomBytes(32));
    const token = Buffer.concat([Buffer.from(prefix, 'hex'), Uint8Array.of(flags, 0, 0), publicKey]);
    return {
      token,
      params: { subaccount: toBase64(token), subaccount_sig: this.sign(token) },
      sign: (...parts: (string | number)[]) => toBase64(ed25519Sign(utf8(parts.join('')), secretKey)),
    };
  }
}

/** Whether a node's entry in an answer is signed over the concatenation of `parts`. */
export function isSignedBy(
  nodeHex: string,
  signature: string,
  ...parts: (string | number | Uint8Array)[]
): boolean {
  const bytes = parts.map((part) => (part instanceof Uint8Array ? part : utf8(String(part))));
  return ed25519Verify(Buffer.from(signature, 'base64'), Buffer.concat(bytes), Buffer.from(nodeHex, 'hex'));
}
