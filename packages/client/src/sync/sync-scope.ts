// SPDX-License-Identifier: MIT
// What the two directions of syncing work on: the configs, and how this device reads them (contacts, states, profile,
// settings).
import type { AccountId } from '@allium/protocol/account-id';
import type { ContactsConfig } from '@allium/protocol/config/contacts';
import type { ConvoInfoVolatileConfig } from '@allium/protocol/config/convo-info-volatile';
import { ConfigError } from '@allium/protocol/config/error';
import type { UserGroupsConfig } from '@allium/protocol/config/user-groups';
import type { UserProfileConfig } from '@allium/protocol/config/user-profile';
import type { Logger } from '@allium/protocol/env';
import type { Contacts } from '../messaging/contacts.ts';
import type { ConversationStates } from '../messaging/conversation-states.ts';
import type { OwnProfile } from '../messaging/profile.ts';
import type { Settings } from '../messaging/settings.ts';
import type { Erasures } from './erasures.ts';
import type { Moment } from './journal.ts';
import type { KeptConfig } from './kept-config.ts';

export interface ReadModels {
  readonly contacts: Contacts;
  readonly states: ConversationStates;
  readonly profile: OwnProfile;
  readonly settings: Settings;
}

export interface Configs {
  readonly profile: KeptConfig<UserProfileConfig>;
  readonly contacts: KeptConfig<ContactsConfig>;
  readonly groups: KeptConfig<UserGroupsConfig>;
  readonly readState: KeptConfig<ConvoInfoVolatileConfig>;
}

export interface SyncScope extends ReadModels {
  readonly own: AccountId;
  readonly configs: Configs;
  readonly erasures: Erasures;
  readonly log: Logger;
  /** Network time. */
  readonly now: () => number;
  /** Local minus network time, and whether nodes have confirmed it; a network time that nothing else of ours has. */
  readonly clock: () => { readonly offset: number; readonly isSettled: boolean; unique(): number };
}

/** Now, and no message of ours has that time: what was said before it is told from what is said after it. */
export function momentOf(scope: SyncScope): Moment {
  const clock = scope.clock();
  return { at: clock.unique(), ...(!clock.isSettled && { offset: clock.offset }) };
}

/** A value that no config takes stays on this device. */
export function tryEdit({ log }: SyncScope, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log.warn({ error: error.message }, 'something does not fit into a config');
  }
}
