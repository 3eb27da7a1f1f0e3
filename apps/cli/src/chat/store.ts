// SPDX-License-Identifier: AGPL-3.0-or-later
// What the chat shows of a client: lists and the open conversation, kept up to date by the client's events. Everything is told
// by `subscribe`; a snapshot is a new object after every change.
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import type { ClientStatus } from '@allium/client/events';
import type { FileProgress, OutgoingAttachment } from '@allium/client/files/uploads';
import type { MessageReference, StoredMessage } from '@allium/client/storage';
import { shortId } from '@allium/protocol/account-id';
import { shownInLine } from './cells.ts';
import { HistoryWindow } from './history-window.ts';
import { fileLines } from './rows.ts';

// Ours.
/** Changes that come together are shown together. */
const REFRESH_MS = 40;
const NOTICE_MS = 6_000;

export interface ListItem {
  readonly id: string;
  readonly title: string;
  readonly preview: string;
  /** Network time of the newest message in ms; 0: none. */
  readonly at: number;
  readonly unread: number;
  readonly isPinned: boolean;
  /** Somebody wants to see it as unread. */
  readonly isMarkedUnread: boolean;
  readonly isMuted: boolean;
  readonly isRequest: boolean;
  readonly isTyping: boolean;
}

export interface OpenConversation {
  readonly id: string;
  readonly title: string;
  readonly isOwn: boolean;
  readonly isRequest: boolean;
  readonly isBlocked: boolean;
  readonly messages: readonly StoredMessage[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** What was not read when it was opened stands after this time. */
  readonly readTo: number | undefined;
}

export interface ChatSnapshot {
  readonly ownId: string;
  readonly status: ClientStatus;
  readonly isLoaded: boolean;
  readonly conversations: readonly ListItem[];
  readonly requests: readonly ListItem[];
  readonly open: OpenConversation | undefined;
  readonly notice: string | undefined;
  /** Changes when files of the open conversation went on. */
  readonly progressed: number;
}

export class ChatStore {
  readonly client: Client;
  #snapshot: ChatSnapshot;
  readonly #listeners = new Set<() => void>();
  readonly #cancels: (() => void)[] = [];
  readonly #typing = new Set<string>();
  /** Unread messages by conversation; those that changed are counted anew. */
  readonly #unread = new Map<string, number>();
  readonly #recount = new Set<string>();
  /** By message, then by file; only while something is under way. */
  readonly #progress = new Map<
    string,
    Map<FileProgress['index'], Pick<FileProgress, 'doneBytes' | 'totalBytes'> & { readonly what: string }>
  >();
  #window: HistoryWindow | undefined;
  #openId: string | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> | undefined;
  #isStale = false;
  #noticeTimer: NodeJS.Timeout | undefined;
  readonly #end = new AbortController();

