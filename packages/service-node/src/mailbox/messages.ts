// SPDX-License-Identifier: AGPL-3.0-or-later
// Shapes of what the mailbox takes and gives, and the text of a message hash (spec/storage-server §2.3).
import type { AccountPubkey } from '@allium/protocol/storage/requests';

const HASH_TEXT_LENGTH = 43;

export interface StoredMessage {
  readonly hash: Uint8Array;
  readonly timestamp: number;
  readonly expiry: number;
  readonly data: Uint8Array;
}

/** A stored message with all that another node needs to take it over. */
export interface WholeMessage extends StoredMessage {
  readonly id: number;
  readonly account: Uint8Array;
  readonly namespace: number;
}

export interface NewMessage {
  readonly account: Pick<AccountPubkey, 'hex' | 'bytes'>;
  readonly namespace: number;
  readonly timestamp: number;
  readonly expiry: number;
  readonly hash: Uint8Array;
  readonly data: Uint8Array;
  /** When its expiry was changed last; absent: never. */
  readonly changed?: number;
}

/** What members compare of a message. */
export interface Held {
  readonly hash: Uint8Array;
  readonly expiry: number;
  /** When its expiry was set last; its timestamp when it was not changed. */
  readonly changed: number;
}

export interface Stored {
  /** Row number, for references from the queue of forwards. */
  readonly id: number;
  /** The expiry now in force. */
  readonly expiry: number;
  readonly already: boolean;
}

export type ExpiryMode = 'set' | 'extend' | 'shorten';

/** Hash texts of one namespace, or of all by namespace. */
export type Affected = { readonly one: string[] } | { readonly all: Map<number, string[]> };

export const hashText = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('base64').slice(0, HASH_TEXT_LENGTH);

/** Bytes of a hash text, or undefined when it is not the canonical text of any hash. */
export function hashBytes(text: string): Uint8Array | undefined {
  if (text.length !== HASH_TEXT_LENGTH) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && hashText(bytes) === text ? bytes : undefined;
}

export type RetrievedRow = readonly [id: number, length: number, timestamp: number, expiry: number];

/**
 * What `retrieve` found. Hashes and data of all messages come as one byte string each: hundreds of small arrays would
 * cost more than all the rest of the request.
 */
export class Retrieved {
  readonly rows: readonly RetrievedRow[];
  /** 32 bytes per row. */
  readonly hashes: Buffer;
  readonly data: Buffer;
  readonly more: boolean;

  constructor(rows: readonly RetrievedRow[], hashes: Uint8Array, data: Uint8Array, more: boolean) {
    this.rows = rows;
    this.hashes = Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength);
    this.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.more = more;
  }

  /** One object per message, for whoever is in no hurry. */
  messages(): StoredMessage[] {
    let offset = 0;
    return this.rows.map(([, length, timestamp, expiry], i) => {
      const data = this.data.subarray(offset, offset + length);
      offset += length;
      return { hash: this.hashes.subarray(32 * i, 32 * i + 32), timestamp, expiry, data };
    });
  }
}
