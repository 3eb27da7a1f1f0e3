// SPDX-License-Identifier: MIT
// Any content that can be sent.
import fc from 'fast-check';
import type { AttachmentPointer, Content } from '../../src/message/content.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const time = fc.maxSafeNat();
const u32 = fc.nat(0xffffffff);
const u64 = fc.bigInt(0n, 2n ** 64n - 1n);

/** Members that are not required may be absent; lists that are there are not empty. */
function message<T extends object, Required extends keyof T>(
  members: { [Name in keyof T]-?: fc.Arbitrary<NonNullable<T[Name]>> },
  required: Required[],
): fc.Arbitrary<T> {
  return fc.record(members, { requiredKeys: required }) as unknown as fc.Arbitrary<T>;
}

function list<T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(item, { minLength: 1, maxLength: 3 });
}

const attachment = message<AttachmentPointer, 'id'>(
  {
    id: u64,
    contentType: text,
    key: bytes,
    size: u32,
    digest: bytes,
    fileName: text,
    flags: u32,
    width: u32,
    height: u32,
    caption: text,
    url: text,
    durationMs: u32,
    wholeSize: u32,
    wholeContentType: text,
  },
  ['id'],
);
const profile = message({ displayName: text, profilePicture: text, lastUpdateSeconds: time }, []);
const groupUpdate = message<NonNullable<NonNullable<Content['dataMessage']>['groupUpdateMessage']>, never>(
  {
    inviteMessage: message(
      { groupSessionId: text, name: text, memberAuthData: bytes, adminSignature: bytes },
      ['groupSessionId', 'name', 'memberAuthData', 'adminSignature'],
    ),
    infoChangeMessage: message(
      {
        type: fc.constantFrom(1 as const, 2 as const, 3 as const),
        updatedName: text,
        updatedExpiration: u32,
        adminSignature: bytes,
      },
      ['type', 'adminSignature'],
    ),
    memberChangeMessage: message(
      {
        type: fc.constantFrom(1 as const, 2 as const, 3 as const),
        memberSessionIds: list(text),
        historyShared: fc.boolean(),
        adminSignature: bytes,
      },
      ['type', 'adminSignature'],
    ),
    promoteMessage: message({ groupIdentitySeed: bytes, name: text }, ['groupIdentitySeed', 'name']),
    memberLeftMessage: fc.constant({}),
    inviteResponse: fc.record({ isApproved: fc.boolean() }),
    deleteMemberContent: message(
      { memberSessionIds: list(text), messageHashes: list(text), adminSignature: bytes },
      [],
    ),
    memberLeftNotificationMessage: fc.constant({}),
  },
  [],
);

export const contents: fc.Arbitrary<Content> = message<Content, never>(
  {
    dataMessage: message<NonNullable<Content['dataMessage']>, never>(
      {
        body: text,
        attachments: list(attachment),
        group: bytes,
        flags: u32,
        expireTimer: u32,
        profileKey: bytes,
        quote: fc.record({ id: time, author: text }),
        preview: list(message({ url: text, title: text, image: attachment }, ['url'])),
        reaction: message(
          { id: time, author: text, emoji: text, action: fc.constantFrom(0 as const, 1 as const) },
          ['id', 'author', 'action'],
        ),
        profile,
        communityInvitation: fc.record({ url: text, name: text }),
        closedGroupControlMessage: bytes,
        syncTarget: text,
        blocksCommunityMessageRequests: fc.boolean(),
        groupUpdateMessage: groupUpdate,
        edit: fc.record({ timestamp: time }),
      },
      [],
    ),
    callMessage: message<NonNullable<Content['callMessage']>, 'type' | 'uuid'>(
      {
        type: fc.constantFrom(1, 2, 3, 4, 5, 6),
        sdps: list(text),
        sdpMLineIndexes: list(u32),
        sdpMids: list(text),
        uuid: text,
      },
      ['type', 'uuid'],
    ),
    receiptMessage: message<NonNullable<Content['receiptMessage']>, 'type'>(
      { type: fc.constantFrom(0, 1), timestamp: list(time) },
      ['type'],
    ),
    configurationMessage: bytes,
    typingMessage: fc.record({ timestamp: time, action: fc.constantFrom(0 as const, 1 as const) }),
    dataExtractionNotification: message<NonNullable<Content['dataExtractionNotification']>, 'type'>(
      { type: fc.constantFrom(1, 2), timestamp: time },
      ['type'],
    ),
    unsendRequest: fc.record({ timestamp: time, author: text }),
    messageRequestResponse: message<NonNullable<Content['messageRequestResponse']>, 'isApproved'>(
      { isApproved: fc.boolean(), profileKey: bytes, profile },
      ['isApproved'],
    ),
    sharedConfigMessage: fc.record({
      kind: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
      seqno: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      data: bytes,
    }),
    expirationType: fc.constantFrom(0, 1, 2),
    expirationTimer: u32,
    sigTimestamp: time,
    proMessage: message<NonNullable<Content['proMessage']>, never>(
      {
        proof: message<NonNullable<NonNullable<Content['proMessage']>['proof']>, never>(
          { version: u32, tag: bytes, rotatingPublicKey: bytes, expiry: u64, sig: bytes },
          [],
        ),
        profileBitset: u64,
        messageBitset: u64,
      },
      [],
    ),
    proSigForCommunityMessageOnly: bytes,
  },
  [],
);
