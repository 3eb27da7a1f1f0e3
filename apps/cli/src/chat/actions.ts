// SPDX-License-Identifier: AGPL-3.0-or-later
// Menus and prompts: what can be done with a conversation, a message, a contact, the account.
import type { Contact } from '@allium/client/contacts';
import type { StoredMessage, Timer } from '@allium/client/storage';
import { TIMER_SECONDS } from '@allium/client/timers';
import { shortId } from '@allium/protocol/account-id';
import { durationText } from '../durations.ts';
import { contactCalled } from '../recipient.ts';
import type { AppLock } from './app-lock.ts';
import { shownInLine } from './cells.ts';
import type { ChatController } from './controller.ts';
import { draftOf, EMPTY_DRAFT } from './editor.ts';
import { searchPrompt } from './file-actions.ts';
import type { ListItem } from './store.ts';
import type { Choice, Menu, Overlay, Panel } from './ui-state.ts';

/** Ours. */
const EMOJI = ['👍', '❤️', '😂', '😮', '😢', '🙏', '🎉', '🔥'] as const;
const FOR_EVER = Number.MAX_SAFE_INTEGER;
const LOCK_MINUTES = [1, 5, 15, 60] as const;

/** What a key of the list leads to; undefined: nothing, or it was done at once. */
export function conversationMenu(
  chat: ChatController,
  input: string,
  item: ListItem | undefined,
): Overlay | undefined {
  const { store } = chat;
  const { client } = store;
  switch (input) {
    case 'n':
      return newConversation(chat);
    case '/':
      return finder(chat);
    case 'c':
      return contactList(chat);
    case 's':
      return settings(chat);
    case 'f':
      return searchPrompt(chat, undefined);
    case 'i':
      return networkPanel(chat);
    default:
  }
  if (item === undefined) return undefined;
  const conversation = client.conversation(item.id);
  const then = (work: () => Promise<unknown>) => {
    void store.attempt(async () => {
      await work();
      store.touched(item.id);
    });
    return undefined;
  };
  if (item.isRequest) {
    if (input === 'a') return then(() => conversation.approve());
    if (input === 'x') {
      return confirm(
        `Decline ${item.title}? The messages are deleted; nobody is told.`,
        'Decline',
        async () => {
          await conversation.decline();
          if (store.snapshot().open?.id === item.id) chat.closeConversation();
          store.touched(item.id);
        },
      );
    }
    if (input === 'b') return blockMenu(chat, item.id);
    return undefined;
  }
  if (input === 'p') return then(() => conversation.change({ pin: item.isPinned ? undefined : 1 }));
  if (input === 'm')
    return then(() => conversation.change({ mutedUntil: item.isMuted ? undefined : FOR_EVER }));
  if (input === 'u') return then(() => conversation.markUnread());
  if (input === 'b') return blockMenu(chat, item.id);
  if (input === 't') return timerMenu(chat, item.id);
  if (input === 'h') {
    return then(async () => {
      await conversation.hide();
      if (store.snapshot().open?.id === item.id) chat.closeConversation();
      store.notice(`${item.title} is hidden until the next message.`);
    });
  }
  return undefined;
}

export function reactionMenu(chat: ChatController, message: StoredMessage): Menu {
  const { store } = chat;
  const own = store.client.id;
  const mine = new Set(
    (message.marks?.reactions ?? []).filter(({ by, on }) => on && by === own).map((one) => one.emoji),
  );
  const conversation = store.client.conversation(message.conversation);
  const react = (emoji: string) => conversation.react(message, emoji, { remove: mine.has(emoji) });
  const choices: Choice[] = [...new Set([...EMOJI, ...mine])].map((emoji, index) => ({
    key: String(index + 1),
    label: `${shownInLine(emoji)}${mine.has(emoji) ? '  (take back)' : ''}`,
    run: () => react(emoji),
  }));
  choices.push({
    key: 'o',
    label: 'another emoji',
    run: () =>
      chat.show({
        kind: 'prompt',
        title: 'React',
        hint: 'one emoji',
        draft: EMPTY_DRAFT,
        submit: (text) => react(text),
      }),
  });
  return { kind: 'menu', title: 'React', choices, index: 0 };
}

export function deleteMenu(chat: ChatController, message: StoredMessage): Menu {
  const { store } = chat;
  const conversation = store.client.conversation(message.conversation);
  const mayTakeBack = message.sender === store.client.id && message.marks?.deletedAt === undefined;
  const everyone: Choice = {
    key: 'e',
    label: 'for everyone: their clients are asked to delete it too',
    run: () => conversation.deleteForEveryone(message.timestamp),
  };
  const here: Choice = {
    key: 'm',
    label: 'for me: from this device only; nobody is told',
    run: () => store.deleteForMe(message),
  };
  return {
    kind: 'menu',
    title: 'Delete the message',
    choices: mayTakeBack ? [here, everyone] : [here],
    index: 0,
  };
}

