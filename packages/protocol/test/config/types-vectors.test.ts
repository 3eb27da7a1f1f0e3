// SPDX-License-Identifier: MIT
// The typed configs, held against what the reference library wrote and read.
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toBinary, toHex } from '../../src/bytes.ts';
import { canonicalRoom, communityUrl, parseCommunityUrl } from '../../src/config/community-url.ts';
import type { Config } from '../../src/config/config.ts';
import { type Contact, ContactsConfig } from '../../src/config/contacts.ts';
import { writeDump } from '../../src/config/dump.ts';
import { idKey, type Picture, truncateUtf8 } from '../../src/config/fields.ts';
import { GroupInfoConfig } from '../../src/config/group-info.ts';
import { Delivery, type GroupMember, GroupMembersConfig } from '../../src/config/group-members.ts';
import { serializeVersion } from '../../src/config/message.ts';
import { GroupRemoval, UserGroupsConfig } from '../../src/config/user-groups.ts';
import { UserProfileConfig } from '../../src/config/user-profile.ts';
import { ParseError } from '../../src/errors.ts';
import { Account } from '../../src/identity/account.ts';
import { parseAccountId } from '../../src/identity/account-id.ts';
import { groupIdOf, parseGroupId } from '../../src/identity/group-id.ts';
import { dictOf, vectorsOf } from './vectors.ts';

// biome-ignore lint/suspicious/noExplicitAny: the vectors' own notation, which differs from kind to kind
type Notation = any;

const NOW = 1_767_225_600_000;

const picture = ({ pic_url, pic_key }: Notation): Picture => ({ url: pic_url, key: fromHex(pic_key) });
const pictureText = (value: Picture | undefined) => {
  return { pic_url: value?.url ?? '', pic_key: value === undefined ? '' : toHex(value.key) };
};
const of = (kind: string, type: string): Notation[] =>
  vectorsOf(kind as 'typed_write').filter(({ config_type }) => config_type === type);

/** A dump of a config that holds this tree. */
function dumpOf(tree: Notation): Uint8Array {
  const data = dictOf(tree);
  const { plaintext } = serializeVersion({
    seqno: 1,
    data,
    history: [],
    unknown: new Map(),
    diff: new Map(),
  });
  return writeDump({ state: 0, plaintext, current: [], old: [], pieces: new Map(), extra: new Map() });
}

/** What is stored is the reference's: the data, and the bytes where compression leaves them alone. */
function expectStored(config: Config, { result }: Notation): void {
  for (const [key, value] of dictOf(result.tree)) expect(config.get(key)).toEqual(value);
  const dumped = toBinary(config.dump(NOW));
  expect(dumped).toContain(toBinary(fromHex(result.plaintext)).slice(0, -1));
  const pushed = config.push(NOW);
  expect(pushed.seqno).toBe(result.seqno);
  if (!result.compressed) expect(toHex(pushed.messages[0]!)).toBe(result.message);
}

describe('contacts', () => {
  const written = (call: Notation): Partial<Contact> & Pick<Contact, 'id'> => ({
    id: parseAccountId(call.session_id),
    name: call.name,
    ...(call.nickname !== undefined && { nickname: call.nickname }),
    ...(call.pic_url !== undefined && { picture: picture(call) }),
    ...(call.approved !== undefined && { isApproved: call.approved }),
    ...(call.approved_me !== undefined && { hasApprovedMe: call.approved_me }),
    ...(call.blocked !== undefined && { isBlocked: call.blocked }),
    ...(call.priority !== undefined && { priority: call.priority }),
    ...(call.notifications !== undefined && { notifications: call.notifications }),
    ...(call.mute_until !== undefined && { mutedUntilSeconds: call.mute_until }),
    ...(call.exp_mode !== undefined && { expiryMode: call.exp_mode }),
    ...(call.exp_timer !== undefined && { expirySeconds: call.exp_timer }),
    ...(call.created !== undefined && { createdSeconds: call.created }),
  });
  const read = (contact: Contact) => ({
    session_id: contact.id,
    name: contact.name,
    nickname: contact.nickname,
    ...pictureText(contact.picture),
    approved: contact.isApproved,
    approved_me: contact.hasApprovedMe,
    blocked: contact.isBlocked,
    priority: contact.priority,
    notifications: contact.notifications,
    mute_until: contact.mutedUntilSeconds,
    exp_mode: contact.expiryMode,
    exp_timer: contact.expirySeconds,
    created: contact.createdSeconds,
  });

  test.each(of('typed_write', 'Contacts'))('$id', (vector: Notation) => {
    const contacts = new ContactsConfig(Account.fromSeed(fromHex(vector.seed)));
    for (const call of vector.set_calls) contacts.setContact(written(call));
    expect([...contacts.contacts()].map(read)).toEqual(vector.result.read_back);
    expectStored(contacts, vector);
  });

  test.each(of('typed_read', 'Contacts'))('$id', (vector: Notation) => {
    const contacts = new ContactsConfig(Account.create(), dumpOf(vector.tree));
    expect([...contacts.contacts()].map(read)).toEqual(vector.read);
    expect(contacts.size).toBe(vector.size);
  });
});

