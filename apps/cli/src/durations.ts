// SPDX-License-Identifier: AGPL-3.0-or-later
// Times as people write them on a command line: how long, and since when.
import { InvalidArgumentError } from 'commander';
import { counted } from './terminal.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** `90s`, `5m`, `12h`, `1d`, `2w` in seconds; undefined when it is none. */
export function readDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * UNITS[unit!]!;
}

/** In the largest unit that gives a whole number: `1 day`, `90 seconds`. */
export function durationText(seconds: number): string {
  for (const [name, size] of [
    ['week', 604_800],
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ] as const) {
    if (seconds >= size && seconds % size === 0) return counted(seconds / size, name);
  }
  return counted(seconds, 'second');
}

/** A day or a time of this machine, or how long ago, in ms. @throws InvalidArgumentError */
export function pointInTime(text: string): number {
  const ago = readDuration(text);
  if (ago !== undefined) return Date.now() - ago * 1_000;
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const time = /^\d{4}-/.test(text) ? Date.parse(isDay ? `${text}T00:00` : text) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new InvalidArgumentError('a day (2026-05-31), a time (2026-05-31T18:00) or how long ago (7d, 12h)');
  }
  return time;
}
