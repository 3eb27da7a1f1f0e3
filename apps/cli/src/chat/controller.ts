// SPDX-License-Identifier: AGPL-3.0-or-later
// What the terminal shows, and the steps that change it. Knows no keys (press.ts) and no protocol; the view renders `state()`,
// the store does what is asked.
import type { OutgoingAttachment } from '@allium/client/files/uploads';
import type { StoredMessage } from '@allium/client/storage';
import type { AppLock } from './app-lock.ts';
import { type Draft, draftOf, EMPTY_DRAFT } from './editor.ts';
import { geometryOf } from './geometry.ts';
import { isSame } from './history-window.ts';
import { finderOf, type Row, rowsOf } from './rows.ts';
import type { ChatStore, ListItem } from './store.ts';
import type { Overlay, UiState } from './ui-state.ts';

// Ours.
const KEEP_DRAFT_MS = 1_000;
const READ_AFTER_MS = 250;
/** Rows before the upper end at which the next page is loaded. */
const AHEAD = 20;
const UNPROTECTED =
  'Nothing protects this account, so nothing can lock it: "allium account passphrase" gives it a passphrase.';

/** What the chat asks of the program around it. */
export interface ChatProgram {
  quit(): void;
  /** Undefined: nothing protects the account, so nothing can lock it. */
  readonly lock?: AppLock;
}

export class ChatController {
  readonly store: ChatStore;
  #state: UiState;
  readonly #listeners = new Set<() => void>();
  readonly #program: ChatProgram;
  readonly #cancel: () => void;
  #draftTimer: NodeJS.Timeout | undefined;
  #readTimer: NodeJS.Timeout | undefined;
  #isPaging = false;