test.each(of('typed_write', 'UserProfile'))('profile: $id', (vector: Notation) => {
  const profile = new UserProfileConfig(Account.fromSeed(fromHex(vector.seed)));
  for (const call of vector.set_calls) {
    // The vectors are of a version that did not stamp changes: 0 leaves no stamp.
    profile.setNameTruncated(call.name, 0);
    if (call.pic_url !== undefined) profile.setPicture(picture(call), 0);
    profile.setNoteToSelfPriority(call.nts_priority);
    if (call.nts_expiry !== undefined) profile.setNoteToSelfExpiry(call.nts_expiry);
    profile.setAcceptsBlindedRequests(call.blinded_msgreqs, 0);
  }
  expectStored(profile, vector);
});

describe('groups', () => {
  function write(groups: UserGroupsConfig, call: Notation): void {
    const settings = {
      ...(call.priority !== undefined && { priority: call.priority }),
      ...(call.joined_at !== undefined && { joinedSeconds: call.joined_at }),
      ...(call.notifications !== undefined && { notifications: call.notifications }),
      ...(call.mute_until !== undefined && { mutedUntilSeconds: call.mute_until }),
      ...(call.invited !== undefined && { isInvited: call.invited }),
    };
    if (call.type === 'group') {
      const id = parseGroupId(call.id);
      groups.setGroup({
        id,
        ...(call.seed !== undefined && { seed: fromHex(call.seed) }),
        ...(call.auth_data !== undefined && { authData: fromHex(call.auth_data) }),
        ...(call.name !== undefined && { name: call.name }),
        ...settings,
      });
      if (call.action === 'mark_kicked') groups.markKicked(id);
      else if (call.action === 'mark_destroyed') groups.markDestroyed(id);
      else expect(call.action).toBeUndefined();
    } else if (call.type === 'community') {
      const { baseUrl, room, serverKey } = parseCommunityUrl(call.url);
      groups.setCommunity({ baseUrl, room, serverKey: serverKey!, ...settings });
    } else {
      // We never write these: as an older client would.
      const ids = (isAdmin: boolean) =>
        new Set(
          call.members.flatMap(([id, is]: [string, boolean]) =>
            is === isAdmin ? [idKey(parseAccountId(id))] : [],
          ),
        );
      const fields = new Map<string, string | number | Set<string>>([
        ['n', call.name],
        ['k', toBinary(fromHex(call.enc_pubkey))],
        ['K', toBinary(fromHex(call.enc_seckey))],
        ['E', call.disappearing_timer],
        ['j', call.joined_at],
        ['a', ids(true) as Set<string>],
        ['m', ids(false) as Set<string>],
      ]);
      for (const [key, value] of fields) groups.set(['C', idKey(parseAccountId(call.id)), key], value);
    }
  }

  function read(groups: UserGroupsConfig): Notation[] {
    const settings = (entry: Notation) => ({
      priority: entry.priority,
      joined_at: entry.joinedSeconds,
      notifications: entry.notifications,
      mute_until: entry.mutedUntilSeconds,
      invited: entry.isInvited,
    });
    return [
      ...[...groups.groups()].map((group) => ({
        group: {
          ...settings(group),
          name: group.name,
          id: group.id,
          secretkey: group.seed === undefined ? '' : toHex(group.seed) + group.id.slice(2),
          auth_data: group.authData === undefined ? '' : toHex(group.authData),
          removed_status: group.removal,
        },
      })),
      ...[...groups.communities()].map((community) => ({
        community: {
          ...settings(community),
          base_url: community.baseUrl,
          room: community.room,
          room_norm: canonicalRoom(community.room),
          pubkey: toHex(community.serverKey),
          full_url: communityUrl(community.baseUrl, community.room, community.serverKey),
        },
      })),
      ...[...groups.legacyGroups()].map((legacy) => ({
        legacy: {
          ...settings(legacy),
          name: legacy.name,
          id: legacy.id,
          disappearing_timer: legacy.expirySeconds,
          members: Object.fromEntries([
            ...legacy.members.map((id) => [id, false]),
            ...legacy.admins.map((id) => [id, true]),
          ]),
        },
      })),
    ];
  }

  /** The keys of legacy groups are nothing that we read. */
  const expected = (entries: Notation[]) =>
    entries.map(({ legacy, ...other }) => {
      if (legacy === undefined) return other;
      const { enc_pubkey: _, enc_seckey: __, ...rest } = legacy;
      return { legacy: rest };
    });

  test.each(of('typed_write', 'UserGroups'))('$id', (vector: Notation) => {
    const groups = new UserGroupsConfig(Account.fromSeed(fromHex(vector.seed)));
    for (const call of vector.set_calls) write(groups, call);
    expect(read(groups)).toEqual(expected(vector.result.read_back));
    expectStored(groups, vector);
  });

  test.each(of('typed_read', 'UserGroups'))('$id', (vector: Notation) => {
    const groups = new UserGroupsConfig(Account.create(), dumpOf(vector.tree));
    expect(read(groups)).toEqual(expected(vector.read));
    expect([...groups.groups()][1]?.removal).toBe(GroupRemoval.kicked);
  });
});

