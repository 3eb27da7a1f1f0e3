// SPDX-License-Identifier: AGPL-3.0-or-later
// What the page can ask of the worker, and what the worker tells without being asked.
import type {
  AccountEntry,
  ConversationsView,
  Found,
  MessageView,
  NetworkView,
  OutgoingFile,
  PersonView,
  SearchHit,
  SessionView,
  SettingsView,
  SyncView,
  TimerMode,
} from './model.ts';

/** A phrase as it was typed, word by word. */
export interface PhraseCheck {
  /** Positions from 0 of words that are in no list. */
  readonly wrong: readonly number[];
  readonly count: number;
  /** Code of what is wrong with the whole, when each word is known. */
  readonly problem?: 'too_few' | 'too_many' | 'checksum' | 'undecodable';
  /** The account id, when all is well. */
  readonly id?: string;
  /** It is in this browser already: the name of its record, and what seals it. */
  readonly here?: { readonly key: string; readonly sealedBy: AccountEntry['sealedBy'] };
}

/** A passkey, and what it derives a key from; neither is secret. */
export interface PasskeyName {
  readonly credentialId: Uint8Array;
  /** 32 bytes. */
  readonly salt: Uint8Array;
}

/** What opens a sealed account. */
export type Secret =
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  /** 32 bytes that the passkey derived from its salt (WebAuthn `prf`). */
  | { readonly kind: 'passkey'; readonly output: Uint8Array };

/** What an account is to be sealed under. */
export type Seal =
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  | ({ readonly kind: 'passkey'; readonly output: Uint8Array } & PasskeyName);

interface MessageName {
  readonly sender: string;
  readonly timestamp: number;
}

export interface Call {
  readonly signal: AbortSignal;
  readonly progress: (value: unknown) => void;
  /** Another owner may have done it already: when it was asked, local time in ms. */
  readonly againSince?: number;
}

/** Every method runs in the worker; the last parameter is added there. Errors are `AppError`s by code. */
export interface Api {
  session(): Promise<SessionView>;
  /** A new account that is kept nowhere yet. */
  draftAccount(): Promise<{ readonly id: string; readonly phrase: string }>;
  createAccount(options: {
    name: string;
    phraseConfirmed: boolean;
    seal?: Seal | undefined;
  }): Promise<SessionView>;
  suggestWords(prefix: string): Promise<readonly string[]>;
  checkPhrase(phrase: string): Promise<PhraseCheck>;
  /**
   * Progress: `RestoreProgress`. One that is here already and sealed is refused with `already_here`, unless it is to be
   * replaced: what this browser keeps of it is erased when the new one is open. When that fails, nothing has changed.
   */
  restoreAccount(options: {
    phrase: string;
    name?: string;
    seal?: Seal | undefined;
    replace?: boolean;
  }): Promise<SessionView>;
  unlock(key: string, secret: Secret | undefined): Promise<SessionView>;
  /** Tries once more to open the account whose database could not be read. */
  reopen(): Promise<SessionView>;
  /**
   * Sets the database that cannot be read aside, and brings the account back from the network into a new one. Progress:
   * `RestoreProgress`.
   */
  rebuild(): Promise<SessionView>;
  /** Erases the databases of the open account that were set aside. */
  eraseSetAside(): Promise<SessionView>;
  /** Goes back to the database that was set aside last; the one in use is set aside instead. */
  openSetAside(): Promise<SessionView>;
  lock(): Promise<SessionView>;
  /** Goes to another account, or to none: the welcome page. */
  switchAccount(key: string | undefined): Promise<SessionView>;
  /**
   * `network`: also what its swarm keeps, messages and what devices share; of the open account only. When the swarm cannot be
   * reached, nothing is removed.
   */
  removeAccount(key: string, options: { network: boolean }): Promise<SessionView>;
  showPhrase(secret: Secret | undefined): Promise<string>;
  confirmPhrase(): Promise<SessionView>;
  /** Without `next`: under a key that the browser keeps. */
  reseal(current: Secret | undefined, next: Seal | undefined): Promise<SessionView>;
  setName(name: string): Promise<SessionView>;
  setPicture(picture: Uint8Array | undefined): Promise<SessionView>;

