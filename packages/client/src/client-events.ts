// SPDX-License-Identifier: MIT
// What a client tells its program.
import type { AccountId } from '@allium/protocol/account-id';
import type { FileProgress } from './files/uploads.ts';
import type { Contact } from './messaging/contacts.ts';
import type { ExpiringMessage } from './messaging/expiring.ts';
import type { GapCounts } from './messaging/gaps.ts';
import type { Path } from './network/paths.ts';
import type { StoredMessage } from './storage/storage.ts';
import type { SyncedChanges } from './sync/merged.ts';

/** `connecting`: no usable path yet or at the moment. `offline`: trying failed; it goes on. */
export type ClientStatus = 'connecting' | 'online' | 'offline';

export interface ClientEvents {
  /** A new message from somebody else. */
  message: StoredMessage;
  /** A message of ours that another of our devices sent. */
  own_message: StoredMessage;
  /** A message that this device sends changed its state. */
  outgoing: StoredMessage;
  /** How far a file of a message is that is being sent. */
  upload: FileProgress;
  /** How far a file of a message is that is being fetched. */
  download: FileProgress;
  /** Something happened to a message: delivery, reactions, deletion (`marks`). */
  changed: StoredMessage;
  /** A line that tells of something: a timer was set, a file saved. `messages()` leaves them out. */
  notice: StoredMessage;
  /** It is on this device no more: its time was over, or it was deleted here. */
  removed: StoredMessage;
  /** A message of ours that swarms will forget in two days, and that nobody is known to have. Once for each. */
  expiring: ExpiringMessage;
  /** The member of our swarm that is asked had not told all; what others keep is here now. Counted since the start. */
  gap: GapCounts;
  /** A device of the recipient has this message of ours. Once for each message, also over restarts. */
  delivered: StoredMessage;
  /** The recipient read this message of ours, and says so; also once. */
  read: StoredMessage;
  /** Somebody whom this account has not accepted has written for the first time. */
  request: Contact;
  /** Somebody to whom we wrote first has accepted that. */
  accepted: Contact;
  /** Somebody is typing, or not any more; only with `typingIndicators`. */
  typing: { readonly id: AccountId; readonly isTyping: boolean };
  /** Another of our devices changed something: whom it concerns. */
  synced: SyncedChanges;
  /** A path became usable, suspect, or is gone. */
  path: readonly Path[];
  status: ClientStatus;
}
