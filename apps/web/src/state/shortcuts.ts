// SPDX-License-Identifier: AGPL-3.0-or-later
// The keys of the app: which they are, what a key event means, how they are written.
import type { TextKey } from '../i18n/i18n.ts';

export type Command =
  | 'keys'
  | 'search'
  | 'new'
  | 'settings'
  | 'network'
  | 'lock'
  | 'nextPart'
  | 'previousPart'
  | 'next'
  | 'previous'
  | 'nextUnread'
  | 'previousUnread'
  | 'contact'
  | 'mute'
  | 'unread'
  | 'attach'
  | 'voice'
  | 'emoji'
  | 'reply'
  | 'react'
  | 'edit'
  | 'copy'
  | 'details'
  | 'delete';

interface Keys {
  /** As `KeyboardEvent.key`; letters are upper case. */
  readonly key: string;
  /** Ctrl, on a Mac ⌘. */
  readonly mod?: true;
  readonly alt?: true;
  readonly shift?: true;
}

export type ShortcutGroup = 'app' | 'chats' | 'writing' | 'message';

export interface Shortcut {
  readonly group: ShortcutGroup;
  readonly text: TextKey;
  readonly keys: readonly Keys[];
  /** Without one: it is shown, and whoever has the focus does it. */
  readonly command?: Command;
}

/** None that browsers keep for themselves, and no letter alone but where a message has the focus (WCAG 2.1.4). */
export const SHORTCUTS: readonly Shortcut[] = [
  { group: 'app', command: 'keys', text: 'keys.keys', keys: [{ key: '?' }, { key: '/', mod: true }] },
  { group: 'app', command: 'search', text: 'keys.search', keys: [{ key: 'K', mod: true }] },
  { group: 'app', command: 'new', text: 'new_chat', keys: [{ key: 'N', mod: true, alt: true }] },
  { group: 'app', command: 'settings', text: 'settings', keys: [{ key: ',', mod: true }] },
  { group: 'app', command: 'network', text: 'network', keys: [{ key: 'P', mod: true, alt: true }] },
  { group: 'app', command: 'lock', text: 'keys.lock', keys: [{ key: 'L', mod: true, shift: true }] },
  { group: 'app', command: 'nextPart', text: 'keys.next_part', keys: [{ key: 'F6' }] },
  { group: 'app', command: 'previousPart', text: 'keys.previous_part', keys: [{ key: 'F6', shift: true }] },
  { group: 'app', text: 'keys.back', keys: [{ key: 'Escape' }] },
  { group: 'chats', command: 'next', text: 'keys.next', keys: [{ key: 'ArrowDown', alt: true }] },
  { group: 'chats', command: 'previous', text: 'keys.previous', keys: [{ key: 'ArrowUp', alt: true }] },
  {
    group: 'chats',
    command: 'nextUnread',
    text: 'keys.next_unread',
    keys: [{ key: 'ArrowDown', alt: true, shift: true }],
  },
  {
    group: 'chats',
    command: 'previousUnread',
    text: 'keys.previous_unread',
    keys: [{ key: 'ArrowUp', alt: true, shift: true }],
  },
  { group: 'chats', command: 'contact', text: 'contact.open', keys: [{ key: 'I', mod: true, alt: true }] },
  { group: 'chats', command: 'mute', text: 'keys.mute', keys: [{ key: 'M', mod: true, alt: true }] },
  { group: 'chats', command: 'unread', text: 'mark_unread', keys: [{ key: 'U', mod: true, alt: true }] },
  { group: 'writing', text: 'keys.edit_last', keys: [{ key: 'ArrowUp' }] },
  {
    group: 'writing',
    command: 'attach',
    text: 'composer.attach',
    keys: [{ key: 'A', mod: true, alt: true }],
  },
  { group: 'writing', command: 'voice', text: 'composer.voice', keys: [{ key: 'V', mod: true, alt: true }] },
  { group: 'writing', command: 'emoji', text: 'composer.emoji', keys: [{ key: 'E', mod: true, alt: true }] },
  { group: 'message', text: 'keys.messages', keys: [{ key: 'ArrowUp' }, { key: 'ArrowDown' }] },
  { group: 'message', command: 'reply', text: 'message.reply', keys: [{ key: 'R' }] },
  { group: 'message', command: 'react', text: 'message.react', keys: [{ key: '+' }] },
  { group: 'message', command: 'edit', text: 'message.edit', keys: [{ key: 'E' }] },
  { group: 'message', command: 'copy', text: 'copy', keys: [{ key: 'C' }] },
  { group: 'message', command: 'details', text: 'message.details', keys: [{ key: 'I' }] },
  { group: 'message', command: 'delete', text: 'delete', keys: [{ key: 'Delete' }] },
];

type KeyEvent = Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'> & {
  readonly getModifierState?: (name: string) => boolean;
};

/**
 * The command of a key. `isMac`: ⌘ instead of Ctrl. `where`: a `text` field has the focus, a `message` has it, or something
 * `else`.
 */
export function commandOf(
  event: KeyEvent,
  isMac: boolean,
  where: 'text' | 'message' | 'else',
): Command | undefined {
  // Letters that need AltGr look like Ctrl and Alt.
  if (event.getModifierState?.('AltGraph') === true) return undefined;
  const found = SHORTCUTS.find(
    ({ group, command, keys }) =>
      command !== undefined &&
      (group !== 'message' || where === 'message') &&
      keys.some((one) => {
        const isBare = one.mod === undefined && one.alt === undefined && !/^F\d/.test(one.key);
        return !(isBare && where === 'text') && isPressed(one, event, isMac);
      }),
  );
  return found?.command;
}

function isPressed({ key, mod, alt, shift }: Keys, event: KeyEvent, isMac: boolean): boolean {
  const hasMod = isMac ? event.metaKey : event.ctrlKey;
  const hasOther = isMac ? event.ctrlKey : event.metaKey;
  if (hasMod !== (mod === true) || hasOther || event.altKey !== (alt === true)) return false;
  const isLetter = /^[A-Z]$/.test(key);
  // Where `?`, `+` and `/` are, and whether they need Shift, is up to the keyboard.
  const isSign = key.length === 1 && !isLetter;
  if (!isSign && event.shiftKey !== (shift === true)) return false;
  const typed = event.key.toUpperCase();
  if (!isLetter) return event.key === key;
  // With Alt, and on keyboards of other scripts, the letter is where it is on others.
  return /^[A-Z]$/.test(typed) && alt !== true ? typed === key : event.code === `Key${key}` || typed === key;
}

const NAMES: Readonly<Record<string, string>> = {
  ArrowUp: '↑',
  ArrowDown: '↓',
  Escape: 'Esc',
  Delete: 'Del',
};

/** As it stands on the keys, one after the other. */
export function keyNames({ key, mod, alt, shift }: Keys, isMac: boolean): readonly string[] {
  return [
    ...(mod ? [isMac ? '⌘' : 'Ctrl'] : []),
    ...(alt ? [isMac ? '⌥' : 'Alt'] : []),
    ...(shift ? [isMac ? '⇧' : 'Shift'] : []),
    NAMES[key] ?? key,
  ];
}
