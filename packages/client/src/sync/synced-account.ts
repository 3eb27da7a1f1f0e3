// SPDX-License-Identifier: MIT
// One truth for what all devices of an account share (spec/config-and-groups §2.10): the configs. Contacts, states of
// conversations, the profile and settings are how this device reads them. Both change together, in one write:
//
//   local change ──▶ record ──▶ `storage.write` ──▶ config edited, record made from it, dump added ──▶ storage
//   other device ──▶ config merged ──▶ what it means in memory ──▶ the same write
//
// So whoever writes a record need not know of configs, and nothing can come apart when the program is killed. The first
// direction is `config-edits.ts`, the second `merged.ts`.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import type { StoredConfig } from '@allium/protocol/config';
import { ContactsConfig } from '@allium/protocol/config/contacts';
import { ConvoInfoVolatileConfig } from '@allium/protocol/config/convo-info-volatile';
import { UserGroupsConfig } from '@allium/protocol/config/user-groups';
import { UserProfileConfig } from '@allium/protocol/config/user-profile';
import type { Logger } from '@allium/protocol/env';
import { CONTACT, type Contact } from '../messaging/contacts.ts';
import { CONVERSATION, type ConversationState } from '../messaging/conversation-states.ts';
import { type KeptProfile, PROFILE } from '../messaging/profile.ts';
import { type MessagingSettings, SETTINGS } from '../messaging/settings.ts';
import {
  type Changes,
  placeTime,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
} from '../storage/storage.ts';
import { ConfigEdits } from './config-edits.ts';
import { Erasures } from './erasures.ts';
import { JOURNAL, journalOf, type Link, type Moment, Touched } from './journal.ts';
import { type ConfigName, KeptConfig } from './kept-config.ts';
import {
  contactIds,
  contactsMerged,
  NOTHING_SYNCED,
  profileMerged,
  readStateMerged,
  type SyncedChanges,
} from './merged.ts';
import { type Configs, momentOf, type ReadModels, type SyncScope } from './sync-scope.ts';

// Ours.
/** spec/client §6.10. */
const OLD_MS = 2 * 60_000;
/** A `Link`, as JSON. */
const LINK = 'link';
/** Of taking up the journal, while somebody goes on writing. */
const MAX_TRIES = 10;

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
  readonly clock: SyncScope['clock'];
}

export class SyncedAccount {
  readonly configs: Configs;
  readonly erasures: Erasures;
  readonly #scope: SyncScope;
  readonly #edits: ConfigEdits;
  readonly #mode: SyncMode;
  readonly #storage: Storage;
  /** Called after each write that went well. */
  onWritten: () => void = () => undefined;
  /** In memory, and in no write that went well. */
  #touched = new Touched();
  #link: Link | undefined;
  /** The journal is taken up once at a time. */
  #taking: Promise<unknown> = Promise.resolve();
  /** Notes of one millisecond are told apart by it. */
  #notes = 0;

  private constructor(scope: SyncScope, { mode, storage }: SyncedAccountDeps) {
    this.#scope = scope;
    this.configs = scope.configs;
    this.erasures = scope.erasures;
    this.#edits = new ConfigEdits(scope);
    this.#mode = mode;
    this.#storage = storage;
  }

  /** @throws ParseError `config` for a dump that is broken; StorageError */
  static async load(account: Account, deps: SyncedAccountDeps): Promise<SyncedAccount> {
    const { storage } = deps;
    const profile = await KeptConfig.load(storage, account, 'profile', UserProfileConfig);
    const contacts = await KeptConfig.load(storage, account, 'contacts', ContactsConfig);
    const groups = await KeptConfig.load(storage, account, 'groups', UserGroupsConfig);
    const readState = await KeptConfig.load(storage, account, 'readState', ConvoInfoVolatileConfig);
    const configs = {
      profile: profile.kept,
      contacts: contacts.kept,
      groups: groups.kept,
      readState: readState.kept,
    };
    const erasures = await Erasures.load(storage);
    const synced = new SyncedAccount({ ...deps, own: account.id, configs, erasures }, deps);
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
    return (await this.#storage.records(JOURNAL)).length;
  }

  /** Takes up what processes without configs have changed; without configs it is left to the process that has them. */
  takeJournal(): Promise<void> {
    if (this.#mode !== 'configs') return Promise.resolve();
    const taking = this.#taking.catch(() => undefined).then(() => this.#takeJournal());
    this.#taking = taking;
    return taking;
  }

  async #takeJournal(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const noted = await this.#storage.records(JOURNAL);
      if (noted.length === 0) return;
      for (const note of noted) await this.#takeNote(note);
      try {
        // Else what somebody changed since would be undone, and its note be lost.
        await this.write({
          unchanged: noted,
          records: noted.map(({ kind, key }) => ({ kind, key, value: undefined })),
        });
        return;
      } catch (error) {
        if (!(error instanceof StorageError && error.code === 'changed') || tries === MAX_TRIES) throw error;
      }
    }
  }

