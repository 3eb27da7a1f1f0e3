// SPDX-License-Identifier: AGPL-3.0-or-later
// Who gets how many cells: list and conversation side by side where there is room, else one at a time.
import { type DraftView, laidOut } from './editor.ts';
import type { UiState } from './ui-state.ts';

// Ours.
const TWO_PANES = 72;
const LIST_SHARE = 0.32;
const LIST_MIN = 24;
const LIST_MAX = 38;
const DRAFT_LINES = 6;
/** Smaller terminals get a sentence. */
export const FEWEST_COLUMNS = 24;
export const FEWEST_ROWS = 8;

export interface Geometry {
  /** 0: not shown. */
  readonly listWidth: number;
  readonly chatWidth: number;
  /** Rows of both panes, below the title and above the footer. */
  readonly bodyHeight: number;
  readonly messagesHeight: number;
  readonly draft: DraftView;
  /** The lines of the draft that are shown. */
  readonly draftTop: number;
  readonly draftHeight: number;
  readonly hasReply: boolean;
}

export function geometryOf(ui: UiState, isOpen: boolean): Geometry {
  const bothFit = ui.columns >= TWO_PANES;
  const listShare = Math.min(LIST_MAX, Math.max(LIST_MIN, Math.round(ui.columns * LIST_SHARE)));
  const onlyList = !bothFit && (ui.focus === 'list' || !isOpen);
  const listWidth = bothFit ? listShare : onlyList ? ui.columns : 0;
  const chatWidth = bothFit ? ui.columns - listShare - 1 : onlyList ? 0 : ui.columns;
  // Title and footer.
  const bodyHeight = Math.max(1, ui.rows - 2);
  const draft = laidOut(ui.draft, Math.max(4, chatWidth - 4));
  const most = Math.max(1, Math.min(DRAFT_LINES, Math.floor(bodyHeight / 3)));
  const draftHeight = Math.min(most, draft.lines.length);
  const draftTop = Math.max(0, Math.min(draft.row, draft.lines.length - draftHeight));
  const hasReply = ui.replyTo !== undefined || ui.editing !== undefined;
  // A line above the draft.
  const messagesHeight = Math.max(1, bodyHeight - draftHeight - 1 - (hasReply ? 1 : 0));
  return { listWidth, chatWidth, bodyHeight, messagesHeight, draft, draftTop, draftHeight, hasReply };
}
