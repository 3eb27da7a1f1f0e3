// SPDX-License-Identifier: AGPL-3.0-or-later
// What a key does: in the list, in the text that is written, on a chosen message, in an overlay. Knows no terminal.
import type { StoredMessage } from '@allium/client/storage';
import { conversationMenu, deleteMenu, reactionMenu } from './actions.ts';
import { shownInLine } from './cells.ts';
import type { ChatController } from './controller.ts';
import { type Draft, draftOf, erased, moved, movedLine, typed } from './editor.ts';
import { attachPrompt, hasFiles, saveMenu, searchPrompt } from './file-actions.ts';
import { helpLines } from './keys.ts';
import { detailsOf } from './rows.ts';
import { choicesOf, type Menu, type Overlay, type Prompt } from './ui-state.ts';

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

export function pressKey(chat: ChatController, input: string, key: Key): void {
  // What is typed faster than it is read comes at once; several lines are a paste of a terminal that does not mark them.
  if (input.length > 1 && key.ctrl !== true && key.meta !== true) {
    const [, line, isSent] = /^([^\r\n]*)(\r?)$/.exec(input) ?? [];
    if (line === undefined) {
      pasteText(chat, input);
      return;
    }
    if (isWriting(chat)) pasteText(chat, line);
    else for (const character of line) pressKey(chat, character, {});
    if (isSent !== '') pressKey(chat, '', { return: true });
    return;
  }
  chat.appLock?.noteKey();
  const { overlay, focus } = chat.state();
  const isFunctionKey = input === '' && Object.values(key).every((on) => on !== true);
  if (key.ctrl === true && input === 'c') chat.quit();
  else if (key.ctrl === true && input === 'x') chat.lock();
  else if (isFunctionKey || (key.ctrl === true && input === 'g')) help(chat);
  // Ctrl or Alt with a letter is never the letter alone; only where text is written it means something.
  else if (input !== '' && (key.ctrl === true || key.meta === true) && !isWriting(chat)) return;
  else if (overlay !== undefined) pressOverlay(chat, overlay, input, key);
  else if (focus === 'list') pressList(chat, input, key);
  else if (focus === 'compose') pressCompose(chat, input, key);
  else pressMessage(chat, input, key);
}

export function pasteText(chat: ChatController, text: string): void {
  chat.appLock?.noteKey();
  const { overlay, focus } = chat.state();
  const line = text.replace(/\s+/g, ' ');
  if (overlay?.kind === 'prompt') {
    if (overlay.isBusy !== true) chat.change({ overlay: { ...overlay, draft: typed(overlay.draft, line) } });
  } else if (overlay?.kind === 'menu' && overlay.filter !== undefined) {
    chat.show({ ...overlay, filter: typed(draftOf(overlay.filter), line).text, index: 0 });
  } else if (overlay === undefined && focus === 'compose') chat.write(typed(chat.state().draft, text));
  else
    chat.store.notice('Nothing is being written here: Enter on a conversation writes, n begins a new one.');
}

function isWriting(chat: ChatController): boolean {
  const { overlay, focus } = chat.state();
  if (overlay === undefined) return focus === 'compose';
  return overlay.kind === 'prompt' || (overlay.kind === 'menu' && overlay.filter !== undefined);
}

function pressList(chat: ChatController, input: string, key: Key): void {
  const { items, index } = chat.listed();
  const item = items[index];
  const go = (to: number) => {
    const there = items[Math.max(0, Math.min(items.length - 1, to))];
    if (there !== undefined) chat.change({ selectedId: there.id });
  };
  if (key.upArrow || input === 'k') go(index - 1);
  else if (key.downArrow || input === 'j') go(index + 1);
  else if (key.pageUp) go(index - 10);
  else if (key.pageDown) go(index + 10);
  else if (key.home) go(0);
  else if (key.end) go(items.length - 1);
  else if (key.return || key.rightArrow || key.tab) {
    if (item !== undefined) void chat.open(item.id);
  } else if (input === 'q') chat.quit();
  else if (input === '?') help(chat);
  else {
    const overlay = conversationMenu(chat, input, item);
    if (overlay !== undefined) chat.show(overlay);
  }
}

function pressCompose(chat: ChatController, input: string, key: Key): void {
  const { draft, replyTo, editing } = chat.state();
  const width = Math.max(4, chat.geometry().chatWidth - 4);
  if (key.escape) {
    if (editing !== undefined) chat.change({ editing: undefined, draft: editing.draft });
    else if (replyTo !== undefined) chat.change({ replyTo: undefined });
    else void chat.leave();
  } else if (key.tab) void chat.leave();
  else if (key.return && key.meta !== true && key.shift !== true) void chat.send();
  else if (key.return || input === '\n') chat.write(typed(draft, '\n'));
  else if (key.pageUp) chat.scroll(-(chat.geometry().messagesHeight - 2));
  else if (key.pageDown) chat.scroll(chat.geometry().messagesHeight - 2);
  else if ((key.ctrl && key.end) || (key.ctrl && input === 'l')) chat.toEnd();
  else if (key.upArrow) {
    const up = movedLine(draft, -1, width);
    if (up !== undefined) chat.change({ draft: up });
    else chat.pick(-1);
  } else if (key.downArrow) chat.change({ draft: movedLine(draft, 1, width) ?? moved(draft, 'end') });
  else if (key.ctrl && input === 'o') chat.show(attachPrompt(chat));
  else if (key.ctrl && input === 'f') chat.show(searchPrompt(chat, chat.store.snapshot().open?.id));
  else {
    const next = edited(draft, input, key);
    if (next !== undefined) chat.write(next);
  }
}

