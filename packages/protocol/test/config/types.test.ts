// SPDX-License-Identifier: MIT
// What the vectors do not show of the typed configs.
import { describe, expect, test } from 'vitest';
import { blake2b, ed25519KeyPair } from '#crypto';
import { fromHex, toBinary, utf8 } from '../../src/bytes.ts';
import { canonicalBaseUrl } from '../../src/config/community-url.ts';
import { type BlindedContact, ContactsConfig } from '../../src/config/contacts.ts';
import { type Conversation, ConvoInfoVolatileConfig } from '../../src/config/convo-info-volatile.ts';
import { ExpiryMode, idKey, truncateText } from '../../src/config/fields.ts';
import { GroupInfoConfig } from '../../src/config/group-info.ts';
import { GroupMembersConfig } from '../../src/config/group-members.ts';
import { LocalConfig } from '../../src/config/local.ts';
import { GroupRemoval, UserGroupsConfig } from '../../src/config/user-groups.ts';
import { UserProfileConfig } from '../../src/config/user-profile.ts';
import { Account } from '../../src/identity/account.ts';
import { accountIdOf } from '../../src/identity/account-id.ts';
import { groupIdOf, parseGroupId } from '../../src/identity/group-id.ts';
import { vectorsOf } from './vectors.ts';

const NOW = 1_767_225_600_000;
const SECONDS = NOW / 1000;
const DAY = 86_400_000;
const account = Account.fromSeed(new Uint8Array(16).fill(1));
const [alice, bob] = [2, 3].map((byte) => Account.fromSeed(new Uint8Array(16).fill(byte)).id) as [
  Account['id'],
  Account['id'],
];
const PICTURE = { url: 'http://files.example/1', key: new Uint8Array(32).fill(5) };
const refusal = (code: string) => expect.objectContaining({ name: 'ConfigError', code });
const pushed = (id: string) => vectorsOf('config_push').find((vector) => vector.id === id);
/** What another device of the vector's account reads. */
function received<T extends { merge: ContactsConfig['merge'] }>(
  id: string,
  make: new (account: Account) => T,
): T {
  const { seed, result } = pushed(id);
  const config = new make(Account.fromSeed(fromHex(seed)));
  expect(config.merge([{ hash: 'h', data: fromHex(result.message) }], NOW).accepted).toEqual(['h']);
  return config;
}

