// SPDX-License-Identifier: AGPL-3.0-or-later
// Files in and out, and finding messages by what they say.
import { existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { attachmentOf, saveFile } from '@allium/client/node/save-file';
import type { StoredMessage } from '@allium/client/storage';
import { parseAccountId } from '@allium/protocol/account-id';
import { shownInLine } from './cells.ts';
import type { ChatController } from './controller.ts';
import { draftOf, EMPTY_DRAFT } from './editor.ts';
import { fileLines, listTime } from './rows.ts';
import type { Choice, Menu, Overlay, Prompt } from './ui-state.ts';

/** Ours. */
const HITS = 50;

export const hasFiles = ({ attachments = [] }: StoredMessage): boolean => attachments.length > 0;

export function attachPrompt(chat: ChatController): Prompt {
  return {
    kind: 'prompt',
    title: 'Send a file',
    hint: 'its path; what is written goes along',
    draft: EMPTY_DRAFT,
    submit: async (text) => {
      const path = pathOf(text);
      if (!existsSync(path)) throw new Error(`there is no file ${path}`);
      if (!statSync(path).isFile()) throw new Error(`${path} is no file`);
      await chat.sendFile(attachmentOf(path));
    },
  };
}

/** Where to, and which of several. */
export function saveMenu(chat: ChatController, message: StoredMessage): Overlay {
  const lines = fileLines(message);
  const { attachments = [] } = message;
  if (attachments.length === 1) return savePrompt(chat, message, 0);
  const choices: Choice[] = attachments.map((_, index) => ({
    key: String(index + 1),
    label: lines[index] ?? '',
    run: () => chat.show(savePrompt(chat, message, index)),
  }));
  return { kind: 'menu', title: 'Save which file', choices, index: 0 };
}

function savePrompt(chat: ChatController, message: StoredMessage, index: number): Prompt {
  const downloads = join(homedir(), 'Downloads');
  return {
    kind: 'prompt',
    title: `Save ${fileLines(message)[index] ?? ''}`,
    hint: 'the folder; a file that is there is never changed',
    draft: draftOf(existsSync(downloads) ? downloads : process.cwd()),
    submit: async (folder) => {
      const { store } = chat;
      const path = pathOf(folder);
      if (!existsSync(path)) throw new Error(`there is no folder ${path}`);
      store.notice('Fetching …');
      const file = await store.client.files.open(message, index);
      store.notice(`Saved as ${await saveFile(file, path)}`);
    },
  };
}

/** `conversation`: in this one; undefined: in all. */
export function searchPrompt(chat: ChatController, conversation: string | undefined): Prompt {
  const where = conversation === undefined ? 'all messages' : chat.store.titleOf(conversation);
  return {
    kind: 'prompt',
    title: `Search ${where}`,
    hint: 'words in any order; "words in quotes" as they stand',
    draft: EMPTY_DRAFT,
    submit: async (text) => {
      if (text !== '') chat.show(await results(chat, text, conversation));
    },
  };
}

async function results(
  chat: ChatController,
  question: string,
  conversation: string | undefined,
): Promise<Menu> {
  const { store } = chat;
  const [, phrase] = /^"([^"]+)"$/.exec(question) ?? [];
  const { hits, next } = await store.client.search({
    ...(phrase === undefined ? { text: question } : { phrase }),
    ...(conversation !== undefined && { conversation: parseAccountId(conversation) }),
    limit: HITS,
  });
  const now = Date.now();
  return {
    kind: 'menu',
    title: `${hits.length}${next === undefined ? '' : ' newest'} found: ${shownInLine(question)}`,
    index: 0,
    empty: 'nothing says that',
    choices: hits.map(({ message, snippet }) => {
      const who = message.sender === store.client.id ? 'You' : store.titleOf(message.sender);
      const shown = shownInLine(snippet) || fileLines(message)[0];
      return {
        label: `${listTime(message.timestamp, now).padEnd(6)} ${who}: ${shown}`,
        run: () => chat.openAt(message),
      };
    }),
  };
}

const pathOf = (text: string): string => resolve(text.replace(/^~(?=\/|$)/, homedir()));