function pressMessage(chat: ChatController, input: string, key: Key): void {
  const message = chat.pickedMessage();
  if (key.escape || key.tab) chat.change({ focus: 'compose', picked: undefined });
  else if (key.upArrow || input === 'k') chat.pick(-1);
  else if (key.downArrow || input === 'j') chat.pick(1);
  else if (key.pageUp) chat.pick(-8);
  else if (key.pageDown) chat.pick(8);
  else if (key.home) chat.pick(Number.NEGATIVE_INFINITY);
  else if (key.end) chat.toEnd();
  else if (input === '?') help(chat);
  else if (message !== undefined) actOn(chat, message, input, key);
}

function actOn(chat: ChatController, message: StoredMessage, input: string, key: Key): void {
  const isDeleted = message.marks?.deletedAt !== undefined;
  if (key.return || input === 'i') {
    const titleOf = (id: string) => chat.store.titleOf(id);
    const lines = detailsOf(message, chat.store.client.id, titleOf);
    chat.show({ kind: 'panel', title: 'Message', lines, top: 0 });
  } else if (input === 'r' && !isDeleted) {
    chat.change({ replyTo: message, focus: 'compose', picked: undefined });
  } else if (input === 'e' && !isDeleted) chat.show(reactionMenu(chat, message));
  else if (input === 'd') chat.show(deleteMenu(chat, message));
  else if (input === 'o' && hasFiles(message)) chat.show(saveMenu(chat, message));
  else if (input === 'E' && message.sender === chat.store.client.id && message.text !== '')
    chat.edit(message);
  else if (input === 's' && message.state === 'failed') {
    const conversation = chat.store.client.conversation(message.conversation);
    void chat.store.attempt(() => conversation.resend(message.timestamp));
  }
}

function pressOverlay(chat: ChatController, overlay: Overlay, input: string, key: Key): void {
  if (key.escape) chat.show(undefined);
  else if (overlay.kind === 'menu') pressMenu(chat, overlay, input, key);
  else if (overlay.kind === 'prompt') pressPrompt(chat, overlay, input, key);
  else if (input === 'q' || input === '?' || key.return) chat.show(undefined);
  else {
    const by = key.upArrow || input === 'k' ? -1 : key.downArrow || input === 'j' ? 1 : 0;
    const pages = key.pageUp ? -1 : key.pageDown || input === ' ' ? 1 : 0;
    const top = overlay.top + by + pages * (chat.state().rows - 6);
    const last = Math.max(0, overlay.lines.length - 1);
    chat.show({ ...overlay, top: Math.max(0, Math.min(last, top)) });
  }
}

function pressMenu(chat: ChatController, menu: Menu, input: string, key: Key): void {
  const choices = choicesOf(menu);
  const go = (to: number) => chat.show({ ...menu, index: Math.max(0, Math.min(choices.length - 1, to)) });
  const isLetters = menu.filter === undefined;
  const choose = (choice = choices[menu.index]) => {
    if (choice === undefined) return;
    chat.show(undefined);
    void chat.store.attempt(async () => choice.run());
  };
  if (key.upArrow || (isLetters && input === 'k')) go(menu.index - 1);
  else if (key.downArrow || (isLetters && input === 'j')) go(menu.index + 1);
  else if (key.pageUp) go(menu.index - 10);
  else if (key.pageDown) go(menu.index + 10);
  else if (key.return) choose();
  else if (!isLetters) {
    const before = draftOf(menu.filter);
    const after = edited(before, input, key);
    if (after !== undefined) chat.show({ ...menu, filter: after.text, index: 0 });
  } else {
    const keyed = choices.find((choice) => choice.key === input);
    if (keyed !== undefined && input !== '') choose(keyed);
  }
}

function pressPrompt(chat: ChatController, prompt: Prompt, input: string, key: Key): void {
  if (prompt.isBusy === true) return;
  if (key.return) {
    void submit(chat, prompt);
    return;
  }
  const draft = edited(prompt.draft, input, key);
  const { error, ...asked } = prompt;
  if (draft !== undefined) chat.show({ ...asked, draft });
}

/** What is not taken can be corrected, and nothing that is typed next is taken for a command. */
async function submit(chat: ChatController, prompt: Prompt): Promise<void> {
  const { error: _, ...asked } = prompt;
  const busy: Prompt = { ...asked, isBusy: true };
  chat.show(busy);
  const isShown = () => chat.state().overlay === busy;
  try {
    await prompt.submit(prompt.draft.text.trim());
    if (isShown()) chat.show(undefined);
  } catch (thrown) {
    const error = shownInLine(thrown instanceof Error ? thrown.message : String(thrown));
    if (isShown()) chat.show({ ...asked, error });
    else chat.store.notice(error);
  }
}

function help(chat: ChatController): void {
  chat.show({ kind: 'panel', title: 'Keys', lines: helpLines(), top: 0 });
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
