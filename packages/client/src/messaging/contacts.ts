// SPDX-License-Identifier: MIT
// Whom we accept, who accepts us, who is blocked (spec/client §6.2, §6.9), and how people call themselves (§6.11).
// All contacts are in memory: a change happens at once, and the record that it gives goes into the storage together
// with whatever caused it.
import type { AccountId } from '@allium/protocol/account-id';
import { toHex, utf8 } from '@allium/protocol/bytes';
import type { DataMessage } from '@allium/protocol/message/content';
import type { Storage, StoredMessage, StoredRecord, Timer } from '../storage/storage.ts';
import { MAX_NAME_BYTES, MAX_URL_BYTES } from './profile.ts';

/** Of the records with a `Contact`, by id. */
export const CONTACT = 'contact';
const PROFILE_KEY_BYTES = 32;
/** Set when conversations of before there were contacts have been taken over. */
const MIGRATED = 'contacts_migrated';

export interface Contact {
  readonly id: AccountId;
  /** We accept them: we have written, or said so. */
  readonly approved: boolean;
  /** They accept us: they have written, or said so. */
  readonly approvedMe: boolean;
  /** Whatever they send is dropped. */
  readonly blocked: boolean;
  /** As they call themselves. */
  readonly name?: string;
  /** As we call them; at most 100 bytes of UTF-8. */
  readonly nickname?: string;
  /** Of the encrypted file; with `pictureKey`. */
  readonly pictureUrl?: string;
  /** Hex, 32 bytes. */
  readonly pictureKey?: string;
  /** By their clock, seconds. */
  readonly profileUpdatedAt?: number;
  /** What we send them disappears (§6.7); theirs is their matter. Of our own id: notes to self. */
  readonly timer?: Timer;
  /** When that was changed on this device, network time in ms. */
  readonly timerChangedAt?: number;
}

/** Undefined takes something away. */
export type ContactChange = { readonly [Name in keyof Omit<Contact, 'id'>]?: Contact[Name] | undefined };

export class Contacts {
  readonly #contacts = new Map<string, Contact>();
  readonly #own: AccountId;

  private constructor(own: AccountId) {
    this.#own = own;
  }

  static async load(storage: Storage, own: AccountId): Promise<Contacts> {
    const contacts = new Contacts(own);
    for (const { key, value } of await storage.records(CONTACT))
      contacts.#contacts.set(key, value as Contact);
    if ((await storage.setting(MIGRATED)) === undefined) {
      const records: StoredRecord[] = [];
      for (const { id } of await storage.conversations()) {
        if (id === own || contacts.#contacts.has(id)) continue;
        const said = await whoSpoke(storage, own, id);
        records.push(contacts.change(id, { approved: said.we, approvedMe: said.they }));
      }
      await storage.write({ records, settings: { [MIGRATED]: '1' } });
    }
    return contacts;
  }

  /** Somebody who is unknown has no flag set. */
  get(id: AccountId): Contact {
    const known = this.#contacts.get(id);
    if (known !== undefined) return known;
    const isOwn = id === this.#own;
    return { id, approved: isOwn, approvedMe: isOwn, blocked: false };
  }

  /** Nobody who is unknown, and not ourselves. */
  all(): readonly Contact[] {
    return [...this.#contacts.values()].filter(({ id }) => id !== this.#own);
  }

  /** Undefined when nothing is kept. */
  known(id: AccountId): Contact | undefined {
    return this.#contacts.get(id);
  }

  /** As it is in the storage, or about to be. */
  put(id: AccountId, contact: Contact | undefined): void {
    if (contact === undefined) this.#contacts.delete(id);
    else this.#contacts.set(id, contact);
  }

  /** Somebody else whom we accept: receipts, typing and downloads are allowed (§6.2). */
  isTrusted(id: AccountId): boolean {
    const { approved, blocked } = this.get(id);
    return approved && !blocked && id !== this.#own;
  }

  /** What is written, also when nothing changed: the change before may not have reached the storage. */
  change(id: AccountId, change: ContactChange): StoredRecord {
    const all = Object.entries({ ...this.get(id), ...change });
    const contact = Object.fromEntries(
      all.filter(([, value]) => value !== undefined && value !== ''),
    ) as unknown as Contact;
    this.#contacts.set(id, contact);
    return { kind: CONTACT, key: id, value: contact };
  }

  forget(id: AccountId): StoredRecord {
    this.#contacts.delete(id);
    return { kind: CONTACT, key: id, value: undefined };
  }

  /** How they call themselves, when that is newer than what we know (§6.11). */
  profileOf(
    id: AccountId,
    { profile, profileKey }: Pick<DataMessage, 'profile' | 'profileKey'>,
  ): ContactChange {
    if (profile === undefined) return {};
    const at = profile.lastUpdateSeconds ?? 0;
    const { profileUpdatedAt: before = 0 } = this.get(id);
    if (at < before) return {};
    const name = profile.displayName === undefined ? '' : cutName(profile.displayName);
    const url = profile.profilePicture ?? '';
    const hasPicture =
      url !== '' &&
      utf8(url).length <= MAX_URL_BYTES &&
      profileKey !== undefined &&
      profileKey.length === PROFILE_KEY_BYTES;
    return {
      ...(name !== '' && { name }),
      ...(hasPicture
        ? { pictureUrl: url, pictureKey: toHex(profileKey) }
        : { pictureUrl: '', pictureKey: '' }),
      profileUpdatedAt: at,
    };
  }
}

/** At most 100 bytes, whole characters. */
function cutName(name: string): string {
  let cut = '';
  let bytes = 0;
  for (const character of name) {
    bytes += utf8(character).length;
    if (bytes > MAX_NAME_BYTES) break;
    cut += character;
  }
  return cut;
}

async function whoSpoke(storage: Storage, own: AccountId, id: AccountId) {
  const said = { we: false, they: false };
  let before: StoredMessage | undefined;
  for (;;) {
    const page = await storage.history(id, { limit: 500, ...(before && { before }) });
    for (const { sender } of page) said[sender === own ? 'we' : 'they'] = true;
    before = page[0];
    if (before === undefined || (said.we && said.they)) return said;
  }
}
