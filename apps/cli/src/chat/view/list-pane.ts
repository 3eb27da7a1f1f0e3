// SPDX-License-Identifier: AGPL-3.0-or-later
// The list: conversations, then requests; two rows each, the name above what was said last.
import { Box } from 'ink';
import { createElement as h, type ReactElement } from 'react';
import { cut, padded, wrapped } from '../cells.ts';
import { divider, listTime, type Span } from '../rows.ts';
import type { ListItem } from '../store.ts';
import { line } from './line.ts';

interface ListPaneProps {
  readonly items: readonly ListItem[];
  readonly index: number;
  readonly openId: string | undefined;
  readonly isFocused: boolean;
  readonly isLoaded: boolean;
  readonly width: number;
  readonly height: number;
}

interface ListRow {
  readonly spans: readonly Span[];
  /** Of the item; −1: none. */
  readonly index: number;
}

export function ListPane({
  items,
  index,
  openId,
  isFocused,
  isLoaded,
  width,
  height,
}: ListPaneProps): ReactElement {
  const now = Date.now();
  const rows: ListRow[] = [];
  for (const [place, item] of items.entries()) {
    if (item.isRequest && items[place - 1]?.isRequest !== true) {
      const count = items.length - place;
      rows.push({
        spans: divider(`${count} ${count === 1 ? 'asks' : 'ask'} to write`, width).spans,
        index: -1,
      });
    }
    rows.push(...itemRows(item, place, { width, now, isOpen: item.id === openId }));
  }
  if (items.length === 0) {
    const hint = isLoaded ? 'No conversations yet. Press n to write to an account id.' : 'Loading …';
    for (const text of wrapped(hint, width - 2))
      rows.push({ spans: [{ text: ` ${text}`, dim: true }], index: -1 });
  }
  const selected = rows.findIndex((row) => row.index === index);
  const top = Math.max(0, Math.min(selected - Math.floor(height / 2), rows.length - height));
  const lines = rows
    .slice(top, top + height)
    .map((row, at) => line(String(at), row.spans, width, isFocused && row.index === index && index >= 0));
  while (lines.length < height) lines.push(line(String(lines.length), [], width));
  return h(Box, { flexDirection: 'column', width, height }, ...lines);
}

function itemRows(
  item: ListItem,
  index: number,
  { width, now, isOpen }: { width: number; now: number; isOpen: boolean },
): readonly ListRow[] {
  const time = listTime(item.at, now);
  const signs = `${item.isPinned ? ' ^' : ''}${item.isMuted ? ' ~' : ''}`;
  const count =
    item.unread === 0 ? (item.isMarkedUnread ? '*' : '') : item.unread > 99 ? '99+' : String(item.unread);
  const isNew = item.unread > 0 && !item.isMuted;
  const nameWidth = Math.max(1, width - 3 - time.length - signs.length);
  const previewWidth = Math.max(1, width - 3 - count.length);
  const gutter: Span = { text: isOpen ? '▌' : ' ', color: 'cyan' };
  const preview = item.isTyping ? 'is typing …' : item.preview;
  return [
    {
      index,
      spans: [
        gutter,
        { text: padded(cut(item.title, nameWidth), nameWidth), bold: isNew || isOpen },
        { text: signs, dim: true },
        { text: ` ${time}`, dim: true },
      ],
    },
    {
      index,
      spans: [
        gutter,
        { text: padded(cut(preview, previewWidth), previewWidth), dim: true },
        { text: count === '' ? '' : ` ${count}`, bold: true, color: 'green' },
      ],
    },
  ];
}
