// SPDX-License-Identifier: MIT
// The groups and communities of an account (spec/config-and-groups §3.4).
import { ed25519KeyPair } from '#crypto';
import { equal, fromBinary, toBinary } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import type { Account } from '../identity/account.ts';
import type { AccountId } from '../identity/account-id.ts';
import { ed25519KeyOf, type GroupId } from '../identity/group-id.ts';
import { canonicalBaseUrl, canonicalRoom } from './community-url.ts';
import { ConfigError } from './config-error.ts';
import {
  checkText,
  dictEntries,
  Fields,
  idKey,
  idOfKey,
  MAX_NAME_BYTES,
  NotificationMode,
} from './fields.ts';
import { UserConfig } from './user-config.ts';

/** Times are Unix seconds, 0 for none. */
export interface GroupSettings {
  /** −1 hidden, 0 normal, from 1 on pinned. */
  readonly priority: number;
  readonly joinedSeconds: number;
  readonly notifications: NotificationMode;
  readonly mutedUntilSeconds: number;
  /** Invited, not yet accepted. */
  readonly isInvited: boolean;
}

/** How an account left a group. */
export const GroupRemoval = { none: 0, kicked: 1, destroyed: 2 } as const;
export type GroupRemoval = (typeof GroupRemoval)[keyof typeof GroupRemoval];

export interface UserGroup extends GroupSettings {
  readonly id: GroupId;
  /** Until the group's own info is fetched; 100 bytes at most. */
  readonly name: string;
  /** 32 bytes, for admins: the secret of the group. A seed that is not of this group counts as none. */
  readonly seed: Uint8Array | undefined;
  /** 100 bytes, for members: what gives access to the group's swarm (§4.5). */
  readonly authData: Uint8Array | undefined;
  readonly removal: GroupRemoval;
}

export interface UserCommunity extends GroupSettings {
  /** Canonical. */
  readonly baseUrl: string;
  /** As given, case preserved. */
  readonly room: string;
  /** 32 bytes. */
  readonly serverKey: Uint8Array;
}

/** Of the time before groups with ids that begin with 03: shown and deleted, never written. */
export interface LegacyGroup extends GroupSettings {
  readonly id: AccountId;
  readonly name: string;
  readonly members: readonly AccountId[];
  readonly admins: readonly AccountId[];
  readonly expirySeconds: number;
}

// From the specification, spec/config-and-groups §3.4.
const GROUPS = 'g';
const COMMUNITIES = 'o';
const LEGACY = 'C';
const ROOMS = 'R';
const SERVER_KEY = '#';
const SEED = 32;
const AUTH_DATA = 100;

export class UserGroupsConfig extends UserConfig {
  /** @throws ParseError `config` for a dump that is broken */
  constructor(account: Account, dump?: Uint8Array) {
    super('userGroups', account, dump);
  }

  group(id: GroupId): UserGroup | undefined {
    const key = idKey(id);
    return this.get(GROUPS, key) instanceof Map ? this.#readGroup(id, key) : undefined;
  }

  /** In the order of their ids. */
  *groups(): Generator<UserGroup> {
    for (const [key] of dictEntries(this.get(GROUPS))) {
      const id = idOfKey<GroupId>(key, '03');
      if (id !== undefined) yield this.#readGroup(id, key);
    }
  }

  /**
   * Adds or changes a group: members that are given are written, the others stay.
   * @throws ConfigError `bad_value`; nothing has changed then
   */
  setGroup(group: Partial<UserGroup> & Pick<UserGroup, 'id'>): void {
    const { id, name, authData, removal } = group;
    if (name !== undefined) checkText('a name', name, MAX_NAME_BYTES);
    if (authData !== undefined && authData.length !== AUTH_DATA) {
      throw new ConfigError('bad_value', `${authData.length} bytes of authorisation, not ${AUTH_DATA}`);
    }
    const key = idKey(id);
    const fields = new Fields(this, [GROUPS, key]);
    const seed = 'seed' in group ? group.seed : fields.bytes('K');
    const isAdmin = seed !== undefined && isSeedOf(seed, id);
    // Always there, so that the entry lives.
    fields.setBytes('K', isAdmin ? seed : new Uint8Array(0));
    if (!isAdmin && 'authData' in group) fields.setBytes('s', authData);
    if (name !== undefined) fields.setText('n', name);
    if (removal !== undefined) fields.setPositive('r', removal);
    writeSettings(fields, group);
  }

  /** They removed us: we have no access any more. */
  markKicked(id: GroupId): void {
    this.#lose(id, GroupRemoval.kicked);
  }

  /** Nobody has access any more. */
  markDestroyed(id: GroupId): void {
    this.#lose(id, GroupRemoval.destroyed);
  }

  /** Invited again after they had removed us. */
  markInvited(id: GroupId): void {
    if (this.group(id)?.removal === GroupRemoval.kicked) this.setGroup({ id, removal: GroupRemoval.none });
  }

  eraseGroup(id: GroupId): void {
    this.erase([GROUPS, idKey(id)]);
  }

  /** @throws ParseError `config` when it is no address */
  community(baseUrl: string, room: string): UserCommunity | undefined {
    const path = communityPath(baseUrl, room);
    return this.get(...path) instanceof Map ? this.#readCommunity(path) : undefined;
  }

  /** In the order of servers and rooms. */
  *communities(): Generator<UserCommunity> {
    for (const [baseUrl, server] of dictEntries(this.get(COMMUNITIES))) {
      for (const [room] of dictEntries(server.get(ROOMS))) {
        const community = this.#readCommunity([COMMUNITIES, baseUrl, ROOMS, room]);
        if (community !== undefined) yield community;
      }
    }
  }

