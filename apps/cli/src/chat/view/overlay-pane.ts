// SPDX-License-Identifier: AGPL-3.0-or-later
// What stands in place of the conversation for a while: a text, a menu, a question.
import { Box } from 'ink';
import { createElement as h, type ReactElement } from 'react';
import { widthOf, wrapped } from '../cells.ts';
import { laidOut } from '../editor.ts';
import { divider, type Span } from '../rows.ts';
import { choicesOf, type Overlay } from '../ui-state.ts';
import { line } from './line.ts';

/** Ours. */
const LEAST_BESIDE = 3;

interface OverlayPaneProps {
  readonly overlay: Overlay;
  readonly width: number;
  readonly height: number;
}

export function OverlayPane({ overlay, width, height }: OverlayPaneProps): ReactElement {
  const body = Math.max(1, height - 2);
  const rows = overlayRows(overlay, width, body);
  const lines = [
    line(
      'title',
      divider(overlay.title, width).spans.map((span) => ({ ...span, bold: true, dim: false })),
      width,
    ),
    ...rows.map(({ spans, isChosen }, at) => line(`o${at}`, spans, width, isChosen)),
  ];
  while (lines.length < height - 1) lines.push(line(`e${lines.length}`, [], width));
  if (height > 2) lines.push(line('keys', [{ text: ` ${keysOf(overlay)}`, dim: true }], width));
  return h(Box, { flexDirection: 'column', width, height }, ...lines.slice(0, height));
}

/** Rows that it takes, of at most `most`; all of them where little would be left beside it. */
export function overlayHeight(overlay: Overlay, width: number, most: number): number {
  const needed = overlayRows(overlay, width, Number.MAX_SAFE_INTEGER).length + 2;
  return most - needed < LEAST_BESIDE ? most : needed;
}

interface OverlayRow {
  readonly spans: readonly Span[];
  readonly isChosen?: boolean;
}

function overlayRows(overlay: Overlay, width: number, height: number): readonly OverlayRow[] {
  if (overlay.kind === 'panel') {
    const lines = overlay.lines.flatMap((text) => wrapIndented(text, width - 2));
    const top = Math.min(overlay.top, Math.max(0, lines.length - height));
    return lines.slice(top, top + height).map((text) => ({ spans: [{ text: ` ${text}` }] }));
  }
  if (overlay.kind === 'prompt') {
    const { lines } = laidOut(overlay.draft, width - 4);
    return [
      overlay.error === undefined
        ? { spans: [{ text: ` ${overlay.hint}`, dim: true }] }
        : { spans: [{ text: ` ✗ ${overlay.error}`, color: 'red' }] },
      ...lines.slice(-Math.max(1, height - 1)).map((text, row) => ({
        spans: [{ text: row === 0 ? ' > ' : '   ', bold: true }, { text }],
      })),
    ];
  }
  const choices = choicesOf(overlay);
  const head: OverlayRow[] =
    overlay.filter === undefined ? [] : [{ spans: [{ text: ' / ', bold: true }, { text: overlay.filter }] }];
  const room = Math.max(1, height - head.length);
  const top = Math.max(0, Math.min(overlay.index - Math.floor(room / 2), choices.length - room));
  const rows = choices.slice(top, top + room).map(({ key, label }, at) => ({
    isChosen: top + at === overlay.index,
    spans: [{ text: key === undefined ? ' ' : ` ${key}  `, bold: true }, { text: label }],
  }));
  if (choices.length === 0)
    return [...head, { spans: [{ text: ` ${overlay.empty ?? 'nothing'}`, dim: true }] }];
  return [...head, ...rows];
}

/** Continued lines stand below the text, not below its name. */
function wrapIndented(text: string, width: number): readonly string[] {
  if (widthOf(text) <= width) return [text];
  const indent = /^(?: *\S+(?: \S+)* {2,}| *)/.exec(text)?.[0].length ?? 0;
  const room = Math.max(10, width - Math.min(indent, width - 10));
  const [first = '', ...rest] = wrapped(text.slice(indent), room);
  return [text.slice(0, indent) + first, ...rest.map((one) => ' '.repeat(indent) + one)];
}

function keysOf(overlay: Overlay): string {
  if (overlay.kind === 'prompt') return overlay.isBusy === true ? '…' : 'Enter: done · Esc: not';
  if (overlay.kind === 'panel') return '↑ ↓ PgUp PgDn: scroll · Esc: back';
  return overlay.filter === undefined
    ? '↑ ↓ Enter or the key: choose · Esc: back'
    : 'type to narrow · ↑ ↓ Enter: choose · Esc: back';
}
