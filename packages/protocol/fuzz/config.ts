// SPDX-License-Identifier: MIT
// Fuzz targets: what an account reads of the configs on its swarm, which anybody with its phrase may have written, and
// what other people hand over as addresses of communities. A target throws on a bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { equal, fromUtf8, utf8 } from '../src/bytes.ts';
import { canonicalRoom, communityUrl, parseCommunityUrl } from '../src/config/community-url.ts';
import { Config } from '../src/config/config.ts';
import { ContactsConfig } from '../src/config/contacts.ts';
import { ConvoInfoVolatileConfig } from '../src/config/convo-info-volatile.ts';
import { encryptConfig, padConfig } from '../src/config/encryption.ts';
import { mergeMessages } from '../src/config/merge.ts';
import { parseMessage, serializeVersion } from '../src/config/message.ts';
import { parsePiece, splitConfig } from '../src/config/multipart.ts';
import { configKeyOf } from '../src/config/user-config.ts';
import { UserGroupsConfig } from '../src/config/user-groups.ts';
import { UserProfileConfig } from '../src/config/user-profile.ts';
import { wrapConfig } from '../src/config/wrapper.ts';
import { ParseError } from '../src/errors.ts';
import { Account } from '../src/identity/account.ts';
import { groupIdOf } from '../src/identity/group-id.ts';
import { zstdCompress, zstdDecompress } from '../src/zstd/node.ts';

const NOW = 1_767_225_600_000;
const ACCOUNT = Account.fromSeed(new Uint8Array(16).fill(1));
const OTHER = Account.fromSeed(new Uint8Array(16).fill(2)).id;
const KEY = configKeyOf(ACCOUNT);
const PICTURE = { url: 'http://files.example/1', key: new Uint8Array(32).fill(5) };
const LIMIT = 100_000;

/** A dump, in which the plaintext can be found by the fuzzer, and what is stored. */
function made(): { dumps: Uint8Array[]; stored: Uint8Array[] } {
  const profile = new UserProfileConfig(ACCOUNT);
  profile.setName('Alice', NOW / 1000);
  profile.setPicture(PICTURE, NOW / 1000);
  const contacts = new ContactsConfig(ACCOUNT);
  contacts.setContact({
    id: OTHER,
    name: 'Bob',
    picture: PICTURE,
    expiryMode: 1,
    expirySeconds: 60,
    proFeatures: [0, 1],
  });
  contacts.setBlindedContact({
    id: `15${'ab'.repeat(32)}`,
    baseUrl: 'https://a.example',
    serverKey: PICTURE.key,
  });
  const read = new ConvoInfoVolatileConfig(ACCOUNT);
  read.setReadState({ type: 'account', id: OTHER }, { lastRead: NOW }, NOW);
  read.setReadState(
    { type: 'community', baseUrl: 'https://a.example', room: 'r', serverKey: PICTURE.key },
    { lastRead: NOW },
    NOW,
  );
  const groups = new UserGroupsConfig(ACCOUNT);
  groups.setGroup({ id: groupIdOf(PICTURE.key), name: 'Club', authData: new Uint8Array(100) });
  groups.setCommunity({ baseUrl: 'https://a.example', room: 'r', serverKey: PICTURE.key });
  const configs = [profile, contacts, read, groups];
  for (const config of configs) {
    config.confirm(config.push(NOW).seqno, ['h']);
    config.set(['x'], 1);
  }
  const dumps = configs.map((config) => config.dump(NOW));
  return { dumps, stored: configs.map((config) => config.push(NOW).messages[0] as Uint8Array) };
}

const { dumps: DUMPS, stored: STORED } = made();
const PLAINTEXTS = [
  'd1:#i0e1:&de1:<le1:=dee',
  'd1:#i3e1:&d1:ai1e1:bd1:cli1ei2e1:xeee1:<lli2e32:hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhd1:a0:eee1:=d1:bd1:clli2eelee1:d1:-eee',
  `d1:#i1e1:%1:x1:&de1:;i5e1:<le1:=de1:~64:${'s'.repeat(64)}e`,
].map(utf8);

