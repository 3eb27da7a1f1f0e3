// SPDX-License-Identifier: MIT
// One truth for what all devices of an account share (spec/config-and-groups §2.10): the configs. Contacts, states of
// conversations, the profile and settings are how this device reads them. Both change together, in one write:
//
//   local change ──▶ record ──▶ `storage.write` ──▶ config edited, record made from it, dump added ──▶ storage
//   other device ──▶ config merged ──▶ what it means in memory ──▶ the same write
//
// So whoever writes a record need not know of configs, and nothing can come apart when the program is killed.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import type { StoredConfig } from '@allium/protocol/config';
import { ContactsConfig } from '@allium/protocol/config/contacts';
import { ConvoInfoVolatileConfig } from '@allium/protocol/config/convo-info-volatile';
import { ConfigError } from '@allium/protocol/config/error';
import { UserGroupsConfig } from '@allium/protocol/config/user-groups';
import { UserProfileConfig } from '@allium/protocol/config/user-profile';
import type { Logger } from '@allium/protocol/env';
import { CONTACT, type Contact, type Contacts } from '../messaging/contacts.ts';
import {
  CONVERSATION,
  type ConversationState,
  type ConversationStates,
} from '../messaging/conversation-states.ts';
import { type KeptProfile, type OwnProfile, PROFILE } from '../messaging/profile.ts';
import { DEFAULT_SETTINGS, type MessagingSettings, SETTINGS, type Settings } from '../messaging/settings.ts';
import {
  type Changes,
  placeTime,
  type Storage,
  type StoredMessage,
  type StoredRecord,
} from '../storage/storage.ts';
import { Erasures } from './erasures.ts';
import { JOURNAL, journalOf, type Link, Touched } from './journal.ts';
import { type ConfigName, KeptConfig } from './kept-config.ts';
import {
  contactFromConfig,
  contactToConfig,
  isSame,
  pictureToConfig,
  priorityOf,
  profileFromConfig,
  profileToConfig,
  SETTING_NAMES,
  type SyncedSetting,
  settingsFromConfig,
  stateFromConfig,
  stateToConfig,
  withPriority,
} from './mapping.ts';

// Ours.
/** Strangers who wrote and were not answered: more of them stay on the device that heard of them. */
const MAX_STRANGERS = 500;
/** What was erased longer ago is said again by nobody: no swarm has its messages. */
const TELL_ERASED_MS = 30 * 86_400_000;
/** spec/client §6.10. */
const OLD_MS = 2 * 60_000;
/** A `Link`, as JSON. */
const LINK = 'link';
/** What another device changed. */
export interface SyncedChanges {
  readonly contacts: readonly AccountId[];
  readonly conversations: readonly AccountId[];
  readonly profile: boolean;
  readonly settings: boolean;
  readonly groups: boolean;
}

interface ReadModels {
  readonly contacts: Contacts;
  readonly states: ConversationStates;
  readonly profile: OwnProfile;
  readonly settings: Settings;
}

interface Configs {
  readonly profile: KeptConfig<UserProfileConfig>;
  readonly contacts: KeptConfig<ContactsConfig>;
  readonly groups: KeptConfig<UserGroupsConfig>;
  readonly readState: KeptConfig<ConvoInfoVolatileConfig>;
}

/**
 * `configs`: this process has them. `journal`: another process of this account may have them, or will; what is changed here
 * is noted for it. `alone`: there are no other devices.
 */
type SyncMode = 'configs' | 'journal' | 'alone';

interface SyncedAccountDeps extends ReadModels {
  readonly mode: SyncMode;
  readonly storage: Storage;
  readonly log: Logger;
  /** Network time. */
  readonly now: () => number;
}

export class SyncedAccount {
  readonly configs: Configs;
  readonly erasures: Erasures;
  readonly #own: AccountId;
  readonly #deps: SyncedAccountDeps;
  /** Called after each write that went well. */
  onWritten: () => void = () => undefined;
  /** In memory, and in no write that went well. */
  #touched = new Touched();
  #strangers: number;
  #link: Link | undefined;

