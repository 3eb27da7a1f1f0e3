// SPDX-License-Identifier: MIT
// The people that an account knows (spec/config-and-groups §3.2).
import { fromBinary, toBinary } from '../bytes.ts';
import type { Account } from '../identity/account.ts';
import type { AccountId } from '../identity/account-id.ts';
import { ConfigError } from './config-error.ts';
import type { ConfigDict, ConfigValue } from './data.ts';
import {
  checkText,
  dictEntries,
  ExpiryMode,
  Fields,
  idKey,
  idOfKey,
  MAX_NAME_BYTES,
  NotificationMode,
  type Picture,
  sortedKeys,
  truncateText,
} from './fields.ts';
import { UserConfig } from './user-config.ts';

/** Times are Unix seconds, 0 for none. */
export interface Contact {
  readonly id: AccountId;
  /** As they call themselves; cut to 100 bytes. */
  readonly name: string;
  /** As we call them; '' for none, 100 bytes at most. */
  readonly nickname: string;
  readonly picture: Picture | undefined;
  /** When they changed their profile last. */
  readonly profileUpdatedSeconds: number;
  /** We approved them. */
  readonly isApproved: boolean;
  /** They approved us. */
  readonly hasApprovedMe: boolean;
  readonly isBlocked: boolean;
  /** −1 hidden, 0 normal, from 1 on pinned. */
  readonly priority: number;
  /** `mentions` is stored as `all`. */
  readonly notifications: NotificationMode;
  readonly mutedUntilSeconds: number;
  readonly expiryMode: ExpiryMode;
  readonly expirySeconds: number;
  readonly createdSeconds: number;
  /** Numbers of Pro features of their profile. */
  readonly proFeatures: readonly number[];
}

/** Somebody known by a blinded id of a community only. */
export interface BlindedContact {
  /** 15 or 25, then 64 hex digits. */
  readonly id: string;
  /** Canonical, see community-url.ts. */
  readonly baseUrl: string;
  /** 32 bytes. */
  readonly serverKey: Uint8Array;
  readonly name: string;
  readonly picture: Picture | undefined;
  readonly profileUpdatedSeconds: number;
  readonly priority: number;
  readonly createdSeconds: number;
  readonly proFeatures: readonly number[];
}

/** Ours: our own members in a config; other clients keep what they do not know. */
const OURS = 'allium';
const ERASED = 'd';
/** Ours: longer than any message stays on a swarm. */
const FORGET_ERASED_MS = 45 * 86_400_000;
const CONTACTS = 'c';
const BLINDED = 'b';
const ROOMS = 'R';
const SERVER_KEY = '#';

export class ContactsConfig extends UserConfig {
  /** @throws ParseError `config` for a dump that is broken */
  constructor(account: Account, dump?: Uint8Array) {
    super('contacts', account, dump);
  }

  /** Entries that are not sound included. */
  get size(): number {
    return sortedKeys(this.get(CONTACTS)).length;
  }

  contact(id: AccountId): Contact | undefined {
    const key = idKey(id);
    return this.get(CONTACTS, key) instanceof Map ? this.#read(id, key) : undefined;
  }

  /** In the order of their ids. */
  *contacts(): Generator<Contact> {
    for (const [key] of dictEntries(this.get(CONTACTS))) {
      const id = idOfKey<AccountId>(key, '05');
      if (id !== undefined) yield this.#read(id, key);
    }
  }

  /**
   * Adds or changes a contact: members that are given are written, the others stay.
   * @throws ConfigError `bad_value` for a nickname or a URL that is too long; nothing has changed then
   */
  setContact(contact: Partial<Contact> & Pick<Contact, 'id'>): void {
    const { nickname, picture, priority, notifications } = contact;
    if (nickname !== undefined) checkText('a nickname', nickname, MAX_NAME_BYTES);
    const fields = new Fields(this, [CONTACTS, idKey(contact.id)]);
    if ('picture' in contact) fields.setPicture(picture);
    const name = contact.name ?? fields.text('n');
    fields.setAlways('n', truncateText(name, MAX_NAME_BYTES));
    if (nickname !== undefined) fields.setText('N', nickname);
    setTimes(fields, contact);
    if (contact.isApproved !== undefined) fields.setFlag('a', contact.isApproved);
    if (contact.hasApprovedMe !== undefined) fields.setFlag('A', contact.hasApprovedMe);
    if (contact.isBlocked !== undefined) fields.setFlag('b', contact.isBlocked);
    if (priority !== undefined) fields.setInteger('+', priority);
    if (notifications !== undefined) fields.setPositive('@', contactNotifications(notifications));
    if (contact.mutedUntilSeconds !== undefined) fields.setTime('!', contact.mutedUntilSeconds);
    if (contact.expiryMode !== undefined || contact.expirySeconds !== undefined) {
      const before = readExpiry(fields);
      const mode = contact.expiryMode ?? before.expiryMode;
      const seconds = contact.expirySeconds ?? before.expirySeconds;
      const isOn = mode !== ExpiryMode.none && seconds > 0;
      fields.setInteger('e', isOn ? mode : 0);
      fields.setPositive('E', isOn ? seconds : 0);
    }
    if (contact.proFeatures !== undefined) fields.setNumbers('f', contact.proFeatures);
  }

  /**
   * Ours (docs/decisions/0027): when the conversation with somebody was erased last on a device of ours, Unix ms.
   * What was sent until then is gone on all of them, and does not come back.
   */
  erasedAt(id: AccountId): number | undefined {
    return timeOf(this.get(OURS, ERASED, idKey(id)));
  }

