// SPDX-License-Identifier: MIT
// What was read in which conversation (spec/config-and-groups §3.3). Only the last 30 days are shared; older entries are
// kept on the device alone, in the same layout.
import { fromBinary, fromHex, toBinary, toHex } from '../bytes.ts';
import type { Account } from '../identity/account.ts';
import type { AccountId } from '../identity/account-id.ts';
import type { GroupId } from '../identity/group-id.ts';
import { canonicalBaseUrl, canonicalRoom } from './community-url.ts';
import { ConfigError } from './config-error.ts';
import {
  type ConfigDict,
  type ConfigPath,
  type ConfigScalar,
  checkedScalar,
  cloneDict,
  eraseAt,
  getAt,
  setAt,
} from './data.ts';
import { dictEntries, idKey } from './fields.ts';
import { UserConfig } from './user-config.ts';

export type Conversation =
  | { readonly type: 'account'; readonly id: AccountId }
  | { readonly type: 'group'; readonly id: GroupId }
  /** `room` is lower case in what is read. */
  | {
      readonly type: 'community';
      readonly baseUrl: string;
      readonly room: string;
      /** 32 bytes. */
      readonly serverKey: Uint8Array;
    }
  | { readonly type: 'legacyGroup'; readonly id: AccountId }
  /** 15 or 25, then 64 hex digits. */
  | { readonly type: 'blinded'; readonly id: string };

export interface ReadState {
  /** Sent time of the newest message that was read, Unix ms; 0 for none. */
  readonly lastRead: number;
  readonly isMarkedUnread: boolean;
  /** Of the contact's Pro proof, Unix seconds; 0 for none. */
  readonly proExpirySeconds: number;
  /** 32 bytes: revocation tag of that proof. */
  readonly proTag: Uint8Array | undefined;
}

// From the specification, spec/config-and-groups §3.3.
const ARCHIVE_AFTER_MS = 30 * 86_400_000;
const COMMUNITIES = 'o';
const ROOMS = 'R';
const SERVER_KEY = '#';
const KEY = 32;
const ID = 33;
/** The keys whose entries stand by 33 bytes of an id, and the first bytes of these. */
const BY_ID = {
  account: { key: '1', prefixes: ['05'] },
  legacyGroup: { key: 'C', prefixes: ['05'] },
  blinded: { key: 'b', prefixes: ['15', '25'] },
  group: { key: 'g', prefixes: ['03'] },
} as const;

export class ConvoInfoVolatileConfig extends UserConfig {
  /** @throws ParseError `config` for a dump that is broken */
  constructor(account: Account, dump?: Uint8Array) {
    super('conversationsVolatile', account, dump);
  }

  /** Undefined when nothing is known. @throws ParseError `config` for a community without sound address */
  readState(conversation: Conversation): ReadState | undefined {
    const path = pathOf(conversation);
    const entry = this.get(...path) ?? getAt(this.extra, path);
    return entry instanceof Map ? stateOf(entry) : undefined;
  }

  /** The shared ones, by type, then by id. */
  *conversations(): Generator<Conversation & ReadState> {
    for (const [type, { key, prefixes }] of Object.entries(BY_ID)) {
      for (const [binary, entry] of dictEntries(this.get(key))) {
        const id = toHex(fromBinary(binary));
        if (binary.length !== ID || !prefixes.some((prefix) => id.startsWith(prefix))) continue;
        yield { type, id, ...stateOf(entry) } as Conversation & ReadState;
      }
    }
    for (const [baseUrl, server] of dictEntries(this.get(COMMUNITIES))) {
      const serverKey = server.get(SERVER_KEY);
      if (typeof serverKey !== 'string' || serverKey.length !== KEY) continue;
      for (const [room, entry] of dictEntries(server.get(ROOMS))) {
        yield { type: 'community', baseUrl, room, serverKey: fromBinary(serverKey), ...stateOf(entry) };
      }
    }
  }

  /**
   * Members that are given are written, the others stay. What nothing is known of any more disappears.
   * @param now Unix ms
   * @throws ParseError `config` for a community without sound address
   * @throws ConfigError `bad_value`
   */
  setReadState(conversation: Conversation, state: Partial<ReadState>, now: number): void {
    const path = pathOf(conversation);
    if (conversation.type === 'community' && conversation.serverKey.length !== KEY) {
      throw new ConfigError('bad_value', 'a server key has 32 bytes');
    }
    const shared = this.get(...path);
    const known = shared ?? getAt(this.extra, path);
    const entry = known instanceof Map ? cloneDict(known) : new Map();
    writeState(entry, state);
    if (entry.size === 0) {
      this.eraseReadState(conversation);
      return;
    }
    if (conversation.type === 'blinded' && conversation.id.startsWith('15')) entry.set('y', 1);
    if (shared === undefined && isOld(entry, now)) {
      this.#keep(path, entry);
      return;
    }
    this.set(path, entry);
    if (conversation.type === 'community') {
      this.set([...path.slice(0, 2), SERVER_KEY], toBinary(conversation.serverKey));
    }
    this.#forget(path);
  }