  constructor(store: ChatStore, size: { columns: number; rows: number }, program: ChatProgram) {
    this.store = store;
    this.#program = program;
    this.#state = {
      focus: 'list',
      overlay: undefined,
      selectedId: undefined,
      draft: EMPTY_DRAFT,
      replyTo: undefined,
      editing: undefined,
      picked: undefined,
      bottom: undefined,
      ...size,
    };
    this.#cancel = store.subscribe(() => this.#noteRead());
  }

  state = (): UiState => this.#state;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  resize(columns: number, rows: number): void {
    if (columns !== this.#state.columns || rows !== this.#state.rows) this.change({ columns, rows });
  }

  /** Keeps what was not sent. */
  async stop(): Promise<void> {
    this.#cancel();
    clearTimeout(this.#readTimer);
    await this.#keepDraft();
    this.#listeners.clear();
  }

  quit(): void {
    this.#program.quit();
  }

  get appLock(): AppLock | undefined {
    return this.#program.lock;
  }

  lock(): void {
    if (this.appLock !== undefined) this.appLock.lock();
    else this.store.notice(UNPROTECTED);
  }

  show(overlay: Overlay | undefined): void {
    this.change({ overlay });
  }

  /** Conversations, then requests; the selected one is among them when there are any. */
  listed(): { readonly items: readonly ListItem[]; readonly index: number } {
    const { conversations, requests } = this.store.snapshot();
    const items = [...conversations, ...requests];
    const index = items.findIndex(({ id }) => id === this.#state.selectedId);
    return { items, index: items.length === 0 ? -1 : Math.max(0, index) };
  }

  /** The rows of the open conversation that are in view, and whether there is more on either side. */
  view(height: number, width: number): { readonly rows: readonly Row[]; readonly below: number } {
    const all = this.#rows(width);
    const bottom = this.#bottomIndex(all);
    const end = Math.max(Math.min(height, all.length), bottom);
    return { rows: all.slice(Math.max(0, end - height), end), below: all.length - end };
  }

  pickedMessage(): StoredMessage | undefined {
    const { picked } = this.#state;
    if (picked === undefined) return undefined;
    return this.store.snapshot().open?.messages.find((message) => isSame(message, picked));
  }

  async open(id: string): Promise<void> {
    await this.#keepDraft();
    await this.store.attempt(async () => {
      await this.store.open(id);
      const { draft = '' } = await this.store.client.conversation(id).state();
      const { overlay } = this.#state;
      this.change({
        focus: 'compose',
        // The prompt that led here.
        ...(overlay?.kind === 'prompt' && overlay.isBusy === true && { overlay: undefined }),
        selectedId: id,
        draft: draftOf(draft),
        replyTo: undefined,
        editing: undefined,
        picked: undefined,
        bottom: undefined,
      });
      this.#noteRead();
    });
  }

  /** Back to the list; the conversation stays in view where there is room. */
  async leave(): Promise<void> {
    if (this.#isReading()) void this.store.attempt(() => this.store.markRead());
    this.change({ focus: 'list', picked: undefined, selectedId: this.store.snapshot().open?.id });
    this.#noteRead();
    await this.#keepDraft();
  }

  /** Closes the open conversation, as after it was declined or hidden. */
  closeConversation(): void {
    this.store.close();
    const closed = { draft: EMPTY_DRAFT, replyTo: undefined, editing: undefined, picked: undefined };
    this.change({ focus: 'list', bottom: undefined, ...closed });
    this.#noteRead();
  }

  geometry() {
    return geometryOf(this.#state, this.store.snapshot().open !== undefined);
  }

  scroll(by: number): void {
    const { messagesHeight, chatWidth } = this.geometry();
    const all = this.#rows(chatWidth);
    const end = Math.max(Math.min(messagesHeight, all.length), this.#bottomIndex(all));
    this.#standAt(all, Math.max(Math.min(messagesHeight, all.length), Math.min(all.length, end + by)));
    const top = end + by - messagesHeight;
    if (top < AHEAD && by < 0) this.#load('older');
    if (end + by > all.length - AHEAD && by > 0) this.#load('newer');
  }

  /** Opens a conversation at a message and chooses it. */
  async openAt(message: StoredMessage): Promise<void> {
    await this.open(message.conversation);
    await this.store.attempt(async () => {
      if (!(await this.store.openAt(message))) return this.store.notice('The message is not there any more.');
      const { sender, timestamp } = message;
      this.change({ focus: 'select', picked: { sender, timestamp } });
      this.#bringIntoView({ sender, timestamp });
    });
  }

  /** Sends the text that is written with a file; what cannot be sent stays. */
  async sendFile(attachment: OutgoingAttachment): Promise<void> {
    await this.send([attachment]);
  }

  edit(message: StoredMessage): void {
    const { draft } = this.#state;
    this.change({
      focus: 'compose',
      picked: undefined,
      replyTo: undefined,
      editing: { message, draft },
      draft: draftOf(message.text),
    });
  }

  async send(attachments?: readonly OutgoingAttachment[]): Promise<void> {
    const { draft, replyTo, editing } = this.#state;
    const text = draft.text.trim();
    if (editing !== undefined) {
      this.change({ draft: editing.draft, editing: undefined });
      const { message } = editing;
      const conversation = this.store.client.conversation(message.conversation);
      const done = await this.store.attempt(async () => {
        await conversation.edit(message.timestamp, text);
        return true;
      });
      if (done === undefined) this.change({ draft, editing });
      return;
    }
    if (text === '' && attachments === undefined) return;
    this.change({ draft: EMPTY_DRAFT, replyTo: undefined });
    const quote = replyTo && { author: replyTo.sender, timestamp: replyTo.timestamp };
    if ((await this.store.send(text, quote, attachments)) === undefined) this.change({ draft, replyTo });
    else {
      this.toEnd();
      await this.#keepDraft();
    }
  }

  write(draft: Draft): void {
    const { open } = this.store.snapshot();
    if (open !== undefined && draft.text !== this.#state.draft.text) {
      this.store.client.conversation(open.id).typing(draft.text !== '');
      clearTimeout(this.#draftTimer);
      this.#draftTimer = setTimeout(() => void this.#keepDraft(), KEEP_DRAFT_MS);
    }
    this.change({ draft });
  }

  async #keepDraft(): Promise<void> {
    clearTimeout(this.#draftTimer);
    const { open } = this.store.snapshot();
    if (open === undefined) return;
    const { text } = this.#state.editing?.draft ?? this.#state.draft;
    await this.store.attempt(async () => {
      const conversation = this.store.client.conversation(open.id);
      if (((await conversation.state()).draft ?? '') === text) return;
      await conversation.change({ draft: text === '' ? undefined : text });
      this.store.touched(open.id);
    });
  }

  pick(by: number): void {
    const messages = this.store.snapshot().open?.messages ?? [];
    if (messages.length === 0) return;
    const { picked } = this.#state;
    const from = picked === undefined ? messages.length : messages.findIndex((one) => isSame(one, picked));
    const to = Math.max(0, from + by);
    if (to >= messages.length) {
      if (this.store.snapshot().open?.hasNewer) this.#load('newer');
      else this.change({ focus: 'compose', picked: undefined, bottom: undefined });
      return;
    }
    const { sender, timestamp } = messages[to]!;
    this.change({ focus: 'select', picked: { sender, timestamp } });
    this.#bringIntoView({ sender, timestamp });
    if (to < 10 && by < 0) this.#load('older');
  }

  #bringIntoView(picked: { sender: string; timestamp: number }): void {
    const { messagesHeight, chatWidth } = this.geometry();
    const all = this.#rows(chatWidth);
    const first = all.findIndex(({ message }) => message !== undefined && isSame(message, picked));
    const last = all.findLastIndex(({ message }) => message !== undefined && isSame(message, picked));
    const end = Math.max(Math.min(messagesHeight, all.length), this.#bottomIndex(all));
    if (first < end - messagesHeight) this.#standAt(all, Math.min(all.length, first + messagesHeight));
    else if (last >= end) this.#standAt(all, last + 1);
  }

  #load(which: 'older' | 'newer'): void {
    if (this.#isPaging) return;
    this.#isPaging = true;
    void this.store
      .attempt(() => this.store[which]())
      .finally(() => {
        this.#isPaging = false;
      });
  }

  toEnd(): void {
    void this.store.attempt(() => this.store.newest());
    this.change({ focus: 'compose', picked: undefined, bottom: undefined });
    this.#noteRead();
  }

  #rows(width: number): readonly Row[] {
    const { open, ownId } = this.store.snapshot();
    if (open === undefined) return [];
    return rowsOf(open.messages, {
      ownId,
      width,
      titleOf: (id) => this.store.titleOf(id),
      readTo: open.readTo,
      progressOf: (message) => this.store.progressOf(message),
      find: finderOf(open.messages),
      now: Date.now(),
    });
  }

  /** One after the lowest row in view. The place is kept by message: rows that come above or below do not move it. */
  #bottomIndex(all: readonly Row[]): number {
    const { bottom } = this.#state;
    if (bottom === undefined) return all.length;
    const first = all.findIndex(({ message }) => message !== undefined && isSame(message, bottom));
    return first < 0 ? all.length : Math.min(all.length, first + bottom.row + 1);
  }

  #standAt(all: readonly Row[], end: number): void {
    if (end >= all.length && this.store.snapshot().open?.hasNewer !== true) {
      this.change({ bottom: undefined });
      return;
    }
    for (let index = end - 1; index >= 0; index--) {
      const message = all[index]?.message;
      if (message === undefined) continue;
      const first = all.findIndex((row) => row.message !== undefined && isSame(row.message, message));
      const { sender, timestamp } = message;
      this.change({ bottom: { sender, timestamp, row: end - 1 - first } });
      return;
    }
  }

  /** What stands in view for a moment, at the end of an open conversation, is read. */
  #noteRead(): void {
    if (!this.#isReading()) {
      clearTimeout(this.#readTimer);
      this.#readTimer = undefined;
      return;
    }
    this.#readTimer ??= setTimeout(() => {
      this.#readTimer = undefined;
      void this.store.attempt(() => this.store.markRead());
    }, READ_AFTER_MS);
  }

  #isReading(): boolean {
    const { focus, bottom } = this.#state;
    return this.store.snapshot().open !== undefined && focus !== 'list' && bottom === undefined;
  }

  change(change: Partial<UiState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
