// SPDX-License-Identifier: MIT
// Contents that this client does not understand are kept, and looked at once more by a version that understands more.
import type { AccountId } from '@allium/protocol/account-id';
import { fromBase64, toBase64 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import { decodeContent } from '@allium/protocol/message/content';
import type { IncomingMessage } from '@allium/protocol/message/encryption-v1';
import type { RetrievedMessage } from '@allium/protocol/storage/responses';
import type { Storage, StoredRecord } from '../storage/storage.ts';
import { MESSAGE_TTL_MS } from './proofs.ts';

// Ours.
const KEPT = 'kept';
const MAX_KEPT = 1_000;
/**
 * Of contents; raised whenever this client learns to read more of them. 2: files, timers, notices of the other side,
 * edits.
 */
const UNDERSTANDS = 2;
const UNDERSTOOD = 'understands';
/** The setting that says that everything was looked at again. */
export const REREAD = { [UNDERSTOOD]: String(UNDERSTANDS) };

/** A content whose sender is proven. */
export type Understood = Pick<IncomingMessage, 'sender' | 'timestamp' | 'content' | 'contentBytes'>;
/** What a swarm said of it. */
export type Told = Omit<RetrievedMessage, 'data'>;

interface Kept {
  readonly sender: AccountId;
  readonly timestamp: number;
  readonly storedAt: number;
  /** Absent in what version 1 kept. */
  readonly expiration?: number;
  readonly hash: string;
  /** Base64. */
  readonly content: string;
}

/** What an older version kept; undefined: this one has looked at it already. */
export async function toReread(storage: Storage): Promise<readonly StoredRecord[] | undefined> {
  if (Number(await storage.setting(UNDERSTOOD)) >= UNDERSTANDS) return undefined;
  return storage.records(KEPT);
}

/** Whether one more can be kept, beside `more` that are not written yet. */
export async function hasRoom(storage: Storage, more: number): Promise<boolean> {
  return (await storage.records(KEPT)).length + more < MAX_KEPT;
}

export function keptRecord(
  { sender, timestamp, contentBytes }: Understood,
  { hash, timestamp: storedAt, expiration }: Told,
): StoredRecord {
  const content = toBase64(contentBytes);
  const value: Kept = { sender, timestamp, storedAt, expiration, hash, content };
  return { kind: KEPT, key: `${timestamp} ${hash}`, value };
}

/** Undefined when it is no content. */
export function openKept({
  value,
}: StoredRecord): { readonly incoming: Understood; readonly told: Told } | undefined {
  const { sender, timestamp, storedAt, hash, content: base64, expiration } = value as Kept;
  try {
    const contentBytes = fromBase64(base64);
    return {
      incoming: { sender, timestamp, content: decodeContent(contentBytes), contentBytes },
      told: { hash, timestamp: storedAt, expiration: expiration ?? storedAt + MESSAGE_TTL_MS },
    };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return undefined;
  }
}