  /** @throws ParseError `config` for a community without sound address */
  eraseReadState(conversation: Conversation): void {
    const path = pathOf(conversation);
    this.#eraseShared(path);
    this.#forget(path);
  }

  protected override beforePush(now: number): void {
    const data = this.get() as ConfigDict;
    for (const [path, entry] of [...entriesOf(data)]) {
      if (!isOld(entry, now)) continue;
      this.#keep(path, entry);
      this.#eraseShared(path);
    }
  }

  /** Another device has archived it. */
  protected override afterMerge(before: ConfigDict, now: number): void {
    for (const [path, entry] of entriesOf(before)) {
      if (isOld(entry, now) && this.get(...path) === undefined) this.#keep(path, entry);
    }
  }

  /** On this device alone. */
  #keep(path: ConfigPath, entry: ConfigDict): void {
    setAt(this.extra, path, cloneDict(entry));
    this.markForDump();
  }

  #forget(path: ConfigPath): void {
    if (getAt(this.extra, path) === undefined) return;
    eraseAt(this.extra, path);
    this.markForDump();
  }

  /** With the last room of a server, the server goes too. */
  #eraseShared(path: ConfigPath): void {
    this.erase(path);
    if (path[0] === COMMUNITIES && this.get(...path.slice(0, 3)) === undefined) this.erase(path.slice(0, 2));
  }
}

function pathOf(conversation: Conversation): string[] {
  if (conversation.type === 'community') {
    const { baseUrl, room } = conversation;
    return [COMMUNITIES, canonicalBaseUrl(baseUrl), ROOMS, canonicalRoom(room)];
  }
  const { key } = BY_ID[conversation.type];
  if (conversation.type !== 'blinded') return [key, idKey(conversation.id)];
  if (!/^[12]5[0-9a-f]{64}$/.test(conversation.id)) {
    throw new ConfigError('bad_value', 'a blinded id is 66 hex digits that begin with 15 or 25');
  }
  return [key, toBinary(fromHex(conversation.id))];
}

/** The entries of all kinds with their paths. */
function* entriesOf(data: ConfigDict): Generator<[ConfigPath, ConfigDict]> {
  for (const { key } of Object.values(BY_ID)) {
    for (const [id, entry] of dictEntries(data.get(key))) yield [[key, id], entry];
  }
  for (const [baseUrl, server] of dictEntries(data.get(COMMUNITIES))) {
    for (const [room, entry] of dictEntries(server.get(ROOMS))) {
      yield [[COMMUNITIES, baseUrl, ROOMS, room], entry];
    }
  }
}

function stateOf(entry: ConfigDict): ReadState {
  const tag = entry.get('g');
  return {
    lastRead: Math.max(0, numberAt(entry, 'r')),
    isMarkedUnread: numberAt(entry, 'u') !== 0,
    proExpirySeconds: Math.max(0, numberAt(entry, 'e')),
    proTag: typeof tag === 'string' && tag.length === KEY ? fromBinary(tag) : undefined,
  };
}

function writeState(entry: ConfigDict, state: Partial<ReadState>): void {
  const { lastRead, isMarkedUnread, proExpirySeconds, proTag } = state;
  const write = (key: string, value: ConfigScalar, isNeutral: boolean) => {
    if (isNeutral) entry.delete(key);
    else entry.set(key, value);
  };
  if (lastRead !== undefined) write('r', checkedScalar(lastRead), lastRead <= 0);
  if (isMarkedUnread !== undefined) write('u', 1, !isMarkedUnread);
  if (proExpirySeconds !== undefined) write('e', checkedScalar(proExpirySeconds), proExpirySeconds <= 0);
  if ('proTag' in state) write('g', proTag === undefined ? '' : toBinary(proTag), proTag === undefined);
  // Says nothing alone.
  if (entry.size === 1) entry.delete('y');
}

/** Whether an entry is not worth sharing any more. One without time is of somebody who knows better. */
function isOld(entry: ConfigDict, now: number): boolean {
  const cutOff = now - ARCHIVE_AFTER_MS;
  if (!entry.has('r') || numberAt(entry, 'u') !== 0) return false;
  return numberAt(entry, 'r') < cutOff && numberAt(entry, 'e') * 1000 < cutOff;
}

function numberAt(entry: ConfigDict, key: string): number {
  const value = entry.get(key);
  return typeof value === 'number' ? value : 0;
}
