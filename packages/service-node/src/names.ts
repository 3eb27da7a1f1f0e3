// SPDX-License-Identifier: AGPL-3.0-or-later
// Ours: names of accounts on a network whose chain keeps none (spec/storage-server §3.3 `ons_resolve`): a file that the operators
// agree on, {"alice":"05…",…}. Clients believe what three nodes of different operators say, as with names of a chain, and
// every node that has the same file says the same bytes.
import { readFileSync, statSync } from 'node:fs';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { fromBase64, fromHex, fromUtf8, toHex } from '@allium/protocol/bytes';
import { AlliumError, ParseError, quote } from '@allium/protocol/errors';
import { type Json, type JsonObject, parseJson } from '@allium/protocol/json';
import {
  NAME_TYPE_ACCOUNT,
  nameHash,
  parseSessionName,
  type SessionName,
  sealNameValue,
} from '@allium/protocol/session-name';

const HASH_BYTES = 32;
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** What a node cannot start with. */
export class NamesFileError extends AlliumError<'unreadable' | 'malformed'> {
  override readonly name = 'NamesFileError';
}

export class NameBook {
  /** By hash in hex. */
  readonly #entries = new Map<string, { readonly name: SessionName; readonly id: AccountId }>();

  constructor(names: Readonly<Record<string, string>>) {
    for (const [text, id] of Object.entries(names)) {
      const name = parseSessionName(text);
      const hash = toHex(fromBase64(nameHash(name)));
      if (this.#entries.has(hash)) throw new ParseError('session_name', `${quote(text)} is there twice`);
      this.#entries.set(hash, { name, id: parseAccountId(id) });
    }
  }

  /** @throws NamesFileError */
  static read(path: string): NameBook {
    let bytes: Uint8Array;
    try {
      if (statSync(path).size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
      bytes = readFileSync(path);
    } catch (cause) {
      throw new NamesFileError('unreadable', `${path} cannot be read: ${(cause as Error).message}`, {
        cause,
      });
    }
    try {
      const value = parseJson(fromUtf8(bytes));
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new ParseError('json', 'it is no object');
      }
      for (const [name, id] of Object.entries(value)) {
        if (typeof id !== 'string') throw new ParseError('account_id', `${quote(name)} has no account id`);
      }
      return new NameBook(value as Record<string, string>);
    } catch (cause) {
      if (!(cause instanceof ParseError)) throw cause;
      const form = 'write {"NAME":"ACCOUNT ID",…}';
      throw new NamesFileError('malformed', `${path} holds no names: ${cause.message}; ${form}`, { cause });
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The `result` of `ons_resolve` as JSON text. @throws ParseError for bad parameters */
  answer(params: Json | undefined): string {
    const { type, name_hash: given } = (params ?? {}) as JsonObject;
    if (typeof type !== 'number' || typeof given !== 'string') {
      throw new ParseError('request', 'ons_resolve needs type and name_hash');
    }
    const entry = type === NAME_TYPE_ACCOUNT ? this.#entries.get(hashHex(given)) : undefined;
    if (entry === undefined) return '{}';
    const { encrypted, nonce } = sealNameValue(entry.name, entry.id);
    return JSON.stringify({ encrypted_value: toHex(encrypted), nonce: toHex(nonce) });
  }
}

/** 64 hex digits, or 43 or 44 characters of base64. @throws ParseError */
function hashHex(text: string): string {
  if (text.length === 2 * HASH_BYTES) return toHex(fromHex(text, HASH_BYTES));
  const bytes = text.length === 43 || text.length === 44 ? fromBase64(text) : undefined;
  if (bytes?.length !== HASH_BYTES) throw new ParseError('request', 'name_hash is no hash');
  return toHex(bytes);
}
