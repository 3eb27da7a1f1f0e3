// SPDX-License-Identifier: AGPL-3.0-or-later
// What the worker tells the page: plain values, ready to be shown. Nothing secret is among them but a phrase that
// the user asked to see.

export interface PersonView {
  readonly id: string;
  /** As they call themselves, or as the user named them. */
  readonly name?: string;
  readonly isSelf: boolean;
  readonly approved: boolean;
  readonly approvedMe: boolean;
  readonly blocked: boolean;
  readonly verified: boolean;
  /** Encrypted picture that can be fetched with `picture(id)`; changes when the picture does. */
  readonly pictureTag?: string;
}

export interface AttachmentView {
  /** Place in the message. */
  readonly index: number;
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  readonly width?: number;
  readonly height?: number;
  readonly isVoice: boolean;
  readonly durationMs?: number;
  /** 0…1 each. */
  readonly waveform?: readonly number[];
  readonly caption?: string;
  /** It can never be opened. */
  readonly problem?: 'bad_pointer' | 'too_large';
}

export interface DeliveryView {
  readonly state: 'queued' | 'stored' | 'delivered' | 'read' | 'failed';
  readonly stored?: number;
  readonly of?: number;
  readonly deliveredAt?: number;
  readonly readAt?: number;
  /** Code of the client's error. */
  readonly reason?: string;
  /** Bytes of an attachment that is under way. */
  readonly progress?: { readonly done: number; readonly total: number };
}

export interface ReactionView {
  readonly emoji: string;
  readonly by: readonly string[];
  readonly mine: boolean;
}

export interface MessageView {
  /** `sender:timestamp`, its identity. */
  readonly key: string;
  readonly conversation: string;
  readonly sender: string;
  readonly mine: boolean;
  /** Network time in ms. */
  readonly timestamp: number;
  /** Where it stands; equal to `timestamp` unless the sender's clock was far off. */
  readonly place: number;
  readonly hash?: string;
  readonly text: string;
  readonly delivery?: DeliveryView;
  readonly quote?: QuoteView;
  readonly reactions: readonly ReactionView[];
  readonly deleted: boolean;
  readonly editedAt?: number;
  /** What it said before, oldest first; `at`: network time in ms. */
  readonly earlier?: readonly { readonly text: string; readonly at: number }[];
  /** Disappears then, network time in ms. */
  readonly expiresAt?: number;
  readonly timerSeconds?: number;
  /** No message of a person, but a line that tells of something. */
  readonly notice?: { readonly kind: 'timer' | 'screenshot' | 'media_saved'; readonly seconds?: number };
  /** What a link in the text leads to, as the sender says. */
  readonly preview?: { readonly url: string; readonly title?: string };
  readonly attachments: readonly AttachmentView[];
  /** Names of accounts that the text mentions, by id. */
  readonly mentions: Readonly<Record<string, string>>;
}

export interface QuoteView {
  readonly author: string;
  readonly timestamp: number;
  readonly authorName?: string;
  /** Undefined: the message is not known here. */
  readonly text?: string;
}

export interface ConversationView {
  readonly person: PersonView;
  readonly preview?: {
    readonly text: string;
    readonly mine: boolean;
    readonly at: number;
    readonly deleted: boolean;
    readonly attachment?: 'picture' | 'voice' | 'file';
    /** No message of a person, but a line that tells of something. */
    readonly notice?: NonNullable<MessageView['notice']>;
    readonly delivery?: DeliveryView['state'];
  };
  readonly unread: number;
  /** Somebody wants to see it as unread, whatever was read. */
  readonly markedUnread?: boolean;
  readonly pinned: boolean;
  readonly mutedUntil?: number;
  readonly draft?: string;
  /** Seconds; of disappearing messages. */
  readonly timerSeconds?: number;
  readonly timerMode?: TimerMode;
}

/** When the time of a message that disappears begins. */
export type TimerMode = 'after_send' | 'after_read';

export interface ConversationsView {
  readonly list: readonly ConversationView[];
  readonly requests: readonly ConversationView[];
}

export interface AccountEntry {
  /** Name of the vault's record; not the account id. */
  readonly key: string;
  readonly id: string;
  readonly name?: string;
  /** `browser`: opens without being asked. */
  readonly sealedBy: 'browser' | 'passphrase' | 'passkey';
  readonly passkey?: { readonly credentialId: Uint8Array; readonly salt: Uint8Array };
  /** Databases that could not be read and are kept. */
  readonly setAside: readonly number[];
  readonly phraseConfirmed: boolean;
}

export interface SessionView {
  /** `broken`: what is kept of the account cannot be read; `problem` says why. */
  readonly phase: 'welcome' | 'locked' | 'open' | 'broken';
  readonly accounts: readonly AccountEntry[];
  readonly current?: AccountEntry;
  readonly profile: { readonly name?: string; readonly pictureTag?: string };
  /** What could not be done at the start, as a code. */
  readonly problem?: string;
}

export interface HopView {
  readonly ed25519Hex: string;
  readonly host: string;
  readonly port: number;
  readonly operator?: string;
}

interface PathView {
  readonly state: 'probing' | 'usable' | 'suspect';
  readonly probeMs?: number;
  readonly hops: readonly HopView[];
}

export interface NetworkView {
  readonly status: 'connecting' | 'online' | 'offline';
  readonly nodes: number;
  readonly paths: readonly PathView[];
  readonly ownSwarm: number;
  readonly clockOffsetMs: number;
  readonly lastPollAt?: number;
  readonly lastError?: string;
  readonly trust: {
    readonly state: 'verified' | 'unverified' | 'expired';
    readonly reason?: string;
    readonly by?: string;
  };
  /** How requests reach the first hop. */
  readonly entry: {
    readonly url: string;
    readonly state: 'idle' | 'connecting' | 'connected' | 'fallback' | 'unreachable';
  };
  /** Without one nothing but text can be sent. */
  readonly hasFileServer: boolean;
}

/** What all devices of the account share, and how it stands. */
export interface SyncView {
  readonly parts: readonly {
    readonly name: 'profile' | 'contacts' | 'groups' | 'readState';
    /** `empty`: nothing was ever shared. `pending`: a change waits here. `too_large`: it cannot be shared. */
    readonly state: 'empty' | 'stored' | 'pending' | 'too_large';
    /** Version, from 0. */
    readonly seqno: number;
  }[];
  /** When the swarm was asked last, local time in ms. */
  readonly syncedAt?: number;
  /** The last attempt to share failed. */
  readonly failed: boolean;
}

/** An account that a name or a text stands for. */
export interface Found {
  readonly id: string;
  /** The name that was looked up, when it was no id. */
  readonly name?: string;
}

export interface SettingsView {
  readonly deliveryReceipts: boolean;
  readonly readReceipts: boolean;
  readonly typingIndicators: boolean;
}

export interface SearchHit {
  readonly message: MessageView;
  readonly person: PersonView;
}

/** Where a restored account's data comes from, step by step. */
export interface RestoreProgress {
  readonly step: 'connecting' | 'configs' | 'messages' | 'done';
  readonly contacts: number;
  readonly messages: number;
  /** Nodes of the swarm that were asked in this step, of so many. */
  readonly asked: number;
  readonly members: number;
}

export interface OutgoingFile {
  readonly name: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
  readonly width?: number;
  readonly height?: number;
  readonly isVoice?: boolean;
  readonly durationMs?: number;
  readonly waveform?: readonly number[];
}