/** Runs `read`; a refusal is undefined. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** All that the typed configs read, of any data. */
function readTypes(dump: Uint8Array): void {
  const profile = new UserProfileConfig(ACCOUNT, dump);
  void [
    profile.name,
    profile.picture,
    profile.proFeatures,
    profile.proExpirySeconds,
    profile.acceptsBlindedRequests,
  ];
  const contacts = new ContactsConfig(ACCOUNT, dump);
  for (const { id } of contacts.contacts()) contacts.setContact({ id, nickname: 'n' });
  for (const contact of contacts.blindedContacts())
    contacts.setBlindedContact({ ...contact, picture: undefined });
  const read = new ConvoInfoVolatileConfig(ACCOUNT, dump);
  for (const conversation of [...read.conversations()]) {
    if (conversation.type !== 'community') read.setReadState(conversation, { lastRead: NOW }, NOW);
  }
  const groups = new UserGroupsConfig(ACCOUNT, dump);
  for (const { id } of [...groups.groups()]) groups.markKicked(id);
  for (const { baseUrl, room } of [...groups.communities()]) groups.eraseCommunity(baseUrl, room);
  void [...groups.legacyGroups()];
  for (const config of [profile, contacts, read, groups]) config.dump(NOW);
}

export const targets: Record<string, FuzzTarget> = {
  configMessage: {
    seeds: PLAINTEXTS,
    run(input) {
      const message = attempt(() => parseMessage(input));
      if (message === undefined) return;
      const again = serializeVersion(message);
      const reread = parseMessage(again.plaintext);
      assert(equal(serializeVersion(reread).plaintext, again.plaintext), 'the written form is not stable');
      const twin = mergeMessages([message, reread], true);
      if (twin.kind === 'adopted') return;
      serializeVersion({ ...twin, unknown: new Map(), diff: new Map() });
    },
  },
  /** A version that somebody with our phrase stored, merged into ours, edited, stored, dumped and loaded. */
  configMerge: {
    seeds: PLAINTEXTS,
    run(input) {
      const config = new Config({ domain: 'Fuzz', keys: [KEY] });
      config.set(['a'], 'mine');
      config.set(['b', 'c'], new Set([1]));
      const data = encryptConfig(padConfig(input), KEY, 'Fuzz');
      config.merge([{ hash: 'h', data }], NOW);
      config.set(['b', 'd'], 2);
      const { messages } = config.push(NOW);
      const loaded = new Config({ domain: 'Fuzz', keys: [KEY], dump: config.dump(NOW) });
      assert(loaded.get('b', 'd') === 2, 'an edit was lost');
      const other = new Config({ domain: 'Fuzz', keys: [KEY] });
      const { refused } = other.merge([{ hash: 'p', data: messages[0] as Uint8Array }], NOW);
      assert(refused.length === 0, 'we refuse what we made');
    },
  },
  configDump: {
    seeds: DUMPS,
    run(input) {
      attempt(() => readTypes(input));
    },
  },
  /** As it lies on the swarm. */
  configStored: {
    seeds: STORED,
    run(input) {
      const config = new UserProfileConfig(ACCOUNT);
      const { accepted } = config.merge([{ hash: 'h', data: input }], NOW);
      assert(accepted.length === 0 || config.seqno === 2, 'a changed ciphertext was opened');
    },
  },
  configWrapped: {
    seeds: [STORED[0] as Uint8Array],
    run(input) {
      const config = new UserProfileConfig(ACCOUNT);
      config.merge([{ hash: 'h', data: wrapConfig(input, 1, 1, ACCOUNT) }], NOW);
    },
  },
  configPiece: {
    seeds: splitConfig(new Uint8Array(80_000)).pieces.slice(1),
    run(input) {
      const piece = attempt(() => parsePiece(input));
      assert(piece === undefined || piece.index < piece.count, 'an index beyond the count');
    },
  },
  zstd: {
    seeds: [
      zstdCompress(utf8('the same words, the same words and the same words')),
      zstdCompress(new Uint8Array(5000)),
    ],
    run(input) {
      const content = zstdDecompress(input, LIMIT);
      assert(content === undefined || content.length <= LIMIT, 'more output than allowed');
    },
  },
  communityUrl: {
    seeds: [utf8(communityUrl('https://a.example:5000', 'Room', PICTURE.key)), utf8('http://a.bc/r/x')],
    run(input) {
      const parsed = attempt(() => parseCommunityUrl(fromUtf8(input)));
      const room = parsed && attempt(() => canonicalRoom(parsed.room));
      if (parsed?.serverKey === undefined || room === undefined) return;
      const again = parseCommunityUrl(communityUrl(parsed.baseUrl, room, parsed.serverKey));
      assert(again.baseUrl === parsed.baseUrl && again.room === room, 'another address');
    },
  },
};
