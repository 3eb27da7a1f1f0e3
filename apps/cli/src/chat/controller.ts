// SPDX-License-Identifier: AGPL-3.0-or-later
// Keys become steps: of the list, of the text that is written, of a chosen message, of an overlay. Knows no terminal and no
// protocol; the view renders `state()`, the store does what is asked.

import type { OutgoingAttachment } from '@allium/client/files/uploads';
import type { StoredMessage } from '@allium/client/storage';
import { conversationMenu, deleteMenu, reactionMenu } from './actions.ts';
import { type Draft, draftOf, EMPTY_DRAFT, erased, moved, movedLine, typed } from './editor.ts';
import { attachPrompt, hasFiles, saveMenu, searchPrompt } from './file-actions.ts';
import { geometryOf } from './geometry.ts';
import { isSame } from './history-window.ts';
import { helpLines } from './keys.ts';
import { detailsOf, finderOf, type Row, rowsOf } from './rows.ts';
import type { ChatStore, ListItem } from './store.ts';
import { choicesOf, type Menu, type Overlay, type Prompt, type UiState } from './ui-state.ts';

/** The part of a key press that the terminal library tells besides the text. */
export type Key = Partial<
  Record<
    | 'upArrow'
    | 'downArrow'
    | 'leftArrow'
    | 'rightArrow'
    | 'pageUp'
    | 'pageDown'
    | 'home'
    | 'end'
    | 'return'
    | 'escape'
    | 'ctrl'
    | 'shift'
    | 'tab'
    | 'backspace'
    | 'delete'
    | 'meta',
    boolean
  >
>;

// Ours.
const KEEP_DRAFT_MS = 1_000;
const READ_AFTER_MS = 250;
/** Rows before the upper end at which the next page is loaded. */
const AHEAD = 20;

export class ChatController {
  readonly store: ChatStore;
  #state: UiState;
  readonly #listeners = new Set<() => void>();
  readonly #quit: () => void;
  readonly #cancel: () => void;
  #draftTimer: NodeJS.Timeout | undefined;
  #readTimer: NodeJS.Timeout | undefined;
  #isPaging = false;