  constructor(client: Client) {
    this.client = client;
    this.#snapshot = {
      ownId: client.id,
      status: client.status,
      isLoaded: false,
      conversations: [],
      requests: [],
      open: undefined,
      notice: undefined,
      progressed: 0,
    };
    const onMessage = (message: StoredMessage) => this.#onMessage(message);
    this.#cancels.push(
      client.on('message', onMessage),
      client.on('own_message', onMessage),
      client.on('outgoing', onMessage),
      client.on('changed', onMessage),
      client.on('notice', onMessage),
      client.on('removed', (message) => {
        this.#window?.remove(message);
        this.#showWindow();
        this.#touch(message.conversation);
      }),
      client.on('upload', (progress) => this.#onProgress('sending', progress)),
      client.on('download', (progress) => this.#onProgress('fetching', progress)),
      client.on('request', ({ id }) => this.#touch(id)),
      client.on('accepted', ({ id }) => {
        this.notice(`${this.titleOf(id)} has accepted your request.`);
        this.#touch(id);
      }),
      client.on('typing', ({ id, isTyping }) => {
        if (isTyping) this.#typing.add(id);
        else this.#typing.delete(id);
        this.#touch(id);
      }),
      client.on('status', (status) => this.#set({ status })),
      client.on('path', () => this.#set({})),
    );
  }

  snapshot = (): ChatSnapshot => this.#snapshot;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Loads the lists; from then on what arrives counts as seen by this program, so that `allium listen` does not print it. */
  async start(): Promise<void> {
    await this.refresh();
    void this.#consume();
  }

  stop(): void {
    this.#end.abort();
    for (const cancel of this.#cancels) cancel();
    clearTimeout(this.#refreshTimer);
    clearTimeout(this.#noticeTimer);
    this.#listeners.clear();
  }

  /** How the account calls somebody. */
  titleOf(id: string): string {
    if (id === this.client.id) return 'Note to self';
    const { name = '', nickname = name } = this.client.conversation(id).contact;
    const clean = shownInLine(nickname);
    return clean === '' ? shortId(id) : clean;
  }

  /** Shows a sentence for some seconds. */
  notice(text: string): void {
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => this.#set({ notice: undefined }), NOTICE_MS);
    this.#noticeTimer.unref();
    this.#set({ notice: shownInLine(text) });
  }

  /** Runs something that a person asked for; what goes wrong becomes a notice. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ClientError) && !(error instanceof Error)) throw error;
      if (!this.#end.signal.aborted) this.notice(error.message);
      return undefined;
    }
  }

  async open(id: string): Promise<void> {
    const conversation = this.client.conversation(id);
    const window = new HistoryWindow((query) => conversation.history(query));
    this.#window = window;
    this.#openId = id;
    const [{ readTo }] = await Promise.all([conversation.state(), window.newest()]);
    if (this.#window !== window) return;
    this.#showWindow(readTo ?? 0);
  }

  close(): void {
    this.#window = undefined;
    this.#openId = undefined;
    this.#set({ open: undefined });
  }

  async older(): Promise<boolean> {
    return this.#page((window) => window.older());
  }

  async newer(): Promise<boolean> {
    return this.#page((window) => window.newer());
  }

  async newest(): Promise<void> {
    if (this.#window?.hasNewer === true) {
      await this.#page(async (window) => {
        await window.newest();
        return true;
      });
    }
  }

  /** All that is shown of the open conversation has been read. */
  async markRead(): Promise<void> {
    const open = this.#snapshot.open;
    const last = open?.messages.at(-1);
    if (open === undefined || last === undefined || open.isRequest || open.hasNewer) return;
    await this.client.conversation(open.id).markRead(last);
    if ((this.#unread.get(open.id) ?? 0) > 0) this.#touch(open.id);
  }

  /** What is under way with the files of a message. */
  progressOf({ sender, timestamp }: StoredMessage): string {
    const files = this.#progress.get(`${sender} ${timestamp}`);
    if (files === undefined) return '';
    return [...files.values()]
      .map(
        ({ what, doneBytes, totalBytes }) =>
          `${what} ${Math.floor((100 * doneBytes) / Math.max(1, totalBytes))} %`,
      )
      .join(', ');
  }

  /** Opens a conversation where a message stands; false: it is not there any more. */
  async openAt(message: StoredMessage): Promise<boolean> {
    await this.open(message.conversation);
    const window = this.#window;
    if (window === undefined) return false;
    const isThere = await window.reach(message);
    if (window === this.#window) this.#showWindow();
    return isThere;
  }

  /** Sends from the open conversation; the message shows its own fate. Undefined: it was not taken, and a notice says why. */
  send(
    text: string,
    quote?: MessageReference,
    attachments?: readonly OutgoingAttachment[],
  ): Promise<true | undefined> {
    const { open } = this.#snapshot;
    if (open === undefined) return Promise.resolve(undefined);
    const sending = this.client
      .conversation(open.id)
      .send(text, { keepTrying: true, ...(quote && { quote }), ...(attachments && { attachments }) });
    // Refused at once or never: what comes later is the state of the message.
    return this.attempt(async () => {
      await Promise.race([sending, accepted(this.client, open.id)]);
      sending.catch(() => undefined);
      return true as const;
    });
  }

  async deleteForMe(message: StoredMessage): Promise<void> {
    await this.client.conversation(message.conversation).deleteForMe([message]);
  }

  /** Counts and lists anew; once more where something changed while it did. */
  async refresh(): Promise<void> {
    if (this.#refreshing !== undefined) this.#isStale = true;
    this.#refreshing ??= this.#refreshAll().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #refreshAll(): Promise<void> {
    do {
      this.#isStale = false;
      await this.#refresh();
    } while (this.#isStale && !this.#end.signal.aborted);
  }

  /** Something about a conversation has changed. */
  touched(id: string): void {
    this.#touch(id);
    if (this.#snapshot.open?.id === id) this.#showWindow();
  }

  async #refresh(): Promise<void> {
    const [listed, requests] = await Promise.all([this.client.conversations(), this.client.requests()]);
    const conversations: ListItem[] = [];
    for (const { id, last, state } of listed) {
      conversations.push({
        ...(await this.#itemOf(id, last, state.readTo)),
        isPinned: state.pin !== undefined && state.pin > 0,
        isMarkedUnread: state.isMarkedUnread === true,
        isMuted: state.mutedUntil !== undefined && state.mutedUntil > Date.now(),
        ...(state.draft !== undefined &&
          state.draft !== '' && { preview: `Draft: ${shownInLine(state.draft)}` }),
      });
    }
    const waiting: ListItem[] = [];
    for (const { id, last } of requests) {
      waiting.push({ ...(await this.#itemOf(id, last, undefined)), isRequest: true });
    }
    this.#set({ conversations, requests: waiting, isLoaded: true });
  }

  async #itemOf(id: string, last: StoredMessage, readTo: number | undefined): Promise<ListItem> {
    const at = last.sortTimestamp ?? last.timestamp;
    const isRead = readTo !== undefined && at <= readTo;
    // Taken away before counting: what comes meanwhile is counted the next time.
    const isCounted = !this.#recount.delete(id) && this.#unread.has(id);
    if (isRead) this.#unread.set(id, 0);
    else if (!isCounted) this.#unread.set(id, await this.client.conversation(id).unread());
    const own = last.sender === this.client.id && id !== this.client.id ? 'You: ' : '';
    return {
      id,
      title: this.titleOf(id),
      preview: own + previewOf(last),
      at,
      unread: this.#unread.get(id) ?? 0,
      isPinned: false,
      isMarkedUnread: false,
      isMuted: false,
      isRequest: false,
      isTyping: this.#typing.has(id),
    };
  }

  #onMessage(message: StoredMessage): void {
    if (message.conversation === this.#snapshot.open?.id && this.#window !== undefined) {
      this.#window.put(message);
      this.#showWindow();
    }
    this.#touch(message.conversation);
  }

  #onProgress(what: string, progress: FileProgress): void {
    const { sender, timestamp, index, doneBytes, totalBytes } = progress;
    const key = `${sender} ${timestamp}`;
    const files = this.#progress.get(key) ?? new Map();
    if (doneBytes < totalBytes) files.set(index, { what, doneBytes, totalBytes });
    else files.delete(index);
    if (files.size === 0) this.#progress.delete(key);
    else this.#progress.set(key, files);
    this.#set({ progressed: this.#snapshot.progressed + 1 });
  }

  #touch(id: string): void {
    this.#recount.add(id);
    this.#refreshTimer ??= setTimeout(() => {
      this.#refreshTimer = undefined;
      if (!this.#end.signal.aborted) void this.attempt(() => this.refresh());
    }, REFRESH_MS);
  }

  async #page(turn: (window: HistoryWindow) => Promise<boolean>): Promise<boolean> {
    const window = this.#window;
    if (window === undefined) return false;
    const moved = await turn(window);
    if (window === this.#window) this.#showWindow();
    return moved;
  }

  #showWindow(readTo = this.#snapshot.open?.readTo): void {
    const window = this.#window;
    const id = this.#openId;
    if (window === undefined || id === undefined) return;
    const { approved, blocked } = this.client.conversation(id).contact;
    this.#set({
      open: {
        id,
        title: this.titleOf(id),
        isOwn: id === this.client.id,
        isRequest: !approved && window.messages.some(({ sender }) => sender !== this.client.id),
        isBlocked: blocked,
        messages: window.messages,
        hasOlder: window.hasOlder,
        hasNewer: window.hasNewer,
        readTo,
      },
    });
  }

  async #consume(): Promise<void> {
    try {
      for await (const _ of this.client.messages({ own: true, signal: this.#end.signal }));
    } catch (error) {
      if (!this.#end.signal.aborted) this.notice(`The messages cannot be read: ${(error as Error).message}`);
    }
  }

  #set(change: Partial<ChatSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}

export function previewOf(message: StoredMessage): string {
  if (message.marks?.deletedAt !== undefined) return 'deleted';
  if (message.notice !== undefined)
    return message.notice.kind === 'timer' ? 'disappearing messages' : 'a file was saved';
  const text = shownInLine(message.text.slice(0, 300));
  return text !== '' ? text : (fileLines(message)[0] ?? '');
}

/** Resolves when a message to `id` is in the storage. */
function accepted(client: Client, id: string): Promise<void> {
  return new Promise((resolve) => {
    const cancel = client.on('outgoing', ({ conversation }) => {
      if (conversation !== id) return;
      cancel();
      resolve();
    });
  });
}