test.each(of('typed_write', 'GroupInfo'))('group info: $id', (vector: Notation) => {
  const groupId = groupIdOf(fromHex(vector.group_pubkey));
  const keys = [fromHex(vector.group_enc_key)];
  const info = new GroupInfoConfig({ groupId, keys, seed: fromHex(vector.group_seed) });
  const [call] = vector.set_calls;
  info.setName(call.name);
  info.setDescription(call.description);
  info.setPicture(picture(call));
  info.setCreated(call.created);
  info.setDeleteBefore(call.delete_before);
  info.setDeleteAttachmentsBefore(call.delete_attach_before);
  info.setExpiry(call.expiry);
  expectStored(info, vector);

  const member = new GroupInfoConfig({ groupId, keys });
  member.merge([{ hash: 'h', data: fromHex(vector.result.message) }], NOW);
  expect(member.name).toBe(call.name);
  expect(member.deleteBeforeSeconds).toBe(1_682_656_059);
  expect(() => member.setName('mine')).toThrow(expect.objectContaining({ code: 'read_only' }));
  expect(toHex(member.push(NOW).messages[0]!)).toBe(vector.result.message);
});

test.each(of('typed_write', 'GroupMembers'))('group members: $id', (vector: Notation) => {
  const groupId = groupIdOf(fromHex(vector.group_pubkey));
  const keys = [fromHex(vector.group_enc_key)];
  const members = new GroupMembersConfig({ groupId, keys, seed: fromHex(vector.group_seed) });
  for (const call of vector.set_calls) {
    const id = parseAccountId(call.session_id);
    members.setMember({
      id,
      name: call.name,
      ...(call.supplement !== undefined && { sharesHistory: call.supplement }),
      ...(call.pic_url !== undefined && { picture: picture(call) }),
    });
    for (const action of call.actions as string[]) {
      const [name, value] = action.split('=');
      if (name === 'set_invite_sent') members.setInvite(id, Delivery.sent);
      else if (name === 'set_invite_failed') members.setInvite(id, Delivery.failed);
      else if (name === 'set_invite_accepted') members.setInvite(id, Delivery.done);
      else if (name === 'set_promoted') members.setPromotion(id, Delivery.notSent);
      else if (name === 'set_promotion_sent') members.setPromotion(id, Delivery.sent);
      else if (name === 'set_promotion_failed') members.setPromotion(id, Delivery.failed);
      else if (name === 'set_promotion_accepted') members.setPromotion(id, Delivery.done);
      else if (name === 'set_removed') members.removeMember(id, false);
      else if (name === 'set_removed_messages') members.removeMember(id, true);
      else if (name === 'invite_status') members.setInvite(id, Number(value));
      else if (name === 'promotion_status') members.setPromotion(id, Number(value));
      else throw new Error(`no action is named ${action}`);
    }
  }
  const read = (member: GroupMember) => ({
    session_id: member.id,
    name: member.name,
    ...pictureText(member.picture),
    admin: member.isAdmin,
    supplement: member.sharesHistory,
    invite_status: member.invite,
    promotion_status: member.promotion,
    removed_status: member.removal,
    status: member.status,
  });
  const expected = (entries: Notation[]) => entries.map(({ status_code: _, ...entry }) => entry);
  expect([...members.members()].map(read)).toEqual(expected(vector.result.read_back_same_client));
  const reloaded = new GroupMembersConfig({ groupId, keys, dump: members.dump(NOW) });
  expect([...reloaded.members()].map(read)).toEqual(expected(vector.result.read_back_same_client));
  expectStored(members, vector);
  const other = new GroupMembersConfig({ groupId, keys });
  other.merge([{ hash: 'h', data: fromHex(vector.result.message) }], NOW);
  expect([...other.members()].map(read)).toEqual(expected(vector.result.read_back_other_client));
});

describe('addresses of communities', () => {
  test.each(vectorsOf('community_url').flatMap(({ cases }) => cases))('$url', (one) => {
    if (one.partial === null) {
      expect(() => parseCommunityUrl(one.url)).toThrow(ParseError);
      expect(one.full).toBeNull();
      return;
    }
    const { baseUrl, room, serverKey } = parseCommunityUrl(one.url);
    const key = serverKey && { pubkey: toHex(serverKey) };
    expect({ base_url: baseUrl, room_token: room, ...key }).toEqual(one.partial);
    if (one.full === null) expect(serverKey).toBeUndefined();
    else expect(one.full).toEqual(one.partial);
    if (one.canonical_room === undefined) return;
    if (one.canonical_room === null) expect(() => canonicalRoom(room)).toThrow(ParseError);
    else {
      expect(canonicalRoom(room)).toBe(one.canonical_room);
      expect(communityUrl(baseUrl, room, serverKey!)).toBe(one.rebuilt);
    }
  });
});

test.each(vectorsOf('utf8_truncate').flatMap(({ cases }) => cases))('$input cut to $limit bytes', (one) => {
  const bytes = concat(fromHex(one.input));
  expect(toHex(truncateUtf8(bytes, one.limit))).toBe(one.output);
});