describe('profile', () => {
  test('stamps what a person changed, and only that', () => {
    const profile = new UserProfileConfig(account);
    expect(profile.updatedSeconds).toBe(0);
    profile.setName('Alice', SECONDS);
    expect(profile.updatedSeconds).toBe(SECONDS);
    profile.setName('Alice', SECONDS + 1);
    profile.setNoteToSelfPriority(-1);
    expect(profile.updatedSeconds).toBe(SECONDS);
    profile.setAcceptsBlindedRequests(false, SECONDS + 2);
    expect(profile.updatedSeconds).toBe(SECONDS + 2);
    expect(profile.acceptsBlindedRequests).toBe(false);
    profile.setProFeatures([1, 0], SECONDS + 3);
    profile.setProFeatures([0, 1], SECONDS + 4);
    expect([profile.proFeatures, profile.updatedSeconds]).toEqual([[0, 1], SECONDS + 3]);
  });

  test('shows the renewed picture until another one is chosen', () => {
    const profile = new UserProfileConfig(account);
    const renewed = { ...PICTURE, url: 'http://files.example/2' };
    profile.setPicture(PICTURE, SECONDS);
    profile.setRenewedPicture(renewed, SECONDS + 1);
    expect(profile.picture).toEqual(renewed);
    // Stamped where the newest stamp is, so that the renewed one stays on top.
    profile.setName('Alice', SECONDS + 2);
    expect(profile.picture).toEqual(renewed);
    profile.setPicture({ ...PICTURE, url: 'http://files.example/3' }, SECONDS + 3);
    expect(profile.picture?.url).toBe('http://files.example/3');
    profile.setPicture(undefined, SECONDS + 4);
    expect(profile.picture).toBeUndefined();
    expect(profile.get('P')).toBeUndefined();
    expect(profile.updatedSeconds).toBe(SECONDS + 4);
  });

  test('refuses names and pictures that others would not take', () => {
    const profile = new UserProfileConfig(account);
    expect(() => profile.setName('é'.repeat(51), SECONDS)).toThrow(refusal('bad_value'));
    expect(() => profile.setPicture({ ...PICTURE, key: new Uint8Array(31) }, SECONDS)).toThrow(
      refusal('bad_value'),
    );
    expect(() => profile.setPicture({ ...PICTURE, url: `http://${'x'.repeat(223)}` }, SECONDS)).toThrow(
      refusal('bad_value'),
    );
    expect(() => profile.setNoteToSelfPriority(0.5)).toThrow(refusal('bad_value'));
    expect(profile.needsPush).toBe(false);
    profile.setNameTruncated('é'.repeat(51), SECONDS);
    expect(profile.name).toBe('é'.repeat(50));
  });

  test('reads what newer clients store', () => {
    const modern = received('push-UserProfile-modern', UserProfileConfig);
    expect(modern.name).toBe('Modern');
    expect(modern.picture?.url).toBe('http://example.org/file/2');
    expect(modern.noteToSelfPriority).toBe(-1);
    const pro = received('push-UserProfile-pro', UserProfileConfig);
    expect(pro.proProof?.length).toBe(163);
    expect(pro.proExpirySeconds).toBe(1_798_761_600);
    expect(pro.refundRequestedSeconds(SECONDS)).toBe(1_767_225_000);
    expect(pro.prepaidSeconds(SECONDS + 8 * 86_400)).toBe(0);
  });
});

describe('contacts', () => {
  test('a change of one member leaves the others, also those that we do not know', () => {
    const contacts = new ContactsConfig(account);
    contacts.setContact({ id: alice, name: 'Alice', isApproved: true, picture: PICTURE });
    contacts.set(['c', idKey(alice), 'future'], 'x');
    contacts.setContact({ id: alice, nickname: 'Al', expiryMode: ExpiryMode.afterRead, expirySeconds: 60 });
    expect(contacts.contact(alice)).toMatchObject({
      name: 'Alice',
      nickname: 'Al',
      isApproved: true,
      picture: PICTURE,
      expiryMode: 2,
      expirySeconds: 60,
    });
    contacts.setContact({ id: alice, picture: undefined, expirySeconds: 0 });
    expect(contacts.contact(alice)).toMatchObject({ picture: undefined, expiryMode: 0, expirySeconds: 0 });
    expect(contacts.get('c', idKey(alice), 'future')).toBe('x');
    expect(contacts.contact(bob)).toBeUndefined();
    contacts.eraseContact(alice);
    expect([...contacts.contacts()]).toEqual([]);
    expect(contacts.get('c')).toBeUndefined();
  });

  test('writing the same again is no change', () => {
    const contacts = new ContactsConfig(account);
    contacts.setContact({ id: alice, name: 'Alice' });
    contacts.confirm(contacts.push(NOW).seqno, ['h']);
    contacts.setContact({ id: alice, name: 'Alice', nickname: '', isBlocked: false, proFeatures: [] });
    expect(contacts.needsPush).toBe(false);
  });

  test('thousands are stored in parts and restored', () => {
    const contacts = new ContactsConfig(account);
    const ids = Array.from({ length: 1500 }, (_, i) => accountIdOf(blake2b(utf8(`${i}`), 32)));
    for (const [i, id] of ids.entries()) {
      contacts.setContact({
        id,
        name: `Person ${i}`,
        picture: { ...PICTURE, key: blake2b(utf8(`p${i}`), 32) },
      });
    }
    const { messages } = contacts.push(NOW);
    expect(messages.length).toBeGreaterThan(1);
    const other = new ContactsConfig(account);
    other.merge(messages.map((data, i) => ({ hash: `${i}`, data })).reverse(), NOW);
    expect([...other.contacts()]).toEqual([...contacts.contacts()]);
    expect(other.size).toBe(1500);
    expect(other.push(NOW).messages).toEqual(messages);
  });

  test('blinded contacts come and go with their server', () => {
    const contacts = new ContactsConfig(account);
    const blinded = {
      id: `15${'ab'.repeat(32)}`,
      baseUrl: 'https://open.example.org',
      serverKey: new Uint8Array(32).fill(9),
    };
    contacts.setBlindedContact({ ...blinded, name: 'B', createdSeconds: SECONDS });
    contacts.setBlindedContact({ ...blinded, priority: 1 });
    expect([...contacts.blindedContacts()]).toEqual<BlindedContact[]>([
      {
        ...blinded,
        name: 'B',
        picture: undefined,
        profileUpdatedSeconds: 0,
        priority: 1,
        createdSeconds: SECONDS,
        proFeatures: [],
      },
    ]);
    contacts.eraseBlindedContact(blinded);
    expect(contacts.get('b')).toBeUndefined();
    expect(() => contacts.setBlindedContact({ ...blinded, id: alice })).toThrow(refusal('bad_value'));
  });

  test('reads what newer clients store', () => {
    const contacts = received('push-Contacts-modern', ContactsConfig);
    expect([...contacts.contacts()]).toMatchObject([
      { name: 'Pro friend', profileUpdatedSeconds: 1_767_225_600, proFeatures: [0, 1] },
    ]);
  });
});

