// SPDX-License-Identifier: AGPL-3.0-or-later
// The whole screen: title, list, conversation or overlay, footer.
import type { StoredMessage } from '@allium/client/storage';
import { shortId } from '@allium/protocol/account-id';
import { Box, useCursor, useInput, usePaste, useWindowSize } from 'ink';
import { createElement as h, type ReactElement, useEffect, useSyncExternalStore } from 'react';
import { cut, padded, widthOf } from '../cells.ts';
import type { ChatController } from '../controller.ts';
import { laidOut } from '../editor.ts';
import { hasFiles } from '../file-actions.ts';
import { FEWEST_COLUMNS, FEWEST_ROWS, type Geometry } from '../geometry.ts';
import { pasteText, pressKey } from '../press.ts';
import type { ChatSnapshot } from '../store.ts';
import type { UiState } from '../ui-state.ts';
import { ChatPane, MessagesPane } from './chat-pane.ts';
import { line } from './line.ts';
import { ListPane } from './list-pane.ts';
import { OverlayPane, overlayHeight } from './overlay-pane.ts';

/** With keys, cursor and size of the terminal. */
export function App({ controller }: { readonly controller: ChatController }): ReactElement {
  const { columns, rows } = useWindowSize();
  useEffect(() => controller.resize(columns, rows), [controller, columns, rows]);
  useInput((input, key) => pressKey(controller, input, key));
  usePaste((text) => pasteText(controller, text));
  const ui = useSyncExternalStore(controller.subscribe, controller.state);
  const { setCursorPosition } = useCursor();
  setCursorPosition(cursorOf(ui, controller.geometry()));
  return h(Screen, { controller });
}

/** What is shown; needs no terminal. */
export function Screen({ controller }: { readonly controller: ChatController }): ReactElement {
  const ui = useSyncExternalStore(controller.subscribe, controller.state, controller.state);
  const { store } = controller;
  const chat = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot);
  const { columns, rows: height } = ui;
  if (columns < FEWEST_COLUMNS || height < FEWEST_ROWS) {
    return line(
      'small',
      [{ text: `The terminal is too small: ${FEWEST_COLUMNS}×${FEWEST_ROWS} is the least.` }],
      columns,
    );
  }
  const geometry = controller.geometry();
  const { listWidth, chatWidth, bodyHeight } = geometry;
  const { items, index } = controller.listed();
  const panes: ReactElement[] = [];
  if (listWidth > 0 && !(chatWidth === 0 && ui.overlay !== undefined)) {
    panes.push(
      h(ListPane, {
        key: 'list',
        items,
        index,
        openId: chat.open?.id,
        isFocused: ui.focus === 'list' && ui.overlay === undefined,
        isLoaded: chat.isLoaded,
        width: listWidth,
        height: bodyHeight,
      }),
    );
  }
  if (listWidth > 0 && chatWidth > 0) {
    const border = Array.from({ length: bodyHeight }, (_, row) =>
      line(String(row), [{ text: '│', dim: true }], 1),
    );
    panes.push(h(Box, { key: 'border', flexDirection: 'column', width: 1, height: bodyHeight }, ...border));
  }
  const width = chatWidth || listWidth;
  if (ui.overlay !== undefined) {
    const { overlay } = ui;
    const height = overlayHeight(overlay, width, bodyHeight);
    const above = bodyHeight - height;
    const { open } = chat;
    const parts: ReactElement[] = [h(OverlayPane, { key: 'overlay', overlay, width, height })];
    if (above > 0) {
      const { rows } = open === undefined ? { rows: [] } : controller.view(above, width);
      parts.unshift(
        open === undefined
          ? h(Box, { key: 'above', height: above })
          : h(MessagesPane, { key: 'above', open, ui, rows, width, height: above }),
      );
    }
    panes.push(h(Box, { key: 'sheet', flexDirection: 'column', width }, ...parts));
  } else if (chatWidth > 0) {
    const { rows, below } = controller.view(geometry.messagesHeight, chatWidth);
    const isTyping = items.some(({ id, isTyping: types }) => types && id === chat.open?.id);
    const nameOfReply =
      ui.replyTo === undefined
        ? ''
        : ui.replyTo.sender === chat.ownId
          ? 'you'
          : store.titleOf(ui.replyTo.sender);
    panes.push(
      h(ChatPane, { key: 'chat', open: chat.open, ui, geometry, rows, below, isTyping, nameOfReply }),
    );
  }
  return h(
    Box,
    { flexDirection: 'column', width: columns, height },
    title(chat, ui, store.client.profile.name),
    h(Box, { key: 'body', flexDirection: 'row', height: bodyHeight }, ...panes),
    footer(chat, ui, controller.pickedMessage()),
  );
}