function newConversation(chat: ChatController): Overlay {
  return {
    kind: 'prompt',
    title: 'Write to',
    hint: 'account id, what you call a contact, or a name of the network',
    draft: EMPTY_DRAFT,
    submit: async (text) => {
      const { client } = chat.store;
      if (/^05/i.test(text)) return chat.open(client.conversation(text.toLowerCase()).id);
      const called = contactCalled(client, text);
      if (called !== undefined) return chat.open(called);
      chat.store.notice(`Asking the network who ${shownInLine(text)} is …`);
      const id = await client.resolve(text);
      chat.store.notice(`${shownInLine(text)} is ${shortId(id)}.`);
      return chat.open(id);
    },
  };
}

/** Conversations and contacts by name or id. */
function finder(chat: ChatController): Menu {
  const { store } = chat;
  const { conversations, requests } = store.snapshot();
  const known = new Set([...conversations, ...requests].map(({ id }) => id));
  const others = store.client.contacts().filter(({ id, blocked }) => !known.has(id) && !blocked);
  const all = [...conversations, ...requests, ...others.map(({ id }) => ({ id, title: store.titleOf(id) }))];
  return {
    kind: 'menu',
    title: 'Find',
    filter: '',
    index: 0,
    empty: 'nobody of that name',
    choices: all.map(({ id, title }) => ({ label: named(title, id), run: () => chat.open(id) })),
  };
}

/** Two people may have one name. */
const named = (title: string, id: string): string =>
  title === shortId(id) ? title : `${title}  ${shortId(id)}`;

function contactList(chat: ChatController): Menu {
  const { store } = chat;
  const contacts = [...store.client.contacts()].sort((a, b) =>
    store.titleOf(a.id).localeCompare(store.titleOf(b.id)),
  );
  return {
    kind: 'menu',
    title: 'Contacts',
    filter: '',
    index: 0,
    empty: 'nobody yet: n in the list writes to an account id',
    choices: contacts.map((contact) => ({
      label: named(store.titleOf(contact.id), contact.id) + stateOf(contact),
      run: () => chat.show(contactMenu(chat, contact)),
    })),
  };
}

function stateOf({ approved, approvedMe, blocked }: Contact): string {
  if (blocked) return '  blocked';
  if (!approved) return '  asks to write';
  return approvedMe ? '' : '  has not answered yet';
}

function contactMenu(chat: ChatController, { id, approved, blocked }: Contact): Menu {
  const { store } = chat;
  const conversation = store.client.conversation(id);
  const choices: Choice[] = [
    { key: 'w', label: 'write', run: () => chat.open(id) },
    {
      key: 'i',
      label: 'show the account id',
      run: () => chat.show({ kind: 'panel', title: store.titleOf(id), lines: [id], top: 0 }),
    },
  ];
  choices.push({
    key: 'n',
    label: 'call by another name',
    run: () =>
      chat.show({
        kind: 'prompt',
        title: 'Name',
        hint: 'only you see it; empty: as they call themselves',
        draft: draftOf(conversation.contact.nickname ?? ''),
        submit: async (name) => {
          await conversation.setNickname(name === '' ? undefined : name);
          store.touched(id);
        },
      }),
  });
  if (!approved && !blocked) choices.push({ key: 'a', label: 'accept', run: () => conversation.approve() });
  choices.push(
    blocked
      ? { key: 'u', label: 'unblock', run: () => conversation.unblock() }
      : { key: 'b', label: 'block', run: () => chat.show(blockMenu(chat, id)) },
  );
  return { kind: 'menu', title: store.titleOf(id), choices, index: 0 };
}

function blockMenu(chat: ChatController, id: string): Menu {
  const { store } = chat;
  return confirm(
    `Block ${store.titleOf(id)}? What they send is dropped; they are not told.`,
    'Block',
    async () => {
      await store.client.conversation(id).block();
      if (store.snapshot().open?.id === id) chat.closeConversation();
      store.touched(id);
    },
  );
}