  private constructor(own: AccountId, configs: Configs, erasures: Erasures, deps: SyncedAccountDeps) {
    this.#own = own;
    this.configs = configs;
    this.erasures = erasures;
    this.#deps = deps;
    this.#strangers = 0;
    for (const { isApproved, isBlocked } of configs.contacts.config.contacts()) {
      if (!isApproved && !isBlocked) this.#strangers++;
    }
  }

  /** @throws ParseError `config` for a dump that is broken; StorageError */
  static async load(account: Account, deps: SyncedAccountDeps): Promise<SyncedAccount> {
    const { storage } = deps;
    const profile = await KeptConfig.load(storage, account, 'profile', UserProfileConfig);
    const contacts = await KeptConfig.load(storage, account, 'contacts', ContactsConfig);
    const groups = await KeptConfig.load(storage, account, 'groups', UserGroupsConfig);
    const readState = await KeptConfig.load(storage, account, 'readState', ConvoInfoVolatileConfig);
    const synced = new SyncedAccount(
      account.id,
      { profile: profile.kept, contacts: contacts.kept, groups: groups.kept, readState: readState.kept },
      await Erasures.load(storage),
      deps,
    );
    const link = await storage.setting(LINK);
    if (link !== undefined) synced.#link = JSON.parse(link) as Link;
    // What was there before configs were.
    if (deps.mode === 'configs' && contacts.isNew) {
      for (const { id } of deps.contacts.all()) synced.#touched.contacts.add(id);
      for (const id of deps.states.ids()) synced.#touched.states.add(id);
      if (deps.profile.kept !== undefined) synced.#touched.profile = true;
      synced.#touched.settings = true;
      synced.#editTouched();
    }
    return synced;
  }

