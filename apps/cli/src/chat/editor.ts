// SPDX-License-Identifier: AGPL-3.0-or-later
// A text that is being written: pure steps on text and cursor, which always stands between two graphemes.
import { cut, graphemes, shown, widthOf } from './cells.ts';

export interface Draft {
  readonly text: string;
  /** UTF-16 offset. */
  readonly cursor: number;
}

export const EMPTY_DRAFT: Draft = { text: '', cursor: 0 };

export const draftOf = (text: string): Draft => ({ text, cursor: text.length });

/** Control characters never belong into a message. */
export function typed(draft: Draft, input: string): Draft {
  const clean = input.replace(/\r\n?/g, '\n').replace(/[^\P{Cc}\n\t]/gu, '');
  const text = draft.text.slice(0, draft.cursor) + clean + draft.text.slice(draft.cursor);
  return { text, cursor: draft.cursor + clean.length };
}

export function moved(
  draft: Draft,
  way: 'left' | 'right' | 'wordLeft' | 'wordRight' | 'home' | 'end',
): Draft {
  const { text, cursor } = draft;
  switch (way) {
    case 'left':
      return { text, cursor: before(draft) };
    case 'right':
      return { text, cursor: cursor + (graphemes(text.slice(cursor))[0]?.length ?? 0) };
    case 'wordLeft':
      return { text, cursor: wordStart(draft) };
    case 'wordRight':
      return { text, cursor: cursor + (/^\s*\S*/u.exec(text.slice(cursor))?.[0].length ?? 0) };
    case 'home':
      return { text, cursor: text.lastIndexOf('\n', cursor - 1) + 1 };
    case 'end': {
      const end = text.indexOf('\n', cursor);
      return { text, cursor: end < 0 ? text.length : end };
    }
  }
}

export function erased(draft: Draft, what: 'before' | 'after' | 'word' | 'toHome' | 'toEnd'): Draft {
  const { text, cursor } = draft;
  const between = (from: number, to: number): Draft => ({
    text: text.slice(0, from) + text.slice(to),
    cursor: from,
  });
  switch (what) {
    case 'before':
      return between(before(draft), cursor);
    case 'after':
      return between(cursor, moved(draft, 'right').cursor);
    case 'word':
      return between(wordStart(draft), cursor);
    case 'toHome':
      return between(moved(draft, 'home').cursor, cursor);
    case 'toEnd':
      return between(cursor, moved(draft, 'end').cursor);
  }
}

export interface DraftView {
  readonly lines: readonly string[];
  /** Of the cursor: line, and cells before it. */
  readonly row: number;
  readonly column: number;
}

/** The draft in lines of at most `width` cells; breaks anywhere, as nothing moves while one types. */
export function laidOut(draft: Draft, width: number): DraftView {
  const { lines, places } = layout(draft.text, width);
  const { row, column } = places.find(({ cursor }) => cursor >= draft.cursor) ?? places.at(-1)!;
  return { lines, row, column };
}

/** In the line above or below; undefined: there is none. */
export function movedLine(draft: Draft, by: -1 | 1, width: number): Draft | undefined {
  const { places } = layout(draft.text, width);
  const from = places.find(({ cursor }) => cursor >= draft.cursor) ?? places.at(-1)!;
  const there = places.filter(({ row }) => row === from.row + by);
  const near = (place: Place) => Math.abs(place.column - from.column);
  const best = there.sort((a, b) => near(a) - near(b) || a.cursor - b.cursor)[0];
  return best === undefined ? undefined : { text: draft.text, cursor: best.cursor };
}

interface Place {
  readonly cursor: number;
  readonly row: number;
  readonly column: number;
}

/** Lines, and where the cursor stands before each grapheme and at the end. */
function layout(text: string, width: number): { readonly lines: string[]; readonly places: Place[] } {
  const lines: string[] = [''];
  const places: Place[] = [];
  let column = 0;
  let cursor = 0;
  const newLine = () => {
    lines.push('');
    column = 0;
  };
  for (const part of graphemes(text)) {
    const visible = part === '\n' ? '' : cut(shown(part), width);
    const cells = widthOf(visible);
    if (part !== '\n' && column + cells > width) newLine();
    places.push({ cursor, row: lines.length - 1, column });
    cursor += part.length;
    if (part === '\n') newLine();
    else {
      lines[lines.length - 1] += visible;
      column += cells;
    }
  }
  if (column >= width) newLine();
  places.push({ cursor, row: lines.length - 1, column });
  return { lines, places };
}

function before({ text, cursor }: Draft): number {
  const last = graphemes(text.slice(0, cursor)).at(-1);
  return cursor - (last?.length ?? 0);
}

function wordStart({ text, cursor }: Draft): number {
  return cursor - (/\S*\s*$/u.exec(text.slice(0, cursor))?.[0].length ?? 0);
}
