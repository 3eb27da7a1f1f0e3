// SPDX-License-Identifier: MIT
// What a message says, as plain objects (spec/client §3.2–3.5), and its protobuf form. A member that is undefined or
// absent is not on the wire.

import { ParseError } from '../errors.ts';
import { ContentSchema } from './generated/session_pb.js';
import { decodeProtobuf, encodeProtobuf, hasUnknownFields } from './protobuf.ts';

const MAX_ATTACHMENTS = 32; // spec/client §3.3

/** Ours: three times what a storage server takes. A byte of input can cost a hundred bytes of memory. */
const MAX_CONTENT_BYTES = 256 * 1024;

export const ExpirationType = { unknown: 0, deleteAfterRead: 1, deleteAfterSend: 2 } as const;
export type ExpirationType = (typeof ExpirationType)[keyof typeof ExpirationType];
export const TypingAction = { started: 0, stopped: 1 } as const;
export type TypingAction = (typeof TypingAction)[keyof typeof TypingAction];
export const ReceiptType = { delivery: 0, read: 1 } as const;
export type ReceiptType = (typeof ReceiptType)[keyof typeof ReceiptType];
export const ReactionAction = { react: 0, remove: 1 } as const;
export type ReactionAction = (typeof ReactionAction)[keyof typeof ReactionAction];
export const DataExtractionType = { screenshot: 1, mediaSaved: 2 } as const;
export type DataExtractionType = (typeof DataExtractionType)[keyof typeof DataExtractionType];
export const CallType = {
  offer: 1,
  answer: 2,
  provisionalAnswer: 3,
  iceCandidates: 4,
  endCall: 5,
  preOffer: 6,
} as const;
export type CallType = (typeof CallType)[keyof typeof CallType];
export const GroupInfoChange = { name: 1, avatar: 2, disappearingMessages: 3 } as const;
export type GroupInfoChange = (typeof GroupInfoChange)[keyof typeof GroupInfoChange];
export const GroupMemberChange = { added: 1, removed: 2, promoted: 3 } as const;
export type GroupMemberChange = (typeof GroupMemberChange)[keyof typeof GroupMemberChange];

/** Of the members that say what the message is, exactly one is sent (spec/client §3.2). */
export interface Content {
  readonly dataMessage?: DataMessage;
  readonly callMessage?: CallMessage;
  readonly receiptMessage?: ReceiptMessage;
  readonly typingMessage?: TypingMessage;
  /** Legacy, and never sent: a content with it is ignored. */
  readonly configurationMessage?: Uint8Array;
  readonly dataExtractionNotification?: DataExtractionNotification;
  readonly unsendRequest?: UnsendRequest;
  readonly messageRequestResponse?: MessageRequestResponse;
  readonly sharedConfigMessage?: SharedConfigMessage;
  readonly expirationType?: ExpirationType;
  /** Seconds. */
  readonly expirationTimer?: number;
  /** Ms; equal to the envelope's timestamp. */
  readonly sigTimestamp?: number;
  readonly proMessage?: ProMessage;
  readonly proSigForCommunityMessageOnly?: Uint8Array;
}

export interface DataMessage {
  readonly body?: string;
  /** At most 32. */
  readonly attachments?: readonly AttachmentPointer[];
  /** Legacy, and never sent, as `closedGroupControlMessage`: a message with it belongs to a closed group, and is ignored. */
  readonly group?: Uint8Array;
  readonly flags?: number;
  /** Seconds; of old clients, and never sent. */
  readonly expireTimer?: number;
  /** 32 bytes. */
  readonly profileKey?: Uint8Array;
  readonly quote?: Quote;
  readonly preview?: readonly Preview[];
  readonly reaction?: Reaction;
  readonly profile?: Profile;
  readonly communityInvitation?: CommunityInvitation;
  readonly closedGroupControlMessage?: Uint8Array;
  /** In a copy to the own account only: the id of the conversation. */
  readonly syncTarget?: string;
  readonly blocksCommunityMessageRequests?: boolean;
  readonly groupUpdateMessage?: GroupUpdateMessage;
  readonly edit?: Edit;
}

/** Ours: the body is a new version of an earlier message of the same sender. */
export interface Edit {
  /** Sent time of that message, ms. */
  readonly timestamp: number;
}

export interface AttachmentPointer {
  /** The numeric file id if the URL ends in one, else 0; ignored on receipt. */
  readonly id: bigint;
  readonly contentType?: string;
  readonly key?: Uint8Array;
  /** Of the file, before padding. */
  readonly size?: number;
  readonly digest?: Uint8Array;
  readonly fileName?: string;
  /** 1: a voice message. */
  readonly flags?: number;
  readonly width?: number;
  readonly height?: number;
  readonly caption?: string;
  readonly url?: string;
  /** Ours (docs/decisions/0028): how long a voice message is. */
  readonly durationMs?: number;
  /** Ours: of a file in parts, whose description is what the other members tell of. */
  readonly wholeSize?: number;
  readonly wholeContentType?: string;
}