  async countJournal(): Promise<number> {
    return (await this.#deps.storage.records(JOURNAL)).length;
  }

  /** Takes up what processes without configs have changed; without configs it is left to the process that has them. */
  async takeJournal(): Promise<void> {
    if (this.#deps.mode !== 'configs') return;
    const { storage, contacts, states, profile, settings } = this.#deps;
    const noted = await storage.records(JOURNAL);
    if (noted.length === 0) return;
    for (const { key, value } of noted) {
      const [kind, id] = key.split(' ') as [string, AccountId];
      const record = await storage.record(kind, id);
      if (kind === CONTACT) {
        contacts.put(id, record?.value as Contact | undefined);
        const { at } = value as { at: number };
        if (record === undefined && id !== this.#own) this.#erase(id, at);
        else this.#editContact(id);
        this.#touched.contacts.add(id);
      } else if (kind === CONVERSATION) {
        states.put(id, (record?.value as ConversationState | undefined) ?? {});
        this.#editState(id);
        this.#touched.states.add(id);
      } else if (kind === PROFILE && record?.value !== undefined) {
        profile.put(record.value as KeptProfile);
        this.#editProfile();
        this.#touched.profile = true;
      } else if (kind === SETTINGS && record?.value !== undefined) {
        settings.put(record.value as MessagingSettings);
        this.#editSettings();
        this.#touched.settings = true;
      }
    }
    await this.write({ records: noted.map(({ kind, key }) => ({ kind, key, value: undefined })) });
  }

  list(): readonly KeptConfig[] {
    const { profile, contacts, groups, readState } = this.configs;
    // spec/config-and-groups §2.10: in this order.
    return [profile, contacts, groups, readState];
  }

  /**
   * Whether a message is of a conversation that was erased after it was sent, or, on a device that was empty, before
   * (spec/client §6.10). Such a message is not to be shown.
   * @param storedAt when a swarm took it
   */
  isErased(conversation: AccountId, place: number, storedAt: number): boolean {
    if (this.erasures.covers(conversation, place)) return true;
    if (this.#link === undefined || conversation === this.#own) return false;
    return (
      storedAt < this.#link.contactsAt - OLD_MS &&
      this.configs.contacts.config.contact(conversation) === undefined
    );
  }

  /** Whether a message is older than this device, which was linked to others: they have told its sender already. */
  isBeforeLink(place: number): boolean {
    return this.#link !== undefined && place < this.#link.at;
  }

  /** Takes versions of other devices. What follows from them is in memory at once, and in the next write. */
  merge(name: ConfigName, stored: readonly (StoredConfig & { readonly timestamp: number })[]): SyncedChanges {
    const kept: KeptConfig = this.configs[name];
    const { config } = kept;
    const now = this.#deps.now();
    const wasEmpty = config.seqno === 0;
    const before = name === 'contacts' ? this.#contactIds() : undefined;
    const edits = config.edits();
    const { accepted, refused, changed, overtaken = false } = config.merge(stored, now);
    if (overtaken) config.redo(edits);
    kept.refused += refused.length;
    if (refused.length > 0) {
      kept.needsWrite = true;
      this.#deps.log.debug({ config: name, refused: refused.length }, 'configs that cannot be understood');
    }
    const current = stored.find(({ hash }) => config.currentHashes.includes(hash));
    if (current !== undefined) kept.storedBytes = current.data.length;
    kept.addObsolete(config.takeObsolete());
    const storedAt = Math.min(now, Math.max(0, ...stored.map(({ timestamp }) => timestamp)));
    if (before !== undefined && wasEmpty && accepted.length > 0 && this.#link === undefined) {
      this.#link = { at: now, contactsAt: storedAt };
      this.#touched.link = this.#link;
    }
    if (!changed && !overtaken) return NOTHING_SYNCED;
    switch (name) {
      case 'profile':
        return this.#profileMerged(storedAt);
      case 'contacts':
        return this.#contactsMerged(before ?? new Set(), storedAt);
      case 'readState':
        return this.#readStateMerged();
      case 'groups':
        return { ...NOTHING_SYNCED, groups: true };
    }
  }

  #contactIds(): Set<AccountId> {
    return new Set([...this.configs.contacts.config.contacts()].map(({ id }) => id));
  }

  // Other devices → this one

  #profileMerged(storedAt: number): SyncedChanges {
    const { profile, settings, states } = this.#deps;
    const { config } = this.configs.profile;
    const next = profileFromConfig(config);
    const isOther = JSON.stringify(next) !== JSON.stringify(profile.kept);
    if (isOther && (next.updatedAtSeconds > 0 || profile.kept !== undefined)) {
      profile.put(next);
      this.#touched.profile = true;
    }
    const nextSettings = settingsFromConfig(settings.now, config);
    const hasSettings = JSON.stringify(nextSettings) !== JSON.stringify(settings.now);
    if (hasSettings) {
      settings.put(nextSettings);
      this.#touched.settings = true;
    }
    const before = states.get(this.#own);
    const state = withPriority(before, config.noteToSelfPriority, storedAt);
    const hasState = !isSame(before, state);
    if (hasState) this.#putState(this.#own, state);
    const hasTimer = this.#ownTimerMerged();
    return {
      ...NOTHING_SYNCED,
      profile: isOther,
      settings: hasSettings,
      contacts: hasTimer ? [this.#own] : [],
      conversations: hasState ? [this.#own] : [],
    };
  }

  #ownTimerMerged(): boolean {
    const { contacts } = this.#deps;
    const { noteToSelfExpirySeconds: seconds } = this.configs.profile.config;
    const { timer: before, ...own } = contacts.get(this.#own);
    if ((before?.seconds ?? 0) === seconds) return false;
    contacts.put(this.#own, {
      ...own,
      ...(seconds > 0 && { timer: { mode: 'after_send' as const, seconds } }),
    });
    this.#touched.contacts.add(this.#own);
    return true;
  }

  #contactsMerged(before: ReadonlySet<AccountId>, storedAt: number): SyncedChanges {
    const { contacts, states } = this.#deps;
    const { config } = this.configs.contacts;
    const now = this.#deps.now();
    const changedContacts = new Set<AccountId>();
    const changedStates = new Set<AccountId>();
    const after = this.#contactIds();
    this.#strangers = 0;
    // Another client erased them, and says not when: what its config replaced was there until then.
    for (const id of before) {
      if (after.has(id) || (config.erasedAt(id) ?? 0) > (this.erasures.at(id) ?? 0)) continue;
      config.setErasedAt(id, Math.max(storedAt, this.erasures.at(id) ?? 0));
    }
    for (const { id, at } of [...config.erased()]) {
      if (at <= (this.erasures.at(id) ?? 0)) continue;
      this.erasures.set(id, at, false);
      this.#touched.erasures.add(id);
    }
    // The later of two times, whichever the merge has left.
    for (const { id, at } of this.erasures.all()) {
      if (at > (config.erasedAt(id) ?? 0) && at > now - TELL_ERASED_MS) config.setErasedAt(id, at);
    }
    for (const id of before) {
      if (after.has(id) || contacts.known(id) === undefined) continue;
      contacts.put(id, undefined);
      states.forget(id);
      changedContacts.add(id);
      changedStates.add(id);
    }
    for (const id of after) {
      const told = config.contact(id)!;
      if (!told.isApproved && !told.isBlocked) this.#strangers++;
      const known = contacts.known(id);
      if (known !== undefined && (known.profileUpdatedAt ?? 0) > told.profileUpdatedSeconds) {
        // Heard from themselves, after the others had.
        this.#edit(() => config.setContact({ id, ...profileToConfig(known) }));
      }
      const next = contactFromConfig(known, config.contact(id)!);
      if (!isSame(known, next)) {
        contacts.put(id, next);
        changedContacts.add(id);
      }
      const state = states.get(id);
      const nextState = stateFromConfig(state, told, storedAt);
      if (!isSame(state, nextState)) {
        states.put(id, nextState);
        changedStates.add(id);
      }
    }
    for (const id of changedContacts) this.#touched.contacts.add(id);
    for (const id of changedStates) this.#touched.states.add(id);
    return { ...NOTHING_SYNCED, contacts: [...changedContacts], conversations: [...changedStates] };
  }

  #readStateMerged(): SyncedChanges {
    const { states } = this.#deps;
    const { config } = this.configs.readState;
    const now = this.#deps.now();
    const changed: AccountId[] = [];
    const told = new Map<AccountId, { readonly lastRead: number; readonly isMarkedUnread: boolean }>();
    for (const entry of config.conversations()) {
      if (entry.type === 'account') told.set(entry.id, entry);
    }
    for (const id of new Set([...told.keys(), ...states.ids()])) {
      if (id === this.#own) continue;
      const { readTo = 0, isMarkedUnread: _, ...state } = states.get(id);
      const { lastRead = 0, isMarkedUnread = false } = told.get(id) ?? {};
      // What was read does not become unread again.
      if (readTo > lastRead) {
        const path = { type: 'account', id } as const;
        this.#edit(() => config.setReadState(path, { lastRead: readTo }, now));
      }
      const read = Math.max(readTo, lastRead);
      const next = {
        ...state,
        ...(read > 0 && { readTo: read }),
        ...(isMarkedUnread && { isMarkedUnread: true as const }),
      };
      if (isSame(states.get(id), next)) continue;
      this.#putState(id, next);
      changed.push(id);
    }
    return { ...NOTHING_SYNCED, conversations: changed };
  }

  #putState(id: AccountId, state: Parameters<ConversationStates['put']>[1]): void {
    this.#deps.states.put(id, state);
    this.#touched.states.add(id);
  }

  // This device → the others

  /** What records say goes into the configs; they say then what the configs do. */
  #editTouched(): void {
    const { contacts, states } = this.#touched;
    if (this.#deps.mode !== 'configs') {
      for (const id of contacts) {
        if (this.#deps.contacts.known(id) === undefined) this.#forget(id, this.#deps.now());
      }
      return;
    }
    for (const id of contacts) this.#editContact(id);
    for (const id of states) this.#editState(id);
    if (this.#touched.profile) this.#editProfile();
    if (this.#touched.settings) this.#editSettings();
  }

  #editContact(id: AccountId): void {
    const { contacts } = this.#deps;
    const { config } = this.configs.contacts;
    const contact = contacts.known(id);
    if (id === this.#own) {
      const seconds = contact?.timer?.seconds ?? 0;
      this.#edit(() => this.configs.profile.config.setNoteToSelfExpiry(seconds));
      return;
    }
    if (contact === undefined) {
      this.#erase(id, this.#deps.now());
      return;
    }
    const known = config.contact(id);
    if (known === undefined && !contact.approved && !contact.blocked && ++this.#strangers > MAX_STRANGERS) {
      return;
    }
    const created = known === undefined ? { createdSeconds: Math.floor(this.#deps.now() / 1_000) } : {};
    this.#edit(() => config.setContact({ ...contactToConfig(contact), ...created }));
    const told = config.contact(id);
    if (told !== undefined) contacts.put(id, contactFromConfig(contact, told));
  }

  #erase(id: AccountId, at: number): void {
    const { config } = this.configs.contacts;
    this.#edit(() => {
      config.eraseContact(id);
      config.setErasedAt(id, Math.max(at, config.erasedAt(id) ?? at));
      this.configs.readState.config.eraseReadState({ type: 'account', id });
    });
    this.#forget(id, at);
  }

  #forget(id: AccountId, at: number): void {
    this.erasures.set(id, at, true);
    this.#deps.states.forget(id);
    this.#touched.states.add(id);
    this.#touched.erasures.add(id);
  }

  #editState(id: AccountId): void {
    const { states, contacts } = this.#deps;
    const state = states.get(id);
    const now = this.#deps.now();
    if (id === this.#own) {
      this.#edit(() => this.configs.profile.config.setNoteToSelfPriority(priorityOf(state)));
      states.put(id, withPriority(state, this.configs.profile.config.noteToSelfPriority, now));
      return;
    }
    const { config } = this.configs.contacts;
    const told = stateToConfig(state);
    const saysSomething = told.priority !== 0 || told.notifications !== 0 || told.mutedUntilSeconds !== 0;
    if (config.contact(id) !== undefined || saysSomething) {
      this.#edit(() => config.setContact({ id, ...told }));
      const contact = config.contact(id);
      if (contact !== undefined) {
        states.put(id, stateFromConfig(state, contact, now));
        if (contacts.known(id) === undefined) {
          contacts.put(id, contactFromConfig(undefined, contact));
          this.#touched.contacts.add(id);
        }
      }
    }
    const { readTo = 0, isMarkedUnread = false } = state;
    const conversation = { type: 'account', id } as const;
    const { readState } = this.configs;
    const before = readState.config.readState(conversation);
    if ((before?.lastRead ?? 0) < readTo || (before?.isMarkedUnread ?? false) !== isMarkedUnread) {
      const lastRead = Math.max(readTo, before?.lastRead ?? 0);
      this.#edit(() => readState.config.setReadState(conversation, { lastRead, isMarkedUnread }, now));
    }
  }