  conversations(): Promise<ConversationsView>;
  person(id: string): Promise<PersonView>;
  contacts(): Promise<readonly PersonView[]>;
  history(
    id: string,
    query: { limit: number; before?: MessageName & { place: number; hash?: string } },
  ): Promise<readonly MessageView[]>;
  send(
    id: string,
    text: string,
    options: { quote?: MessageName; files?: readonly OutgoingFile[] },
  ): Promise<void>;
  edit(id: string, timestamp: number, text: string): Promise<void>;
  /** Ends the sending of a message; it can be sent again. */
  cancelSending(id: string, timestamp: number): Promise<void>;
  resend(id: string, timestamp: number): Promise<void>;
  react(id: string, to: MessageName, emoji: string, remove: boolean): Promise<void>;
  deleteForEveryone(id: string, timestamp: number): Promise<void>;
  deleteForMe(id: string, message: MessageName): Promise<void>;
  /** Tells who sent it that a file of it was saved; of people who are not accepted nothing is told. */
  tellSaved(id: string, message: MessageName): Promise<void>;
  /** Progress: bytes done. */
  attachment(message: MessageName, index: number): Promise<Uint8Array>;
  picture(id: string): Promise<Uint8Array | undefined>;
  setDraft(id: string, draft: string): Promise<void>;
  setPinned(id: string, pinned: boolean): Promise<void>;
  setMuted(id: string, until: number | undefined): Promise<void>;
  /** 0 seconds: messages stay. */
  setTimer(id: string, seconds: number, mode: TimerMode): Promise<void>;
  setNickname(id: string, name: string): Promise<void>;
  setVerified(id: string, verified: boolean): Promise<void>;
  hide(id: string): Promise<void>;
  approve(id: string): Promise<void>;
  decline(id: string): Promise<void>;
  setBlocked(id: string, blocked: boolean): Promise<void>;
  markRead(id: string): Promise<void>;
  /** Until it is read again, on all devices. */
  markUnread(id: string): Promise<void>;
  /** Messages and contact, on all our devices and in our swarm. */
  erase(id: string): Promise<void>;
  typing(id: string, isTyping: boolean): Promise<void>;
  /** Twelve groups of five digits, alike on both sides. */
  safetyNumber(id: string): Promise<string>;
  search(text: string): Promise<readonly SearchHit[]>;
  /** The account that was typed, pasted or scanned; a Session name is asked of the network. */
  find(text: string): Promise<Found>;

  settings(): Promise<SettingsView>;
  changeSettings(change: Partial<SettingsView>): Promise<SettingsView>;
  network(): Promise<NetworkView>;
  /** Somebody looks at the page again: an entry that is away is tried at once. */
  wake(): Promise<void>;
  sync(): Promise<SyncView>;
  /** Asks the whole swarm, and waits until all that was changed here is there. Progress: `RestoreProgress`. */
  syncNow(): Promise<SyncView>;
  /** Files that were fetched; they are fetched again when they are wanted. */
  clearFiles(): Promise<void>;
  exportArchive(passphrase: string): Promise<Uint8Array>;
  importArchive(archive: Uint8Array, passphrase: string): Promise<void>;
}

export interface ApiEvents {
  session: SessionView;
  /** The list of conversations is another one. */
  conversations: ConversationsView;
  /** New or changed. */
  message: { readonly view: MessageView; readonly isNew: boolean };
  removed: { readonly conversation: string; readonly key: string };
  typing: { readonly id: string; readonly isTyping: boolean };
  network: NetworkView;
  /** Whether the browser gives no more space. */
  full: boolean;
  /** Another tab has taken over, or the worker began anew: what was read may be old. */
  restarted: Record<string, never>;
}

export type ApiMethod = keyof Api;
