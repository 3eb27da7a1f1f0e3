// SPDX-License-Identifier: AGPL-3.0-or-later
// One row of the terminal.
import { Text } from 'ink';
import { createElement as h, type ReactElement } from 'react';
import { cut, widthOf } from '../cells.ts';
import type { Span } from '../rows.ts';

/** https://no-color.org: bold, dim and inverse stay. */
const hasColors = (process.env.NO_COLOR ?? '') === '';

/** Exactly `width` cells, as this program counts them. */
export function line(key: string, spans: readonly Span[], width: number, isInverse = false): ReactElement {
  const parts: ReactElement[] = [];
  let left = width;
  for (const [index, { text, bold, dim, inverse, color }] of spans.entries()) {
    if (left <= 0) break;
    const fitting = cut(text, left);
    left -= widthOf(fitting);
    const style = {
      ...(bold === true && { bold }),
      ...(dim === true && { dimColor: true }),
      ...((inverse === true || isInverse) && { inverse: true }),
      ...(color !== undefined && hasColors && { color }),
    };
    parts.push(h(Text, { key: index, ...style }, fitting));
  }
  if (left > 0) parts.push(h(Text, { key: 'rest', ...(isInverse && { inverse: true }) }, ' '.repeat(left)));
  return h(Text, { key, wrap: 'truncate' }, ...parts);
}