  #editProfile(): void {
    const { profile } = this.#deps;
    const { config } = this.configs.profile;
    const { kept } = profile;
    if (kept === undefined) return;
    this.#edit(() => config.setName(kept.name ?? '', kept.updatedAtSeconds));
    this.#edit(() => config.setPicture(pictureToConfig(kept.picture), kept.updatedAtSeconds));
    profile.put(profileFromConfig(config));
  }

  #editSettings(): void {
    const { settings } = this.#deps;
    const { config } = this.configs.profile;
    for (const [member, name] of Object.entries(SETTING_NAMES)) {
      const value = settings.now[member as SyncedSetting];
      const isDefault = value === DEFAULT_SETTINGS[member as SyncedSetting];
      if (isDefault && config.setting(name) === undefined) continue;
      this.#edit(() => config.setSetting(name, value ? 1 : 0));
    }
  }

  /** A value that no config takes stays on this device. */
  #edit(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#deps.log.warn({ error: error.message }, 'something does not fit into a config');
    }
  }

  // One write

  /** As `Storage.write`, with all that belongs to the changes. */
  async write(given: Changes): Promise<void> {
    const { changes, dumped, touched } = this.#compose(given);
    try {
      await this.#deps.storage.write(changes);
    } catch (error) {
      // It is in memory all the same: the next write has it too.
      this.#touched.add(touched);
      for (const kept of dumped) kept.needsWrite = true;
      throw error;
    }
    this.onWritten();
  }

  /** Without anything in between: what is composed is what is in memory now. */
  #compose(given: Changes): { changes: Changes; dumped: readonly KeptConfig[]; touched: Touched } {
    const now = this.#deps.now();
    const { states } = this.#deps;
    // What was merged is in the configs already.
    const merged = this.#touched;
    this.#touched = new Touched();
    const others: StoredRecord[] = [];
    for (const record of given.records ?? []) {
      if (record.kind === CONTACT) this.#touched.contacts.add(record.key as AccountId);
      else if (record.kind === CONVERSATION) this.#touched.states.add(record.key as AccountId);
      else if (record.kind === PROFILE) this.#touched.profile = true;
      else if (record.kind === SETTINGS) this.#touched.settings = true;
      else others.push(record);
    }
    const messages: StoredMessage[] = [];
    for (const message of given.messages ?? []) {
      const { conversation } = message;
      const place = placeTime(message);
      if (this.erasures.covers(conversation, place)) continue;
      messages.push(message);
      const { hiddenAt } = states.get(conversation);
      if (hiddenAt === undefined || place <= hiddenAt) continue;
      // §6.1
      states.change(conversation, { hiddenAt: undefined });
      this.#touched.states.add(conversation);
    }
    this.#editTouched();
    const edited = this.#touched;
    this.#touched = new Touched();
    merged.add(edited);
    const dumped: KeptConfig[] = [];
    const dumps: StoredRecord[] = [];
    for (const kept of this.#deps.mode === 'configs' ? this.list() : []) {
      const record = kept.record(now);
      if (record === undefined) continue;
      dumped.push(kept);
      dumps.push(record);
    }
    const records: StoredRecord[] = [
      ...others,
      ...[...merged.contacts].map((id) => ({ kind: CONTACT, key: id, value: this.#deps.contacts.known(id) })),
      ...[...merged.states].map((id) => states.record(id)),
      ...[...merged.erasures].flatMap((id) => this.erasures.record(id) ?? []),
      ...(merged.profile ? [this.#deps.profile.record()] : []),
      ...(merged.settings ? [this.#deps.settings.record()] : []),
      ...dumps,
      ...(this.#deps.mode === 'journal' ? journalOf(edited, now) : []),
    ];
    const changes: Changes = {
      ...given,
      ...(given.messages !== undefined && { messages }),
      ...(records.length > 0 && { records }),
      ...(merged.link !== undefined && {
        settings: { ...given.settings, [LINK]: JSON.stringify(merged.link) },
      }),
    };
    return { changes, dumped, touched: merged };
  }
}

const NOTHING_SYNCED: SyncedChanges = {
  contacts: [],
  conversations: [],
  profile: false,
  settings: false,
  groups: false,
};