const STATUS = { connecting: 'connecting …', online: 'online', offline: 'offline, trying again' } as const;

function title({ ownId, status, open, conversations }: ChatSnapshot, ui: UiState, name = ''): ReactElement {
  const unread = conversations.reduce((sum, item) => sum + (item.isMuted ? 0 : item.unread), 0);
  const who = name === '' ? shortId(ownId) : name;
  const where = open === undefined ? '' : `  ›  ${open.title}`;
  const right = `${unread > 0 ? `${unread} unread · ` : ''}${STATUS[status]} `;
  const left = cut(` ${who}${where}`, Math.max(0, ui.columns - widthOf(right) - 1));
  return line(
    'title',
    [{ text: padded(left, ui.columns - widthOf(right)), bold: true }, { text: right }],
    ui.columns,
    true,
  );
}

function footer(
  { notice, requests, open, ownId }: ChatSnapshot,
  ui: UiState,
  picked: StoredMessage | undefined,
): ReactElement {
  if (notice !== undefined) return line('footer', [{ text: ` ${notice}`, bold: true }], ui.columns);
  const isRequest = requests.some(({ id }) => id === ui.selectedId);
  const text =
    ui.focus === 'compose'
      ? 'Enter send · Alt+Enter new line · ↑ messages · Esc list · F1 keys'
      : ui.focus === 'select'
        ? [...(picked === undefined ? [] : keysOn(picked, ownId)), 'Esc write', '? keys'].join(' · ')
        : isRequest
          ? 'Enter read · a accept · x decline · b block · ? keys'
          : `Enter ${open === undefined ? 'open' : 'write'} · n new · / find · c contacts · s settings · ? keys · q quit`;
  return line('footer', [{ text: ` ${text}`, dim: true }], ui.columns);
}

/** What can be done with a message, as `actOn` of press.ts does it. */
function keysOn(message: StoredMessage, ownId: string): readonly string[] {
  if (message.marks?.deletedAt !== undefined) return ['d delete', 'i details'];
  const isOwn = message.sender === ownId;
  return [
    'r answer',
    'e react',
    ...(isOwn && message.text !== '' ? ['E edit'] : []),
    ...(hasFiles(message) ? ['o save'] : []),
    ...(message.state === 'failed' ? ['s send again'] : []),
    'd delete',
    'i details',
  ];
}

/** Where the terminal's cursor stands: input methods and screen readers follow it. */
function cursorOf(ui: UiState, geometry: Geometry): { x: number; y: number } | undefined {
  const left = geometry.listWidth > 0 && geometry.chatWidth > 0 ? geometry.listWidth + 1 : 0;
  if (ui.columns < FEWEST_COLUMNS || ui.rows < FEWEST_ROWS) return undefined;
  if (ui.overlay !== undefined) {
    const width = geometry.chatWidth || geometry.listWidth;
    // The row below the title of the overlay.
    const top = 2 + geometry.bodyHeight - overlayHeight(ui.overlay, width, geometry.bodyHeight);
    if (ui.overlay.kind === 'prompt') {
      const { row, column } = laidOut(ui.overlay.draft, width - 4);
      return { x: left + 3 + column, y: top + 1 + row };
    }
    if (ui.overlay.kind === 'panel' || ui.overlay.filter === undefined) return undefined;
    return { x: left + 3 + widthOf(ui.overlay.filter), y: top };
  }
  if (ui.focus !== 'compose') return undefined;
  const { draft, draftTop, draftHeight } = geometry;
  const row = Math.min(draftHeight - 1, Math.max(0, draft.row - draftTop));
  return { x: left + 2 + draft.column, y: ui.rows - 1 - draftHeight + row };
}
