// SPDX-License-Identifier: AGPL-3.0-or-later
// In words: times after which messages disappear, and the lines of a conversation that tell of something.
import { t } from '../i18n/i18n.ts';
import type { MessageView } from '../model.ts';

export function timerText(seconds: number): string {
  if (seconds === 0) return t('timer.off');
  if (seconds < 3_600) return t('timer.minutes', { n: Math.round(seconds / 60) });
  if (seconds < 86_400) return t('timer.hours', { n: Math.round(seconds / 3_600) });
  return t('timer.days', { n: Math.round(seconds / 86_400) });
}

/** `name`: who did it; undefined: we did. A timer concerns what they send who set it. */
export function noticeText(
  { kind, seconds = 0 }: NonNullable<MessageView['notice']>,
  name: string | undefined,
): string {
  const what = kind !== 'timer' ? kind : seconds === 0 ? 'timer_off' : 'timer_on';
  const time = timerText(seconds);
  return name === undefined ? t(`notice.own.${what}`, { time }) : t(`notice.${what}`, { name, time });
}