  constructor(store: ChatStore, size: { columns: number; rows: number }, quit: () => void) {
    this.store = store;
    this.#quit = quit;
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
    if (columns !== this.#state.columns || rows !== this.#state.rows) this.#set({ columns, rows });
  }

  /** Keeps what was not sent. */
  async stop(): Promise<void> {
    this.#cancel();
    clearTimeout(this.#readTimer);
    await this.#keepDraft();
    this.#listeners.clear();
  }

  show(overlay: Overlay | undefined): void {
    this.#set({ overlay });
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

  // --- Keys ----------------------------------------------------------------------------------------------------------

  press(input: string, key: Key): void {
    // What is typed faster than it is read comes at once; several lines are a paste of a terminal that does not mark them.
    if (input.length > 1 && key.ctrl !== true && key.meta !== true) {
      const [, line, isSent] = /^([^\r\n]*)(\r?)$/.exec(input) ?? [];
      if (line === undefined) {
        this.paste(input);
        return;
      }
      if (this.#isWriting()) this.paste(line);
      else for (const character of line) this.press(character, {});
      if (isSent !== '') this.press('', { return: true });
      return;
    }
    const { overlay, focus } = this.#state;
    const isFunctionKey = input === '' && Object.values(key).every((on) => on !== true);
    if (key.ctrl === true && input === 'c') this.#quit();
    else if (isFunctionKey || (key.ctrl === true && input === 'g')) this.#help();
    else if (overlay !== undefined) this.#pressOverlay(overlay, input, key);
    else if (focus === 'list') this.#pressList(input, key);
    else if (focus === 'compose') this.#pressCompose(input, key);
    else this.#pressMessage(input, key);
  }

  paste(text: string): void {
    const { overlay, focus } = this.#state;
    if (overlay?.kind === 'prompt') {
      this.#set({ overlay: { ...overlay, draft: typed(overlay.draft, text.replace(/\s+/g, ' ')) } });
    } else if (overlay === undefined && focus === 'compose') this.#write(typed(this.#state.draft, text));
  }

  #isWriting(): boolean {
    const { overlay, focus } = this.#state;
    return overlay?.kind === 'prompt' || (overlay === undefined && focus === 'compose');
  }

  #pressList(input: string, key: Key): void {
    const { items, index } = this.listed();
    const item = items[index];
    const go = (to: number) => {
      const there = items[Math.max(0, Math.min(items.length - 1, to))];
      if (there !== undefined) this.#set({ selectedId: there.id });
    };
    if (key.upArrow || input === 'k') go(index - 1);
    else if (key.downArrow || input === 'j') go(index + 1);
    else if (key.pageUp) go(index - 10);
    else if (key.pageDown) go(index + 10);
    else if (key.home) go(0);
    else if (key.end) go(items.length - 1);
    else if (key.return || key.rightArrow || key.tab) {
      if (item !== undefined) void this.open(item.id);
    } else if (input === 'q') this.#quit();
    else if (input === '?') this.#help();
    else {
      const overlay = conversationMenu(this, input, item);
      if (overlay !== undefined) this.show(overlay);
    }
  }

  #pressCompose(input: string, key: Key): void {
    const { draft, replyTo, editing } = this.#state;
    const width = Math.max(4, this.geometry().chatWidth - 4);
    if (key.escape) {
      if (editing !== undefined) this.#set({ editing: undefined, draft: editing.draft });
      else if (replyTo !== undefined) this.#set({ replyTo: undefined });
      else void this.leave();
    } else if (key.tab) void this.leave();
    else if (key.return && key.meta !== true && key.shift !== true) void this.#send();
    else if (key.return || input === '\n') this.#write(typed(draft, '\n'));
    else if (key.pageUp) this.scroll(-(this.geometry().messagesHeight - 2));
    else if (key.pageDown) this.scroll(this.geometry().messagesHeight - 2);
    else if ((key.ctrl && key.end) || (key.ctrl && input === 'l')) this.#toEnd();
    else if (key.upArrow) {
      const up = movedLine(draft, -1, width);
      if (up !== undefined) this.#set({ draft: up });
      else this.#pick(-1);
    } else if (key.downArrow) this.#set({ draft: movedLine(draft, 1, width) ?? moved(draft, 'end') });
    else if (key.ctrl && input === 'o') this.show(attachPrompt(this));
    else if (key.ctrl && input === 'f') this.show(searchPrompt(this, this.store.snapshot().open?.id));
    else {
      const next = edited(draft, input, key);
      if (next !== undefined) this.#write(next);
    }
  }

  #pressMessage(input: string, key: Key): void {
    const message = this.pickedMessage();
    if (key.escape || key.tab) this.#set({ focus: 'compose', picked: undefined });
    else if (key.upArrow || input === 'k') this.#pick(-1);
    else if (key.downArrow || input === 'j') this.#pick(1);
    else if (key.pageUp) this.#pick(-8);
    else if (key.pageDown) this.#pick(8);
    else if (key.home) this.#pick(Number.NEGATIVE_INFINITY);
    else if (key.end) this.#toEnd();
    else if (input === '?') this.#help();
    else if (message !== undefined) this.#actOn(message, input, key);
  }

