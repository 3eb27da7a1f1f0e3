// SPDX-License-Identifier: AGPL-3.0-or-later
// The open conversation: who it is with, its messages, and the text that is being written.
import { Box } from 'ink';
import { createElement as h, type ReactElement } from 'react';
import { cut, shownInLine, widthOf } from '../cells.ts';
import type { Geometry } from '../geometry.ts';
import { isSame } from '../history-window.ts';
import type { Row } from '../rows.ts';
import { type OpenConversation, previewOf } from '../store.ts';
import type { UiState } from '../ui-state.ts';
import { line } from './line.ts';

interface MessagesProps {
  readonly open: OpenConversation;
  readonly ui: UiState;
  readonly rows: readonly Row[];
  readonly width: number;
  readonly height: number;
}

interface ChatPaneProps {
  readonly open: OpenConversation | undefined;
  readonly ui: UiState;
  readonly geometry: Geometry;
  readonly rows: readonly Row[];
  /** Rows below the view. */
  readonly below: number;
  readonly isTyping: boolean;
  readonly nameOfReply: string;
}

/** Code points, spec/client §3.5. */
const MAX_TEXT = 2_000;
const WARN_TEXT = 1_800;

export function ChatPane(props: ChatPaneProps): ReactElement {
  const { open, geometry, ui, rows } = props;
  const { chatWidth: width, bodyHeight: height, messagesHeight } = geometry;
  if (open === undefined) return emptyPane(width, height);
  const lines = [...messageLines({ open, ui, rows, width, height: messagesHeight }), ...draftLines(props)];
  return h(Box, { flexDirection: 'column', width, height }, ...lines);
}

function emptyPane(width: number, height: number): ReactElement {
  const middle = Math.floor(height / 2);
  const texts = new Map([
    [middle - 1, 'Choose a conversation with ↑ ↓ and Enter,'],
    [middle, 'or press n to write to somebody. ? shows all keys.'],
  ]);
  const lines = Array.from({ length: height }, (_, row) => {
    const text = cut(texts.get(row) ?? '', width);
    return line(
      String(row),
      [{ text: ' '.repeat(Math.floor((width - widthOf(text)) / 2)) }, { text, dim: true }],
      width,
    );
  });
  return h(Box, { flexDirection: 'column', width, height }, ...lines);
}

/** The messages alone, above an overlay. */
export function MessagesPane(props: MessagesProps): ReactElement {
  const { width, height } = props;
  return h(Box, { flexDirection: 'column', width, height }, ...messageLines(props));
}

function messageLines({ open, ui, rows, width, height }: MessagesProps): readonly ReactElement[] {
  const blank = height - rows.length;
  const lines: ReactElement[] = [];
  for (let row = 0; row < blank; row++) {
    const text = row === blank - 1 && rows.length === 0 ? firstWords(open) : '';
    lines.push(line(`b${row}`, [{ text: `  ${text}`, dim: true }], width));
  }
  for (const [at, row] of rows.entries()) {
    const isPicked = ui.focus === 'select' && ui.picked !== undefined && row.message !== undefined;
    const picked = isPicked && isSame(row.message!, ui.picked!);
    // The margin of every row of a message are two blanks.
    const spans = picked
      ? [{ text: '▌ ', color: 'cyan' as const, bold: true }, ...withoutMargin(row)]
      : row.spans;
    lines.push(line(`m${at}`, spans, width));
  }
  return lines;
}

function withoutMargin(row: Row): Row['spans'] {
  const [first, ...rest] = row.spans;
  return first === undefined ? [] : [{ ...first, text: first.text.slice(2) }, ...rest];
}

function firstWords({ isOwn, title }: OpenConversation): string {
  return isOwn
    ? 'What you write here only your own devices get.'
    : `The first message to ${title}: they are asked whether they want to hear from you.`;
}

function draftLines({
  open,
  ui,
  geometry,
  below,
  isTyping,
  nameOfReply,
}: ChatPaneProps): readonly ReactElement[] {
  const { chatWidth: width, draft, draftTop, draftHeight, hasReply } = geometry;
  const { isRequest = false, isBlocked = false, hasNewer = false, title = '' } = open ?? {};
  const length = ui.draft.text.length > WARN_TEXT ? [...ui.draft.text].length : 0;
  const notes = [
    ...(isTyping ? [`${title} is typing …`] : []),
    ...(isBlocked ? ['blocked'] : []),
    ...(isRequest ? ['writing accepts the request'] : []),
    ...(below > 0 || hasNewer ? ['newer messages below: Ctrl+L'] : []),
    ...(length > WARN_TEXT ? [`${length} of ${MAX_TEXT} characters`] : []),
  ];
  const note = notes.length === 0 ? '' : ` ${notes.join(' · ')} `;
  const rule = cut(`──${note}`, width);
  const lines = [
    line('rule', [{ text: rule + '─'.repeat(Math.max(0, width - widthOf(rule))), dim: true }], width),
  ];
  const about = ui.editing?.message ?? ui.replyTo;
  if (hasReply && about !== undefined) {
    const what = ui.editing === undefined ? `answer to ${nameOfReply}` : 'new version of';
    const text = `  ${what}: ${previewOf(about)}`;
    lines.push(line('reply', [{ text: cut(text, width - 1), dim: true }], width));
  }
  const isActive = ui.focus === 'compose' && ui.overlay === undefined;
  for (let row = 0; row < draftHeight; row++) {
    const text = draft.lines[draftTop + row] ?? '';
    const isEmpty = ui.draft.text === '' && row === 0;
    const hint = isActive ? `Write to ${shownInLine(title)}` : 'Enter or Tab to write';
    lines.push(
      line(
        `d${row}`,
        [
          { text: row === 0 ? '> ' : '  ', bold: isActive, dim: !isActive },
          isEmpty ? { text: hint, dim: true } : { text },
        ],
        width,
      ),
    );
  }
  return lines;
}
