// SPDX-License-Identifier: AGPL-3.0-or-later
// All keys, as the help shows them.

interface KeyHelp {
  readonly keys: string;
  readonly does: string;
}

const LIST_KEYS: readonly KeyHelp[] = [
  { keys: '↑ ↓ j k', does: 'choose a conversation' },
  { keys: 'Enter', does: 'open it' },
  { keys: 'n', does: 'write to an account id or name' },
  { keys: '/', does: 'find a conversation or contact' },
  { keys: 'f', does: 'search all messages' },
  { keys: 'a x b', does: 'request: accept, decline, block' },
  { keys: 'p m h u', does: 'pin, mute, hide, mark as unread' },
  { keys: 't', does: 'let messages disappear' },
  { keys: 'c', does: 'contacts' },
  { keys: 's', does: 'settings: name, receipts, typing, lock' },
  { keys: 'i', does: 'network, and your account id' },
  { keys: '?', does: 'this help' },
  { keys: 'Ctrl+X', does: 'lock, from everywhere' },
  { keys: 'q', does: 'quit' },
];

const WRITE_KEYS: readonly KeyHelp[] = [
  { keys: 'Enter', does: 'send' },
  { keys: 'Alt+Enter', does: 'new line, also Ctrl+J' },
  { keys: '↑', does: 'from the first line: to the messages' },
  { keys: 'PgUp PgDn', does: 'scroll; Ctrl+L: to the end again' },
  { keys: 'Ctrl+O', does: 'send a file' },
  { keys: 'Ctrl+F', does: 'search this conversation' },
  { keys: 'Ctrl+A E', does: 'to the beginning, the end' },
  { keys: 'Ctrl+U K W', does: 'erase before, after, a word' },
  { keys: 'Alt+← →', does: 'by words' },
  { keys: 'Esc Tab', does: 'to the list; Esc first ends an answer' },
  { keys: 'F1 Ctrl+G', does: 'this help' },
  { keys: 'Ctrl+C', does: 'quit' },
];

const MESSAGE_KEYS: readonly KeyHelp[] = [
  { keys: '↑ ↓ j k', does: 'another message' },
  { keys: 'Home End', does: 'the first that is loaded, the last' },
  { keys: 'r', does: 'answer' },
  { keys: 'e', does: 'react' },
  { keys: 'E', does: 'edit what you sent' },
  { keys: 'o', does: 'save a file' },
  { keys: 'd', does: 'delete, for you or for everyone' },
  { keys: 'Enter i', does: 'where it is stored, when it arrived' },
  { keys: 's', does: 'send a failed one again' },
  { keys: 'Esc', does: 'back to writing' },
];

export function helpLines(): readonly string[] {
  const table = (title: string, keys: readonly KeyHelp[]) => [
    title,
    ...keys.map((one) => `  ${one.keys.padEnd(11)} ${one.does}`),
    '',
  ];
  return [
    ...table('In the list', LIST_KEYS),
    ...table('Writing', WRITE_KEYS),
    ...table('On a message', MESSAGE_KEYS),
    'Your messages',
    `  ${'…'.padEnd(11)} on the way`,
    `  ${'✓'.padEnd(11)} stored by the swarm`,
    `  ${'✓✓'.padEnd(11)} delivered`,
    `  ${'✓✓✓'.padEnd(11)} read`,
    `  ${'✗'.padEnd(11)} not sent`,
  ];
}