  /**
   * Adds or changes a community: members that are given are written. All rooms of a server have one key.
   * @throws ParseError `config` when it is no address
   * @throws ConfigError `bad_value`
   */
  setCommunity(
    community: Partial<UserCommunity> & Pick<UserCommunity, 'baseUrl' | 'room' | 'serverKey'>,
  ): void {
    const { baseUrl, room, serverKey } = community;
    if (serverKey.length !== SEED) throw new ConfigError('bad_value', 'a server key has 32 bytes');
    const path = communityPath(baseUrl, room);
    this.set([...path.slice(0, 2), SERVER_KEY], toBinary(serverKey));
    const fields = new Fields(this, path);
    fields.setText('n', room);
    writeSettings(fields, community);
  }

  /** With the last room of a server, the server goes too. @throws ParseError `config` when it is no address */
  eraseCommunity(baseUrl: string, room: string): void {
    const path = communityPath(baseUrl, room);
    this.erase(path);
    if (this.get(...path.slice(0, 3)) === undefined) this.erase(path.slice(0, 2));
  }

  /** In the order of their ids. */
  *legacyGroups(): Generator<LegacyGroup> {
    for (const [key] of dictEntries(this.get(LEGACY))) {
      const id = idOfKey<AccountId>(key, '05');
      if (id === undefined) continue;
      const fields = new Fields(this, [LEGACY, key]);
      const admins = idsOf(fields, 'a');
      yield {
        id,
        name: fields.text('n'),
        admins,
        members: idsOf(fields, 'm').filter((member) => !admins.includes(member)),
        expirySeconds: fields.positive('E'),
        ...readSettings(fields),
      };
    }
  }

  /** To pin or hide it, all that can be done to it. */
  setLegacyGroupPriority(id: AccountId, priority: number): void {
    const path = [LEGACY, idKey(id)];
    if (this.get(...path) instanceof Map) new Fields(this, path).setInteger('+', priority);
  }

  eraseLegacyGroup(id: AccountId): void {
    this.erase([LEGACY, idKey(id)]);
  }

  #lose(id: GroupId, removal: GroupRemoval): void {
    const before = this.group(id)?.removal ?? GroupRemoval.none;
    const after = before === GroupRemoval.destroyed ? before : removal;
    this.setGroup({ id, seed: undefined, authData: undefined, removal: after });
  }

  #readGroup(id: GroupId, key: string): UserGroup {
    const fields = new Fields(this, [GROUPS, key]);
    const seed = fields.bytes('K', SEED);
    const removal = fields.integer('r');
    return {
      id,
      name: fields.text('n'),
      seed: seed !== undefined && isSeedOf(seed, id) ? seed : undefined,
      authData: fields.bytes('s', AUTH_DATA),
      removal:
        removal === GroupRemoval.kicked || removal === GroupRemoval.destroyed ? removal : GroupRemoval.none,
      ...readSettings(fields),
    };
  }

  #readCommunity(path: readonly string[]): UserCommunity | undefined {
    const [, baseUrl = '', , key = ''] = path;
    const serverKey = this.get(COMMUNITIES, baseUrl, SERVER_KEY);
    if (typeof serverKey !== 'string' || serverKey.length !== SEED || !isCanonical(baseUrl, key))
      return undefined;
    const fields = new Fields(this, path);
    const room = fields.text('n');
    return {
      baseUrl,
      // Ours: what names another room than its entry does is not believed.
      room: room.toLowerCase() === key ? room : key,
      serverKey: fromBinary(serverKey),
      ...readSettings(fields),
    };
  }
}

function communityPath(baseUrl: string, room: string): string[] {
  return [COMMUNITIES, canonicalBaseUrl(baseUrl), ROOMS, canonicalRoom(room)];
}

function isCanonical(baseUrl: string, room: string): boolean {
  try {
    return canonicalBaseUrl(baseUrl) === baseUrl && canonicalRoom(room) === room;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}

function isSeedOf(seed: Uint8Array, id: GroupId): boolean {
  return seed.length === SEED && equal(ed25519KeyPair(seed).publicKey, ed25519KeyOf(id));
}

function idsOf(fields: Fields, key: string): AccountId[] {
  const set = fields.get(key);
  if (!(set instanceof Set)) return [];
  return [...set].flatMap((item) => {
    const id = typeof item === 'string' ? idOfKey<AccountId>(item, '05') : undefined;
    return id === undefined ? [] : [id];
  });
}

function readSettings(fields: Fields): GroupSettings {
  const mode = fields.integer('@');
  return {
    priority: fields.integer('+'),
    joinedSeconds: fields.time('j'),
    notifications: mode >= 0 && mode <= 3 ? (mode as NotificationMode) : NotificationMode.default,
    mutedUntilSeconds: fields.time('!'),
    isInvited: fields.flag('i'),
  };
}

function writeSettings(fields: Fields, settings: Partial<GroupSettings>): void {
  const { priority, joinedSeconds, notifications, mutedUntilSeconds, isInvited } = settings;
  if (priority !== undefined) fields.setInteger('+', priority);
  if (joinedSeconds !== undefined) fields.setTime('j', joinedSeconds);
  if (notifications !== undefined) fields.setPositive('@', notifications);
  if (mutedUntilSeconds !== undefined) fields.setTime('!', mutedUntilSeconds);
  if (isInvited !== undefined) fields.setFlag('i', isInvited);
}
