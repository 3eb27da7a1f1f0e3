// SPDX-License-Identifier: AGPL-3.0-or-later
// What the terminal shows at the moment, besides the data of the store.
import type { StoredMessage } from '@allium/client/storage';
import type { Draft } from './editor.ts';

/** Text to read and scroll. */
export interface Panel {
  readonly kind: 'panel';
  readonly title: string;
  readonly lines: readonly string[];
  readonly top: number;
}

export interface Choice {
  /** A key that chooses it at once. */
  readonly key?: string;
  readonly label: string;
  readonly run: () => unknown;
}

export interface Menu {
  readonly kind: 'menu';
  readonly title: string;
  readonly choices: readonly Choice[];
  readonly index: number;
  /** Undefined: letters are keys of choices; else they narrow the choices. */
  readonly filter?: string;
  readonly empty?: string;
}

export interface Prompt {
  readonly kind: 'prompt';
  readonly title: string;
  readonly hint: string;
  readonly draft: Draft;
  /** Why the last answer was not taken. */
  readonly error?: string;
  /** The answer is being worked on; keys wait for that. */
  readonly isBusy?: boolean;
  /** The prompt stays, with the text and the error, when this throws. */
  readonly submit: (text: string) => unknown;
}

export type Overlay = Panel | Menu | Prompt;

export interface UiState {
  /** Where keys go when there is no overlay. `select`: to one message of the open conversation. */
  readonly focus: 'list' | 'compose' | 'select';
  readonly overlay: Overlay | undefined;
  /** Of the list. */
  readonly selectedId: string | undefined;
  readonly draft: Draft;
  readonly replyTo: StoredMessage | undefined;
  /** The message that the draft is a new version of, and the draft that waits meanwhile. */
  readonly editing: { readonly message: StoredMessage; readonly draft: Draft } | undefined;
  readonly picked: Pick<StoredMessage, 'sender' | 'timestamp'> | undefined;
  /** Rows between the end of the conversation and the lowest one that is shown, as of the row that stands there. */
  readonly bottom: { readonly sender: string; readonly timestamp: number; readonly row: number } | undefined;
  readonly columns: number;
  readonly rows: number;
}

export const choicesOf = (menu: Menu): readonly Choice[] => {
  const filter = menu.filter?.toLowerCase() ?? '';
  return filter === ''
    ? menu.choices
    : menu.choices.filter(({ label }) => label.toLowerCase().includes(filter));
};