  /** In the order of their ids. */
  *erased(): Generator<{ readonly id: AccountId; readonly at: number }> {
    const dict = this.get(OURS, ERASED);
    for (const key of sortedKeys(dict)) {
      const id = idOfKey<AccountId>(key, '05');
      const at = timeOf((dict as ConfigDict).get(key));
      if (id !== undefined && at !== undefined) yield { id, at };
    }
  }

  setErasedAt(id: AccountId, at: number): void {
    this.set([OURS, ERASED, idKey(id)], at);
  }

  protected override beforePush(now: number): void {
    for (const { id, at } of [...this.erased()]) {
      if (at < now - FORGET_ERASED_MS) this.erase([OURS, ERASED, idKey(id)]);
    }
  }

  /** With all that we know about them. */
  eraseContact(id: AccountId): void {
    this.erase([CONTACTS, idKey(id)]);
  }

  /** In the order of servers and ids. */
  *blindedContacts(): Generator<BlindedContact> {
    for (const [baseUrl, server] of dictEntries(this.get(BLINDED))) {
      const serverKey = server.get(SERVER_KEY);
      if (typeof serverKey !== 'string' || serverKey.length !== 32) continue;
      for (const [digits] of dictEntries(server.get(ROOMS))) {
        if (!/^[0-9a-f]{64}$/.test(digits)) continue;
        const fields = new Fields(this, [BLINDED, baseUrl, ROOMS, digits]);
        yield {
          id: `${fields.flag('y') ? '15' : '25'}${digits}`,
          baseUrl,
          serverKey: fromBinary(serverKey),
          name: fields.text('n'),
          picture: fields.picture(),
          profileUpdatedSeconds: fields.positive('t'),
          priority: fields.integer('+'),
          createdSeconds: fields.time('j'),
          proFeatures: fields.numbers('f'),
        };
      }
    }
  }

  /**
   * Adds or changes; members that are given are written.
   * @throws ConfigError `bad_value`
   */
  setBlindedContact(
    contact: Partial<BlindedContact> & Pick<BlindedContact, 'id' | 'baseUrl' | 'serverKey'>,
  ): void {
    const { baseUrl, serverKey, priority } = contact;
    if (serverKey.length !== 32) throw new ConfigError('bad_value', 'a server key has 32 bytes');
    const path = blindedPath(contact);
    const fields = new Fields(this, path);
    if ('picture' in contact) fields.setPicture(contact.picture);
    this.set([BLINDED, baseUrl, SERVER_KEY], toBinary(serverKey));
    fields.setAlways('n', truncateText(contact.name ?? fields.text('n'), MAX_NAME_BYTES));
    fields.setFlag('y', contact.id.startsWith('15'));
    setTimes(fields, contact);
    if (priority !== undefined) fields.setInteger('+', priority);
    if (contact.proFeatures !== undefined) fields.setNumbers('f', contact.proFeatures);
  }

  /** With the last one of a server, the server goes too. */
  eraseBlindedContact(contact: Pick<BlindedContact, 'id' | 'baseUrl'>): void {
    this.erase(blindedPath(contact));
    if (this.get(BLINDED, contact.baseUrl, ROOMS) === undefined) this.erase([BLINDED, contact.baseUrl]);
  }

  #read(id: AccountId, key: string): Contact {
    const fields = new Fields(this, [CONTACTS, key]);
    return {
      id,
      name: fields.text('n'),
      nickname: fields.text('N'),
      picture: fields.picture(),
      profileUpdatedSeconds: fields.positive('t'),
      isApproved: fields.flag('a'),
      hasApprovedMe: fields.flag('A'),
      isBlocked: fields.flag('b'),
      priority: fields.integer('+'),
      notifications: contactNotifications(fields.integer('@')),
      mutedUntilSeconds: fields.time('!'),
      ...readExpiry(fields),
      createdSeconds: fields.time('j'),
      proFeatures: fields.numbers('f'),
    };
  }
}

function timeOf(value: ConfigValue | undefined): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined;
}

function blindedPath({ id, baseUrl }: Pick<BlindedContact, 'id' | 'baseUrl'>): string[] {
  if (!/^[12]5[0-9a-f]{64}$/.test(id)) {
    throw new ConfigError('bad_value', 'a blinded id is 66 hex digits that begin with 15 or 25');
  }
  return [BLINDED, baseUrl, ROOMS, id.slice(2)];
}

function setTimes(
  fields: Fields,
  times: Partial<Pick<Contact, 'profileUpdatedSeconds' | 'createdSeconds'>>,
): void {
  const { profileUpdatedSeconds, createdSeconds } = times;
  if (profileUpdatedSeconds !== undefined) fields.setPositive('t', profileUpdatedSeconds);
  if (createdSeconds !== undefined) fields.setTime('j', createdSeconds);
}

function readExpiry(fields: Fields): Pick<Contact, 'expiryMode' | 'expirySeconds'> {
  const mode = fields.integer('e');
  const expirySeconds = fields.positive('E');
  const isOn = (mode === ExpiryMode.afterSend || mode === ExpiryMode.afterRead) && expirySeconds > 0;
  return isOn ? { expiryMode: mode, expirySeconds } : { expiryMode: ExpiryMode.none, expirySeconds: 0 };
}

/** A conversation of two has no mentions. */
function contactNotifications(mode: number): NotificationMode {
  if (mode === NotificationMode.mentions) return NotificationMode.all;
  return mode === NotificationMode.all || mode === NotificationMode.disabled
    ? mode
    : NotificationMode.default;
}
