// SPDX-License-Identifier: AGPL-3.0-or-later
// Text of strangers in the cells of a terminal: what may be shown, how wide it is, where it breaks. Terminals disagree about
// joined emoji, variation selectors and skin tones, so these are taken apart: what is left has one width everywhere, or is
// counted as wide as the widest terminal shows it. Nothing that comes out of `shown` can move the cursor.

/** Ours: marks on one letter; more of them climb over other lines. */
const MAX_MARKS = 3;

const MARKS_BEYOND = new RegExp(`(\\p{M}{${MAX_MARKS}})\\p{M}+`, 'gu');
// Controls, private and unassigned characters; formats that turn directions, join or hide, except the non-joiner of Persian.
const REPLACED = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}]/gu;
const DROPPED =
  /(?!\u200c)\p{Cf}|[\u{fe00}-\u{fe0f}\u{e0100}-\u{e01ef}\u{1f3fb}-\u{1f3ff}\u20e3\u034f\u115f\u1160\u3164\uffa0]/gu;
const NEWLINES = /\r\n?|\p{Zl}|\p{Zp}|\v|\f|\u0085/gu;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\u200c\u1160-\u11ff\ud7b0-\ud7ff]/u;
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{1d300}-\u{1d37f}\u{1f000}-\u{1f02f}\u{1f0a0}-\u{1f0ff}\u{1f200}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const REGIONAL = /[\u{1f1e6}-\u{1f1ff}]/u;
const PLAIN = /^[\x20-\x7e]*$/;

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** What of a text is shown; line breaks stay, tabs become spaces. */
export function shown(text: string): string {
  if (PLAIN.test(text)) return text;
  return text
    .toWellFormed()
    .normalize('NFC')
    .replace(NEWLINES, '\n')
    .split('\n')
    .map((line) =>
      line
        .replaceAll('\t', '    ')
        .replace(DROPPED, '')
        .replace(REPLACED, '\ufffd')
        .replace(MARKS_BEYOND, '$1'),
    )
    .join('\n');
}

/** The same in one line, as for names and previews. */
export const shownInLine = (text: string): string => shown(text).replace(/\s+/g, ' ').trim();

/** Cells that a shown text without line breaks takes, at most. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (character.length === 1 && character >= ' ' && character <= '~') return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  if (REGIONAL.test(character)) return 1;
  return WIDE.test(character) ? 2 : 1;
}

export function graphemes(text: string): readonly string[] {
  if (PLAIN.test(text)) return [...text];
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** At most `width` cells, with an ellipsis when something is missing. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width < 1) return '';
  let taken = '';
  let cells = 1;
  for (const part of graphemes(text)) {
    cells += widthOf(part);
    if (cells > width) break;
    taken += part;
  }
  return `${taken.trimEnd()}…`;
}

/** Exactly `width` cells as this module counts them. */
export function padded(text: string, width: number): string {
  const fitting = cut(text, width);
  return fitting + ' '.repeat(Math.max(0, width - widthOf(fitting)));
}

/**
 * A shown text in lines of at most `width` cells; breaks at spaces where it can.
 * @param maxLines the rest is left out, and the last line ends with an ellipsis
 */
export function wrapped(text: string, width: number, maxLines = Number.POSITIVE_INFINITY): readonly string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    wrapParagraph(paragraph, Math.max(2, width), maxLines - lines.length + 1, lines);
    if (lines.length > maxLines) break;
  }
  if (lines.length <= maxLines) return lines;
  lines.length = maxLines;
  const last = cut(lines[maxLines - 1]!, width - 1);
  lines[maxLines - 1] = last.endsWith('…') ? last : `${last}…`;
  return lines;
}

function wrapParagraph(paragraph: string, width: number, atMost: number, lines: string[]): void {
  const last = lines.length + atMost;
  let line = '';
  let cells = 0;
  const flush = () => {
    lines.push(line.trimEnd());
    line = '';
    cells = 0;
  };
  for (const word of paragraph.match(/ +|[^ ]+/g) ?? []) {
    if (lines.length >= last) return;
    const wordCells = widthOf(word);
    if (cells + wordCells <= width) {
      line += word;
      cells += wordCells;
      continue;
    }
    if (word.startsWith(' ')) {
      // What would stand at the end of a line or the beginning of the next shows nothing.
      flush();
      continue;
    }
    if (cells > 0) flush();
    for (const part of pieces(word, width)) {
      const partCells = widthOf(part);
      if (cells + partCells > width) flush();
      if (lines.length >= last) return;
      line += part;
      cells += partCells;
    }
  }
  lines.push(line);
}

/** Graphemes; characters of those that are wider than a line. */
function* pieces(word: string, width: number): Generator<string> {
  for (const part of graphemes(word)) {
    if (widthOf(part) <= width) yield part;
    else yield* part;
  }
}