describe('read state', () => {
  const room: Conversation = {
    type: 'community',
    baseUrl: 'HTTPS://Open.Example.org:443',
    room: 'Lounge',
    serverKey: new Uint8Array(32).fill(8),
  };
  const chat: Conversation = { type: 'account', id: alice };
  const group: Conversation = { type: 'group', id: groupIdOf(new Uint8Array(32).fill(4)) };
  const blinded: Conversation = { type: 'blinded', id: `15${'cd'.repeat(32)}` };

  test('of each kind of conversation', () => {
    const state = new ConvoInfoVolatileConfig(account);
    for (const [i, conversation] of [chat, group, room, blinded].entries()) {
      state.setReadState(conversation, { lastRead: NOW + i }, NOW);
      expect(state.readState(conversation)?.lastRead).toBe(NOW + i);
    }
    expect([...state.conversations()].map(({ type, lastRead }) => [type, lastRead - NOW])).toEqual([
      ['account', 0],
      ['blinded', 3],
      ['group', 1],
      ['community', 2],
    ]);
    for (const conversation of [chat, group, room, blinded]) {
      state.setReadState(conversation, { lastRead: 0, isMarkedUnread: true }, NOW);
      expect(state.readState(conversation)).toMatchObject({ lastRead: 0, isMarkedUnread: true });
      state.setReadState(conversation, { isMarkedUnread: false }, NOW);
      expect(state.readState(conversation)).toBeUndefined();
    }
    expect(['1', 'g', 'o', 'b'].map((key) => state.get(key))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('what is old is kept on the device alone, and shared again when it is news', () => {
    const state = new ConvoInfoVolatileConfig(account);
    state.setReadState(chat, { lastRead: NOW }, NOW);
    state.setReadState(room, { lastRead: NOW }, NOW);
    state.setReadState(group, { lastRead: NOW, isMarkedUnread: true }, NOW);
    const later = NOW + 31 * DAY;
    expect(state.push(later).seqno).toBe(1);
    expect([...state.conversations()].map(({ type }) => type)).toEqual(['group']);
    expect(state.readState(room)?.lastRead).toBe(NOW);
    const reloaded = new ConvoInfoVolatileConfig(account, state.dump(later));
    expect(reloaded.readState(chat)?.lastRead).toBe(NOW);
    reloaded.setReadState(chat, { lastRead: later }, later);
    expect([...reloaded.conversations()].map(({ type }) => type)).toEqual(['account', 'group']);
    reloaded.eraseReadState(chat);
    expect(reloaded.readState(chat)).toBeUndefined();
    // Old from the start: nothing to share.
    reloaded.confirm(reloaded.push(later).seqno, ['h']);
    reloaded.setReadState({ type: 'account', id: bob }, { lastRead: NOW }, later);
    expect(reloaded.needsPush).toBe(false);
    expect(reloaded.readState({ type: 'account', id: bob })?.lastRead).toBe(NOW);
  });

  test('what another device archived is known here too', () => {
    const [one, two] = [new ConvoInfoVolatileConfig(account), new ConvoInfoVolatileConfig(account)];
    one.setReadState(chat, { lastRead: NOW }, NOW);
    one.setReadState(room, { lastRead: NOW }, NOW);
    const first = one.push(NOW);
    one.confirm(first.seqno, ['h1']);
    const later = NOW + 31 * DAY;
    two.merge([{ hash: 'h1', data: first.messages[0]! }], later);
    // A version that is not changed is not archived either: it is stored again as it is.
    expect(two.needsPush).toBe(false);
    expect(two.push(later)).toMatchObject({ seqno: first.seqno, messages: first.messages });
    one.setReadState(group, { lastRead: later }, later);
    two.merge([{ hash: 'h2', data: one.push(later).messages[0]! }], later);
    expect([...two.conversations()].map(({ type }) => type)).toEqual(['group']);
    expect([two.readState(chat)?.lastRead, two.readState(room)?.lastRead]).toEqual([NOW, NOW]);
    expect(two.needsPush).toBe(false);
  });

  test('reads what newer clients store', () => {
    const state = received('push-ConvoInfoVolatile-modern', ConvoInfoVolatileConfig);
    expect([...state.conversations()]).toMatchObject([
      {
        type: 'account',
        lastRead: 1_767_225_600_123,
        proExpirySeconds: 1_798_761_600,
        proTag: new Uint8Array(32).fill(0x77),
      },
      { type: 'blinded', lastRead: 1_767_225_600_999 },
    ]);
    const older = received('push-ConvoInfoVolatile', ConvoInfoVolatileConfig);
    expect([...older.conversations()]).toMatchObject([
      { type: 'account' },
      { type: 'group', isMarkedUnread: true, lastRead: 0 },
      { type: 'community', baseUrl: 'http://example.org:5678', room: 'room_a' },
    ]);
  });
});

describe('groups', () => {
  const seed = new Uint8Array(32).fill(6);
  const id = groupIdOf(ed25519KeyPair(seed).publicKey);
  const authData = new Uint8Array(100).fill(1);

  test('kicked, invited again, destroyed', () => {
    const groups = new UserGroupsConfig(account);
    groups.setGroup({ id, name: 'Club', authData, isInvited: true, joinedSeconds: SECONDS });
    expect(groups.group(id)).toMatchObject({ name: 'Club', authData, seed: undefined, isInvited: true });
    groups.markKicked(id);
    expect(groups.group(id)).toMatchObject({ authData: undefined, removal: GroupRemoval.kicked });
    groups.markInvited(id);
    expect(groups.group(id)?.removal).toBe(GroupRemoval.none);
    groups.setGroup({ id, seed });
    expect(groups.group(id)?.seed).toEqual(seed);
    groups.markDestroyed(id);
    groups.markInvited(id);
    expect(groups.group(id)).toMatchObject({ seed: undefined, removal: GroupRemoval.destroyed });
    groups.eraseGroup(id);
    expect(groups.group(id)).toBeUndefined();
  });

  test('refuses what is no authorisation, name or address', () => {
    const groups = new UserGroupsConfig(account);
    expect(() => groups.setGroup({ id, authData: new Uint8Array(99) })).toThrow(refusal('bad_value'));
    expect(() => groups.setGroup({ id, name: 'x'.repeat(101) })).toThrow(refusal('bad_value'));
    const community = { baseUrl: 'https://example.org', room: 'r', serverKey: new Uint8Array(32) };
    expect(() => groups.setCommunity({ ...community, room: 'r!' })).toThrow(
      expect.objectContaining({ name: 'ParseError', code: 'config' }),
    );
    expect(() => groups.setCommunity({ ...community, serverKey: new Uint8Array(3) })).toThrow(
      refusal('bad_value'),
    );
    expect(groups.needsPush).toBe(false);
    expect(() => parseGroupId(alice)).toThrow(expect.objectContaining({ code: 'account_id' }));
  });

  test('the last room takes its server along', () => {
    const groups = new UserGroupsConfig(account);
    const server = { baseUrl: 'https://example.org:443/', serverKey: new Uint8Array(32).fill(1) };
    groups.setCommunity({ ...server, room: 'One' });
    groups.setCommunity({ ...server, room: 'Two', priority: 1 });
    expect(groups.community('https://example.org', 'ONE')?.room).toBe('One');
    groups.eraseCommunity(server.baseUrl, 'one');
    expect([...groups.communities()].map(({ room }) => room)).toEqual(['Two']);
    groups.eraseCommunity(server.baseUrl, 'two');
    expect(groups.get('o')).toBeUndefined();
  });

  test('an address that is too long is refused', () => {
    expect(() => canonicalBaseUrl(`https://${'a'.repeat(260)}.b`)).toThrow(
      expect.objectContaining({ code: 'config' }),
    );
    expect(canonicalBaseUrl('http://a.bc:080/')).toBe('http://a.bc');
  });

  test('legacy groups can be pinned and deleted, nothing else', () => {
    const groups = new UserGroupsConfig(account);
    groups.setLegacyGroupPriority(alice, 1);
    expect(groups.needsPush).toBe(false);
    groups.set(['C', idKey(alice), 'n'], 'old');
    groups.setLegacyGroupPriority(alice, 1);
    expect([...groups.legacyGroups()]).toMatchObject([{ id: alice, name: 'old', priority: 1 }]);
    groups.eraseLegacyGroup(alice);
    expect([...groups.legacyGroups()]).toEqual([]);
  });

  test('a seed of another group opens no config', () => {
    const options = { groupId: groupIdOf(new Uint8Array(32).fill(1)), keys: [seed], seed };
    expect(() => new GroupInfoConfig(options)).toThrow(refusal('bad_value'));
  });

  test('members go, and are not pending any more', () => {
    const members = new GroupMembersConfig({ groupId: id, keys: [seed], seed });
    members.setMember({ id: alice, name: 'Alice', picture: PICTURE });
    expect(members.member(alice)?.status).toBe('invite_sending');
    members.eraseMember(alice);
    expect(members.member(alice)).toBeUndefined();
    members.setMember({ id: alice, invite: 1 });
    expect(members.member(alice)?.status).toBe('invite_sent');
  });

  test('a group is destroyed for all', () => {
    const info = new GroupInfoConfig({ groupId: id, keys: [seed], seed });
    info.destroy();
    const member = new GroupInfoConfig({ groupId: id, keys: [seed] });
    member.merge([{ hash: 'h', data: info.push(NOW).messages[0]! }], NOW);
    expect(member.isDestroyed).toBe(true);
    expect(() => info.setDescription('x'.repeat(601))).toThrow(refusal('bad_value'));
  });
});

test('settings of a device are dumped and never pushed', () => {
  const local = new LocalConfig(account);
  local.setSwitch('notification-preview', false);
  local.setText('thème', 'dark');
  expect(local.needsPush).toBe(false);
  expect(() => local.push()).toThrow(refusal('read_only'));
  const again = new LocalConfig(account, local.dump(NOW));
  expect([again.switch('notification-preview'), again.switch('other'), again.text('thème')]).toEqual([
    false,
    undefined,
    'dark',
  ]);
});

test('names that are no UTF-8 are shown, not thrown', () => {
  const contacts = new ContactsConfig(account);
  contacts.set(['c', idKey(alice), 'n'], toBinary(Uint8Array.of(0x41, 0xff)));
  expect(contacts.contact(alice)?.name).toBe('A\ufffd');
  expect(truncateText('abc€', 5)).toBe('abc');
  expect(utf8(truncateText('€'.repeat(40), 100)).length).toBe(99);
});