export interface Quote {
  /** Sent time of the quoted message, ms. */
  readonly id: number;
  readonly author: string;
}

export interface Preview {
  readonly url: string;
  readonly title?: string;
  readonly image?: AttachmentPointer;
}

export interface Reaction {
  /** Sent time of the message reacted to, ms. */
  readonly id: number;
  readonly author: string;
  readonly emoji?: string;
  readonly action: ReactionAction;
}

export interface Profile {
  readonly displayName?: string;
  /** URL. */
  readonly profilePicture?: string;
  readonly lastUpdateSeconds?: number;
}

export interface CommunityInvitation {
  readonly url: string;
  readonly name: string;
}

export interface CallMessage {
  readonly type: CallType;
  readonly sdps?: readonly string[];
  readonly sdpMLineIndexes?: readonly number[];
  readonly sdpMids?: readonly string[];
  readonly uuid: string;
}

export interface ReceiptMessage {
  readonly type: ReceiptType;
  /** Sent times of the messages, ms. */
  readonly timestamp?: readonly number[];
}

export interface TypingMessage {
  readonly timestamp: number;
  readonly action: TypingAction;
}

export interface DataExtractionNotification {
  readonly type: DataExtractionType;
  readonly timestamp?: number;
}

export interface UnsendRequest {
  readonly timestamp: number;
  readonly author: string;
}

export interface MessageRequestResponse {
  readonly isApproved: boolean;
  readonly profileKey?: Uint8Array;
  readonly profile?: Profile;
}

/** From the account to itself: wraps its configs (spec/config-and-groups §2.8). */
export interface SharedConfigMessage {
  readonly kind: 1 | 2 | 3 | 4;
  readonly seqno: bigint;
  readonly data: Uint8Array;
}

/** One member is set. */
export interface GroupUpdateMessage {
  readonly inviteMessage?: {
    readonly groupSessionId: string;
    readonly name: string;
    readonly memberAuthData: Uint8Array;
    readonly adminSignature: Uint8Array;
  };
  readonly infoChangeMessage?: {
    readonly type: GroupInfoChange;
    readonly updatedName?: string;
    readonly updatedExpiration?: number;
    readonly adminSignature: Uint8Array;
  };
  readonly memberChangeMessage?: {
    readonly type: GroupMemberChange;
    readonly memberSessionIds?: readonly string[];
    readonly historyShared?: boolean;
    readonly adminSignature: Uint8Array;
  };
  readonly promoteMessage?: { readonly groupIdentitySeed: Uint8Array; readonly name: string };
  readonly memberLeftMessage?: Readonly<Record<never, never>>;
  readonly inviteResponse?: { readonly isApproved: boolean };
  readonly deleteMemberContent?: {
    readonly memberSessionIds?: readonly string[];
    readonly messageHashes?: readonly string[];
    readonly adminSignature?: Uint8Array;
  };
  readonly memberLeftNotificationMessage?: Readonly<Record<never, never>>;
}

export interface ProMessage {
  readonly proof?: ProProof;
  readonly profileBitset?: bigint;
  readonly messageBitset?: bigint;
}

/** Both layouts of spec/client §3.5: field 4 is in ms in the older, in seconds in the newer one. */
export interface ProProof {
  readonly version?: number;
  readonly tag?: Uint8Array;
  readonly rotatingPublicKey?: Uint8Array;
  readonly expiry?: bigint;
  readonly sig?: Uint8Array;
}

/** Fields by ascending number: equal contents, equal bytes. @throws ParseError `content` for what cannot be sent */
export function encodeContent(content: Content): Uint8Array {
  checkAttachments(content);
  return encodeProtobuf(ContentSchema, content);
}

/** Unknown fields are ignored. Byte strings are parts of `bytes`. @throws ParseError `content` */
export function decodeContent(bytes: Uint8Array): Content {
  if (bytes.length > MAX_CONTENT_BYTES) throw new ParseError('content', `${bytes.length} bytes`);
  const content = decodeProtobuf(ContentSchema, bytes) as Content;
  checkAttachments(content);
  return content;
}

/** Whether it says more than `decodeContent` understands: a newer client wrote it. */
export const saysMore = (bytes: Uint8Array): boolean => hasUnknownFields(ContentSchema, bytes);

function checkAttachments(content: Content): void {
  const count = content.dataMessage?.attachments?.length ?? 0;
  if (count > MAX_ATTACHMENTS) throw new ParseError('content', `${count} attachments`);
}