function timerMenu(chat: ChatController, id: string): Menu {
  const { store } = chat;
  const conversation = store.client.conversation(id);
  const { timer: now } = conversation;
  const of = (timer: Timer | undefined, label: string): Choice => ({
    label: `${now?.mode === timer?.mode && now?.seconds === timer?.seconds ? '• ' : '  '}${label}`,
    run: async () => {
      await conversation.setTimer(timer);
      store.touched(id);
    },
  });
  // In one's own notes nobody else reads.
  const modes = id === store.client.id ? (['after_send'] as const) : (['after_read', 'after_send'] as const);
  return {
    kind: 'menu',
    title: 'What you send disappears',
    index: 0,
    choices: [
      of(undefined, 'never'),
      ...modes.flatMap((mode) =>
        TIMER_SECONDS[mode].map((seconds) =>
          of(
            { mode, seconds },
            `${durationText(seconds)} after being ${mode === 'after_read' ? 'read' : 'sent'}`,
          ),
        ),
      ),
    ],
  };
}

function settings(chat: ChatController): Menu {
  const { store } = chat;
  const { client } = store;
  const { deliveryReceipts, readReceipts, typingIndicators } = client.settings;
  const toggle = (key: string, label: string, name: keyof typeof client.settings, isOn: boolean): Choice => ({
    key,
    label: `[${isOn ? 'x' : ' '}] ${label}`,
    run: async () => {
      await client.changeSettings({ [name]: !isOn });
      chat.show(settings(chat));
    },
  });
  return {
    kind: 'menu',
    title: 'Settings',
    index: 0,
    choices: [
      {
        key: 'n',
        label: `Name: ${shownInLine(client.profile.name ?? '') || 'none yet'}`,
        run: () =>
          chat.show({
            kind: 'prompt',
            title: 'Your name',
            hint: 'others learn it with your next message',
            draft: draftOf(client.profile.name ?? ''),
            submit: (name) => client.setProfile({ ...client.profile, name }),
          }),
      },
      toggle('d', 'confirm what arrives', 'deliveryReceipts', deliveryReceipts),
      toggle('r', 'tell what you have read, and see it', 'readReceipts', readReceipts),
      toggle('t', 'tell that you type, and see it', 'typingIndicators', typingIndicators),
      {
        key: 'l',
        label: `Lock: ${chat.appLock === undefined ? 'not without a passphrase' : lockText(chat.appLock.afterMinutes)}`,
        run: () => (chat.appLock === undefined ? chat.lock() : chat.show(lockMenu(chat, chat.appLock))),
      },
    ],
  };
}

function lockMenu(chat: ChatController, lock: AppLock): Menu {
  const choices = [undefined, ...LOCK_MINUTES].map((minutes) => ({
    label: `${minutes === lock.afterMinutes ? '• ' : '  '}${lockText(minutes)}`,
    run: () => {
      lock.changeAfter(minutes);
      chat.show(settings(chat));
    },
  }));
  return {
    kind: 'menu',
    title: 'Lock',
    index: 0,
    choices: [...choices, { key: 'n', label: '  now', run: () => lock.lock() }],
  };
}

const lockText = (minutes: number | undefined): string =>
  minutes === undefined ? 'only by Ctrl+X' : `after ${durationText(minutes * 60)} without a key`;

function networkPanel(chat: ChatController): Panel {
  const { client } = chat.store;
  const { status, nodes, paths, ownSwarm, clockOffsetMs, lastError, trust } = client.health();
  const lines = [
    'Your account id',
    client.id,
    '',
    `State       ${status}${lastError === undefined ? '' : `, last trouble: ${lastError}`}`,
    `Nodes       ${nodes} known, ${ownSwarm} keep your messages; the list is ${trust.state}`,
    `Clock       ${Math.round(clockOffsetMs)} ms off the network`,
  ];
  for (const [index, { state, probeMs, hops }] of paths.entries()) {
    lines.push(
      '',
      `Path ${index + 1}      ${state}${probeMs === undefined ? '' : `, ${Math.round(probeMs)} ms`}`,
    );
    lines.push('  you');
    for (const [place, { ed25519Hex, host, httpsPort }] of hops.entries()) {
      const role = place === 0 ? '  sees you' : place === hops.length - 1 ? '  sees whom you ask' : '';
      lines.push(`  └ ${ed25519Hex.slice(0, 8)}  ${host}:${httpsPort}${role}`);
    }
  }
  return { kind: 'panel', title: 'Network', lines, top: 0 };
}

function confirm(title: string, label: string, run: () => Promise<unknown>): Menu {
  return {
    kind: 'menu',
    title,
    index: 0,
    choices: [
      { key: 'n', label: 'No', run: () => undefined },
      { key: 'y', label: `Yes: ${label.toLowerCase()}`, run },
    ],
  };
}
