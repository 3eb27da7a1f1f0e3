// SPDX-License-Identifier: MIT
// What was changed in memory and is to be written; and what a process changed that has no configs, noted for the one that
// has them.
import type { AccountId } from '@allium/protocol/account-id';
import { CONTACT } from '../messaging/contacts.ts';
import { CONVERSATION } from '../messaging/conversation-states.ts';
import { OWN_PROFILE, PROFILE } from '../messaging/profile.ts';
import { MESSAGING, SETTINGS } from '../messaging/settings.ts';
import type { StoredRecord } from '../storage/storage.ts';

/** Of the records that say what was changed by a process without configs; keys are kind and key. */
export const JOURNAL = 'unsynced';

/** When a device that was empty found that there are others, network time in ms. */
export interface Link {
  readonly at: number;
  /** When the newest contacts that it found were stored. */
  readonly contactsAt: number;
}

/** What differs from the storage. */
export class Touched {
  readonly contacts = new Set<AccountId>();
  readonly states = new Set<AccountId>();
  readonly erasures = new Set<AccountId>();
  profile = false;
  settings = false;
  link: Link | undefined;

  add(other: Touched): void {
    for (const name of ['contacts', 'states', 'erasures'] as const) {
      for (const id of other[name]) this[name].add(id);
    }
    this.profile ||= other.profile;
    this.settings ||= other.settings;
    this.link ??= other.link;
  }
}

/** When something was changed. */
export interface Moment {
  /** Network time in ms. */
  readonly at: number;
  /** While nobody had confirmed the clock: by how many ms it was believed to be ahead. */
  readonly offset?: number;
}

/** `count` is another one each time, so that a later note of one thing is another one. */
export function journalOf(
  { contacts, states, profile, settings }: Touched,
  moment: Moment,
  count: number,
): StoredRecord[] {
  const note = (kind: string, key: string) => ({
    kind: JOURNAL,
    key: `${kind} ${key}`,
    value: { ...moment, count },
  });
  return [
    ...[...contacts].map((id) => note(CONTACT, id)),
    ...[...states].map((id) => note(CONVERSATION, id)),
    ...(profile ? [note(PROFILE, OWN_PROFILE)] : []),
    ...(settings ? [note(SETTINGS, MESSAGING)] : []),
  ];
}
