// SPDX-License-Identifier: MIT
// A history as people read it: one conversation after the other, oldest message first, in constant memory.
import type { AccountId } from '@allium/protocol/account-id';
import { CONTACT, type Contact } from '../messaging/contacts.ts';
import { PROFILE } from '../messaging/profile.ts';
import type { MessagePlace, Storage, StoredMessage } from '../storage/storage.ts';
import { isExpired } from './records.ts';

// Ours.
const PAGE = 500;

export interface ReadingOptions {
  readonly account: AccountId;
  readonly conversation?: AccountId;
  /** Local time in ms. */
  readonly now: number;
  readonly signal?: AbortSignal;
}

/** Newest conversation first. */
export async function conversationsToRead(
  storage: Storage,
  { conversation }: ReadingOptions,
): Promise<AccountId[]> {
  const all = (await storage.conversations()).map(({ id }) => id);
  return all.filter((id) => conversation === undefined || id === conversation);
}

/** Oldest first. Storages give the newest first: where the pages begin is found before they are read. */
export async function* messagesToRead(
  storage: Storage,
  id: AccountId,
  { now, signal }: ReadingOptions,
): AsyncGenerator<StoredMessage, void, void> {
  const ends: (MessagePlace | undefined)[] = [undefined];
  for (;;) {
    signal?.throwIfAborted();
    const before = ends.at(-1);
    const page = await storage.history(id, { limit: PAGE, ...(before && { before }) });
    if (page.length < PAGE) break;
    const { sender, timestamp, hash, sortTimestamp } = page[0]!;
    ends.push({ sender, timestamp, ...(hash && { hash }), ...(sortTimestamp && { sortTimestamp }) });
  }
  for (const before of ends.reverse()) {
    signal?.throwIfAborted();
    for (const message of await storage.history(id, { limit: PAGE, ...(before && { before }) })) {
      if (!isExpired(message, now)) yield message;
    }
  }
}

/** How people are called: as we call them, as they call themselves, else undefined. */
export async function namesToRead(
  storage: Storage,
  account: AccountId,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const { key, value } of await storage.records(CONTACT)) {
    const { nickname, name } = value as Contact;
    const shown = nickname ?? name;
    if (shown !== undefined) names.set(key, shown);
  }
  const own = (await storage.record(PROFILE, 'own'))?.value as { name?: string } | undefined;
  if (own?.name !== undefined) names.set(account, own.name);
  return names;
}
