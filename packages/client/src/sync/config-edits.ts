// SPDX-License-Identifier: MIT
// This device → the others: what contacts, states of conversations, the profile and settings say goes into the configs; they
// say then what the configs do.
import type { AccountId } from '@allium/protocol/account-id';
import { DEFAULT_SETTINGS } from '../messaging/settings.ts';
import type { Moment, Touched } from './journal.ts';
import {
  contactFromConfig,
  contactToConfig,
  pictureToConfig,
  priorityOf,
  profileFromConfig,
  SETTING_NAMES,
  type SyncedSetting,
  stateFromConfig,
  stateToConfig,
  withPriority,
} from './mapping.ts';
import { momentOf, type SyncScope, tryEdit } from './sync-scope.ts';

// Ours.
/** Strangers who wrote and were not answered: more of them stay on the device that heard of them. */
const MAX_STRANGERS = 500;

export class ConfigEdits {
  readonly #scope: SyncScope;
  #strangers = 0;

  constructor(scope: SyncScope) {
    this.#scope = scope;
    this.countStrangers();
  }

  /** To be called when the config of contacts was changed by others. */
  countStrangers(): void {
    this.#strangers = 0;
    for (const { isApproved, isBlocked } of this.#scope.configs.contacts.config.contacts()) {
      if (!isApproved && !isBlocked) this.#strangers++;
    }
  }

  contact(id: AccountId, touched: Touched): void {
    const { contacts } = this.#scope;
    const { config } = this.#scope.configs.contacts;
    const contact = contacts.known(id);
    if (id === this.#scope.own) {
      const seconds = contact?.timer?.seconds ?? 0;
      tryEdit(this.#scope, () => this.#scope.configs.profile.config.setNoteToSelfExpiry(seconds));
      return;
    }
    if (contact === undefined) {
      this.erase(id, momentOf(this.#scope), touched);
      return;
    }
    const known = config.contact(id);
    if (known === undefined && !contact.approved && !contact.blocked && ++this.#strangers > MAX_STRANGERS) {
      return;
    }
    const created = known === undefined ? { createdSeconds: Math.floor(this.#scope.now() / 1_000) } : {};
    tryEdit(this.#scope, () => config.setContact({ ...contactToConfig(contact), ...created }));
    const told = config.contact(id);
    if (told !== undefined) contacts.put(id, contactFromConfig(contact, told));
  }

  erase(id: AccountId, moment: Moment, touched: Touched): void {
    const { config } = this.#scope.configs.contacts;
    const { at } = moment;
    tryEdit(this.#scope, () => {
      config.eraseContact(id);
      config.setErasedAt(id, Math.max(at, config.erasedAt(id) ?? at));
      this.#scope.configs.readState.config.eraseReadState({ type: 'account', id });
    });
    this.forget(id, moment, touched);
  }

  forget(id: AccountId, { at, offset }: Moment, touched: Touched): void {
    this.#scope.erasures.set(id, at, true, offset);
    this.#scope.states.forget(id);
    touched.states.add(id);
    touched.erasures.add(id);
  }

  state(id: AccountId, touched: Touched): void {
    const { states, contacts } = this.#scope;
    const state = states.get(id);
    const now = this.#scope.now();
    if (id === this.#scope.own) {
      tryEdit(this.#scope, () => this.#scope.configs.profile.config.setNoteToSelfPriority(priorityOf(state)));
      states.put(id, withPriority(state, this.#scope.configs.profile.config.noteToSelfPriority, now));
      return;
    }
    const { config } = this.#scope.configs.contacts;
    const told = stateToConfig(state);
    const saysSomething = told.priority !== 0 || told.notifications !== 0 || told.mutedUntilSeconds !== 0;
    if (config.contact(id) !== undefined || saysSomething) {
      tryEdit(this.#scope, () => config.setContact({ id, ...told }));
      const contact = config.contact(id);
      if (contact !== undefined) {
        states.put(id, stateFromConfig(state, contact, now));
        if (contacts.known(id) === undefined) {
          contacts.put(id, contactFromConfig(undefined, contact));
          touched.contacts.add(id);
        }
      }
    }
    const { readTo = 0, isMarkedUnread = false } = state;
    const conversation = { type: 'account', id } as const;
    const { readState } = this.#scope.configs;
    const before = readState.config.readState(conversation);
    if ((before?.lastRead ?? 0) < readTo || (before?.isMarkedUnread ?? false) !== isMarkedUnread) {
      const lastRead = Math.max(readTo, before?.lastRead ?? 0);
      tryEdit(this.#scope, () =>
        readState.config.setReadState(conversation, { lastRead, isMarkedUnread }, now),
      );
    }
  }

  profile(): void {
    const { profile } = this.#scope;
    const { config } = this.#scope.configs.profile;
    const { kept } = profile;
    if (kept === undefined) return;
    tryEdit(this.#scope, () => config.setName(kept.name ?? '', kept.updatedAtSeconds));
    tryEdit(this.#scope, () => config.setPicture(pictureToConfig(kept.picture), kept.updatedAtSeconds));
    profile.put(profileFromConfig(config));
  }

  settings(): void {
    const { settings } = this.#scope;
    const { config } = this.#scope.configs.profile;
    for (const [member, name] of Object.entries(SETTING_NAMES)) {
      const value = settings.now[member as SyncedSetting];
      const isDefault = value === DEFAULT_SETTINGS[member as SyncedSetting];
      if (isDefault && config.setting(name) === undefined) continue;
      tryEdit(this.#scope, () => config.setSetting(name, value ? 1 : 0));
    }
  }
}
