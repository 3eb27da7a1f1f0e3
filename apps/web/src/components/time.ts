// SPDX-License-Identifier: AGPL-3.0-or-later
// Times as people say them, in the language of the page.
import { currentLanguage, currentLocale, t } from '../i18n/i18n.ts';

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${currentLanguage()} ${name}`;
  let known = formats.get(key);
  if (known === undefined) {
    known = new Intl.DateTimeFormat(currentLocale(), options);
    formats.set(key, known);
  }
  return known;
}

/** Times of strangers may be none that a calendar knows. */
const text = (known: Intl.DateTimeFormat, ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? known.format(ms) : '?';

export const clockTime = (ms: number): string =>
  text(format('time', { hour: '2-digit', minute: '2-digit' }), ms);

export const fullTime = (ms: number): string =>
  text(format('full', { dateStyle: 'medium', timeStyle: 'medium' }), ms);

/** Undefined where there is none. */
export const isoTime = (ms: number): string | undefined =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : undefined;

/** Of the calendar here. */
export const dayNumber = (ms: number): number => {
  const date = new Date(ms);
  return Math.floor((ms - date.getTimezoneOffset() * 60_000) / DAY_MS);
};

export const isSameDay = (a: number, b: number): boolean => dayNumber(a) === dayNumber(b);

export function dayName(ms: number, now = Date.now()): string {
  const days = dayNumber(now) - dayNumber(ms);
  if (days === 0) return t('time.today');
  if (days === 1) return t('time.yesterday');
  if (days > 1 && days < 7) return text(format('weekday', { weekday: 'long' }), ms);
  return text(format('date', { day: 'numeric', month: 'long', year: 'numeric' }), ms);
}

/** In a list: the time of today, else the day. */
export function shortTime(ms: number, now = Date.now()): string {
  const days = dayNumber(now) - dayNumber(ms);
  if (days <= 0) return clockTime(ms);
  if (days === 1) return t('time.yesterday');
  if (days < 7) return text(format('weekday-short', { weekday: 'short' }), ms);
  return text(format('date-short', { day: '2-digit', month: '2-digit', year: '2-digit' }), ms);
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function bytesText(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return new Intl.NumberFormat(currentLocale(), {
    style: 'unit',
    unit: units[unit] ?? 'byte',
    unitDisplay: 'short',
    maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  }).format(value);
}