  async #takeNote({ key, value }: StoredRecord): Promise<void> {
    const { contacts, states, profile, settings } = this.#scope;
    const [kind, id] = key.split(' ') as [string, AccountId];
    const record = await this.#storage.record(kind, id);
    if (kind === CONTACT) {
      contacts.put(id, record?.value as Contact | undefined);
      const { at, offset } = value as Moment;
      if (record === undefined && id !== this.#scope.own) {
        const moment = offset === undefined ? { at: Math.min(at, this.#scope.now()) } : { at, offset };
        this.#edits.erase(id, moment, this.#touched);
      } else this.#edits.contact(id, this.#touched);
      this.#touched.contacts.add(id);
    } else if (kind === CONVERSATION) {
      states.put(id, (record?.value as ConversationState | undefined) ?? {});
      this.#edits.state(id, this.#touched);
      this.#touched.states.add(id);
    } else if (kind === PROFILE && record?.value !== undefined) {
      profile.put(record.value as KeptProfile);
      this.#edits.profile();
      this.#touched.profile = true;
    } else if (kind === SETTINGS && record?.value !== undefined) {
      settings.put(record.value as MessagingSettings);
      this.#edits.settings();
      this.#touched.settings = true;
    }
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
    if (this.#link === undefined || conversation === this.#scope.own) return false;
    return (
      storedAt < this.#link.contactsAt - OLD_MS &&
      this.configs.contacts.config.contact(conversation) === undefined
    );
  }

  /**
   * Corrects what was erased by a clock that nobody had confirmed, as soon as network time is known; to be called before
   * messages arrive and before configs are told to others. In memory at once, and in the next write.
   */
  confirmErasures(): void {
    const { clock, now } = this.#scope;
    const { offset, isSettled } = clock();
    if (!isSettled) return;
    const { config } = this.configs.contacts;
    for (const { id, believedAt } of this.erasures.confirm(offset, now())) {
      this.#touched.erasures.add(id);
      const [at, told = 0] = [this.erasures.at(id)!, config.erasedAt(id)];
      if (told === believedAt || told < at) config.setErasedAt(id, at);
    }
  }

  /** Whether a message is older than this device, which was linked to others: they have told its sender already. */
  isBeforeLink(place: number): boolean {
    return this.#link !== undefined && place < this.#link.at;
  }

  /** Takes versions of other devices. What follows from them is in memory at once, and in the next write. */
  merge(name: ConfigName, stored: readonly (StoredConfig & { readonly timestamp: number })[]): SyncedChanges {
    const kept: KeptConfig = this.configs[name];
    const { config } = kept;
    const now = this.#scope.now();
    const wasEmpty = config.seqno === 0;
    const before = name === 'contacts' ? contactIds(this.#scope) : undefined;
    const edits = config.edits();
    const { accepted, refused, changed, overtaken = false } = config.merge(stored, now);
    if (overtaken) config.redo(edits);
    kept.refused += refused.length;
    if (refused.length > 0) {
      kept.needsWrite = true;
      this.#scope.log.debug({ config: name, refused: refused.length }, 'configs that cannot be understood');
    }
    const current = stored.find(({ hash }) => config.currentHashes.includes(hash));
    if (current !== undefined) kept.storedBytes = current.data.length;
    kept.addObsolete(config.takeObsolete());
    const toldAt = Math.max(0, ...stored.map(({ timestamp }) => timestamp));
    const storedAt = Math.min(now, toldAt);
    if (before !== undefined && wasEmpty && accepted.length > 0 && this.#link === undefined) {
      this.#link = { at: now, contactsAt: storedAt };
      this.#touched.link = this.#link;
    }
    if (!changed && !overtaken) return NOTHING_SYNCED;
    switch (name) {
      case 'profile':
        return profileMerged(this.#scope, this.#touched, storedAt);
      case 'contacts':
        this.#edits.countStrangers();
        return contactsMerged(this.#scope, this.#touched, before ?? new Set(), storedAt, toldAt);
      case 'readState':
        return readStateMerged(this.#scope, this.#touched);
      case 'groups':
        return { ...NOTHING_SYNCED, groups: true };
    }
  }

  /** What records say goes into the configs; they say then what the configs do. */
  #editTouched(): void {
    const { contacts, states, profile, settings } = this.#touched;
    if (this.#mode !== 'configs') {
      for (const id of contacts) {
        if (this.#scope.contacts.known(id) === undefined)
          this.#edits.forget(id, momentOf(this.#scope), this.#touched);
      }
      return;
    }
    for (const id of contacts) this.#edits.contact(id, this.#touched);
    for (const id of states) this.#edits.state(id, this.#touched);
    if (profile) this.#edits.profile();
    if (settings) this.#edits.settings();
  }

  /** As `Storage.write`, with all that belongs to the changes. */
  async write(given: Changes): Promise<void> {
    const { changes, dumped, touched } = this.#compose(given);
    try {
      await this.#storage.write(changes);
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
    this.confirmErasures();
    const now = this.#scope.now();
    const { states } = this.#scope;
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
      const isOurs = message.sender === this.#scope.own && message.state !== 'sent';
      const { erasures } = this;
      if (isOurs ? erasures.coversOwn(conversation, place) : erasures.covers(conversation, place)) continue;
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
    for (const kept of this.#mode === 'configs' ? this.list() : []) {
      const record = kept.record(now);
      if (record === undefined) continue;
      dumped.push(kept);
      dumps.push(record);
    }
    const records: StoredRecord[] = [
      ...others,
      ...[...merged.contacts].map((id) => ({
        kind: CONTACT,
        key: id,
        value: this.#scope.contacts.known(id),
      })),
      ...[...merged.states].map((id) => states.record(id)),
      ...[...merged.erasures].flatMap((id) => this.erasures.record(id) ?? []),
      ...(merged.profile ? [this.#scope.profile.record()] : []),
      ...(merged.settings ? [this.#scope.settings.record()] : []),
      ...dumps,
      ...(this.#mode === 'journal' ? journalOf(edited, momentOf(this.#scope), ++this.#notes) : []),
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