  #actOn(message: StoredMessage, input: string, key: Key): void {
    const isDeleted = message.marks?.deletedAt !== undefined;
    if (key.return || input === 'i') {
      const titleOf = (id: string) => this.store.titleOf(id);
      const lines = detailsOf(message, this.store.client.id, titleOf);
      this.show({ kind: 'panel', title: 'Message', lines, top: 0 });
    } else if (input === 'r' && !isDeleted) {
      this.#set({ replyTo: message, focus: 'compose', picked: undefined });
    } else if (input === 'e' && !isDeleted) this.show(reactionMenu(this, message));
    else if (input === 'd') this.show(deleteMenu(this, message));
    else if (input === 'o' && hasFiles(message)) this.show(saveMenu(this, message));
    else if (input === 'E' && message.sender === this.store.client.id && message.text !== '')
      this.#edit(message);
    else if (input === 's' && message.state === 'failed') {
      const conversation = this.store.client.conversation(message.conversation);
      void this.store.attempt(() => conversation.resend(message.timestamp));
    }
  }

  #pressOverlay(overlay: Overlay, input: string, key: Key): void {
    if (key.escape) this.show(undefined);
    else if (overlay.kind === 'menu') this.#pressMenu(overlay, input, key);
    else if (overlay.kind === 'prompt') this.#pressPrompt(overlay, input, key);
    else if (input === 'q' || input === '?' || key.return) this.show(undefined);
    else {
      const by = key.upArrow || input === 'k' ? -1 : key.downArrow || input === 'j' ? 1 : 0;
      const pages = key.pageUp ? -1 : key.pageDown || input === ' ' ? 1 : 0;
      const top = overlay.top + by + pages * (this.#state.rows - 6);
      const last = Math.max(0, overlay.lines.length - 1);
      this.show({ ...overlay, top: Math.max(0, Math.min(last, top)) });
    }
  }

  #pressMenu(menu: Menu, input: string, key: Key): void {
    const choices = choicesOf(menu);
    const go = (to: number) => this.show({ ...menu, index: Math.max(0, Math.min(choices.length - 1, to)) });
    const isLetters = menu.filter === undefined;
    const choose = (choice = choices[menu.index]) => {
      if (choice === undefined) return;
      this.show(undefined);
      void this.store.attempt(async () => choice.run());
    };
    if (key.upArrow || (isLetters && input === 'k')) go(menu.index - 1);
    else if (key.downArrow || (isLetters && input === 'j')) go(menu.index + 1);
    else if (key.pageUp) go(menu.index - 10);
    else if (key.pageDown) go(menu.index + 10);
    else if (key.return) choose();
    else if (!isLetters) {
      const before = draftOf(menu.filter);
      const after = edited(before, input, key);
      if (after !== undefined) this.show({ ...menu, filter: after.text, index: 0 });
    } else {
      const keyed = choices.find((choice) => choice.key === input);
      if (keyed !== undefined && input !== '') choose(keyed);
    }
  }

  #pressPrompt(prompt: Prompt, input: string, key: Key): void {
    if (key.return) {
      const text = prompt.draft.text.trim();
      this.show(undefined);
      void this.store.attempt(async () => prompt.submit(text));
      return;
    }
    const draft = edited(prompt.draft, input, key);
    if (draft !== undefined) this.show({ ...prompt, draft });
  }

  #help(): void {
    this.show({ kind: 'panel', title: 'Keys', lines: helpLines(), top: 0 });
  }

  // --- The open conversation ------------------------------------------------------------------------------------------

  async open(id: string): Promise<void> {
    await this.#keepDraft();
    await this.store.attempt(async () => {
      await this.store.open(id);
      const { draft = '' } = await this.store.client.conversation(id).state();
      this.#set({
        focus: 'compose',
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
    this.#set({ focus: 'list', picked: undefined, selectedId: this.store.snapshot().open?.id });
    this.#noteRead();
    await this.#keepDraft();
  }

  /** Closes the open conversation, as after it was declined or hidden. */
  closeConversation(): void {
    this.store.close();
    const closed = { draft: EMPTY_DRAFT, replyTo: undefined, editing: undefined, picked: undefined };
    this.#set({ focus: 'list', bottom: undefined, ...closed });
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
      this.#set({ focus: 'select', picked: { sender, timestamp } });
      this.#bringIntoView({ sender, timestamp });
    });
  }

  /** Sends the text that is written with a file; what cannot be sent stays. */
  async sendFile(attachment: OutgoingAttachment): Promise<void> {
    await this.#send([attachment]);
  }

  #edit(message: StoredMessage): void {
    const { draft } = this.#state;
    this.#set({
      focus: 'compose',
      picked: undefined,
      replyTo: undefined,
      editing: { message, draft },
      draft: draftOf(message.text),
    });
  }

  async #send(attachments?: readonly OutgoingAttachment[]): Promise<void> {
    const { draft, replyTo, editing } = this.#state;
    const text = draft.text.trim();
    if (editing !== undefined) {
      this.#set({ draft: editing.draft, editing: undefined });
      const { message } = editing;
      const conversation = this.store.client.conversation(message.conversation);
      const done = await this.store.attempt(async () => {
        await conversation.edit(message.timestamp, text);
        return true;
      });
      if (done === undefined) this.#set({ draft, editing });
      return;
    }
    if (text === '' && attachments === undefined) return;
    this.#set({ draft: EMPTY_DRAFT, replyTo: undefined });
    const quote = replyTo && { author: replyTo.sender, timestamp: replyTo.timestamp };
    if ((await this.store.send(text, quote, attachments)) === undefined) this.#set({ draft, replyTo });
    else {
      this.#toEnd();
      await this.#keepDraft();
    }
  }

  #write(draft: Draft): void {
    const { open } = this.store.snapshot();
    if (open !== undefined && draft.text !== this.#state.draft.text) {
      this.store.client.conversation(open.id).typing(draft.text !== '');
      clearTimeout(this.#draftTimer);
      this.#draftTimer = setTimeout(() => void this.#keepDraft(), KEEP_DRAFT_MS);
    }
    this.#set({ draft });
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

  #pick(by: number): void {
    const messages = this.store.snapshot().open?.messages ?? [];
    if (messages.length === 0) return;
    const { picked } = this.#state;
    const from = picked === undefined ? messages.length : messages.findIndex((one) => isSame(one, picked));
    const to = Math.max(0, from + by);
    if (to >= messages.length) {
      if (this.store.snapshot().open?.hasNewer) this.#load('newer');
      else this.#set({ focus: 'compose', picked: undefined, bottom: undefined });
      return;
    }
    const { sender, timestamp } = messages[to]!;
    this.#set({ focus: 'select', picked: { sender, timestamp } });
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

  #toEnd(): void {
    void this.store.attempt(() => this.store.newest());
    this.#set({ focus: 'compose', picked: undefined, bottom: undefined });
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
      this.#set({ bottom: undefined });
      return;
    }
    for (let index = end - 1; index >= 0; index--) {
      const message = all[index]?.message;
      if (message === undefined) continue;
      const first = all.findIndex((row) => row.message !== undefined && isSame(row.message, message));
      const { sender, timestamp } = message;
      this.#set({ bottom: { sender, timestamp, row: end - 1 - first } });
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

  #set(change: Partial<UiState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** One step of writing; undefined: the key means nothing here. */
function edited(draft: Draft, input: string, key: Key): Draft | undefined {
  if (key.leftArrow) return moved(draft, key.meta || key.ctrl ? 'wordLeft' : 'left');
  if (key.rightArrow) return moved(draft, key.meta || key.ctrl ? 'wordRight' : 'right');
  if (key.home) return moved(draft, 'home');
  if (key.end) return moved(draft, 'end');
  if (key.backspace) return erased(draft, key.meta || key.ctrl ? 'word' : 'before');
  if (key.delete) return erased(draft, 'after');
  if (key.ctrl) {
    switch (input) {
      case 'a':
        return moved(draft, 'home');
      case 'e':
        return moved(draft, 'end');
      case 'u':
        return erased(draft, 'toHome');
      case 'k':
        return erased(draft, 'toEnd');
      case 'w':
        return erased(draft, 'word');
      default:
        return undefined;
    }
  }
  if (key.meta)
    return input === 'b' ? moved(draft, 'wordLeft') : input === 'f' ? moved(draft, 'wordRight') : undefined;
  if (input === '' || key.tab || key.return || key.upArrow || key.downArrow || key.escape) return undefined;
  return typed(draft, input);
}
